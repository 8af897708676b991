/* Places: at most capacity requests run at once. Whoever comes when none is free waits:
 * connections in the kernel, since the listeners are not watched then; datagrams, which the
 * kernel would drop, and connections that were parked, in a list, in the order in which
 * they came. That they are many must not keep new connections out: every now and then a
 * place is offered to the listeners first.
 *
 * A place may be free, and the mix-in lack a thread, a process or memory for whoever is to have it. That one has
 * not begun, and waits again, before all others; nobody gets a place until a request has ended, or 10 ms, doubling
 * to 1 s, are over. Refused is only who cannot wait: in ostler_server_handle_request(), and when a stop's time is
 * up. */
#include <errno.h>

#include <ostler/error.h>

#include "request/conn.h"
#include "request/run.h"
#include "request/stall.h"
#include "server/server.h"

enum { MAX_STREAK = 16 };

static struct ost_stream *stream_of(struct ostler_request *r)
{
    return OST_CONTAINER(r, struct ost_stream, request);
}

static bool is_full(const struct ostler_server *s)
{
    return s->running >= s->capacity;
}

static bool is_opened_conn(const struct ostler_request *r)
{
    return r->is_conn && OST_CONTAINER(r, const struct ost_conn, request)->opened;
}

/* A conn that a process_request has opened, before it failed, is to hear of its end. */
static void close_refused(struct ostler_request *r, int error)
{
    if (is_opened_conn(r)) {
        ost_conn_finish(OST_CONTAINER(r, struct ost_conn, request), OSTLER_CLOSE_REFUSED, error);
        return;
    }
    ost_request_blame(r, OSTLER_CLOSE_REFUSED, error);
    ost_request_close(r);
}

/* A process_request has handed it to a thread or a child before it failed: that one is to end it. */
static void end_elsewhere(struct ostler_server *s, struct ostler_request *r, int error)
{
    ost_request_blame(r, OSTLER_CLOSE_REFUSED, error);
    s->owner.cancel(&s->owner, r);
}

static void count_waiting(struct ostler_server *s, struct ostler_request *r)
{
    ost_stream_note_idle(stream_of(r), ost_reactor_now(s->owner.reactor));
    if (r->datagram)
        s->queued++;
    else
        s->parked++;
}

static void enqueue(struct ostler_server *s, struct ostler_request *r)
{
    ost_list_append(&s->waiting, &r->job.node);
    count_waiting(s, r);
}

static void log_lack(struct ostler_server *s, int error)
{
    if (ost_lack_is_news(&s->lack, ost_reactor_refresh(s->owner.reactor)))
        ostler_log_write(ostler_server_log(s), OSTLER_LOG_WARNING,
                         "%s: cannot run another request: %s; it waits until one has ended", s->name,
                         ostler_strerror(error));
}

/* Nobody gets a place for a while. */
static void pause_places(struct ostler_server *s, int error)
{
    log_lack(s, error);
    s->lacking = true;
    if (s->retry_timer.due != OST_NEVER)
        return; /* a request's end has let us try in between */
    ost_timer_set(&s->retry_timer, s->owner.reactor,
                  ost_reactor_now(s->owner.reactor) + (uint64_t)ost_lack_pause(&s->lack));
}

static void on_retry(struct ost_timer *timer)
{
    struct ostler_server *s = OST_CONTAINER(timer, struct ostler_server, retry_timer);

    ost_server_give_place(s);
    ost_server_watch_listeners(s);
}

static bool may_wait(const struct ostler_server *s, int error)
{
    return ost_server_is_lack(error) && !s->one && !s->cut_off;
}

/* It had a place, and nothing runs it: it is the next one. */
static void put_back(struct ostler_server *s, struct ostler_request *r, int error)
{
    r->counted = false;
    s->running--;
    ost_list_append(s->waiting.next, &r->job.node); /* before the first */
    count_waiting(s, r);
    pause_places(s, error);
}

/* 0, even if it waits once more, or -errno. */
static int process(struct ostler_server *s, struct ostler_request *r)
{
    const struct ostler_server_class *class = ost_request_class(r);
    bool cancelled = atomic_load(&r->cancelled), waits;
    struct ost_hold hold;
    int error;

    s->mixin_error = 0;
    ost_stall_begin(&hold, &s->owner, r);
    error = class->process_request(s, r);
    waits = error < 0 && error == s->mixin_error && may_wait(s, error);
    if (error < 0 && !waits)
        class->handle_error(s, r, error);
    else if (error == 0 && cancelled)
        ost_server_limit_child(s, r);
    ost_stall_end(&s->owner, r, "process_request");
    if (error == 0)
        ost_lack_is_over(&s->lack);
    if (waits)
        put_back(s, r, error);
    return waits ? 0 : error;
}

