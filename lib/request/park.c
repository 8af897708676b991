/* Parked: a connection that waits on the reactor for input, and holds nothing but itself
 * meanwhile: no thread, child or fiber, and no buffers. There are two kinds: those whose
 * handler returned OSTLER_PARK, and, with defer, new ones whose handler has not begun.
 *
 *   mix-in ─(OSTLER_PARK)─> owner->parked ─┐
 *   accept ─(defer)────────────────────────┴─> ost_park ─(input, time, stop)─> owner->ready ─> mix-in
 *
 * Thread: the reactor's. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "request/stream.h"

enum { AT_ONCE = 16 };

void ost_unpark(struct ost_stream *s, int error)
{
    struct ostler_request *r = &s->request;

    if (!s->parked)
        return;
    s->parked = false;
    s->ended = error;
    if (error < 0)
        r->io_error = ost_error16(error);
    s->drained = false; /* there is something to receive */
    ost_watch_set(&r->watch, 0);
    ost_timer_set(&r->timer, r->owner->reactor, OST_NEVER);
    r->owner->ready(r->owner, r);
}

/* Has the peer of a connection whose handler has not begun left without a word? */
static bool has_left(const struct ost_stream *s)
{
    char byte;
    ssize_t n = s->set_up ? 1 : recv(s->request.watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static void on_input(struct ost_watch *watch, unsigned what)
{
    struct ost_stream *s = OST_CONTAINER(watch, struct ost_stream, request.watch);
    struct ostler_reactor *reactor = s->request.owner->reactor;

    (void)what;
    ost_unpark(s, has_left(s) ? -ECONNRESET : 0);
    ost_reactor_settle(reactor);
}

static void on_due(struct ost_timer *timer)
{
    ost_unpark(OST_CONTAINER(timer, struct ost_stream, request.timer), -ETIMEDOUT);
}

static void free_buffers(struct ost_stream *s)
{
    free(s->in);
    free(s->out); /* it was flushed */
    s->in = s->out = NULL;
    s->in_used = s->in_count = 0;
}

static void on_turn(struct ost_timer *timer)
{
    ost_unpark(OST_CONTAINER(timer, struct ost_stream, request.timer), 0);
}

/* There is nothing to wait for, but a turn of the reactor now and then: a handler that
 * parks without reading would keep it to itself, and no time would ever be up. */
static void come_back(struct ost_stream *s)
{
    struct ostler_request *r = &s->request;

    if (++s->burst < AT_ONCE) {
        ost_unpark(s, 0);
        return;
    }
    s->burst = 0;
    r->timer.fire = on_turn;
    ost_timer_set(&r->timer, r->owner->reactor, ost_reactor_refresh(r->owner->reactor));
}

void ost_park(struct ost_stream *s)
{
    struct ostler_request *r = &s->request;
    int error = 0;

    s->parked = true;
    s->parker = NULL; /* where it ran is over */
    ost_stream_close_wake(s);
    ost_stream_note_idle(s, ost_reactor_now(r->owner->reactor));
    if (atomic_load(&r->cancelled)) {
        ost_unpark(s, -ECANCELED);
        return;
    }
    if (s->in_used < s->in_count || atomic_load(&r->stopping)) {
        come_back(s);
        return;
    }
    free_buffers(s);
    r->watch.ready = on_input;
    r->timer.fire = on_due;
    error = ost_watch_set(&r->watch, OST_READ);
    if (error < 0)
        ost_unpark(s, error);
    else
        ost_timer_set(&r->timer, r->owner->reactor, ost_wait_due(s));
}
