"""Who is measured: ostler with its mix-ins, and the reference servers, by the names of the tables."""

import itertools
import pathlib
import sys

import programs

HERE = pathlib.Path(__file__).resolve().parent

OSTLER = {f"ostler {mixin}": (mixin, {}) for mixin in ("evented", "fibers", "threading", "forking", "inline")}
OSTLER |= {f"ostler {mixin}, 2 workers": (mixin, {"workers": 2}) for mixin in ("evented", "fibers")}
OSTLER |= {"ostler evented, busy poll": ("evented", {"busy_poll_us": 50})}
PEERS = {
    "raw epoll": ("epoll",),
    "libevent event": ("event",),
    "libevent bufferevent": ("bufferevent",),
    "libuv": ("uv", "plain"),
    "libuv try_write": ("uv", "try"),
    "Go": ("goroutines",),
    "C threads": ("threads",),
    "C forks": ("forks",),
    "recvfrom/sendto": ("datagrams", "single"),
    "recvmmsg": ("datagrams", "batch"),
}
PYTHON = {
    "Python threads": "threading",
    "Python forks": "forking",
    "Python asyncio": "asyncio",
    "Python socketserver": "udp",
}
LIAR = "liar"  # a server that changes a byte now and then
AGAIN = " again"  # the same program as another entry: the A/A control

LOOPS = ["raw epoll", "libevent event", "libevent bufferevent", "libuv", "libuv try_write", "Go"]


def base(name):
    return name.removesuffix(AGAIN)


class Catalogue:
    """What of it there is in a build, and how it is started."""

    def __init__(self, build, directory):
        self.build, self.directory = build, directory
        self.numbers = itertools.count()

    def missing(self):
        """The names of those that cannot be measured here, and why."""
        packages = {"uv": "libuv1-dev", "goroutines": "golang-go"}
        return {name: f"{packages[words[0]]} is not installed" for name, words in PEERS.items()
                if words[0] in packages and not self.program(words[0]).exists()}

    def program(self, name):
        return self.build / "bin/bench" / name

    def start(self, name, address, connections, **options):
        """A programs.Server; there is room for so many connections. {} in an address: a number no other one has."""
        command = self.command(base(name), address.format(next(self.numbers)), connections)
        return programs.Server(command, name, **options)

    def load(self, mode, address, **options):
        return programs.Load(self.build, mode, address, **options)

    def loads(self, count, mode, address, *, n, **options):
        """So many generators, which share the connections."""
        return programs.Loads([lambda: self.load(mode, address, n=n // count, **options)] * count)

    def command(self, name, address, connections):
        if name in OSTLER:
            mixin, settings = OSTLER[name]
            return programs.ostler_command(self.build, mixin, address, connections + 10, self.directory, **settings)
        if name in PYTHON or name == LIAR:
            return [sys.executable, HERE / "peers/python_echo.py", PYTHON.get(name, name), address]
        program, *variant = PEERS[name]
        return [self.program(program), *variant, address]
