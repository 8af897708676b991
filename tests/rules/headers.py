#!/usr/bin/env python3
"""Each public header compiles alone, as C11 and as C++17, without a warning.

    headers.py CC CXX"""
import pathlib
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parents[2]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror", "-fsyntax-only"]


def problems(cc, cxx):
    headers = sorted((root / "include").rglob("*.h"))
    if len(headers) < 10:
        yield f"only {len(headers)} headers found: is this the right tree?"
    for header in headers:
        name = header.relative_to(root / "include")
        # Twice: a header must bear being included again.
        source = f"#include <{name}>\n#include <{name}>\nint main(void) {{ return 0; }}\n"
        for command in ([cc, "-std=c11", "-xc"], [cxx, "-std=c++17", "-xc++"]):
            run = subprocess.run(command + WARNINGS + [f"-I{root}/include", "-"], input=source, text=True,
                                 capture_output=True)
            if run.returncode != 0:
                yield f"{name} with {command[0]}:\n{run.stderr}"


if __name__ == "__main__":
    found = list(problems(*sys.argv[1:3]))
    print("\n".join(found) or "headers: each compiles alone")
    sys.exit(bool(found))
