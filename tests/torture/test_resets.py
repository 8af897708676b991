"""10,000 connections opened and reset: nothing crashes, nothing is left, and the log is
not flooded. Under every mix-in."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402
from ostler import KIB  # noqa: E402


class ResetCases:
    mixin = None

    def assert_survives(self, provoke, handler="echo"):
        """provoke(daemon) leaves the descriptors as they were, and a short log."""
        daemon = self.start_daemon({handler: ostler.service(handler, self.mixin)})
        descriptors = daemon.descriptors()
        provoke(daemon)
        self.assert_back_to(daemon, descriptors)
        self.assertLessEqual(daemon.log_lines(), 20)
        self.check_alive(daemon)
        return daemon

    def reset_many(self, daemon, count, data=b""):
        for number in range(count):
            client = clients.connect(daemon.address(), timeout=20)
            if data:
                client.sendall(data)
            clients.reset(client)
            if number % 1000 == 999:
                self.check_alive(daemon)

    def check_alive(self, daemon):
        if "echo" in daemon.addresses:
            with clients.connect(daemon.address(), timeout=20) as client:
                self.assertEqual(clients.ask(client, b"alive\n"), b"alive\n")

    def test_10000_connections_opened_and_reset_leave_nothing_behind(self):
        threads = self.start_daemon({"echo": ostler.service("echo", self.mixin)}).threads()
        daemon = self.assert_survives(lambda daemon: self.reset_many(daemon, 10_000))
        self.assert_threads_back_to(daemon, threads)

    def test_3000_connections_reset_with_their_line_unanswered_leave_nothing_behind(self):
        self.assert_survives(lambda daemon: self.reset_many(daemon, 3_000, b"never mind\n"))

    def test_300_connections_reset_with_a_large_answer_on_its_way_leave_nothing_behind(self):
        self.assert_survives(lambda daemon: self.reset_many(daemon, 300, bytes(100 * KIB)))

    def test_3000_resets_against_a_server_that_speaks_first_leave_nothing_behind(self):
        self.assert_survives(lambda daemon: self.reset_many(daemon, 3_000), "time")


class ConcurrentResetCases(ResetCases):
    def test_200_connections_reset_at_the_same_moment_leave_nothing_behind(self):
        def provoke(daemon):
            for _ in range(5):
                crowd = [clients.connect(daemon.address()) for _ in range(200)]
                for client in crowd:
                    self.assertEqual(clients.ask(client, b"hello\n"), b"hello\n")
                for client in crowd:
                    clients.reset(client)

        self.assert_survives(provoke)


class ResetsEvented(ConcurrentResetCases, ostler.TestCase):
    mixin = "evented"


class ResetsInline(ResetCases, ostler.TestCase):
    mixin = "inline"


class ResetsUnderThreading(ConcurrentResetCases, ostler.TestCase):
    mixin = "threading"


class ResetsOnFibers(ConcurrentResetCases, ostler.TestCase):
    mixin = "fibers"


if __name__ == "__main__":
    unittest.main()
