"""ostlerd tells the date and time in RFC 867's first form, in UTC, and closes."""

import os
import pathlib
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402

ENGLISH = {**os.environ, "LC_ALL": "C"}


class DaytimeCases:
    mixin = None

    def start_daytime(self, *listen, **options):
        return self.start_daemon({"daytime": ostler.service("daytime", self.mixin, *listen)}, **options)

    def date(self):
        """The line, as date(1) has it."""
        return clients.run(["date", "-u", "+%A, %B %-d, %Y %H:%M:%S-UTC"], env=ENGLISH).strip() + b"\r\n"

    def assert_tells_the_date(self, ask):
        """In the second in which date(1) is asked, or in the next."""
        before, told, after = self.date(), ask(), self.date()
        if told not in (before, after):
            self.fail(f"told {told!r}, and date(1) said {before!r} before and {after!r} after")

    def test_line_is_that_of_date(self):
        daemon = self.start_daytime()
        self.assert_tells_the_date(lambda: clients.read_to_end(self.connect(daemon)))

    @ostler.needs_ipv6
    def test_line_is_that_of_date_over_ipv6(self):
        daemon = self.start_daytime(ostler.LOOPBACK6)
        self.assert_tells_the_date(lambda: clients.read_to_end(self.connect(daemon)))

    def test_nc_gets_the_line(self):
        address = self.start_daytime().address()
        self.assert_tells_the_date(lambda: clients.run([ostler.tool("nc"), address.host, address.port]))

    def test_neither_time_zone_nor_locale_matters(self):
        daemon = self.start_daytime(environment={"TZ": "Asia/Tokyo", "LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"})
        self.assert_tells_the_date(lambda: clients.read_to_end(self.connect(daemon)))

    def test_second_changes_when_the_clock_says_so(self):
        daemon = self.start_daytime()
        second = int(time.time())
        ostler.wait_until(lambda: int(time.time()) > second, 1.5, "a second has passed")
        self.assert_tells_the_date(lambda: clients.read_to_end(self.connect(daemon)))

    def test_client_that_half_closed_first_gets_its_line(self):
        client = self.connect(self.start_daytime())
        client.shutdown(socket.SHUT_WR)
        self.assertRegex(clients.read_to_end(client), rb"-UTC\r\n$")

    def test_client_that_talks_unasked_gets_its_line_and_no_reset(self):
        daemon = self.start_daytime()
        for _ in range(20):
            with clients.connect(daemon.address()) as client:
                client.sendall(b"what day is it, please?\r\n" * 100)
                self.assertRegex(clients.read_to_end(client), rb"-UTC\r\n$")
                client.sendall(b"thank you")

    def test_50_clients_at_once_get_their_lines(self):
        daemon = self.start_daytime()
        for client in [self.connect(daemon) for _ in range(50)]:
            self.assertRegex(clients.read_to_end(client), rb"-UTC\r\n$")


class DaytimeEvented(DaytimeCases, ostler.TestCase):
    mixin = "evented"


class DaytimeInline(DaytimeCases, ostler.TestCase):
    mixin = "inline"


class DaytimeUnderThreading(DaytimeCases, ostler.TestCase):
    mixin = "threading"


class DaytimeInChildren(DaytimeCases, ostler.TestCase):
    mixin = "forking"


class DaytimeOnFibers(DaytimeCases, ostler.TestCase):
    mixin = "fibers"


if __name__ == "__main__":
    unittest.main()
