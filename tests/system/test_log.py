"""Where the log goes may be full, or no longer be read: nobody waits for that, and what was lost is told."""

import os
import pathlib
import pty
import re
import socket
import subprocess
import sys
import termios
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402

KINDS = (("evented", {}), ("forking", {}), ("threading", {"workers": 2}))


# With standard error as its controlling terminal, of which it is the foreground process.
IN_TERMINAL = [sys.executable, "-c", "import fcntl, os, sys, termios; os.setsid(); "
               "fcntl.ioctl(2, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"]


class Running:
    """An ostlerd whose standard error is a descriptor of the test's."""

    def __init__(self, case, services, stderr, prefix=(), **settings):
        config = case.scratch() / "conf"
        config.write_text(ostler.config_text({"stop_timeout": ostler.scaled(10.0), **settings, "services": services}))
        self.process = ostler.spawn([*prefix, ostler.BIN / "ostlerd", "-c", config, "--ready-fd=1"],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr)
        case.addCleanup(self.end)
        with self.process.stdout as pipe:
            ready = Reader(pipe.fileno())
            ready.read_until(r"(?m)^ready$")
        self.addresses = [ostler.Address.parse(line.split(" ")[1]) for line in ready.text.splitlines()[:-1]]

    def serve(self, count, address=None, end=socket.socket.close):
        """So many clients, each of which gets its answer."""
        for number in range(count):
            with clients.connect(address or self.addresses[0]) as client:
                assert clients.ask(client, b"hello\n") == b"hello\n", number
                end(client)

    def stop(self):
        self.process.terminate()
        return self.process.wait(ostler.scaled(5))

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Reader:
    """Reads a descriptor when it is told to; text is what has come."""

    def __init__(self, descriptor):
        self.descriptor = descriptor
        self.text = ""

    def read_until(self, pattern, seconds=10):
        limit = time.monotonic() + ostler.scaled(seconds)
        while not re.search(pattern, self.text):
            if not ostler.becomes_readable(self.descriptor, limit - time.monotonic()) or not self.read():
                raise AssertionError(f"{pattern} did not come after\n{self.text[-2000:]}")

    def read(self):
        """Is there more to come?"""
        part = os.read(self.descriptor, 65536)
        self.text += part.decode(errors="replace")
        return bool(part)

    def read_to_end(self):
        while self.read():
            pass


class Case(ostler.TestCase):
    def closing(self, *descriptors):
        for descriptor in descriptors:
            self.addCleanup(os.close, descriptor)
        return descriptors

    def each(self, stderr, **settings):
        for mixin, more in KINDS:
            with self.subTest(mixin=mixin, **more):
                yield Running(self, {"echo": ostler.service("echo", mixin)}, stderr, **more, **settings)


class Terminal(Case):
    def test_one_that_is_no_longer_read_holds_up_nobody(self):
        _, slave = self.closing(*pty.openpty())
        for daemon in self.each(slave, log_level="debug"):
            daemon.serve(1000)
            self.assertEqual(daemon.stop(), 0)

    def test_what_was_lost_is_told_when_it_is_read_again(self):
        master, slave = self.closing(*pty.openpty())
        daemon = Running(self, {"echo": ostler.service("echo", "evented")}, slave, log_level="debug")
        daemon.serve(1000)
        log = Reader(master)

        def is_told():
            daemon.serve(1)
            while ostler.becomes_readable(master, 0):
                log.read()
            return re.search(r" error \d+ lines of the log lost\r\n.* closed: ", log.text)

        ostler.wait_until(is_told, ostler.scaled(10), "it is told")
        self.assertEqual(daemon.stop(), 0)


    def test_workers_may_write_to_one_that_stops_background_processes_which_do(self):
        for mixin, more in KINDS:
            with self.subTest(mixin=mixin, **more):
                _, slave = self.closing(*pty.openpty())
                mode = termios.tcgetattr(slave)
                mode[3] |= termios.TOSTOP
                termios.tcsetattr(slave, termios.TCSANOW, mode)
                daemon = Running(self, {"echo": ostler.service("echo", mixin)}, slave, prefix=IN_TERMINAL, **more)
                daemon.serve(1)
                self.assertEqual(daemon.stop(), 0)


class File(Case):
    @ostler.unless_sanitized  # ThreadSanitizer has a file of its own
    def test_one_that_may_not_grow_any_more_holds_up_nobody(self):
        path = self.scratch() / "log"
        for mixin, more in KINDS:
            with self.subTest(mixin=mixin, **more), open(path, "wb") as log:
                daemon = Running(self, {"echo": ostler.service("echo", mixin)}, log, log_level="debug",
                                 prefix=[ostler.tool("prlimit"), "--fsize=4096", "--core=0"], **more)
                daemon.serve(200)
                self.assertEqual(path.stat().st_size, 4096)
                self.assertEqual(daemon.stop(), 0)
                self.assertNotIn("died", path.read_text())


class Pipe(Case):
    """Lines are lost, and told when it is read again: of each client one that it is closed, and one of its child's."""

    def check(self, mixin, lines_each):
        reader, writer = os.pipe()
        self.closing(reader)
        daemon = Running(self, {"echo": ostler.service("echo", mixin, stall_warn_ms=0)}, writer, log_level="debug")
        os.close(writer)
        daemon.serve(1000, end=clients.reset)
        log = Reader(reader)
        log.read_until(r"(.*\n){400}")
        daemon.serve(1, end=clients.reset)
        daemon.process.terminate()
        log.read_to_end()
        lost = sum(map(int, re.findall(r" error (\d+) lines? of the log lost\n", log.text)))
        self.assertGreater(lost, 0)
        self.assertEqual(len(re.findall(r" (?:closed|request failed): ", log.text)) + lost, 1001 * lines_each)
        self.assertEqual(daemon.process.wait(ostler.scaled(5)), 0)

    def test_lines_that_were_lost_are_counted(self):
        self.check("evented", 1)

    def test_so_are_those_of_children(self):
        self.check("forking", 2)


if __name__ == "__main__":
    unittest.main()
