"""A daemon as a process: what it tells when it is ready, settings that a handler brings,
the signals that end it even when a handler will not let go, and what a failure looks
like. With greeterd, a daemon of the tests' own, where ostlerd's handlers behave too well."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402

SMALLEST_STACK = {} if ostler.SANITIZED else {"stack_size": 16384}


def read_lines(descriptor, seconds):
    """The lines that come until the end of file, which must come in time."""
    limit = time.monotonic() + ostler.scaled(seconds)
    text = b""
    while ostler.becomes_readable(descriptor, limit - time.monotonic()):
        part = os.read(descriptor, 65536)
        if not part:
            return text.decode().splitlines()
        text += part
    raise AssertionError(f"the end of the ready lines did not come; before it came {text!r}")


class Running:
    """A daemon started with Popen, its log in a file."""

    def __init__(self, case, services, program="greeterd", flags=(), **settings):
        self.directory = case.scratch()
        self.log_file = self.directory / "log"
        config = self.directory / "daemon.conf"
        config.write_text(ostler.config_text({**settings, "services": services}))
        reader, writer = os.pipe()
        try:
            with open(self.log_file, "wb") as log:
                self.process = ostler.spawn([ostler.BIN / program, "-c", config, f"--ready-fd={writer}", *flags],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[writer])
            case.addCleanup(self.end)
            os.close(writer)
            writer = -1
            self.ready = read_lines(reader, 10)
        finally:
            os.close(reader)
            if writer >= 0:
                os.close(writer)
        self.addresses = {}
        for line in self.ready[:-1]:
            name, _, address = line.partition(" ")
            self.addresses.setdefault(name, []).append(ostler.Address.parse(address))

    def log(self):
        return self.log_file.read_text(errors="replace")

    def connect(self, case, name):
        client = clients.connect(self.addresses[name][0])
        case.addCleanup(client.close)
        return client

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def status(self, seconds):
        """The exit status, which must come within so many seconds, or has come while signals were sent."""
        if self.process.poll() is not None:
            return self.process.returncode
        pidfd = os.pidfd_open(self.process.pid)
        try:
            if not ostler.becomes_readable(pidfd, ostler.scaled(seconds)):
                raise AssertionError(f"it still ran after {ostler.scaled(seconds):.1f} s\n{self.log()}")
        finally:
            os.close(pidfd)
        return self.process.wait()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Case(ostler.TestCase):
    def start(self, services, **options):
        return Running(self, services, **options)

    def stop(self, daemon):
        """Stop it gracefully; it must end well, without a sanitizer's report."""
        daemon.signal()
        self.assertEqual(daemon.status(5), 0, daemon.log())
        self.assertNotRegex(daemon.log(), "Sanitizer|runtime error:")


class OwnSettings(Case):
    def greeting(self, daemon, name):
        return clients.read_to_end(daemon.connect(self, name))

    def test_settings_that_the_file_lacks_have_their_defaults(self):
        daemon = self.start({"one": ostler.service("greet", "threading")})
        self.assertEqual(self.greeting(daemon, "one"), b"hello 10 0.5 low\n")
        self.stop(daemon)

    def test_settings_of_all_four_types_reach_the_handler(self):
        daemon = self.start({"one": ostler.service("greet", "fibers", greeting="good day", limit=-7, pause=2.25,
                                                   loud=True)})
        self.assertEqual(self.greeting(daemon, "one"), b"good day -7 2.25 loud\n")
        self.stop(daemon)

    def test_whole_number_will_do_for_one_with_a_fraction(self):
        daemon = self.start({"one": ostler.service("greet", "inline", pause=3)})
        self.assertEqual(self.greeting(daemon, "one"), b"hello 10 3 low\n")
        self.stop(daemon)

    def test_each_service_has_settings_of_its_own(self):
        daemon = self.start({"one": ostler.service("greet", "threading", limit=1),
                             "two": ostler.service("greet", "threading", greeting="", limit=2, loud=True)})
        self.assertEqual(self.greeting(daemon, "one"), b"hello 1 0.5 low\n")
        self.assertEqual(self.greeting(daemon, "two"), b" 2 0.5 loud\n")
        self.stop(daemon)


