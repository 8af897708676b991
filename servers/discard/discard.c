/* The discard protocol, RFC 863: whatever is received is thrown away, and nothing is
 * ever sent. */
#include "handlers.h"

static int discard_handle(struct ostler_stream *s)
{
    char buf[4096];
    ssize_t n;

    do
        n = ostler_stream_read(s, buf, sizeof(buf));
    while (n > 0);
    return n < 0 ? (int)n : ostler_stream_no_reply(s);
}

static int discard_on_datagram(struct ostler_datagram *d)
{
    (void)d;
    return 0;
}

static const struct ostler_stream_handler discard_stream = { .handle = discard_handle };
static const struct ostler_conn_handler discard_conn = { 0 }; /* input that nobody asks for is discarded */
static const struct ostler_datagram_handler discard_datagram = { .on_datagram = discard_on_datagram };

const struct ostler_service discard_service = {
    .name = "discard",
    .summary = "throws away what it receives (RFC 863)",
    .stream = &discard_stream,
    .conn = &discard_conn,
    .datagram = &discard_datagram,
    .server_class = &guarded_server,
};
