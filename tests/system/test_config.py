"""What ostlerd makes of its configuration file and of its command line. A file that is
wrong is refused within a second, with its line and what would be right, and nothing is
started."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import typing
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import clients  # noqa: E402
import ostler  # noqa: E402

GOOD = """services = {
    echo = {
        handler = "echo" listen = "tcp:127.0.0.1:0"
    }
}
"""


def in_service(text):
    """A file in which text begins at the fourth line, in a service."""
    return f"""services = {{
    echo = {{
        handler = "echo" listen = "tcp:127.0.0.1:0"
        {text}
    }}
}}
"""


def listening(*lines):
    """A file with a service echo, whose listen begins in its third line."""
    text = "\n".join(lines)
    return f'services = {{ echo = {{\nhandler = "echo"\nlisten = {text}\n}} }}\n'


def calling(handler):
    """A file in which the handler's name stands in the third line."""
    return f'services = {{\n echo = {{\n  handler = {handler}\n  listen = "tcp:127.0.0.1:0"\n }}\n}}\n'


# (the file, the line of the problem, words of the message)

SYNTAX = [
    ("services = {\n", 1, "} for the { of line 1 is missing"),
    ('services = {\n echo = {\n  handler = "echo"\n\n', 3, "} for the { of line 2 is missing"),
    ("\n\n}\n", 3, "no { to it"),
    (GOOD + "}\n", 6, "no { to it"),
    ("log_level\n" + GOOD, 1, "has no value"),
    ("\nlog_level\n\n" + GOOD, 2, "has no value"),
    ('log_level "info"\n' + GOOD, 1, "has no value"),
    ("log_level =\n", 1, "ends too early"),
    ("log_level = ;\n" + GOOD, 1, "; is out of place"),
    ("log_level = info\n" + GOOD, 1, "text stands in quotes"),
    ('log_level = "info";;\n' + GOOD, 1, "; is out of place"),
    ('= "info"\n' + GOOD, 1, "NAME = VALUE"),
    ('"log_level" = "info"\n' + GOOD, 1, "NAME = VALUE"),
    ('log_level == "info"\n' + GOOD, 1, "= is out of place"),
    ('_level = "info"\n' + GOOD, 1, "_ is out of place"),
    ('true = "info"\n' + GOOD, 1, "true is out of place"),
    ('log_level = "info\n' + GOOD, 4, "has no value"),  # the string goes on to handler = "
    ('log_level = "info', 1, "has no end"),
    ('\nlog_level = "in\nfo\n', 2, "has no end"),
    ('log_level = "info\\"\n', 1, "has no end"),
    ('log_level = "in\\x00fo"\n' + GOOD, 1, "NUL"),
    ("/* no end\n" + GOOD, 1, "comment that begins here has no end"),
    ("\n\n# one\n/* two */ /* three\n" + GOOD, 4, "comment that begins here has no end"),
    ("log_level = @info\n" + GOOD, 1, "@ is out of place"),
    ("log_level = 'info'\n" + GOOD, 1, "' is out of place"),
    ("log_level = \xe9\n" + GOOD, 1, "byte 0xc3"),
    ("\ufeff" + GOOD, 1, "byte order mark"),
    ("a = \v1\n", 1, "out of place"),
    ("a = [1, 2\nservices = {}\n", 2, "] ends them"),
    ("a = [1,\n2,]\n" + GOOD, 2, "] is out of place"),
    ("a = [1 2]\n" + GOOD, 1, "separated by commas"),
    ("a = [1,\n2,\n\"x\"\n\n]\n" + GOOD, 3, "one type"),
    ("a = [1, 2.0]\n" + GOOD, 1, "one type"),
    ("a = [1, 2L]\n" + GOOD, 1, "one type"),
    ("a = [[1]]\n" + GOOD, 1, "strings, numbers or switches"),
    ("a = [{ b = 1 }]\n" + GOOD, 1, "strings, numbers or switches"),
    ("a = (1, 2\nservices = {}\n", 2, ") ends them"),
    ("a = (1,)\n" + GOOD, 1, ") is out of place"),
    ("a = (((((((((((((((((1)))))))))))))))))\n" + GOOD, 1, "nests"),
    ("a = " + "(" * 60000 + "\n", 1, "nests"),
    ("a = " + "{ a = " * 30000 + "\n", 1, "nests"),
    ("services = { echo = { 7 = 1 } }\n", 1, "} ends a group"),
    ('@include "other.conf"\n' + GOOD, 1, "@include"),
    (GOOD + '  \t@include\t"other.conf"\n', 6, "@include"),
    ('# one\n"', 2, "has no end"),
    (in_service('@include "other.conf"'), 4, "@include"),
    ('/* one\n*/ @include "other.conf"\n' + GOOD, 2, "@include"),
    ("".join(f"name{n} = 1\n" for n in range(15000)), 1001, "more than 1000 settings"),
    ("services = {\n" + "".join(f"s{n} = {{}}\n" for n in range(1001)), 1002, "more than 1000 settings"),
    ("x" * 64 + " = 1\n" + "y" * 65 + " = 1\n", 2, "64 bytes"),
    ("x" * 200000 + " = 1\n" + GOOD, 1, "64 bytes"),
    ("a = [" + "1,\n" * 20000 + "1]\n", 4096, "more than 4096 values"),
]

