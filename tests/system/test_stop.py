"""A stop is graceful: what was received is answered, what was written is delivered, and
stop_timeout or a second signal bounds it. Under every mix-in."""

import os
import pathlib
import signal
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402
from ostler import KIB, MIB  # noqa: E402


class StopTestCase(ostler.TestCase):
    def fleet(self, daemon, count, **options):
        fleet = clients.Fleet(daemon.address(), count, **options)
        self.addCleanup(fleet.close)
        return fleet

    def assert_ends_soon_after(self, daemon, moment, seconds=1.0):
        """It ends with 0, so many seconds after moment (monotonic) at the latest."""
        self.assertEqual(daemon.await_end(daemon.stop_timeout + ostler.scaled(5)).status, 0)
        elapsed = time.monotonic() - moment
        self.assertLess(elapsed, ostler.scaled(seconds))

    def refuses(self, daemon):
        """Is a new connection refused? One that came just before is reset."""
        try:
            clients.connect(daemon.address()).close()
            return False
        except ConnectionResetError:
            return False
        except ConnectionRefusedError:
            return True

    def term_and_await_refusal(self, daemon):
        daemon.send_signal()
        ostler.wait_until(lambda: self.refuses(daemon), ostler.scaled(1), "new connections are refused")

    def stalled_client(self, daemon, **options):
        """One that has sent what the kernels and the daemon take, and read nothing."""
        fleet = self.fleet(daemon, 1, reads=False, **options)
        [client] = fleet.clients
        client.say(os.urandom(24 * MIB))
        client.pour(64 * MIB)  # a daemon that reads fast is given a buffer of 32 MiB
        fleet.run_until_stalled(0.05, 10)
        self.assertTrue(client.is_sending, "nothing stopped it")
        return fleet, client

    def read_everything(self, fleet, seconds=10):
        for client in fleet.clients:
            client.reads = True
        fleet.run(fleet.all_ended, seconds)

    def client_with_answer_on_its_way(self, daemon, size=100 * KIB):
        """One whose whole answer the daemon has handed to the kernel, which cannot
        deliver it before the client reads."""
        fleet = self.fleet(daemon, 1, reads=False, receive_buffer=16 * KIB)
        fleet.clients[0].say(os.urandom(size))
        fleet.run_until_stalled(0.05, 10)
        return fleet, fleet.clients[0]


