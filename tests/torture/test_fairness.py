"""A client that floods at full speed does not starve the others."""

import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402
from ostler import MIB  # noqa: E402


class FairnessCases:
    mixin = None

    def flood(self, daemon):
        """A program that sends zeros as fast as it can, and reads what comes back."""
        with open("/dev/zero", "rb") as zeros:
            process = ostler.spawn([ostler.tool("socat"), "-b65536", "-", daemon.address().socat],
                                   stdin=zeros, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        ostler.wait_until(lambda: self.moved(process) > 4 * MIB, ostler.scaled(10), "the flood is on")
        return process

    @staticmethod
    def moved(process):
        """Bytes that it has written so far."""
        text = pathlib.Path(f"/proc/{process.pid}/io").read_text()
        return int(text.split("wchar: ")[1].split()[0])

    def assert_ping_pong_stays_quick(self, floods):
        daemon = self.start_daemon({"echo": ostler.service("echo", self.mixin)})
        flooding = [self.flood(daemon) for _ in range(floods)]
        before = [self.moved(process) for process in flooding]
        self.assertLess(clients.median_latency(self.connect(daemon), 200), ostler.scaled(0.05))
        for process, bytes_before in zip(flooding, before):  # which may not have had its turn yet
            ostler.wait_until(lambda: self.moved(process) > bytes_before, ostler.scaled(10), "the flood goes on")

    def test_ping_pong_stays_quick_beside_one_flood(self):
        self.assert_ping_pong_stays_quick(1)

    def test_ping_pong_stays_quick_beside_five_floods(self):
        self.assert_ping_pong_stays_quick(5)

    def test_new_client_gets_in_beside_a_flood(self):
        daemon = self.start_daemon({"echo": ostler.service("echo", self.mixin)})
        self.flood(daemon)
        for _ in range(50):
            with clients.connect(daemon.address()) as client:
                self.assertEqual(clients.ask(client, b"me too\n"), b"me too\n")

    def test_term_ends_it_in_the_middle_of_a_flood(self):
        daemon = self.start_daemon({"echo": ostler.service("echo", self.mixin)})
        self.flood(daemon)
        self.assertEqual(daemon.stop(seconds=ostler.scaled(3)).status, 0)


class FairnessEvented(FairnessCases, ostler.TestCase):
    mixin = "evented"


class FairnessUnderThreading(FairnessCases, ostler.TestCase):
    mixin = "threading"


class FairnessOnFibers(FairnessCases, ostler.TestCase):
    mixin = "fibers"


if __name__ == "__main__":
    unittest.main()