NUMBERS = [
    (in_service("max_requests = 2147483648"), 4, "put an L behind it"),
    (in_service("max_requests = 5000000000"), 4, "put an L behind it"),
    (in_service("max_requests = -2147483649"), 4, "put an L behind it"),
    (in_service("max_requests = 99999999999999999999"), 4, "too large"),
    (in_service("max_requests = 99999999999999999999L"), 4, "too large"),
    (in_service("max_requests = 9223372036854775808L"), 4, "too large"),
    (in_service("max_requests = -9223372036854775809LL"), 4, "too large"),
    (in_service("max_requests = 0xFFFFFFFF"), 4, "put an L behind it"),
    (in_service("max_requests = 0x80000000"), 4, "put an L behind it"),
    (in_service("max_requests = 0x8000000000000000L"), 4, "too large"),
    (in_service("max_requests = 0x10000000000000000"), 4, "too large"),
    (in_service("max_requests = 0x10000000000000000LL"), 4, "too large"),
    (in_service("max_requests =\n\n5000000000"), 6, "put an L behind it"),
    (in_service("max_requests = 010"), 4, "begins with a zero"),
    (in_service("socket_mode = 0660"), 4, 'or, if it is a mode, write "0660"'),
    (in_service("max_requests = 0x"), 4, "not a number"),
    (in_service("max_requests = -0x5"), 4, "not a number"),
    (in_service("max_requests = 5LLL"), 4, "not a number"),
    (in_service("max_requests = 5k"), 4, "not a number"),
    (in_service("max_requests = 5-3"), 4, "not a number"),
    (in_service("max_requests = -"), 4, "not a number"),
    (in_service("timeout = 5s"), 4, "not a number"),
    (in_service("timeout = ."), 4, "not a number"),
    (in_service("timeout = 1e"), 4, "not a number"),
    (in_service("timeout = 1.5L"), 4, "not a number"),
    (in_service("timeout = 1.2.3"), 4, "not a number"),
    (in_service("timeout = 1e999"), 4, "too large"),
    (listening("127.0.0.1:7007"), 3, "text stands in quotes"),
]

NAMES = [
    ("", 1, "no services"),
    ("# nothing\n", 1, "no services"),
    ('log_level = "info"\n', 1, "no services"),
    ("\nservices = { }\n", 2, "at least one"),
    ("\nservices = 5\n", 2, "must be a group"),
    ("services = (\n{ handler = \"echo\" }\n)\n", 1, "must be a group"),
    ('\nservice = { echo = { handler = "echo" } }\n', 2, "did you mean services?"),
    (GOOD + "services = { }\n", 6, "duplicate"),
    (GOOD + "log_levle = 1\n", 6, "did you mean log_level?"),
    (GOOD + "LOG_LEVEL = 1\n", 6, "did you mean log_level?"),
    (GOOD + "colour = 1\n", 6, "-l lists"),
    (GOOD + "listen = 1\n", 6, "belongs into one"),
    (in_service("hanlder = 1"), 4, "did you mean handler?"),
    (in_service("max_request = 1"), 4, "did you mean max_requests?"),
    (in_service("colour = 1"), 4, "-l lists"),
    (in_service("defers = true"), 4, "did you mean defer?"),
    (in_service("max_packets = 1"), 4, "did you mean max_packet?"),
    (in_service('log_level = "info"'), 4, "belongs outside of services"),
    (in_service("backlog = 5\n\nbacklog = 5"), 6, "duplicate"),
    (in_service("backlog = 5;\n/*\n*/ backlog\n\n=\n\n5"), 6, "duplicate"),
    ('services = {\n echo = {\n }\n echo = {\n }\n}\n', 4, "duplicate"),
    ('services = {\n\n echo = "echo"\n}\n', 3, "a service is a group"),
    ('services = {\n\n echo = [1]\n}\n', 3, "a service is a group"),
    ('services = {\n\n echo = {\n  listen = "tcp:127.0.0.1:0"\n }\n}\n', 3, "has no handler"),
    ('services = {\n\n echo = {\n  handler = "echo"\n }\n}\n', 3, "has no address"),
    (calling('"ehco"'), 3, 'did you mean "echo"?'),
    (calling('"nothing"'), 3, "no handler"),
    (calling('""'), 3, "no handler"),
    (calling('"\\x1b[31m"'), 3, 'no handler "?[31m"'),
    (calling("5"), 3, "must be text in quotes"),
    (calling('["echo"]'), 3, "must be text in quotes"),
]

