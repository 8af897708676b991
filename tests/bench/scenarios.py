"""What is measured by time: requests a second, and CPU a request."""

import contextlib
import dataclasses
import statistics

from entries import AGAIN, LOOPS
from programs import BOTH_CORES, LOAD_CORE, SERVER_CORE, cores_busy

GENERATIONS = 3  # of servers: a start has a luck of its own, with addresses and pages
TCP, UDP, UNIX = "tcp:127.0.0.1:0", "udp:127.0.0.1:0", "unix:@ostler-bench-{}"
TWO_CORES = ["Go", "raw epoll", "ostler evented", "ostler evented, 2 workers", "ostler fibers, 2 workers"]
BUSY = "ostler evented, busy poll"
MIXINS = ["ostler evented", "ostler fibers", "ostler threading"]
EVERYONE = [*LOOPS, "C threads", "C forks", "Python threads", "Python forks", "Python asyncio", *MIXINS,
            "ostler forking"]


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    entries: list                       # the first is the one that all are compared with
    loads: dict                         # what is added to an entry's name -> options of the load generator
    mode: str = "crowd"
    address: str = TCP
    generators: int = 1                 # of load; more than one: they and the server are on both cores
    stretch: int = 1                    # so many times longer, and fewer, are its slices

    @property
    def reference(self):
        return self.entries[0]


def scenario(name, title, entries, *, loads=None, mode="crowd", address=TCP, generators=1, stretch=1, **options):
    return Scenario(name, title, entries, loads or {"": options}, mode, address, generators, stretch)


SCENARIOS = [
    scenario("1", "1 connection × 64 bytes", [*LOOPS, "C threads", "Python threads", *MIXINS, "ostler inline", BUSY],
             n=1),
    scenario("64", "64 connections × 64 bytes", [*EVERYONE, BUSY], n=64),
    scenario("1000", "1,000 connections × 64 bytes", [*LOOPS, "C threads", "Python threads", *MIXINS], n=1000),
    # To ask each once takes an eighth of a second, and each is to ask several times.
    scenario("10000", "10,000 connections × 64 bytes", [*LOOPS, "C threads", *MIXINS], stretch=6, n=10000),
    scenario("large", "64 connections × 16 KiB", [*LOOPS, "C threads", *MIXINS], n=64, s=16384),
    scenario("pipelined", "64 connections × 64 bytes, 16 in flight on each", [*LOOPS, "C threads", *MIXINS],
             n=64, d=16),
    # Of children that have ended the kernel tells the CPU in ticks of a hundredth of a second.
    scenario("rate", "connect, echo 64 bytes, close; 64 at once", EVERYONE, mode="rate", stretch=4, n=64),
    scenario("idle", "64 active connections × 64 bytes, alone and among 15,000 idle ones",
             ["raw epoll", "libevent event", "ostler evented", "ostler fibers"],
             loads={"": {"n": 64}, " + 15,000 idle": {"n": 15064, "a": 64}}),
    scenario("udp", "UDP, 4 sockets × 16 datagrams of 64 bytes in flight",
             ["recvfrom/sendto", "recvmmsg", "libuv", "Go", "Python socketserver", "ostler evented", "ostler fibers"],
             mode="datagrams", address=UDP, n=4, d=16),
    scenario("cores", "Two cores, which server and load share: 64 connections × 64 bytes", TWO_CORES,
             generators=2, n=64),
    scenario("cores1000", "Two cores, which server and load share: 1,000 connections × 64 bytes", TWO_CORES,
             generators=2, n=1000),
    scenario("unix", "Unix stream, 64 connections × 64 bytes", [*LOOPS, "C threads", *MIXINS], address=UNIX, n=64),
]


@dataclasses.dataclass
class Sample:
    """Of one server in one round."""
    rate: float       # requests a second
    cost: float       # seconds of CPU a request, of all its processes
    busy: float       # the part of its core that it used
    load_busy: float  # and the load generator of its own
    others: float     # and others of both
    lost: int


@contextlib.contextmanager
def loaded(catalogue, scenario_, name, options, seconds):
    """A server that is up, and the load generator that is connected to it."""
    several = scenario_.generators > 1
    core, load_core = (BOTH_CORES, BOTH_CORES) if several else (SERVER_CORE, LOAD_CORE)
    with (catalogue.start(name, scenario_.address, options["n"], core=core) as server,
          catalogue.loads(scenario_.generators, scenario_.mode, server.address, **options, t=seconds,
                          core=load_core) as load):
        yield server, load


def measure(server, load):
    """One slice of load; a Sample."""
    before, busy_before = server.cpu(), cores_busy()
    result = load.run()
    used, busy = server.cpu() - before, cores_busy() - busy_before
    elapsed = result["seconds"]
    others = (busy - used - result["cpu"]) / elapsed / 2
    return Sample(result["requests"] / elapsed, used / result["requests"], used / elapsed, result["cpu"] / elapsed,
                  others, result["lost"])


class Results:
    """The samples of a scenario, by entry, one a round."""

    def __init__(self, scenario_, seconds):
        self.scenario, self.seconds = scenario_, seconds  # of each slice
        self.samples = {}

    def add(self, entry, sample):
        self.samples.setdefault(entry, []).append(sample)

    def median(self, entry, field):
        return statistics.median(getattr(sample, field) for sample in self.samples[entry])

    def ratios(self, entry, other, field):
        """Round by round, since the machine is not the same all the time."""
        return [getattr(a, field) / getattr(b, field) for a, b in zip(self.samples[entry], self.samples[other])]

    def ratio(self, entry, other, field):
        return statistics.median(self.ratios(entry, other, field))

    def spread(self, entry, other, field):
        """Half the distance of the quartiles of the ratios."""
        ratios = self.ratios(entry, other, field)
        if len(ratios) < 2:
            return 0.0
        first, _, third = statistics.quantiles(ratios, n=4, method="inclusive")
        return (third - first) / 2

    def rounds(self):
        return len(self.samples[self.scenario.reference])

    def others(self):
        """What others took of the two cores, on the whole."""
        return max(0.0, statistics.mean(sample.others for samples in self.samples.values() for sample in samples))

    def control(self):
        """The greatest difference of a program from itself, and of what."""
        reference = self.scenario.reference
        differences = [(abs(self.ratio(reference + AGAIN, reference, field) - 1), field) for field in ("rate", "cost")]
        return max(differences)


def cases_of(scenario_, wanted):
    """Who takes turns: entry -> (the server's name, options of its load generator)."""
    names = [scenario_.reference, scenario_.reference + AGAIN]
    names += [name for name in scenario_.entries[1:] if name in wanted]
    return {name + suffix: (name, options) for name in names for suffix, options in scenario_.loads.items()
            if not (suffix and name.endswith(AGAIN))}


def run(catalogue, scenario_, wanted, rounds, seconds, random, tell):
    """All rounds of a scenario, its servers in another order in each."""
    rounds, seconds = max(1, rounds // scenario_.stretch), seconds * scenario_.stretch
    results = Results(scenario_, seconds)
    cases = cases_of(scenario_, wanted)
    order = list(cases)
    generations = min(GENERATIONS, rounds)
    for generation in range(generations):
        with contextlib.ExitStack() as up:
            random.shuffle(order)
            servers = {entry: up.enter_context(loaded(catalogue, scenario_, *cases[entry], seconds))
                       for entry in order}
            for number in range(rounds * generation // generations, rounds * (generation + 1) // generations):
                random.shuffle(order)
                for entry in order:
                    tell(f"{scenario_.name}: round {number + 1} of {rounds}: {entry}")
                    results.add(entry, measure(*servers[entry]))
    return results
