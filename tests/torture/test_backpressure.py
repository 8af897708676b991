"""Clients that send and do not read: what they can make the daemon keep is bounded, and
they hurt nobody else. One that reads at last gets every byte."""

import hashlib
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402
from ostler import KIB, MIB  # noqa: E402

# Buffers for which the kernel keeps megabytes of each client, not tens of them.
SMALL = {"send_buffer": 256 * KIB, "receive_buffer": 256 * KIB}


class BackpressureCases:
    mixin = None

    def start_echo(self):
        """A daemon that has served someone, so that its first-time memory is there."""
        daemon = self.start_daemon({"echo": ostler.service("echo", self.mixin)})
        descriptors = daemon.descriptors()
        with clients.connect(daemon.address()) as client:
            block = os.urandom(64 * KIB)
            for _ in range(16):
                clients.ask(client, block)
        self.assert_back_to(daemon, descriptors)
        return daemon

    def flood(self, daemon, count, **options):
        """count clients that send 64 MiB each, as far as it goes, and never read."""
        fleet = clients.Fleet(daemon.address(), count, reads=False, **options)
        self.addCleanup(fleet.close)
        for client in fleet.clients:
            client.pour(64 * MIB)
        fleet.run_until_stalled(0.15, 30)  # the kernel's first window probe comes after 0.2 s
        return fleet

    @ostler.unless_sanitized
    def test_client_that_sends_64_mib_and_never_reads_costs_512_kib_at_most(self):
        daemon = self.start_echo()
        before = daemon.pss()
        self.flood(daemon, 1)
        self.assertLessEqual(daemon.pss() - before, 512 * KIB)

    @ostler.unless_sanitized
    def test_client_with_small_buffers_that_never_reads_costs_512_kib_at_most(self):
        daemon = self.start_echo()
        before = daemon.pss()
        fleet = self.flood(daemon, 1, **SMALL)
        self.assertFalse(fleet.clients[0].is_quiet, "nothing stopped it")
        self.assertLessEqual(daemon.pss() - before, 512 * KIB)

    def test_client_that_reads_at_last_gets_every_byte(self):
        fleet = clients.Fleet(self.start_echo().address(), 1, reads=False)
        self.addCleanup(fleet.close)
        [client] = fleet.clients
        client.say(os.urandom(24 * MIB))
        fleet.run_until_stalled(0.15, 20)
        client.reads = True
        fleet.run(fleet.all_quiet, 30)
        self.assertEqual(client.came_back(), 24 * MIB)

    def test_client_that_reads_in_fits_and_starts_gets_every_byte(self):
        client = self.connect(self.start_echo(), receive_buffer=16 * KIB)
        client.setblocking(False)
        data = os.urandom(4 * MIB)
        sent, back = 0, hashlib.sha256()
        received = 0
        while received < len(data):
            sent += self.send_what_goes(client, data, sent)
            part = client.recv(48 * KIB)
            received += len(part)
            back.update(part)
        self.assertEqual(back.hexdigest(), hashlib.sha256(data).hexdigest())

    @staticmethod
    def send_what_goes(client, data, start):
        """Send until the kernel takes no more and there is something to read."""
        sent = 0
        while start + sent < len(data):
            try:
                sent += client.send(data[start + sent:start + sent + 64 * KIB])
            except BlockingIOError:
                break
        if not clients.hears_something(client, ostler.scaled(10)):
            raise AssertionError("nothing comes back")
        return sent


class ConcurrentBackpressureCases(BackpressureCases):
    def test_50_clients_that_never_read_do_not_hurt_a_normal_one(self):
        daemon = self.start_echo()
        normal = self.connect(daemon)
        before = clients.median_latency(normal, 500)
        fleet = self.flood(daemon, 50, **SMALL)
        self.assertFalse(any(client.is_quiet for client in fleet.clients))
        self.assertLessEqual(clients.median_latency(normal, 500), 3 * before + ostler.scaled(0.001))
        self.assertEqual(clients.ask(self.connect(daemon), b"a new one\n"), b"a new one\n")

    @ostler.unless_sanitized
    def test_50_clients_that_never_read_cost_512_kib_each_at_most(self):
        daemon = self.start_echo()
        before = daemon.pss()
        self.flood(daemon, 50, **SMALL)
        self.assertLessEqual(daemon.pss() - before, 50 * 512 * KIB)

    def test_50_clients_that_never_read_cost_no_time_once_they_stand(self):
        daemon = self.start_echo()
        self.flood(daemon, 50, **SMALL)
        cpu = daemon.cpu_seconds()
        daemon.stays_alive(1.0)
        self.assertLessEqual(daemon.cpu_seconds() - cpu, ostler.scaled(0.05))

    def test_50_clients_that_vanish_unread_leave_nothing_behind(self):
        daemon = self.start_echo()
        descriptors = daemon.descriptors()
        fleet = self.flood(daemon, 50, **SMALL)
        lines = daemon.log_lines()
        fleet.close()
        self.assert_back_to(daemon, descriptors)
        self.assertLessEqual(daemon.log_lines() - lines, 20)


class BackpressureEvented(ConcurrentBackpressureCases, ostler.TestCase):
    mixin = "evented"


class BackpressureInline(BackpressureCases, ostler.TestCase):
    mixin = "inline"


class BackpressureUnderThreading(ConcurrentBackpressureCases, ostler.TestCase):
    mixin = "threading"


class BackpressureOnFibers(ConcurrentBackpressureCases, ostler.TestCase):
    mixin = "fibers"


if __name__ == "__main__":
    unittest.main()