LISTEN = [
    (listening("[]"), 3, "listen is empty"),
    (listening("()"), 3, "listen is empty"),
    (listening("7007"), 3, "listen must be an address"),
    (listening("true"), 3, "listen must be an address"),
    (listening('{ tcp = "tcp:127.0.0.1:0" }'), 3, "listen must be an address"),
    (listening('""'), 3, "is no address"),
    (listening('[7007]'), 3, "holds something that is no text"),
    (listening('("tcp:127.0.0.1:0",\n', "7007)"), 5, "holds something that is no text"),
    (listening('("tcp:127.0.0.1:0",\n', '[ "tcp:127.0.0.1:0" ])'), 5, "holds something that is no text"),
    (listening('"127.0.0.1:7007"'), 3, "tcp:"),
    (listening('"tcp:127.0.0.1"'), 3, "port"),
    (listening('"tcp:127.0.0.1:65536"'), 3, "65535"),
    (listening('"tcp:127.0.0.1:-1"'), 3, "port"),
    (listening('"tcp:127.0.0.1:http"'), 3, "port"),
    (listening('"tcp:localhost:7007"'), 3, "numeric"),
    (listening('"tcp:127.0.0.256:7007"'), 3, "numeric"),
    (listening('"tcp:::1:7007"'), 3, "bracket"),
    (listening('"tcp:[::1:7007"'), 3, "]"),
    (listening('"tcp:[::1]7007"'), 3, "]"),
    (listening('"tcp:[::g]:7007"'), 3, "IPv6"),
    (listening('"sctp:127.0.0.1:7007"'), 3, "scheme"),
    (listening('"udp:127.0.0.1"'), 3, "port"),
    (listening('"udp:localhost:7007"'), 3, "numeric"),
    (listening('"unix:"'), 3, "is no address"),
    (listening('"unix:/' + "x" * 107 + '"'), 3, "107"),
    (listening('"unixgram:/' + "x" * 107 + '"'), 3, "107"),
    (listening('"fd:"'), 3, "fd:"),
    (listening('"fd:-1"'), 3, "fd:"),
    (listening('"fd:x"'), 3, "fd:"),
    (listening("[", '"unix:/tmp/a",', '"tcp:127.0.0.1:0",', '"fd:3x"', "]"), 6, "fd:"),
    (listening('"tcp:127.0.0.1:0", "tcp:127.0.0.2:0"'), 3, "out of place"),
    (listening("[", '"tcp:127.0.0.1:0",', '"tcp:127.0.0.1:x"', "", "]"), 5, "port"),
    (listening("[", '"tcp:127.0.0.1:x"', "", ",", '"tcp:127.0.0.1:0"', "]"), 4, "port"),
    (listening("(", '"tcp:127.0.0.1:0",', '"tcp:"', '"127.0.0.1:x"', "", ")"), 5, "port"),
    (listening('["tcp:127.0.0.1:7007",', '"tcp:127.0.0.1:7007"]'), 4, "line 3 already"),
    (listening('["tcp:[::1]:7007",', '"tcp:[0:0::0:1]:7007"]'), 4, "line 3 already"),
    (listening('["udp:127.0.0.1:7007",', '"udp:127.0.0.1:7007"]'), 4, "udp:127.0.0.1:7007 stands in line 3 already"),
    (listening('["unix:/tmp/a",', '"unix:/tmp/a"]'), 4, "unix:/tmp/a stands in line 3 already"),
    (listening('["unix:/tmp/a",', '"unixgram:/tmp/a"]'), 4, "unix:/tmp/a stands in line 3 already"),
    (listening('["unixgram:/tmp/a",', '"unix:/tmp/a"]'), 4, "unixgram:/tmp/a stands in line 3 already"),
    (listening('["unix:@a",', '"unix:@a"]'), 4, "unix:@a stands in line 3 already"),
    (listening('["unixgram:@a",', '"unixgram:@a"]'), 4, "unixgram:@a stands in line 3 already"),
    (listening('["fd:3",', '"tcp:127.0.0.1:7",', '"fd:3"]'), 5, "fd:3 stands in line 3 already"),
    ('services = {\n a = { handler = "echo" listen = "tcp:127.0.0.1:7007" }\n'
     ' b = {\n  handler = "time"\n  listen = [ "tcp:127.0.0.1:0",\n   "tcp:127.0.0.1:7007" ] } }\n', 6, "for a"),
]

