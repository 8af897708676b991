"""What can be counted, and does not depend on the machine: system calls and instructions a request, memory a
connection, memory after very many. The bounds are what is there today, and a little (a twentieth for what
is exact, a tenth where it matters how many requests a wait finds, which is the machine's doing): who makes
something grow must raise them here, where it is seen; who makes it shrink lowers them."""

import collections
import contextlib
import dataclasses
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import typing

from programs import Failure, becomes_readable, PATIENCE, read_line, start, SERVER_CORE
from scenarios import TCP, UDP, UNIX

REQUESTS = 6400


@dataclasses.dataclass(frozen=True)
class Count:
    name: str
    title: str
    unit: str
    entries: list
    run: typing.Callable   # (catalogue, wanted, tell) -> {entry: {column: value}}
    bounds: dict           # entry -> {column: at most}
    goals: dict            # the same, but for the time when the work is done
    digits: int = 0
    timed: bool = False    # it is a time after all


def tool(name):
    path = shutil.which(name)
    if path is None:
        raise Failure(f"{name} is not installed, and counts need it")
    return path


def each(name, entries, measure):
    """Measure those of the entries that are wanted."""
    def run(catalogue, wanted, tell):
        table = {}
        for entry in entries:
            if entry in wanted:
                tell(f"{name}: {entry}")
                table[entry] = measure(catalogue, entry)
        return table
    return run


# System calls, by strace, which is attached while the load generator waits to be told.

KINDS = {
    "recv": {"recvfrom", "recvmsg", "recvmmsg", "read", "readv"},
    "send": {"sendto", "sendmsg", "sendmmsg", "write", "writev"},
    "wait": {"epoll_wait", "epoll_pwait", "epoll_pwait2"},
}


def strace(server, work):
    """The calls of a server's processes while work() is done, by name."""
    pids = [word for pid in server.pids() for word in ("-p", pid)]
    with tempfile.NamedTemporaryFile("r") as file:
        tracer = start([tool("strace"), "-f", "-c", "-U", "calls,name", "-o", file.name, *pids], SERVER_CORE,
                       stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if "attached" not in (line := read_line(tracer.stderr, "strace")):
            raise Failure(f"strace: {line}")
        work()
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=PATIENCE)
        rows = re.findall(r"^ *(\d+) +(\w+)$", file.read(), re.M)
    return collections.Counter({name: int(calls) for calls, name in rows if name != "total"})


def sort_calls(calls, requests):
    """Calls a request, of each kind and of all."""
    table = {kind: sum(calls[name] for name in names) / requests for kind, names in KINDS.items()}
    kinds = set().union(*KINDS.values())
    table["other"] = sum(count for name, count in calls.items() if name not in kinds) / requests
    table["all"] = sum(calls.values()) / requests
    return table


def count_calls(mode, address, requests=REQUESTS, **options):
    def measure(catalogue, entry):
        with (catalogue.start(entry, address, options["n"]) as server,
              catalogue.load(mode, server.address, r=requests, **options) as load):
            return sort_calls(strace(server, load.run), requests)
    return measure


# Page faults, by the kernel's own count, once the children have been waited for.

def page_faults(server):
    """Of a server's processes, and of their children."""
    total = 0
    for pid in server.pids():
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[7]) + int(fields[8])
    return total


def count_faults(requests, **options):
    def measure(catalogue, entry):
        with catalogue.start(entry, TCP, options["n"]) as server:
            converse(catalogue, server, "rate", r=requests, **options)
            before = page_faults(server)
            converse(catalogue, server, "rate", r=requests, **options)
            return {"faults": (page_faults(server) - before) / requests}
    return measure


# Instructions, by callgrind: the difference of two runs, which leaves out start and end.

def instructions(catalogue, entry, address, requests, **options):
    """Of a server's whole life."""
    with tempfile.NamedTemporaryFile("r") as file:
        prefix = [tool("valgrind"), "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={file.name}"]
        with (catalogue.start(entry, address, options["n"], prefix=prefix) as server,
              catalogue.load("datagrams" if address == UDP else "crowd", server.address, r=requests,
                             **options) as load):
            load.run()
        found = re.search(r"Collected : (\d+)", file.read())
    if not found:
        raise Failure(f"callgrind says nothing of {entry}")
    return int(found[1])


def count_instructions(address, **options):
    def measure(catalogue, entry):
        few, many = (instructions(catalogue, entry, address, n, **options) for n in (500, 500 + REQUESTS))
        return {"instructions": (many - few) / REQUESTS}
    return measure


# Memory.

CROWD, ROW = 10000, 100000


def converse(catalogue, server, mode, **options):
    with catalogue.load(mode, server.address, **options) as load:
        load.run()


def count_memory(catalogue, entry):
    """Bytes a connection that has said something, and is silent."""
    crowd = 1000 if "forks" in entry or "Python" in entry else CROWD
    with catalogue.start(entry, TCP, crowd) as server:
        converse(catalogue, server, "crowd", n=1, r=10)
        before = server.memory()
        with catalogue.load("crowd", server.address, n=crowd):
            return {"bytes": (server.memory() - before) / crowd}


def count_growth(catalogue, entry):
    """Bytes that a server has more after very many connections than after many."""
    with catalogue.start(entry, TCP, CROWD) as server:
        converse(catalogue, server, "rate", n=64, r=CROWD)
        before = server.memory()
        converse(catalogue, server, "rate", n=64, r=ROW)
        return {"bytes": server.memory() - before}


# A time, but nobody's on the network.

