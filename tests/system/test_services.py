"""All five services on all six kinds of addresses under all mix-ins: what each protocol
says, said to Python's sockets and to the tools that people have."""

import calendar
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import kinds  # noqa: E402
import ostler  # noqa: E402

SERVICES = ("echo", "discard", "chargen", "daytime", "time")
SIZES = (0, 1, 1400, 65507)

RING = bytes(range(32, 127))
PAGE = b"".join((RING * 2)[n:n + 72] + b"\r\n" for n in range(95))  # RFC 864: then it begins anew
SINCE_1900 = 2_208_988_800  # RFC 868: the time value of 1970


def seconds_of_line(line):
    """What a line of daytime says, as seconds since 1970."""
    weekday = re.fullmatch(rb"(\w+), [A-Z][a-z]+ [1-9]\d?, \d{4} \d\d:\d\d:\d\d-UTC\r\n", line)
    if not weekday:
        raise AssertionError(f"no line of daytime: {line!r}")
    told = time.strptime(line.decode(), "%A, %B %d, %Y %H:%M:%S-UTC\r\n")
    if time.strftime("%A", time.gmtime(calendar.timegm(told))) != weekday[1].decode():
        raise AssertionError(f"the weekday is wrong: {line!r}")
    return calendar.timegm(told)


def seconds_of_number(answer):
    """What an answer of time says, as seconds since 1970, until 2036."""
    return struct.unpack("!I", answer)[0] - SINCE_1900


