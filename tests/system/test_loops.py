"""No packet with a forged source makes two UDP services answer each other
(CVE-1999-0103, CVE-2024-2169): ostlerd's never answer a port below 1024, nor one on
which the daemon itself listens for UDP, whatever the address. All others they answer.
Nor do they answer the Unix datagram sockets of the daemon, by whose names symbolic links
lead to them."""

import os
import pathlib
import socket
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import kinds  # noqa: E402
import network  # noqa: E402
import ostler  # noqa: E402

SERVICES = ("echo", "discard", "chargen", "daytime", "time")
LOOPBACKS = ("127.0.0.1", "::1") if ostler.has_ipv6() else ("127.0.0.1",)

needs_root = unittest.skipUnless(os.geteuid() == 0, "forged packets and ports below 1024 need root")
needs_own_network = unittest.skipUnless(os.environ.get("OSTLER_OWN_NETWORK"), "all datagrams are counted, others' too")


def everywhere(scheme, port=0):
    return [f"{scheme}:[{host}]:{port}" if ":" in host else f"{scheme}:{host}:{port}" for host in LOOPBACKS]


def send_forged(target, port):
    """A datagram to target that seems to come from that port of the same address."""
    data = b"whom do you answer?"
    header = struct.pack("!HHHH", port, target.port, 8 + len(data), 0)
    with socket.socket(target.family, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
        if target.is_ipv6:
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_CHECKSUM, 6)
        raw.bind((target.host, 0))
        raw.sendto(header + data, (target.host, 0))


