"""A network of one's own, for what listens on the fixed ports of README and examples."""
import os
import subprocess
import sys


def own_network():
    """Start this script anew in a network namespace of its own, if that is allowed; where
    it is not, the fixed ports are the machine's."""
    if os.environ.get("OSTLER_OWN_NETWORK"):
        return
    if subprocess.run(["unshare", "-n", "ip", "link", "set", "lo", "up"], capture_output=True).returncode != 0:
        return
    inside = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, *sys.argv]
    os.execvpe("unshare", ["unshare", "-n", *inside], dict(os.environ, OSTLER_OWN_NETWORK="1"))