/* Take a place and run. */
static int run(struct ostler_server *s, struct ostler_request *r)
{
    int error;

    r->counted = true;
    if (s->mixin)
        ost_stream_note_run(stream_of(r));
    s->running++;
    s->elsewhere = false;
    s->begun = true;
    error = process(s, r);
    if (error < 0 && s->elsewhere)
        end_elsewhere(s, r, error);
    else if (error < 0)
        close_refused(r, error);
    return error;
}

static void refuse(struct ostler_server *s, struct ostler_request *r, int error)
{
    struct ost_owner *owner = &s->owner;
    struct ost_hold hold;

    ost_stall_begin(&hold, owner, r);
    ost_request_class(r)->handle_error(s, r, error);
    ost_stall_end(owner, r, "handle_error");
    close_refused(r, error);
    for (size_t i = 0; i < s->listener_count && ost_server_is_lack(error); i++)
        if (!s->listeners[i].receiver && !s->listeners[i].paused)
            ost_listener_pause(&s->listeners[i], error);
}

/* Its mix-in has taken it, and then could not run it: as if process_request had failed. */
void ost_server_on_unborn(struct ost_owner *owner, struct ostler_request *r, int error)
{
    struct ostler_server *s = owner->server;

    if (!may_wait(s, error)) {
        refuse(s, r, error);
        return;
    }
    put_back(s, r, error);
    ost_server_watch_listeners(s);
}

static struct ostler_request *dequeue(struct ostler_server *s)
{
    struct ost_list *node = ost_list_take(&s->waiting);
    struct ostler_request *r;

    if (!node)
        return NULL;
    r = OST_CONTAINER(node, struct ostler_request, job.node);
    if (r->datagram)
        s->queued--;
    else
        s->parked--;
    return r;
}

/* Nobody would see what its handler did. */
static void drop(struct ostler_server *s, struct ostler_request *r)
{
    atomic_fetch_add(&s->owner.dropped, 1);
    ost_request_blame(r, OSTLER_CLOSE_STOPPED, -ECANCELED);
    ost_request_close(r);
}

int ost_server_place(struct ostler_server *s, struct ostler_request *r)
{
    if (r->datagram && s->cut_off) { /* by verify_request */
        drop(s, r);
        return 0;
    }
    if (!is_full(s) && ost_list_is_empty(&s->waiting))
        return run(s, r);
    enqueue(s, r);
    return 0;
}

/* Give the listeners a chance at the next place. */
static void ask_listeners(struct ostler_server *s)
{
    s->streak = 0;
    for (size_t i = 0; i < s->listener_count && !is_full(s) && ost_server_may_accept(s); i++)
        ost_listener_accept_one(&s->listeners[i]);
}

static bool has_place(const struct ostler_server *s)
{
    return !is_full(s) && (!s->lacking || s->cut_off);
}

void ost_server_fill_places(struct ostler_server *s)
{
    struct ostler_request *r;

    if (s->filling)
        return; /* a request that ends within run() brings us back here */
    s->filling = true;
    while (has_place(s) && !ost_list_is_empty(&s->waiting)) {
        if (++s->streak > MAX_STREAK)
            ask_listeners(s);
        r = has_place(s) ? dequeue(s) : NULL;
        if (r)
            run(s, r);
    }
    s->filling = false;
}

void ost_server_give_place(struct ostler_server *s)
{
    s->lacking = false;
    ost_server_fill_places(s);
}

void ost_server_drop_datagrams(struct ostler_server *s)
{
    struct ost_list *node, *next;

    OST_LIST_EACH(node, next, &s->waiting) {
        struct ostler_request *r = OST_CONTAINER(node, struct ostler_request, job.node);

        if (!r->datagram)
            continue;
        ost_list_remove(&r->job.node);
        s->queued--;
        drop(s, r);
    }
}

void ost_server_on_parked(struct ost_owner *owner, struct ostler_request *r)
{
    struct ostler_server *s = owner->server;

    r->counted = false;
    s->running--;
    s->parked++;
    ost_park(stream_of(r));
    ost_server_give_place(s);
    ost_server_watch_listeners(s);
}

/* One whose handler has not begun and has nothing to do is closed as it is; by a job, since
 * a stop may be walking through the requests, and one more that lingers ends another. */
void ost_server_on_ready(struct ost_owner *owner, struct ostler_request *r)
{
    struct ostler_server *s = owner->server;
    struct ost_stream *stream = stream_of(r);

    s->parked--;
    if (stream->ended && !stream->set_up) {
        ost_request_blame(r, ost_request_reason(stream->ended), stream->ended);
        ost_request_report(stream, stream->ended);
    } else {
        enqueue(s, r);
        ost_server_fill_places(s);
    }
    ost_server_watch_listeners(s);
}

int ost_places_init(struct ostler_server *s)
{
    ost_list_init(&s->waiting);
    return ost_timer_init(&s->retry_timer, s->owner.reactor, on_retry);
}

void ost_places_fini(struct ostler_server *s)
{
    ost_timer_fini(&s->retry_timer, s->owner.reactor);
}