VALUES = [
    (in_service('mixin = "evanted"'), 4, "there are evented, inline, threading, forking, fibers"),
    (in_service("mixin = true"), 4, "must be text"),
    (in_service("max_requests = 0"), 4, "from 1 to 1000000, not 0"),
    (in_service("max_requests = -1"), 4, "not -1"),
    (in_service("max_requests = 5000000000L"), 4, "not 5000000000"),
    (in_service("max_requests = 8.0"), 4, "whole number from 1 to 1000000, not 8.0"),
    (in_service('max_requests = "8"'), 4, 'not the text "8"'),
    (in_service("max_requests = true"), 4, "not true"),
    (in_service("max_requests = [8]"), 4, "not an array"),
    (in_service("max_requests = (8)"), 4, "not a list"),
    (in_service("max_requests = { }"), 4, "not a group"),
    (in_service("max_requests\n=\n0"), 4, "not 0"),
    (in_service("max_parked = 0"), 4, "whole number from 1 to 1000000, not 0"),
    (in_service("max_parked = 1000001"), 4, "whole number from 1 to 1000000"),
    (in_service("queue = 0"), 4, "whole number from 1 to 1000000, not 0"),
    (in_service("queue = -5"), 4, "not -5"),
    (in_service("queue = true"), 4, "not true"),
    (in_service("max_packet = 0"), 4, "number of bytes from 1 to 65535, not 0"),
    (in_service("max_packet = 65536"), 4, "number of bytes from 1 to 65535, not 65536"),
    (in_service('max_packet = "64k"'), 4, "number of bytes"),
    (in_service('mixin = "threading"\ndefer = 1'), 5, "true or false, not 1"),
    (in_service('mixin = "evented"\ndefer = true'), 5, 'not for "evented"'),
    (in_service("defer = true"), 4, 'not for "evented"'),
    *((in_service(f"socket_mode = {value}"), 4, 'octal digits in quotes, "0200" to "0777", such as "0660", not ')
      for value in ("0", "660", "0x1B0", "true", "6.6", '""', '"0"', '"0000"', '"0800"', '"0778"', '"1000"', '"7777"',
                    '"00660"', '"660 "', '" 660"', '"-660"', '"+660"', '"0o660"', '"0x1B0"', '"rw-rw----"', '"u=rw"',
                    '["0660"]')),
    *((in_service(f'socket_mode = "{mode}"'), 4, f'not the text "{mode}": without 0200, by which its owner may write, '
       "a dead socket could not be replaced") for mode in ("1", "0060", "0177", "0466", "0577")),
    (in_service("backlog = 0"), 4, "from 1 to 65535"),
    (in_service("backlog = 65536"), 4, "from 1 to 65535"),
    (in_service("stack_size = 16383"), 4, "from 16384"),
    (in_service("stack_size = 4294967296L"), 4, "from 16384"),
    (in_service("max_input = 0"), 4, "number of bytes from 1"),
    (in_service("max_output = 255"), 4, "number of bytes from 256"),
    (in_service("max_output = 1e6"), 4, "number of bytes"),
    (in_service("timeout = -1"), 4, "number of seconds from 0"),
    (in_service("timeout = -0.001"), 4, "number of seconds from 0"),
    (in_service('timeout = "30"'), 4, "number of seconds from 0"),
    (in_service("deadline = 1e20"), 4, "not 1.00000e+20"),
    (in_service("deadline = 31536001"), 4, "not 31536001"),
    (in_service("reuse_address = 1"), 4, "true or false, not 1"),
    (in_service('reuse_port = "yes"'), 4, "true or false"),
    (in_service("reuse_port = yes"), 4, "true or false"),
    (in_service("disable_nagle = 0"), 4, "true or false, not 0"),
    (GOOD + "stop_timeout = -1\n", 6, "seconds from 0 to 86400"),
    (GOOD + "stop_timeout = false\n", 6, "seconds from 0 to 86400"),
    (GOOD + "stop_timeout = 86401\n", 6, "seconds from 0 to 86400"),
    (GOOD + "busy_poll_us = -1\n", 6, "whole number from 0 to 1000000"),
    (GOOD + "busy_poll_us = 1000001\n", 6, "not 1000001"),
    (GOOD + "busy_poll_us = 0.5\n", 6, "whole number from 0 to 1000000"),
    (GOOD + 'log_level = "loud"\n', 6, "error, warning, info, debug"),
    (GOOD + 'log_level = ""\n', 6, "error, warning, info, debug"),
    (GOOD + "log_level = 6\n", 6, "must be text in quotes"),
]