class StopCases:
    mixin = None

    def start_echo(self, **settings):
        return self.start_daemon({"echo": ostler.service("echo", self.mixin, max_requests=256)}, **settings)

    def test_term_without_a_client_ends_it_at_once(self):
        self.assertLess(self.start_echo().stop().seconds, ostler.scaled(0.5))

    def test_int_stops_it_like_term(self):
        daemon = self.start_echo()
        client = self.connect(daemon)
        self.assertEqual(clients.ask(client, b"last orders\n"), b"last orders\n")
        daemon.send_signal(signal.SIGINT)
        self.assertTrue(clients.ended(client, ostler.scaled(1)))
        client.close()
        self.assert_ends_soon_after(daemon, time.monotonic())

    def test_idle_client_sees_the_end_and_not_a_reset(self):
        daemon = self.start_echo()
        client = self.connect(daemon)
        clients.ask(client, b"hello\n")
        daemon.send_signal()
        self.assertTrue(clients.ended(client, ostler.scaled(1)))

    def test_client_that_keeps_its_end_open_delays_the_stop_by_two_seconds_at_most(self):
        daemon = self.start_echo()
        client = self.connect(daemon)
        clients.ask(client, b"hello\n")
        begin = time.monotonic()
        daemon.send_signal()
        self.assertTrue(clients.ended(client, ostler.scaled(1)))
        self.assert_ends_soon_after(daemon, begin, 2.5)

    def test_line_received_before_term_is_answered(self):
        daemon = self.start_echo()
        client = self.connect(daemon)
        clients.ask(client, b"hello\n")
        client.sendall(b"last orders\n")
        ostler.wait_until(lambda: clients.unacknowledged(client) == 0, ostler.scaled(1), "the line is received")
        daemon.send_signal()
        self.assertEqual(clients.read_to_end(client), b"last orders\n")

    def test_megabytes_received_before_term_are_answered(self):
        daemon = self.start_echo()
        fleet, client = self.stalled_client(daemon)
        taken = client.taken_by_peer()
        self.term_and_await_refusal(daemon)
        self.read_everything(fleet)
        self.assertGreaterEqual(client.came_back(), taken)
        self.assert_ends_soon_after(daemon, fleet.last_answer)

    def test_backlog_that_fits_the_kernel_is_answered_to_its_end_and_not_reset(self):
        daemon = self.start_echo()
        fleet = self.fleet(daemon, 1, reads=False)
        [client] = fleet.clients
        client.say(os.urandom(200 * KIB))
        fleet.run_until_stalled(0.05, 10)
        ostler.wait_until(lambda: client.taken_by_peer() == 200 * KIB, ostler.scaled(5), "the backlog is received")
        self.term_and_await_refusal(daemon)
        self.read_everything(fleet)
        self.assertEqual((client.end, client.came_back()), ("eof", 200 * KIB))
        self.assert_ends_soon_after(daemon, fleet.last_answer)

    def test_answer_that_is_read_late_delays_the_end_by_no_more_than_a_second(self):
        daemon = self.start_echo()
        fleet, client = self.client_with_answer_on_its_way(daemon)
        self.term_and_await_refusal(daemon)
        daemon.stays_alive(0.5)
        self.read_everything(fleet)
        self.assertEqual((client.end, client.came_back()), ("eof", 100 * KIB))
        self.assert_ends_soon_after(daemon, fleet.last_answer)

    def test_byte_sent_after_term_does_not_turn_the_answer_into_a_reset(self):
        daemon = self.start_echo()
        fleet, client = self.client_with_answer_on_its_way(daemon)
        self.term_and_await_refusal(daemon)
        client.say(b"too late, and perhaps not answered\n")
        self.read_everything(fleet)
        self.assertEqual(client.end, "eof")
        self.assertGreaterEqual(client.came_back(), 100 * KIB)

    def test_client_that_resets_during_a_stop_delays_the_end_by_no_more_than_a_second(self):
        daemon = self.start_echo()
        fleet, client = self.client_with_answer_on_its_way(daemon)
        self.term_and_await_refusal(daemon)
        fleet.drop(client, with_reset=True)
        self.assert_ends_soon_after(daemon, time.monotonic())

    def test_client_that_goes_away_during_a_stop_delays_the_end_by_no_more_than_a_second(self):
        daemon = self.start_echo()
        fleet, client = self.client_with_answer_on_its_way(daemon)
        self.term_and_await_refusal(daemon)
        fleet.drop(client)
        self.assert_ends_soon_after(daemon, time.monotonic())

    def test_new_connections_are_refused_while_an_old_one_is_served(self):
        daemon = self.start_echo()
        fleet, client = self.stalled_client(daemon)
        self.term_and_await_refusal(daemon)
        daemon.stays_alive(0.1)
        self.assertTrue(self.refuses(daemon))
        self.read_everything(fleet)
        self.assert_ends_soon_after(daemon, fleet.last_answer)

    def test_client_that_never_reads_is_cut_off_at_stop_timeout(self):
        daemon = self.start_echo(stop_timeout=0.5)
        self.stalled_client(daemon)
        begin = time.monotonic()
        ended = daemon.stop(seconds=0.5 + ostler.scaled(0.5))
        self.assertEqual(ended.status, 0)
        self.assertGreater(time.monotonic() - begin, 0.45)

    def test_second_term_ends_it_within_a_second_although_a_client_does_not_read(self):
        daemon = self.start_echo()
        self.stalled_client(daemon)
        self.term_and_await_refusal(daemon)
        daemon.stays_alive(0.1)
        ended = daemon.stop(seconds=ostler.scaled(1))
        self.assertEqual(ended.status, 0)

    def test_second_int_does_the_same_as_a_second_term(self):
        daemon = self.start_echo()
        self.stalled_client(daemon)
        self.term_and_await_refusal(daemon)
        self.assertEqual(daemon.stop(signal.SIGINT, ostler.scaled(1)).status, 0)

    def test_client_that_goes_on_sending_cannot_keep_it_from_stopping(self):
        daemon = self.start_echo()
        fleet = self.fleet(daemon, 1)
        block = os.urandom(256 * KIB)
        fleet.on_quiet = lambda client: client.say(block)
        fleet.clients[0].say(block)
        fleet.run(lambda: fleet.clients[0].answers > 10, 10)
        daemon.send_signal()
        fleet.run(fleet.all_ended, 4)
        self.assert_ends_soon_after(daemon, time.monotonic())

    def test_client_that_half_closed_gets_its_whole_answer_during_a_stop(self):
        daemon = self.start_echo()
        fleet, client = self.stalled_client(daemon)
        client.stop_sending()
        client.socket.shutdown(socket.SHUT_WR)
        taken = client.taken_by_peer()
        self.term_and_await_refusal(daemon)
        self.read_everything(fleet)
        self.assertGreaterEqual(client.came_back(), taken)


