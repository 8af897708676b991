/* The life of an evented connection: new, open, settle after each callback, close. */
#include "request/conn.h"

#include <errno.h>
#include <stdlib.h>

#include "request/stall.h"

static void on_silent(struct ost_timer *timer)
{
    struct ost_conn *c = OST_CONTAINER(timer, struct ost_conn, request.timer);

    ost_conn_fail(c, c->connecting ? OSTLER_CLOSE_CONNECT : OSTLER_CLOSE_TIMEOUT, -ETIMEDOUT);
}

static void on_deadline(struct ost_timer *timer)
{
    ost_conn_fail(OST_CONTAINER(timer, struct ost_conn_own, deadline)->conn, OSTLER_CLOSE_DEADLINE, -ETIMEDOUT);
}

static void on_alarm(struct ost_timer *timer)
{
    struct ost_conn *c = OST_CONTAINER(timer, struct ost_conn_own, alarm)->conn;
    int error = 0;

    if (ost_conn_terms(c)->handler->on_timeout && !c->closing)
        error = ost_conn_call(c, ost_conn_terms(c)->handler->on_timeout, "on_timeout");
    if (error < 0)
        ost_conn_handler_failed(c, error);
}

struct ost_terms ost_conn_terms_of(const struct ostler_server_options *options)
{
    return (struct ost_terms){ .handler = options->conn,
                               .patience = ost_conn_patience(options->timeout_ms),
                               .max_output = options->max_output,
                               .high = options->output_high,
                               .low = options->output_low };
}

static int init_timers(struct ost_conn_own *own, struct ostler_reactor *reactor)
{
    if (ost_timer_init(&own->alarm, reactor, on_alarm) < 0)
        return -ENOMEM;
    if (ost_timer_init(&own->deadline, reactor, on_deadline) == 0)
        return 0;
    ost_timer_fini(&own->alarm, reactor);
    return -ENOMEM;
}

struct ost_conn_own *ost_conn_own(struct ost_conn *c)
{
    struct ost_conn_own *own = c->own ? c->own : calloc(1, sizeof(*own));

    if (c->own || !own)
        return own;
    if (init_timers(own, ost_conn_reactor(c)) < 0) {
        free(own);
        return NULL;
    }
    own->conn = c;
    own->terms = c->request.owner->terms;
    return c->own = own;
}

void ost_conn_fini(struct ost_conn *c)
{
    struct ost_conn_own *own = c->own;

    if (!own)
        return;
    ost_timer_fini(&own->alarm, ost_conn_reactor(c));
    ost_timer_fini(&own->deadline, ost_conn_reactor(c));
    free(own->in);
    free(own);
    c->own = NULL;
}

/* What the server's options do not say. */
static int make_own(struct ost_conn *c, const struct ostler_conn_handler *handler)
{
    const struct ostler_server_options *options = &c->request.owner->options;
    struct ostler_reactor *reactor = ost_conn_reactor(c);

    if (handler == options->conn && options->deadline_ms < 0)
        return 0;
    if (!ost_conn_own(c))
        return -ENOMEM;
    c->own->terms.handler = handler;
    ost_timer_set(&c->own->deadline, reactor, ost_clock_after(ost_reactor_now(reactor), options->deadline_ms));
    return 0;
}

static void settle(struct ost_job *job)
{
    ost_conn_settle(OST_CONTAINER(job, struct ost_conn, request.job));
}

int ost_conn_new(struct ostler_request **out, struct ost_owner *owner, const struct ostler_conn_handler *handler,
                 int fd, const struct ostler_address *peer)
{
    size_t size = handler->size > sizeof(struct ostler_conn) ? handler->size : sizeof(struct ostler_conn);
    struct ostler_request *r;
    struct ost_conn *c;

    ost_reactor_refresh(owner->reactor);
    if (ost_request_new(&r, owner, offsetof(struct ost_conn, base) + size, fd, peer) < 0)
        return -ENOMEM;
    c = OST_CONTAINER(r, struct ost_conn, request);
    r->is_conn = true;
    r->job.run = settle;
    r->watch.ready = ost_conn_ready;
    r->timer.fire = on_silent;
    c->base.request = r;
    if (make_own(c, handler) < 0) {
        ost_request_forget(r);
        return -ENOMEM;
    }
    *out = r;
    return 0;
}

void ost_conn_start(struct ostler_request *r)
{
    struct ost_conn *c = OST_CONTAINER(r, struct ost_conn, request);
    int error = 0;

    c->opened = true;
    ost_conn_touch(c);
    ost_conn_watch_silence(c, ost_reactor_now(ost_conn_reactor(c)));
    if (ost_conn_terms(c)->handler->on_open)
        error = ost_conn_call(c, ost_conn_terms(c)->handler->on_open, "on_open");
    if (error < 0)
        ost_conn_handler_failed(c, error);
}

void ost_conn_finish(struct ost_conn *c, enum ostler_close_reason reason, int error)
{
    ost_request_blame(&c->request, reason, error);
    c->request.io_error = ost_error16(error); /* a handler that hands it on tells nothing new */
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
    ost_stall_end(c->request.owner, &c->request, name);
    return error;
}

void ost_conn_handler_failed(struct ost_conn *c, int error)
{
    struct ost_owner *owner = c->request.owner;
    int16_t io_error = 0;
    struct ost_hold hold;

    if (c->closing)
        io_error = c->request.io_error;
    ost_conn_finish(c, OSTLER_CLOSE_ERROR, error);
    c->request.io_error = io_error;
    ost_stall_begin(&hold, owner, &c->request);
    ost_request_class(&c->request)->handle_error(owner->server, &c->request, error);
    ost_stall_end(owner, &c->request, "handle_error");
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
    ost_conn_terms(c)->handler->on_close(&c->base, (enum ostler_close_reason)r->reason, r->error);
    ost_stall_end(r->owner, r, "on_close");
}

/* The last of the handler; the request goes on to be closed. */
static void end(struct ost_conn *c)
{
    struct ostler_request *r = &c->request;

    if (c->out)
        r->reset = true; /* the peer must not take what it got for everything */
    ost_watch_set(&r->watch, 0);
    if (ost_conn_terms(c)->handler->on_close && (c->opened || c->connecting))
        call_on_close(c);
    ost_output_clear(&c->out, ost_conn_reactor(c)); /* on_close may ask how much it was */
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

void ost_conn_settle(struct ost_conn *c)
{
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
