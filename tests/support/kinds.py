"""Addresses of all kinds, as the daemon's ready lines have them, and the sockets that
reach them."""

import socket
import typing

import machine


class Address(typing.NamedTuple):
    """Where a service listens on TCP, as socket.create_connection() takes it."""
    host: str
    port: int
    type = socket.SOCK_STREAM

    @classmethod
    def parse(cls, text):
        """The address of a ready line, of whichever kind."""
        scheme, _, rest = text.partition(":")
        if scheme in ("unix", "unixgram"):
            return (UnixAddress if scheme == "unix" else UnixDatagramAddress)(rest)
        host, _, port = rest.rpartition(":")
        if scheme not in ("tcp", "udp"):
            raise AssertionError(f"the ready line names no address: {text!r}")
        return (Address if scheme == "tcp" else UdpAddress)(host.strip("[]"), int(port))

    @property
    def is_ipv6(self):
        return ":" in self.host

    @property
    def family(self):
        return socket.AF_INET6 if self.is_ipv6 else socket.AF_INET

    @property
    def name(self):
        """As a socket's own functions take it."""
        return (self.host, self.port)

    @property
    def kind(self):
        return "tcp6" if self.is_ipv6 else "tcp4"

    @property
    def nc(self):
        """nc's arguments, to send standard input and end after the answer."""
        return ["-N", self.host, self.port]

    @property
    def socat(self):
        return f"TCP6:[{self.host}]:{self.port}" if self.is_ipv6 else f"TCP4:{self.host}:{self.port}"


class UdpAddress(Address):
    type = socket.SOCK_DGRAM

    @property
    def kind(self):
        return "udp6" if self.is_ipv6 else "udp4"

    @property
    def nc(self):
        return ["-u", "-W", "1", self.host, self.port]

    @property
    def socat(self):
        return f"UDP6:[{self.host}]:{self.port}" if self.is_ipv6 else f"UDP4:{self.host}:{self.port}"


class UnixAddress(typing.NamedTuple):
    """A Unix stream socket: its path, or an abstract name behind an @."""
    path: str
    type = socket.SOCK_STREAM
    family = socket.AF_UNIX
    is_ipv6 = False
    kind = "unix"

    @property
    def name(self):
        return "\0" + self.path[1:] if self.path.startswith("@") else self.path

    @property
    def nc(self):
        return ["-N", "-U", self.path]

    @property
    def socat(self):
        return f"ABSTRACT-CONNECT:{self.path[1:]}" if self.path.startswith("@") else f"UNIX-CONNECT:{self.path}"


class UnixDatagramAddress(UnixAddress):
    type = socket.SOCK_DGRAM
    kind = "unixgram"

    @property
    def nc(self):
        return ["-u", "-W", "1", "-U", self.path]


def is_datagram(address):
    return address.type == socket.SOCK_DGRAM


def dial(address, *, source=None, timeout=10):
    """A socket of any kind that is connected to address, from source (as bind() takes it)
    if it is given; a Unix datagram socket has a name in any case, or nobody could answer."""
    client = socket.socket(address.family, address.type)
    try:
        client.settimeout(machine.scaled(timeout))
        if source is not None:
            if address.type == socket.SOCK_STREAM:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # an earlier one may linger
            client.bind(source)
        elif isinstance(address, UnixDatagramAddress):
            client.bind("")  # the kernel finds an abstract name
        client.connect(address.name)
    except BaseException:
        client.close()
        raise
    return client


def ask(client, data):
    """Send a datagram; the next one that comes."""
    client.send(data)
    return client.recv(1 << 17)
