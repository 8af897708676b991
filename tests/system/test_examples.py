#!/usr/bin/env python3
"""The example programs of tests/examples, each driven by a client."""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import unittest

root = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(root / "tests" / "support"))
from network import own_network  # noqa: E402

BIN = pathlib.Path(os.environ.get("OSTLER_BIN", root / "build" / "dev" / "bin"))


def is_up(line):
    return "listening on" in line


class Example:
    """An example program that runs; the context ends when it has ended."""

    def __init__(self, name, listeners):
        self.name, self.listeners = name, listeners

    def __enter__(self):
        self.process = subprocess.Popen([BIN / f"example_{self.name}"], stderr=subprocess.PIPE, text=True)
        while self.listeners > 0:
            line = self.process.stderr.readline()
            if not line:
                raise AssertionError(f"{self.name} ended with {self.process.wait(10)} before it was up")
            self.listeners -= is_up(line)
        return self.process

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(10)
        self.process.stderr.close()


def talk(port, text, host="127.0.0.1"):
    """Send text, half-close, and return everything that comes back."""
    with socket.create_connection((host, port), timeout=10) as client:
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := client.recv(4096):
            answer += chunk
        return answer


def talk_unix(path, text):
    """The same through a Unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(path)
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        return client.makefile("rb").read()


class Examples(unittest.TestCase):
    def test_the_straight_line_server_echoes(self):
        with Example("straight", 1):
            self.assertEqual(talk(7007, b"hello\n"), b"hello\n")

    def test_the_greeting_server_greets_each_of_its_clients(self):
        with Example("greet_server", 1):
            for host in ("127.0.0.1", "localhost"):
                client = subprocess.run([BIN / "example_greet_client", host, "7070"], capture_output=True, text=True,
                                        timeout=30)
                self.assertEqual((client.returncode, client.stdout), (0, "Hello, thank you for connecting.\n"))

    def test_the_greeting_client_says_why_it_cannot(self):
        client = subprocess.run([BIN / "example_greet_client", "127.0.0.1", "7069"], capture_output=True, text=True,
                                timeout=30)
        self.assertEqual(client.returncode, 1)
        self.assertEqual(client.stderr, "greet_client: 127.0.0.1: Connection refused\n")

    def test_the_club_refuses_the_third_guest_and_counts_all(self):
        with Example("club", 1):
            first, second = (socket.create_connection(("127.0.0.1", 7071), timeout=10) for _ in range(2))
            with first, second, socket.create_connection(("127.0.0.1", 7071), timeout=10) as third:
                self.assertEqual(third.recv(100), b"")
                first.sendall(b"ann\n")
                self.assertEqual(first.recv(100), b"welcome, ann\n")

    def test_the_evented_server_echoes(self):
        with Example("evented", 1):
            self.assertEqual(talk(7007, b"hello\n"), b"hello\n")

    def test_the_tally_counts_lines_of_each_connection(self):
        with Example("tally", 1):
            self.assertEqual(talk_unix("/run/tally.sock", b"a\nb\nc"), b"3\n")
            self.assertEqual(talk_unix("/run/tally.sock", b""), b"0\n")

    def test_the_daytime_server_answers_each_datagram(self):
        with Example("daytime", 1), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.connect(("127.0.0.1", 7013))
            for _ in range(3):
                client.send(b"")
                self.assertRegex(client.recv(100), rb"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\r\n$")

    def test_thirty_clients_are_kept_on_eight_threads(self):
        with Example("lines", 1):
            clients = [socket.create_connection(("127.0.0.1", 7012), timeout=10) for _ in range(30)]
            for _ in range(2):
                for client in clients:
                    client.sendall(b"hello\n")
                for client in clients:
                    self.assertEqual(client.recv(100), b"you said: hello\n")
            for client in clients:
                client.close()

    def test_the_private_server_welcomes_loopback(self):
        with Example("private", 2):
            self.assertEqual(talk(7009, b""), b"welcome\n")
            self.assertEqual(talk(7009, b"", "::1"), b"welcome\n")

    def test_two_servers_on_one_reactor_stop_on_quit(self):
        with Example("two_servers", 2) as process:
            self.assertEqual(talk(7010, b""), b"hello, number 1\n")
            self.assertEqual(talk(7011, b"status\n"), b"what?\n")
            self.assertEqual(talk(7010, b""), b"hello, number 2\n")
            self.assertEqual(talk(7011, b"qu"), b"")
            self.assertEqual(talk(7011, b"quit\n"), b"bye\n")
            self.assertEqual(process.wait(10), 0)

    def test_the_stoppable_server_ends_its_clients_input_and_leaves_with_success(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with Example("stoppable", 1) as process:
                client = socket.create_connection(("127.0.0.1", 7008), timeout=10)
                client.sendall(b"hello\n")
                self.assertEqual(client.recv(100), b"hello\n")
                process.send_signal(number)
                self.assertEqual(client.recv(100), b"")
                client.close()
                self.assertEqual(process.wait(10), 0)

    def test_an_example_without_signal_handling_ends_on_sigint(self):
        with Example("straight", 1) as process:
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(10), -signal.SIGINT)


if __name__ == "__main__":
    own_network()
    unittest.main(verbosity=2)
