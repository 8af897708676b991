"""ostler-gdb.py: gdb tells what the fibers of a process, or of a core file, do."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import kinds  # noqa: E402
import ostler  # noqa: E402
from ostler import BIN, ROOT  # noqa: E402

SCRIPT = ROOT / "lib/mixin/ostler-gdb.py"
ECHO = ROOT / "servers/echo/echo.c"
WITHOUT_LIGHT_GUARDS = """python
for home in Layout().each(gdb.parse_and_eval("fiber_homes")["open"], "fibers", "home"):
    gdb.execute(f"set variable ((struct fibers *){int(home)})->stacks.light = 0")
"""


def gdb(*arguments, commands):
    """Its output; gdb itself must not fail."""
    words = [word for command in (f"source {SCRIPT}", *commands) for word in ("-ex", command)]
    done = subprocess.run([ostler.tool("gdb"), "-nx", "-batch", "-iex", "set debuginfod enabled off", *words,
                           *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=ostler.scaled(60))
    return done.stdout + done.stderr


def line_of(path, part):
    [number] = [number for number, line in enumerate(path.read_text().splitlines(), 1) if part in line]
    return number


class Gdb(ostler.TestCase):
    longest = 120

    def start(self):
        return self.start_daemon(self.services())

    @staticmethod
    def services():
        return {"one": ostler.service("echo", "fibers"),
                "two": ostler.service("echo", "fibers", f"unix:@ostler-test-gdb-{os.getpid()}")}

    def talk(self, daemon):
        """Two clients of the one service, one of the other, who say nothing any more."""
        self.clients = [kinds.dial(daemon.address(name), timeout=ostler.scaled(10)) for name in ("one", "one", "two")]
        for client in self.clients:
            self.addCleanup(client.close)
            self.assertEqual(clients.ask(client, b"hello\n"), b"hello\n")
        ostler.wait_until(lambda: "S" in [p.state for p in ostler.processes() if p.pid == daemon.pid], ostler.scaled(5),
                          "all wait")

    def assert_fibers(self, output, since=r"\d+\.\d"):
        self.assertIn("3 fibers with a request\n", output)
        place = f"./servers/echo/echo.c:{line_of(ECHO, 'ostler_stream_read(')}"
        peers = ["one: tcp:127.0.0.1:%d" % client.getsockname()[1] for client in self.clients[:2]] + ["two: unix:"]
        blocks = output.split("\nfiber ")[1:]
        self.assertEqual(len(blocks), 3, output)
        for block, peer in zip(blocks, peers):
            self.assertRegex(block, rf"\A\d: {re.escape(peer)}: waits at {re.escape(place)} since {since} s\n")
            self.assertRegex(block, r"\n#0 +leave \(f=.+\) at \S*\./lib/mixin/fiber.c:\d+\n")
            self.assertRegex(block, rf"\n#\d+ +echo_handle \(.+\) at \S*{re.escape(place)}\n")
            self.assertRegex(block, r"\n#\d+ +fiber_main \(.+\) at \S*\./lib/mixin/fiber.c:\d+\n")

    def test_a_running_process_is_asked(self):
        daemon = self.start()
        self.assertIn("0 fibers with a request\n", gdb("-p", daemon.pid, commands=["ostler fibers"]))
        self.talk(daemon)
        self.assert_fibers(gdb("-p", daemon.pid, commands=["ostler fibers"]))
        for client in self.clients:
            self.assertEqual(clients.ask(client, b"unharmed\n"), b"unharmed\n")

    def test_the_frames_of_one_can_be_looked_at(self):
        daemon = self.start()
        self.talk(daemon)
        output = gdb("-p", daemon.pid, commands=[
            "ostler fiber 2", "frame function echo_handle", "print s->request->owner->requests.next == 0", "ostler fiber", "backtrace",
            "ostler fiber 4"])
        self.assertIn("fiber 2: one: tcp:127.0.0.1:%d" % self.clients[1].getsockname()[1], output)
        self.assertIn("$1 = 0", output)
        self.assertIn("there are fibers 1 to 3", output)
        after = output[output.index("$1 = 0"):]
        self.assertIn("ost_reactor_turn", after)
        self.assertNotIn("echo_handle", after)

    @ostler.unless_sanitized  # address space in terabytes
    def test_a_core_file_is_asked(self):
        daemon = self.start()
        core = self.scratch() / "core"
        gdb("-p", daemon.pid, commands=[WITHOUT_LIGHT_GUARDS])  # which gdb cannot read, and then writes nothing
        self.talk(daemon)
        gdb("-p", daemon.pid, commands=[f"generate-core-file {core}"])
        self.assert_fibers(gdb(BIN / "ostlerd", core, commands=["ostler fibers"]))

    @unittest.skipIf(pathlib.Path("/proc/sys/kernel/core_pattern").read_text().startswith("|"),
                     "the system gives core files to a program of its own; the test above has one that gdb wrote")
    @ostler.unless_sanitized
    def test_the_kernels_core_file_is_asked(self):
        pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
        self.assertNotIn("/", pattern, "core files go elsewhere")
        folder = self.scratch()
        daemon = ostler.Daemon(self.services(),
                               prefix=["sh", "-c", f'cd {folder} && ulimit -c unlimited && exec "$0" "$@"'])
        self.addCleanup(daemon.remove)
        self.talk(daemon)
        daemon.send_signal(signal.SIGABRT)
        self.assertEqual(daemon.await_end(ostler.scaled(30)).status, -signal.SIGABRT)
        [core] = folder.iterdir()
        self.assert_fibers(gdb(BIN / "ostlerd", core, commands=["ostler fibers"]))


class Messages(ostler.TestCase):
    def test_without_a_process_it_says_so(self):
        self.assertIn("there is no process", gdb(BIN / "ostlerd", commands=["ostler fibers"]))

    def test_without_ostler_it_says_so(self):
        sleeper = subprocess.Popen([ostler.tool("sleep"), "60"])
        self.addCleanup(sleeper.wait)
        self.addCleanup(sleeper.kill)
        self.assertIn("there are no fibers here", gdb("-p", sleeper.pid, commands=["ostler fibers"]))

    @ostler.unless_sanitized  # whose programs cannot be stripped of what they need
    def test_without_debugging_information_it_says_so(self):
        stripped = self.scratch() / "ostlerd"
        subprocess.run([ostler.tool("strip"), "--strip-debug", "-o", stripped, BIN / "ostlerd"], check=True)
        daemon = self.start_daemon({"one": ostler.service("echo", "fibers")}, program=stripped)
        output = gdb("-p", daemon.pid, commands=["ostler fibers"])
        self.assertIn("no debugging information", output)
        self.assertIn("RelWithDebInfo", output)


if __name__ == "__main__":
    unittest.main()
