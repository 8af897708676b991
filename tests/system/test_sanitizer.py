"""AddressSanitizer finds on a fiber's stack what it finds on a thread's, and names the place. For
builds with it alone."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402


class Cases:
    mixin = None

    def start(self, handler):
        daemon = ostler.Daemon({"it": ostler.service(handler, self.mixin)}, program="sloppyd",
                               environment={"ASAN_OPTIONS": "detect_stack_use_after_return=1"})
        self.addCleanup(daemon.remove)
        self.addCleanup(daemon.kill)
        return daemon

    def provoke(self, handler, report, place):
        daemon = self.start(handler)
        first, second = self.connect(daemon), self.connect(daemon)
        for client in (first, second, first):  # while they take turns
            self.assertEqual(clients.ask(client, b"16\n"), b"ok\n")
        self.assertNotIn("Sanitizer", daemon.log())
        first.sendall(b"17\n")
        self.assertNotEqual(daemon.await_end(ostler.scaled(10)).status, 0)
        self.assertIn(f"AddressSanitizer: {report}", daemon.log())
        self.assertRegex(daemon.log(), rf"#0 0x[0-9a-f]+ in {place}\b")

    def test_an_overflow_is_found(self):
        self.provoke("over", "stack-buffer-overflow", "over_handle")

    def test_a_use_after_return_is_found(self):
        self.provoke("after", "stack-use-after-return", "after_handle")


class OnFibers(Cases, ostler.TestCase):
    mixin = "fibers"


class UnderThreading(Cases, ostler.TestCase):
    mixin = "threading"


if __name__ == "__main__":
    unittest.main()
