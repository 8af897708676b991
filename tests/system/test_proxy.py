#!/usr/bin/env python3
"""The proxy example: one program, the same behaviour on fibers and in threads."""
import contextlib
import hashlib
import os
import pathlib
import re
import select
import signal
import socket
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import clients  # noqa: E402
import ostler  # noqa: E402
from ostler import KIB, MIB, SANITIZED, scaled  # noqa: E402

CONNECTIONS = 8
EACH = (4 if SANITIZED else 128) * MIB  # each way: 1 GiB up and 1 GiB down in all
IDLE = 300  # more than threads are by default
CHUNK = 256 * KIB


class Proxy:
    """The example, in front of a backend; the context ends it."""

    def __init__(self, mixin, port):
        self.log_file = tempfile.TemporaryFile("w+")
        self.process = ostler.spawn([ostler.BIN / "example_proxy", mixin, "tcp:127.0.0.1:0", "127.0.0.1", port],
                                    stderr=self.log_file)
        self.address = ("127.0.0.1", 0)

    def log(self):
        self.log_file.seek(0)
        return self.log_file.read()

    def await_port(self):
        ostler.wait_until(lambda: "listening on" in self.log() or self.process.poll() is not None, scaled(10),
                          "the proxy listens")
        match = re.search(r"listening on tcp:127\.0\.0\.1:(\d+)", self.log())
        if not match:
            raise AssertionError(f"the proxy ended: {self.log()}")
        self.address = ("127.0.0.1", int(match[1]))

    def __enter__(self):
        try:
            self.await_port()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        ended = self.process.poll()
        self.process.kill()
        self.process.wait(scaled(10))
        log = self.log()
        self.log_file.close()
        if ended is not None or "Sanitizer" in log or "runtime error:" in log:
            raise AssertionError(f"the proxy ended with {ended}:\n{log}")


