"""busy_poll_us: a loop looks for requests a while before it sleeps, in the daemon and in the worker;
and it costs nothing where none come."""

import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402

QUESTIONS = 100


class BusyPoll(ostler.TestCase):
    def ask_often(self, daemon):
        """How often the loop slept meanwhile: a connection each, which the worker sees begin and end."""
        pid = daemon.processes()[-1]
        before = daemon.wake_ups(pid)
        for number in range(QUESTIONS):
            data = b"line %d\n" % number
            with self.connect(daemon) as client:
                self.assertEqual(clients.ask(client, data), data)
        return daemon.wake_ups(pid) - before

    def test_a_loop_that_polls_does_not_sleep_between_requests(self):
        for mixin in ("evented", "forking"):
            with self.subTest(mixin):
                services = {"echo": ostler.service("echo", mixin)}
                self.assertGreater(self.ask_often(self.start_daemon(services)), QUESTIONS / 2)
                self.assertLess(self.ask_often(self.start_daemon(services, busy_poll_us=1000000)), QUESTIONS / 5)

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