class Ready(Case):
    def test_each_address_of_each_service_has_a_line_in_the_files_order_and_ready_is_last(self):
        daemon = self.start({"b": ostler.service("greet", "threading"), "a": {"handler": "greet", "listen": [
            "tcp:127.0.0.1:0", "tcp:127.0.0.2:0", "tcp:127.0.0.1:0"]}})
        self.assertEqual([line.rpartition(":")[0] for line in daemon.ready[:-1]],
                         ["b tcp:127.0.0.1", "a tcp:127.0.0.1", "a tcp:127.0.0.2", "a tcp:127.0.0.1"])
        self.assertEqual(daemon.ready[-1], "ready")
        self.stop(daemon)

    def test_nobody_reading_the_ready_lines_is_no_reason_not_to_serve(self):
        reader, writer = os.pipe()
        os.close(reader)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        config = self.scratch() / "conf"
        config.write_text(ostler.config_text({"services": {"one": ostler.service(
            "greet", "threading", f"tcp:127.0.0.1:{port}")}}))
        process = ostler.spawn([ostler.BIN / "greeterd", "-c", config, f"--ready-fd={writer}"],
                               stderr=subprocess.PIPE, pass_fds=[writer])
        os.close(writer)
        self.addCleanup(process.kill)
        lines = b""
        while b"--ready-fd: Broken pipe" not in lines:
            line = process.stderr.readline()
            self.assertTrue(line, lines)
            lines += line
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=ostler.scaled(5))
        self.assertEqual(process.returncode, 0)

    def test_ready_lines_wait_for_a_full_pipe_that_must_not_block(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        os.set_blocking(writer, False)
        before = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                before += os.write(writer, b"x" * 4096)
        config = self.scratch() / "conf"
        config.write_text(ostler.config_text({"services": {"one": ostler.service("greet", "threading")}}))
        process = ostler.spawn([ostler.BIN / "greeterd", "-c", config, f"--ready-fd={writer}"],
                               stderr=subprocess.PIPE, pass_fds=[writer])
        os.close(writer)
        self.addCleanup(process.kill)
        self.assertIn(b"one: listening on ", process.stderr.readline())
        lines = read_lines(reader, 10)
        self.assertRegex(lines[0].lstrip("x"), r"^one tcp:127\.0\.0\.1:[1-9]")
        self.assertEqual(lines[0].count("x"), before)
        self.assertEqual(lines[1:], ["ready"])
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=ostler.scaled(5))
        self.assertEqual(process.returncode, 0)

    def test_standard_output_will_do(self):
        config = self.scratch() / "conf"
        config.write_text(ostler.config_text({"services": {"one": ostler.service("greet", "threading")}}))
        process = ostler.spawn([ostler.BIN / "greeterd", "-c", config, "--ready-fd=1"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        lines = read_lines(process.stdout.fileno(), 10)
        self.assertRegex(lines[0], r"^one tcp:127\.0\.0\.1:[1-9]")
        self.assertEqual(lines[1:], ["ready"])
        self.assertEqual(os.readlink(f"/proc/{process.pid}/fd/1"), "/dev/null")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=ostler.scaled(5))
        self.assertEqual(process.returncode, 0)

    def test_descriptors_0_to_2_are_never_taken_for_something_of_the_daemons(self):
        config = self.scratch() / "conf"
        config.write_text(ostler.config_text({"services": {"one": ostler.service("greet", "threading")}}))
        reader, writer = os.pipe()
        process = ostler.spawn([ostler.tool("sh"), "-c", 'exec "$0" -c "$1" --ready-fd="$2" <&- >&- 2>&-',
                                ostler.BIN / "greeterd", config, writer], pass_fds=[writer])
        os.close(writer)
        self.addCleanup(process.kill)
        self.assertEqual(read_lines(reader, 10)[-1], "ready")
        os.close(reader)
        for number in range(3):
            self.assertEqual(os.readlink(f"/proc/{process.pid}/fd/{number}"), "/dev/null")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=ostler.scaled(5)), 0)


