/* A handler subclass with state of its own, one instance a connection; forking, on a Unix
 * socket. */
#include <ostler/ostler.h>

struct tally { /* class Tally(StreamRequestHandler) */
    struct ostler_stream base;
    unsigned long lines;
};

static int tally_handle(struct ostler_stream *s)
{
    struct tally *self = OSTLER_SELF(s, struct tally, base);
    char line[512];
    ssize_t n;

    while ((n = ostler_stream_read_line(s, line, sizeof(line))) > 0)
        self->lines++;
    return n < 0 ? (int)n : ostler_stream_printf(s, "%lu\n", self->lines);
}

static const struct ostler_stream_handler tally = {
    .size = OSTLER_SIZE(struct tally, base), /* compile error unless base is first */
    .handle = tally_handle,
};

static const struct ostler_server_options server = {
    .address = "unix:/run/tally.sock",
    .stream = &tally,
    .mixin = &ostler_forking,
    .max_requests = 40,
};

int main(void)
{
    return ostler_serve_forever(&server) < 0;
}
