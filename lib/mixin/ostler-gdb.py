"""gdb: what the fibers of an ostler program do.

    (gdb) source /usr/local/share/ostler/ostler-gdb.py
    (gdb) ostler fibers         each fiber that has a request: which one, where it waits, its backtrace
    (gdb) ostler fiber 2        from now on the frames of that one stand behind frame 0: up, info locals …
    (gdb) ostler fiber          no longer

A running process or a core file, on x86-64 with glibc; libostler must have its debugging
information (-g, as CMAKE_BUILD_TYPE=RelWithDebInfo has it), optimised or not.

A parked fiber stands in leave() of lib/mixin/fiber.c, and its registers are in the jmp_buf there,
three of them mangled by glibc. They are given to gdb as what the newest frame of the selected
thread has saved; gdb unwinds the rest itself. What is read: struct fibers, struct berth,
struct ost_fiber, struct ost_stream."""

import socket
import struct
import time

import gdb
from gdb.unwinder import Unwinder, register_unwinder

JMP_BUF = ("rbx", "rbp", "r12", "r13", "r14", "r15", "rsp", "rip")
MANGLED = ("rbp", "rsp", "rip")
POINTER_GUARD = 0x30  # from fs_base: tcbhead_t.pointer_guard
WORD = 64
MAX_FRAMES = 200


# ---- The library's data ----

