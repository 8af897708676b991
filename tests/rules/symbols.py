#!/usr/bin/env python3
"""Names, as nm sees them: what is exported, what is prefixed, what is mutable.

    symbols.py DIRECTORY    with libostler.{so,a} and libostler-daemon.{so,a}"""
import pathlib
import re
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parents[2]
MUTABLE = {
    "open_kinds": "fork(2) copies the whole process: threading and forking servers exclude each other in it",
    "generation": "a child process is told by it which reactors are its parent's, with one write for all of them",
    "lookups": "threads that resolve names are counted and limited in a process: who asks need not have a reactor",
    "fiber_homes": "a debugger finds all fibers of a process by it; nothing else reads it",
    "overflow": "SIGSEGV has one disposition in a process: all fibers' stacks are watched by one handler",
}
SANITIZER = re.compile(r"_*(asan|tsan|ubsan|odr_asan|sancov|Lubsan|\.?L)|__")  # what sanitizers add


def nm(*arguments):
    """(type, name) of each symbol that is defined."""
    output = subprocess.run(["nm", *map(str, arguments)], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in output.splitlines()]
    return [(row[-2], row[-1]) for row in rows if len(row) >= 2 and len(row[-2]) == 1 and row[-2] not in "Uuw"]


def sections(archive):
    """(name, section) of each object; thread-local ones have sections of their own."""
    command = ["nm", "--format=sysv", "--defined-only", archive]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [line.split("|") for line in output.splitlines()]
    return [(row[0].strip(), row[6].strip()) for row in rows if len(row) == 7]


def declared():
    """Every public function and object the headers declare."""
    names = set()
    for path in (root / "include" / "ostler").rglob("*.h"):
        text = re.sub(r"/\*.*?\*/|^#.*?$", "", path.read_text(), flags=re.S | re.M)
        for statement in re.findall(r"OSTLER_API\s+([^;]*);", text):
            head = re.split(r"\(", statement, maxsplit=1)[0]
            names.add(re.findall(r"ostler_\w+", head)[-1])
    return names


def problems(directory):
    exported = set()
    for name in ("libostler", "libostler-daemon"):
        for kind, symbol in nm("-D", "--defined-only", directory / f"{name}.so"):
            symbol = symbol.split("@")[0]
            if symbol.startswith("OSTLER_"):
                continue  # the version itself
            exported.add(symbol)
            if not symbol.startswith("ostler_"):
                yield f"{name}.so exports {symbol}"
        for kind, symbol in nm("--defined-only", directory / f"{name}.a"):
            if kind.isupper() and not symbol.startswith(("ostler_", "ost_")) and not SANITIZER.match(symbol):
                yield f"{name}.a: {symbol} is global and has no prefix"
    for symbol, section in sections(directory / "libostler.a"):
        if re.match(r"\.(data|bss)(?!\.rel\.ro)", section) and not SANITIZER.match(symbol) and symbol not in MUTABLE:
            yield f"libostler.a: {symbol} in {section} is mutable and global"
    for symbol in sorted(declared() - exported):
        yield f"{symbol} is declared and not exported"
    for symbol in sorted(exported - declared()):
        yield f"{symbol} is exported and not declared"
    if len(exported) < 60:
        yield f"only {len(exported)} symbols found: are these the right libraries?"


def unbound(directory):
    """Programs that bind their symbols lazily: a process that forks pays for that in each child."""
    for program in [directory.parent / "bin" / "ostlerd"]:
        dynamic = subprocess.run(["readelf", "-d", program], check=True, capture_output=True, text=True).stdout
        if "BIND_NOW" not in dynamic and not re.search(r"FLAGS_1.*NOW", dynamic):
            yield f"{program} is not linked with -z now"


if __name__ == "__main__":
    directory = pathlib.Path(sys.argv[1])
    found = [*problems(directory), *unbound(directory)]
    print("\n".join(found) or "symbols: as they should be")
    sys.exit(bool(found))
