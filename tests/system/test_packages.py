#!/usr/bin/env python3
"""cpack -G DEB: what lintian says of the packages, that others' programs can be built with
them, and their life in a Debian to throw away: installed, run, removed, purged."""
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests" / "consumer")]
import consumers  # noqa: E402
import throwaway  # noqa: E402
from commands import run  # noqa: E402
from machine import tool  # noqa: E402

BUILD = pathlib.Path(os.environ.get("OSTLER_BIN") or ROOT / "build/dev/bin").resolve().parent
PACKAGES = {}  # name: file
CONF = "etc/ostler/ostler.conf"
SERVICES = """services = {
    one = { handler = "echo", listen = "tcp:127.0.0.1:0", mixin = "threading" }
}
"""


def field(package, name):
    return run(tool("dpkg-deb"), "-f", package, name).strip()


def dependencies(package):
    """The names of the packages that it needs."""
    return {re.split(r"[ |]", part.strip())[0] for part in field(package, "Depends").split(",")}


def setUpModule():
    """Make the packages, once for all tests."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ostler-test-"))
    unittest.addModuleCleanup(shutil.rmtree, folder)
    # with a umask that must not show in the packages
    run(tool("cpack"), "-G", "DEB", "--config", BUILD / "CPackConfig.cmake", "-B", folder, umask=0o077)
    PACKAGES.update((path.name.partition("_")[0], path) for path in folder.glob("*.deb"))


class Packages(unittest.TestCase):
    def test_there_are_three(self):
        self.assertEqual(set(PACKAGES), {"libostler0", "libostler-dev", "ostler"})

    def test_lintian_finds_nothing(self):
        run(tool("lintian"), "--no-cfg", "--fail-on", "error,warning", *PACKAGES.values())

    def test_dependencies_are_those_of_what_is_in_them(self):
        linked = {"libc6", "libevent-core-2.1-7", "libconfig9"}
        self.assertEqual(dependencies(PACKAGES["libostler0"]), linked)
        archives = "OSTLER_ARCHIVES:BOOL=ON" in (BUILD / "CMakeCache.txt").read_text()
        self.assertEqual(dependencies(PACKAGES["ostler"]), {"libc6"} if archives else linked)
        self.assertLessEqual({"libostler0", "libevent-dev", "libconfig-dev"}, dependencies(PACKAGES["libostler-dev"]))


class Consumers(unittest.TestCase):
    def test_programs_can_be_built_with_them(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="ostler-test-")))
        for name in ("libostler0", "libostler-dev"):
            run(tool("dpkg-deb"), "-x", PACKAGES[name], folder / "root")
        [pc] = (folder / "root/usr/lib").glob("*/pkgconfig")
        program = consumers.build_with_pkg_config(BUILD, pc, folder, "daemon.cpp", "shared", sysroot=folder / "root")
        consumers.check("daemon.cpp", program, pc.parent)
        for (name, _), program in consumers.build_with_find_package(BUILD, folder / "root/usr", folder).items():
            consumers.check(name, program, pc.parent)


@unittest.skipIf(os.geteuid() != 0, "only root can enter another root directory")
class Life(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="ostler-test-"))
        needed = dependencies(PACKAGES["ostler"]) | dependencies(PACKAGES["libostler0"])
        cls.root = throwaway.Root(folder, needed)
        cls.before = cls.root.state()

    def tearDown(self):
        self.dpkg("-P", "ostler", "libostler0")

    def dpkg(self, *words):
        return self.root.run("dpkg", *words)

    def install(self, *names):
        self.dpkg("-i", *self.root.put(*(PACKAGES[name] for name in names)))

    def new(self):
        """What is there now, or differs, since it was set up."""
        now = self.root.state()
        return {path for path in now.keys() | self.before.keys()
                if now.get(path) != self.before.get(path) and not path.startswith("tmp/")}

    def ask_echo(self, conf):
        command = self.root.command("/usr/sbin/ostlerd", "-c", conf, "--ready-fd=1")
        with consumers.running(command) as daemon:
            answer = consumers.talk(consumers.read_line(daemon.stdout).removeprefix("one "), b"hello\n")
            daemon.send_signal(signal.SIGTERM)
            return answer

    def test_daemon_runs(self):
        self.install("ostler")
        self.root.run("ostlerd", "-t", "-c", f"/{CONF}")
        (self.root.folder / CONF).write_text(SERVICES)
        self.assertEqual(self.ask_echo(f"/{CONF}"), b"hello\n")

    def test_libraries_are_found(self):
        self.install("libostler0")
        self.assertIn("libostler-daemon.so.0 ", self.root.run("ldconfig", "-p"))

    def test_service_is_not_enabled(self):
        self.install("ostler")
        self.assertFalse([path for path in self.new() if path.startswith("etc/") and "ostlerd" in path])
        self.assertIn("usr/lib/systemd/system/ostlerd.service", self.new())

    def test_configuration_survives_a_removal_and_an_installation_and_ends_with_a_purge(self):
        conf = self.root.folder / CONF
        self.install("ostler")
        conf.write_text(SERVICES)
        self.dpkg("-r", "ostler")
        self.assertFalse((self.root.folder / "usr/sbin/ostlerd").exists())
        self.assertEqual(conf.read_text(), SERVICES)
        self.install("ostler")
        self.assertEqual(conf.read_text(), SERVICES)
        self.dpkg("-P", "ostler")
        self.assertFalse(conf.parent.exists())

    def test_purge_leaves_nothing(self):
        known = self.dpkg("--get-selections")
        self.install("libostler0", "ostler")
        enabled = self.root.folder / "etc/systemd/system/multi-user.target.wants/ostlerd.service"
        enabled.symlink_to("/usr/lib/systemd/system/ostlerd.service")  # an administrator's doing
        self.dpkg("-P", "ostler", "libostler0")
        self.assertEqual(self.new(), set())
        self.assertEqual(self.dpkg("--get-selections"), known)
        self.assertFalse(list((self.root.folder / "var/lib/dpkg/info").glob("*ostler*")))


if __name__ == "__main__":
    unittest.main()