class Layout:
    """The types of the library, which a program may have others of the same names beside."""

    def __init__(self):
        self.homes = gdb.lookup_static_symbol("fiber_homes")
        if self.homes is None:
            raise gdb.GdbError(self.problem())
        self.block = self.homes.symtab.static_block()

    @staticmethod
    def problem():
        try:
            gdb.parse_and_eval("(void *)&ostler_fibers")
        except gdb.error:
            return "there are no fibers here: libostler is not loaded (yet), or has none in this program"
        return ("libostler has no debugging information here: build it with -g (CMAKE_BUILD_TYPE=RelWithDebInfo), "
                "and don't strip it")

    def type(self, name):
        return gdb.lookup_type("struct " + name, self.block)

    def container(self, node, name, member):
        """The struct that holds the list node at address node."""
        kind = self.type(name)
        [field] = [field for field in kind.fields() if field.name == member]
        return gdb.Value(int(node) - field.bitpos // 8).cast(kind.pointer())

    def each(self, head, name, member):
        node = head["next"]
        while int(node) != int(head.address):
            following = node["next"]
            yield self.container(node, name, member)
            node = following


class Fiber:
    def __init__(self, layout, berth):
        self.fiber = berth["fiber"]
        self.stream = layout.container(berth["request"], "ost_stream", "request")
        self.since = int(self.stream["since"])
        self.clock = int(self.stream["request"]["owner"]["reactor"]["now"])

    def is_parked(self):
        return int(self.stream["waiting"]) != 0

    def stack(self):
        bottom = int(self.fiber["stack"]["bottom"])
        return range(bottom, bottom + int(self.fiber["stack"]["size"]))

    def registers(self):
        """Of leave(), in which it stands."""
        buffer = self.fiber["inside"][0]["__jmpbuf"]
        saved = {name: int(buffer[i]) & (1 << WORD) - 1 for i, name in enumerate(JMP_BUF)}
        guard = read_word(int(gdb.selected_frame().read_register("fs_base")) + POINTER_GUARD)
        for name in MANGLED:
            saved[name] = ((saved[name] >> 17 | saved[name] << WORD - 17) & (1 << WORD) - 1) ^ guard
        if saved["rsp"] not in self.stack():
            raise gdb.GdbError("the fiber's registers cannot be read: is this not glibc on x86-64?")
        return saved

    def title(self, now):
        request = self.stream["request"]
        place = self.stream["place"].cast(gdb.lookup_type("char").pointer())
        at = place.string(errors="replace") if int(place) else "?"
        state = f"waits at {at} since {max(now - self.since, 0) / 1000:.1f} s" if self.is_parked() \
            else f"runs, last call at {at}"
        return f"{request['owner']['options']['name'].string()}: {address_text(peer_of(request))}: {state}"


def read_word(address):
    return struct.unpack("<Q", gdb.selected_inferior().read_memory(address, 8).tobytes())[0]


def peer_of(request):
    """The address behind a request."""
    pointer = gdb.Value(int(request.address) + int(request["peer_at"]))
    return pointer.cast(gdb.lookup_type("struct ostler_address").pointer()).dereference()


def address_text(address):
    """As ostler_address_text() has it."""
    kind = ("tcp", "udp", "unix", "unixgram")[int(address["kind"])]
    length = int(address["length"])
    raw = gdb.selected_inferior().read_memory(int(address["as"].address), max(length, 2)).tobytes()
    family = struct.unpack_from("<H", raw)[0]
    if family == socket.AF_INET:
        return f"{kind}:{socket.inet_ntop(family, raw[4:8])}:{struct.unpack_from('>H', raw, 2)[0]}"
    if family == socket.AF_INET6:
        return f"{kind}:[{socket.inet_ntop(family, raw[8:24])}]:{struct.unpack_from('>H', raw, 2)[0]}"
    name = raw[2:length]
    text = "@" + name[1:].decode(errors="replace") if name[:1] == b"\0" else name.rstrip(b"\0").decode(errors="replace")
    return f"{kind}:{text}"


def fibers():
    """Those that have a request, in the order in which they are swept."""
    layout = Layout()
    homes = gdb.parse_and_eval("fiber_homes") if layout.homes.needs_frame else layout.homes.value()
    for home in layout.each(homes["open"], "fibers", "home"):
        for berth in layout.each(home["all"], "berth", "sweep"):
            if not berth["fiber"]["done"]:
                yield Fiber(layout, berth)


def clock(all_fibers):
    """ms on CLOCK_MONOTONIC: now, or in a core file the last time that it knows of."""
    if gdb.selected_inferior().connection.type == "native":
        return int(time.monotonic() * 1000)
    return max((time_of for fiber in all_fibers for time_of in (fiber.since, fiber.clock)), default=0)


# ---- Frames ----

class Caller:
    """The identity of frame 0 while a fiber stands behind it."""

    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


def stands(frame):
    return tuple(int(frame.read_register(name)) & (1 << WORD) - 1 for name in ("rsp", "rip"))


class FiberUnwinder(Unwinder):
    """Puts the frames of a fiber behind the newest frame of the thread."""

    def __init__(self):
        super().__init__("ostler-fibers")
        self.registers = None
        self.newest = None

    def __call__(self, pending):
        if self.registers is None or stands(pending) != self.newest:
            return None
        # An identity as if it were the fiber's: gdb wants callers to have higher addresses.
        identity = Caller(gdb.Value(self.registers["rsp"] - WORD), gdb.Value(self.registers["rip"]))
        info = pending.create_unwind_info(identity)
        for name, value in self.registers.items():
            kind = pending.read_register(name).type
            info.add_saved_register(name, gdb.Value(value).cast(kind))
        return info

    def select(self, registers):
        """The first of the fiber's frames."""
        self.registers = None
        gdb.invalidate_cached_frames()
        frame = gdb.newest_frame()
        self.newest = stands(frame)
        self.registers = registers
        gdb.invalidate_cached_frames()
        frame = gdb.newest_frame()
        while frame.type() == gdb.INLINE_FRAME:  # several of those may stand in one place
            frame = frame.older()
        return frame.older()

    def forget(self):
        self.registers = None
        gdb.invalidate_cached_frames()


unwinder = FiberUnwinder()
register_unwinder(None, unwinder, replace=True)
gdb.events.cont.connect(lambda event: unwinder.forget())


def arguments(frame):
    try:
        block = frame.block()
    except RuntimeError:
        return ""
    texts = []
    for symbol in block if block.function else []:
        if symbol.is_argument:
            try:
                text = frame.read_var(symbol).format_string(max_elements=40, max_depth=1)
            except gdb.error:
                text = "?"
            texts.append(f"{symbol.name}={text}")
    return ", ".join(texts)


def frame_text(frame):
    place = frame.find_sal()
    where = f" at {place.symtab.filename}:{place.line}" if place.symtab else ""
    return f"{frame.name() or hex(frame.pc())} ({arguments(frame)}){where}"


def print_frames(frame):
    """From that one to the fiber's first."""
    number = 0
    while frame is not None and frame.is_valid() and number < MAX_FRAMES:
        print(f"#{number:<2} {frame_text(frame)}")
        if frame.name() == "fiber_main":
            break
        frame = frame.older()
        number += 1


def print_parked(fiber):
    try:
        print_frames(unwinder.select(fiber.registers()))
    finally:
        unwinder.forget()


def print_running(fiber):
    """Of the thread that stands on its stack: none does if it has resumed another one."""
    before = gdb.selected_thread()
    try:
        for thread in gdb.selected_inferior().threads():
            thread.switch()
            if int(gdb.newest_frame().read_register("rsp")) in fiber.stack():
                print_frames(gdb.newest_frame())
    finally:
        before.switch()


# ---- Commands ----

class OstlerCommand(gdb.Command):
    """What an ostler program does: fibers."""

    def __init__(self):
        super().__init__("ostler", gdb.COMMAND_STATUS, prefix=True)


def some_fibers():
    if gdb.selected_thread() is None:
        raise gdb.GdbError("there is no process: attach to one, run one, or load a core file")
    unwinder.forget()
    return list(fibers())


class FibersCommand(gdb.Command):
    """Print each fiber that has a request: service, peer, where it waits and since when, backtrace."""

    def __init__(self):
        super().__init__("ostler fibers", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        found = some_fibers()
        now = clock(found)
        print(f"{len(found)} fiber{'' if len(found) == 1 else 's'} with a request")
        for number, fiber in enumerate(found, 1):
            print(f"\nfiber {number}: {fiber.title(now)}")
            (print_parked if fiber.is_parked() else print_running)(fiber)


class FiberCommand(gdb.Command):
    """Put the frames of fiber NUMBER behind frame 0 until the program goes on; without a number, no longer."""

    def __init__(self):
        super().__init__("ostler fiber", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        found = some_fibers()
        if not argument:
            return
        if not argument.isdigit() or not 1 <= int(argument) <= len(found):
            raise gdb.GdbError(f"there are fibers 1 to {len(found)}, see ostler fibers")
        fiber = found[int(argument) - 1]
        if not fiber.is_parked():
            raise gdb.GdbError("that one runs: see the backtrace of its thread")
        unwinder.select(fiber.registers()).select()
        print(f"fiber {argument}: {fiber.title(clock(found))}\n{frame_text(gdb.selected_frame())}")


OstlerCommand()
FibersCommand()
FiberCommand()
