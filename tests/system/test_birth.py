"""How a worker comes to be ready, or dies before: whatever else the program starts, and however little the system has
left for the daemon."""

import os
import pathlib
import signal
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402


class Helpers(ostler.TestCase):
    """Processes that the program starts before it is a worker, and that outlive it."""

    def test_worker_that_fails_before_it_is_ready_ends_the_daemon_all_the_same(self):
        directory = self.scratch()
        (directory / "fails").touch()
        config = directory / "conf"
        config.write_text(ostler.config_text({"services": {"late": ostler.service("late", "forking")}}))
        with open(directory / "log", "wb") as log:
            process = ostler.spawn([ostler.BIN / "greeterd", "-c", config], stderr=log, env={
                **os.environ, "GREETERD_HELPER": "1", "GREETERD_FAILS": str(directory / "fails")})
        self.addCleanup(process.kill)
        self.assertEqual(process.wait(ostler.scaled(5)), 1)
        self.assertIn("worker ended with status 1 before it was ready", (directory / "log").read_text())

    def test_worker_that_fails_later_is_started_again_until_it_is_ready(self):
        fails = self.scratch() / "fails"
        daemon = self.start_daemon({"late": ostler.service("late", "forking")}, program="greeterd",
                                   environment={"GREETERD_HELPER": "1", "GREETERD_FAILS": str(fails)})
        fails.touch()
        os.kill(daemon.worker(), signal.SIGKILL)
        ostler.wait_until(lambda: "ended with status 1; started again" in daemon.log(), ostler.scaled(5), "it fails")
        fails.unlink()
        client = self.connect(daemon)
        client.sendall(b"0 word\n")
        self.assertRegex(clients.read_exactly(client, 1), rb"\d")


class Unheard(ostler.TestCase):
    def test_worker_that_cannot_say_that_it_is_ready_ends(self):
        directory = self.scratch()
        config = directory / "conf"
        config.write_text(ostler.config_text({"services": {"echo": ostler.service("echo", "forking")}}))
        with socket.create_server(("127.0.0.1", 0)) as listener, open(config) as text, \
                open("/dev/full", "wb", buffering=0) as full, open(directory / "log", "wb") as log:
            fds = [listener.fileno(), text.fileno(), full.fileno()]
            process = ostler.spawn([ostler.BIN / "ostlerd", "-c", config, f"--ready-fd={fds[2]}",
                                    f"--worker={os.getpid()},{fds[1]},0:::echo={fds[0]}"], stderr=log, pass_fds=fds)
            self.addCleanup(process.kill)
            self.assertEqual(process.wait(ostler.scaled(5)), 1)
        self.assertRegex((directory / "log").read_text(),
                         "cannot write to the descriptor of --ready-fd: No space left on device\n.*"
                         "ostlerd ends: No space left on device\n")


class Killed(ostler.TestCase):
    @ostler.unless_sanitized
    def test_worker_that_is_killed_before_it_is_in_its_group_leaves_no_zombie(self):
        daemon = self.start_daemon({"echo": ostler.service("echo", "evented")}, workers=1)
        first = daemon.worker()
        self.delay(daemon, "setpgid")
        os.kill(first, signal.SIGKILL)
        second = daemon.await_worker(other_than=first)
        os.kill(second, signal.SIGKILL)
        ostler.wait_until(lambda: not {first, second} & set(ostler.children_of(daemon.pid)), ostler.scaled(5),
                          "both are reaped")
        self.assertEqual(clients.ask(self.connect(daemon), b"hello\n"), b"hello\n")


class Lacks(ostler.TestCase):
    def test_worker_is_started_again_although_clients_of_another_service_hold_all_descriptors(self):
        daemon = self.start_daemon({"live": ostler.service("echo", "evented"),
                                    "forks": ostler.service("echo", "forking")},
                                   prefix=[ostler.tool("prlimit"), "--nofile=40"])
        crowd = [self.connect(daemon, "live") for _ in range(60)]
        ostler.wait_until(lambda: daemon.descriptors(daemon.pid) == 40, ostler.scaled(5), "it has no more descriptors")
        for _ in range(3):
            worker = daemon.worker()
            os.kill(worker, signal.SIGKILL)
            self.assertEqual(clients.ask(self.connect(daemon, "forks"), b"hello\n"), b"hello\n")
            daemon.await_worker(other_than=worker)
        self.assertEqual(clients.ask(crowd[0], b"hello\n"), b"hello\n")


if __name__ == "__main__":
    unittest.main()
