"""ostlerd tells the time as RFC 868 wants it: 32 bits of seconds since 1900, then the
end, under every mix-in; and past February 2036, when those 32 bits start anew."""

import calendar
import os
import pathlib
import socket
import struct
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402

SINCE_1900 = 2_208_988_800  # RFC 868: the time value of 1970
WRAP = 1 << 32              # it is 2036-02-07 06:28:16 UTC in seconds since 1900

# The daemon's wall clock, moved by CLOCK_OFFSET seconds. The monotonic one stays.
SHIM = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    long r = syscall(SYS_clock_gettime, clock, now);

    if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += atoll(getenv("CLOCK_OFFSET"));
    return (int)r;
}

time_t time(time_t *out)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *out, void *zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""


def decode(answer):
    """Four bytes as seconds since 1900, modulo 2^32."""
    return struct.unpack("!I", answer)[0]


class TimeCases:
    mixin = None

    def start_time(self, *listen, **settings):
        return self.start_daemon({"time": ostler.service("time", self.mixin, *listen, **settings)})

    def assert_is_now(self, answer, before, offset=0):
        self.assertEqual(len(answer), 4)
        now = int(time.time()) + offset
        expected = {(second + SINCE_1900) % WRAP for second in range(before + offset, now + 1)}
        self.assertIn(decode(answer), expected)

    def ask_rdate(self, address):
        """What rdate prints, as seconds since 1970."""
        text = clients.run([ostler.tool("rdate"), "-6" if address.is_ipv6 else "-4",
                            "-p", "-o", address.port, address.host],
                           env={**os.environ, "TZ": "UTC", "LC_ALL": "C"}).decode()
        return calendar.timegm(time.strptime(text.strip(), "%a %b %d %H:%M:%S UTC %Y"))

    def date(self):
        return int(clients.run(["date", "+%s"]))

    def assert_rdate_agrees_with_date(self, listen):
        address = self.start_time(listen).address()
        before = self.date()
        told = self.ask_rdate(address)
        self.assertTrue(before <= told <= self.date(), f"rdate says {told}, date said {before} before")

    def test_rdate_agrees_with_date(self):
        self.assert_rdate_agrees_with_date(ostler.LOOPBACK4)

    @ostler.needs_ipv6
    def test_rdate_agrees_with_date_over_ipv6(self):
        self.assert_rdate_agrees_with_date(ostler.LOOPBACK6)

    def test_nc_gets_four_bytes_and_the_end(self):
        address = self.start_time().address()
        before = int(time.time())
        self.assert_is_now(clients.run([ostler.tool("nc"), address.host, address.port]), before)

    def test_four_bytes_and_the_end_come_without_a_request(self):
        daemon = self.start_time()
        before = int(time.time())
        self.assert_is_now(clients.read_to_end(self.connect(daemon)), before)

    def test_client_that_half_closed_first_gets_its_answer(self):
        daemon = self.start_time()
        before = int(time.time())
        client = self.connect(daemon)
        client.shutdown(socket.SHUT_WR)
        self.assert_is_now(clients.read_to_end(client), before)

    def test_client_that_talks_unasked_gets_its_answer_and_no_reset(self):
        daemon = self.start_time()
        for _ in range(20):
            before = int(time.time())
            with clients.connect(daemon.address()) as client:
                client.sendall(b"what time is it, please?\r\n" * 100)
                self.assert_is_now(clients.read_to_end(client), before)
                client.sendall(b"thank you")

    def test_100_clients_in_a_row_leave_nothing_behind(self):
        daemon = self.start_time()
        descriptors = daemon.descriptors()
        for _ in range(100):
            before = int(time.time())
            with clients.connect(daemon.address()) as client:
                self.assert_is_now(clients.read_to_end(client), before)
        self.assert_back_to(daemon, descriptors)

    def test_second_changes_when_the_clock_says_so(self):
        # time(2) lags a kernel tick behind clock_gettime(2) and date(1)
        daemon = self.start_time()
        second = int(time.time())
        ostler.wait_until(lambda: int(time.time()) > second, 1.5, "a second has passed")
        self.assert_is_now(clients.read_to_end(self.connect(daemon)), second + 1)

    def test_50_clients_at_once_get_their_answers(self):
        daemon = self.start_time()
        waiting = [self.connect(daemon) for _ in range(50)]
        for client in waiting:
            self.assertEqual(len(clients.read_to_end(client)), 4)

    def test_client_that_keeps_its_end_open_holds_up_nobody(self):
        daemon = self.start_time(max_requests=1)
        lingering = self.connect(daemon)
        self.assertEqual(len(clients.read_to_end(lingering)), 4)
        begin = time.monotonic()
        self.assertEqual(len(clients.read_to_end(self.connect(daemon))), 4)
        self.assertLess(time.monotonic() - begin, ostler.scaled(0.2))


class TimeEvented(TimeCases, ostler.TestCase):
    mixin = "evented"

    @classmethod
    def build_shim(cls, directory):
        source, library = directory / "clock.c", directory / "clock.so"
        source.write_text(SHIM)
        clients.run([ostler.tool("cc"), "-shared", "-fPIC", "-O1", "-o", library, source], 30)
        return library

    def time_at(self, text):
        """What the daemon tells when its clock stands at text; and that, by our clock."""
        offset = calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M:%S")) - int(time.time())
        daemon = self.start_daemon(
            {"time": ostler.service("time", self.mixin)},
            environment={"LD_PRELOAD": str(self.build_shim(self.scratch())), "CLOCK_OFFSET": str(offset),
                         # the shim stands before the sanitizer's library
                         "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"})
        before = int(time.time())
        answer = clients.read_to_end(self.connect(daemon))
        self.assert_is_now(answer, before, offset)
        return decode(answer)

    def test_time_is_right_a_week_before_the_32_bits_are_used_up(self):
        self.assertGreater(self.time_at("2036-01-31 00:00:00"), WRAP - 8 * 86400)

    def test_time_starts_anew_after_the_32_bits_are_used_up(self):
        self.assertLess(self.time_at("2036-02-07 06:28:16"), 60)

    def test_time_is_right_past_2036(self):
        self.assertLess(self.time_at("2036-02-08 00:00:00"), 86400)

    def test_time_is_right_past_2038(self):
        self.assertLess(self.time_at("2040-02-29 12:00:00"), 5 * 366 * 86400)


class TimeInline(TimeCases, ostler.TestCase):
    mixin = "inline"


class TimeUnderThreading(TimeCases, ostler.TestCase):
    mixin = "threading"


class TimeInChildren(TimeCases, ostler.TestCase):
    mixin = "forking"


class TimeOnFibers(TimeCases, ostler.TestCase):
    mixin = "fibers"


class TimeUnderEveryMixin(ostler.TestCase):
    def test_client_that_keeps_its_end_open_is_let_go_after_two_seconds(self):
        daemons = [self.start_daemon({"time": ostler.service("time", mixin)}) for mixin in ostler.MIXINS]
        descriptors = [daemon.descriptors() for daemon in daemons]
        for daemon in daemons:
            self.assertEqual(len(clients.read_to_end(self.connect(daemon))), 4)
        for daemon, before in zip(daemons, descriptors):
            self.assert_back_to(daemon, before, within=2.5)


if __name__ == "__main__":
    unittest.main()
