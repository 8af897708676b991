/* Many kept-alive connections on a few threads: a handler that answers one line and parks.
 * While a client is silent its connection waits on the reactor, and holds no thread. */
#include <ostler/ostler.h>

static int lines_handle(struct ostler_stream *s)
{
    char line[512];
    ssize_t n = ostler_stream_read_line(s, line, sizeof(line));
    int r;

    if (n <= 0)
        return (int)n;
    r = ostler_stream_printf(s, "you said: %s", line);
    return r < 0 ? r : OSTLER_PARK;
}

static const struct ostler_stream_handler lines = { .handle = lines_handle };

static const struct ostler_server_options server = {
    .address = "tcp:127.0.0.1:7012",
    .stream = &lines,
    .mixin = &ostler_threading,
    .max_requests = 8,
    .defer = true, /* nor does a client that has not said anything yet */
};

int main(void)
{
    return ostler_serve_forever(&server) < 0;
}
