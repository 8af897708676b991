"""What --ready-fd tells: each bound address with its real port, then ready, then the
end; and that what it tells is where the services are."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import network  # noqa: E402
import ostler  # noqa: E402


class Listen(ostler.TestCase):
    def assert_echoes(self, address):
        with clients.connect(address) as client:
            self.assertEqual(clients.ask(client, b"hello\n"), b"hello\n")

    def test_port_zero_reports_the_real_port(self):
        daemon = self.start_daemon({"echo": ostler.service("echo", "evented")})
        self.assertRegex(daemon.ready_lines[0], re.compile(r"^echo tcp:127\.0\.0\.1:[1-9][0-9]{0,4}$"))
        self.assert_echoes(daemon.address("echo"))

    def test_ready_comes_last_and_then_the_end(self):
        # Daemon() itself waits for the end of file
        daemon = self.start_daemon({"echo": ostler.service("echo", "evented")})
        self.assertEqual(daemon.ready_lines[1:], ["ready", ""])

    def test_service_with_two_addresses_answers_on_both(self):
        daemon = self.start_daemon(
            {"echo": ostler.service("echo", "evented", ostler.LOOPBACK4, "tcp:127.0.0.2:0")})
        self.assertEqual([address.host for address in daemon.addresses["echo"]], ["127.0.0.1", "127.0.0.2"])
        for address in daemon.addresses["echo"]:
            self.assert_echoes(address)

    @ostler.needs_ipv6
    def test_service_answers_on_ipv4_and_ipv6(self):
        daemon = self.start_daemon(
            {"echo": ostler.service("echo", "fibers", ostler.LOOPBACK4, ostler.LOOPBACK6)})
        self.assertEqual([address.is_ipv6 for address in daemon.addresses["echo"]], [False, True])
        for address in daemon.addresses["echo"]:
            self.assert_echoes(address)

    def test_several_services_of_all_mixins_live_in_one_daemon(self):
        daemon = self.start_daemon({
            "evented": ostler.service("echo", "evented"), "threading": ostler.service("echo", "threading"),
            "fibers": ostler.service("echo", "fibers"), "clock": ostler.service("time", "inline")})
        self.assertEqual(set(daemon.addresses), {"evented", "threading", "fibers", "clock"})
        for name in ("evented", "threading", "fibers"):
            self.assert_echoes(daemon.address(name))
        with clients.connect(daemon.address("clock")) as client:
            self.assertEqual(len(clients.read_to_end(client)), 4)

    def test_ten_ports_of_one_daemon_are_ten_ports(self):
        daemon = self.start_daemon({f"echo{n}": ostler.service("echo", "evented") for n in range(10)})
        self.assertEqual(len({daemon.address(name).port for name in daemon.addresses}), 10)
        for name in daemon.addresses:
            self.assert_echoes(daemon.address(name))

    def test_restart_on_the_same_port_works_at_once(self):
        first = self.start_daemon({"echo": ostler.service("echo", "evented")})
        port = first.address().port
        client = self.connect(first)
        clients.ask(client, b"hello\n")
        first.stop()  # it closes first: the port is in TIME_WAIT
        client.close()
        second = self.start_daemon({"echo": ostler.service("echo", "evented", f"tcp:127.0.0.1:{port}")})
        self.assertEqual(second.address().port, port)
        self.assert_echoes(second.address())

    def test_port_that_is_taken_is_told_and_ends_it(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "tcp:127.0.0.1:%d" % taken.getsockname()[1]
            with self.assertRaisesRegex(AssertionError, r"ended with status [1-9].*before it was ready(?s:.*)in use"):
                self.start_daemon({"echo": ostler.service("echo", "evented", address)})


class Inherited(ostler.TestCase):
    def start(self, listening, number, mixin, **settings):
        """ostlerd with this socket as its standard descriptor of that number: what it announces, and
        its process."""
        config = self.scratch() / "conf"
        config.write_text(ostler.config_text({**settings, "services": {
            "echo": ostler.service("echo", mixin, f"fd:{number}")}}))
        standard = [subprocess.DEVNULL] * 3
        standard[number] = listening
        reader, writer = os.pipe()
        with open(reader) as ready:
            try:
                process = ostler.spawn([ostler.BIN / "ostlerd", "-c", config, f"--ready-fd={writer}"],
                                       stdin=standard[0], stdout=standard[1], stderr=standard[2], pass_fds=[writer])
            finally:
                os.close(writer)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            return ready.read(), process

    def test_standard_descriptors_are_served_by_whoever_serves(self):
        for number in range(3):
            for mixin, settings in (("evented", {}), ("evented", {"workers": 1}), ("forking", {})):
                with self.subTest(number=number, mixin=mixin, **settings), \
                        socket.create_server(("127.0.0.1", 0)) as listening:
                    ready, process = self.start(listening, number, mixin, **settings)
                    self.assertEqual(ready, "echo tcp:127.0.0.1:%d\nready\n" % listening.getsockname()[1])
                    with clients.connect(listening.getsockname()) as client:
                        self.assertEqual(clients.ask(client, b"hello\n"), b"hello\n")
                    for worker in ostler.children_of(process.pid):
                        links = [os.readlink(f"/proc/{worker}/fd/{fd}") for fd in range(3)]
                        self.assertEqual([link == "/dev/null" for link in links], [fd != number for fd in range(3)])
                    process.terminate()
                    self.assertEqual(process.wait(ostler.scaled(5)), 0)

    def test_socket_that_the_daemon_made_itself_is_none_that_it_inherited(self):
        # Its number is the same in each daemon of which all is the same up to there.
        first = {"first": ostler.service("echo", "evented")}
        process = self.start_with_standard_ones_only(first)
        process.stdout.readline()
        [number] = [path.name for path in pathlib.Path(f"/proc/{process.pid}/fd").iterdir()
                    if self.is_listening(os.readlink(path))]
        process.terminate()
        process.communicate()
        process = self.start_with_standard_ones_only(
            {**first, "second": ostler.service("echo", "evented", f"fd:{number}")})
        ready, log = process.communicate(timeout=ostler.scaled(5))
        self.assertEqual((process.returncode, ready), (1, b""))
        self.assertRegex(log.decode(), f"error second: cannot listen on fd:{number}: it is not open")

    def start_with_standard_ones_only(self, services):
        config = self.scratch() / "conf"
        config.write_text(ostler.config_text({"services": services}))
        process = ostler.spawn([ostler.BIN / "ostlerd", "-c", config, "--ready-fd=1"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        return process

    def is_listening(self, link):
        """Is it an IPv4 TCP socket that listens?"""
        rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return any(row[3] == "0A" and f"socket:[{row[9]}]" == link for row in rows)


class Zones(ostler.TestCase):
    absent = "tcp:[fe80::1%nope0]:0"

    def test_interface_that_is_missing_is_a_warning_while_there_is_another_address(self):
        daemon = self.start_daemon({"echo": ostler.service("echo", "evented", self.absent, ostler.LOOPBACK4)})
        self.assertRegex(daemon.log(), r"warning echo: cannot bind \S*%nope0\S* this machine does not have the")
        with clients.connect(daemon.address("echo")) as client:
            self.assertEqual(clients.ask(client, b"hello\n"), b"hello\n")

    def test_interface_that_is_missing_ends_it_if_there_is_no_other_address(self):
        with self.assertRaisesRegex(AssertionError, r"status 1 (?s:.*)%nope0(?s:.*)none of its addresses"):
            self.start_daemon({"echo": ostler.service("echo", "evented", self.absent)})

    @network.needs_own
    def test_worker_is_started_again_when_the_interface_has_gone(self):
        with network.interface("zone0", "fe80::7"):
            daemon = self.start_daemon({"echo": ostler.service("echo", "evented", ostler.LOOPBACK4,
                                                               "tcp:[fe80::7%zone0]:0")}, workers=1)
            self.assertRegex(daemon.ready_lines[1], r"^echo tcp:\[fe80::7%zone0\]:[1-9]")
        pid = daemon.worker()
        os.kill(pid, signal.SIGKILL)
        ostler.wait_until(lambda: not ostler.is_alive(pid), ostler.scaled(2), "the worker has ended")
        with clients.connect(("127.0.0.1", int(daemon.ready_lines[0].rpartition(":")[2]))) as client:
            self.assertEqual(clients.ask(client, b"hello\n"), b"hello\n")


if __name__ == "__main__":
    network.own_network()
    unittest.main()
