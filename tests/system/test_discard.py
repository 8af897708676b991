"""ostlerd throws away what it gets, however much it is, and never says a word."""

import os
import pathlib
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import kinds  # noqa: E402
import ostler  # noqa: E402
from ostler import MIB  # noqa: E402


class DiscardCases:
    mixin = None

    def start_discard(self, *listen, **settings):
        return self.start_daemon({"discard": ostler.service("discard", self.mixin, *listen, **settings)})

    def assert_is_there(self, daemon):
        with clients.connect(daemon.address()) as client:
            client.sendall(b"still there?")
            client.shutdown(socket.SHUT_WR)
            self.assertTrue(clients.ended(client, ostler.scaled(5)))

    def test_64_mib_are_taken_and_answered_by_the_end_alone(self):
        client = self.connect(self.start_discard())
        data = os.urandom(MIB)
        for _ in range(64):
            client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(clients.read_to_end(client), b"")

    def test_nothing_stays_unread_while_the_connection_is_open(self):
        client = self.connect(self.start_discard())
        client.sendall(bytes(8 * MIB))
        ostler.wait_until(lambda: clients.unacknowledged(client) == 0, ostler.scaled(10), "all is acknowledged")
        self.assertFalse(clients.hears_something(client, 0))

    def test_nc_sends_a_file_and_sees_the_end(self):
        address = self.start_discard().address()
        self.assertEqual(clients.run([ostler.tool("nc"), *address.nc], stdin=b"away with it\n" * 1000), b"")

    def test_client_that_says_nothing_and_half_closes_gets_the_end_at_once(self):
        client = self.connect(self.start_discard())
        client.shutdown(socket.SHUT_WR)
        self.assertTrue(clients.ended(client, ostler.scaled(0.5)))

    def test_silent_client_is_closed_after_the_time_out(self):
        client = self.connect(self.start_discard(timeout=0.2))
        self.assertTrue(clients.ended(client, ostler.scaled(5)))

    def test_client_that_resets_in_the_middle_leaves_nothing_behind(self):
        daemon = self.start_discard()
        descriptors = daemon.descriptors()
        for _ in range(20):
            client = clients.connect(daemon.address())
            client.sendall(bytes(100_000))
            clients.reset(client)
        self.assert_back_to(daemon, descriptors)
        self.assert_is_there(daemon)

    def test_thousands_of_datagrams_disturb_nobody(self):
        daemon = self.start_discard(ostler.LOOPBACK4, "udp:127.0.0.1:0")
        stream, datagram = daemon.addresses["discard"]
        with kinds.dial(datagram) as client:
            for number in range(5000):
                client.send(b"number %d" % number)
            self.assert_is_there(daemon)
            self.assertFalse(clients.hears_something(client, 0))


class DiscardEvented(DiscardCases, ostler.TestCase):
    mixin = "evented"


class DiscardInline(DiscardCases, ostler.TestCase):
    mixin = "inline"


class DiscardUnderThreading(DiscardCases, ostler.TestCase):
    mixin = "threading"


class DiscardInChildren(DiscardCases, ostler.TestCase):
    mixin = "forking"


class DiscardOnFibers(DiscardCases, ostler.TestCase):
    mixin = "fibers"


if __name__ == "__main__":
    unittest.main()
