#!/usr/bin/env python3
"""README's blocks: each ```c block compiles as it stands, with every warning an error;
one under the name of an example is that example; each ```sh block runs as it stands, with
the daemon of conf/ostler.conf up.

    readme.py CC BUILD    where BUILD is the build tree"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

root = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(root / "tests" / "support"))
from network import own_network  # noqa: E402

WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def blocks(language):
    text = (root / "README.md").read_text()
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.S | re.M)
    if not found:
        sys.exit(f"README.md has no ```{language} block")
    return found


def check_examples():
    """A block under the name of an example is that example, so that its test is the block's."""
    text = (root / "README.md").read_text()
    found = re.findall(r"^<!-- (tests/examples/\w+\.c) -->\n```c\n(.*?)^```$", text, flags=re.S | re.M)
    if not found:
        yield "README.md shows no example of tests/examples"
    for name, block in found:
        if block != (root / name).read_text():
            yield f"README.md's copy of {name} differs from it"


def check_c(cc, build, folder):
    for number, block in enumerate(blocks("c"), 1):
        source = folder / f"block{number}.c"
        source.write_text(block)
        program = ["-o", str(folder / "program"), f"-L{build}/lib", "-lostler-daemon", "-lostler"]
        what = program if "int main(" in block else ["-c", "-o", str(folder / "object")]
        run = subprocess.run([cc, *WARNINGS, f"-I{root}/include", str(source), *what], capture_output=True, text=True)
        if run.returncode != 0:
            yield f"C block {number} of README.md:\n{run.stderr}"


def start_daemon(build):
    reading, writing = os.pipe()
    daemon = subprocess.Popen([f"{build}/bin/ostlerd", "-c", "conf/ostler.conf", f"--ready-fd={writing}"],
                              pass_fds=[writing], cwd=root)
    os.close(writing)
    with os.fdopen(reading) as ready:
        if not ready.read().endswith("ready\n"):
            sys.exit("ostlerd -c conf/ostler.conf did not get ready")
    return daemon


def check_sh(build):
    for number, block in enumerate(blocks("sh"), 1):
        block = block.replace("build/dev", str(build)).replace("build/straight", f"{build}/straight")
        run = subprocess.run(["sh", "-eu", "-c", block], cwd=root, capture_output=True, text=True, timeout=30)
        if run.returncode != 0:
            yield f"shell block {number} of README.md:\n{run.stdout}{run.stderr}"
        if "printf 'hello" in block and not run.stdout.startswith("hello\n" * 3):
            yield f"shell block {number} of README.md printed {run.stdout!r}"


def problems(cc, build):
    with tempfile.TemporaryDirectory() as folder:
        yield from check_c(cc, build, pathlib.Path(folder))
    yield from check_examples()
    daemon = start_daemon(build)
    try:
        yield from check_sh(build)
    finally:
        daemon.send_signal(signal.SIGTERM)
        status = daemon.wait(timeout=20)
    if status != 0:
        yield f"ostlerd ended with {status}"


if __name__ == "__main__":
    own_network()
    found = list(problems(sys.argv[1], pathlib.Path(sys.argv[2]).resolve()))
    print("\n".join(found) or "README: its blocks compile and run")
    sys.exit(bool(found))
