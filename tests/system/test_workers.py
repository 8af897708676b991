"""workers = N: so many processes share all services; connections spread over them, and when one
of them dies, is stopped or is held up, the others go on."""

import contextlib
import os
import pathlib
import re
import resource
import signal
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import kinds  # noqa: E402
import ostler  # noqa: E402
from test_config import run  # noqa: E402

MOST = 0.6  # of the connections, for one of two
SOON = 0.25  # seconds: 0.05 and what a loaded machine takes for a client


def sockets(pid):
    """How many it has open."""
    count = 0
    for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            count += os.readlink(path).startswith("socket:")
    return count


class Case(ostler.TestCase):
    longest = 120

    def setUp(self):
        ostler.allow_many_descriptors()

    def start(self, services, workers=2, **options):
        """A daemon whose workers are all there, and how many sockets each has before any client comes."""
        daemon = self.start_daemon(services, workers=workers, **options)
        self.idle = {pid: sockets(pid) for pid in ostler.children_of(daemon.pid)}
        return daemon

    def echo(self, workers=2, mixin="evented", *listen, **settings):
        return self.start({"echo": ostler.service("echo", mixin, *listen, **settings)}, workers)

    def late(self, *, mixin="fibers", **options):
        """greeterd's late, which says in which process it answers, and can hold up its loop."""
        return self.start({"late": ostler.service("late", mixin)}, program="greeterd", **options)

    def pids(self, daemon):
        return sorted(ostler.children_of(daemon.pid))

    def spread(self, daemon):
        """How many connections each worker has."""
        return [sockets(pid) - next(iter(self.idle.values())) for pid in self.pids(daemon)]

    def assert_even(self, daemon, count, most=MOST):
        """All of them are there, and none of the workers has too many."""
        ostler.wait_until(lambda: sum(self.spread(daemon)) == count, ostler.scaled(10),
                          f"there are {count} connections: {self.spread(daemon)}")
        self.assertLessEqual(max(self.spread(daemon)), count * most, self.spread(daemon))

    def dial(self, address):
        client = kinds.dial(address)
        self.addCleanup(client.close)
        return client

    def crowd(self, address, count):
        """So many clients, one by one: each is served before the next one comes."""
        group = []
        for _ in range(count):
            group.append(self.dial(address))
            self.assertEqual(clients.ask(group[-1], b"hello\n"), b"hello\n")
        return group

    def burst(self, address, count):
        """So many at once."""
        group = [self.dial(address) for _ in range(count)]
        for client in group:
            client.sendall(b"hello\n")
        for client in group:
            self.assertEqual(clients.read_exactly(client, 6), b"hello\n")
        return group

    def crowd_until_back(self, daemon, pid):
        """Clients, one by one, until this worker takes one: how many."""
        before, group = sockets(pid), []

        def is_back():
            group.extend(self.crowd(daemon.address(), 1))
            return sockets(pid) > before
        ostler.wait_until(is_back, ostler.scaled(5), f"worker {pid} accepts again")
        return len(group)

    def ask_late(self, client, ms=0):
        """Let its worker answer, and hold it up for so long; its pid."""
        client.sendall(b"%d word\n" % ms)
        pid = b""
        while not pid.endswith(b" "):
            pid += client.recv(1)
        if ms == 0:
            self.assertEqual(clients.read_exactly(client, 6), b" word\n")
        return int(pid)

    def seconds_to_serve(self, address, count):
        """New clients, one after another, each on a connection that stays; the longest that one waits."""
        longest = 0
        for _ in range(count):
            begin = time.monotonic()
            self.crowd(address, 1)
            longest = max(longest, time.monotonic() - begin)
        return longest

    def await_workers(self, daemon, count, other_than=()):
        """So many that are none of those, and serve."""
        def others():
            return [pid for pid in self.pids(daemon) if pid not in other_than and ostler.is_alive(pid)]

        ostler.wait_until(lambda: len(others()) == count, ostler.scaled(10), f"there are {count} other workers")
        return others()

    def await_listening(self, daemon, count):
        """So many workers of one service have begun to listen, in all."""
        ostler.wait_until(lambda: daemon.log().count("listening") == count, ostler.scaled(10), f"{count} have listened")

    def assert_gone(self, *pids):
        ostler.wait_until(lambda: not any(ostler.is_alive(pid) for pid in pids), ostler.scaled(5),
                          f"the processes {pids} have ended")


