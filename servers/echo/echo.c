/* The echo protocol, RFC 862: whatever is received is sent back, until the peer ends;
 * a datagram as one datagram, an empty one too. One that was cut, since it was longer than
 * max_packet, is not answered: what would go back is not what came. */
#include <stdlib.h>

#include "handlers.h"

enum { SHORT = 4096, LONG = 65536 };

/* While what comes is long it has a buffer in which it need not go back in pieces; who says little holds
 * no more than the stack. */
static char *fitting(char *longer, size_t n)
{
    if (n >= SHORT)
        return longer ? longer : malloc(LONG);
    if (longer) /* seldom: even free(NULL) is a page that a child has touched for nothing */
        free(longer);
    return NULL;
}

static int echo_handle(struct ostler_stream *s)
{
    char brief[SHORT], *longer = NULL;
    ssize_t n;
    int r = 0;

    if (ostler_request_was_cut(s->request))
        return ostler_stream_no_reply(s);
    while (r == 0 && (n = ostler_stream_read(s, longer ? longer : brief, longer ? LONG : SHORT)) > 0) {
        r = ostler_stream_write(s, longer ? longer : brief, (size_t)n);
        longer = fitting(longer, (size_t)n);
    }
    free(longer);
    return r < 0 ? r : (int)n;
}

static ssize_t echo_on_data(struct ostler_conn *c, const void *data, size_t n)
{
    int r = ostler_conn_write(c, data, n);

    return r < 0 ? r : (ssize_t)n;
}

static int echo_on_datagram(struct ostler_datagram *d)
{
    if (ostler_datagram_was_cut(d))
        return 0;
    return ostler_datagram_reply(d, ostler_datagram_data(d), ostler_datagram_length(d));
}

static const struct ostler_stream_handler echo_stream = { .handle = echo_handle, .disable_nagle = true };
static const struct ostler_conn_handler echo_conn = { .on_data = echo_on_data, .disable_nagle = true };
static const struct ostler_datagram_handler echo_datagram = { .on_datagram = echo_on_datagram };

const struct ostler_service echo_service = {
    .name = "echo",
    .summary = "sends back what it receives (RFC 862)",
    .stream = &echo_stream,
    .conn = &echo_conn,
    .datagram = &echo_datagram,
    .server_class = &guarded_server,
};
