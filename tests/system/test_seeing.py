"""What a daemon tells of its requests: on SIGUSR1 all that are live, under each mix-in, and by itself
who holds up the others."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import kinds  # noqa: E402
import ostler  # noqa: E402
from ostler import ROOT  # noqa: E402

ECHO = "./servers/echo/echo.c"


def line_of(path, part):
    [number] = [number for number, line in enumerate((ROOT / path).read_text().splitlines(), 1) if part in line]
    return number


PLACE = f"{ECHO}:{line_of(ECHO, 'ostler_stream_read(')}"
WAITS = {mixin: f"waits at {PLACE}" for mixin in ostler.MIXINS} | {"evented": "waits for input"}


class Case(ostler.TestCase):
    def list(self, daemon, pattern, count=1):
        """What the log says after a signal, once it has pattern count times: a client that has its answer
        may be somewhat ahead of its handler."""
        text = ""
        end = time.monotonic() + ostler.scaled(20)
        while len(re.findall(pattern, text, flags=re.M)) < count:
            self.assertLess(time.monotonic(), end, f"the log has {pattern}, {count} times")
            before = len(daemon.log())
            daemon.send_signal(signal.SIGUSR1)
            with contextlib.suppress(AssertionError):
                ostler.wait_until(lambda: len(re.findall(pattern, daemon.log()[before:], flags=re.M)) >= count,
                                  ostler.scaled(2), "they are all there")
            text = daemon.log()[before:]
        return text

    def talking(self, daemon, name=None):
        client = self.connect(daemon, name)
        self.assertEqual(clients.ask(client, b"hello\n"), b"hello\n")
        return client

    @staticmethod
    def peer(client):
        return re.escape("tcp:127.0.0.1:%d" % client.getsockname()[1])


class List(Case):
    def each(self):
        for mixin in ostler.MIXINS:
            with self.subTest(mixin):
                yield mixin, self.start_daemon({"echo": ostler.service("echo", mixin)})

    def test_each_request_is_listed_with_where_it_waits(self):
        for mixin, daemon in self.each():
            begin = time.monotonic()
            talkers = [self.talking(daemon) for _ in range(1 if mixin == "inline" else 3)]
            text = self.list(daemon, f"{re.escape(WAITS[mixin])} since ", len(talkers))
            self.assertRegex(text, rf" info echo: {len(talkers)} live requests? \({mixin}\)\n")
            for client in talkers:
                found = re.search(rf" info echo: {self.peer(client)}: {re.escape(WAITS[mixin])} since (\d+\.\d) s, "
                                  r"(\d+\.\d) s old, 6 bytes in, 6 out(, child \d+)?\n", text)
                self.assertIsNotNone(found, text)
                self.assertLessEqual(float(found[1]), float(found[2]) + 0.1)
                self.assertLessEqual(float(found[2]), time.monotonic() - begin + 0.1)
                self.assertEqual(bool(found[3]), mixin == "forking")

    def test_a_service_without_requests_says_so(self):
        for mixin, daemon in self.each():
            text = self.list(daemon, r"0 live requests")
            self.assertEqual(text.count("live request"), 1)

    def test_datagrams_whose_replies_went_nowhere_are_counted(self):
        for mixin in ("evented", "fibers", "threading", "forking"):
            folder = self.scratch()
            daemon = self.start_daemon({"echo": ostler.service("echo", mixin, f"unixgram:{folder}/echo")})
            with self.subTest(mixin), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
                client.bind(f"{folder}/client")
                (folder / "client").unlink()
                client.sendto(b"hello", f"{folder}/echo")
                self.list(daemon, rf" info echo: 0 live requests \({mixin}\); 1 datagram dropped$")

    def test_the_child_that_is_named_is_the_one(self):
        daemon = self.start_daemon({"echo": ostler.service("echo", "forking")})
        self.talking(daemon)
        text = self.list(daemon, r", child \d+$")
        self.assertEqual([int(re.search(r", child (\d+)$", text, flags=re.M)[1])], ostler.children_of(daemon.worker()))

    def test_one_signal_is_for_all_services(self):
        daemon = self.start_daemon({name: ostler.service("echo", name) for name in ostler.MIXINS})
        for name in ostler.MIXINS:
            self.talking(daemon, name)
        text = self.list(daemon, r": waits .* since ", len(ostler.MIXINS))
        for name in ostler.MIXINS:
            self.assertRegex(text, rf" info {name}: tcp:[\d.:]+: {re.escape(WAITS[name])} since ")

    def test_requests_go_on_whatever_is_asked_meanwhile(self):
        for mixin, daemon in self.each():
            client = self.talking(daemon)
            for number in range(50):
                daemon.send_signal(signal.SIGUSR1)
                data = b"line %d\n" % number
                self.assertEqual(clients.ask(client, data), data)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(clients.read_to_end(client), b"")

    def test_one_whose_end_is_awaited_is_closing(self):
        for mixin, daemon in self.each():
            client = self.talking(daemon)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(clients.read_to_end(client), b"")
            self.list(daemon, r"0 live requests")

    def test_many_are_listed_and_none_is_left_out(self):
        daemon = self.start_daemon({"echo": ostler.service("echo", "fibers")})
        talkers = [self.talking(daemon) for _ in range(500)]
        text = self.list(daemon, r": waits at ", len(talkers))
        listed = re.findall(r"echo: tcp:127\.0\.0\.1:(\d+): waits at", text)
        self.assertEqual(sorted(map(int, listed)), sorted(client.getsockname()[1] for client in talkers))

    def test_datagrams_have_no_requests_that_last(self):
        daemon = self.start_daemon({"echo": ostler.service("echo", "evented", "udp:127.0.0.1:0")})
        client = kinds.dial(daemon.address())
        self.addCleanup(client.close)
        self.assertEqual(kinds.ask(client, b"hello"), b"hello")
        self.list(daemon, r" info echo: 0 live requests \(evented\)")

    def test_a_worker_that_has_just_been_started_survives_it(self):
        daemon = self.start_daemon({"echo": ostler.service("echo", "forking")})
        for _ in range(3):
            worker = daemon.worker()
            signal.pidfd_send_signal(pidfd := os.pidfd_open(worker), signal.SIGKILL)
            os.close(pidfd)
            new = None
            end = time.monotonic() + ostler.scaled(10)
            while new is None and time.monotonic() < end:
                daemon.send_signal(signal.SIGUSR1)
                new = next((pid for pid in ostler.children_of(daemon.pid) if pid != worker), None)
            for _ in range(20):
                daemon.send_signal(signal.SIGUSR1)
            self.talking(daemon)
            self.assertEqual(daemon.worker(), new)
        self.assertNotIn("signal 10", daemon.log())

    def test_the_single_programs_list_too(self):
        for program in ("echod", "discardd"):
            daemon = self.start_daemon({"it": ostler.service(program[:-1], "fibers")}, program=program)
            self.connect(daemon).sendall(b"hello\n")
            self.list(daemon, rf"it: tcp:[\d.:]+: waits at ./servers/{program[:-1]}/{program[:-1]}.c:\d+ since ")


class Stalls(Case):
    """greeterd's late holds the loop for the milliseconds that it is told."""

    def start(self, mixin, **settings):
        return self.start_daemon({"late": ostler.service("late", mixin, **settings)}, program="greeterd")

    def late(self, daemon, ms):
        client = self.connect(daemon)
        client.sendall(b"%d word\n" % ms)
        self.assertRegex(clients.read_exactly(client, 1), rb"\d")
        while not clients.read_exactly(client, 1) == b"\n":
            pass
        return client

    def test_who_holds_the_loop_is_named(self):
        place = "./tests/system/greeterd.c"
        number = line_of(place, "ostler_stream_read_line(")
        for mixin in ("inline", "fibers"):
            daemon = self.start(mixin)
            client = self.late(daemon, 250)
            ostler.wait_until(lambda: "held the loop" in daemon.log(), ostler.scaled(10), "the log names it")
            found = re.search(rf" warning late: {self.peer(client)}: its handler, which now waits at "
                              rf"{re.escape(place)}:{number}, held the loop for (\d+) ms\n", daemon.log())
            self.assertIsNotNone(found, daemon.log())
            self.assertGreaterEqual(int(found[1]), 200)

    def test_threads_and_children_hold_nobody(self):
        for mixin in ("threading", "forking"):
            daemon = self.start(mixin)
            self.late(daemon, 250)
            daemon.stop()
            self.assertNotIn("its handler", daemon.log())

    def test_the_setting_changes_when(self):
        for setting, told in ((20, True), (60000, False), (0, False)):
            daemon = self.start("fibers", stall_warn_ms=setting)
            self.late(daemon, 150)
            daemon.stop()
            self.assertEqual("held the loop" in daemon.log(), told, setting)


if __name__ == "__main__":
    unittest.main()
