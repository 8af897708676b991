"""What the tests know of the machine and of the build: limits of time, programs,
processes. See ostler.py for the environment variables."""

import ctypes
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import time
import unittest

KIB = 1024
MIB = 1024 * 1024

SLOW = float(os.environ.get("OSTLER_SLOW") or 1)
SANITIZED = os.environ.get("OSTLER_SANITIZED") == "1"

unless_sanitized = unittest.skipIf(
    SANITIZED, "OSTLER_SANITIZED=1: a sanitizer's own memory and system calls would be measured")


def scaled(seconds):
    """A time limit, on this build."""
    return seconds * SLOW


def has_ipv6():
    """Does this machine have ::1?"""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


needs_ipv6 = unittest.skipUnless(has_ipv6(), "this machine has no ::1")


def tool(name):
    """The path of a program that a test needs; a missing one is a failure."""
    path = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    if path is None:
        raise AssertionError(f"the program {name} is not installed, and this test needs it")
    return path


def allow_many_descriptors():
    """Let this process, and the daemons it starts, open what the hard limit allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def wait_until(condition, seconds, what):
    """Return once condition() is true. For facts that no call waits for, as in /proc."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise AssertionError(f"not within {seconds:.1f} s: {what}")
        select.select([], [], [], 0.001)


_libc = ctypes.CDLL(None)


def _die_with_parent():
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: nothing outlives a killed test


def spawn(arguments, **options):
    """subprocess.Popen() of a program that never outlives this process."""
    return subprocess.Popen([str(a) for a in arguments], preexec_fn=_die_with_parent, **options)


def becomes_readable(descriptor, seconds):
    """Are there bytes, or the end (of a process, for a pidfd), within so many seconds?"""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(0, seconds) * 1000))