class Backend:
    """A listener whose connections the test accepts by itself."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=IDLE)
        self.socket.settimeout(scaled(10))
        self.port = self.socket.getsockname()[1]

    def accept(self):
        connection, _ = self.socket.accept()
        connection.settimeout(scaled(10))
        return connection

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def stream_of(number, size):
    """size bytes that are like no others, in pieces."""
    noise = hashlib.shake_128(b"%d" % number).digest(CHUNK - 8)
    for count in range(size // CHUNK):
        yield count.to_bytes(8, "big") + noise


class Exchange:
    """A client that sends a stream, half-closes, and compares what comes back."""

    def __init__(self, address, number, size):
        self.socket = clients.connect(address, timeout=60)
        self.number, self.size = number, size
        self.sent, self.received, self.count = hashlib.sha1(), hashlib.sha1(), 0
        self.problem = None
        self.threads = [threading.Thread(target=self._run, args=(work,)) for work in (self._send, self._receive)]

    def _run(self, work):
        try:
            work()
        except OSError as problem:
            self.problem = problem

    def _send(self):
        for piece in stream_of(self.number, self.size):
            self.sent.update(piece)
            self.socket.sendall(piece)
        self.socket.shutdown(socket.SHUT_WR)

    def _receive(self):
        buffer = bytearray(CHUNK)
        while n := self.socket.recv_into(buffer):
            self.received.update(memoryview(buffer)[:n])
            self.count += n

    def start(self):
        for thread in self.threads:
            thread.start()

    def finish(self, seconds):
        """What went wrong, or None."""
        for thread in self.threads:
            thread.join(seconds)
        hung = any(thread.is_alive() for thread in self.threads)
        if hung:
            self.socket.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        self.socket.close()
        if hung or self.problem or self.count != self.size:
            return f"{self.count} of {self.size} bytes came back; hung: {hung}; {self.problem}"
        return None if self.sent.digest() == self.received.digest() else "other bytes came back"


class Cases:
    """Each of them runs with every mix-in."""

    longest = 120

    def start_proxy(self, port):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        return stack.enter_context(Proxy(self.mixin, port))

    def start_backend(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        return stack.enter_context(Backend())

    def pair(self, proxy, backend):
        """Both ends of a connection through the proxy."""
        client = clients.connect(proxy.address)
        self.addCleanup(client.close)
        far = backend.accept()
        self.addCleanup(far.close)
        return client, far

    def test_a_gibibyte_each_way_is_identical(self):
        echo = self.start_daemon({"echo": ostler.service("echo", "evented")}).address()
        proxy = self.start_proxy(echo.port)
        exchanges = [Exchange(proxy.address, number, EACH) for number in range(CONNECTIONS)]
        for exchange in exchanges:
            exchange.start()
        self.assertEqual([exchange.finish(scaled(60)) for exchange in exchanges], [None] * CONNECTIONS)

    def test_the_client_half_closes_and_the_answer_still_comes(self):
        backend = self.start_backend()
        client, far = self.pair(self.start_proxy(backend.port), backend)
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(clients.read_to_end(far), b"question")
        far.sendall(b"answer" * 100_000)
        far.close()
        self.assertEqual(clients.read_to_end(client), b"answer" * 100_000)

    def test_the_backend_half_closes_and_the_client_still_sends(self):
        backend = self.start_backend()
        client, far = self.pair(self.start_proxy(backend.port), backend)
        far.sendall(b"that is all")
        far.shutdown(socket.SHUT_WR)
        self.assertEqual(clients.read_to_end(client), b"that is all")
        for _ in range(3):
            client.sendall(b"more")
            self.assertEqual(clients.read_exactly(far, 4), b"more")
        client.close()
        self.assertEqual(far.recv(1), b"")

    def test_one_direction_moves_while_the_other_cannot(self):
        """The backend takes nothing until nobody can send more; what it sends still arrives."""
        backend = self.start_backend()
        client, far = self.pair(self.start_proxy(backend.port), backend)
        client.setblocking(False)
        sent, block = 0, b"x" * MIB
        while select.select([], [client], [], scaled(0.3))[1]:
            sent += client.send(block)
        client.settimeout(scaled(10))
        for _ in range(100):
            far.sendall(b"y" * 10_000)
            self.assertEqual(clients.read_exactly(client, 10_000), b"y" * 10_000)
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(len(clients.read_to_end(far)), sent)

    def test_a_backend_that_refuses_closes_the_client(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # and does not listen
            proxy = self.start_proxy(nobody.getsockname()[1])
            for _ in range(3):
                client = clients.connect(proxy.address)
                self.addCleanup(client.close)
                self.assertTrue(clients.ended(client, scaled(10)))

    def test_a_reset_of_one_side_ends_the_other(self):
        backend = self.start_backend()
        proxy = self.start_proxy(backend.port)
        for resetting in (0, 1):
            pair = self.pair(proxy, backend)
            pair[0].sendall(b"hello")
            self.assertEqual(clients.read_exactly(pair[1], 5), b"hello")
            clients.reset(pair[resetting])
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(pair[1 - resetting].recv(1), b"")

    def test_many_idle_connections_rest_while_one_pumps(self):
        backend = self.start_backend()
        proxy = self.start_proxy(backend.port)
        pairs = [self.pair(proxy, backend) for _ in range(IDLE)]
        client, far = self.pair(proxy, backend)
        for piece in stream_of(0, 16 * MIB):
            client.sendall(piece)
            self.assertEqual(clients.read_exactly(far, len(piece)), piece)
        for near, distant in pairs:
            near.sendall(b"still here")
            self.assertEqual(clients.read_exactly(distant, 10), b"still here")

    def test_descriptors_are_given_back(self):
        backend = self.start_backend()
        proxy = self.start_proxy(backend.port)
        directory = f"/proc/{proxy.process.pid}/fd"
        before = len(os.listdir(directory))
        for _ in range(20):
            client, far = self.pair(proxy, backend)
            client.close()
            self.assertEqual(far.recv(1), b"")
            far.close()
        ostler.wait_until(lambda: len(os.listdir(directory)) <= before, scaled(10), "descriptors are back")


class OnFibers(Cases, ostler.TestCase):
    mixin = "fibers"


class InThreads(Cases, ostler.TestCase):
    mixin = "threading"


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    unittest.main(verbosity=2)
