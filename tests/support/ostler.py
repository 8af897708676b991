"""Drive ostlerd from outside.

A test asks its TestCase for a daemon, which is a process of its own with a
configuration written from a dict, ports chosen by the kernel and a log in a file:

    class Echo(ostler.TestCase):
        def test_what_is_sent_comes_back(self):
            daemon = self.start_daemon({"echo": ostler.service("echo", "evented")})
            client = self.connect(daemon)
            self.assertEqual(clients.ask(client, b"hello\n"), b"hello\n")

The daemon is stopped with SIGTERM when the test is over, and its exit status and its
log (sanitizer reports) are part of the test. A test that fails shows the log's tail.

Environment:
    OSTLER_BIN        where ostlerd is; default: build/dev/bin of this tree
    OSTLER_SLOW       all time limits times this number (sanitizer builds: 10); default 1
    OSTLER_SANITIZED  1: a sanitizer build; what measures memory is skipped, by
                      @ostler.unless_sanitized
"""

import contextlib
import faulthandler
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing
import unittest

import clients
from kinds import Address
from machine import (KIB, MIB, SANITIZED, SLOW, allow_many_descriptors, becomes_readable,  # noqa: F401
                     has_ipv6, needs_ipv6, scaled, spawn, tool, unless_sanitized, wait_until)

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("OSTLER_BIN") or ROOT / "build/dev/bin")

CONCURRENT = ("evented", "threading", "forking", "fibers")
MIXINS = (*CONCURRENT, "inline")  # inline serves one client at a time

LOOPBACK4 = "tcp:127.0.0.1:0"
LOOPBACK6 = "tcp:[::1]:0"


def service(handler, mixin, *listen, **settings):
    """One entry of services = { … }; it listens on 127.0.0.1 unless told otherwise."""
    return {"handler": handler, "listen": list(listen or (LOOPBACK4,)), "mixin": mixin, **settings}


def config_text(settings, indent=""):
    """A dict in libconfig's grammar."""
    return "".join(f"{indent}{name} = {_value(value, indent)}\n" for name, value in settings.items())


def _value(value, indent=""):
    if isinstance(value, dict):
        return "{\n" + config_text(value, indent + "    ") + indent + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


class Process(typing.NamedTuple):
    pid: int
    state: str  # as in proc(5): Z is a zombie
    parent: int
    group: int


