/* No mix-in: one request at a time, on the reactor's own thread. */
#include "mixin/inline.h"

#include <ostler/sys/mixin.h>

static int open_inline(void *state, const struct ostler_server_options *options, struct ostler_reactor *reactor)
{
    (void)state;
    (void)options;
    (void)reactor;
    return 1;
}

static int process(void *state, struct ostler_request *request)
{
    (void)state;
    ostler_request_run(request);
    return 0;
}

static void close_inline(void *state)
{
    (void)state;
}

const struct ostler_mixin ost_inline = {
    .name = "inline",
    .open = open_inline,
    .process = process,
    .close = close_inline,
};