class ConcurrentStopCases(StopCases):
    def test_term_among_100_busy_and_100_idle_clients_answers_what_was_received(self):
        daemon = self.start_daemon({"echo": ostler.service("echo", self.mixin, max_requests=256)})
        fleet = self.fleet(daemon, 60)
        pinging = list(fleet.clients)
        small = fleet.add(daemon.address(), 20, reads=False)
        large = fleet.add(daemon.address(), 20, reads=False)
        idle = fleet.add(daemon.address(), 100)
        serving = daemon.worker() if self.mixin == "forking" else None
        ostler.wait_until(lambda: daemon.descriptors(serving) > 200, ostler.scaled(5), "200 connections are accepted")
        for client in small:
            client.say(os.urandom(100 * KIB))
        for client in large:
            client.say(os.urandom(2 * MIB))
        fleet.run_until_stalled(0.05, 20)
        fleet.on_quiet = lambda client: client in pinging and client.say(b"line %d\n" % client.answers)
        for client in pinging:
            client.say(b"the first line\n")
        fleet.run(lambda: all(client.answers > 10 for client in pinging), 10)
        taken = {client: client.taken_by_peer() for client in fleet.clients}

        begin = time.monotonic()
        daemon.send_signal()
        self.read_everything(fleet)
        self.assert_ends_soon_after(daemon, fleet.last_answer)
        self.assertLess(time.monotonic() - begin, daemon.stop_timeout)
        for client in fleet.clients:
            self.assertGreaterEqual(client.came_back(), taken[client])
        self.assertEqual({client.end for client in pinging + small + idle}, {"eof"})
        for client in pinging:
            self.assertLess(len(client.owed), 20, "more than the last line is owed")
        self.assertEqual({client.sent - client.came_back() for client in small}, {0})

    def test_100_lines_received_before_term_are_all_answered(self):
        daemon = self.start_echo()
        fleet = self.fleet(daemon, 100)
        fleet.ping_pong(1, 10)
        for client in fleet.clients:
            client.say(b"last orders\n")
        ostler.wait_until(lambda: all(client.taken_by_peer() == client.sent for client in fleet.clients),
                          ostler.scaled(2), "the lines are received")
        daemon.send_signal()
        fleet.run(fleet.all_ended, 5)
        self.assertEqual({(client.end, len(client.owed)) for client in fleet.clients}, {("eof", 0)})
        self.assert_ends_soon_after(daemon, fleet.last_answer)

    def test_one_slow_reader_does_not_delay_the_end_of_the_others(self):
        daemon = self.start_echo()
        slow, _ = self.stalled_client(daemon)
        fleet = self.fleet(daemon, 50)
        fleet.ping_pong(1, 10)
        daemon.send_signal()
        begin = time.monotonic()
        fleet.run(fleet.all_ended, 1)
        self.assertLess(time.monotonic() - begin, ostler.scaled(0.5))
        self.read_everything(slow)
        self.assert_ends_soon_after(daemon, slow.last_answer)

    def test_full_house_stops_and_lets_the_waiting_go(self):
        daemon = self.start_daemon({"echo": ostler.service("echo", self.mixin, max_requests=2)})
        inside = self.fleet(daemon, 2)
        inside.ping_pong(1, 5)
        waiting = self.fleet(daemon, 5)
        daemon.send_signal()
        inside.run(inside.all_ended, 2)
        waiting.run(waiting.all_ended, 2)
        self.assert_ends_soon_after(daemon, time.monotonic())


class StopEvented(ConcurrentStopCases, StopTestCase):
    mixin = "evented"


class StopInline(StopCases, StopTestCase):
    mixin = "inline"

    def test_clients_that_wait_for_their_turn_are_let_go(self):
        daemon = self.start_echo()
        inside = self.fleet(daemon, 1)
        inside.ping_pong(1, 5)
        waiting = self.fleet(daemon, 5)
        daemon.send_signal()
        inside.run(inside.all_ended, 2)
        waiting.run(waiting.all_ended, 2)
        self.assertEqual(inside.clients[0].end, "eof")
        self.assert_ends_soon_after(daemon, time.monotonic())