class ServiceCases:
    mixin = None

    def setUp(self):
        self.folder = self.scratch()
        self.daemon = self.start_daemon({name: ostler.service(name, self.mixin, *self.everywhere(name))
                                         for name in SERVICES})

    def everywhere(self, name):
        hosts = ["127.0.0.1:0", "[::1]:0"] if ostler.has_ipv6() else ["127.0.0.1:0"]
        return [*(f"{scheme}:{host}" for scheme in ("tcp", "udp") for host in hosts),
                f"unix:{self.folder / name}.stream", f"unixgram:{self.folder / name}.datagram"]

    def each(self, name, datagrams):
        """(address, a client of it) of each kind, one after the other."""
        for address in self.daemon.addresses[name]:
            if kinds.is_datagram(address) == datagrams:
                with self.subTest(kind=address.kind), kinds.dial(address) as client:
                    yield address, client

    def connections(self, name):
        return (client for _, client in self.each(name, datagrams=False))

    def datagrams(self, name):
        return (client for _, client in self.each(name, datagrams=True))

    def test_echo_sends_back_what_a_connection_said(self):
        data = os.urandom(100_000)
        for client in self.connections("echo"):
            self.assertEqual(clients.ask(client, b"hello\n"), b"hello\n")
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(clients.read_to_end(client), data)

    def test_echo_sends_back_datagrams_of_all_sizes(self):
        for client in self.datagrams("echo"):
            for size in SIZES:
                data = os.urandom(size)
                self.assertEqual(kinds.ask(client, data), data)

    def test_echo_sends_nothing_back_for_a_datagram_that_was_cut(self):
        [address] = [a for a in self.daemon.addresses["echo"] if a.kind == "unixgram"]
        with kinds.dial(address) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200_000)
            for size in (65536, 100_000):
                client.send(bytes(size))
            for _ in range(5):
                self.assertEqual(kinds.ask(client, b"hello"), b"hello")
            self.assertFalse(clients.hears_something(client, 0))

    def test_discard_says_nothing_on_a_connection_until_its_end(self):
        for client in self.connections("discard"):
            client.sendall(bytes(300_000))
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(clients.read_to_end(client), b"")

    def test_discard_answers_no_datagram(self):
        for address, client in self.each("discard", datagrams=True):
            [echo] = [other for other in self.daemon.addresses["echo"] if other.kind == address.kind]
            for size in SIZES:
                client.send(bytes(size))
            # What it did answer would be there before what echo answers afterwards.
            with kinds.dial(echo) as witness:
                for _ in range(5):
                    kinds.ask(witness, b"and now?")
            self.assertFalse(clients.hears_something(client, 0))

    def test_chargen_sends_its_lines_until_the_client_ends(self):
        for client in self.connections("chargen"):
            self.assertEqual(clients.read_exactly(client, 100 * len(PAGE)), 100 * PAGE)
            client.shutdown(socket.SHUT_WR)
            rest = clients.read_to_end(client)
            self.assertEqual(rest, (PAGE * (len(rest) // len(PAGE) + 1))[:len(rest)])

    def test_chargen_answers_a_datagram_with_at_most_as_many_bytes(self):
        for client in self.datagrams("chargen"):
            for size in (0, 1, 73, 511, 512, 513, 1400, 65507):
                self.assertEqual(kinds.ask(client, bytes(size)), PAGE[:min(size, 512)])

    def assert_now(self, told, before):
        self.assertTrue(before <= told <= int(time.time()), f"told {told}, and it was {before} before")

    def test_daytime_tells_a_connection_its_line_unasked(self):
        for client in self.connections("daytime"):
            before = int(time.time())
            self.assert_now(seconds_of_line(clients.read_to_end(client)), before)

    def test_time_tells_a_connection_its_number_unasked(self):
        for client in self.connections("time"):
            before = int(time.time())
            self.assert_now(seconds_of_number(clients.read_to_end(client)), before)

    def test_daytime_and_time_answer_datagrams_whatever_is_in_them(self):
        for name, seconds in (("daytime", seconds_of_line), ("time", seconds_of_number)):
            for client in self.datagrams(name):
                for size in SIZES:
                    before = int(time.time())
                    self.assert_now(seconds(kinds.ask(client, bytes(size))), before)

    def test_unix_datagram_client_on_a_path_of_its_own_gets_its_answers(self):
        for name, size in (("echo", 5), ("chargen", 5), ("time", 4)):
            [address] = [a for a in self.daemon.addresses[name] if a.kind == "unixgram"]
            with kinds.dial(address, source=str(self.folder / f"{name}.client")) as client:
                self.assertEqual(len(kinds.ask(client, b"hello")), size)

    def test_unix_datagram_client_without_a_name_disturbs_nobody(self):
        for name in SERVICES:
            [address] = [a for a in self.daemon.addresses[name] if a.kind == "unixgram"]
            with socket.socket(address.family, address.type) as nobody:
                for _ in range(3):
                    nobody.sendto(b"hello", address.name)
        [address] = [a for a in self.daemon.addresses["echo"] if a.kind == "unixgram"]
        with kinds.dial(address) as client:
            self.assertEqual(kinds.ask(client, b"hello"), b"hello")

    def test_client_that_says_something_unasked_gets_its_answer_and_no_reset(self):
        for name, size in (("daytime", None), ("time", 4)):
            for client in self.connections(name):
                client.sendall(b"x" * 1000)
                answer = clients.read_to_end(client)
                self.assertEqual(len(answer), size or len(answer))
                self.assertTrue(answer)

    # The tools.

    def say(self, name, address, text):
        """What nc gets for text."""
        tool = [ostler.tool("nc"), *(["-6"] if address.is_ipv6 else []), *address.nc]
        return clients.run(tool, stdin=text)

    def test_nc_gets_its_line_back_on_all_kinds(self):
        for address in self.daemon.addresses["echo"]:
            with self.subTest(kind=address.kind):
                self.assertEqual(self.say("echo", address, b"over the hill\n"), b"over the hill\n")

    def test_nc_gets_the_time_of_day_on_all_kinds(self):
        for name, seconds in (("daytime", seconds_of_line), ("time", seconds_of_number)):
            for address in self.daemon.addresses[name]:
                with self.subTest(service=name, kind=address.kind):
                    before = int(time.time())
                    self.assert_now(seconds(self.say(name, address, b"\n")), before)

    def test_nc_gets_characters_on_all_kinds(self):
        for address in self.daemon.addresses["chargen"]:
            with self.subTest(kind=address.kind):
                text = self.say("chargen", address, b"ten bytes\n")  # and nc's half-close ends a connection
                if kinds.is_datagram(address):
                    self.assertEqual(text, PAGE[:10])
                else:
                    self.assertEqual(text[:len(PAGE)], PAGE)

    def test_nc_gets_nothing_from_discard(self):
        for address in self.daemon.addresses["discard"]:
            if not kinds.is_datagram(address):
                with self.subTest(kind=address.kind):
                    self.assertEqual(self.say("discard", address, b"away with it\n"), b"")

    def test_socat_gets_its_line_back_on_all_kinds(self):
        for address in self.daemon.addresses["echo"]:
            target = address.socat
            if address.kind == "unixgram":
                target = f"UNIX-CLIENT:{address.path},type={int(address.type)},bind={self.folder / 'socat'}"
            with self.subTest(kind=address.kind):
                process = ostler.spawn([ostler.tool("socat"), "-t5", "-", target], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE)
                process.stdin.write(b"hello\n")
                process.stdin.flush()
                self.assertEqual(process.stdout.readline(), b"hello\n")
                process.stdin.close()
                process.kill()
                process.wait()
                process.stdout.close()

    def test_rdate_gets_the_time_on_all_that_it_knows(self):
        for address in self.daemon.addresses["time"]:
            if address.kind.startswith("unix"):
                continue
            with self.subTest(kind=address.kind):
                before = int(time.time())
                text = clients.run([ostler.tool("rdate"), "-6" if address.is_ipv6 else "-4", "-p",
                                    *(["-u"] if kinds.is_datagram(address) else []), "-o", address.port, address.host],
                                   env={**os.environ, "TZ": "UTC", "LC_ALL": "C"})
                self.assert_now(calendar.timegm(time.strptime(text.decode().strip(), "%a %b %d %H:%M:%S UTC %Y")),
                                before)


class ServicesEvented(ServiceCases, ostler.TestCase):
    mixin = "evented"


class ServicesInline(ServiceCases, ostler.TestCase):
    mixin = "inline"


class ServicesUnderThreading(ServiceCases, ostler.TestCase):
    mixin = "threading"


class ServicesInChildren(ServiceCases, ostler.TestCase):
    mixin = "forking"


class ServicesOnFibers(ServiceCases, ostler.TestCase):
    mixin = "fibers"


if __name__ == "__main__":
    unittest.main()
