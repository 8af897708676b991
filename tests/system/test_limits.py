"""max_requests: who is too many waits in the kernel's queue, and is served in turn."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402


class LimitCases:
    mixin = None
    places = None

    def start_echo(self, **settings):
        limit = {} if self.mixin == "inline" else {"max_requests": self.places}
        return self.start_daemon({"echo": ostler.service("echo", self.mixin, **limit, **settings)})

    def fill(self, daemon):
        """Clients that hold every place."""
        inside = [self.connect(daemon) for _ in range(self.places)]
        for client in inside:
            self.assertEqual(clients.ask(client, b"inside\n"), b"inside\n")
        return inside

    def waiting_client(self, daemon):
        client = self.connect(daemon)
        client.sendall(b"waiting\n")
        return client

    def assert_is_served(self, client, within=0.2):
        self.assertTrue(clients.hears_something(client, ostler.scaled(within)), "not served")
        self.assertEqual(clients.read_exactly(client, 8), b"waiting\n")

    def test_one_client_too_many_waits_in_the_kernels_queue_until_one_goes(self):
        daemon = self.start_echo()
        inside = self.fill(daemon)
        descriptors = daemon.descriptors()
        waiting = self.waiting_client(daemon)
        self.assertFalse(clients.hears_something(waiting, 0.3), "served although the house is full")
        self.assertLessEqual(daemon.descriptors(), descriptors, "it was accepted although the house is full")
        inside[0].close()
        self.assert_is_served(waiting)

    def test_place_of_a_client_that_was_reset_is_taken_by_one_that_waits(self):
        daemon = self.start_echo()
        inside = self.fill(daemon)
        waiting = self.waiting_client(daemon)
        self.assertFalse(clients.hears_something(waiting, 0.1))
        clients.reset(inside[0])
        self.assert_is_served(waiting)

    def test_20_waiting_clients_are_served_one_after_the_other_in_their_order(self):
        daemon = self.start_echo()
        places = self.fill(daemon)
        for client in [self.waiting_client(daemon) for _ in range(20)]:
            places.pop(0).close()
            self.assert_is_served(client)
            places.append(client)

    def test_who_is_inside_is_served_as_ever_while_others_wait(self):
        daemon = self.start_echo()
        inside = self.fill(daemon)
        for _ in range(10):
            self.waiting_client(daemon)
        for client in inside:
            self.assertLess(clients.median_latency(client, 50), ostler.scaled(0.01))

    def test_full_house_costs_no_time_and_no_log(self):
        daemon = self.start_echo()
        self.fill(daemon)
        for _ in range(10):
            self.waiting_client(daemon)
        cpu, lines = daemon.cpu_seconds(), daemon.log_lines()
        daemon.stays_alive(0.5)
        self.assertLessEqual(daemon.cpu_seconds() - cpu, ostler.scaled(0.025))
        self.assertLessEqual(daemon.log_lines() - lines, 2)

    def test_waiting_client_that_gave_up_costs_nobody_a_place(self):
        daemon = self.start_echo()
        inside = self.fill(daemon)
        for _ in range(10):
            self.waiting_client(daemon).close()
        waiting = self.waiting_client(daemon)
        inside[0].close()
        self.assert_is_served(waiting)


class LimitEvented(LimitCases, ostler.TestCase):
    mixin, places = "evented", 2


class LimitInline(LimitCases, ostler.TestCase):
    mixin, places = "inline", 1


class LimitUnderThreading(LimitCases, ostler.TestCase):
    mixin, places = "threading", 2


class LimitOnFibers(LimitCases, ostler.TestCase):
    mixin, places = "fibers", 2


if __name__ == "__main__":
    unittest.main()
