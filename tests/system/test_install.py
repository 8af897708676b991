#!/usr/bin/env python3
"""cmake --install: what is there, that it works in another place than it was built in, and
that others' programs can be built on it, in C and C++, by pkg-config and find_package."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests" / "consumer")]
import consumers  # noqa: E402
from commands import run  # noqa: E402
from machine import tool  # noqa: E402

BUILD = pathlib.Path(os.environ.get("OSTLER_BIN") or ROOT / "build/dev/bin").resolve().parent
LIBRARIES = ("libostler", "libostler-daemon")


def install(prefix, destdir=""):
    return run(tool("cmake"), "--install", BUILD, "--prefix", prefix, env={**os.environ, "DESTDIR": str(destdir)})


def files(folder):
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def setting(text, name):
    [line] = [line for line in text.splitlines() if line.startswith(name + "=")]
    return line.partition("=")[2]


class Scratch(unittest.TestCase):
    """Has a folder that goes with the class."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="ostler-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)


class Installed(Scratch):
    """Installed once, built there, and then moved: nothing may depend on the place."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        install(cls.folder / "first")
        cls.prefix = (cls.folder / "first").rename(cls.folder / "moved")
        [cls.pc] = {path.parent for path in cls.prefix.rglob("*.pc")}
        cls.lib = cls.pc.parent
        cls.programs = sorted((cls.prefix / "sbin").iterdir())


class Files(Installed):
    def test_headers_are_those_of_the_source(self):
        source, installed = ROOT / "include", self.prefix / "include"
        self.assertEqual({path.relative_to(installed): path.read_text() for path in files(installed)},
                         {path.relative_to(source): path.read_text() for path in files(source)})

    def test_shared_libraries_have_a_soname_and_links_to_it(self):
        for name in LIBRARIES:
            soname = f"{name}.so.0"
            self.assertIn(f"[{soname}]", run(tool("readelf"), "-d", self.lib / f"{name}.so"))
            self.assertEqual(os.readlink(self.lib / f"{name}.so"), soname)
            self.assertRegex(os.readlink(self.lib / soname), rf"^{name}\.so\.0\.\d+\.\d+$")
            self.assertTrue((self.lib / f"{name}.a").is_file())

    def test_nothing_searches_libraries_in_a_folder_of_its_own(self):
        for path in [*self.programs, *self.lib.glob("*.so")]:
            self.assertFalse(consumers.dynamic_tags(path) & {"RPATH", "RUNPATH"}, path)

    def test_nothing_names_the_folders_it_was_built_in(self):
        folders = [os.fsencode(folder) for folder in (BUILD, ROOT / "include", ROOT / "lib", ROOT / "servers")]
        self.assertEqual([], [str(path) for path in files(self.prefix)
                              if any(folder in path.read_bytes() for folder in folders)])

    def test_each_program_of_the_build_tree_runs(self):
        self.assertIn("ostlerd", [path.name for path in self.programs])
        for program in self.programs:
            self.assertIn(f"{program.name} (ostler ", run(program, "-V"))

    def test_manual_pages_have_no_mistakes(self):
        pages = sorted((self.prefix / "share/man").glob("man*/*"))
        expected = {f"man8/{program.name}.8" for program in self.programs} | {"man5/ostler.conf.5"}
        expected |= {f"man3/{page.name}" for page in (ROOT / "lib/man").glob("*.3")}
        self.assertEqual({"/".join(page.parts[-2:]) for page in pages}, expected)
        run(tool("mandoc"), "-Tlint", "-Wwarning", *pages)

    def test_the_debuggers_script_is_there(self):
        script = self.prefix / "share/ostler/ostler-gdb.py"
        self.assertEqual(script.read_bytes(), (ROOT / "lib/mixin/ostler-gdb.py").read_bytes())
        self.assertIn("ostler fibers", run(tool("gdb"), "-batch", "-ex", f"source {script}", "-ex", "help ostler"))

    def test_documents_are_there(self):
        doc = self.prefix / "share/doc/ostler"
        for name in ("README.md", "LICENSE"):
            self.assertEqual((doc / name).read_bytes(), (ROOT / name).read_bytes())
        self.assertEqual({path.name for path in (doc / "examples").iterdir()},
                         {path.name for path in (ROOT / "tests/examples").glob("*.c")})


class Configuration(Scratch):
    def test_sample_is_one_that_the_installed_program_takes(self):
        install(self.folder / "sample")
        run(self.folder / "sample/sbin/ostlerd", "-t", "-c", self.folder / "sample/etc/ostler/ostler.conf")

    def test_unit_names_what_is_installed(self):
        prefix = self.folder / "unit"
        install(prefix)
        unit = (prefix / "lib/systemd/system/ostlerd.service").read_text()
        self.assertEqual(setting(unit, "ExecStart"), f"{prefix}/sbin/ostlerd -c {prefix}/etc/ostler/ostler.conf")

    def test_unit_can_name_any_folder(self):
        """systemd(1) would take a blank for the end of the name, and put something else for % and $."""
        prefix = self.folder / "my own %n $HOME"
        install(prefix)
        unit = (prefix / "lib/systemd/system/ostlerd.service").read_text()
        name = str(prefix).replace("%", "%%")
        self.assertEqual(setting(unit, "ExecStart"), f'"{name}/sbin/ostlerd" -c "{name.replace("$", "$$")}'
                         '/etc/ostler/ostler.conf"')

    def test_unit_does_not_try_again_what_would_fail_again(self):
        """Five starts with a wrong file, and systemd would refuse the next, with the file put right."""
        prefix = self.folder / "again"
        install(prefix)
        (prefix / "etc/ostler/ostler.conf").write_text("wrong")
        status = subprocess.run([prefix / "sbin/ostlerd", "-c", prefix / "etc/ostler/ostler.conf"],
                                stderr=subprocess.DEVNULL, check=False).returncode
        unit = (prefix / "lib/systemd/system/ostlerd.service").read_text()
        self.assertEqual(setting(unit, "RestartPreventExitStatus"), str(status))

    def test_unit_is_not_made_in_the_build_tree(self):
        """Two that install to different places at the same time would meet there."""
        def units():
            return {path: path.stat().st_mtime_ns for path in BUILD.rglob("*.service")}

        before = units()
        install(self.folder / "another")
        self.assertEqual(units(), before)

    def test_edited_file_is_kept(self):
        prefix = self.folder / "edited"
        install(prefix)
        conf = prefix / "etc/ostler/ostler.conf"
        conf.write_text("edited")
        install(prefix)
        self.assertEqual(conf.read_text(), "edited")

    def test_destdir_stands_before_everything_and_usr_has_its_configuration_in_etc(self):
        root = self.folder / "root"
        install("/usr", destdir=root)
        self.assertEqual({path.name for path in root.iterdir()}, {"etc", "usr"})
        self.assertEqual([path.relative_to(root / "etc") for path in files(root / "etc")],
                         [pathlib.Path("ostler/ostler.conf")])
        unit = (root / "usr/lib/systemd/system/ostlerd.service").read_text()
        self.assertEqual(setting(unit, "ExecStart"), "/usr/sbin/ostlerd -c /etc/ostler/ostler.conf")
        self.assertEqual([], [str(path) for path in files(root) if os.fsencode(root) in path.read_bytes()])


class Consumers(Installed):
    def needs(self, path):
        return {name for name in consumers.needed(path) if name.startswith("libostler")}

    def check(self, program, link, path):
        ours = {"libostler.so.0"} if program.startswith("server") else {"libostler.so.0", "libostler-daemon.so.0"}
        self.assertEqual(self.needs(path), ours if link == "shared" else set())
        consumers.check(program, path, self.lib)

    def test_pkg_config(self):
        for program in consumers.PROGRAMS:
            for link in ("shared", "static", "whole"):
                with self.subTest(program=program, link=link):
                    path = consumers.build_with_pkg_config(BUILD, self.pc, self.folder, program, link)
                    self.check(program, link, path)

    def test_wholly_static_program_needs_no_library(self):
        path = consumers.build_with_pkg_config(BUILD, self.pc, self.folder, "daemon.c", "whole")
        self.assertNotIn("NEEDED", consumers.dynamic_tags(path))

    def test_find_package(self):
        output = self.folder / "project"
        output.mkdir()
        for (program, link), path in consumers.build_with_find_package(BUILD, self.prefix, output).items():
            with self.subTest(program=program, link=link):
                self.check(program, link, path)

    def test_find_package_gives_none_of_our_warnings(self):
        targets = "".join(path.read_text() for path in self.lib.glob("cmake/ostler/*"))
        for word in ("ostler_flags", "-W", "INTERFACE_COMPILE"):
            self.assertNotIn(word, targets)

    def test_versions_that_do_not_fit_are_refused(self):
        script = self.folder / "CMakeLists.txt"
        for wanted, fits in (("0.1", True), ("0.2", False), ("1.0", False)):
            script.write_text("cmake_minimum_required(VERSION 3.25)\nproject(version LANGUAGES C)\n"
                              f"find_package(ostler {wanted} QUIET)\n"
                              f"if(NOT ostler_FOUND STREQUAL {int(fits)})\nmessage(FATAL_ERROR)\nendif()\n")
            run(tool("cmake"), "-S", self.folder, "-B", self.folder / f"version-{wanted}",
                f"-DCMAKE_PREFIX_PATH={self.prefix}")


if __name__ == "__main__":
    unittest.main()
