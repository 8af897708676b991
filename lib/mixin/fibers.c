/* A fiber a request. Fibers that are done are kept for the next requests, a few of
 * them, so that a connection maps no memory. Everything runs on the reactor's
 * thread. */
#include <ostler/sys/mixin.h>

#include <errno.h>
#include <stdlib.h>

#include "base/list.h"
#include "mixin/fiber.h"
#include "request/stream.h"

enum { DEFAULT_FIBERS = 10000, SPARE_FIBERS = 64 };

struct fibers {
    struct ost_list spare; /* struct berth */
    int spares;
    size_t stack_size;
};

/* A fiber, and the request it runs. */
struct berth {
    struct ost_list node;
    struct ost_fiber *fiber;
    struct fibers *fibers;
    struct ostler_request *request;
};

static int open_fibers(void *state, const struct ostler_server_options *options, struct ostler_reactor *reactor)
{
    struct fibers *f = state;

    (void)reactor;
    ost_list_init(&f->spare);
    f->stack_size = options->stack_size;
    return options->max_requests ? options->max_requests : DEFAULT_FIBERS;
}

static int new_berth(struct berth **out, struct fibers *fibers)
{
    struct berth *b = calloc(1, sizeof(*b));
    int error;

    if (!b)
        return -ENOMEM;
    error = ost_fiber_new(&b->fiber, fibers->stack_size);
    if (error < 0) {
        free(b);
        return error;
    }
    ost_list_init(&b->node);
    b->fibers = fibers;
    *out = b;
    return 0;
}

static void free_berth(struct berth *b)
{
    ost_fiber_free(b->fiber);
    free(b);
}

static int take_berth(struct berth **out, struct fibers *fibers)
{
    struct ost_list *node = ost_list_take(&fibers->spare);

    if (!node)
        return new_berth(out, fibers);
    fibers->spares--;
    *out = OST_CONTAINER(node, struct berth, node);
    return 0;
}

/* The fiber has stopped: it waits for something, or its request is over. */
static void stopped(struct berth *b)
{
    struct fibers *fibers = b->fibers;

    if (!ost_fiber_is_done(b->fiber))
        return;
    if (fibers->spares >= SPARE_FIBERS) {
        free_berth(b);
        return;
    }
    fibers->spares++;
    ost_list_append(&fibers->spare, &b->node);
}

static void park(struct ost_stream *stream)
{
    struct berth *b = stream->place;

    ost_fiber_yield(b->fiber);
}

static void unpark(struct ost_stream *stream)
{
    struct berth *b = stream->place;

    ost_fiber_resume(b->fiber);
    stopped(b);
}

static const struct ost_parker parker = { park, unpark };

static void run(void *arg)
{
    struct berth *b = arg;

    ostler_request_run(b->request);
}

static int process(void *state, struct ostler_request *request)
{
    struct fibers *fibers = state;
    struct ost_stream *stream = OST_CONTAINER(request, struct ost_stream, request);
    struct berth *b;
    int error = take_berth(&b, fibers);

    if (error < 0)
        return error;
    b->request = request;
    stream->parker = &parker;
    stream->place = b;
    ost_fiber_run(b->fiber, run, b);
    stopped(b);
    return 0;
}

/* The server has seen to it that none runs. */
static void close_fibers(void *state)
{
    struct fibers *fibers = state;
    struct ost_list *node;

    while ((node = ost_list_take(&fibers->spare)))
        free_berth(OST_CONTAINER(node, struct berth, node));
}

const struct ostler_mixin ostler_fibers = {
    .name = "fibers",
    .size = sizeof(struct fibers),
    .open = open_fibers,
    .process = process,
    .close = close_fibers,
};