# Of greeterd: a service's own settings.
OWN = [
    (in_service("greeting = 5").replace('"echo"', '"greet"'), 4, "must be text in quotes"),
    (in_service("limit = 1.0").replace('"echo"', '"greet"'), 4, "must be a whole number"),
    (in_service('limit = "1"').replace('"echo"', '"greet"'), 4, "must be a whole number"),
    (in_service("pause = true").replace('"echo"', '"greet"'), 4, "must be a number"),
    (in_service("loud = 1").replace('"echo"', '"greet"'), 4, "must be true or false"),
    (in_service("greting = 5").replace('"echo"', '"greet"'), 4, "did you mean greeting?"),
    (in_service("greeting = 5").replace('"echo"', '"deaf"'), 4, "no setting greeting"),
    (in_service('mixin = "evented"').replace('"echo"', '"greet"'), 4,
     "it can run as inline, threading, forking, fibers"),
    (in_service('mixin = "threading"').replace('"echo"', '"hold"'), 4, "it can run as evented"),
    (in_service('mixin = "forking"').replace('"echo"', '"hold"'), 4, "it can run as evented"),
    (in_service('mixin = "forking"').replace('"echo"', '"ring"'), 4, "it can run as evented"),
]


def faces(handler, mixin, *addresses):
    """A file in which the addresses stand in the lines from the fourth on."""
    lines = ",\n".join(f'"{address}"' for address in addresses)
    word = f'mixin = "{mixin}"' if mixin else ""
    return f'services = {{ one = {{\nhandler = "{handler}" {word}\nlisten = [\n{lines}\n] }} }}\n'


# Of greeterd: what a handler's faces can answer.
FACES = [
    (faces("hold", None, "udp:127.0.0.1:0"), 4, "hold takes no datagrams, and so cannot answer at udp:127.0.0.1:0; "
     "it takes connections, of tcp: and unix:"),
    (faces("hold", None, "tcp:127.0.0.1:0", "unixgram:/tmp/x"), 5, "takes no datagrams"),
    (faces("hold", "evented", "unix:/tmp/y", "unixgram:@x"), 5, "takes no datagrams"),
    (faces("ring", None, "tcp:127.0.0.1:0"), 4, "ring takes no connections, and so cannot answer at tcp:127.0.0.1:0; "
     "it takes datagrams, of udp: and unixgram:"),
    (faces("ring", "evented", "udp:127.0.0.1:0", "udp:127.0.0.2:0", "unix:@x"), 6, "takes no connections"),
    (faces("half", "evented", "tcp:127.0.0.1:0", "udp:127.0.0.1:0"), 5, 'half takes no datagrams as "evented", since it '
     "has no datagram face, but for udp:127.0.0.1:0 it needs to; it takes them as inline, threading, forking, fibers"),
    (faces("half", "evented", "unixgram:@x"), 4, "has no datagram face"),
]


class Ran(typing.NamedTuple):
    status: int
    output: str
    errors: str
    ready: bytes     # what it wrote to --ready-fd
    seconds: float


def run(*arguments, program="ostlerd", ready=True, **options):
    """Run a program to its end; it must not take long."""
    begin = time.monotonic()
    reader, writer = os.pipe()
    flags = [f"--ready-fd={writer}"] if ready else []
    with open(reader, "rb") as pipe:
        try:
            process = ostler.spawn([ostler.BIN / program, *flags, *arguments], stdin=subprocess.DEVNULL,
                                   stdout=options.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE,
                                   pass_fds=[writer, *options.pop("pass_fds", [])], **options)
        finally:
            os.close(writer)
        try:
            output, errors = process.communicate(timeout=ostler.scaled(10))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise AssertionError(f"{process.args} did not end") from None
        return Ran(process.returncode, (output or b"").decode(), errors.decode(errors="replace"), pipe.read(),
                   time.monotonic() - begin)


class Case(ostler.TestCase):
    def write(self, text):
        """A file with this text; its path."""
        file = tempfile.NamedTemporaryFile("wb", suffix=".conf", delete=False)
        self.addCleanup(os.unlink, file.name)
        with file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return file.name

    def refused(self, text, *flags, program="ostlerd"):
        """The lines of the complaint about a file, as (line, message)."""
        path = self.write(text)
        ran = run("-c", path, *flags, program=program)
        self.assertEqual((ran.status, ran.output, ran.ready), (2, "", b""), ran.errors)
        self.assertLess(ran.seconds, ostler.scaled(1))
        problems = []
        for line in ran.errors.splitlines():
            self.assertTrue(line.startswith(path + ":"), line)
            number, _, message = line[len(path) + 1:].partition(":")
            problems.append((int(number), message.strip()) if number.isdigit() else (0, line[len(path) + 1:].strip()))
        return problems

    def assert_refused(self, table, program="ostlerd"):
        for text, line, words in table:
            with self.subTest(text=text[:400], words=words):
                problems = self.refused(text, program=program)
                self.assertEqual(problems[0][0], line, problems)
                self.assertIn(words, problems[0][1])

    def assert_good(self, text, program="ostlerd"):
        path = self.write(text)
        ran = run("-t", "-c", path, program=program)
        self.assertEqual((ran.status, ran.output, ran.errors), (0, f"{path}: ok\n", ""))


