"""Clients of all manners come and go at once: talkers, half-closers, those who reset,
vanish in the middle of an answer or say nothing. What comes back is right, nothing is
left, and a TERM in the middle of it all is a clean stop. The dice are loaded: each run
throws the same."""

import os
import pathlib
import random
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402
from ostler import KIB  # noqa: E402

MANNERS = ("talk and close", "talk and half-close", "talk and reset", "reset with an answer on its way",
           "vanish with an answer on its way", "say nothing and close", "say nothing and half-close")
SIZES = (1, 10, 100, 5000, 70_000, 300 * KIB)


class Churn:
    """Keeps a number of clients alive, each with manners of its own."""

    def __init__(self, daemon, at_once, seed):
        self.address = daemon.address()
        self.at_once = at_once
        self.dice = random.Random(seed)
        self.noise = os.urandom(max(SIZES))
        self.fleet = clients.Fleet(self.address, 0)
        self.fleet.on_quiet = self.next_word
        self.begun = 0
        self.gone = 0

    def begin(self):
        [client] = self.fleet.add(self.address, 1)
        self.begun += 1
        client.manners = self.dice.choice(MANNERS)
        client.words = self.dice.randint(1, 5)
        client.done = False
        if client.manners.startswith("say nothing"):
            self.leave(client)
        else:
            self.next_word(client)

    def next_word(self, client):
        if client.words == 0:
            self.leave(client)
            return
        client.words -= 1
        client.say(self.noise[:self.dice.choice(SIZES)])
        if client.words == 0 and client.manners.endswith("on its way"):
            self.leave(client)

    def leave(self, client):
        """End in its manner; a half-closer waits for the end from the other side."""
        if client.manners.endswith("half-close"):
            client.socket.shutdown(socket.SHUT_WR)
        else:
            client.done = True

    def sweep(self):
        """Let go who is done; who was to end by itself must have ended well."""
        for client in [client for client in self.fleet.clients if client.done or client.end]:
            if client.end not in (None, "eof"):
                raise AssertionError(f"one that would {client.manners} ended with {client.end}")
            self.fleet.drop(client, with_reset="reset" in client.manners)
            self.gone += 1

    def run(self, total, seconds):
        """total clients, all gone within seconds."""
        self.run_until(lambda: self.gone == total, total, seconds)

    def run_until(self, condition, total, seconds):
        def step():
            self.sweep()
            while self.begun < total and len(self.fleet.clients) < self.at_once:
                self.begin()
            return condition()

        self.fleet.run(step, seconds)


class ChurnCases:
    mixin = None
    at_once = 60

    def start_echo(self, stop_timeout=10.0, **settings):
        """Without Nagle's algorithm, which has each large answer wait 40 ms for the
        client's delayed acknowledgement; one after the other they would take minutes."""
        return self.start_daemon({"echo": ostler.service("echo", self.mixin, disable_nagle=True, **settings)},
                                 stop_timeout=ostler.scaled(stop_timeout))

    def churn(self, daemon, seed):
        churn = Churn(daemon, self.at_once, seed)
        self.addCleanup(churn.fleet.close)
        return churn

    def test_2000_clients_of_all_manners_leave_nothing_behind(self):
        daemon = self.start_echo()
        descriptors = daemon.descriptors()
        self.churn(daemon, 1).run(2000, 40)
        self.assert_back_to(daemon, descriptors)
        self.assertLessEqual(daemon.log_lines(), 20)

    def test_1000_clients_squeeze_through_three_places(self):
        limit = {} if self.mixin == "inline" else {"max_requests": 3}
        daemon = self.start_echo(**limit)
        descriptors = daemon.descriptors()
        self.churn(daemon, 2).run(1000, 40)
        self.assert_back_to(daemon, descriptors)

    def test_term_in_the_middle_is_a_clean_stop(self):
        for seed in range(10):
            daemon = self.start_echo(stop_timeout=3.0)
            churn = self.churn(daemon, seed)
            churn.run_until(lambda: churn.gone > 100, 10_000, 20)
            daemon.send_signal()
            churn.fleet.on_quiet = None
            churn.fleet.run(lambda: churn.fleet.all_ended(), 4)
            self.assertEqual(daemon.await_end(ostler.scaled(4)).status, 0)

    def test_second_term_in_the_middle_ends_it_within_a_second(self):
        for seed in range(10):
            daemon = self.start_echo()
            churn = self.churn(daemon, seed)
            churn.run_until(lambda: churn.gone > 100, 10_000, 20)
            daemon.send_signal()
            ostler.wait_until(lambda: self.refuses(daemon), ostler.scaled(1), "new connections are refused")
            if daemon.wait(0) is None:
                daemon.stop(seconds=ostler.scaled(1))
            self.assertEqual(daemon.exit.status, 0)

    @staticmethod
    def refuses(daemon):
        try:
            clients.connect(daemon.address()).close()
            return False
        except (ConnectionRefusedError, ConnectionResetError):
            return True


class ChurnEvented(ChurnCases, ostler.TestCase):
    mixin = "evented"


class ChurnInline(ChurnCases, ostler.TestCase):
    mixin = "inline"


class ChurnUnderThreading(ChurnCases, ostler.TestCase):
    mixin = "threading"


class ChurnOnFibers(ChurnCases, ostler.TestCase):
    mixin = "fibers"


class Restarts(ostler.TestCase):
    def test_50_starts_and_stops_are_all_clean(self):
        for number in range(50):
            mixin = ("evented", "inline", "threading", "fibers")[number % 4]
            daemon = self.start_daemon({"echo": ostler.service("echo", mixin)})
            client = clients.connect(daemon.address())
            if number % 3:
                clients.ask(client, b"hello\n")
            daemon.send_signal()
            client.close()
            self.assertEqual(daemon.await_end(ostler.scaled(2)).status, 0)


if __name__ == "__main__":
    unittest.main()