class Spread(Case):
    def test_connections_of_any_number_spread_evenly_one_by_one_and_in_a_burst(self):
        for address in (ostler.LOOPBACK4, "unix:@ostler-workers-%d" % os.getpid()):
            daemon = self.echo(2, "evented", address)
            for count in (10, 11, 23, 100, 1000):
                for connect in (self.crowd, self.burst):
                    with self.subTest(address=address, count=count, connect=connect.__name__):
                        group = connect(daemon.address(), count)
                        self.assert_even(daemon, count)
                        for client in group:
                            client.close()
                        self.assert_even(daemon, 0)

    def test_every_mixin_spreads(self):
        for mixin in ("fibers", "threading"):
            with self.subTest(mixin=mixin):
                daemon = self.echo(2, mixin)
                self.burst(daemon.address(), 100)
                self.assert_even(daemon, 100)

    def test_addresses_and_services_spread_together(self):
        unix = "unix:@ostler-workers-%d" % os.getpid()
        daemon = self.start({"one": ostler.service("echo", "evented", ostler.LOOPBACK4, unix),
                             "two": ostler.service("echo", "threading")})
        addresses = [*daemon.addresses["one"], *daemon.addresses["two"]]
        for number in range(30):
            self.crowd(addresses[number % 3], 1)
        self.assert_even(daemon, 30)

    def test_parked_connections_count_as_well(self):
        daemon = self.echo(2, "threading", defer=True)
        for _ in range(20):
            self.dial(daemon.address())
        self.assert_even(daemon, 20)

    def test_three_workers_share_alike(self):
        daemon = self.echo(3)
        self.assertEqual(len(self.pids(daemon)), 3)
        for connect in (self.crowd, self.burst):
            group = connect(daemon.address(), 300)
            self.assert_even(daemon, 300, most=0.4)
            for client in group:
                client.close()
            self.assert_even(daemon, 0)

    def test_new_ones_go_where_others_have_left_until_it_is_even(self):
        daemon = self.late()
        group = [self.dial(daemon.address()) for _ in range(40)]
        homes = [self.ask_late(client) for client in group]
        empty = homes[0]
        stay = [client for client, home in zip(group, homes) if home != empty]
        for client in set(group) - set(stay):
            client.close()
        self.assert_even(daemon, len(stay), most=1)
        self.assertEqual({self.ask_late(self.dial(daemon.address())) for _ in stay}, {empty})
        self.assert_even(daemon, 2 * len(stay), most=0.55)

    def test_max_requests_is_each_workers_and_each_lists_its_own_requests(self):
        daemon = self.echo(2, "evented", max_requests=5)
        self.crowd(daemon.address(), 10)
        self.assert_even(daemon, 10)
        waiting = self.dial(daemon.address())
        waiting.sendall(b"hello\n")
        self.assertFalse(clients.hears_something(waiting, 0.2))
        daemon.send_signal(signal.SIGUSR1)
        ostler.wait_until(lambda: daemon.log().count("echo: 5 live requests (evented)") == 2, ostler.scaled(5),
                          "both workers list their requests")
        self.assertEqual(sorted(re.findall("worker (.): echo: 5 live", daemon.log())), ["1", "2"])

    def test_full_service_does_not_disturb_the_spread_of_another(self):
        daemon = self.start({"small": ostler.service("echo", "evented", max_requests=1),
                             "large": ostler.service("echo", "evented")})
        self.crowd(daemon.address("small"), 2)
        self.burst(daemon.address("large"), 100)
        self.assert_even(daemon, 102)

    def test_datagrams_are_answered_once_each_and_from_the_right_port(self):
        daemon = self.echo(2, "evented", "udp:127.0.0.1:0")
        client = self.dial(daemon.address())
        for number in range(200):
            self.assertEqual(kinds.ask(client, b"%d" % number), b"%d" % number)

    def test_work_is_shared_as_connections_are(self):
        daemon = self.echo(2)
        with clients.Fleet(daemon.address(), 20) as fleet:
            fleet.ping_pong(100, 60)
            used = [time.clock_gettime((~pid << 3) | 2) for pid in self.pids(daemon)]  # clock_getcpuclockid(3)
        self.assertGreater(min(used), max(used) / 3, used)


class Lack(Case):
    def test_worker_without_descriptors_leaves_clients_to_the_other(self):
        daemon = self.echo(2)
        self.crowd(daemon.address(), 10)
        short = self.pids(daemon)[0]
        limit = len(os.listdir(f"/proc/{short}/fd")) + 1
        resource.prlimit(short, resource.RLIMIT_NOFILE, (limit, limit))
        self.assertLess(self.seconds_to_serve(daemon.address(), 20), ostler.scaled(SOON))
        self.assertLess(min(self.spread(daemon)), 8)
        self.assertEqual(daemon.log().count("cannot accept: Too many open files"), 1)


