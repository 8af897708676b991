#!/usr/bin/env python3
"""The chat of tests/examples, under fibers and under threads: the same test for both."""
import os
import pathlib
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
import unittest

root = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(root / "tests" / "support"))
import clients  # noqa: E402
import machine  # noqa: E402

BIN = pathlib.Path(os.environ.get("OSTLER_BIN", root / "build" / "dev" / "bin"))
MANY = 60 if machine.SANITIZED else 300


class Server:
    """The chat, on a port of its own."""

    def __init__(self, way, program="example_chat"):
        self.process = machine.spawn([BIN / program, way, "tcp:127.0.0.1:0"], stderr=subprocess.PIPE)
        line = self.process.stderr.readline().decode()
        found = re.search(r"listening on tcp:127\.0\.0\.1:(\d+)", line)
        if not found:
            raise AssertionError(f"the chat said {line!r} and ended with {self.process.wait(10)}")
        self.address = "127.0.0.1", int(found[1])

    def memory(self):
        """Bytes that are its own."""
        text = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(re.search(r"Pss_Anon:\s+(\d+)", text)[1]) * 1024

    def close(self):
        self.process.kill()
        self.process.wait(10)
        self.process.stderr.close()


class Guest:
    """A client, and the lines it has heard."""

    def __init__(self, address, **options):
        self.socket = clients.connect(address, **options)
        self.name = "tcp:127.0.0.1:%d" % self.socket.getsockname()[1]
        self.heard, self.joins, self.rest, self.ended = [], [], b"", False

    def say(self, text):
        self.socket.sendall(text.encode() + b"\n")

    def hear(self):
        data = self.socket.recv(1 << 18)
        self.ended = not data
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            (self.joins if line.endswith(b" joins") else self.heard).append(line.decode())


class Chat:
    """What holds under every mix-in."""

    way = None

    def setUp(self):
        self.server = Server(self.way)
        self.addCleanup(self.server.close)
        self.selector = selectors.DefaultSelector()
        self.addCleanup(self.selector.close)

    def enter(self, **options):
        """A guest who listens; he has joined when this returns."""
        guest = self.connect(**options)
        self.selector.register(guest.socket, selectors.EVENT_READ, guest)
        return guest

    def connect(self, **options):
        guest = Guest(self.server.address, **options)
        self.addCleanup(guest.socket.close)
        return guest

    def listen_until(self, condition, seconds, what):
        limit = time.monotonic() + machine.scaled(seconds)
        while not condition():
            self.assertLess(time.monotonic(), limit, f"not within {machine.scaled(seconds)} s: {what}")
            for key, _ in self.selector.select(0.05):
                key.data.hear()
                if key.data.ended:
                    self.selector.unregister(key.fileobj)

    def enter_many(self, count):
        """So many guests, who came one after the other: each has seen all the later ones join."""
        guests = [self.enter(), self.enter()]
        self.listen_until(lambda: guests[0].joins or guests[1].joins, 10, "the second one joins")
        guests.sort(key=lambda guest: not guest.joins) # threads may have been the other way round
        while len(guests) < count:
            guests.append(self.enter())
            self.listen_until(lambda: len(guests[0].joins) == len(guests) - 1, 10, "one more joins")
        self.listen_until(lambda: all(len(g.joins) == count - 1 - i for i, g in enumerate(guests)), 30, "all join")
        for i, guest in enumerate(guests):
            self.assertEqual(guest.joins, [f"{other.name} joins" for other in guests[i + 1:]])
        return guests

    def test_every_line_reaches_everybody_else_in_order(self):
        guests = self.enter_many(MANY)
        rounds = 4
        for number in range(1, rounds + 1):
            for guest in guests:
                guest.say(f"first {number}\nthen {number}")
            count = 2 * number * (MANY - 1)
            self.listen_until(lambda: all(len(g.heard) >= count for g in guests), 60, f"round {number}")
        said = [f"{word} {number}" for number in range(1, rounds + 1) for word in ("first", "then")]
        for guest in guests:
            by_name = {other.name: [] for other in guests if other is not guest}
            for line in guest.heard:
                name, text = line.split(" ", 1)
                by_name[name].append(text)
            for name, lines in by_name.items():
                self.assertEqual(lines, said, f"what {guest.name} heard of {name}")

    def test_who_does_not_read_delays_nobody(self):
        guests = self.enter_many(10)
        deaf = self.connect(receive_buffer=4096)
        self.listen_until(lambda: len(guests[0].joins) == 10, 10, "the deaf one joins")
        speaker, window, total, before = guests[0], 500, 30000, self.server.memory()
        for first in range(0, total, window):
            begin = time.monotonic()
            speaker.socket.sendall(b"".join(b"%d %s\n" % (n, b"." * 400) for n in range(first, first + window)))
            self.listen_until(lambda: all(len(g.heard) == first + window for g in guests[1:]), 10, "a window")
            self.assertLess(time.monotonic() - begin, machine.scaled(5))
        if not machine.SANITIZED:
            self.assertLess(self.server.memory() - before, 4 * machine.MIB, "of 12 MiB that were said")
        self.selector.register(deaf.socket, selectors.EVENT_READ, deaf)
        self.listen_until(lambda: deaf.heard and f" {total - 1} " in deaf.heard[-1], 10, "the last line")
        numbers = [int(line.split(" ")[1]) for line in deaf.heard]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertLess(len(numbers), total)

    def test_who_leaves_is_announced(self):
        guests = self.enter_many(20)
        leaver, resetter, rest = guests[0], guests[1], guests[2:]
        for guest in (leaver, resetter):
            self.selector.unregister(guest.socket)
        leaver.socket.close()
        clients.reset(resetter.socket)
        expected = sorted(f"{guest.name} leaves" for guest in (leaver, resetter))
        self.listen_until(lambda: all(len(g.heard) == 2 for g in rest), 10, "both leave")
        for guest in rest:
            self.assertEqual(sorted(guest.heard), expected)
        again = self.enter()
        self.listen_until(lambda: f"{again.name} joins" in rest[0].joins, 10, "another one joins")

    def test_half_a_line_is_heard_when_it_is_whole(self):
        one, other = self.enter_many(2)
        one.socket.sendall(b"hel")
        other.say("me first")
        one.socket.sendall(b"lo\n")
        self.listen_until(lambda: one.heard and other.heard, 10, "both lines")
        self.assertEqual(other.heard, [f"{one.name} hello"])
        self.assertEqual(one.heard, [f"{other.name} me first"])

    def test_a_stop_ends_it_in_order(self):
        self.server = Server(self.way, "chatd")
        self.addCleanup(self.server.close)
        guests = self.enter_many(20)
        guests[0].say("one more thing")
        self.listen_until(lambda: all(g.heard for g in guests[1:]), 10, "the last line")
        begin = time.monotonic()
        self.server.process.send_signal(signal.SIGTERM)
        self.listen_until(lambda: all(g.ended for g in guests), 5, "all ends")
        self.assertEqual(self.server.process.wait(machine.scaled(5)), 0)
        self.assertLess(time.monotonic() - begin, machine.scaled(2))


class Fibers(Chat, unittest.TestCase):
    way = "fibers"


class Threads(Chat, unittest.TestCase):
    way = "threading"


if __name__ == "__main__":
    machine.allow_many_descriptors()
    unittest.main()
