"""The daemon runs out of descriptors: it neither spins, nor floods its log, nor loses
anyone, and serves again as soon as some are back."""

import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402


class DescriptorCases:
    mixin = None

    def start_echo(self, descriptors=64):
        return self.start_daemon({"echo": ostler.service("echo", self.mixin)},
                                 prefix=[ostler.tool("prlimit"), f"--nofile={descriptors}:{descriptors}"])

    def crowd(self, daemon, count):
        return [self.connect(daemon) for _ in range(count)]

    def assert_serves(self, daemon, begin, within=0.2):
        self.assertEqual(clients.ask(self.connect(daemon), b"at last\n"), b"at last\n")
        self.assertLess(time.monotonic() - begin, ostler.scaled(within))

    def test_80_connections_at_64_descriptors_cost_little_and_are_survived(self):
        daemon = self.start_echo()
        cpu, lines = daemon.cpu_seconds(), daemon.log_lines()
        held = self.crowd(daemon, 80)
        daemon.stays_alive(5.0)
        self.assertGreater(daemon.descriptors(), 60, "it has not run out of descriptors at all")
        self.assertLessEqual(daemon.cpu_seconds() - cpu, ostler.scaled(0.05 * 5.0))
        self.assertLessEqual(daemon.log_lines() - lines, 10)
        begin = time.monotonic()
        for client in held:
            client.close()
        self.assert_serves(daemon, begin)

    def test_those_who_got_in_are_served_while_the_others_wait(self):
        daemon = self.start_echo()
        held = self.crowd(daemon, 80)
        for client in held[:40]:
            self.assertEqual(clients.ask(client, b"inside\n"), b"inside\n")
        self.assertFalse(clients.hears_something(held[-1], 0.1))

    def test_one_that_goes_makes_room_for_one_that_waits(self):
        daemon = self.start_echo()
        held = self.crowd(daemon, 80)
        waiting = held[70:]
        for client in waiting:
            client.sendall(b"waiting\n")
        self.assertFalse(any(clients.hears_something(client, 0.02) for client in waiting))
        begin = time.monotonic()
        for client in held[:70]:
            client.close()
        for client in waiting:
            self.assertEqual(clients.read_exactly(client, 8), b"waiting\n")
        self.assertLess(time.monotonic() - begin, ostler.scaled(0.2))

    def test_20_times_full_and_empty_again_stay_cheap_and_quiet(self):
        daemon = self.start_echo()
        cpu, lines = daemon.cpu_seconds(), daemon.log_lines()
        for _ in range(20):
            held = self.crowd(daemon, 80)
            self.assertEqual(clients.ask(held[0], b"first\n"), b"first\n")
            begin = time.monotonic()
            for client in held:
                client.close()
            self.assert_serves(daemon, begin)
        self.assertLessEqual(daemon.cpu_seconds() - cpu, ostler.scaled(1.0))
        self.assertLessEqual(daemon.log_lines() - lines, 40)

    def test_term_ends_it_although_it_has_no_descriptor_left(self):
        daemon = self.start_echo()
        held = self.crowd(daemon, 80)
        self.assertEqual(clients.ask(held[0], b"first\n"), b"first\n")
        daemon.send_signal()
        self.assertTrue(clients.ended(held[0], ostler.scaled(1)))
        for client in held:
            client.close()
        self.assertEqual(daemon.await_end(ostler.scaled(1)).status, 0)


class Lingering(ostler.TestCase):
    def test_clients_that_do_not_close_keep_no_other_service_from_accepting(self):
        services = {"time": ostler.service("time", "threading", max_requests=8),
                    "echo": ostler.service("echo", "evented")}
        daemon = self.start_daemon(services, prefix=[ostler.tool("prlimit"), "--nofile=64:64"])
        held = [self.connect(daemon, "time") for _ in range(200)]
        for client in held:
            self.assertEqual(len(clients.read_to_end(client)), 4)
        begin = time.monotonic()
        self.assertEqual(clients.ask(self.connect(daemon, "echo"), b"let me in\n"), b"let me in\n")
        self.assertLess(time.monotonic() - begin, ostler.scaled(0.5))


class DescriptorsEvented(DescriptorCases, ostler.TestCase):
    mixin = "evented"


class DescriptorsUnderThreading(DescriptorCases, ostler.TestCase):
    mixin = "threading"


class DescriptorsOnFibers(DescriptorCases, ostler.TestCase):
    mixin = "fibers"


if __name__ == "__main__":
    unittest.main()