class BrokenFiles(Case):
    longest = 120

    def test_there_are_more_than_100_of_them(self):
        self.assertGreater(len(SYNTAX + NUMBERS + NAMES + LISTEN + VALUES + OWN + FACES), 200)

    def test_error_of_syntax_names_its_line(self):
        self.assert_refused(SYNTAX)

    def test_number_that_libconfig_would_misread_is_refused(self):
        self.assert_refused(NUMBERS)

    def test_unknown_missing_or_doubled_name_is_refused(self):
        self.assert_refused(NAMES)

    def test_address_that_cannot_be_one_or_stands_twice_is_refused(self):
        self.assert_refused(LISTEN)

    def test_value_of_a_wrong_type_or_out_of_range_is_refused(self):
        self.assert_refused(VALUES)

    def test_wrong_value_for_a_setting_of_the_handlers_own_is_refused(self):
        self.assert_refused(OWN, program="greeterd")

    def test_address_of_a_kind_that_the_handler_has_no_face_for_is_refused(self):
        self.assert_refused(FACES, program="greeterd")

    def test_each_address_without_a_face_is_told(self):
        problems = self.refused(faces("hold", None, "udp:127.0.0.1:0", "tcp:127.0.0.1:0", "unixgram:@x", "fd:3"),
                                program="greeterd")
        self.assertEqual([line for line, _ in problems], [4, 6])

    def test_file_of_the_worst_kind_is_refused_within_a_second(self):
        name = "x" * 60
        self.refused("".join(f"{name}{n} = 1\n" for n in range(999)) + GOOD)
        self.refused("services = {" + "".join(f"{name}{n} = {{ a = 1 b = 2 c = 3 }}\n" for n in range(1000)) + "}")
        self.refused("a = (" + ", ".join(["{}"] * 4000) + ")\n" + GOOD)
        self.refused(listening("[" + ", ".join(f'"tcp:127.0.0.1:{n // 2 + 1}"' for n in range(4000)) + "]"))


class Problems(Case):
    def test_all_problems_are_told_and_not_only_the_first(self):
        problems = self.refused("""log_level = "loud"
services = {
    one = {
        handler = "echo"
        mixin = "none"
        listen = ["tcp:nowhere:1", "tcp:127.0.0.1:0",
                  "tcp:127.0.0.1:99999"]
        backlog = 0
    }
    two = { listen = "tcp:127.0.0.1:0" }
}
colour = 5
""")
        self.assertEqual(sorted(line for line, _ in problems), [1, 5, 6, 7, 8, 10, 12])

    def test_bad_numbers_are_told_together(self):
        problems = self.refused(in_service("backlog = 5k\nmax_requests = 5000000000\ntimeout = 1e999"))
        self.assertEqual([line for line, _ in problems], [4, 5, 6])

    def test_20_problems_are_told_and_that_there_are_more(self):
        problems = self.refused(in_service("".join(f"colour{n} = 1\n" for n in range(100))))
        self.assertEqual(len(problems), 21)
        self.assertIn("there are more problems", problems[20][1])

    def test_setting_of_an_unknown_handler_is_not_held_to_be_wrong(self):
        self.assertEqual(len(self.refused(in_service("colour = 1").replace('"echo"', '"other"'))), 1)

    def test_check_flag_tells_the_same(self):
        self.assertEqual(self.refused(in_service("backlog = 0")), self.refused(in_service("backlog = 0"), "-t"))

    def test_control_characters_of_the_file_do_not_reach_the_terminal(self):
        path = self.write('log_level = "\x1b[31m\\x07"\n' + GOOD)
        self.assertIn('"?[31m?"', run("-c", path).errors)


