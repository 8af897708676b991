"""busy_poll_us: a loop looks for requests a while before it sleeps, in the daemon and in the worker;
and it costs nothing where none come."""

import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402

QUESTIONS = 10


class BusyPoll(ostler.TestCase):
    def used_after_questions(self, daemon):
        """The processor's time in the second after some questions, each on a connection of its own."""
        for number in range(QUESTIONS):
            data = b"line %d\n" % number
            with self.connect(daemon) as client:
                self.assertEqual(clients.ask(client, data), data)
        before = daemon.cpu_seconds()
        daemon.stays_alive(1)
        return daemon.cpu_seconds() - before

    def test_a_loop_that_polls_looks_for_more_before_it_sleeps(self):
        for mixin in ("evented", "forking"):
            with self.subTest(mixin):
                services = {"echo": ostler.service("echo", mixin)}
                self.assertLess(self.used_after_questions(self.start_daemon(services)), 0.1)
                polling = self.start_daemon(services, busy_poll_us=1000000)
                self.assertGreater(self.used_after_questions(polling), 0.2)

    @ostler.unless_sanitized
    def test_an_idle_daemon_costs_nothing(self):
        daemon = self.start_daemon({name: ostler.service("echo", name) for name in ("evented", "forking")},
                                   busy_poll_us=50)
        for name in ("evented", "forking"):
            self.assertEqual(clients.ask(self.connect(daemon, name), b"hello\n"), b"hello\n")
        before, begin = daemon.cpu_seconds(), time.monotonic()
        daemon.stays_alive(1)
        self.assertLessEqual(daemon.cpu_seconds() - before, 0.01 * (time.monotonic() - begin) + 0.001)


if __name__ == "__main__":
    unittest.main()
