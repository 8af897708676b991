#!/usr/bin/env python3
"""The manual pages of section 3, one a public header, made from the headers: there the
contract stands, and nowhere else.

    generate.py              write lib/man/*.3
    generate.py --check      fail if one of them differs from what its header says

A header is a comment that says what it is about, then declarations in groups, each after a
comment of its own. In a comment an empty line ends a paragraph, " - " begins an item of a list,
and what is indented by four spaces or more is shown as it stands."""
import pathlib
import re
import sys
import textwrap

root = pathlib.Path(__file__).resolve().parents[2]
pages = root / "lib" / "man"
include = root / "include"
DATE = "November 23, 2026"
WIDTH = 78
ABOUT = {  # what the one line about a header says; the header's own first sentence may be too long
    "address": "socket addresses as text and back",
    "conn": "evented connections",
    "daemon": "daemons with a configuration file",
    "datagram": "evented datagrams",
    "error": "errors as text",
    "here": "where a handler waits",
    "log": "where log lines go",
    "mailbox": "bounded queues of messages between handlers",
    "mixin": "where a server's handlers run",
    "reactor": "the loop, its timers, signals and posted functions",
    "request": "requests, whatever runs their handlers",
    "server": "servers, their classes and options",
    "socket": "the socket object",
    "stream": "connections for straight-line code",
    "sys/balance": "connections, spread over processes",
    "sys/libevent": "the libevent base of a reactor",
    "sys/mixin": "for authors of mix-ins",
    "version": "the version",
    "wait": "waiting for several things at once",
}


def page_name(header):
    return "ostler_" + header.replace("/", "_")


def strip_comment(text):
    """The lines of a comment without its stars."""
    text = re.sub(r"^/\*\*?|\*/$", "", text.strip())
    return [re.sub(r"^\s*\* ?", "", line).rstrip() if i else line.strip() for i, line in enumerate(text.split("\n"))]


class Group:
    """A comment and the declarations that it is about."""

    def __init__(self, comment):
        self.comment, self.declarations = comment, []


def statements(text):
    """(kind, text) of each comment and declaration at the top level of a header."""
    at = 0
    while at < len(text):
        rest = text[at:]
        if match := re.match(r"\s+", rest):
            at += match.end()
        elif rest.startswith("/*"):
            end = rest.index("*/") + 2
            yield ("comment" if rest.startswith("/**") else "remark"), rest[:end]
            at += end
        elif rest.startswith("#"):
            match = re.match(r"(?:[^\n]*\\\n)*[^\n]*\n?", rest)
            yield "directive", match[0].rstrip()
            at += match.end()
        elif match := re.match(r"OSTLER_(BEGIN|END)\n", rest):
            at += match.end()
        else:
            end = declaration_end(rest)
            yield "declaration", rest[:end]
            at += end


def declaration_end(text):
    """Behind the semicolon, or the remark on its line, that ends a declaration."""
    depth = at = 0
    while at < len(text):
        if text.startswith("/*", at):
            at = text.index("*/", at) + 2
            continue
        depth += {"{": 1, "(": 1, "}": -1, ")": -1}.get(text[at], 0)
        at += 1
        if text[at - 1] == ";" and depth == 0:
            break
    tail = re.match(r"[ \t]*/\*[^\n]*\*/", text[at:])
    return at + (tail.end() if tail else 0)


def read(path):
    """The header's own comment, and its groups."""
    text = path.read_text()
    head = re.match(r"/\*\*.*?\*/", text, flags=re.S)[0]
    body = re.sub(r"#ifndef OSTLER_NO_HERE\n.*?#endif\n", "", text[len(head):], flags=re.S)
    groups = [Group(None)]
    for kind, part in statements(body):
        if kind == "comment":
            groups.append(Group(part))
        elif kind == "declaration" and not re.match(r"struct \w+;", part):
            groups[-1].declarations.append(part)
        elif kind == "directive" and re.match(r"#define OSTLER_\w+[( ]", part):
            groups[-1].declarations.append(part)
    return head, [group for group in groups if group.declarations or group.comment]


def is_function(declaration):
    return declaration.startswith("OSTLER_API") and "(" in declaration


def names(declaration):
    """What it declares: functions, objects, types, constants and macros."""
    code = re.sub(r"/\*.*?\*/", "", declaration, flags=re.S)
    if code.startswith("#define"):
        return [re.match(r"#define (\w+)", code)[1]]
    if is_function(code):
        return [re.findall(r"(ostler_\w+)\s*\(", code)[0]]
    found = re.findall(r"(?:struct|enum) (ostler_\w+)\s*\{", code)
    if re.match(r"enum\b", code):
        found += re.findall(r"\b(OSTLER_\w+)", code)
    if code.startswith("OSTLER_API"):
        found += re.findall(r"(ostler_\w+)\s*;", code)
    return found


