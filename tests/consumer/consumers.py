"""Programs of somebody else's, built on installed libraries in a folder of their own, and
a client that asks each of them.

server.c and server.cpp answer one client, daemon.c and daemon.cpp are daemons of one
service. Each is linked in up to three ways:

    shared    as pkg-config and find_package say
    static    with our static libraries
    whole     with nothing but static libraries"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

from commands import run
from machine import becomes_readable, scaled, spawn, tool

SOURCES = pathlib.Path(__file__).resolve().parent
PROGRAMS = ("server.c", "server.cpp", "daemon.c", "daemon.cpp")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
COMPILERS = {".c": ("CMAKE_C_COMPILER", "-std=c11"), ".cpp": ("CMAKE_CXX_COMPILER", "-std=c++17")}
MODULES = {"server": "ostler", "daemon": "ostler-daemon"}
ANSWERS = {".c": b"C hello\n", ".cpp": b"C++ hello\n"}


def cached(build, name):
    """A variable of a build tree."""
    return re.search(rf"^{name}:\w+=(.*)$", (build / "CMakeCache.txt").read_text(), flags=re.M)[1]


def pkg_config(folder, *arguments, sysroot=""):
    """The words that pkg-config answers, with the .pc files of folder before others."""
    environment = {**os.environ, "PKG_CONFIG_PATH": str(folder), "PKG_CONFIG_SYSROOT_DIR": str(sysroot)}
    return run(tool("pkg-config"), *arguments, env=environment).split()


def link_flags(folder, module, link, **where):
    """What to compile a program with."""
    static = [] if link == "shared" else ["--static"]
    flags = pkg_config(folder, *static, "--cflags", "--libs", module, **where)
    if link == "static":
        return [re.sub("^-l(ostler.*)", r"-l:lib\1.a", flag) for flag in flags]
    return flags + (["-static"] if link == "whole" else [])


def build_with_pkg_config(build, folder, output, program, link, **where):
    """The path of a program that was compiled as the build tree's programs are, with the
    .pc files of folder, into output."""
    source = SOURCES / program
    compiler, standard = COMPILERS[source.suffix]
    path = output / f"{program}-{link}"
    run(cached(build, compiler), standard, *WARNINGS, source, "-o", path,
        *link_flags(folder, MODULES[source.stem], link, **where))
    return path


def build_with_find_package(build, prefix, output):
    """Copy the project to output and build all of its programs: {(program, link): path}."""
    shutil.copytree(SOURCES, output / "source", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    compilers = [f"-D{name}={cached(build, name)}" for name, _ in COMPILERS.values()]
    run(tool("cmake"), "-S", output / "source", "-B", output / "build", f"-DCMAKE_PREFIX_PATH={prefix}", *compilers)
    run(tool("cmake"), "--build", output / "build", "-j2")
    return {(program, link): output / "build" / (program.replace(".", "-") + suffix)
            for program in PROGRAMS for link, suffix in (("shared", ""), ("static", "_static"))}


def needed(path):
    """The shared libraries that a program asks for by itself."""
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", run(tool("readelf"), "-d", path)))


def dynamic_tags(path):
    """The names in the dynamic section of a program or library."""
    return set(re.findall(r"\((\w+)\)", run(tool("readelf"), "-d", path)))


def read_line(pipe):
    if not becomes_readable(pipe, scaled(10)):
        raise AssertionError("the program did not say where it listens")
    return pipe.readline().decode()


def talk(address, text):
    """Send text, and return everything that comes back."""
    host, _, port = address.strip().removeprefix("tcp:").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=scaled(10)) as client:
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as answer:
            return answer.read()


@contextlib.contextmanager
def running(command, libraries=""):
    """The process of a program that says where it listens; it must end well."""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries)}
    process = spawn(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, bufsize=0)
    try:
        yield process
        if process.wait(scaled(10)) != 0:
            raise AssertionError(f"{command} ended with {process.returncode}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ask_server(path, libraries):
    with running([path], libraries) as server:
        return talk(read_line(server.stdout), b"hello\n")


def ask_daemon(path, libraries):
    config = path.with_suffix(".conf")
    config.write_text('services = { one = { handler = "greet", listen = "tcp:127.0.0.1:0" } }\n')
    with running([path, "-c", config, "--ready-fd=1"], libraries) as daemon:
        answer = talk(read_line(daemon.stdout).removeprefix("one "), b"")
        daemon.send_signal(signal.SIGTERM)
        return answer


def check(program, path, libraries=""):
    """Run a program, with shared libraries from that folder; it must answer as it should."""
    name = pathlib.Path(program)
    answer = (ask_server if name.stem == "server" else ask_daemon)(path, libraries)
    if answer != ANSWERS[name.suffix]:
        raise AssertionError(f"{path} answered {answer!r}")
