"""Forking services run in a process of their own, the worker: it may die, it is started
again, and nobody else notices; it stops with the daemon, and never outlives it."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import kinds  # noqa: E402
import ostler  # noqa: E402
from test_config import run  # noqa: E402

BACK_WITHIN = 0.1


def zombies_of(pid):
    return [child for child in ostler.children_of(pid) if not ostler.is_alive(child)]


class Case(ostler.TestCase):
    def start(self, mixin="forking", handler="late", *listen, **settings):
        """greeterd with two services: live, evented, and forks."""
        return self.start_daemon({"live": ostler.service("whole", "evented"),
                                  "forks": ostler.service(handler, mixin, *listen, **settings)}, program="greeterd",
                                 **self.globals)

    globals = {}

    def echo(self, **settings):
        """ostlerd with an evented and a forking echo."""
        return self.start_daemon({"live": ostler.service("echo", "evented"),
                                  "forks": ostler.service("echo", "forking", **settings)}, **self.globals)

    def late(self, daemon, ms=0):
        """A client of late, in the middle of an answer that takes so many milliseconds;
        and the pid of the child that answers."""
        client = self.connect(daemon, "forks")
        client.sendall(b"%d word\n" % ms)
        pid = b""
        while not pid.endswith(b" "):
            pid += client.recv(1)
        return client, int(pid)

    def assert_gone(self, *pids, within=2):
        ostler.wait_until(lambda: not any(ostler.is_alive(pid) for pid in pids), ostler.scaled(within),
                          f"the processes {pids} have ended")

    def assert_group_gone(self, leader):
        """What was killed with the worker may take a moment."""
        ostler.wait_until(lambda: not ostler.group_of(leader), ostler.scaled(0.5), f"nobody is left of group {leader}")

    def assert_failed(self, daemon, seconds):
        """It ends with 1, and a test that wants that is not over with it."""
        self.assertEqual(daemon.await_end(ostler.scaled(seconds)).status, 1)
        daemon.exit = daemon.exit._replace(status=0)

    def kill_worker(self, daemon, number=signal.SIGKILL):
        """Its pid, which no longer is."""
        pid = daemon.worker()
        os.kill(pid, number)
        return pid


class Processes(Case):
    def test_forking_services_run_in_children_of_the_one_worker_of_the_daemon(self):
        daemon = self.start()
        worker = daemon.worker()
        client, child = self.late(daemon)
        self.assertEqual(ostler.children_of(daemon.pid), [worker])
        self.assertEqual(ostler.children_of(worker), [child])
        self.assertEqual(os.getpgid(worker), worker)
        self.assertEqual(os.getpgid(child), worker)
        self.assertEqual(pathlib.Path(f"/proc/{worker}/comm").read_text(), "greeterd\n")
        client.close()

    def test_daemon_without_forking_services_has_no_worker(self):
        daemon = self.start_daemon({"echo": ostler.service("echo", "threading")})
        self.assertEqual(ostler.children_of(daemon.pid), [])

    def test_file_with_nothing_but_forking_services_will_do(self):
        daemon = self.start_daemon({"echo": ostler.service("echo", "forking")})
        self.assertEqual(clients.ask(self.connect(daemon), b"hello\n"), b"hello\n")
        self.kill_worker(daemon)
        self.assertEqual(clients.ask(self.connect(daemon), b"hello\n"), b"hello\n")

    def test_ready_lines_have_all_services_in_the_files_order_with_their_real_ports(self):
        path = self.scratch() / "sock"
        daemon = self.start_daemon({
            "one": ostler.service("half", "forking", "tcp:127.0.0.1:0", "udp:127.0.0.1:0"),
            "two": ostler.service("whole", "evented", "udp:127.0.0.1:0"),
            "three": ostler.service("late", "forking", f"unix:{path}", "tcp:127.0.0.1:0"),
        }, program="greeterd")
        self.assertEqual([re.sub("[1-9][0-9]*$", "PORT", line) for line in daemon.ready_lines], [
            "one tcp:127.0.0.1:PORT", "one udp:127.0.0.1:PORT", "two udp:127.0.0.1:PORT", f"three unix:{path}",
            "three tcp:127.0.0.1:PORT", "ready", ""])
        for name, number, word in (("one", 1, b"others"), ("two", 0, b"others")):
            with kinds.dial(daemon.addresses[name][number]) as client:
                self.assertEqual(kinds.ask(client, b"1"), word)
        for number in (0, 1):
            with kinds.dial(daemon.addresses["three"][number]) as client:
                client.sendall(b"0 word\n")
                client.shutdown(socket.SHUT_WR)
                self.assertRegex(clients.read_to_end(client), b"^[0-9]+  word\n$")

    def test_unix_socket_has_the_mode_of_the_file_whoever_serves_it(self):
        directory = self.scratch()
        self.start_daemon({mixin: ostler.service("echo", mixin, f"unix:{directory}/{mixin}", socket_mode=mode)
                           for mixin, mode in (("evented", "0600"), ("threading", "660"), ("forking", "0620"))})
        self.assertEqual({path.name: oct(path.stat().st_mode & 0o7777) for path in directory.iterdir()},
                         {"evented": "0o600", "threading": "0o660", "forking": "0o620"})

    def test_inherited_sockets_are_served_by_the_worker_and_by_the_next_one(self):
        with socket.create_server(("127.0.0.1", 0)) as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(("127.0.0.1", 0))
            fds = [stream.fileno(), datagrams.fileno()]
            config = self.scratch() / "conf"
            config.write_text(ostler.config_text({"services": {"one": ostler.service(
                "half", "forking", *(f"fd:{fd}" for fd in fds))}}))
            process = ostler.spawn([ostler.BIN / "greeterd", "-c", config, "--ready-fd=1"], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, pass_fds=fds)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            self.assertEqual(process.stdout.read().decode().splitlines(), [
                "one tcp:127.0.0.1:%d" % stream.getsockname()[1], "one udp:127.0.0.1:%d" % datagrams.getsockname()[1],
                "ready"])
            process.stdout.close()
            for _ in range(2):
                with kinds.dial(kinds.UdpAddress(*datagrams.getsockname())) as client:
                    self.assertEqual(kinds.ask(client, b"%d" % datagrams.getsockname()[1]), b"ours")
                with clients.connect(stream.getsockname()) as client:
                    client.sendall(b"1")
                    self.assertEqual(clients.read_to_end(client), b"others")
                [worker] = ostler.children_of(process.pid)
                os.kill(worker, signal.SIGKILL)
                self.assert_gone(worker)

    def test_worker_has_the_sockets_of_its_services_and_no_others(self):
        def sockets(pid):
            links = (os.readlink(path) for path in pathlib.Path(f"/proc/{pid}/fd").iterdir())
            return {link for link in links if link.startswith("socket:")}

        daemon = self.echo()
        client = self.connect(daemon, "live")
        clients.ask(client, b"hello\n")
        other = daemon.await_worker(other_than=self.kill_worker(daemon))
        clients.ask(self.connect(daemon, "forks"), b"hello\n")  # it has started
        held = sockets(daemon.pid) & sockets(other)
        self.assertEqual(len(held), 1)
        self.assertNotIn("memfd", str([os.readlink(path) for path in pathlib.Path(f"/proc/{other}/fd").iterdir()]))

    def test_udp_ports_of_all_services_are_known_in_all_processes(self):
        services = {
            "evented": ostler.service("whole", "evented", "udp:127.0.0.1:0", "tcp:127.0.0.1:0"),
            "threads": ostler.service("whole", "threading", "udp:*:0"),
            "forks": ostler.service("whole", "forking", "udp:127.0.0.1:0", "udp:127.0.0.2:0"),
            "more": ostler.service("half", "forking", "udp:127.0.0.1:0"),
        }
        daemon = self.start_daemon(services, program="greeterd")
        udp = [address for name in services for address in daemon.addresses[name] if kinds.is_datagram(address)]
        [tcp] = [address for address in daemon.addresses["evented"] if not kinds.is_datagram(address)]
        ports = {address.port for address in udp}
        self.kill_worker(daemon)
        for address in udp:
            if address.host != "::":
                with kinds.dial(address._replace(host="127.0.0.1" if address.host == "0.0.0.0" else address.host)) as c:
                    self.assertEqual({kinds.ask(c, b"%d" % port) for port in ports}, {b"ours"})
                    self.assertEqual(kinds.ask(c, b"%d" % tcp.port), b"ours" if tcp.port in ports else b"others")
                    self.assertEqual({kinds.ask(c, text) for text in (b"0", b"1", b"65536", b"-1")}, {b"others"})

    def test_never_more_children_than_max_requests_and_no_zombie_stays(self):
        daemon = self.echo(max_requests=4)
        worker = daemon.worker()
        most = 0
        with clients.Fleet(daemon.address("forks"), 4) as inside:
            inside.ping_pong(1, 10)
            with clients.Fleet(daemon.address("forks"), 8) as waiting:
                most = len(ostler.children_of(worker))
                self.assertEqual(most, 4)
                while inside.clients:
                    inside.drop(inside.clients[0])
                waiting.run(lambda: True, 1)
        for _ in range(100):
            client = self.connect(daemon, "forks")
            clients.ask(client, b"hello\n")
            most = max(most, len(ostler.children_of(worker)))
            client.close()
        self.assertLessEqual(most, 4)
        ostler.wait_until(lambda: ostler.children_of(worker) == [], ostler.scaled(1), "all children are reaped")
        self.assertEqual(ostler.children_of(daemon.pid), [worker])


class Deaths(Case):
    longest = 120

    def load(self, address, count):
        """Clients that ask one question after another, each on a connection of its own. Stop
        them with the event; they must not have got a wrong answer."""
        def ask_all():
            while not stop.is_set():
                with contextlib.suppress(ConnectionError, TimeoutError), clients.connect(address) as client:
                    answer = clients.ask(client, b"a question\n")
                    if not b"a question\n".startswith(answer):
                        wrong.append(answer)

        stop, wrong = threading.Event(), []
        threads = [threading.Thread(target=ask_all) for _ in range(count)]
        for thread in threads:
            thread.start()

        def end():
            stop.set()
            for thread in threads:
                thread.join()
            self.assertEqual(wrong, [])

        self.addCleanup(end)
        return end

    def seconds_until_served(self, daemon):
        begin = time.monotonic()
        with clients.connect(daemon.address("forks")) as client:
            self.assertEqual(clients.ask(client, b"hello\n"), b"hello\n")
        return time.monotonic() - begin

    def test_worker_killed_20_times_under_load_is_back_each_time_and_others_do_not_notice(self):
        daemon = self.echo()
        others = self.connect(daemon, "live")
        end = self.load(daemon.address("forks"), 3)
        pid, times = None, []
        for number in range(20):
            pid = daemon.await_worker(other_than=pid)
            self.seconds_until_served(daemon)
            os.kill(pid, signal.SIGKILL)
            self.assert_gone(pid)
            times.append(self.seconds_until_served(daemon))
            self.assertEqual(clients.ask(others, b"line %d\n" % number), b"line %d\n" % number)
        end()
        self.assertLess(max(times), ostler.scaled(BACK_WITHIN), times)
        self.assertEqual(daemon.log().count("worker died by signal 9; started again\n"), 20)
        self.assert_group_gone(pid)
        self.assertEqual(zombies_of(daemon.pid), [])

    def test_children_of_a_worker_that_died_are_killed(self):
        daemon = self.start(handler="deaf")
        running = [self.connect(daemon, "forks") for _ in range(3)]
        for client in running:
            self.assertEqual(clients.read_exactly(client, 5), b"deaf\n")
        worker = daemon.worker()
        children = ostler.children_of(worker)
        self.assertEqual(len(children), 3)
        self.kill_worker(daemon)
        self.assert_gone(worker, *children)
        for client in running:
            self.assertTrue(clients.ended(client, ostler.scaled(1)))
        daemon.await_worker(other_than=worker)

    def test_clients_that_connect_while_there_is_no_worker_wait_for_the_next_one(self):
        daemon = self.echo()
        os.kill(daemon.worker(), signal.SIGSTOP)
        waiting = [self.connect(daemon, "forks") for _ in range(5)]
        for client in waiting:
            client.sendall(b"hello\n")
        self.kill_worker(daemon)
        for client in waiting:
            self.assertEqual(clients.read_exactly(client, 6), b"hello\n")

    def test_service_is_the_same_although_the_file_was_changed_or_deleted_meanwhile(self):
        daemon = self.start(handler="greet", greeting="good day")
        answer = b"good day 10 0.5 low\n"
        self.assertEqual(clients.read_to_end(self.connect(daemon, "forks")), answer)
        for change in (lambda: daemon.config.write_text("nonsense {"), daemon.config.unlink):
            change()
            pid = self.kill_worker(daemon)
            self.assert_gone(pid)
            self.assertEqual(clients.read_to_end(self.connect(daemon, "forks")), answer)

    def test_worker_that_gets_nowhere_is_started_again_later_and_later(self):
        daemon = self.echo()
        others = self.connect(daemon, "live")
        pid = None
        for number in range(8):
            pid = daemon.await_worker(other_than=pid)
            os.kill(pid, signal.SIGABRT)
            self.assert_gone(pid)
        pid = daemon.await_worker(other_than=pid)
        lines = re.findall("worker (died by signal 6; started again.*)", daemon.log())
        again = "died by signal 6; started again"
        self.assertEqual(lines, [again] * 5 + [f"{again} in {delay} s" for delay in ("0.1", "0.2", "0.4")])
        self.assertEqual(clients.ask(others, b"hello\n"), b"hello\n")
        self.assertEqual(clients.ask(self.connect(daemon, "forks"), b"hello\n"), b"hello\n")

    def test_one_that_served_for_a_second_is_a_new_beginning(self):
        daemon = self.echo()
        pid = None
        for number in range(6):
            pid = daemon.await_worker(other_than=pid)
            os.kill(pid, signal.SIGABRT)
            self.assert_gone(pid)
        pid = daemon.await_worker(other_than=pid)
        self.assertIn("started again in 0.1 s", daemon.log())
        daemon.stays_alive(1.1)
        os.kill(pid, signal.SIGABRT)
        self.assert_gone(pid)
        self.assertLess(self.seconds_until_served(daemon), ostler.scaled(BACK_WITHIN))
        self.assertTrue(daemon.log().count("worker died by signal 6; started again\n") >= 6)

    def test_stop_need_not_wait_for_a_start_that_is_put_off(self):
        daemon = self.echo()
        pid = None
        for number in range(9):
            pid = daemon.await_worker(other_than=pid)
            os.kill(pid, signal.SIGABRT)
            self.assert_gone(pid)
        ostler.wait_until(lambda: "in 0.8 s" in daemon.log(), ostler.scaled(2), "a start is put off")
        daemon.send_signal()
        self.assertEqual(daemon.await_end(ostler.scaled(0.5)).status, 0)

    def test_program_that_cannot_be_executed_again_for_a_while_is_when_it_can(self):
        program = self.scratch() / "ostlerd"
        program.write_bytes((ostler.BIN / "ostlerd").read_bytes())
        program.chmod(0o700)
        daemon = self.start_daemon({"live": ostler.service("echo", "evented"),
                                    "forks": ostler.service("echo", "forking")}, program=program)
        others = self.connect(daemon, "live")
        program.chmod(0)
        self.kill_worker(daemon)
        ostler.wait_until(lambda: "cannot be started: Permission denied; started again in 0.2 s" in daemon.log(),
                          ostler.scaled(5), "the worker cannot be started")
        self.assertEqual(clients.ask(others, b"hello\n"), b"hello\n")
        program.chmod(0o700)
        self.assertEqual(clients.ask(self.connect(daemon, "forks"), b"hello\n"), b"hello\n")

    def test_ignored_children_are_heeded_all_the_same(self):
        daemon = self.start_daemon({"forks": ostler.service("echo", "forking")},
                                   prefix=[ostler.tool("sh"), "-c", 'trap "" CHLD; exec "$@"', "sh"])
        pid = self.kill_worker(daemon)
        self.assert_gone(pid)
        self.assertEqual(clients.ask(self.connect(daemon), b"hello\n"), b"hello\n")
        self.assertIn("worker died by signal 9; started again", daemon.log())


# What a system's first process is, too: others' orphans become its children.
AS_SUBREAPER = [sys.executable, "-c", "import ctypes, os, sys; PR_SET_CHILD_SUBREAPER = 36; "
                "ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1); os.execv(sys.argv[1], sys.argv[1:])"]


class Orphans(Case):
    def start(self, handler):
        return self.start_daemon({"forks": ostler.service(handler, "forking")}, program="greeterd",
                                 prefix=AS_SUBREAPER)

    def test_they_leave_no_zombies(self):
        daemon = self.start("orphan")
        worker = daemon.worker()
        for _ in range(20):
            self.assertEqual(clients.read_to_end(self.connect(daemon)), b"left\n")
        ostler.wait_until(lambda: ostler.children_of(daemon.pid) == [worker], ostler.scaled(5), "orphans are reaped")
        self.assertEqual(daemon.stop().status, 0)

    def test_those_that_live_do_not_put_off_the_next_worker(self):
        daemon = self.start("late")
        _, child = self.late(daemon, 100000)
        worker = self.kill_worker(daemon)
        self.late(daemon)
        ostler.wait_until(lambda: not {worker, child} & set(ostler.children_of(daemon.pid)), ostler.scaled(5),
                          "the worker and its child are reaped")
        self.assertEqual(len(ostler.children_of(daemon.pid)), 1)


class Stops(Case):
    def test_answer_that_a_child_is_giving_is_completed(self):
        daemon = self.start()
        client, child = self.late(daemon, 500)
        worker = daemon.worker()
        daemon.send_signal()
        self.assertEqual(clients.read_to_end(client), b" word\n")
        self.assertEqual(daemon.await_end(ostler.scaled(2)).status, 0)
        self.assert_group_gone(worker)

    def test_new_clients_are_refused_and_the_path_is_gone_while_a_child_still_answers(self):
        path = self.scratch() / "sock"
        daemon = self.start("forking", "late", ostler.LOOPBACK4, f"unix:{path}")
        client, _ = self.late(daemon, 1500)
        daemon.send_signal()
        ostler.wait_until(lambda: self.is_refused(daemon), ostler.scaled(1), "new connections are refused")
        ostler.wait_until(lambda: not path.exists(), ostler.scaled(1), "the socket's file is removed")
        self.assertFalse(clients.hears_something(client, 0))
        self.assertEqual(clients.read_to_end(client), b" word\n")
        self.assertEqual(daemon.await_end(ostler.scaled(2)).status, 0)

    def is_refused(self, daemon):
        try:
            clients.connect(daemon.address("forks")).close()
            return False
        except ConnectionResetError:
            return False
        except ConnectionRefusedError:
            return True

    def test_child_that_does_not_end_is_killed_after_stop_timeout(self):
        daemon = self.start_daemon({"forks": ostler.service("deaf", "forking")}, program="greeterd", stop_timeout=0.3)
        client = self.connect(daemon)
        self.assertEqual(clients.read_exactly(client, 5), b"deaf\n")
        worker = daemon.worker()
        begin = time.monotonic()
        self.assertEqual(daemon.stop(seconds=0.3 + ostler.scaled(1.5)).status, 0)
        self.assertGreater(time.monotonic() - begin, 0.25)
        self.assert_group_gone(worker)

    def test_second_signal_ends_worker_and_children_at_once(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            daemon = self.start(handler="deaf")
            self.assertEqual(clients.read_exactly(self.connect(daemon, "forks"), 5), b"deaf\n")
            worker = daemon.worker()
            daemon.send_signal()
            ostler.wait_until(lambda: "worker: stopping on SIGTERM" in daemon.log(), ostler.scaled(1), "it stops")
            self.assertEqual(daemon.stop(number, ostler.scaled(1)).status, 0)
            self.assert_group_gone(worker)

    def test_two_signals_in_a_row_are_two_for_the_worker_too(self):
        daemon = self.start(handler="deaf")
        self.assertEqual(clients.read_exactly(self.connect(daemon, "forks"), 5), b"deaf\n")
        daemon.send_signal(signal.SIGTERM)
        daemon.send_signal(signal.SIGINT)
        self.assertEqual(daemon.await_end(ostler.scaled(1)).status, 0)

    def test_worker_that_does_not_stop_is_killed_and_the_status_is_1(self):
        daemon = self.start_daemon({"forks": ostler.service("late", "forking")}, program="greeterd", stop_timeout=0)
        client, child = self.late(daemon, 100000)
        worker = daemon.worker()
        os.kill(worker, signal.SIGSTOP)
        daemon.send_signal()
        self.assert_failed(daemon, 4)
        self.assertIn("worker does not end: killing it", daemon.log())
        self.assert_group_gone(worker)
        self.assertFalse(ostler.is_alive(child))

    def test_worker_that_dies_during_a_stop_is_not_started_again_and_the_status_is_1(self):
        daemon = self.start()
        self.late(daemon, 3000)
        worker = daemon.worker()
        daemon.send_signal()
        ostler.wait_until(lambda: "worker: stopping on SIGTERM" in daemon.log(), ostler.scaled(1), "it stops")
        os.kill(worker, signal.SIGKILL)
        self.assert_failed(daemon, 1)
        self.assertRegex(daemon.log(), "error worker died by signal 9\n")
        self.assert_group_gone(worker)

    def held(self, **settings):
        """A daemon whose loop is held, and whose worker is free."""
        services = {"one": ostler.service("hold", "evented"), "forks": ostler.service("late", "forking")}
        daemon = self.start_daemon(services, program="greeterd", **settings,
                                   environment={"TSAN_OPTIONS": "report_thread_leaks=0"})  # it gives up, and says so
        self.connect(daemon, "one").sendall(b"x")
        ostler.wait_until(lambda: "holding the loop" in daemon.log(), ostler.scaled(5), "the loop is held")
        return daemon

    def test_worker_stops_gracefully_although_the_loop_of_the_daemon_is_held(self):
        daemon = self.held()
        client, _ = self.late(daemon, 500)
        worker = daemon.worker()
        daemon.send_signal()
        self.assertEqual(clients.read_to_end(client), b" word\n")
        self.assert_gone(worker)
        daemon.send_signal()
        self.assert_failed(daemon, 1)

    def test_held_loop_of_the_daemon_does_not_keep_the_worker(self):
        daemon = self.held(stop_timeout=0)
        worker = daemon.worker()
        daemon.send_signal()
        self.assert_failed(daemon, 4)
        self.assert_gone(worker, within=0.5)

    def test_thread_that_does_not_end_does_not_keep_the_worker(self):
        daemon = self.start_daemon({"one": ostler.service("deaf", "threading"), "two": ostler.service("deaf", "forking")},
                                   program="greeterd", stop_timeout=0.2)
        for name in ("one", "two"):
            self.assertEqual(clients.read_exactly(self.connect(daemon, name), 5), b"deaf\n")
        worker = daemon.worker()
        daemon.send_signal()
        self.assert_failed(daemon, 2)
        self.assert_group_gone(worker)

    def test_signal_while_the_worker_starts_stops_it_too(self):
        for _ in range(20):
            config = self.scratch() / "conf"
            config.write_text(ostler.config_text({"services": {"one": ostler.service("late", "forking")}}))
            process = ostler.spawn([ostler.BIN / "greeterd", "-c", config], stderr=subprocess.PIPE)
            ostler.wait_until(lambda: ostler.children_of(process.pid) or process.poll() is not None,
                              ostler.scaled(5), "the worker is started")
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=ostler.scaled(5))
            self.assertEqual(process.returncode, 0, log)


class DaemonsDeath(Case):
    def die(self, daemon):
        """Kill the daemon, which is what the test is about, with -9."""
        daemon.process.kill()
        daemon.wait(ostler.scaled(5))
        daemon.exit = ostler.Exit(0, 0.0)

    def test_worker_and_idle_children_end_with_the_daemon(self):
        daemon = self.echo()
        client = self.connect(daemon, "forks")
        clients.ask(client, b"hello\n")
        worker = daemon.worker()
        [child] = ostler.children_of(worker)
        self.die(daemon)
        self.assertTrue(clients.ended(client, ostler.scaled(1)))
        client.close()
        self.assert_gone(worker, child)

    def test_answer_that_a_child_is_giving_is_completed_all_the_same(self):
        daemon = self.start()
        client, child = self.late(daemon, 500)
        worker = daemon.worker()
        self.die(daemon)
        self.assertEqual(clients.read_to_end(client), b" word\n")
        self.assert_gone(worker, child)

    def test_another_daemon_can_have_the_port_at_once(self):
        daemon = self.start()
        client, _ = self.late(daemon, 1000)
        self.die(daemon)
        ostler.wait_until(lambda: "worker: stopping" in daemon.log(), ostler.scaled(1), "the worker stops")
        address = daemon.address("forks")
        other = self.start("forking", "late", f"tcp:{address.host}:{address.port}")
        with clients.connect(other.address("forks")) as new:
            new.sendall(b"0 new\n")
            new.shutdown(socket.SHUT_WR)
            self.assertIn(b"new", clients.read_to_end(new))
        self.assertEqual(clients.read_to_end(client), b" word\n")


class Failures(Case):
    def start_badly(self, services, program="greeterd", prefix=()):
        """Status and log of a daemon that ends by itself."""
        config = self.scratch() / "conf"
        config.write_text(ostler.config_text({"services": services}))
        process = ostler.spawn([*prefix, ostler.BIN / program, "-c", config, "--ready-fd=1"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        ready, log = process.communicate(timeout=ostler.scaled(5))
        self.assertEqual(ready, b"", log)
        return process.returncode, log.decode()

    def test_port_that_is_taken_ends_it_with_1_and_leaves_nothing_behind(self):
        path = self.scratch() / "sock"
        for mixin in ("forking", "threading"):
            with self.subTest(mixin=mixin), socket.create_server(("127.0.0.1", 0)) as taken:
                status, log = self.start_badly({
                    "one": ostler.service("late", "forking", f"unix:{path}"),
                    "two": ostler.service("late", mixin, "tcp:127.0.0.1:%d" % taken.getsockname()[1])})
                self.assertEqual(status, 1)
                self.assertRegex(log, "error two: .*in use")
                self.assertNotIn("worker", log)
            self.assertEqual(list(path.parent.iterdir()), [])

    def test_directory_that_is_missing_ends_it_with_1(self):
        status, log = self.start_badly({"one": ostler.service("late", "forking", f"unix:{self.scratch()}/no/sock")})
        self.assertEqual(status, 1)
        self.assertRegex(log, "error one: cannot .*/no/sock: No such file")

    def test_worker_that_is_never_ready_ends_it_with_1(self):
        # To the kernel the program is then the linker, which can make nothing of a worker's arguments.
        headers = clients.run([ostler.tool("readelf"), "-l", ostler.BIN / "greeterd"]).decode()
        linker = re.search(r"interpreter: (.*)\]", headers)[1]
        path = self.scratch() / "sock"
        status, log = self.start_badly({"one": ostler.service("late", "forking", f"unix:{path}"),
                                        "two": ostler.service("late", "threading")}, prefix=[linker])
        self.assertEqual(status, 1)
        self.assertRegex(log, r"error worker ended with status \d+ before it was ready")
        self.assertIn("before it was ready", log.splitlines()[-1])  # there is no more to say
        self.assertNotIn("two: listening", log)
        self.assertEqual(list(path.parent.iterdir()), [])

    def test_orders_that_are_none_are_refused(self):
        config = self.scratch() / "conf"
        config.write_text(ostler.config_text({"services": {"one": ostler.service("late", "forking"),
                                                           "two": ostler.service("late", "threading")}}))
        for orders in ("", "x", "1", "1,3", "1,77:", "1,77::", "1,77::one=", "1,77::one=3,", "1,77::one=x", ":::",
                       "1,77::one=3:", "1,77::none=3", "1,77::two=3", "1,77::one=3:one=3", "1,77:x:one=3",
                       "1,77:70000:one=3", "1,77:1,:one=3", "-1,77::one=3", "99999999999,77::one=3", "1,77::one=2",
                       "1,77::one=99999999999", "1,2::one=3", "," * 1000, "1,77::" + "one=3:" * 1000):
            with self.subTest(orders=orders[:40]):
                ran = run("-c", config, f"--worker={orders}", program="greeterd")
                self.assertEqual((ran.status, ran.ready), (2, b""), ran.errors)
                self.assertIn("--worker is for the daemon's own use", ran.errors)


if __name__ == "__main__":
    unittest.main()
