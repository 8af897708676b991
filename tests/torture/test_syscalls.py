"""What a request costs in system calls, counted by strace on a daemon that is at work."""

import collections
import pathlib
import re
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402

REQUESTS = 1000
HANDFUL = 10  # for the attaching and detaching, whatever the number of requests
WAIT = ("epoll_wait", "epoll_pwait", "epoll_pwait2")


class Trace:
    """strace on a running process: attached inside the with, counts behind it."""

    def __init__(self, pid, directory):
        self.file = directory / "trace"
        self.pid = pid

    def __enter__(self):
        self.strace = ostler.spawn([ostler.tool("strace"), "-f", "-p", self.pid, "-o", self.file],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        line = self.strace.stderr.readline()  # comes when every thread is attached, or at its end
        if "attached" not in line:
            raise AssertionError(f"strace did not attach: {line}{self.strace.stderr.read()}")
        return self

    def __exit__(self, *exception):
        self.strace.send_signal(signal.SIGINT)
        self.strace.communicate(timeout=ostler.scaled(10))
        calls = re.findall(r"^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed>)(?!.*<unfinished \.\.\.>$)",
                           self.file.read_text(), re.MULTILINE)
        self.counts = collections.Counter(calls)


class Syscalls(ostler.TestCase):
    def count(self, mixin, clients_count=1, requests=REQUESTS):
        """System calls, by name, of so many requests of clients that are connected."""
        daemon = self.start_daemon({"echo": ostler.service("echo", mixin)})
        with clients.Fleet(daemon.address(), clients_count) as fleet:
            fleet.ping_pong(10, 10)
            with Trace(daemon.pid, self.scratch()) as trace:
                fleet.ping_pong(requests // clients_count, 30)
        return trace.counts

    def assert_one_recv_and_one_send_a_request(self, counts, waits):
        self.assertEqual(counts.pop("recvfrom"), REQUESTS)
        self.assertEqual(counts.pop("sendto"), REQUESTS)
        self.assertLessEqual(sum(counts.pop(name, 0) for name in WAIT), waits)
        self.assertLessEqual(sum(counts.values()), HANDFUL, counts)

    def test_evented_request_is_one_recv_one_send_and_one_epoll_wait(self):
        self.assert_one_recv_and_one_send_a_request(self.count("evented"), REQUESTS + HANDFUL)

    def test_evented_requests_of_50_clients_share_their_epoll_waits(self):
        self.assert_one_recv_and_one_send_a_request(self.count("evented", 50), REQUESTS + HANDFUL)

    def test_threading_request_is_one_recv_and_one_send(self):
        # it waits in recv when strace comes, which may interrupt that call or not see it
        counts = self.count("threading")
        self.assertIn(counts.pop("recvfrom"), range(REQUESTS - 1, REQUESTS + 3))
        self.assertEqual(counts.pop("sendto"), REQUESTS)
        self.assertLessEqual(sum(counts.values()), HANDFUL, counts)

    @ostler.unless_sanitized  # AddressSanitizer calls sigaltstack() at each switch
    def test_fiber_request_is_one_send_and_two_recv_at_most(self):
        counts = self.count("fibers")
        self.assertLessEqual(counts.pop("recvfrom"), 2 * REQUESTS + HANDFUL)
        self.assertEqual(counts.pop("sendto"), REQUESTS)
        self.assertLessEqual(sum(counts.pop(name, 0) for name in WAIT), REQUESTS + HANDFUL)
        self.assertLessEqual(sum(counts.values()), HANDFUL, counts)

    def assert_does_nothing_while_idle(self, mixin):
        daemon = self.start_daemon({"echo": ostler.service("echo", mixin)})
        with clients.Fleet(daemon.address(), 1 if mixin == "inline" else 50) as fleet:
            fleet.ping_pong(1, 10)
            before = daemon.wake_ups()
            daemon.stays_alive(1.0)
            self.assertLessEqual(daemon.wake_ups() - before, 2)

    @ostler.unless_sanitized
    def test_evented_daemon_with_idle_clients_sleeps(self):
        self.assert_does_nothing_while_idle("evented")

    @ostler.unless_sanitized
    def test_inline_daemon_with_an_idle_client_sleeps(self):
        self.assert_does_nothing_while_idle("inline")

    @ostler.unless_sanitized
    def test_threading_daemon_with_idle_clients_sleeps(self):
        self.assert_does_nothing_while_idle("threading")

    @ostler.unless_sanitized
    def test_fiber_daemon_with_idle_clients_sleeps(self):
        self.assert_does_nothing_while_idle("fibers")


if __name__ == "__main__":
    unittest.main()
