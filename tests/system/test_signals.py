"""Signals from outside: which of them stop a daemon, to whichever of its processes they are sent, and
which do nothing to it."""

import contextlib
import os
import pathlib
import signal
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
KINDS = (("threading", {}), ("forking", {}), ("threading", {"workers": 2}))


class Case(ostler.TestCase):
    longest = 120

    def late(self, mixin, **settings):
        """greeterd, which answers a line after the time that it asks for."""
        return self.start_daemon({"late": ostler.service("late", mixin)}, program="greeterd", **settings)

    def ask(self, daemon, ms):
        """A client in the middle of such an answer."""
        client = self.connect(daemon)
        client.sendall(b"%d word\n" % ms)
        self.assertRegex(clients.read_exactly(client, 1), rb"\d")
        return client


class ToAllProcesses(Case):
    def test_answer_that_is_being_given_is_completed(self):
        for number in STOPS:
            for mixin, settings in KINDS:
                with self.subTest(number=number.name, mixin=mixin, **settings):
                    daemon = self.late(mixin, **settings)
                    client = self.ask(daemon, 500)
                    everybody = daemon.processes()
                    for pid in everybody:
                        with contextlib.suppress(ProcessLookupError):  # a worker that has nothing to do ends at once
                            os.kill(pid, number)
                    self.assertRegex(clients.read_to_end(client), rb"^\d*  word\n$")
                    self.assertEqual(daemon.await_end(ostler.scaled(3)).status, 0)
                    self.assertFalse(any(map(ostler.is_alive, everybody)))

    @ostler.unless_sanitized  # the sanitizer traces at the end, and strace does already
    def test_one_that_a_worker_gets_before_the_daemon_is_no_failure(self):
        for mixin, settings in KINDS[1:]:
            with self.subTest(mixin=mixin, **settings):
                daemon = self.late(mixin, **settings)
                self.delay(daemon, "access", "faccessat", "faccessat2")  # by which it looks for its program
                os.kill(min(ostler.children_of(daemon.pid)), signal.SIGTERM)
                ostler.wait_until(lambda: "ended with status 0; started again" in daemon.log(), ostler.scaled(5),
                                  "the next one is about to be started")
                daemon.send_signal()
                self.assertEqual(daemon.await_end(ostler.scaled(5)).status, 0)
                self.assertNotIn("cannot be started", daemon.log())

    def test_worker_alone_that_is_stopped_completes_its_answers_and_is_followed_by_another(self):
        for number in STOPS:
            for mixin, settings in KINDS[1:]:
                with self.subTest(number=number.name, mixin=mixin, **settings):
                    daemon = self.late(mixin, **settings)
                    client = self.ask(daemon, 500)
                    workers = ostler.children_of(daemon.pid)
                    for pid in workers:
                        os.kill(pid, number)
                    self.assertRegex(clients.read_to_end(client), rb"^\d*  word\n$")
                    ostler.wait_until(lambda: len(set(ostler.children_of(daemon.pid)) - set(workers)) == len(workers),
                                      ostler.scaled(5), "others are started")
                    self.ask(daemon, 0)


class HangUp(Case):
    def test_it_stops_the_daemon_which_removes_its_socket_files(self):
        for mixin, settings in KINDS:
            with self.subTest(mixin=mixin, **settings):
                path = self.scratch() / "sock"
                daemon = self.start_daemon({"echo": ostler.service("echo", mixin, f"unix:{path}")}, **settings)
                self.assertTrue(path.exists())
                self.assertEqual(daemon.stop(signal.SIGHUP).status, 0)
                self.assertIn("info stopping on SIGHUP\n", daemon.log())
                self.assertFalse(path.exists())

    def test_one_that_was_ignored_when_the_daemon_was_started_does_nothing(self):
        for mixin, settings in KINDS:
            with self.subTest(mixin=mixin, **settings):
                daemon = self.late(mixin, prefix=[ostler.tool("sh"), "-c", 'trap "" HUP; exec "$@"', "sh"], **settings)
                client = self.ask(daemon, 300)
                everybody = daemon.processes()
                for pid in everybody:
                    os.kill(pid, signal.SIGHUP)
                client.shutdown(socket.SHUT_WR)
                self.assertRegex(clients.read_to_end(client), rb"^\d*  word\n$")
                self.ask(daemon, 0)
                self.assertNotIn("stopping", daemon.log())
                self.assertLessEqual({daemon.pid, *ostler.children_of(daemon.pid)}, set(everybody))


if __name__ == "__main__":
    unittest.main()
