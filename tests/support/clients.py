"""Clients that talk to the daemon: blocking ones for a step-by-step talk, and a Fleet
of many on one thread. Each wait has a deadline."""

import contextlib
import errno
import fcntl
import selectors
import socket
import statistics
import struct
import subprocess
import termios
import time

import machine


def connect(address, *, timeout=10, send_buffer=None, receive_buffer=None):
    """A connected blocking socket that gives up after timeout seconds."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    client = socket.socket(family, socket.SOCK_STREAM)
    try:
        if send_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(machine.scaled(timeout))
        client.connect(tuple(address))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        client.close()
        raise
    return client


def read_exactly(client, size):
    """size bytes, or what came before the end of the stream."""
    data = bytearray()
    while len(data) < size:
        part = client.recv(min(size - len(data), 1 << 18))
        if not part:
            break
        data += part
    return bytes(data)


def read_to_end(client):
    data = bytearray()
    while part := client.recv(1 << 18):
        data += part
    return bytes(data)


def ask(client, data):
    """Send, and read as many bytes. For what fits into the kernel's buffers."""
    client.sendall(data)
    return read_exactly(client, len(data))


def hears_something(client, seconds):
    """Does a byte, or the end, come within so many seconds?"""
    return machine.becomes_readable(client, seconds)


def ended(client, seconds):
    """Does the stream end within so many seconds, with no byte before?"""
    return hears_something(client, seconds) and client.recv(1) == b""


def unacknowledged(client):
    """Bytes sent that the peer's kernel has not taken yet."""
    return struct.unpack("i", fcntl.ioctl(client, termios.TIOCOUTQ, b"\0\0\0\0"))[0]


def reset(client):
    """Close with a reset instead of an end of file."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def latencies(client, count):
    """Seconds of each of count ping-pongs."""
    times = []
    for number in range(count):
        line = b"ping %d\n" % number
        begin = time.monotonic()
        answer = ask(client, line)
        times.append(time.monotonic() - begin)
        if answer != line:
            raise AssertionError(f"sent {line!r}, got {answer!r}")
    return times


def median_latency(client, count):
    return statistics.median(latencies(client, count))


def socat(address, source, target, wait=30):
    """Start socat -t30 - TCP:address, from one file into another, with a half-close."""
    with open(source, "rb") as stdin, open(target, "wb") as stdout:
        return machine.spawn([machine.tool("socat"), f"-t{wait * machine.SLOW:.0f}", "-", address.socat],
                            stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)


def finish(process, seconds):
    """Wait for a program that spawn() started; it must end with 0. Its output."""
    try:
        output, complaint = process.communicate(timeout=machine.scaled(seconds))
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise AssertionError(f"{process.args} was not done after {machine.scaled(seconds):.0f} s") from None
    if process.returncode != 0:
        raise AssertionError(f"{process.args} ended with {process.returncode}: {complaint!r}")
    return output


def run(arguments, seconds=10, stdin=b"", **options):
    """The standard output of a program fed with stdin, which must succeed."""
    process = machine.spawn(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    process.stdin.write(stdin)
    return finish(process, seconds)


class Client:
    """One member of a Fleet: what it says must come back, byte for byte."""

    def __init__(self, address, *, reads=True, **options):
        self.socket = connect(address, **options)
        self.socket.setblocking(False)
        self.reads = reads
        self.unsent = bytearray()  # our kernel has not taken it yet
        self.to_pour = 0           # zeros to come after that
        self.owed = bytearray()    # sent, and not yet come back
        self.sent = 0
        self.answers = 0           # how often nothing was owed any more
        self.end = None            # then "eof", or the name of an errno

    def say(self, data):
        self.unsent += data
        self._send()

    def pour(self, size):
        """Say so many zeros, made as they go: for what is too much to keep."""
        self.to_pour += size
        self._send()

    @property
    def is_sending(self):
        return bool(self.unsent or self.to_pour)

    @property
    def is_quiet(self):
        return not self.is_sending and not self.owed

    def stop_sending(self):
        self.unsent.clear()
        self.to_pour = 0

    def taken_by_peer(self):
        """Bytes that the daemon's kernel has acknowledged: received, if not read yet."""
        return self.sent - unacknowledged(self.socket)

    def came_back(self):
        return self.sent - len(self.owed)

    def _send(self):
        try:
            while self.is_sending:
                if not self.unsent:
                    self.unsent += bytes(min(self.to_pour, 1 << 18))
                    self.to_pour -= len(self.unsent)
                count = self.socket.send(memoryview(self.unsent)[:1 << 18].tobytes())
                self.owed += self.unsent[:count]
                self.sent += count
                del self.unsent[:count]
        except BlockingIOError:
            pass
        except OSError:
            self.stop_sending()  # what has come back can still be read

    def _receive(self):
        """Read once. True if bytes came."""
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return False
        except OSError as error:
            self.end = errno.errorcode[error.errno]
            return False
        if not data:
            self.end = "eof"
            return False
        if data != self.owed[:len(data)]:
            raise AssertionError(self._difference(data))
        del self.owed[:len(data)]
        return True

    def _difference(self, data):
        at = next((n for n, (a, b) in enumerate(zip(data, self.owed)) if a != b), len(self.owed))
        return (f"wrong bytes came back: the first is number {self.came_back() + at}, of {self.sent} sent; "
                f"{data[at:at + 20]!r} for {bytes(self.owed[at:at + 20])!r}")