class UnreadableFiles(Case):
    def assert_file_refused(self, path, words, line=""):
        ran = run("-c", path)
        self.assertEqual((ran.status, ran.output, ran.ready), (2, "", b""))
        self.assertRegex(ran.errors, f"^{re.escape(str(path))}:{line} .*{words}.*\n$")
        self.assertLess(ran.seconds, ostler.scaled(1))

    def test_missing_file_is_told(self):
        self.assert_file_refused(self.scratch() / "none.conf", "No such file")

    def test_directory_is_refused(self):
        self.assert_file_refused(self.scratch(), "directory")

    def test_pipe_that_nobody_writes_to_is_refused_without_waiting(self):
        path = self.scratch() / "pipe"
        os.mkfifo(path)
        self.assert_file_refused(path, "regular file")

    def test_device_that_never_ends_is_refused(self):
        self.assert_file_refused("/dev/zero", "regular file")

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_file_without_permission_is_told(self):
        path = self.write(GOOD)
        os.chmod(path, 0)
        self.assert_file_refused(path, "Permission denied")

    def test_file_of_256_kib_is_read(self):
        self.assert_good(GOOD + "#" * (256 * 1024 - len(GOOD)))

    def test_file_larger_than_256_kib_is_refused(self):
        self.assert_file_refused(self.write(GOOD + "#" * (256 * 1024 - len(GOOD) + 1)), "larger than 262144 bytes")

    def test_file_of_100_mb_is_refused_at_once(self):
        path = self.write(GOOD)
        os.truncate(path, 100_000_000)
        self.assert_file_refused(path, "larger than 262144 bytes")

    def test_nul_byte_is_refused_with_its_line(self):
        self.assert_file_refused(self.write(GOOD.encode() + b"\n# \0\n"), "NUL", line="7:")


class GoodFiles(Case):
    def test_sample_configuration_is_good(self):
        path = ostler.ROOT / "conf/ostler.conf"
        self.assertEqual(run("-t", "-c", path).output, f"{path}: ok\n")

    def test_every_setting_is_taken(self):
        for text in ('mixin = "evented"', 'mixin = "inline"', 'mixin = "threading"', 'mixin = "fibers"',
                     'mixin = "forking"', "max_parked = 1", "queue = 1000000", "max_packet = 65535", "max_packet = 1",
                     'mixin = "inline" defer = true', 'defer = true mixin = "forking"', "defer = false",
                     'socket_mode = "0660"', 'socket_mode = "660"', 'socket_mode = "200"', 'socket_mode = "0777"',
                     "max_requests = 1", "max_requests = 0x10", "max_requests = 1000000L", "stack_size = 16384",
                     "backlog = 65535", "timeout = 0", "timeout = 0.0001", "timeout = 1e3", "timeout = 5L",
                     "deadline = 0.5", "max_input = 1", "max_output = 0x40000000", "reuse_address = false",
                     "reuse_port = TRUE", "disable_nagle = true; backlog = 5, timeout: 3."):
            with self.subTest(text=text):
                self.assert_good(in_service(text))
        for text in ('log_level = "debug"', 'log_level = "in" /* and */ "fo"', "stop_timeout = 0",
                     "stop_timeout = 0.5", "busy_poll_us = 0", "busy_poll_us = 1000000"):
            with self.subTest(text=text):
                self.assert_good(text + "\n" + GOOD)

    def test_every_shape_of_listen_is_taken(self):
        for listen in ('"tcp:127.0.0.1:0"', '["tcp:127.0.0.1:0"]', '("tcp:127.0.0.1:0", "tcp:[::1]:0")',
                       '"tcp:*:0"', '"tcp:[::]:65535"', '["tcp:127.0.0.1:0", "tcp:127.0.0.1:0"]',
                       '["tcp:127.0.0.1:7", "tcp:127.0.0.2:7", "tcp:127.0.0.1:8"]', '"tcp:\\x31" "27.0.0.1:0"',
                       '"unix:/tmp/a"', '"unix:@a"', '"fd:3"', '["unix:@a", "fd:3", "fd:4", "unix:/tmp/b"]'):
            with self.subTest(listen=listen):
                self.assert_good(listening(listen))

    def test_datagrams_have_addresses_of_their_own(self):
        for listen in ('"udp:127.0.0.1:0"', '"udp:[::1]:7"', '"udp:*:7"', '"unixgram:/tmp/a"', '"unixgram:@a"',
                       '["tcp:127.0.0.1:7", "udp:127.0.0.1:7"]', '["unix:@a", "unixgram:@a"]', '"fd:3"',
                       '["udp:127.0.0.1:0", "udp:127.0.0.1:0"]', '["unix:/tmp/a", "unixgram:/tmp/b"]'):
            with self.subTest(listen=listen):
                self.assert_good(listening(listen).replace('"echo"', '"half"'), "greeterd")
                self.assert_good(listening(listen).replace('"echo"', '"whole"'), "greeterd")

    def test_include_in_a_comment_or_a_string_means_nothing(self):
        self.assert_good('# @include "x"\n// @include "x"\n/*\n@include "x"\n*/\n//*\n' + GOOD)
        self.assert_good(in_service('greeting = "\n@include \\"x\\"\n"').replace('"echo"', '"greet"'), "greeterd")

    def test_quotes_in_comments_and_comments_in_strings_mean_nothing(self):
        self.assert_good('# "\n/* " */ /**/ /***/\n' + GOOD)
        self.assert_good(in_service('greeting = "# // /* \\" \\\\"').replace('"echo"', '"greet"'), "greeterd")

    def test_lines_that_end_as_on_windows_are_taken(self):
        self.assert_good(GOOD.replace("\n", "\r\n") + "# the last line\r\n")

    def test_comment_in_the_last_line_needs_no_newline(self):
        self.assert_good(GOOD + "# the end")

    def test_lines_are_right_behind_comments_and_strings_of_several_lines(self):
        text = '/*\n\n*/\n# one\n\n' + in_service('greeting = "\n\n\n"\nbacklog = 0').replace('"echo"', '"greet"')
        self.assertEqual(self.refused(text, program="greeterd")[0][0], 5 + 4 + 4)


