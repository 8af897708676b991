/** Mix-ins: where a stream handler runs. A server without one runs a .stream
 *  handler inline, one request at a time, and a .conn handler on the reactor. */
#ifndef OSTLER_MIXIN_H
#define OSTLER_MIXIN_H

#include <ostler/version.h>

OSTLER_BEGIN

struct ostler_mixin;

/** A thread a request. Threads are started as needed, up to max_requests (256),
 *  and end when idle. A thread waits in the kernel on its own descriptor; the
 *  reactor drives accept and the close. All signals are blocked in them. */
OSTLER_API extern const struct ostler_mixin ostler_threading;

/** A fiber (coroutine) a request, all on the reactor's thread, up to max_requests
 *  (10,000), each with stack_size bytes (256 KiB) of address space and a guard
 *  page. The reactor drives all their waiting. Code that blocks or computes for
 *  long holds up everyone. */
OSTLER_API extern const struct ostler_mixin ostler_fibers;

OSTLER_END

#endif
