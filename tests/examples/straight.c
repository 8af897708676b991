/* A handler that reads and writes in a straight line, a thread a request. Change
 * the mix-in to run it on fibers, or leave it out to run it inline. */
#include <ostler/ostler.h>

static int echo_handle(struct ostler_stream *s)
{
    char buf[4096];
    ssize_t n;

    while ((n = ostler_stream_read(s, buf, sizeof(buf))) > 0) {
        int r = ostler_stream_write(s, buf, (size_t)n);
        if (r < 0)
            return r;
    }
    return (int)n;
}

static const struct ostler_stream_handler echo = { .handle = echo_handle };

static const struct ostler_server_options server = {
    .address = "tcp:[::]:7007",
    .stream = &echo,
    .mixin = &ostler_threading,
    .max_requests = 200,
};

int main(void)
{
    return ostler_serve_forever(&server) < 0;
}
