#!/usr/bin/env python3
"""The manual: mandoc has nothing to say against a page; ostlerd.8 has each flag that -h
prints; ostler.conf.5 has each setting that -l prints, in its words, and no other, and
its examples are right; each program and each handler has its page; section 3 is what the
headers say, and has every public name.

    manpages.py BIN    where BIN has the programs"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

root = pathlib.Path(__file__).resolve().parents[2]
pages = {page.name: page for folder in ("servers", "conf", "lib/man") for page in (root / folder).rglob("*.[358]")}
# What depends on the machine's own manual, and not on ours.
ELSEWHERE = re.compile(r"referenced manual not found|outdated mandoc.db")


def run(program, *arguments):
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout


def lint(page):
    found = subprocess.run(["mandoc", "-Tlint", page], capture_output=True, text=True)
    for line in (found.stdout + found.stderr).splitlines():
        if not ELSEWHERE.search(line):
            yield line


def check_references(page):
    for name, section in re.findall(r"^\.Xr (\S+) (\d)", page.read_text(), flags=re.M):
        if re.search(r"ostler|^(echo|discard|chargen|daytime|time)d$", name) and f"{name}.{section}" not in pages:
            yield f"{page}: there is no {name}.{section}"


def items(page, macro):
    """The items of a page's lists whose name has that macro: name -> text, in one line."""
    text = pages[page].read_text()
    found = re.findall(rf"^\.It {macro} (\S+).*?\n(.*?)(?=^\.(?:It|El))", text, flags=re.S | re.M)
    return {name: " ".join(body.split()) for name, body in found}


def check_flags(program):
    told = set(re.findall(r"^  -(-?[a-zA-Z][\w-]*)", run(program, "-h"), flags=re.M))
    if len(told) < 6:
        yield f"{program} -h tells only of {told}"
    for flag in sorted(told ^ set(items("ostlerd.8", "Fl"))):
        yield f"ostlerd.8 and ostlerd -h disagree about the flag -{flag}"


def sections(catalogue):
    """Each part of -l, by the first word of its title."""
    return {part.split()[0]: part for part in catalogue.split("\n\n")}


def settings(catalogue):
    """name -> what it takes and its default, as -l has it."""
    return dict(re.findall(r"^  (\w+) +[^\n]*\n {10,}(.*)$", catalogue.split("\nSettings of", 1)[1], flags=re.M))


def check_settings(catalogue):
    told, page = settings(catalogue), items("ostler.conf.5", "Ic")
    if len(told) < 10:
        yield f"ostlerd -l tells only of {set(told)}"
    for name in sorted(set(told) ^ set(page)):
        yield f"ostler.conf.5 and ostlerd -l disagree about the setting {name}"
    for name in sorted(set(told) & set(page)):
        if not page[name].lower().startswith(told[name].lower() + "."):
            yield f"ostler.conf.5 says of {name}: {page[name][:80]!r}, but ostlerd -l: {told[name]!r}"


def check_mixins(catalogue):
    told = set(re.findall(r"^  (\w+) +\(", sections(catalogue)["Mix-ins,"], flags=re.M))
    for word in sorted(told ^ {name for name in items("ostler.conf.5", "Cm") if ":" not in name}):
        yield f"ostler.conf.5 and ostlerd -l disagree about the mix-in {word}"


def check_programs(bin, catalogue):
    handlers = re.findall(r"^  (\w+) +\(", sections(catalogue)["Handlers,"], flags=re.M)
    if len(handlers) < 2:
        yield f"ostlerd -l tells only of the handlers {handlers}"
    for program in ("ostlerd", *(handler + "d" for handler in handlers)):
        if program + ".8" not in pages:
            yield f"{program} has no manual page"
        if not (bin / program).exists():
            yield f"there is no program {program}"
    for handler in set(handlers) ^ set(items("ostlerd.8", "Cm")):
        yield f"ostlerd.8 and ostlerd -l disagree about the handler {handler}"


def examples():
    text = pages["ostler.conf.5"].read_text()
    return [block for block in re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text, flags=re.S | re.M)]


def check_examples(program, folder):
    if len(examples()) < 2:
        yield "ostler.conf.5 has no examples"
    for number, text in enumerate([*examples(), (root / "conf/ostler.conf").read_text()], 1):
        file = folder / f"example{number}.conf"
        file.write_text(text)
        checked = subprocess.run([program, "-t", "-c", file], capture_output=True, text=True)
        if checked.returncode != 0:
            yield f"an example of ostler.conf.5, or conf/ostler.conf, is wrong: {checked.stdout}{checked.stderr}"


def check_commands(bin, page):
    """The examples of a page that run its program with addresses."""
    program = page.stem if page.suffix == ".8" else None
    for line in re.findall(rf"^{program} (.*)$", page.read_text(), flags=re.M):
        if not line.startswith("-"):
            checked = subprocess.run([bin / program, "-t", *line.split()], capture_output=True, text=True)
            if checked.returncode != 0:
                yield f"{page}: {program} {line}: {checked.stderr}"


def public_names():
    """What the headers declare and define, but for what they are made with."""
    for header in (root / "include").rglob("*.h"):
        code = re.sub(r"/\*.*?\*/|#ifndef OSTLER_NO_HERE.*?#endif", "", header.read_text(), flags=re.S)
        for name in re.findall(r"\b(?:struct |enum )?(ostler_\w+|OSTLER_[A-Z_0-9]+)\b", code):
            if not re.fullmatch(r"OSTLER_(\w+_H|API|BEGIN|END|PRINTF|TEXT_OF)", name):
                yield name


def check_reference():
    made = subprocess.run([sys.executable, root / "lib/man/generate.py", "--check"], capture_output=True, text=True)
    if made.returncode != 0:
        yield made.stderr
    text = "".join(page.read_text() for name, page in pages.items() if name.endswith(".3"))
    known = set(re.findall(r"\w+", text))
    names = set(public_names())
    if len(names) < 100:
        yield f"the headers have only {len(names)} names?"
    for name in sorted(names - known):
        yield f"{name} is in no page of section 3"


def problems(bin):
    program = bin / "ostlerd"
    catalogue = run(program, "-l")
    for page in sorted(pages.values()):
        yield from lint(page)
        yield from check_references(page)
        yield from check_commands(bin, page)
    yield from check_reference()
    yield from check_flags(program)
    yield from check_settings(catalogue)
    yield from check_mixins(catalogue)
    yield from check_programs(bin, catalogue)
    with tempfile.TemporaryDirectory() as folder:
        yield from check_examples(program, pathlib.Path(folder))


if __name__ == "__main__":
    if not shutil.which("mandoc"):
        sys.exit("mandoc is not installed, and this test needs it")
    found = list(problems(pathlib.Path(sys.argv[1])))
    print("\n".join(found) or "manpages: as the programs are")
    sys.exit(bool(found))
