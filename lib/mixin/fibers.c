/* A fiber a request. Fibers that are done are kept for the next requests, so that under
 * a steady load a connection maps no memory. Everything runs on the reactor's thread.
 *
 * What is not needed is given back by a sweep over all fibers, in rounds as long as there
 * is something to give back, and in slices that hold nobody up: of fibers that have not run
 * for a whole round, the spare ones go, but for a reserve, and the parked ones lose the
 * memory that deeper calls left behind on their stacks. */
#include <ostler/sys/mixin.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/list.h"
#include "mixin/fiber.h"
#include "mixin/mappings.h"
#include "mixin/overflow.h"
#include "mixin/stack.h"
#include "reactor/alternate.h"
#include "reactor/timer.h"
#include "request/stall.h"
#include "request/stream.h"

enum { DEFAULT_FIBERS = 10000 };
enum { ROUND_MS = 1500, SLICE_MS = 10, SLICE = 256 };
enum { RESERVE = 16, BREATH = 8 }; /* spare fibers that stay: so many, and an eighth of those in use */

struct fibers {
    struct ost_list home; /* in fiber_homes */
    struct ostler_reactor *reactor;
    struct ost_stacks stacks;
    struct ost_overflow overflow;
    struct ost_list spare;     /* struct berth, the last used one first */
    struct ost_list all;       /* struct berth, the next to be swept first */
    size_t spares, count, fat; /* fat: have run since they were last trimmed */
    struct ost_timer timer;
    unsigned round; /* of sweeping */
    size_t left;    /* to be swept in this round */
};

/* All of the process, for debuggers (ostler-gdb.py), which look for it by its name. */
static struct {
    pthread_mutex_t lock;
    struct ost_list open; /* struct fibers */
} fiber_homes = { .lock = PTHREAD_MUTEX_INITIALIZER, .open = { &fiber_homes.open, &fiber_homes.open } };

/* A fiber, and the request it runs. */
struct berth {
    struct ost_list node;  /* of fibers->spare */
    struct ost_list sweep; /* of fibers->all */
    struct ost_fiber *fiber;
    struct fibers *fibers;
    struct ostler_request *request;
    unsigned round; /* in which it last ran */
    bool fat;
};

static int new_berth(struct berth **out, struct fibers *f)
{
    struct berth *b = calloc(1, sizeof(*b));
    int error;

    if (!b)
        return -ENOMEM;
    error = ost_fiber_new(&b->fiber, &f->stacks);
    if (error < 0) {
        free(b);
        return error;
    }
    ost_list_init(&b->node);
    ost_list_append(&f->all, &b->sweep);
    f->count++;
    b->fibers = f;
    *out = b;
    return 0;
}

static void free_berth(struct berth *b)
{
    b->fibers->count--;
    b->fibers->fat -= b->fat;
    ost_list_remove(&b->sweep);
    ost_fiber_free(b->fiber);
    free(b);
}

static int take_berth(struct berth **out, struct fibers *f)
{
    struct ost_list *node = ost_list_take(&f->spare);

    if (!node)
        return new_berth(out, f);
    f->spares--;
    *out = OST_CONTAINER(node, struct berth, node);
    return 0;
}

static void keep_berth(struct berth *b)
{
    struct fibers *f = b->fibers;

    f->spares++;
    ost_list_append(f->spare.next, &b->node); /* before the first */
}

static bool has_surplus(const struct fibers *f)
{
    return f->spares > RESERVE + (f->count - f->spares) / BREATH;
}

static void set_timer(struct fibers *f, long ms)
{
    ost_timer_set(&f->timer, f->reactor, ost_clock_after(ost_reactor_now(f->reactor), ms));
}

static void trim(struct berth *b)
{
    ost_fiber_trim(b->fiber);
    b->fibers->fat--;
    b->fat = false;
}

static void sweep_berth(struct berth *b)
{
    struct fibers *f = b->fibers;

    if (f->round - b->round < 2)
        return; /* less than a whole round ago */
    if (ost_fiber_is_done(b->fiber) && has_surplus(f)) {
        ost_list_remove(&b->node);
        f->spares--;
        free_berth(b);
    } else if (b->fat) {
        trim(b);
    }
}

