/* The life of an evented connection: new, open, settle after each callback, close. */
#include "request/conn.h"

#include <errno.h>
#include <stdlib.h>

#include "request/stall.h"

static void settle(struct ost_job *job);
static void on_timer(struct ost_timer *timer);

static struct ostler_reactor *reactor_of(const struct ost_conn *c)
{
    return c->request.owner->reactor;
}

static void set_limits(struct ost_conn *c, const struct ostler_server_options *options)
{
    uint64_t now = ost_reactor_refresh(reactor_of(c));

    c->progress = now;
    c->alarm = OST_NEVER;
    c->deadline = ost_clock_after(now, options->deadline_ms);
    c->timeout_ms = options->timeout_ms;
    c->high = options->output_high;
    c->low = options->output_low;
}

int ost_conn_new(struct ostler_request **out, struct ost_owner *owner, const struct ostler_conn_handler *handler,
                 int fd, const struct ostler_address *peer)
{
    size_t size = handler->size > sizeof(struct ostler_conn) ? handler->size : sizeof(struct ostler_conn);
    struct ost_conn *c;
    int error = ost_request_new(out, owner, offsetof(struct ost_conn, base) + size, fd, peer);

    if (error < 0)
        return error;
    c = OST_CONTAINER(*out, struct ost_conn, request);
    c->request.is_conn = true;
    c->request.job.run = settle;
    c->request.watch.ready = ost_conn_ready;
    c->request.timer.fire = on_timer;
    c->base.request = *out;
    c->handler = handler;
    set_limits(c, &owner->options);
    return 0;
}

void ost_conn_start(struct ostler_request *r)
{
    struct ost_conn *c = OST_CONTAINER(r, struct ost_conn, request);
    int error = 0;

    c->opened = true;
    ost_conn_touch(c);
    if (c->handler->on_open)
        error = ost_conn_call(c, c->handler->on_open, "on_open");
    if (error < 0)
        ost_conn_handler_failed(c, error);
    ost_conn_set_timer(c);
}

void ost_conn_touch(struct ost_conn *c)
{
    ost_reactor_soon(reactor_of(c), &c->request.job);
}

void ost_conn_finish(struct ost_conn *c, enum ostler_close_reason reason, int error)
{
    ost_request_blame(&c->request, reason, error);
    c->request.io_error = error; /* a handler that hands it on tells nothing new */
    c->closing = true;
    ost_conn_touch(c);
}

void ost_conn_fail(struct ost_conn *c, enum ostler_close_reason reason, int error)
{
    c->drop = true;
    ost_conn_finish(c, reason, error);
}

int ost_conn_call(struct ost_conn *c, int (*callback)(struct ostler_conn *conn), const char *name)
{
    struct ost_hold hold;
    int error;

    ost_stall_begin(&hold, c->request.owner, &c->request);
    error = callback(&c->base);
    ost_stall_end(c->request.owner, c->request.peer, name);
    return error;
}

void ost_conn_handler_failed(struct ost_conn *c, int error)
{
    struct ost_owner *owner = c->request.owner;
    int io_error = c->closing ? c->request.io_error : 0;
    struct ost_hold hold;

    ost_conn_finish(c, OSTLER_CLOSE_ERROR, error);
    c->request.io_error = io_error;
    ost_stall_begin(&hold, owner, &c->request);
    ost_request_class(&c->request)->handle_error(owner->server, &c->request, error);
    ost_stall_end(owner, c->request.peer, "handle_error");
}

void ost_conn_stop(struct ostler_request *r)
{
    struct ost_conn *c = OST_CONTAINER(r, struct ost_conn, request);

    if (c->connecting)
        ost_conn_fail(c, OSTLER_CLOSE_STOPPED, -ECANCELED);
    else
        ost_conn_check_input(c);
}

void ost_conn_cancel(struct ostler_request *r)
{
    ost_conn_fail(OST_CONTAINER(r, struct ost_conn, request), OSTLER_CLOSE_STOPPED, -ECANCELED);
}

static void call_on_close(struct ost_conn *c)
{
    struct ostler_request *r = &c->request;
    struct ost_hold hold;

    ost_stall_begin(&hold, r->owner, r);
    c->handler->on_close(&c->base, (enum ostler_close_reason)r->reason, r->error);
    ost_stall_end(r->owner, r->peer, "on_close");
}

/* The last of the handler; the request goes on to be closed. */
static void end(struct ost_conn *c)
{
    struct ostler_request *r = &c->request;

    if (c->out)
        r->reset = true; /* the peer must not take what it got for everything */
    ost_output_clear(&c->out, reactor_of(c));
    ost_watch_set(&r->watch, 0);
    if (c->handler->on_close && (c->opened || c->connecting))
        call_on_close(c);
    free(c->in);
    c->in = NULL;
    ost_list_remove(&r->job.node); /* on_close may have touched it */
    if (c->connecting)
        ost_request_close_now(r);
    else
        ost_request_close(r);
}

/* Watch for what can happen next. */
static void watch(struct ost_conn *c)
{
    unsigned what = 0;
    int error;

    if (c->blocked || c->connecting)
        what |= OST_WRITE;
    if (ost_conn_is_reading(c) && !c->request.eof)
        what |= OST_READ;
    error = ost_watch_set(&c->request.watch, what);
    if (error < 0)
        ost_conn_fail(c, OSTLER_CLOSE_ERROR, error);
}

static void settle(struct ost_job *job)
{
    struct ost_conn *c = OST_CONTAINER(job, struct ost_conn, request.job);

    c->pushed = 0;
    if (!c->drop && !c->connecting)
        ost_conn_flush(c);
    if (c->closing && (c->drop || !c->out)) {
        end(c);
        return;
    }
    ost_conn_offer_kept(c);
    if (c->eof_told && c->shut && !c->out && !c->closing)
        ost_conn_finish(c, OSTLER_CLOSE_PEER, 0); /* it is over in both directions */
    watch(c);
}

void ost_conn_set_timer(struct ost_conn *c)
{
    uint64_t due = c->alarm < c->deadline ? c->alarm : c->deadline, silent;

    silent = ost_clock_after(c->progress, c->timeout_ms);
    ost_timer_set(&c->request.timer, reactor_of(c), silent < due ? silent : due);
}

static void on_alarm(struct ost_conn *c)
{
    int error = 0;

    c->alarm = OST_NEVER;
    if (c->handler->on_timeout && !c->closing)
        error = ost_conn_call(c, c->handler->on_timeout, "on_timeout");
    if (error < 0)
        ost_conn_handler_failed(c, error);
}

static void on_timer(struct ost_timer *timer)
{
    struct ost_conn *c = OST_CONTAINER(timer, struct ost_conn, request.timer);
    uint64_t now = ost_reactor_now(reactor_of(c));

    if (c->deadline <= now)
        ost_conn_fail(c, OSTLER_CLOSE_DEADLINE, -ETIMEDOUT);
    else if (ost_clock_after(c->progress, c->timeout_ms) <= now)
        ost_conn_fail(c, c->connecting ? OSTLER_CLOSE_CONNECT : OSTLER_CLOSE_TIMEOUT, -ETIMEDOUT);
    else if (c->alarm <= now)
        on_alarm(c);
    if (!c->drop)
        ost_conn_set_timer(c);
}
