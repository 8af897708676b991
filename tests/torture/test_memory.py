"""What an idle connection costs in user memory (PSS, the shared part divided), and that
nothing of it stays. Skipped as a whole on sanitizer builds: they cannot be measured."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402
from ostler import KIB  # noqa: E402

COUNT = 5000
FIBERS = 10000


def setUpModule():
    ostler.allow_many_descriptors()


@ostler.unless_sanitized
class Memory(ostler.TestCase):
    def start_echo(self, mixin, count=COUNT):
        return self.start_daemon({"echo": ostler.service("echo", mixin, max_requests=count + 10)})

    def crowd(self, daemon, talk=None, count=COUNT):
        """count connections, all accepted; each has sent talk and has it back."""
        before = daemon.descriptors()
        crowd = [self.connect(daemon) for _ in range(count)]
        for client in crowd if talk else ():
            client.sendall(talk)
        for client in crowd if talk else ():
            self.assertEqual(clients.read_exactly(client, len(talk)), talk)
        ostler.wait_until(lambda: daemon.descriptors() >= before + count, 10, f"{count} connections are accepted")
        return crowd

    def assert_costs(self, mixin, most, talk=None, count=COUNT):
        daemon = self.start_echo(mixin, count)
        before = daemon.pss()
        self.crowd(daemon, talk, count)
        self.assertLessEqual((daemon.pss() - before) / count, most, "bytes a connection")

    def test_5000_silent_evented_connections_cost_1_kib_each_at_most(self):
        self.assert_costs("evented", 1 * KIB)

    def test_5000_evented_connections_idle_after_a_talk_cost_1_kib_each_at_most(self):
        self.assert_costs("evented", 1 * KIB, b"hello\n")

    def test_10000_parked_fibers_cost_10_kib_each_at_most(self):
        self.assert_costs("fibers", 10 * KIB, b".", FIBERS)

    def test_fibers_that_went_give_their_memory_back_by_themselves(self):
        daemon = self.start_echo("fibers")
        descriptors, before = daemon.descriptors(), daemon.pss()
        for client in self.crowd(daemon, b"."):
            client.close()
        self.assert_back_to(daemon, descriptors)
        ostler.wait_until(lambda: daemon.pss() < before + 2 * COUNT * KIB, 10, "four fifths of their memory are back")

    def assert_second_crowd_costs_nothing_more(self, mixin):
        daemon = self.start_echo(mixin)
        descriptors = daemon.descriptors()
        for client in self.crowd(daemon, b"."):
            client.close()
        self.assert_back_to(daemon, descriptors)
        once = daemon.pss()
        for _ in range(3):
            for client in self.crowd(daemon, b"."):
                client.close()
            self.assert_back_to(daemon, descriptors)
        self.assertLessEqual(daemon.pss() - once, 256 * KIB)

    def test_evented_connections_that_went_leave_no_memory_behind(self):
        self.assert_second_crowd_costs_nothing_more("evented")

    def test_fibers_that_went_leave_no_memory_behind(self):
        self.assert_second_crowd_costs_nothing_more("fibers")

    def test_threads_that_went_leave_no_memory_behind(self):
        daemon = self.start_echo("threading")
        descriptors = daemon.descriptors()

        def crowd():
            with clients.Fleet(daemon.address(), 200) as fleet:
                fleet.ping_pong(1, 10)
            self.assert_back_to(daemon, descriptors)
            return daemon.pss()

        once = crowd()
        for _ in range(10):
            last = crowd()
        self.assertLessEqual(last - once, 512 * KIB)


if __name__ == "__main__":
    unittest.main()
