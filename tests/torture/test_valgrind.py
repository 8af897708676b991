"""A bit of everything under valgrind: no error, no leak, no stack that valgrind takes for
another one. Skipped on sanitizer builds, which valgrind cannot run."""

import os
import pathlib
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402
from ostler import KIB, MIB  # noqa: E402

VALGRIND = ["--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite", "--fair-sched=yes"]
PATIENCE = 60  # seconds: valgrind is some 20 times slower


@ostler.unless_sanitized
class ValgrindCases:
    mixin = None
    longest = 120

    def start_valgrind(self, services, **settings):
        return self.start_daemon(services, prefix=[ostler.tool("valgrind"), *VALGRIND], ready_within=PATIENCE,
                                 **settings)

    def assert_ends_clean(self, daemon, signalled=False):
        """It ends after a SIGTERM, which the test may have sent already."""
        if not signalled:
            daemon.send_signal()
        daemon.await_end(PATIENCE)
        log = daemon.log()
        if "ERROR SUMMARY: 0 errors" not in log:
            self.fail("valgrind found errors; the first:\n" + log[log.find("=="):][:4000])
        self.assertNotIn("client switching stacks", log)

    def start_echo(self, **settings):
        return self.start_valgrind({"echo": ostler.service("echo", self.mixin, timeout=30.0, **settings)},
                                   stop_timeout=5.0)

    def connect_patiently(self, daemon, name=None):
        return self.connect(daemon, name, timeout=PATIENCE)

    def test_a_mix_of_clients_makes_no_error(self):
        daemon = self.start_echo()
        self.talk(daemon)
        self.half_close(daemon)
        self.vanish(daemon)
        self.assertEqual(clients.ask(self.connect_patiently(daemon), b"after it all\n"), b"after it all\n")
        self.assert_ends_clean(daemon)

    def talk(self, daemon):
        with clients.Fleet(daemon.address(), 1 if self.mixin == "inline" else 20) as fleet:
            fleet.ping_pong(5, PATIENCE)

    def half_close(self, daemon):
        with clients.connect(daemon.address(), timeout=PATIENCE) as client:
            data = os.urandom(50 * KIB)
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(clients.read_to_end(client), data)

    def vanish(self, daemon):
        for data in (b"", b"never mind\n", bytes(100 * KIB)):
            for _ in range(10):
                client = clients.connect(daemon.address(), timeout=PATIENCE)
                client.sendall(data)
                clients.reset(client)
        with clients.Fleet(daemon.address(), 1, reads=False) as fleet:
            fleet.clients[0].say(bytes(MIB))
            fleet.run_until_stalled(0.5, PATIENCE)

    def test_timeouts_and_deadlines_make_no_error(self):
        daemon = self.start_valgrind({"silent": ostler.service("echo", self.mixin, timeout=0.2),
                                      "late": ostler.service("echo", self.mixin, deadline=0.2)}, stop_timeout=5.0)
        for name in ("silent", "late"):
            for _ in range(3):
                self.assertTrue(clients.ended(self.connect_patiently(daemon, name), PATIENCE))
        self.assert_ends_clean(daemon)

    def test_stop_with_idle_and_busy_clients_makes_no_error(self):
        daemon = self.start_echo()
        busy = self.connect_patiently(daemon)
        clients.ask(busy, b"hello\n")
        busy.sendall(b"last orders\n")
        idle = [self.connect_patiently(daemon) for _ in range(3)]
        ostler.wait_until(lambda: clients.unacknowledged(busy) == 0, PATIENCE, "the line is received")
        daemon.send_signal()
        self.assertEqual(clients.read_to_end(busy), b"last orders\n")
        for client in (busy, *idle):
            client.close()
        self.assert_ends_clean(daemon, signalled=True)

    def test_cut_off_clients_make_no_error(self):
        daemon = self.start_valgrind({"echo": ostler.service("echo", self.mixin)}, stop_timeout=0.5)
        fleet = clients.Fleet(daemon.address(), 1, reads=False, timeout=PATIENCE)
        self.addCleanup(fleet.close)
        fleet.clients[0].pour(64 * MIB)
        fleet.run_until_stalled(0.5, PATIENCE)
        self.assert_ends_clean(daemon)

    def test_time_makes_no_error(self):
        daemon = self.start_valgrind({"time": ostler.service("time", self.mixin)})
        for _ in range(10):
            with clients.connect(daemon.address(), timeout=PATIENCE) as client:
                self.assertEqual(len(clients.read_to_end(client)), 4)
        self.assert_ends_clean(daemon)


class ValgrindEvented(ValgrindCases, ostler.TestCase):
    mixin = "evented"


class ValgrindInline(ValgrindCases, ostler.TestCase):
    mixin = "inline"


class ValgrindUnderThreading(ValgrindCases, ostler.TestCase):
    mixin = "threading"


class ValgrindOnFibers(ValgrindCases, ostler.TestCase):
    mixin = "fibers"


if __name__ == "__main__":
    unittest.main()
