"""timeout closes who is silent, deadline who is slow, on the dot, under every mix-in."""

import os
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402
from ostler import KIB, MIB  # noqa: E402

LIMIT = 0.5
TOLERANCE = ostler.scaled(0.020)


class TimeoutCases:
    mixin = None

    def start_echo(self, **settings):
        return self.start_daemon({"echo": ostler.service("echo", self.mixin, **settings)})

    def assert_ends_on_the_dot(self, client, begin, after=LIMIT):
        """The stream ends, cleanly, that long after begin."""
        self.assertTrue(clients.ended(client, after + ostler.scaled(2)), "it was not closed, or a byte came")
        self.assertAlmostEqual(time.monotonic() - begin, after, delta=TOLERANCE)

    def drip(self, client, seconds, byte=b"."):
        """Send a byte each 100 ms and read it back, until the end comes or seconds
        have passed. Returns how many came back, and whether the end came."""
        begin = time.monotonic()
        count = 0
        while True:
            client.sendall(byte)
            if client.recv(1) != byte:
                return count, True
            count += 1
            next_byte = begin + count * 0.1
            if clients.hears_something(client, max(0, next_byte - time.monotonic())):
                return count, client.recv(1) == b""
            if time.monotonic() - begin > seconds:
                return count, False

    def test_silent_client_is_closed_after_its_timeout(self):
        daemon = self.start_echo(timeout=LIMIT)
        begin = time.monotonic()
        self.assert_ends_on_the_dot(self.connect(daemon), begin)

    def test_timeout_counts_from_the_last_byte(self):
        client = self.connect(self.start_echo(timeout=LIMIT))
        self.assertFalse(clients.hears_something(client, 0.3))
        begin = time.monotonic()
        self.assertEqual(clients.ask(client, b"awake\n"), b"awake\n")
        self.assert_ends_on_the_dot(client, begin)

    def test_client_that_drips_outlives_the_timeout(self):
        client = self.connect(self.start_echo(timeout=LIMIT))
        count, ended = self.drip(client, 1.0)
        self.assertFalse(ended)
        self.assertGreater(count, 5)

    def test_client_that_drips_is_closed_at_the_deadline(self):
        daemon = self.start_echo(deadline=LIMIT)
        begin = time.monotonic()
        _, ended = self.drip(self.connect(daemon), ostler.scaled(2))
        self.assertTrue(ended)
        self.assertAlmostEqual(time.monotonic() - begin, LIMIT, delta=TOLERANCE)

    def test_silent_client_is_closed_at_the_deadline(self):
        daemon = self.start_echo(deadline=LIMIT)
        begin = time.monotonic()
        self.assert_ends_on_the_dot(self.connect(daemon), begin)

    def test_deadline_comes_first_when_it_is_the_shorter_one(self):
        daemon = self.start_echo(deadline=LIMIT, timeout=30.0)
        begin = time.monotonic()
        self.assert_ends_on_the_dot(self.connect(daemon), begin)

    def test_timeout_comes_first_when_it_is_the_shorter_one(self):
        daemon = self.start_echo(deadline=30.0, timeout=LIMIT)
        begin = time.monotonic()
        self.assert_ends_on_the_dot(self.connect(daemon), begin)

    def test_client_that_never_reads_is_closed_after_the_timeout(self):
        daemon = self.start_echo(timeout=LIMIT)
        descriptors = daemon.descriptors()
        with clients.Fleet(daemon.address(), 1, reads=False, send_buffer=64 * KIB, receive_buffer=64 * KIB) as fleet:
            fleet.clients[0].say(os.urandom(16 * MIB))
            fleet.run_until_stalled(0.1, 10)
            # the close that is at most two seconds long comes after it
            self.assert_back_to(daemon, descriptors, within=LIMIT + 2.5)

    def test_client_that_half_closed_and_does_not_read_is_closed_after_the_timeout(self):
        daemon = self.start_echo(timeout=LIMIT)
        descriptors = daemon.descriptors()
        with clients.Fleet(daemon.address(), 1, reads=False, receive_buffer=16 * KIB) as fleet:
            fleet.clients[0].say(os.urandom(16 * MIB))
            fleet.run_until_stalled(0.1, 10)
            fleet.clients[0].socket.shutdown(1)
            self.assert_back_to(daemon, descriptors, within=LIMIT + 2.5)

    def test_place_of_a_silent_client_goes_to_the_next_one(self):
        limit = {} if self.mixin == "inline" else {"max_requests": 1}
        daemon = self.start_echo(timeout=LIMIT, **limit)
        begin = time.monotonic()
        silent, waiting = self.connect(daemon), self.connect(daemon)
        waiting.sendall(b"next\n")
        self.assertEqual(clients.read_exactly(waiting, 5), b"next\n")
        self.assertAlmostEqual(time.monotonic() - begin, LIMIT, delta=TOLERANCE)
        self.assertTrue(clients.ended(silent, ostler.scaled(0.1)))

    def test_timeouts_are_no_errors_in_the_log(self):
        daemon = self.start_echo(timeout=0.05)
        lines = daemon.log_lines()
        for _ in range(10):
            self.assertTrue(clients.ended(self.connect(daemon), ostler.scaled(2)))
        self.assertLessEqual(daemon.log_lines() - lines, 2)


class ConcurrentTimeoutCases(TimeoutCases):
    def test_100_silent_clients_are_closed_each_in_its_time(self):
        daemon = self.start_echo(timeout=LIMIT)
        silent = [(time.monotonic(), self.connect(daemon)) for _ in range(100)]
        for begin, client in silent:
            self.assert_ends_on_the_dot(client, begin)

    def test_busy_client_outlives_the_timeout_of_a_silent_one(self):
        daemon = self.start_echo(timeout=LIMIT)
        begin = time.monotonic()
        silent, busy = self.connect(daemon), self.connect(daemon)
        self.drip(busy, LIMIT - 0.15)
        self.assert_ends_on_the_dot(silent, begin)
        self.assertEqual(clients.ask(busy, b"still here\n"), b"still here\n")


class TimeoutsEvented(ConcurrentTimeoutCases, ostler.TestCase):
    mixin = "evented"


class TimeoutsInline(TimeoutCases, ostler.TestCase):
    mixin = "inline"


class TimeoutsUnderThreading(ConcurrentTimeoutCases, ostler.TestCase):
    mixin = "threading"


class TimeoutsOnFibers(ConcurrentTimeoutCases, ostler.TestCase):
    mixin = "fibers"


if __name__ == "__main__":
    unittest.main()
