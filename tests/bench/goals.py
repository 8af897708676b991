"""What the figures should be: issue by issue the ratios of one interleaved run."""

import dataclasses

from entries import AGAIN, LOOPS


@dataclasses.dataclass(frozen=True)
class Goal:
    scenario: str
    entry: str
    field: str      # rate, at least, or cost, at most
    bound: float
    other: str


def costs(scenario, entry, bound, other="raw epoll"):
    return Goal(scenario, entry, "cost", bound, other)


def answers(scenario, entry, bound, other="raw epoll"):
    return Goal(scenario, entry, "rate", bound, other)


GOALS = [
    costs("64", "ostler evented", 1.03),
    costs("1000", "ostler evented", 1.03),
    costs("10000", "ostler evented", 1.00, "libevent event"),
    costs("large", "ostler evented", 1.05),
    answers("pipelined", "ostler evented", 0.97),
    costs("unix", "ostler evented", 1.05),
    answers("udp", "ostler evented", 1.00, "recvfrom/sendto"),
    *[answers(name, "ostler evented", 1.00, "libuv try_write")
      for name in ("64", "1000", "10000", "large", "pipelined", "rate", "unix")],
    answers("udp", "ostler evented", 1.00, "libuv"),
    answers("64", "ostler threading", 0.95, "C threads"),
    answers("1000", "ostler threading", 0.95, "C threads"),
    answers("rate", "ostler threading", 1.30, "C threads"),
    answers("64", "ostler forking", 0.95, "C forks"),
    answers("rate", "ostler forking", 0.95, "C forks"),
    answers("rate", "ostler evented", 0.97),
    costs("idle", "ostler evented + 15,000 idle", 1.05, "ostler evented"),
    *[answers("1", "ostler evented, busy poll", 2.50, other) for other in (*LOOPS, "C threads", "Python threads")],
    answers("64", "ostler evented, busy poll", 1.00, "ostler evented"),
    answers("64", "ostler fibers", 0.85, "ostler evented"),
    answers("1000", "ostler fibers", 0.85, "ostler evented"),
    answers("1000", "ostler fibers", 1.80, "ostler threading"),
    answers("cores", "ostler evented, 2 workers", 1.00, "Go"),
    answers("cores1000", "ostler evented, 2 workers", 1.00, "Go"),
]


@dataclasses.dataclass(frozen=True)
class Verdict:
    goal: Goal
    title: str
    value: float

    @property
    def is_met(self):
        return self.value <= self.goal.bound if self.goal.field == "cost" else self.value >= self.goal.bound


def judge(measured):
    """A verdict on each goal whose both sides were measured."""
    verdicts = []
    for goal in GOALS:
        results = measured.get(goal.scenario)
        if results and {goal.entry, goal.other} <= set(results.samples):
            value = results.ratio(goal.entry, goal.other, goal.field)
            verdicts.append(Verdict(goal, results.scenario.title, value))
    return verdicts


def control(results, most):
    """A sentence if a program differs from itself."""
    difference, field = results.control()
    if difference <= most:
        return []
    return [f"{results.scenario.name}: {results.scenario.reference}{AGAIN} differs from itself by "
            f"{difference:.0%} in its {field}, {most:.0%} allowed: the machine is not quiet"]
