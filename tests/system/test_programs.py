"""The programs as people start them: echod and its kin with addresses, and ostlerd with
the sample configuration, which opens what it says and nothing else."""

import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import kinds  # noqa: E402
import network  # noqa: E402
import ostler  # noqa: E402

SAMPLE = ostler.ROOT / "conf" / "ostler.conf"
PORTS = {"echo": 7007, "discard": 7009, "daytime": 7013, "chargen": 7019, "time": 7037}


class ProgramCase(ostler.TestCase):
    def start(self, program, *arguments):
        """Run it until the test ends, as it should. What it got ready, as (name, address)."""
        pipe, ready = os.pipe()
        process = ostler.spawn([ostler.BIN / program, f"--ready-fd={ready}", *arguments], cwd=ostler.ROOT,
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=[ready])
        self.addCleanup(self.stop, process)
        os.close(ready)
        with open(pipe) as lines:
            self.assertTrue(ostler.becomes_readable(lines, ostler.scaled(10)))
            *listening, last = lines.read().splitlines()
        self.assertEqual(last, "ready")
        words = [line.partition(" ") for line in listening]
        return [(name, kinds.Address.parse(address)) for name, _, address in words]

    def stop(self, process):
        process.terminate()
        try:
            _, log = process.communicate(timeout=ostler.scaled(15))
        finally:
            process.kill()
        self.assertEqual(process.returncode, 0, log)

    def assert_serves(self, name, address):
        with self.subTest(service=name, kind=address.kind), kinds.dial(address) as client:
            if name == "discard":
                client.sendall(b"hello\n")
            elif kinds.is_datagram(address):
                self.assert_answers(name, kinds.ask(client, b"hello\n"))
            else:
                client.sendall(b"hello\n")
                self.assert_answers(name, client.recv(6))

    def assert_answers(self, name, text):
        expected = {"echo": rb"^hello\n$", "chargen": rb"^ !\"#\$%$", "daytime": rb"^(Sun|Mon|Tue|Wed|Thu|Fri|Sat)",
                    "time": rb"(?s)^.{4}$"}
        self.assertRegex(text, expected[name])


class Small(ProgramCase):
    def addresses(self, name):
        folder = self.scratch()
        hosts = ["127.0.0.1:0", "[::1]:0"] if ostler.has_ipv6() else ["127.0.0.1:0"]
        return [*(f"{scheme}:{host}" for scheme in ("tcp", "udp") for host in hosts),
                f"unix:{folder}/stream", f"unixgram:{folder}/datagram", f"unix:@ostler-test-{os.getpid()}-{name}"]

    def test_each_program_serves_its_protocol_on_all_kinds_of_addresses(self):
        for name in PORTS:
            asked = self.addresses(name)
            listening = self.start(name + "d", *asked)
            self.assertEqual([service for service, _ in listening], [name] * len(asked))
            for service, address in listening:
                self.assert_serves(service, address)

    def test_each_program_takes_a_file_instead(self):
        for name in PORTS:
            file = self.scratch() / "conf"
            file.write_text(ostler.config_text({"services": {"mine": ostler.service(name, "fibers")}}))
            [(service, address)] = self.start(name + "d", "-c", file)
            self.assertEqual(service, "mine")
            self.assert_serves(name, address)

    def test_each_program_offers_its_own_handler_alone(self):
        for name in PORTS:
            catalogue = clients.run([ostler.BIN / (name + "d"), "-l"]).decode()
            handlers = catalogue.partition("\n\n")[0].splitlines()[1:]
            self.assertEqual([line.split()[0] for line in handlers], [name])


class Sample(ProgramCase):
    def start_sample(self):
        return self.start("ostlerd", "-c", SAMPLE)

    def test_sample_listens_on_loopback_and_nowhere_else(self):
        hosts = ("127.0.0.1", "::1") if ostler.has_ipv6() else ("127.0.0.1",)
        expected = {(name, kind + ("6" if ":" in host else "4"), (host, port))
                    for name, port in PORTS.items() for host in hosts for kind in ("tcp", "udp")
                    if (name, kind) != ("chargen", "udp")}
        expected |= {("echo", kind, "\0ostler-echo") for kind in ("unix", "unixgram")}
        self.assertEqual({(name, address.kind, address.name) for name, address in self.start_sample()}, expected)

    def test_sample_serves_all_of_them(self):
        for name, address in self.start_sample():
            self.assert_serves(name, address)

    def test_sample_has_threads_and_children_in_one_file(self):
        for mixin in ("evented", "fibers", "forking", "threading"):
            self.assertIn(f'"{mixin}"', SAMPLE.read_text())


if __name__ == "__main__":
    network.own_network()
    unittest.main()
