"""ostlerd generates characters as RFC 864 wants them, as fast as each client reads and no
faster: a client that does not read costs a fixed amount of memory, one that reads all the
time keeps nobody waiting, and one that talks is listened to and not answered."""

import pathlib
import selectors
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402
from ostler import KIB, MIB  # noqa: E402

RING = bytes(range(32, 127))
PAGE = b"".join((RING * 2)[n:n + 72] + b"\r\n" for n in range(95))


class ChargenCases:
    mixin = None

    def start_chargen(self, **settings):
        return self.start_daemon({"chargen": ostler.service("chargen", self.mixin, **settings)})

    def test_16_mib_are_the_pattern_over_and_over(self):
        client = self.connect(self.start_chargen())
        count = 16 * MIB // len(PAGE)
        self.assertEqual(clients.read_exactly(client, count * len(PAGE)), count * PAGE)

    def test_characters_come_without_a_word_from_the_client(self):
        client = self.connect(self.start_chargen())
        self.assertEqual(clients.read_exactly(client, 74), PAGE[:74])

    def test_half_close_ends_it_with_a_whole_beginning_and_no_reset(self):
        client = self.connect(self.start_chargen())
        clients.read_exactly(client, len(PAGE))
        client.shutdown(socket.SHUT_WR)
        rest = clients.read_to_end(client)
        self.assertEqual(rest, (PAGE * (len(rest) // len(PAGE) + 1))[:len(rest)])

    def test_client_that_closes_leaves_nothing_behind(self):
        daemon = self.start_chargen()
        descriptors = daemon.descriptors()
        for _ in range(20):
            with clients.connect(daemon.address()) as client:
                clients.read_exactly(client, len(PAGE))
        self.assert_back_to(daemon, descriptors)
        self.assertEqual(clients.read_exactly(self.connect(daemon), 74), PAGE[:74])

    def test_client_that_resets_leaves_nothing_behind(self):
        daemon = self.start_chargen()
        descriptors = daemon.descriptors()
        for _ in range(20):
            clients.reset(clients.connect(daemon.address()))
        self.assert_back_to(daemon, descriptors)
        self.assertEqual(clients.read_exactly(self.connect(daemon), 74), PAGE[:74])

    def test_client_may_say_megabytes_meanwhile(self):
        """What it says is thrown away: unread, it would stop the client in the end."""
        client = self.connect(self.start_chargen())
        client.setblocking(False)
        unsent, received, ended = 16 * MIB, 0, False
        limit = time.monotonic() + ostler.scaled(20)
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while not ended and time.monotonic() < limit:
                for _, events in selector.select(0.1):
                    if events & selectors.EVENT_READ:
                        part = client.recv(1 << 18)
                        received += len(part)
                        ended = not part
                    if events & selectors.EVENT_WRITE and unsent > 0:
                        unsent -= client.send(bytes(min(unsent, 1 << 18)))
                        if unsent == 0:
                            client.shutdown(socket.SHUT_WR)
                            selector.modify(client, selectors.EVENT_READ)
        self.assertEqual(unsent, 0)
        self.assertTrue(ended)
        self.assertGreater(received, 0)

    def test_reading_client_sees_the_end_as_soon_as_the_daemon_stops(self):
        daemon = self.start_chargen()
        client = self.connect(daemon)
        clients.read_exactly(client, len(PAGE))
        daemon.send_signal()
        rest = clients.read_to_end(client)
        self.assertEqual(rest, (PAGE * (len(rest) // len(PAGE) + 1))[:len(rest)])
        client.close()
        self.assertLess(daemon.stop(seconds=ostler.scaled(5)).seconds, ostler.scaled(2))


class ConcurrentChargenCases(ChargenCases):
    each = 64 * KIB  # what a stuck client may cost

    def stuck_clients(self, daemon, count):
        """Clients that get what the kernels hold for them, and never read it."""
        for _ in range(count):
            client = clients.connect(daemon.address(), receive_buffer=4096)
            self.addCleanup(client.close)
            self.assertTrue(clients.hears_something(client, ostler.scaled(5)))

    def await_rest(self, daemon):
        """Until the kernel has no more room, and the daemon nothing to do."""
        def rests():
            before = daemon.cpu_seconds()
            daemon.stays_alive(0.2)
            return daemon.cpu_seconds() - before < 0.02
        ostler.wait_until(rests, ostler.scaled(10), "the daemon uses no processor for clients that do not read")

    def test_greedy_client_keeps_nobody_waiting(self):
        daemon = self.start_chargen()
        greedy = ostler.spawn([ostler.tool("socat"), "-u", daemon.address().socat, "OPEN:/dev/null"])
        self.addCleanup(greedy.wait)
        self.addCleanup(greedy.kill)
        for _ in range(20):
            begin = time.monotonic()
            with clients.connect(daemon.address()) as client:
                self.assertEqual(clients.read_exactly(client, 5 * len(PAGE)), 5 * PAGE)
            self.assertLess(time.monotonic() - begin, ostler.scaled(0.2))

    def test_stuck_clients_keep_nobody_waiting(self):
        daemon = self.start_chargen(max_requests=100)
        self.stuck_clients(daemon, 50)
        begin = time.monotonic()
        self.assertEqual(clients.read_exactly(self.connect(daemon), 100 * len(PAGE)), 100 * PAGE)
        self.assertLess(time.monotonic() - begin, ostler.scaled(1))

    @ostler.unless_sanitized
    def test_stuck_clients_cost_little_memory(self):
        daemon = self.start_chargen(max_requests=200)
        clients.read_exactly(self.connect(daemon), 74)
        before = daemon.pss()
        self.stuck_clients(daemon, 100)
        self.await_rest(daemon)
        self.assertLess(daemon.pss() - before, 100 * self.each)


class ChargenEvented(ConcurrentChargenCases, ostler.TestCase):
    mixin = "evented"

    def test_where_little_output_may_wait_it_comes_in_parts(self):
        for most in 256, 1024, 4096, 8192:
            with self.subTest(max_output=most):
                client = self.connect(self.start_chargen(max_output=most))
                self.assertEqual(clients.read_exactly(client, 200 * len(PAGE)), 200 * PAGE)


class ChargenInline(ChargenCases, ostler.TestCase):
    mixin = "inline"


class ChargenUnderThreading(ConcurrentChargenCases, ostler.TestCase):
    mixin = "threading"


class ChargenInChildren(ConcurrentChargenCases, ostler.TestCase):
    mixin = "forking"
    each = 256 * KIB  # a process


class ChargenOnFibers(ConcurrentChargenCases, ostler.TestCase):
    mixin = "fibers"


class ChargenUnderEveryMixin(ostler.TestCase):
    def test_client_that_does_not_read_is_closed_in_the_end(self):
        daemons = [self.start_daemon({"chargen": ostler.service("chargen", mixin, timeout=0.3)})
                   for mixin in ostler.MIXINS]
        descriptors = [daemon.descriptors() for daemon in daemons]
        for daemon in daemons:
            client = self.connect(daemon, receive_buffer=4096)
            self.assertTrue(clients.hears_something(client, ostler.scaled(10)))
        for daemon, before in zip(daemons, descriptors):
            self.assert_back_to(daemon, before)


if __name__ == "__main__":
    unittest.main()
