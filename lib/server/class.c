/* How a class inherits: slot by slot, from its ancestors, and at the end from the class of
 * the address. */
#include <errno.h>

#include "server/server.h"

enum { MAX_DEPTH = 16 };

static const struct ostler_server_class *const classes[OST_KINDS] = {
    [OST_TCP] = &ostler_tcp_server,
    [OST_UDP] = &ostler_udp_server,
    [OST_UNIX_STREAM] = &ostler_unix_stream_server,
    [OST_UNIX_DATAGRAM] = &ostler_unix_datagram_server,
};

#define INHERIT(slot) (to->slot = to->slot ? to->slot : from->slot)

static void inherit(struct ostler_server_class *to, const struct ostler_server_class *from)
{
    INHERIT(name);
    INHERIT(bind);
    INHERIT(activate);
    INHERIT(get_request);
    INHERIT(verify_request);
    INHERIT(process_request);
    INHERIT(finish_request);
    INHERIT(handle_error);
    INHERIT(shutdown_request);
    INHERIT(close_request);
    INHERIT(handle_timeout);
    INHERIT(service_actions);
    INHERIT(close);
}

static int flatten(struct ostler_server_class *out, const struct ostler_server_class *class,
                   const struct ostler_server_class *last)
{
    struct ostler_server_class flat = { 0 };

    for (int depth = 0; class; class = class->super) {
        if (++depth > MAX_DEPTH)
            return -ELOOP;
        inherit(&flat, class);
    }
    inherit(&flat, last);
    *out = flat;
    return 0;
}

int ost_class_flatten(struct ostler_server_class *out, const struct ostler_server_class *class)
{
    int error = 0;

    for (unsigned kind = 0; kind < OST_KINDS && error == 0; kind++)
        error = flatten(&out[kind], class, classes[kind]);
    return error;
}

/* Is class one of ours, for another kind? */
static bool is_another(const struct ostler_server_class *class, unsigned kind)
{
    for (unsigned i = 0; i < OST_KINDS; i++)
        if (class == classes[i])
            return i != kind;
    return false;
}

bool ost_class_suits(const struct ostler_server_class *class, unsigned kind)
{
    int depth = 0;

    while (class && !is_another(class, kind) && ++depth <= MAX_DEPTH)
        class = class->super;
    return !class || depth > MAX_DEPTH;
}
