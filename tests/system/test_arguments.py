"""A program that offers one service takes addresses in place of a configuration file. With
greeterd under another name, as which it has one service."""

import pathlib
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import kinds  # noqa: E402
import ostler  # noqa: E402
from test_daemon import read_lines  # noqa: E402
from test_config import run  # noqa: E402

USAGE = "usage: wholed [-t] [--ready-fd=N] {-c FILE | ADDRESS...} | -l | -V | -h\n"


class Case(ostler.TestCase):
    def setUp(self):
        self.directory = self.scratch()
        self.program = self.directory / "wholed"
        self.program.symlink_to(ostler.BIN / "greeterd")

    def file(self):
        path = self.directory / "conf"
        path.write_text(ostler.config_text({"services": {"one": {"handler": "whole", "listen": "tcp:127.0.0.1:0"}}}))
        return path

    def start(self, *arguments):
        """Run it until the test ends. What its ready lines say, as {kind: address}."""
        self.process = ostler.spawn([self.program, "--ready-fd=1", *arguments], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.end)
        lines = read_lines(self.process.stdout.fileno(), 10)
        self.assertEqual(lines[-1:], ["ready"], lines)
        self.names = [line.partition(" ")[0] for line in lines[:-1]]
        return [kinds.Address.parse(line.partition(" ")[2]) for line in lines[:-1]]

    def end(self):
        self.process.kill()
        self.process.communicate()

    def stop(self):
        """Its log, of a good end."""
        self.process.send_signal(signal.SIGTERM)
        _, log = self.process.communicate(timeout=ostler.scaled(5))
        self.assertEqual(self.process.returncode, 0, log)
        return log.decode()

    def assert_refused(self, words, *arguments, usage=True, status=2):
        ran = run(*arguments, program=self.program)
        self.assertEqual((ran.status, ran.output, ran.ready), (status, "", b""), ran.errors)
        self.assertIn(words, ran.errors)
        self.assertTrue(ran.errors.startswith("wholed: "), ran.errors)
        self.assertEqual(USAGE in ran.errors, usage, ran.errors)
        self.assertLess(ran.seconds, ostler.scaled(1))


class Addresses(Case):
    def test_service_named_after_its_handler_listens_on_all_of_them(self):
        path = self.directory / "sock"
        addresses = self.start("tcp:127.0.0.1:0", "udp:127.0.0.1:0", f"unix:{path}", f"unixgram:{path}2")
        self.assertEqual([address.kind for address in addresses], ["tcp4", "udp4", "unix", "unixgram"])
        self.assertEqual(self.names, ["whole"] * 4)
        for address in addresses:
            with self.subTest(kind=address.kind), kinds.dial(address) as client:
                if kinds.is_datagram(address):
                    self.assertEqual(kinds.ask(client, b"1"), b"others")
                else:
                    self.assertEqual(clients.read_to_end(client), b"conn")  # its evented face: the default
        self.stop()
        self.assertEqual(sorted(name.name for name in self.directory.iterdir()), ["wholed"])

    def test_inherited_socket_is_an_address_too(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            process = ostler.spawn([self.program, "--ready-fd=1", f"fd:{server.fileno()}"], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, pass_fds=[server.fileno()])
            self.process = process
            self.addCleanup(self.end)
            self.assertEqual(read_lines(process.stdout.fileno(), 10)[-1], "ready")
            with clients.connect(server.getsockname()) as client:
                self.assertEqual(clients.read_to_end(client), b"conn")

    def test_file_will_still_do(self):
        [address] = self.start("-c", self.file())
        self.assertEqual(self.names, ["one"])
        with kinds.dial(address) as client:
            self.assertEqual(clients.read_to_end(client), b"conn")
        self.stop()

    def test_check_flag_checks_either(self):
        ran = run("-t", "tcp:127.0.0.1:0", "udp:[::1]:7", program=self.program)
        self.assertEqual((ran.status, ran.output, ran.errors), (0, "wholed: ok\n", ""))
        path = self.file()
        self.assertEqual(run("-t", "-c", path, program=self.program).output, f"{path}: ok\n")
        self.assert_refused('"tcp:nowhere:1" is no address', "-t", "tcp:nowhere:1")


class Refused(Case):
    def test_what_is_no_address_gets_a_sentence_and_the_usage(self):
        for text in ("x", "tcp", "tcp:", "127.0.0.1:7", "tcp:127.0.0.1:99999", "tcp:localhost:7", "fd:", "unix:", ""):
            with self.subTest(text=text):
                self.assert_refused(f'wholed: "{text}" is no address to listen on: ', text)
                self.assert_refused(f'wholed: "{text}" is no address to listen on: ', "tcp:127.0.0.1:0", text)

    def test_addresses_beside_a_file_are_refused(self):
        self.assert_refused("give addresses or a file", "-c", self.file(), "tcp:127.0.0.1:0")

    def test_nothing_at_all_is_refused(self):
        self.assert_refused("-c FILE, or an address, is missing")
        self.assert_refused("-c FILE, or an address, is missing", "-t")

    def test_flag_behind_an_address_is_no_address(self):
        self.assert_refused('"-t" is no address', "tcp:127.0.0.1:0", "-t")

    def test_address_given_twice_is_refused(self):
        self.assert_refused("tcp:[::1]:7 is given twice", "tcp:[::1]:7", "tcp:[0::1]:7", usage=False)
        self.assert_refused("is given twice", "unix:/tmp/x", "udp:127.0.0.1:0", "unixgram:/tmp/x", usage=False)

    def test_program_with_several_services_takes_none(self):
        ran = run("tcp:127.0.0.1:0", program="greeterd")
        self.assertEqual(ran.status, 2)
        self.assertIn('greeterd: "tcp:127.0.0.1:0" is one argument too many', ran.errors)
        self.assertNotIn("ADDRESS", ran.errors)
        self.assertNotIn("ADDRESS", run("-h", program="greeterd", ready=False).output.replace("SERVICE ADDRESS", ""))

    def test_usage_tells_of_addresses(self):
        text = run("-h", program=self.program, ready=False).output
        self.assertTrue(text.startswith(USAGE), text)
        self.assertRegex(text, "(?m)^  ADDRESS +listen")

    def test_port_that_is_taken_ends_it_with_1_and_leaves_nothing_behind(self):
        path = self.directory / "sock"
        with socket.create_server(("127.0.0.1", 0)) as taken:
            ran = run(f"unix:{path}", "tcp:127.0.0.1:%d" % taken.getsockname()[1], program=self.program)
        self.assertEqual((ran.status, ran.ready), (1, b""))
        self.assertRegex(ran.errors, "error whole: .*in use")
        self.assertEqual(sorted(name.name for name in self.directory.iterdir()), ["wholed"])

    def test_path_that_is_too_long_is_refused_before_anything_is_bound(self):
        begin = time.monotonic()
        self.assert_refused("107", f"unix:{self.directory}/good", f"unix:{self.directory}/{'x' * 108}")
        self.assertLess(time.monotonic() - begin, ostler.scaled(1))
        self.assertEqual(sorted(name.name for name in self.directory.iterdir()), ["wholed"])


if __name__ == "__main__":
    unittest.main()
