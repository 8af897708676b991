"""A network of one's own, for what listens on the fixed ports of README and examples."""
import contextlib
import os
import subprocess
import sys
import unittest

needs_own = unittest.skipUnless(os.environ.get("OSTLER_OWN_NETWORK"), "it makes network interfaces")


def own_network():
    """Start this script anew in a network namespace of its own, if that is allowed; where
    it is not, the fixed ports are the machine's."""
    if os.environ.get("OSTLER_OWN_NETWORK"):
        return
    if subprocess.run(["unshare", "-n", "ip", "link", "set", "lo", "up"], capture_output=True).returncode != 0:
        return
    inside = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, *sys.argv]
    os.execvpe("unshare", ["unshare", "-n", *inside], dict(os.environ, OSTLER_OWN_NETWORK="1"))


@contextlib.contextmanager
def interface(name, address):
    """A network interface with a link-local address, in a network of one's own, for as long as this lasts."""
    def ip(*arguments):
        subprocess.run(["ip", *arguments], check=True)

    ip("link", "add", name, "type", "veth", "peer", "name", name + "-peer")
    try:
        for end in (name, name + "-peer"):
            ip("link", "set", end, "addrgenmode", "none", "up")
        ip("-6", "address", "add", address + "/64", "dev", name, "nodad")
        yield
    finally:
        ip("link", "delete", name)
