"""Tables, for Markdown."""

import os
import pathlib
import platform
import re

from programs import LOAD_CORE, SERVER_CORE


def row(*cells):
    print("| " + " | ".join(cells) + " |")


def head(*cells):
    row(*cells)
    print("|---" * len(cells) + "|")


def processor():
    found = re.search(r"^model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else platform.machine()


def machine():
    print(f"\n{processor()}, {os.cpu_count()} cores, Linux {platform.release()}, {' '.join(platform.libc_ver())}; "
          f"server on core {SERVER_CORE}, load on core {LOAD_CORE}")


def missing(names):
    for name, why in names.items():
        print(f"\nNot measured: {name}: {why}.")


def plus_minus(spread):
    return f" ± {spread:.2f}"


def scenario(results):
    """A line an entry. Busy: of the server's core, and of the load generator's."""
    reference = results.scenario.reference
    print(f"\n### {results.scenario.title}\n")
    head("", "requests/s", "to " + reference, "CPU a request", "to " + reference, "busy: server, load", "lost")
    for entry in sorted(results.samples, key=lambda name: (name != reference, results.median(name, "cost"))):
        median = {field: results.median(entry, field) for field in ("rate", "cost", "busy", "load_busy")}
        ratio = {field: f"{results.ratio(entry, reference, field):.2f}"
                 + plus_minus(results.spread(entry, reference, field)) for field in ("rate", "cost")}
        lost = sum(sample.lost for sample in results.samples[entry])
        mark = " †" if median["load_busy"] > median["busy"] else ""
        row(entry, f"{median['rate']:,.0f}{mark}", ratio["rate"], f"{median['cost'] * 1e6:.2f} µs", ratio["cost"],
            f"{median['busy']:.0%}, {median['load_busy']:.0%}", str(lost))
    difference, field = results.control()
    print(f"\n{results.rounds()} rounds of {results.seconds:g} s. "
          f"The same program twice: {difference:.1%} apart ({field}). Others took {results.others():.0%} of the two "
          "cores. † The load generator's core was the busier one: the server could have answered more.", flush=True)


def pair(results, entry):
    """Both ratios of an entry to the reference, as short as can be."""
    if entry not in results.samples:
        return ""
    return " / ".join(f"{results.ratio(entry, results.scenario.reference, field):.2f}" for field in ("rate", "cost"))


def summary(measured, names):
    """All scenarios of one server on one core in one table, with a line for each of names that was there."""
    columns = [results for results in measured.values()
               if results.scenario.generators == 1 and len(results.scenario.loads) == 1]
    lines = {name: [pair(results, name) for results in columns] for name in names}
    if len(columns) < 2:
        return
    print("\n### In short: requests/s, and CPU a request, as ratios to the first of each scenario\n")
    head("", *(results.scenario.name for results in columns))
    for name, cells in lines.items():
        if any(cells):
            row(name, *cells)


def bounds(values, wanted):
    return ", ".join(f"{column} ≤ {most:g}" + ("" if values[column] <= most else " **missed**")
                     for column, most in wanted.items())


def counts(count, table):
    columns = list(next(iter(table.values()), {}))
    print(f"\n### {count.title}\n")
    head("", *columns, "allowed", "goal")
    for entry, values in table.items():
        row(entry, *(f"{values[column]:,.{count.digits}f}" for column in columns),
            bounds(values, count.bounds.get(entry, {})), bounds(values, count.goals.get(entry, {})))
    print(flush=True)


def goals(verdicts):
    if not verdicts:
        return
    words = {"rate": ("requests/s", "≥"), "cost": ("CPU a request", "≤")}
    print("\n### Goals\n")
    head("scenario", "of", "to", "what", "goal", "measured", "")
    for verdict in verdicts:
        goal = verdict.goal
        what, sign = words[goal.field]
        row(verdict.title, goal.entry, goal.other, what, f"{sign} {goal.bound:.2f}", f"{verdict.value:.2f}",
            "met" if verdict.is_met else "**missed**")


def failures(sentences):
    print("\n" + ("\n".join(f"FAILED: {sentence}" for sentence in sentences) or "All that was judged holds."))
