"""timeout closes who is silent, deadline who is slow, on the dot, under every mix-in.

These tests mostly wait. So each has a daemon per mix-in, and waits for all at once."""

import math
import pathlib
import select
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402
from ostler import CONCURRENT, MIB, MIXINS  # noqa: E402

LIMIT = 0.5
TOLERANCE = ostler.scaled(0.020)


class Timed:
    """A client, when its time began, and when its stream ended."""

    def __init__(self, mixin, client, begin):
        self.mixin, self.client, self.begin = mixin, client, begin
        self.received = b""
        self.end = None

    @property
    def seconds(self):
        return math.inf if self.end is None else self.end - self.begin


class Timeouts(ostler.TestCase):
    def start_each(self, mixins=MIXINS, **settings):
        """A daemon for each mix-in, by its name."""
        return {mixin: self.start_daemon({"echo": ostler.service("echo", mixin, **settings)}) for mixin in mixins}

    def start_and_connect(self, mixins=MIXINS, count=1, **settings):
        daemons = self.start_each(mixins, **settings)
        timed = []
        for mixin, daemon in list(daemons.items()) * count:
            begin = time.monotonic()
            timed.append(Timed(mixin, self.connect(daemon), begin))
        return timed

    def receive(self, timed, until):
        """Take note of what comes, and of who ends, until then or until all have ended."""
        by_descriptor = {one.client.fileno(): one for one in timed if one.end is None}
        poll = select.poll()
        for descriptor in by_descriptor:
            poll.register(descriptor, select.POLLIN)
        while by_descriptor and time.monotonic() < until:
            for descriptor, _ in poll.poll(max(0, until - time.monotonic()) * 1000):
                one = by_descriptor[descriptor]
                data = one.client.recv(4096)
                one.received += data
                if not data:
                    one.end = time.monotonic()
                    poll.unregister(descriptor)
                    del by_descriptor[descriptor]

    def drip(self, timed, seconds):
        """Each sends a byte each 100 ms, as long as it is not closed; what each sent."""
        sent = dict.fromkeys(timed, b"")
        begin = time.monotonic()
        for tick in range(1, round(seconds * 10) + 1):
            for one in timed:
                if one.end is None:
                    one.client.sendall(b"%d" % (tick % 10))
                    sent[one] += b"%d" % (tick % 10)
            self.receive(timed, begin + tick * 0.1)
        return sent

    def assert_end_on_the_dot(self, timed, after=LIMIT):
        """Each stream ends, cleanly, that long after its time began."""
        self.receive(timed, time.monotonic() + after + ostler.scaled(2))
        for mixin in dict.fromkeys(one.mixin for one in timed):
            with self.subTest(mixin=mixin):
                times = [one.seconds for one in timed if one.mixin == mixin]
                self.assertAlmostEqual(min(times), after, delta=TOLERANCE)
                self.assertAlmostEqual(max(times), after, delta=TOLERANCE)

    def test_silent_client_is_closed_after_its_timeout(self):
        self.assert_end_on_the_dot(self.start_and_connect(timeout=LIMIT))

    def test_30_silent_clients_are_closed_each_in_its_time(self):
        for mixin in CONCURRENT:  # one after another: what they do in that moment takes both processors
            self.assert_end_on_the_dot(self.start_and_connect([mixin], 30, timeout=LIMIT))

    def test_timeout_counts_from_the_last_byte(self):
        timed = self.start_and_connect(timeout=LIMIT)
        self.receive(timed, time.monotonic() + 0.3)
        for one in timed:
            one.begin = time.monotonic()
            one.client.sendall(b"awake")
        self.assert_end_on_the_dot(timed)
        self.assertEqual({one.received for one in timed}, {b"awake"})

    def test_client_that_drips_outlives_the_timeout(self):
        timed = self.start_and_connect(timeout=LIMIT)
        sent = self.drip(timed, 1.0)
        for one in timed:
            with self.subTest(mixin=one.mixin):
                self.assertIsNone(one.end)
                self.assertEqual(one.received, sent[one])

    def test_client_that_drips_is_closed_at_the_deadline(self):
        timed = self.start_and_connect(deadline=LIMIT)
        sent = self.drip(timed, 0.4)  # the fifth byte would race the deadline
        self.assert_end_on_the_dot(timed)
        self.assertEqual([one.received for one in timed], [sent[one] for one in timed])

    def test_silent_client_is_closed_at_the_deadline(self):
        self.assert_end_on_the_dot(self.start_and_connect(deadline=LIMIT))

    def test_deadline_comes_first_when_it_is_the_shorter_one(self):
        self.assert_end_on_the_dot(self.start_and_connect(deadline=LIMIT, timeout=30.0))

    def test_timeout_comes_first_when_it_is_the_shorter_one(self):
        self.assert_end_on_the_dot(self.start_and_connect(deadline=30.0, timeout=LIMIT))

    def test_busy_client_outlives_the_timeout_of_a_silent_one(self):
        daemons = self.start_each(CONCURRENT, timeout=LIMIT)
        begin = time.monotonic()
        silent = [Timed(mixin, self.connect(daemon), begin) for mixin, daemon in daemons.items()]
        busy = [Timed(mixin, self.connect(daemon), begin) for mixin, daemon in daemons.items()]
        self.drip(busy, 0.3)
        self.assert_end_on_the_dot(silent)
        self.assertEqual([one.end for one in busy], [None] * len(busy))

    def test_place_of_a_silent_client_goes_to_the_next_one(self):
        daemons = {**self.start_each(CONCURRENT, timeout=LIMIT, max_requests=1),
                   **self.start_each(["inline"], timeout=LIMIT)}
        begin = time.monotonic()
        silent = [Timed(mixin, self.connect(daemon), begin) for mixin, daemon in daemons.items()]
        waiting = [self.connect(daemon) for daemon in daemons.values()]
        for client in waiting:
            client.sendall(b"next\n")
        self.assert_end_on_the_dot(silent)
        for client in waiting:
            self.assertTrue(clients.hears_something(client, ostler.scaled(0.1)))
            self.assertEqual(clients.read_exactly(client, 5), b"next\n")

    def test_client_that_never_reads_is_closed_after_the_timeout_half_closed_or_not(self):
        # It does not see the end; its descriptor is given back. The closing, of at
        # most two seconds, comes on top of the time-out.
        daemons = [daemon for _ in range(2) for daemon in self.start_each(timeout=ostler.scaled(LIMIT)).items()]
        descriptors = [daemon.descriptors() for _, daemon in daemons]
        for number, (_, daemon) in enumerate(daemons):
            fleet = clients.Fleet(daemon.address(), 1, reads=False)
            self.addCleanup(fleet.close)
            [client] = fleet.clients
            client.pour(64 * MIB)
            fleet.run_until_stalled(0.05, 10)
            self.assertTrue(client.is_sending, "nothing stopped it")
            if number < len(daemons) / 2:
                client.socket.shutdown(socket.SHUT_WR)
        for (mixin, daemon), before in zip(daemons, descriptors):
            with self.subTest(mixin=mixin):
                self.assert_back_to(daemon, before, within=LIMIT + 2.5)

    def test_timeouts_are_no_errors_in_the_log(self):
        for mixin, daemon in self.start_each(timeout=0.05).items():
            with self.subTest(mixin=mixin):
                lines = daemon.log_lines()
                for _ in range(4):
                    self.assertTrue(clients.ended(self.connect(daemon), ostler.scaled(2)))
                self.assertEqual(daemon.log_lines() - lines, 0)


if __name__ == "__main__":
    unittest.main()
