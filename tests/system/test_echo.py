"""ostlerd echoes what it gets, byte for byte, under every mix-in and both families."""

import hashlib
import os
import pathlib
import shutil
import socket
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402
from ostler import MIB  # noqa: E402

SOURCES = []  # 20 files of 16 MiB, each different


def setUpModule():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="ostler-test-"))
    unittest.addModuleCleanup(shutil.rmtree, directory)
    data = os.urandom(16 * MIB)
    for number in range(20):
        SOURCES.append(directory / f"random-{number}")
        SOURCES[-1].write_bytes(data[number * 4099:] + data[:number * 4099])


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class EchoCases:
    mixin = None

    def start_echo(self, listen=ostler.LOOPBACK4, **settings):
        return self.start_daemon({"echo": ostler.service("echo", self.mixin, listen, **settings)})

    def echo_files(self, listen, sources):
        daemon = self.start_echo(listen)
        scratch = self.scratch()
        targets = [scratch / source.name for source in sources]
        running = [clients.socat(daemon.address(), *pair) for pair in zip(sources, targets)]
        for process in running:
            clients.finish(process, 60)
        for source, target in zip(sources, targets):
            self.assertEqual(target.stat().st_size, source.stat().st_size)
            self.assertEqual(digest(target), digest(source))

    def test_16_mib_through_socat_come_back_identical_over_ipv4(self):
        self.echo_files(ostler.LOOPBACK4, SOURCES[:1])

    @ostler.needs_ipv6
    def test_16_mib_through_socat_come_back_identical_over_ipv6(self):
        self.echo_files(ostler.LOOPBACK6, SOURCES[:1])

    def test_20_times_16_mib_at_once_come_back_identical_over_ipv4(self):
        self.echo_files(ostler.LOOPBACK4, SOURCES)

    @ostler.needs_ipv6
    def test_20_times_16_mib_at_once_come_back_identical_over_ipv6(self):
        self.echo_files(ostler.LOOPBACK6, SOURCES)

    def test_nc_with_a_half_close_gets_its_line_and_the_end(self):
        address = self.start_echo().address()
        answer = clients.run([ostler.tool("nc"), "-N", address.host, address.port], stdin=b"over the hill\n")
        self.assertEqual(answer, b"over the hill\n")

    @ostler.needs_ipv6
    def test_nc_gets_its_line_over_ipv6(self):
        address = self.start_echo(ostler.LOOPBACK6).address()
        answer = clients.run([ostler.tool("nc"), "-6", "-N", address.host, address.port], stdin=b"six\n")
        self.assertEqual(answer, b"six\n")

    def test_client_that_sends_nothing_and_half_closes_gets_the_end_at_once(self):
        client = self.connect(self.start_echo())
        client.shutdown(socket.SHUT_WR)
        self.assertTrue(clients.ended(client, ostler.scaled(0.5)))

    def test_client_that_connects_and_closes_disturbs_nobody(self):
        daemon = self.start_echo()
        for _ in range(20):
            clients.connect(daemon.address()).close()
        self.assertEqual(clients.ask(self.connect(daemon), b"still there?\n"), b"still there?\n")

    def test_one_byte_at_a_time_comes_back_one_byte_at_a_time(self):
        client = self.connect(self.start_echo())
        for value in range(256):
            self.assertEqual(clients.ask(client, bytes([value])), bytes([value]))

    def test_pipelined_burst_comes_back_whole_and_in_order(self):
        client = self.connect(self.start_echo())
        burst = b"".join(b"line %d\n" % number for number in range(5000))
        self.assertEqual(clients.ask(client, burst), burst)

    def best_round_trip(self, daemon, size):
        """Seconds, of messages that are each sent when the last one is back; the first ones don't count, as the
        kernel acknowledges those of a new connection at once."""
        client = self.connect(daemon)
        message = os.urandom(size)
        times = []
        for _ in range(25):
            begin = time.monotonic()
            self.assertEqual(clients.ask(client, message), message)
            times.append(time.monotonic() - begin)
        client.close()
        return min(times[5:])

    def test_message_longer_than_a_buffer_does_not_wait_for_an_acknowledgement(self):
        daemon = self.start_echo()
        for size in (5000, 100_000):
            with self.subTest(size):
                self.assertLess(self.best_round_trip(daemon, size), 0.03)  # Linux delays one by 40 ms

    def test_burst_and_half_close_in_one_go_lose_nothing(self):
        client = self.connect(self.start_echo())
        burst = os.urandom(60_000)
        client.sendall(burst)
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(clients.read_to_end(client), burst)

    def test_answer_continues_after_the_client_half_closed_with_a_megabyte_on_its_way(self):
        with clients.Fleet(self.start_echo().address(), 1, reads=False) as fleet:
            [client] = fleet.clients
            client.say(os.urandom(MIB))
            fleet.run_until_stalled(0.1, 10)
            client.reads = True
            fleet.run(lambda: not client.unsent, 10)
            client.socket.shutdown(socket.SHUT_WR)
            fleet.run(fleet.all_ended, 10)
            self.assertEqual((client.end, client.came_back()), ("eof", MIB))

    def test_client_that_vanishes_in_the_middle_of_a_megabyte_leaves_nothing_behind(self):
        daemon = self.start_echo()
        descriptors = daemon.descriptors()
        for _ in range(5):
            with clients.Fleet(daemon.address(), 1, reads=False) as fleet:
                [client] = fleet.clients
                client.say(os.urandom(MIB))
                fleet.run_until_stalled(0.05, 10)
                client.reads = True
                fleet.run(lambda: client.came_back() > 100_000, 10)
        self.assert_back_to(daemon, descriptors)
        self.assertEqual(clients.ask(self.connect(daemon), b"next\n"), b"next\n")


class ConcurrentEchoCases(EchoCases):
    def test_200_clients_ping_pong_line_by_line_at_once(self):
        daemon = self.start_daemon({"echo": ostler.service("echo", self.mixin, max_requests=200)})
        with clients.Fleet(daemon.address(), 200) as fleet:
            fleet.ping_pong(25, 20)

    def test_client_in_the_middle_of_its_line_holds_up_nobody(self):
        daemon = self.start_echo()
        slow, quick = self.connect(daemon), self.connect(daemon)
        slow.sendall(b"half a li")
        self.assertLess(clients.median_latency(quick, 50), ostler.scaled(0.05))
        slow.sendall(b"ne\n")
        self.assertEqual(clients.read_exactly(slow, 12), b"half a line\n")


class EchoEvented(ConcurrentEchoCases, ostler.TestCase):
    mixin = "evented"

    def test_client_may_send_more_than_max_output_at_once_if_it_reads(self):
        client = self.connect(self.start_echo(max_output=4096))
        for size in 1, 4096, 4097, 6000, 9000, 60000, 100:
            data = os.urandom(size)
            self.assertEqual(clients.ask(client, data), data)


class EchoInline(EchoCases, ostler.TestCase):
    mixin = "inline"


class EchoUnderThreading(ConcurrentEchoCases, ostler.TestCase):
    mixin = "threading"


class EchoInChildren(ConcurrentEchoCases, ostler.TestCase):
    mixin = "forking"


class EchoOnFibers(ConcurrentEchoCases, ostler.TestCase):
    mixin = "fibers"


if __name__ == "__main__":
    unittest.main()