class Deaths(Case):
    def test_worker_killed_under_load_is_back_and_the_others_clients_do_not_notice(self):
        def come_and_go():
            while not stop.is_set():
                with clients.connect(daemon.address()) as client, contextlib.suppress(ConnectionError):
                    if clients.ask(client, b"hello\n") != b"hello\n":
                        cut.append(1)  # it was with the one that died

        daemon = self.echo(2)
        stop, cut = threading.Event(), []
        group = self.crowd(daemon.address(), 20)
        threads = [threading.Thread(target=come_and_go) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for number in range(5):
                os.kill(self.pids(daemon)[0], signal.SIGKILL)
                self.await_listening(daemon, 3 + number)
                lost = [client for client in group if clients.hears_something(client, 0)]
                for client in lost:
                    self.assertTrue(clients.ended(client, ostler.scaled(1)))
                group = [client for client in group if client not in lost]
                self.assertGreaterEqual(len(group), 5)  # ten, but for those who come and go
                for client in group:
                    self.assertEqual(clients.ask(client, b"still there\n"), b"still there\n")
                group += self.crowd(daemon.address(), 20 - len(group))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assert_even(daemon, 20)
        self.assertEqual(daemon.log().count("died by signal 9; started again\n"), 5)

    def test_the_one_that_is_started_again_gets_all_until_it_is_even(self):
        daemon = self.echo(2)
        self.crowd(daemon.address(), 40)
        os.kill(self.pids(daemon)[0], signal.SIGKILL)
        self.await_listening(daemon, 3)
        self.crowd(daemon.address(), 20)
        self.assert_even(daemon, 40, most=0.55)

    def test_clients_are_served_while_a_worker_cannot_be_started(self):
        program = self.scratch() / "ostlerd"
        program.write_bytes((ostler.BIN / "ostlerd").read_bytes())
        program.chmod(0o700)
        daemon = self.start({"echo": ostler.service("echo", "evented")}, program=program)
        self.crowd(daemon.address(), 10)
        program.chmod(0)
        os.kill(self.pids(daemon)[0], signal.SIGKILL)
        self.burst(daemon.address(), 50)
        ostler.wait_until(lambda: "cannot be started: Permission denied" in daemon.log(), ostler.scaled(5), "it cannot")
        self.burst(daemon.address(), 50)
        program.chmod(0o700)
        self.await_listening(daemon, 3)

    def test_one_worker_is_started_again_when_it_dies(self):
        daemon = self.echo(1)
        [pid] = self.pids(daemon)
        os.kill(pid, signal.SIGKILL)
        self.crowd(daemon.address(), 3)
        self.assertIn("error worker died by signal 9; started again\n", daemon.log())

    def test_workers_end_with_the_daemon(self):
        daemon = self.echo(2)
        pids = self.pids(daemon)
        daemon.process.kill()
        daemon.wait(ostler.scaled(5))
        daemon.exit = ostler.Exit(0, 0.0)
        self.assert_gone(*pids)


class Stuck(Case):
    def test_clients_do_not_wait_for_a_worker_that_was_stopped_by_a_signal(self):
        daemon = self.echo(2)
        self.crowd(daemon.address(), 10)
        stopped, other = self.pids(daemon)
        os.kill(stopped, signal.SIGSTOP)
        try:
            self.assertLess(self.seconds_to_serve(daemon.address(), 30), ostler.scaled(SOON))
        finally:
            os.kill(stopped, signal.SIGCONT)
        more = self.crowd_until_back(daemon, stopped)
        self.crowd(daemon.address(), 30)
        self.assert_even(daemon, 70 + more)

    def test_clients_do_not_wait_for_a_handler_that_holds_its_loop(self):
        daemon = self.late(stop_timeout=0.5)
        holder = self.dial(daemon.address())
        held = self.ask_late(holder, 2000)
        for _ in range(20):
            begin = time.monotonic()
            self.assertNotEqual(self.ask_late(self.dial(daemon.address())), held)
            self.assertLess(time.monotonic() - begin, ostler.scaled(SOON))
        self.assertEqual(clients.read_exactly(holder, 6), b" word\n")
        ostler.wait_until(lambda: self.ask_late(self.dial(daemon.address())) == held, ostler.scaled(5), "it is back")
        self.assertEqual({self.ask_late(self.dial(daemon.address())) for _ in range(5)}, {held})

    def test_burst_is_served_although_a_worker_is_stopped(self):
        daemon = self.echo(3)
        stopped = self.pids(daemon)[1]
        os.kill(stopped, signal.SIGSTOP)
        try:
            self.burst(daemon.address(), 300)
        finally:
            os.kill(stopped, signal.SIGCONT)

    @ostler.unless_sanitized
    def test_nobody_does_anything_while_nobody_comes(self):
        daemon = self.echo(2)
        self.crowd(daemon.address(), 20)

        def switches():
            text = "".join(path.read_text() for pid in daemon.processes()
                           for path in pathlib.Path(f"/proc/{pid}/task").glob("*/status"))
            return sum(map(int, re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", text, flags=re.M)))

        daemon.stays_alive(0.2)
        before = switches()
        daemon.stays_alive(1)
        self.assertLess(switches() - before, 10)


class Stops(Case):
    def test_signals_that_the_daemon_sends_itself_do_nothing_before_a_stop(self):
        daemon = self.late()
        before = sockets(daemon.pid)
        for number in (signal.SIGRTMIN + 1, signal.SIGRTMIN + 2):
            for pid in (daemon.pid, *self.pids(daemon)):
                os.kill(pid, number)
        daemon.send_signal(signal.SIGUSR1)  # the loop takes it after those
        ostler.wait_until(lambda: daemon.log().count("late: 0 live requests") == 2, ostler.scaled(5), "all go on")
        self.assertEqual(sockets(daemon.pid), before)

    def test_answers_are_completed_in_all_workers_and_the_status_is_0(self):
        daemon = self.late(mixin="threading", workers=3)
        group = [self.dial(daemon.address()) for _ in range(9)]
        pids = {self.ask_late(client, 500) for client in group}
        self.assertEqual(pids, set(self.pids(daemon)))
        daemon.send_signal()
        for client in group:
            self.assertEqual(clients.read_to_end(client), b" word\n")
        self.assertEqual(daemon.await_end(ostler.scaled(3)).status, 0)
        self.assert_gone(*pids)

    def test_new_clients_are_refused_while_answers_are_completed(self):
        def is_refused():
            try:
                clients.connect(daemon.address()).close()
            except ConnectionRefusedError:
                return True
            except ConnectionResetError:
                pass
            return False

        daemon = self.late(mixin="threading")
        client = self.dial(daemon.address())
        self.ask_late(client, 1500)
        daemon.send_signal()
        ostler.wait_until(is_refused, ostler.scaled(1), "new connections are refused")
        self.assertEqual(clients.read_to_end(client), b" word\n")
        self.assertEqual(daemon.await_end(ostler.scaled(3)).status, 0)

    def test_what_still_runs_is_listed_during_the_stop(self):
        daemon = self.late(mixin="threading")
        client = self.dial(daemon.address())
        self.ask_late(client, 1500)
        daemon.send_signal()
        ostler.wait_until(lambda: daemon.log().count("stopping on SIGTERM") == 3, ostler.scaled(1), "all stop")
        daemon.send_signal(signal.SIGUSR1)
        ostler.wait_until(lambda: "late: 1 live request" in daemon.log(), ostler.scaled(1), "it is listed")
        self.assertEqual(clients.read_to_end(client), b" word\n")
        self.assertEqual(daemon.await_end(ostler.scaled(3)).status, 0)

    def test_second_signal_ends_all_at_once(self):
        daemon = self.late(mixin="threading", workers=3, environment={"TSAN_OPTIONS": "atexit_sleep_ms=0"})
        group = [self.dial(daemon.address()) for _ in range(6)]
        self.assertEqual({self.ask_late(client) for client in group}, set(self.pids(daemon)))
        daemon.send_signal()
        daemon.send_signal(signal.SIGINT)
        self.assertEqual(daemon.await_end(ostler.scaled(2)).status, 0)

    def test_worker_that_does_not_end_is_killed_and_the_status_is_1(self):
        daemon = self.start({"echo": ostler.service("echo", "evented")}, stop_timeout=0)
        pids = self.pids(daemon)
        os.kill(pids[1], signal.SIGSTOP)
        daemon.send_signal()
        self.assertEqual(daemon.await_end(ostler.scaled(4)).status, 1)
        daemon.exit = daemon.exit._replace(status=0)
        self.assertRegex(daemon.log(), "error worker [12] does not end: killing it")
        self.assert_gone(*pids)


class Beside(Case):
    def test_forking_services_have_a_worker_beside_the_others(self):
        daemon = self.start({"live": ostler.service("late", "fibers"), "forks": ostler.service("late", "forking")},
                            program="greeterd")
        pids = self.pids(daemon)
        self.assertEqual(len(pids), 3)
        homes = {self.ask_late(self.dial(daemon.address("live"))) for _ in range(4)}
        self.assertEqual(len(homes), 2)
        client = self.dial(daemon.address("forks"))
        child = self.ask_late(client)
        [forker] = set(pids) - homes
        self.assertIn(child, ostler.children_of(forker))
        os.kill(forker, signal.SIGKILL)
        self.await_workers(daemon, 1, pids)
        self.ask_late(self.dial(daemon.address("forks")))
        self.assertIn("worker 3 died by signal 9; started again\n", daemon.log())

    def test_nothing_but_forking_services_have_one_worker(self):
        daemon = self.start({"forks": ostler.service("echo", "forking")}, workers=4)
        self.assertEqual(len(self.pids(daemon)), 1)
        self.crowd(daemon.address(), 3)

    def test_ready_lines_are_those_of_one_daemon(self):
        path = self.scratch() / "sock"
        daemon = self.start({"one": ostler.service("echo", "evented", "tcp:127.0.0.1:0", f"unix:{path}"),
                             "two": ostler.service("echo", "forking", "udp:127.0.0.1:0")})
        self.assertEqual([re.sub("[1-9][0-9]*$", "PORT", line) for line in daemon.ready_lines],
                         ["one tcp:127.0.0.1:PORT", f"one unix:{path}", "two udp:127.0.0.1:PORT", "ready", ""])
        self.assertEqual(daemon.stop().status, 0)
        self.assertFalse(path.exists())

    def test_daemons_own_process_serves_nothing(self):
        daemon = self.echo(2)
        before = sockets(daemon.pid)
        self.crowd(daemon.address(), 20)
        self.assertEqual(sockets(daemon.pid), before)

    def test_datagrams_that_were_dropped_are_told_of_by_those_who_were_there(self):
        daemon = self.echo(2, "evented", "udp:127.0.0.1:0")
        pids = self.pids(daemon)
        client = self.dial(daemon.address())
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        for _ in range(3000):
            client.send(b"x" * 1400)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        os.kill(pids[0], signal.SIGKILL)
        self.await_listening(daemon, 3)
        self.assertEqual(daemon.stop().status, 0)
        told = re.findall("warning (.*)echo: [0-9]+ datagrams dropped", daemon.log())
        self.assertLessEqual(len(told), 1, daemon.log())
        self.assertNotIn("", told)

    def test_udp_ports_are_known_in_all_workers(self):
        daemon = self.start({"ring": ostler.service("ring", "evented", "udp:127.0.0.1:0")}, program="greeterd")
        client = self.dial(daemon.address())
        port = b"%d" % daemon.address().port
        self.assertEqual({kinds.ask(client, port) for _ in range(20)}, {b"ours"})


class Settings(Case):
    def check(self, value):
        config = self.scratch() / "conf"
        config.write_text(f"log_level = \"info\"\nworkers = {value}\nservices = {{ echo = {{ handler = \"echo\" "
                          "listen = \"tcp:127.0.0.1:0\" } }\n")
        return config, run("-t", "-c", config)

    def test_numbers_up_to_64_are_good(self):
        for value in (0, 1, 2, 64):
            self.assertEqual(self.check(value)[1].status, 0, value)

    def test_others_are_refused_with_their_line(self):
        for value in (-1, 65, "true", '"2"', 1.5):
            config, ran = self.check(value)
            self.assertEqual(ran.status, 2, value)
            self.assertRegex(ran.errors, f"^{re.escape(str(config))}:2: workers .*from 0 to 64")

    def test_orders_with_a_balance_that_is_none_are_refused(self):
        config, _ = self.check(2)
        with socket.create_server(("127.0.0.1", 0)) as listener, open(config) as text:
            fd = listener.fileno()
            for head in (f"1,{fd},{fd}", f"0,{fd},{fd}", f"2,{fd},{fd}", f"1,{fd}", "1,x", "1,", "-1", "1,99999999999"):
                orders = f"{text.fileno()},{head}"
                ran = run("-c", config, f"--worker={os.getpid()},{orders}:::echo={listener.fileno()}",
                          pass_fds=[listener.fileno(), text.fileno()])
                self.assertNotEqual(ran.status, 0, ran.errors)

    def test_orders_with_names_that_are_none_are_refused(self):
        config, _ = self.check(2)
        with socket.create_server(("127.0.0.1", 0)) as listener, open(config) as text:
            for names in ("x", "2", "2F", "2f,", ",2f", "2f2", "2f" * 109):
                ran = run("-c", config, f"--worker={os.getpid()},{text.fileno()},1::{names}:echo={listener.fileno()}",
                          pass_fds=[listener.fileno(), text.fileno()])
                self.assertEqual(ran.status, 2, ran.errors)
                self.assertIn("--worker is for the daemon's own use", ran.errors)


if __name__ == "__main__":
    unittest.main()