class Flags(Case):
    def assert_usage(self, words, *arguments, **options):
        ran = run(*arguments, ready=False, **options)
        self.assertEqual((ran.status, ran.output), (2, ""))
        self.assertIn(words, ran.errors)
        self.assertIn("usage: ostlerd -c FILE", ran.errors)

    def test_wrong_command_line_gets_the_usage_and_2(self):
        good = self.write(GOOD)
        self.assert_usage("-c FILE is missing")
        self.assert_usage("-c FILE is missing", "-t")
        self.assert_usage("-c needs an argument", "-c")
        self.assert_usage("no flag -x", "-x")
        self.assert_usage("no flag --what", "--what")
        self.assert_usage("one argument too many", "-c", good, "more")
        self.assert_usage("one argument too many", "more", "-c", good)
        self.assert_usage("twice", "-c", good, "-c", good)
        self.assert_usage("--ready-fd needs", "-c", good, "--ready-fd")

    def test_ready_fd_that_is_no_open_writable_descriptor_gets_the_usage_and_2(self):
        good = self.write(GOOD)
        for number in ("", "x", "3x", "-1", "+1", "0", "2", "99999999999999999999", "4294967297", "0x1", " 1"):
            with self.subTest(number=number):
                self.assert_usage("needs the number of a descriptor", "-c", good, f"--ready-fd={number}")
        self.assert_usage("is not an open descriptor", "-c", good, "--ready-fd=77")
        with open("/dev/null", "rb") as null:
            number = null.fileno()
            self.assert_usage("not open for writing", "-c", good, f"--ready-fd={number}", pass_fds=[number])

    def test_standard_output_that_is_closed_is_no_ready_fd(self):
        output = clients.run([ostler.tool("sh"), "-c", '"$0" -c "$1" --ready-fd=1 2>&1 >&- | cat',
                              ostler.BIN / "ostlerd", self.write(GOOD)])
        self.assertIn(b"--ready-fd=1 is not an open descriptor", output)

    def test_version_and_help_are_printed(self):
        self.assertRegex(run("-V", ready=False).output, r"^ostlerd \(ostler [0-9]+\.[0-9]+\.[0-9]+\)\n$")
        text = run("-h", ready=False).output
        for flag in ("-c FILE", "-t", "-l", "-V", "-h", "--ready-fd=N"):
            self.assertIn(flag, text)

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            for flags in (["-l"], ["-V"], ["-h"], ["-t", "-c", self.write(GOOD)]):
                with self.subTest(flags=flags):
                    self.assertEqual(run(*flags, ready=False, stdout=full).status, 1)

    def test_list_has_every_handler_mixin_and_setting(self):
        text = run("-l", ready=False).output
        for name in ("echo", "time", "evented", "inline", "threading", "forking", "fibers", "handler", "listen", "mixin",
                     "max_requests", "max_parked", "queue", "max_packet", "stack_size", "backlog", "timeout", "deadline",
                     "stall_warn_ms", "max_input", "max_output", "defer", "reuse_address", "reuse_port", "disable_nagle", "socket_mode",
                     "log_level", "stop_timeout", "busy_poll_us", "services"):
            self.assertRegex(text, f"(?m)^ +{name} ")
        self.assertRegex(text, r"(?m)^  echo +\(stream, conn")

    def test_list_has_a_handlers_own_settings_with_types_and_defaults(self):
        text = run("-l", program="greeterd", ready=False).output
        for line in (r"greet +\(stream\) says", r"hold +\(conn\)", r"ring +\(datagram\)", r"half +\(stream, conn\)",
                     r"whole +\(stream, conn, datagram\)", r'  greeting +text.*"hello"',
                     r"  limit +a whole.*10", r"  pause +a number.*0\.5", r"  loud +true or false.*false"):
            self.assertRegex(text, f"(?m)^  {line}")


if __name__ == "__main__":
    unittest.main()