class Process(Case):
    def test_limit_of_descriptors_is_raised_to_the_hard_one(self):
        daemon = self.start_daemon({"echo": ostler.service("echo", "evented")},
                                   prefix=[ostler.tool("prlimit"), "--nofile=100:400"])
        limits = pathlib.Path(f"/proc/{daemon.pid}/limits").read_text()
        self.assertRegex(limits, r"Max open files +400 +400")

    @ostler.unless_sanitized  # ThreadSanitizer has a thread of its own
    def test_evented_fibers_and_inline_services_are_one_threads(self):
        for mixin in ("evented", "fibers", "inline"):
            daemon = self.start_daemon({"echo": ostler.service("echo", mixin)})
            client = self.connect(daemon)
            self.assertEqual(clients.ask(client, b"hello\n"), b"hello\n")
            self.assertEqual(daemon.threads(), 1)
            daemon.send_signal(signal.SIGUSR1)
            ostler.wait_until(lambda: "1 live request" in daemon.log(), ostler.scaled(5), "it lists its requests")
            self.assertEqual(clients.ask(client, b"hello\n"), b"hello\n")
            self.assertEqual(daemon.threads(), 1)

    def test_sigpipe_is_ignored_and_the_two_signals_go_to_one_thread(self):
        daemon = self.start_daemon({"echo": ostler.service("echo", "threading")})
        client = self.connect(daemon)
        clients.ask(client, b"hello\n")
        wanted = 1 << signal.SIGTERM - 1 | 1 << signal.SIGINT - 1
        blocking = 0
        for task in pathlib.Path(f"/proc/{daemon.pid}/task").iterdir():
            status = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
            blocking += int(status["SigBlk"], 16) & wanted == wanted
            self.assertTrue(int(status["SigIgn"], 16) & 1 << signal.SIGPIPE - 1)
        self.assertEqual(blocking, daemon.threads() - 1)

    def test_log_level_of_the_file_counts(self):
        quiet = self.start({"one": ostler.service("greet", "threading")}, log_level="error")
        self.stop(quiet)
        self.assertEqual(quiet.log(), "")

    def test_missing_address_is_a_warning_while_another_one_works(self):
        daemon = self.start({"one": {"handler": "greet", "listen": ["tcp:192.0.2.1:0", "tcp:127.0.0.1:0"]}})
        self.assertEqual(len(daemon.addresses["one"]), 1)
        self.assertRegex(daemon.log(), "warning.*192\\.0\\.2\\.1")
        self.stop(daemon)

    def test_service_that_cannot_be_bound_ends_it_with_1_and_nothing_is_announced(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            daemon = self.start({"good": ostler.service("greet", "threading"), "bad": {
                "handler": "greet", "listen": "tcp:127.0.0.1:%d" % taken.getsockname()[1]}})
            self.assertEqual(daemon.ready, [])
            self.assertEqual(daemon.status(2), 1)
            self.assertRegex(daemon.log(), "error .*in use")

    def test_service_with_no_address_that_the_machine_has_ends_it_with_1(self):
        daemon = self.start({"one": {"handler": "greet", "listen": "tcp:192.0.2.1:0"}})
        self.assertEqual((daemon.ready, daemon.status(2)), ([], 1))

    def test_smallest_stack_is_enough_for_an_echo(self):
        daemon = self.start({mixin: ostler.service("echo", mixin, stack_size=16384)
                             for mixin in ("threading", "fibers")}, program="ostlerd")
        if not ostler.SANITIZED:
            for name in daemon.addresses:
                self.assertEqual(clients.ask(daemon.connect(self, name), b"x" * 100000), b"x" * 100000)
        self.stop(daemon)


class Signals(Case):
    def held(self, **settings):
        """A daemon whose loop a handler holds."""
        daemon = self.start({"one": ostler.service("hold", "evented")}, **settings)
        daemon.connect(self, "one").sendall(b"x")
        ostler.wait_until(lambda: "holding the loop" in daemon.log(), ostler.scaled(5), "the loop is held")
        return daemon

    def deaf(self, mixin="threading", **settings):
        """A daemon with a handler that does not notice that it is cut off."""
        daemon = self.start({"one": ostler.service("deaf", mixin)}, **settings)
        self.assertEqual(clients.read_exactly(daemon.connect(self, "one"), 5), b"deaf\n")
        return daemon

    def test_reason_of_a_stop_is_in_the_log(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            daemon = self.start({"one": ostler.service("greet", "threading")})
            daemon.signal(number)
            self.assertEqual(daemon.status(2), 0)
            self.assertIn(f"stopping on {number.name}", daemon.log())

    def test_signal_before_it_is_ready_stops_it_too(self):
        for _ in range(20):
            config = self.scratch() / "conf"
            config.write_text(ostler.config_text({"services": {"one": ostler.service("greet", "threading")}}))
            process = ostler.spawn([ostler.BIN / "greeterd", "-c", config], stderr=subprocess.PIPE)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=ostler.scaled(5))
            self.assertIn(process.returncode, (0, -signal.SIGTERM))

    def test_many_signals_at_once_end_it_with_0(self):
        daemon = self.start({"one": ostler.service("greet", "threading")})
        for _ in range(50):
            daemon.signal(signal.SIGTERM)
            daemon.signal(signal.SIGINT)
        self.assertEqual(daemon.status(2), 0)

    def test_second_signal_ends_it_within_a_second_although_a_handler_holds_the_loop(self):
        daemon = self.held()
        daemon.signal()
        ostler.wait_until(lambda: "stopping on SIGTERM" in daemon.log(), ostler.scaled(1), "the first one is seen")
        begin = time.monotonic()
        daemon.signal(signal.SIGINT)
        self.assertEqual(daemon.status(1), 1)
        self.assertLess(time.monotonic() - begin, ostler.scaled(1))
        self.assertRegex(daemon.log(), "error .*holds the loop")

    def test_second_signal_ends_it_within_a_second_although_a_fiber_spins_with_hardly_any_stack_left(self):
        daemon = self.start({"one": ostler.service("spin", "fibers", **SMALLEST_STACK)})
        daemon.connect(self, "one").sendall(b"x")
        ostler.wait_until(lambda: "spinning" in daemon.log(), ostler.scaled(5), "the loop is held")
        daemon.signal()
        ostler.wait_until(lambda: "stopping on SIGTERM" in daemon.log(), ostler.scaled(1), "the first one is seen")
        begin = time.monotonic()
        daemon.signal()
        self.assertEqual(daemon.status(1), 1, daemon.log())
        self.assertLess(time.monotonic() - begin, ostler.scaled(1))
        self.assertRegex(daemon.log(), "error .*holds the loop")

    def test_held_loop_ends_two_seconds_after_stop_timeout_without_a_second_signal(self):
        daemon = self.held(stop_timeout=0)
        begin = time.monotonic()
        daemon.signal()
        self.assertEqual(daemon.status(3), 1)
        self.assertGreater(time.monotonic() - begin, 1.9)
        self.assertRegex(daemon.log(), "error .*holds the loop")

    def test_thread_that_does_not_end_is_named_and_the_process_ends_with_1(self):
        daemon = self.deaf(stop_timeout=0.2)
        begin = time.monotonic()
        daemon.signal()
        self.assertEqual(daemon.status(2), 1)
        self.assertLess(time.monotonic() - begin, ostler.scaled(1))
        self.assertRegex(daemon.log(), "error .*handlers do not end")

    def test_second_signal_ends_it_within_a_second_although_a_thread_does_not_end(self):
        daemon = self.deaf()
        daemon.signal()
        ostler.wait_until(lambda: "stopping on SIGTERM" in daemon.log(), ostler.scaled(1), "the first one is seen")
        daemon.signal()
        self.assertEqual(daemon.status(1), 1)

    def test_fiber_that_blocks_is_a_held_loop(self):
        daemon = self.deaf("fibers")
        daemon.signal()
        ostler.wait_until(lambda: "stopping on SIGTERM" in daemon.log(), ostler.scaled(1), "the first one is seen")
        daemon.signal()
        self.assertEqual(daemon.status(1), 1)
        self.assertRegex(daemon.log(), "error .*holds the loop")

    def test_stop_timeout_of_0_cuts_off_at_once(self):
        daemon = self.start_daemon({"echo": ostler.service("echo", "threading")}, stop_timeout=0)
        fleet = clients.Fleet(daemon.address(), 1, reads=False)
        self.addCleanup(fleet.close)
        fleet.clients[0].say(os.urandom(8 * ostler.MIB))
        fleet.run_until_stalled(0.1, 10)
        self.assertLess(daemon.stop().seconds, ostler.scaled(0.5))


if __name__ == "__main__":
    unittest.main()