def sent_datagrams():
    """How many UDP datagrams have left sockets of this network so far."""
    v4 = [line.split() for line in pathlib.Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Udp:")]
    v6 = dict(line.split() for line in pathlib.Path("/proc/net/snmp6").read_text().splitlines())
    return int(v4[1][v4[0].index("OutDatagrams")]) + int(v6.get("Udp6OutDatagrams", 0))


class LoopCases:
    """With services, a dict as start_daemon() takes it, that has all five."""

    def setUp(self):
        self.daemon = self.start_daemon(self.services())

    def udp(self, name):
        return [address for address in self.daemon.addresses[name] if kinds.is_datagram(address)]

    def await_all(self):
        """Everybody has dealt with what came before: ask each service but discard. How
        many datagrams that took."""
        count = 0
        for name in SERVICES:
            for address in self.udp(name):
                if name == "discard":
                    continue
                with kinds.dial(address) as client:
                    for _ in range(3):
                        kinds.ask(client, b"and now?")
                        count += 2
        return count

    def assert_no_answer(self, client, address):
        client.connect(address.name)
        for data in (b"", b"hello", bytes(1400)):
            client.send(data)
        self.await_all()
        self.assertFalse(clients.hears_something(client, 0))

    @needs_root
    @needs_own_network
    def test_forged_packet_between_two_services_gets_no_reply(self):
        self.await_all()
        before = sent_datagrams()
        for name in SERVICES:
            for target in self.udp(name):
                for source in (address.port for other in SERVICES for address in self.udp(other)):
                    send_forged(target, source)
        self.assertEqual(self.await_all(), sent_datagrams() - before)

    @needs_root
    @needs_own_network
    def test_forged_packet_from_a_reserved_port_gets_no_reply(self):
        self.await_all()
        before = sent_datagrams()
        for name in SERVICES:
            for target in self.udp(name):
                for source in (0, 1, 7, 19, 37, 123, 1023):
                    send_forged(target, source)
        self.assertEqual(self.await_all(), sent_datagrams() - before)

    @needs_root
    @needs_own_network
    def test_port_1024_is_answered_and_1023_is_not(self):
        for address in self.udp("echo"):
            with kinds.dial(address, source=(address.host, 1024)) as client:
                self.assertEqual(kinds.ask(client, b"hello"), b"hello")
            with socket.socket(address.family, address.type) as client:
                client.bind((address.host, 1023))
                self.assert_no_answer(client, address)

    def test_port_of_a_service_is_not_answered_at_another_address(self):
        # 127.0.0.2 has the ports of 127.0.0.1 free
        for source in SERVICES:
            for name in SERVICES:
                [address] = [a for a in self.udp(name) if not a.is_ipv6]
                [other] = [a for a in self.udp(source) if not a.is_ipv6]
                with socket.socket(address.family, address.type) as client:
                    client.bind(("127.0.0.2", other.port))
                    client.connect(address.name)
                    client.send(b"hello")
                    with kinds.dial(address) as witness:
                        witness.send(b"hello")
                        if name != "discard":
                            witness.recv(100)
                    self.assertFalse(clients.hears_something(client, 0))

    @needs_root
    def test_connections_are_answered_whatever_their_port(self):
        [udp] = [a for a in self.udp("echo") if not a.is_ipv6]
        [tcp] = [a for a in self.daemon.addresses["echo"] if a.kind == "tcp4"]
        for port in (1023, udp.port):
            with kinds.dial(tcp, source=("127.0.0.2", port)) as client:
                self.assertEqual(clients.ask(client, b"hello\n"), b"hello\n")


class LoopsUnderOneMixin(LoopCases):
    mixin = None

    def services(self):
        return {name: ostler.service(name, self.mixin, *everywhere("tcp"), *everywhere("udp")) for name in SERVICES}


class LoopsEvented(LoopsUnderOneMixin, ostler.TestCase):
    mixin = "evented"


class LoopsInline(LoopsUnderOneMixin, ostler.TestCase):
    mixin = "inline"


class LoopsUnderThreading(LoopsUnderOneMixin, ostler.TestCase):
    mixin = "threading"


class LoopsInChildren(LoopsUnderOneMixin, ostler.TestCase):
    mixin = "forking"


class LoopsOnFibers(LoopsUnderOneMixin, ostler.TestCase):
    mixin = "fibers"


class LoopsBetweenProcesses(LoopCases, ostler.TestCase):
    """A worker knows the ports of the others."""

    def services(self):
        mixins = {"echo": "evented", "discard": "inline", "chargen": "forking", "daytime": "threading",
                  "time": "forking"}
        return {name: ostler.service(name, mixin, *everywhere("tcp"), *everywhere("udp"))
                for name, mixin in mixins.items()}


class UnixLoopCases:
    """With mixins, a dict, one a service."""

    def setUp(self):
        directory = self.scratch()
        self.daemon = self.start_daemon({name: ostler.service(name, mixin, f"unixgram:{directory}/{name}")
                                         for name, mixin in self.mixins.items()})

    def send_as(self, source, target):
        """A socket that has sent from the name of the service source to the service target: it would
        get the answer."""
        path = pathlib.Path(self.daemon.address(source).path)
        moved = path.with_name("moved")
        address = self.daemon.address(target)
        path.rename(moved)
        client = socket.socket(address.family, address.type)
        self.addCleanup(client.close)
        client.bind(str(path))
        client.sendto(b"hello", str(moved) if source == target else address.path)
        moved.replace(path)
        return client

    def test_name_of_a_service_is_not_answered(self):
        for source in SERVICES:
            for name in SERVICES:
                client = self.send_as(source, name)
                with kinds.dial(self.daemon.address(name)) as witness:
                    witness.send(b"hello")
                    if name != "discard":
                        witness.recv(100)
                self.assertFalse(clients.hears_something(client, 0), f"{name} answers {source}")

    def test_link_to_a_service_makes_it_answer_itself_once_at_most(self):
        echo = self.daemon.address("echo")
        path = pathlib.Path(echo.path)
        name, moved = path.with_name("me"), path.with_name("moved")
        with socket.socket(echo.family, echo.type) as client, kinds.dial(echo) as witness:
            client.bind(str(name))
            name.rename(moved)
            name.symlink_to(path)
            client.sendto(b"hello", str(path))
            kinds.ask(witness, b"hello")
            spent = self.daemon.cpu_seconds()
            self.assertFalse(clients.hears_something(witness, 0.5))
            self.assertLess(self.daemon.cpu_seconds() - spent, 0.1)
        name.unlink()
        moved.unlink()


class UnixLoopsEvented(UnixLoopCases, ostler.TestCase):
    mixins = dict.fromkeys(SERVICES, "evented")


class UnixLoopsBetweenProcesses(UnixLoopCases, ostler.TestCase):
    """A worker knows the names of the others."""
    mixins = {"echo": "forking", "discard": "inline", "chargen": "evented", "daytime": "threading", "time": "fibers"}


class LoopsOnWildcards(ostler.TestCase):
    def test_wildcard_service_answers_neither_itself_nor_its_neighbour(self):
        daemon = self.start_daemon({"echo": ostler.service("echo", "evented", "udp:0.0.0.0:0"),
                                    "chargen": ostler.service("chargen", "evented", "udp:127.0.0.1:0")})
        echo, chargen = daemon.address("echo"), daemon.address("chargen")
        target = kinds.UdpAddress("127.0.0.1", echo.port)
        with socket.socket(target.family, target.type) as client:
            client.bind(("127.0.0.3", chargen.port))
            client.connect(target.name)
            client.send(b"hello")
            with kinds.dial(target) as witness:
                self.assertEqual(kinds.ask(witness, b"hello"), b"hello")
            self.assertFalse(clients.hears_something(client, 0))


if __name__ == "__main__":
    network.own_network()
    unittest.main()
