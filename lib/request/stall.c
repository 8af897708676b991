#include "request/stall.h"

#include <stdio.h>
#include <string.h>

#include "request/stream.h"

enum { WHAT = 200 };

void ost_stall_log(struct ost_owner *owner, const struct ostler_request *request, uint64_t held, const char *what)
{
    char text[OSTLER_ADDRESS_TEXT + 2] = "", more[48] = "";
    unsigned suppressed;

    if (!ost_throttle_admits(&owner->stalls, &suppressed))
        return;
    if (suppressed > 0)
        snprintf(more, sizeof(more), " (and %u more like it)", suppressed);
    if (request && ostler_address_text(ost_request_peer(request), text, sizeof(text) - 2) > 0)
        snprintf(text + strlen(text), 3, ": ");
    ostler_log_write(owner->reactor->log, OSTLER_LOG_WARNING, "%s: %s%s held the loop for %llu ms%s",
                     owner->options.name, text, what, (unsigned long long)held, more);
}

static void log_stream(const struct ost_stream *s, uint64_t held)
{
    const char *place = ost_here();
    char what[WHAT] = "its handler";

    if (place && s->waiting)
        snprintf(what, sizeof(what), "its handler, which now waits at %.150s,", place);
    else if (place)
        snprintf(what, sizeof(what), "its handler, which called last at %.150s,", place);
    ost_stall_log(s->request.owner, &s->request, held, what);
}

void ost_stall_end_stream(struct ost_stream *s)
{
    uint64_t held = ost_hold_end(s->request.owner->reactor);

    if (held > s->request.owner->stall_ms)
        log_stream(s, held);
}
