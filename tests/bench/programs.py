"""The programs of a measurement: a server, on one core, and the load generator, on another."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from machine import allow_many_descriptors, becomes_readable, spawn  # noqa: E402, F401
from ostler import config_text, service  # noqa: E402

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]
BOTH_CORES = f"{SERVER_CORE},{LOAD_CORE}"
TICK = os.sysconf("SC_CLK_TCK")
PATIENCE = 60  # seconds, for anything


class Failure(Exception):
    """A program did not do what it should."""


def read_line(pipe, what):
    """The next line, soon."""
    if not becomes_readable(pipe, PATIENCE):
        raise Failure(f"{what} said nothing within {PATIENCE} s")
    line = pipe.readline().decode()
    if not line:
        raise Failure(f"{what} has ended")
    return line.rstrip("\n")


def start(command, core, **options):
    """A process on one core, its children too."""
    process = spawn(["taskset", "-c", core, *command], bufsize=0, **options)
    return process


def session(pid):
    """The process that leads it; None: there is no such process any more."""
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(pid)


def process_cpu(pid):
    """Seconds of CPU of a process: its threads' to the nanosecond, and those of the children it has waited for."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    clock = (~pid << 3) | 2  # clock_getcpuclockid(3)
    return time.clock_gettime(clock) + (int(fields[13]) + int(fields[14])) / TICK


def cores_busy():
    """Seconds that our two cores have worked for anybody, or were taken by the machine's host."""
    total = 0
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name in (f"cpu{SERVER_CORE}", f"cpu{LOAD_CORE}"):
            user, nice, system, _, _, irq, softirq, steal = map(int, ticks[:8])
            total += user + nice + system + irq + softirq + steal
    return total / TICK


class Server:
    """An echo server under measurement; with a prefix, in the hands of another program."""

    def __init__(self, command, name, prefix=(), core=SERVER_CORE):
        self.name = name
        self.log = tempfile.TemporaryFile()
        self.process = start([*prefix, *command], core, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=self.log, start_new_session=True)
        try:
            self.address = read_line(self.process.stdout, name).split()[1]
            if read_line(self.process.stdout, name) != "ready":
                raise Failure(f"{name} has more addresses than one")
        except (Failure, IndexError) as failure:
            self.stop()
            raise Failure(f"{failure}: {self.said()}") from None

    def said(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace").strip()[-1000:]

    def pids(self):
        """Of all its processes: they are a session."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if session(pid) == self.process.pid]

    def _sum(self, measure):
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                total += measure(pid)
        return total

    def cpu(self):
        """Once it stands still: a child that has answered still has to end, and to be waited for."""
        deadline = time.monotonic() + PATIENCE
        before, now = None, self._sum(process_cpu)
        while now != before:
            if time.monotonic() > deadline:
                raise Failure(f"{self.name} does not come to rest")
            before, now = now, self._sum(process_cpu)
        return now

    def memory(self):
        """Bytes of its own: the anonymous part of PSS. Of code and libraries, what counts as a process's share
        changes with those who come and go."""
        def measure(pid):
            found = re.search(r"^Pss_Anon: +(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
            return int(found[1]) * 1024 if found else 0
        return self._sum(measure)

    def stop(self):
        """It, and what it has started, end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise Failure(f"{self.name} did not end") from None
        finally:
            self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stop()
        self.log.close()


def ostler_command(build, mixin, address, most, directory, **settings):
    """The bundled echo under the ordinary daemon."""
    path = pathlib.Path(directory) / f"{mixin}.conf"
    services = {"echo": service("echo", mixin, address, max_requests=most)}
    path.write_text(config_text({**settings, "services": services}))
    return [build / "bin/ostlerd", "-c", path, "--ready-fd=1"]


class Load:
    """The load generator, as it talks: see load/load.h."""

    def __init__(self, build, mode, address, core=LOAD_CORE, **options):
        words = [word for name, value in options.items() for word in (f"-{name}", value)]
        self.process = start([build / "bin/bench/load", *words, mode, address], core,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.expect("ready")

    def expect(self, word):
        line = self.read()
        if line != word:
            raise Failure(f"the load generator says {line!r}")

    def read(self):
        try:
            return read_line(self.process.stdout, "the load generator")
        except Failure as failure:
            self.process.kill()
            raise Failure(f"{failure}: {self.process.stderr.read().decode().strip()}") from None

    def begin(self):
        self.process.stdin.write(b"go\n")

    def result(self):
        return json.loads(self.read())

    def run(self):
        """Do the work; what came of it."""
        self.begin()
        return self.result()

    def close(self):
        """The connections close."""
        self.process.stdin.close()
        if self.process.wait(PATIENCE) != 0:
            raise Failure(f"the load generator failed: {self.process.stderr.read().decode().strip()}")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        try:
            if exception[0] is None:
                self.close()
        finally:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
                pipe.close()


class Loads:
    """Several generators at work at the same time: for a server that is more than one can load."""

    def __init__(self, makers):
        self.generators = []
        with contextlib.ExitStack() as started:
            for make in makers:
                self.generators.append(started.enter_context(make()))
            self.stack = started.pop_all()

    def run(self):
        for generator in self.generators:
            generator.begin()
        results = [generator.result() for generator in self.generators]
        whole = {name: sum(result[name] for result in results) for name in ("requests", "cpu", "lost")}
        return {**whole, "seconds": max(result["seconds"] for result in results)}

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return self.stack.__exit__(*exception)