def escape(text):
    text = text.replace("\\", "\\e").replace("“", '"').replace("”", '"').replace("…", "...").replace("→", "->")
    text = text.replace("≥", ">=").replace("≤", "<=")
    return "\\&" + text if text[:1] in ".'" else text


def emit_sentence(sentence):
    """A sentence: functions as .Fn with what stands around them, the rest filled."""
    line = ""
    for word in sentence.split():
        match = re.match(r"^(\()?(\w+)\(\)(\))?([.,;:?!]*)$", word)
        if match and (match[3] or not match[1]):
            if line:
                yield escape(line)
            line = ""
            macro = f".Pq Fn {match[2]}" if match[1] else f".Fn {match[2]}"
            yield " ".join([macro, *("" if match[1] else match[3] or ""), *match[4]])
        elif len(line) + len(word) + 1 > WIDTH:
            yield escape(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    if line:
        yield escape(line)


def emit_text(lines):
    """Filled text, each sentence on lines of its own."""
    text = " ".join(line.strip() for line in lines)
    for sentence in re.split(r"(?<=[a-zA-Z0-9_)\]\"'][.?!])\s+", text):
        yield from emit_sentence(sentence)


def blocks(lines):
    """('text' | 'item' | 'display', lines) of a comment."""
    kind, block = "text", []
    for line in lines + [""]:
        if not line:
            if block and kind != "display":
                yield kind, block
                kind, block = "text", []
            elif block:
                block.append("")
            continue
        new = "display" if line.startswith("    ") and kind != "item" else "item" if re.match(r" +- ", line) else None
        if new == "item" or (new == "display") != (kind == "display"):
            if block:
                yield kind, block
            kind, block = new or "text", []
        block.append(line)
    if block:
        yield kind, block


def emit_comment(comment, first=True):
    """A comment's blocks."""
    listing = False
    for kind, lines in blocks(strip_comment(comment)):
        if listing and kind != "item":
            yield ".El"
            listing = False
        if kind == "item":
            if not listing:
                yield ".Bl -bullet -compact"
            listing = True
            yield ".It"
            yield from emit_text([re.sub(r"^ +- ", "", lines[0])] + lines[1:])
        elif kind == "display":
            yield from emit_display(lines)
        else:
            if not first:
                yield ".Pp"
            yield from emit_text(lines)
        first = False
    if listing:
        yield ".El"


def emit_display(lines):
    while lines and not lines[-1]:
        lines = lines[:-1]
    yield ".Bd -literal -offset indent"
    for line in textwrap.dedent("\n".join(lines)).split("\n"):
        yield escape(line)
    yield ".Ed"


def emit_declaration(declaration):
    """One line, or lines, of the synopsis."""
    if not is_function(declaration):
        return
    code = " ".join(re.sub(r"/\*.*?\*/|OSTLER_(API|PRINTF\([^)]*\))|;", "", declaration, flags=re.S).split())
    kind, name, arguments = re.match(r"(.*?)\b(ostler_\w+)\((.*)\)$", code).groups()
    yield f".Ft {kind.strip()}"
    yield f".Fo {name}"
    for argument in split_arguments(arguments):
        yield f'.Fa "{argument}"'
    yield ".Fc"


def split_arguments(text):
    depth, start = 0, 0
    for i, c in enumerate(text):
        depth += {"(": 1, ")": -1}.get(c, 0)
        if c == "," and depth == 0:
            yield text[start:i].strip()
            start = i + 1
    yield text[start:].strip()


def page(header):
    head, groups = read(include / "ostler" / f"{header}.h")
    declared = [name for group in groups for d in group.declarations for name in names(d)]
    functions = [name for group in groups for d in group.declarations if is_function(d) for name in names(d)]
    yield ".\\\" Made from the header by lib/man/generate.py."
    yield f".Dd {DATE}"
    yield f".Dt {page_name(header).upper()} 3"
    yield ".Os"
    yield ".Sh NAME"
    listed = [page_name(header)] + [name for name in functions if name != page_name(header)]
    for name in listed[:-1]:
        yield f".Nm {name} ,"
    yield f".Nm {listed[-1]}"
    yield f".Nd {ABOUT[header]}"
    yield ".Sh LIBRARY"
    yield "ostler-daemon (-lostler-daemon)" if header == "daemon" else "ostler (-lostler)"
    yield ".Sh SYNOPSIS"
    yield f".In ostler/{header}.h"
    for group in groups:
        for declaration in group.declarations:
            yield from emit_declaration(declaration)
    yield ".Sh DESCRIPTION"
    yield from emit_comment(head)
    for group in groups:
        yield from emit_group(group)
    assert declared or header == "ostler"
    yield ".Sh SEE ALSO"
    others = sorted(page_name(other) for other in ABOUT if other != header)
    yield ".Xr ostler 3 ,"
    for other in others[:-1]:
        yield f".Xr {other} 3 ,"
    yield f".Xr {others[-1]} 3"


def emit_group(group):
    title = [name for d in group.declarations for name in names(d)]
    if title:
        yield ".Ss " + shorten(title)
    for declaration in group.declarations:
        if not is_function(declaration):
            yield from emit_display(declaration.split("\n"))
    for declaration in group.declarations:
        if is_function(declaration):
            note = re.findall(r"/\*\s*(.*?)\s*\*/", declaration, flags=re.S)
            yield f".Fn {names(declaration)[0]}" + (" :" if note else "")
            if note:
                yield from emit_text(note)
    if group.comment:
        yield from emit_comment(group.comment, first=False)


def shorten(title):
    text = ", ".join(title)
    return text if len(text) <= 60 else f"{title[0]} and others"


def overview():
    yield ".\\\" Made by lib/man/generate.py."
    yield f".Dd {DATE}"
    yield ".Dt OSTLER 3"
    yield ".Os"
    yield ".Sh NAME"
    yield ".Nm ostler"
    yield ".Nd SocketServer for C, on libevent"
    yield ".Sh LIBRARY"
    yield "ostler (-lostler)"
    yield ".Sh SYNOPSIS"
    yield ".In ostler/ostler.h"
    yield ".Sh DESCRIPTION"
    yield from emit_text(OVERVIEW.strip().split("\n"))
    yield ".Pp"
    yield "There is a page for each header:"
    yield ".Bl -tag -width ostler_sys_libevent"
    for header in sorted(ABOUT):
        yield f".It Xr {page_name(header)} 3"
        yield ABOUT[header]
    yield ".El"
    yield ".Sh EXAMPLES"
    yield "A server that echoes lines, each connection on a fiber:"
    yield from emit_display(EXAMPLE.strip("\n").split("\n"))
    yield ".Sh ERRORS"
    yield from emit_text(ERRORS.strip().split("\n"))
    yield ".Sh SEE ALSO"
    yield ".Xr socket 2 ,"
    yield ".Xr ostler.conf 5 ,"
    yield ".Xr unix 7 ,"
    yield ".Xr ostlerd 8"


OVERVIEW = """
A server is an address, a handler, and a mix-in that says where the handler runs: on the
reactor, in a thread, in a child process, or on a fiber. One libevent reactor drives every
accept, receives every datagram, and serves evented handlers, inline handlers and fibers. The
type that a handler receives says whether it may block: struct ostler_stream may, struct ostler_conn and
struct ostler_datagram may not.
"""
ERRORS = """
Functions that can fail return 0 or more, or a negative errno, which ostler_strerror() turns into
text. Outputs are written on success only. A NULL where an object is due is -EINVAL, in every function that
can say so; using an object after it was freed is the caller's fault.
"""
EXAMPLE = r"""
#include <ostler/ostler.h>

static int echo_handle(struct ostler_stream *s)
{
    char line[512];
    ssize_t n;

    while ((n = ostler_stream_read_line(s, line, sizeof(line))) > 0)
        if (ostler_stream_write(s, line, (size_t)n) < 0)
            break;
    return (int)n;
}

static const struct ostler_stream_handler echo = { .handle = echo_handle };

int main(void)
{
    struct ostler_server_options server = {
        .address = "tcp:[::]:7007", .stream = &echo, .mixin = &ostler_fibers,
    };

    return ostler_serve_forever(&server) < 0;
}
"""


def all_pages():
    headers = sorted(str(path.relative_to(include / "ostler"))[:-2] for path in (include / "ostler").rglob("*.h"))
    missing = set(headers) - set(ABOUT) - {"ostler"}
    if missing:
        sys.exit(f"generate.py: nothing is said about {', '.join(sorted(missing))}")
    yield "ostler", "\n".join(overview()) + "\n"
    for header in headers:
        if header != "ostler":
            yield page_name(header), "\n".join(page(header)) + "\n"


def main():
    check, differing = "--check" in sys.argv[1:], []
    made = dict(all_pages())
    for name, text in made.items():
        path = pages / f"{name}.3"
        if check and (not path.exists() or path.read_text() != text):
            differing.append(path.name)
        elif not check:
            path.write_text(text)
    differing += [path.name for path in pages.glob("*.3") if path.stem not in made]
    if differing:
        sys.exit(f"{', '.join(differing)}: not what the headers say; run lib/man/generate.py")


if __name__ == "__main__":
    main()