class Fleet:
    """Many Clients on one thread. Loops end by their condition or fail at a deadline."""

    def __init__(self, address, count, **options):
        self.clients = []
        self.selector = selectors.DefaultSelector()
        self.last_answer = None  # when, on the monotonic clock
        self.on_quiet = None     # called with a client that has everything back
        self.add(address, count, **options)

    def add(self, address, count, **options):
        """More of them; returns the new ones."""
        new = []
        for _ in range(count):
            client = Client(address, **options)
            self.selector.register(client.socket, self._interest(client) or selectors.EVENT_WRITE, client)
            new.append(client)
        self.clients += new
        return new

    @staticmethod
    def _interest(client):
        return (selectors.EVENT_READ if client.reads else 0) | (selectors.EVENT_WRITE if client.is_sending else 0)

    def all_quiet(self):
        return all(client.is_quiet for client in self.clients)

    def all_ended(self):
        return all(client.end for client in self.clients)

    def run(self, until, seconds):
        """Send and receive until until() is true; later than seconds is a failure."""
        limit = time.monotonic() + machine.scaled(seconds)
        while not until():
            self._update()
            if time.monotonic() > limit:
                raise AssertionError(f"not within {machine.scaled(seconds):.1f} s: {self}")
            self._round(0.05)

    def run_until_stalled(self, quiet_for, seconds):
        """Send and receive until not one byte moves any more for quiet_for seconds."""
        limit = time.monotonic() + machine.scaled(seconds)
        moved, since = -1, time.monotonic()
        while time.monotonic() - since < machine.scaled(quiet_for):
            self._update()
            if time.monotonic() > limit:
                raise AssertionError(f"bytes still moved after {machine.scaled(seconds):.1f} s: {self}")
            self._round(0.02)
            now = sum(client.sent + client.came_back() for client in self.clients)
            if now != moved:
                moved, since = now, time.monotonic()

    def ping_pong(self, rounds, seconds):
        """Each client sends rounds lines, the next one when the last has come back."""
        def next_line(client):
            if client.answers < first[client] + rounds:
                client.say(b"client %d line %d\n" % (id(client), client.answers))

        first = {client: client.answers for client in self.clients}
        self.on_quiet = next_line
        for client in self.clients:
            next_line(client)
        self.run(lambda: all(c.answers == first[c] + rounds or c.end for c in self.clients), seconds)
        self.on_quiet = None
        for client in self.clients:
            if client.end:
                raise AssertionError(f"a ping-pong ended with {client.end}")

    def _update(self):
        for client in self.clients:
            if client.end:
                continue
            wanted = self._interest(client)
            key = self.selector.get_map().get(client.socket)
            if key is None:
                if wanted:
                    self.selector.register(client.socket, wanted, client)
            elif not wanted:
                self.selector.unregister(client.socket)
            elif key.events != wanted:
                self.selector.modify(client.socket, wanted, client)

    def _round(self, seconds):
        for key, events in self.selector.select(seconds):
            client = key.data
            if events & selectors.EVENT_WRITE:
                client._send()
            if events & selectors.EVENT_READ and client.reads and client._receive():
                self.last_answer = time.monotonic()
                if client.is_quiet:
                    client.answers += 1
                    if self.on_quiet:
                        self.on_quiet(client)
            if client.end:
                self._close(client)

    def drop(self, client, with_reset=False):
        """Let one go, whatever it still owes or is owed."""
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(client.socket)
        (reset if with_reset else socket.socket.close)(client.socket)
        self.clients.remove(client)

    def _close(self, client):
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(client.socket)
        client.socket.close()

    def close(self):
        for client in self.clients:
            self._close(client)
        self.selector.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def __str__(self):
        ends = [client.end for client in self.clients if client.end]
        return (f"{len(self.clients)} clients, {sum(c.is_quiet for c in self.clients)} quiet, "
                f"{sum(len(c.owed) for c in self.clients)} bytes owed, "
                f"{sum(len(c.unsent) + c.to_pour for c in self.clients)} unsent, "
                f"ended: {sorted(set(ends))} {len(ends)}")
