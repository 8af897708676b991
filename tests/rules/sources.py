#!/usr/bin/env python3
"""What stands in the sources: forbidden calls, and who may make which system call."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parents[2]
lib = root / "lib"

# A call, by name -> where it may stand (below lib/), and why not elsewhere.
RULES = [
    (r"epoll_\w+", (), "libevent delivers readiness"),
    (r"(?:evconnlistener|bufferevent|evhttp|evdns)_\w+", (), "see lib/server/listener.c, lib/request/conn_io.c"),
    (r"(?:socket|accept|accept4|bind|listen|connect|socketpair)", ("net/socket.c",), "net/ makes the sockets"),
    (r"(?:setsockopt|getsockopt|getsockname|getpeername|ioctl)", ("net/socket.c",), "net/ shapes the sockets"),
    (r"event_(?:new|add|del|assign|free|base_\w+)", ("reactor/",), "the reactor alone touches libevent"),
    (r"(?:exit|printf|abort)", ("daemon/",), "a library does not end or talk for its program"),
    (r"(?:signal|sigaction)", ("daemon/", "mixin/child.c", "mixin/overflow.c", "request/nudge.c"),
     "signal dispositions are the program's, but in a child, and the default one of SIGSEGV"),
    (r"(?:atoi|atol|strcpy|strcat|sprintf|vsprintf|strtok|alloca|sleep|usleep|gets)", (), "unsafe or blocking"),
    (r"(?:getaddrinfo|gethostbyname|getnameinfo)", ("socket/lookup.c",), "the reactor never waits for a resolver"),
    (r"fork", ("mixin/forking.c",), "children are the forking mix-in's"),
    (r"(?:waitpid|wait|wait3|wait4)", ("daemon/",), "the program's own children are not ours to wait for"),
    (r"(?:vfork|system|popen)", (), "a request's child is forked, nothing else is run"),
]
TOP = {"CMakeLists.txt", "CMakePresets.json", "include", "lib", "servers", "tests", "conf", "README.md", "LICENSE",
       "build"}


def strip(text):
    """Blank out comments and strings; keep the lines."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.S)


def problems():
    sources = sorted(lib.rglob("*.[ch]"))
    if len(sources) < 20:
        yield f"only {len(sources)} sources found: is this the right tree?"
    for path in sources:
        name = str(path.relative_to(lib))
        for number, line in enumerate(strip(path.read_text()).splitlines(), 1):
            for pattern, places, why in RULES:
                match = re.search(r"(?<![\w.>])(" + pattern + r")\s*\(", line)
                if match and not name.startswith(places):
                    yield f"lib/{name}:{number}: {match[1]}(): {why}"
    for path in list(lib.rglob("*.[ch]")) + list((root / "servers").rglob("*.[ch]")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX)\b", line):
                yield f"{path}:{number}: {line.strip()}"
            if len(line) > 120 or line.rstrip() != line or "\t" in line:
                yield f"{path}:{number}: too long, a tab, or space at the end"
    for path in root.iterdir():
        if path.name not in TOP and not path.name.startswith("."):
            yield f"{path.name}: not in the layout of the top level"


if __name__ == "__main__":
    found = list(problems())
    print("\n".join(found) or "sources: as they should be")
    sys.exit(bool(found))