class StopUnderThreading(ConcurrentStopCases, StopTestCase):
    mixin = "threading"


class StopInChildren(ConcurrentStopCases, StopTestCase):
    mixin = "forking"


class StopOnFibers(ConcurrentStopCases, StopTestCase):
    mixin = "fibers"


class StopUnderEveryMixin(StopTestCase):
    def test_answer_that_is_read_after_the_end_has_been_delivered(self):
        daemons = [self.start_daemon({"echo": ostler.service("echo", mixin)}) for mixin in ostler.MIXINS]
        fleets = [self.client_with_answer_on_its_way(daemon)[0] for daemon in daemons]
        for daemon in daemons:
            daemon.send_signal()
        for daemon, fleet in zip(daemons, fleets):
            self.assertEqual(daemon.await_end(daemon.stop_timeout).status, 0)
            self.read_everything(fleet)
            self.assertEqual((fleet.clients[0].end, fleet.clients[0].came_back()), ("eof", 100 * KIB))

    def test_every_service_of_a_daemon_stops_gracefully(self):
        daemon = self.start_daemon({mixin: ostler.service("echo", mixin) for mixin in ostler.CONCURRENT})
        talking = [self.connect(daemon, name) for name in daemon.addresses]
        for client in talking:
            clients.ask(client, b"hello\n")
        begin = time.monotonic()
        daemon.send_signal()
        for client in talking:
            self.assertTrue(clients.ended(client, ostler.scaled(1)))
            client.close()
        self.assert_ends_soon_after(daemon, begin)


class StopBesideAThreadThatIsOlderThanTheDaemon(StopTestCase):
    """One that blocks no signal: greeterd's, which its workers have too."""

    kinds = (("fibers", {}), ("threading", {}), ("forking", {}), ("fibers", {"workers": 2}))

    def each(self, handler="late", **settings):
        for mixin, more in self.kinds:
            with self.subTest(mixin=mixin, **more):
                yield self.start_daemon({"it": ostler.service(handler, mixin)}, program="greeterd",
                                        environment={"GREETERD_THREAD": "1"}, **more, **settings)

    def late(self, daemon, ms):
        client = self.connect(daemon)
        client.sendall(b"%d word\n" % ms)
        self.assertRegex(clients.read_exactly(client, 1), rb"\d")
        return client

    def test_answer_that_is_being_given_is_completed(self):
        for daemon in self.each():
            client = self.late(daemon, 300)
            daemon.send_signal()
            self.assertRegex(clients.read_to_end(client), rb"^\d*  word\n$")
            self.assertEqual(daemon.await_end(daemon.stop_timeout).status, 0)
            self.assertNotIn("error", daemon.log())

    def test_usr1_lists_and_ends_nothing(self):
        for daemon in self.each():
            client = self.late(daemon, 0)
            self.assertRegex(clients.read_exactly(client, 1), rb"\d")
            daemon.send_signal(signal.SIGUSR1)
            ostler.wait_until(lambda: " live request" in daemon.log(), ostler.scaled(5), "requests are listed")
            daemon.stays_alive(0)
            self.assertEqual(daemon.stop().status, 0)
            self.assertNotIn("error", daemon.log())

    def test_usr1_lists_what_workers_still_do_when_the_daemon_has_nothing_left(self):
        daemon = self.start_daemon({"it": ostler.service("late", "forking")}, program="greeterd",
                                   environment={"GREETERD_THREAD": "1"})
        self.late(daemon, 100000)
        self.term_and_await_refusal(daemon)
        daemon.send_signal(signal.SIGUSR1)
        ostler.wait_until(lambda: " live request" in daemon.log(), ostler.scaled(5), "the request is listed")
        self.assertEqual(daemon.stop(seconds=ostler.scaled(2)).status, 0)

    def test_int_stops_it_too(self):
        for daemon in self.each("greet"):
            self.assertEqual(clients.read_to_end(self.connect(daemon)), b"hello 10 0.5 low\n")
            self.assertEqual(daemon.stop(signal.SIGINT, ostler.scaled(1)).status, 0)
            self.assertNotIn("error", daemon.log())


if __name__ == "__main__":
    unittest.main()
