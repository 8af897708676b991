/* Stalls: a handler or callback that holds the loop for longer than the server's stall_warn_ms
 * is named in the log, for as long all others wait. Thread: the reactor's. */
#ifndef OST_REQUEST_STALL_H
#define OST_REQUEST_STALL_H

#include "reactor/hold.h"
#include "request/request.h"

struct ost_stream;

/* One of a server's requests, or its own slots, has the loop from now on. */
static inline void ost_stall_begin(struct ost_hold *hold, const struct ost_owner *owner,
                                   const struct ostler_request *request)
{
    ost_hold_begin(hold, owner->reactor, request);
}

void ost_stall_log(struct ost_owner *owner, const struct ostler_request *request, uint64_t held, const char *what);

/* It has given it back. request may be NULL; what: "on_data". */
static inline void ost_stall_end(struct ost_owner *owner, const struct ostler_request *request, const char *what)
{
    uint64_t held = ost_hold_end(owner->reactor);

    if (held > owner->stall_ms)
        ost_stall_log(owner, request, held, what);
}

/* The same for a straight-line handler, which has called from ost_here() last. */
void ost_stall_end_stream(struct ost_stream *stream);

#endif