static void sweep(struct ost_timer *timer)
{
    struct fibers *f = OST_CONTAINER(timer, struct fibers, timer);
    struct ost_list *node;

    if (f->left == 0) {
        f->round++;
        f->left = f->count;
    }
    for (int n = 0; n < SLICE && f->left > 0; n++, f->left--) {
        node = ost_list_take(&f->all);
        ost_list_append(&f->all, node);
        sweep_berth(OST_CONTAINER(node, struct berth, sweep));
    }
    if (f->left > 0)
        set_timer(f, SLICE_MS);
    else if (f->fat > 0 || has_surplus(f))
        set_timer(f, ROUND_MS);
}

/* It has run: there may be something to sweep. */
static void mark(struct berth *b)
{
    struct fibers *f = b->fibers;

    b->round = f->round;
    f->fat += !b->fat;
    b->fat = true;
    if (f->timer.due == OST_NEVER)
        set_timer(f, ROUND_MS);
}

static struct ost_stream *stream_of(const struct berth *b)
{
    return OST_CONTAINER(b->request, struct ost_stream, request);
}

/* Let the fiber run until it waits for something, or its request is over. One that ends
 * another's wait is itself the resumer, and goes on as itself. */
static void resume(struct berth *b)
{
    struct ost_overflow *overflow = &b->fibers->overflow;
    uintptr_t outer = ost_overflow_watch(overflow, ost_fiber_bottom(b->fiber));
    struct ostler_request *current = ost_request_current();
    const char *place = ost_here();
    struct ost_hold hold;

    ost_stall_begin(&hold, b->request->owner, b->request);
    ost_fiber_resume(b->fiber);
    ost_stall_end_stream(stream_of(b));
    ost_request_set_current(current);
    ost_set_here(place);
    ost_overflow_watch(overflow, outer);
    mark(b);
    if (ost_fiber_is_done(b->fiber))
        keep_berth(b);
}

static void park(struct ost_stream *stream)
{
    struct berth *b = stream->host;

    ost_fiber_yield(b->fiber);
}

static void unpark(struct ost_stream *stream)
{
    resume(stream->host);
}

static const struct ost_parker parker = { park, unpark };

static void run(void *arg)
{
    struct berth *b = arg;

    ostler_request_run(b->request);
}

static int process(void *state, struct ostler_request *request)
{
    struct fibers *f = state;
    struct ost_stream *stream = OST_CONTAINER(request, struct ost_stream, request);
    struct berth *b;
    int error = take_berth(&b, f);

    if (error < 0)
        return error;
    b->request = request;
    stream->parker = &parker;
    stream->host = b;
    ost_fiber_begin(b->fiber, run, b);
    resume(b);
    return 0;
}

static void enter_home(struct fibers *f)
{
    pthread_mutex_lock(&fiber_homes.lock);
    ost_list_append(&fiber_homes.open, &f->home);
    pthread_mutex_unlock(&fiber_homes.lock);
}

static void leave_home(struct fibers *f)
{
    pthread_mutex_lock(&fiber_homes.lock);
    ost_list_remove(&f->home);
    pthread_mutex_unlock(&fiber_homes.lock);
}

static int open_fibers(void *state, const struct ostler_server_options *options, struct ostler_reactor *reactor)
{
    struct fibers *f = state;
    int capacity = options->max_requests ? options->max_requests : DEFAULT_FIBERS;
    int error = ost_timer_init(&f->timer, reactor, sweep);

    if (error < 0)
        return error;
    error = ost_alternate_want(reactor);
    if (error < 0) {
        ost_timer_fini(&f->timer, reactor);
        return error;
    }
    f->reactor = reactor;
    ost_list_init(&f->spare);
    ost_list_init(&f->all);
    ost_stacks_open(&f->stacks, options->stack_size);
    ost_overflow_open(&f->overflow, options->name, options->stack_size);
    ost_mappings_check(ost_stacks_mappings(&f->stacks, (size_t)capacity), capacity, options->name, reactor->log);
    enter_home(f);
    return capacity;
}

/* The server has seen to it that none runs. */
static void close_fibers(void *state)
{
    struct fibers *f = state;
    struct ost_list *node;

    leave_home(f);
    while ((node = ost_list_take(&f->spare)))
        free_berth(OST_CONTAINER(node, struct berth, node));
    ost_overflow_close(&f->overflow);
    ost_stacks_close(&f->stacks);
    ost_alternate_release(f->reactor);
    ost_timer_fini(&f->timer, f->reactor);
}

const struct ostler_mixin ostler_fibers = {
    .name = "fibers",
    .size = sizeof(struct fibers),
    .open = open_fibers,
    .process = process,
    .close = close_fibers,
};