def time_switch(catalogue, wanted, tell):
    tell("switch")
    words = subprocess.run([catalogue.program("switch")], check=True, capture_output=True, text=True,
                           timeout=PATIENCE).stdout.split()
    return {name: {"ns": float(value)} for name, value in zip(words[::2], words[1::2])}


def calls_count(name, title, entries, bounds, mode="crowd", address=TCP, **options):
    return Count(name, title, "calls", entries, each(name, entries, count_calls(mode, address, **options)),
                 bounds, {}, 2)


def instructions_count(name, title, entries, bounds, address=TCP, **options):
    bounds = {entry: {"instructions": most} for entry, most in bounds.items()}
    return Count(name, title, "instructions", entries, each(name, entries, count_instructions(address, **options)),
                 bounds, {})


def memory_count(name, title, entries, measure, bounds, goals):
    return Count(name, title, "bytes", entries, each(name, entries, measure),
                 {entry: {"bytes": most} for entry, most in bounds.items()},
                 {entry: {"bytes": most} for entry, most in goals.items()})


STREAMS = ["raw epoll", "libevent event", "libevent bufferevent", "libuv", "libuv try_write", "Go", "C threads",
           "ostler evented", "ostler fibers", "ostler threading"]
FEW = ["raw epoll", "libevent event", "ostler evented", "ostler fibers"]
MANY = ["raw epoll", "libevent event", "libevent bufferevent", "libuv", "Go", "C threads", "C forks", "Python threads",
        "ostler evented", "ostler fibers", "ostler threading"]
FORKS = ["C forks", "ostler forking"]
DATAGRAMS = ["recvfrom/sendto", "recvmmsg", "libuv", "Go", "ostler evented", "ostler fibers"]
TALKED = "that has said something, of 10,000 (of 1,000: forks, Python)"

# Attaching and detaching is a handful of calls; an epoll_wait serves what has come meanwhile.
ONE_RECV_ONE_SEND = {"recv": 1.01, "send": 1.01, "wait": 0.2, "other": 0.01}
ONE_EACH = {"recv": 1.02, "send": 1.01, "wait": 0.01, "other": 0.02}

COUNTS = [
    calls_count("calls", "System calls a request, 64 connections", STREAMS,
                {"ostler evented": ONE_RECV_ONE_SEND, "ostler fibers": ONE_RECV_ONE_SEND,
                 "ostler threading": ONE_EACH}, n=64),
    calls_count("calls-rate", "System calls a connection: connect, echo, close", [*FEW, "ostler threading"],
                {"ostler evented": {"recv": 2.02, "send": 1.01, "wait": 0.5, "other": 5.1},
                 "ostler fibers": {"recv": 2.02, "send": 1.01, "wait": 0.5, "other": 5.1},
                 "ostler threading": {"recv": 2.3, "send": 1.3, "wait": 0.5, "other": 7.4}}, mode="rate", n=64),
    calls_count("calls-fork", "System calls a connection: connect, fork, echo, close; 8 at once", FORKS,
                {"ostler forking": {"all": 50}}, mode="rate", n=8, requests=500),  # 20, and 62 for all forked in a row
    Count("faults-fork", "Page faults a connection: connect, fork, echo, close; 8 at once", "faults", FORKS,
          each("faults-fork", FORKS, count_faults(1000, n=8)), {"ostler forking": {"faults": 26}}, {}, 1),
    calls_count("calls-udp", "System calls a datagram, 4 sockets × 16 in flight", DATAGRAMS,
                {"ostler evented": {"all": 0.3}, "ostler fibers": {"all": 1.3}},
                mode="datagrams", address=UDP, n=4, d=16),
    instructions_count("instructions", "Instructions a request in user space, 64 connections",
                       [*FEW, "C threads", "ostler threading"],
                       {"ostler evented": 720, "ostler fibers": 1255, "ostler threading": 515}, n=64),
    instructions_count("instructions-1", "Instructions a request in user space, 1 connection, a wait each", FEW,
                       {"ostler evented": 1325, "ostler fibers": 1835}, n=1),
    instructions_count("instructions-unix", "Instructions a request in user space, 64 Unix connections",
                       ["raw epoll", "ostler evented"], {"ostler evented": 720}, address=UNIX, n=64),
    # One at a time: how many of several in flight a call finds depends on who is the faster.
    instructions_count("instructions-udp", "Instructions a datagram in user space, one in flight, a wait each",
                       ["recvmmsg", "ostler evented"], {"ostler evented": 1620}, address=UDP, n=1, d=1),
    memory_count("memory", f"Memory of an idle connection {TALKED}", MANY, count_memory,
                 {"ostler evented": 405, "ostler fibers": 10240, "ostler threading": 14500},
                 {"ostler evented": 400, "ostler fibers": 10240}),
    memory_count("growth", "Growth by 100,000 connections in a row, after 10,000", ["ostler evented", "ostler fibers"],
                 count_growth, {"ostler evented": 128 * 1024, "ostler fibers": 128 * 1024}, {}),
    Count("switch", "To another fiber and back: the switch alone; a message and its answer by mailboxes", "ns",
          ["switch", "mailbox"], time_switch, {}, {"switch": {"ns": 60}}, 1, timed=True),
]


def judge(count, table):
    """A sentence for each bound that does not hold."""
    return [f"{count.name}: {entry}: {column} {table[entry][column]:.2f}, at most {most} allowed"
            for entry, bounds in count.bounds.items() if entry in table
            for column, most in bounds.items() if table[entry][column] > most]