def processes():
    """All that there are."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                fields = pathlib.Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                yield Process(int(name), fields[0], int(fields[1]), int(fields[2]))


def children_of(pid):
    """The processes whose parent pid is, zombies too."""
    return [process.pid for process in processes() if process.parent == pid]


def group_of(leader):
    """Who lives in the process group."""
    return [process.pid for process in processes() if process.group == leader and process.state not in "ZX"]


def is_alive(pid):
    """Does a process of this number run, zombies aside?"""
    return any(process.pid == pid and process.state not in "ZX" for process in processes())


class Exit(typing.NamedTuple):
    status: int      # negative: ended by that signal
    seconds: float   # from the signal (or the wait) to the end


class Daemon:
    """One running ostlerd, and what can be seen of it from outside."""

    def __init__(self, services, *, program="ostlerd", prefix=(), environment=None, ready_within=10, **settings):
        """Write the configuration, start the daemon, return when it is ready.
        program: of the build's. prefix: a program and its arguments that runs it (prlimit,
        valgrind); it must exec or be the daemon's process itself. settings: the global ones."""
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="ostler-test-"))
        self.config = self.directory / "ostler.conf"
        self.log_file = self.directory / "log"
        self.addresses = {}
        self.exit = None
        settings = {"log_level": "info", "stop_timeout": scaled(10.0), **settings}
        self.stop_timeout = settings["stop_timeout"]
        self.config.write_text(config_text({**settings, "services": services}))
        self.process = self.pidfd = None
        try:
            self._start(BIN / program, prefix, environment or {})
            self._await_ready(scaled(ready_within))
        except BaseException:
            self.kill()
            self.remove()
            raise

    def _start(self, program, prefix, environment):
        if not os.access(program, os.X_OK):
            raise AssertionError(f"there is no program {program}: build it, or set OSTLER_BIN")
        pipe, ready = os.pipe()
        self._ready = open(pipe, "rb", buffering=0)
        try:
            with open(self.log_file, "wb") as log:
                self.process = spawn([*prefix, program, "-c", self.config, f"--ready-fd={ready}"],
                                     stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[ready],
                                     env={**os.environ, **environment})
        finally:
            os.close(ready)
        self.pid = self.process.pid
        self.pidfd = os.pidfd_open(self.pid)  # good until it is closed, even after the end

    def _await_ready(self, seconds):
        text = b""
        limit = time.monotonic() + seconds
        with self._ready as pipe:
            while becomes_readable(pipe, limit - time.monotonic()):
                part = pipe.read(4096)
                if not part:
                    break
                text += part
            else:
                raise AssertionError(f"the daemon was not ready (and its ready-fd closed) within {seconds:.1f} s; "
                                     f"it had said {text!r}\n{self.log_tail()}")
        self.ready_lines = text.decode().split("\n")
        if self.ready_lines[-2:] != ["ready", ""]:
            ended = self.wait(seconds)
            raise AssertionError(f"the daemon ended with status {ended and ended.status} before it was ready; "
                                 f"it had said {text!r}\n{self.log_tail()}")
        for line in self.ready_lines[:-2]:
            name, _, address = line.partition(" ")
            self.addresses.setdefault(name, []).append(Address.parse(address))

    def address(self, name=None):
        """The first address of a service; of the only one, if it has no name."""
        if name is None:
            [name] = self.addresses
        return self.addresses[name][0]

    # What it did.

    def log(self):
        return self.log_file.read_text(errors="replace")

    def log_lines(self):
        return len(self.log().splitlines())

    def log_tail(self, lines=40):
        text = self.log().splitlines()
        return f"--- the log of ostlerd, its last {min(lines, len(text))} of {len(text)} lines\n" \
            + "\n".join(line[:400] for line in text[-lines:]) + "\n---"

    # What it uses, its workers and their children included.

    def processes(self):
        """Their pids, its own first."""
        pids = [self.pid]
        for pid in pids:  # which grows meanwhile
            pids += children_of(pid)
        return pids

    def _sum(self, measure):
        """Of all its processes; one that has ended meanwhile uses nothing."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                total += measure(pathlib.Path(f"/proc/{pid}"))
        return total

    def pss(self):
        """User memory in bytes, shared pages divided by those who share them."""
        def measure(process):
            found = re.search(r"^Pss: +(\d+)", (process / "smaps_rollup").read_text(), flags=re.M)
            return int(found[1]) * KIB if found else 0  # one that has just ended has no memory
        return self._sum(measure)

    def cpu_seconds(self):
        """Of all threads and those children that have been waited for."""
        def measure(process):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
        return self._sum(measure)

    def wake_ups(self):
        """How often its threads have waited so far."""
        tasks = pathlib.Path(f"/proc/{self.pid}/task").iterdir()
        lines = "\n".join((task / "status").read_text() for task in tasks).splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))

    def descriptors(self, pid=None):
        """Of all its processes, or of one."""
        return len(os.listdir(f"/proc/{pid}/fd")) if pid else self._sum(lambda p: len(os.listdir(p / "fd")))

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    # The process of forking services, and theirs.

    def worker(self):
        """The worker's pid; there is one."""
        [pid] = children_of(self.pid)
        return pid

    def await_worker(self, other_than=None, seconds=10):
        """The pid of a worker, once there is one that is another one."""
        wait_until(lambda: set(children_of(self.pid)) - {other_than}, scaled(seconds), "a worker was started")
        [pid] = set(children_of(self.pid)) - {other_than}
        return pid

    # Its end.

    def send_signal(self, number=signal.SIGTERM):
        """An ended one gets no signal, and that is no failure."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def wait(self, seconds):
        """Wait for its end; Exit, or None if it still runs after so many seconds."""
        begin = time.monotonic()
        if self.exit is None and becomes_readable(self.pidfd, seconds):
            elapsed = time.monotonic() - begin
            self.exit = Exit(self.process.wait(), elapsed)
        return self.exit

    def stays_alive(self, seconds):
        """Let time pass; it must not end meanwhile."""
        if self.wait(seconds):
            raise AssertionError(f"the daemon ended with status {self.exit.status}\n{self.log_tail()}")

    def await_end(self, seconds):
        """It ends by itself, or by a signal it has got; Exit. Too long is a failure."""
        if self.wait(seconds) is None:
            raise AssertionError(f"the daemon still runs after {seconds:.1f} s\n{self.log_tail()}")
        return self.exit

    def stop(self, number=signal.SIGTERM, seconds=None):
        """Send the signal, wait for the end; Exit. Too long is a failure."""
        self.send_signal(number)
        return self.await_end(self.stop_timeout + scaled(5) if seconds is None else seconds)

    def check(self):
        """End it, unless the test did; it must have ended well."""
        try:
            status = (self.exit or self.stop()).status
            if status != 0:
                raise AssertionError(f"the daemon ended with status {status}\n{self.log_tail()}")
            if any(mark in self.log() for mark in ("Sanitizer", "runtime error:", "Assertion")):
                raise AssertionError(f"the daemon's log has a report\n{self.log_tail(100)}")
        finally:
            self.kill()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def remove(self):
        """Its files, and what holds it."""
        if self.pidfd is not None:
            os.close(self.pidfd)
        shutil.rmtree(self.directory)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if exception[0] is None:
            self.check()
        self.kill()
        self.remove()


class TestCase(unittest.TestCase):
    """Starts daemons, and has them end well; shows their logs if the test fails."""

    longest = 60  # seconds after which a test that hangs is ended, with a traceback

    def run(self, result=None):
        result = result if result is not None else self.defaultTestResult()
        problems = len(result.failures) + len(result.errors)
        self._daemons = []
        faulthandler.dump_traceback_later(scaled(self.longest), exit=True)
        try:
            return super().run(result)
        finally:
            faulthandler.cancel_dump_traceback_later()
            failed = len(result.failures) + len(result.errors) > problems
            for daemon in self._daemons:
                if failed:
                    print(f"\n{self.id()} failed\n{daemon.log_tail()}", file=sys.stderr)
                daemon.remove()

    def start_daemon(self, services, **options):
        """A Daemon (see there) that ends with the test."""
        daemon = Daemon(services, **options)
        self._daemons.append(daemon)
        self.addCleanup(daemon.check)
        return daemon

    def connect(self, daemon, name=None, **options):
        """A blocking client socket, closed before the daemon is stopped."""
        client = clients.connect(daemon.address(name), **options)
        self.addCleanup(client.close)
        return client

    def delay(self, daemon, *calls):
        """From now on each of these system calls takes the daemon, and who is born to it, half a second. Not for
        sanitizers, which trace at the end."""
        strace = spawn([tool("strace"), "-f", "-p", str(daemon.pid), "-o", self.scratch() / "trace", "-e",
                        "inject=" + ",".join(f"?{call}" for call in calls) + ":delay_enter=500000"],
                       stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(strace.communicate)
        self.addCleanup(strace.terminate)
        self.assertIn("attached", strace.stderr.readline())  # to every thread

    def scratch(self):
        """A directory that goes with the test."""
        directory = tempfile.TemporaryDirectory(prefix="ostler-test-")
        self.addCleanup(directory.cleanup)
        return pathlib.Path(directory.name)

    def assert_back_to(self, daemon, descriptors, within=10):
        """The daemon gives back what it opened."""
        wait_until(lambda: daemon.descriptors() <= descriptors, scaled(within),
                   f"descriptors back to {descriptors}, from {daemon.descriptors()}")

    def assert_threads_back_to(self, daemon, threads, within=15):
        """The daemon's threads end when they are idle (after 10 s); ThreadSanitizer's own, that there is from
        the first one on, does not."""
        threads += SANITIZED
        wait_until(lambda: daemon.threads() <= threads, scaled(within),
                   f"threads back to {threads}, from {daemon.threads()}")
