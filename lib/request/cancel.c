/* Names of requests, and ending one by its name, from any thread. */
#include <errno.h>
#include <stdlib.h>

#include "reactor/names.h"
#include "request/stream.h"

static uint64_t name_of(const struct ostler_request *r)
{
    const struct ost_stream *s = ost_stream_of(r);

    if (s)
        return s->id;
    return r->discarding ? 0 : ost_name_of(r->owner->reactor, r->name);
}

/* An evented connection, of which there may be very many, gets a name when it is first asked for. */
struct ostler_request_ref ostler_request_id(struct ostler_request *r)
{
    if (!r)
        return (struct ostler_request_ref){ NULL, 0 };
    if (r->is_conn && !r->name && !r->closing)
        r->name = ost_name_add(r->owner->reactor, r);
    return (struct ostler_request_ref){ r->owner->reactor, name_of(r) };
}

static void cancel(void *arg)
{
    const struct ostler_request_ref *id = arg;
    struct ostler_request *r = ost_name_find(id->reactor, id->serial);

    if (!r)
        return;
    ost_request_blame(r, OSTLER_CLOSE_CANCELLED, -ECANCELED);
    r->owner->cancel(r->owner, r);
}

int ostler_request_cancel(struct ostler_request_ref id)
{
    struct ostler_request_ref *copy;
    int error;

    if (!id.reactor || id.serial == 0)
        return -EINVAL;
    copy = malloc(sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    *copy = id;
    error = ost_reactor_post_release(id.reactor, cancel, copy, free);
    if (error < 0)
        free(copy);
    return error;
}
