/* Stopping: end the listeners and everybody's input; after a while cut off what is
 * left; a moment later give up on it. Each step is an event: the last request's end, or
 * a timer. And freeing, which is the same in a hurry. Waiting for requests is in close.c. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/closing.h"
#include "mixin/inline.h"
#include "request/stall.h"
#include "server/receiver.h"
#include "server/server.h"

enum { GRACE_MS = 250, HOLDERS_LOGGED = 10 };

/* The server serves no more. */
void ost_server_finish(struct ostler_server *s)
{
    struct ostler_reactor *r = s->owner.reactor;

    s->state = OST_SERVER_STOPPED;
    ost_timer_set(&s->stop_timer, r, OST_NEVER);
    ost_timer_set(&s->actions_timer, r, OST_NEVER);
    ost_list_remove(&s->stoppable.node);
    ost_list_remove(&s->hook.node);
    if (s->result < 0)
        r->result = s->result;
    pthread_mutex_lock(&s->lock);
    s->serving = s->in_forever; /* serve_forever() has still to leave */
    pthread_cond_broadcast(&s->left);
    pthread_mutex_unlock(&s->lock);
}

/* Is a connection being accepted, or does a receiver have datagrams or replies at hand? */
static bool is_receiving(const struct ostler_server *s)
{
    if (s->accepting)
        return true;
    for (size_t i = 0; i < s->listener_count; i++)
        if (ost_receiver_is_busy(&s->listeners[i]))
            return true;
    return false;
}

bool ost_server_is_idle(const struct ostler_server *s)
{
    return ost_list_is_empty(&s->owner.requests) && !is_receiving(s);
}

/* Does nothing run but handlers that nobody waits for? */
static bool is_left_alone(const struct ostler_server *s)
{
    if (!ost_server_is_detached(s) || is_receiving(s))
        return false;
    for (const struct ost_list *node = s->owner.requests.next; node != &s->owner.requests; node = node->next)
        if (!OST_CONTAINER(node, struct ostler_request, node)->counted)
            return false;
    return true;
}

void ost_server_check_stopped(struct ostler_server *s)
{
    if (s->state == OST_SERVER_STOPPING && (ost_server_is_idle(s) || is_left_alone(s)))
        ost_server_finish(s);
}

/* Outgoing connections: what accepted ones still do may need them. */
static bool is_outgoing(const struct ostler_request *r)
{
    return r->is_conn && !r->counted && !r->closing;
}

void ost_server_check_running(struct ostler_server *s)
{
    struct ost_list *node, *next;

    if (s->state != OST_SERVER_STOPPING || s->running > 0 || is_receiving(s))
        return;
    OST_LIST_EACH(node, next, &s->owner.requests) {
        struct ostler_request *r = OST_CONTAINER(node, struct ostler_request, node);

        if (is_outgoing(r))
            ost_request_stop(r);
    }
}

/* Datagrams that have arrived are to be answered. */
static void take_rest(struct ostler_server *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        if (s->listeners[i].receiver && s->listeners[i].fd >= 0)
            ost_receiver_take_rest(&s->listeners[i]);
}

static void abort_server(struct ostler_server *s);

/* Let every request end. Fibers go on from within; what they ask for then, comes after. */
static void tell_requests(struct ostler_server *s)
{
    struct ost_list *node, *next;

    s->telling = s->filling = true; /* as in cut_off() */
    OST_LIST_EACH(node, next, &s->owner.requests) {
        struct ostler_request *request = OST_CONTAINER(node, struct ostler_request, node);

        if (!is_outgoing(request))
            ost_request_stop(request);
    }
    s->telling = s->filling = false;
    ost_server_fill_places(s);
}

void ost_server_limit_stop(struct ostler_server *s)
{
    struct ostler_reactor *r = s->owner.reactor;

    ost_timer_set(&s->stop_timer, r, ost_clock_after(ost_reactor_refresh(r), s->owner.options.stop_timeout_ms));
}

void ost_server_begin_stop(struct ostler_server *s)
{
    struct ostler_reactor *r = s->owner.reactor;
    bool served = s->state == OST_SERVER_SERVING;

    s->state = OST_SERVER_STOPPING;
    atomic_store(&s->owner.stopping, true);
    if (ost_list_is_empty(&s->stoppable.node)) /* handle_request()'s threads: a run waits for them too */
        ost_list_append(&r->stoppables, &s->stoppable.node);
    ost_server_limit_stop(s);
    if (served)
        take_rest(s); /* who does not serve takes nothing: another process may, from the same sockets */
    s->class->close(s); /* which may abort it: then it has stopped */
    ost_balance_tell(s);
    tell_requests(s);
    ost_server_check_running(s);
    if (s->abort_due)
        abort_server(s);
    ost_server_check_stopped(s);
}

/* Replies that still wait for their socket. */
static void drop_replies(struct ostler_server *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        if (s->listeners[i].receiver && s->listeners[i].receiver->closing)
            ost_listener_close(&s->listeners[i]);
}

/* Connections that wait for a place are let in: they have only to be told. */
static void cut_off(struct ostler_server *s)
{
    struct ost_list *node, *next;

    ost_server_drop_datagrams(s);
    s->filling = true; /* not yet: a request that fails is freed, and might be the next one here */
    OST_LIST_EACH(node, next, &s->owner.requests)
        ost_request_cancel(OST_CONTAINER(node, struct ostler_request, node));
    s->filling = false;
    ost_server_fill_places(s);
    drop_replies(s);
    s->begun = false;
}

/* Look again after a while. */
static void look_later(struct ostler_server *s)
{
    s->begun = false;
    ost_timer_set(&s->stop_timer, s->owner.reactor, ost_reactor_refresh(s->owner.reactor) + GRACE_MS);
}

static void log_killed(struct ostler_server *s, const struct ostler_request *r)
{
    char peer[OSTLER_ADDRESS_TEXT];

    ostler_address_text(ost_request_peer(r), peer, sizeof(peer));
    ostler_log_write(ostler_server_log(s), OSTLER_LOG_WARNING,
                     "%s: %s: its handler still ran although it was cut off, and was killed", s->name, peer);
}

/* End by force what can be, and wait a moment more: for its end, and for what gets a place
 * by it. False: there is nothing, or nothing new. */
static bool kill_all(struct ostler_server *s)
{
    struct ost_list *node, *next;
    bool killed = false;

    if (!s->mixin || !s->mixin->kill)
        return false;
    OST_LIST_EACH(node, next, &s->owner.requests) {
        struct ostler_request *r = OST_CONTAINER(node, struct ostler_request, node);

        if (!r->counted || s->mixin->kill(s->mixin_state, r) < 0)
            continue;
        killed = true;
        log_killed(s, r);
    }
    if (killed)
        look_later(s);
    return killed;
}

void ost_server_log_holders(struct ostler_server *s, const char *what)
{
    struct ost_list *node, *next;
    char peer[OSTLER_ADDRESS_TEXT];
    int logged = 0;

    OST_LIST_EACH(node, next, &s->owner.requests) {
        struct ostler_request *r = OST_CONTAINER(node, struct ostler_request, node);

        if (!r->counted && !r->is_conn)
            continue; /* it waits for those */
        if (logged++ >= HOLDERS_LOGGED)
            break;
        ostler_address_text(ost_request_peer(r), peer, sizeof(peer));
        ostler_log_write(ostler_server_log(s), OSTLER_LOG_ERROR, "%s: %s: its handler still runs%s", s->name, peer,
                         what);
    }
}

static void give_up(struct ostler_server *s)
{
    ost_server_log_holders(s, " although it was cut off");
    s->result = -ETIMEDOUT;
    ost_server_finish(s);
}

/* One that was cancelled alone, and runs in a child that has not heeded it. */
static void on_cancel_timer(struct ost_timer *timer)
{
    struct ostler_request *r = OST_CONTAINER(timer, struct ostler_request, timer);
    struct ostler_server *s = r->owner->server;

    if (s->mixin->kill(s->mixin_state, r) == 0)
        log_killed(s, r);
}

void ost_server_limit_child(struct ostler_server *s, struct ostler_request *r)
{
    if (!r->in_child || !s->mixin->kill)
        return;
    r->timer.fire = on_cancel_timer;
    ost_timer_set(&r->timer, s->owner.reactor, ost_reactor_refresh(s->owner.reactor) + GRACE_MS);
}

static bool is_limited(const struct ostler_request *r)
{
    return r->timer.fire == on_cancel_timer && r->timer.due != OST_NEVER;
}

void ost_server_on_cancel(struct ost_owner *owner, struct ostler_request *r)
{
    if (!is_limited(r)) /* who cancels it again gives it no more time */
        ost_server_limit_child(owner->server, r);
    ost_request_cancel(r); /* where there is no child, that may be its end */
}

static void abort_server(struct ostler_server *s)
{
    if (s->state < OST_SERVER_STOPPING)
        ost_server_begin_stop(s);
    s->abort_due = s->telling;
    if (s->telling)
        return;
    if (s->state != OST_SERVER_STOPPING || s->cut_off)
        return;
    s->cut_off = true;
    look_later(s);
    cut_off(s);
    ost_server_check_stopped(s);
}

/* The time of those that were cut off is up; but those whom they had kept waiting get as
 * much. */
static void end_grace(struct ostler_server *s)
{
    if (s->begun)
        look_later(s);
    else if (!kill_all(s))
        give_up(s);
}

size_t ost_server_count_requests(const struct ostler_server *s)
{
    size_t count = 0;

    for (const struct ost_list *node = s->owner.requests.next; node != &s->owner.requests; node = node->next)
        count++;
    return count;
}

static void on_stop_timer(struct ost_timer *timer)
{
    struct ostler_server *s = OST_CONTAINER(timer, struct ostler_server, stop_timer);
    size_t count;

    if (s->cut_off) {
        end_grace(s);
        return;
    }
    count = ost_server_count_requests(s);
    if (count > 0)
        ostler_log_write(ostler_server_log(s), OSTLER_LOG_WARNING, "%s: cutting off %zu requests after %ld ms",
                         s->name, count, s->owner.options.stop_timeout_ms);
    abort_server(s);
}

static void on_stop(struct ost_stoppable *stoppable)
{
    struct ostler_server *s = OST_CONTAINER(stoppable, struct ostler_server, stoppable);

    if (s->state < OST_SERVER_STOPPING)
        ost_server_begin_stop(s);
}

static void on_abort(struct ost_stoppable *stoppable)
{
    abort_server(OST_CONTAINER(stoppable, struct ostler_server, stoppable));
}

/* Does it neither serve, nor has anything to end? It may start in a later run. */
static bool is_at_rest(const struct ostler_server *s)
{
    if (s->state != OST_SERVER_NEW || s->one || is_receiving(s))
        return false;
    for (const struct ost_list *node = s->owner.requests.next; node != &s->owner.requests; node = node->next)
        if (!OST_CONTAINER(node, struct ostler_request, node)->closing)
            return false;
    return true;
}

/* The reactor's, whose run waits for those in the list. */
static void end_with_reactor(struct ost_stoppable *stoppable, void (*end)(struct ost_stoppable *stoppable))
{
    if (is_at_rest(OST_CONTAINER(stoppable, struct ostler_server, stoppable)))
        ost_list_remove(&stoppable->node);
    else
        end(stoppable);
}

static void stop_with_reactor(struct ost_stoppable *stoppable)
{
    end_with_reactor(stoppable, on_stop);
}

static void abort_with_reactor(struct ost_stoppable *stoppable)
{
    end_with_reactor(stoppable, on_abort);
}

void ost_server_join_stops(struct ostler_server *s)
{
    struct ostler_reactor *r = s->owner.reactor;

    if (r->stop_heeded == OST_RUN && ost_list_is_empty(&s->stoppable.node))
        ost_list_append(&r->stoppables, &s->stoppable.node);
}

void ost_server_on_connects(struct ost_owner *owner)
{
    ost_server_join_stops(owner->server);
}

static void on_stop_job(struct ost_job *job)
{
    on_stop(&OST_CONTAINER(job, struct ostler_server, stop_job)->stoppable);
}

static void on_request_timer(struct ost_timer *timer)
{
    OST_CONTAINER(timer, struct ostler_server, request_timer)->timed_out = true;
}

static void on_actions_timer(struct ost_timer *timer)
{
    struct ostler_server *s = OST_CONTAINER(timer, struct ostler_server, actions_timer);
    struct ostler_reactor *r = s->owner.reactor;

    /* That the loop has woken is enough: the hook runs after this turn. */
    ost_timer_set(timer, r, ost_clock_after(ost_reactor_now(r), s->owner.options.actions_interval_ms));
}

static void on_hook(struct ost_job *job)
{
    struct ostler_server *s = OST_CONTAINER(job, struct ostler_server, hook);

    struct ost_hold hold;

    ost_stall_begin(&hold, &s->owner, NULL);
    s->class->service_actions(s);
    ost_stall_end(&s->owner, NULL, "service_actions");
}

/* What a child must not keep of us. */
static void name_descriptors(struct ost_holder *holder, struct ost_closing *closing)
{
    struct ostler_server *s = OST_CONTAINER(holder, struct ostler_server, holder);
    struct ost_list *node, *next;

    for (size_t i = 0; i < s->listener_count; i++)
        ost_closing_add(closing, s->listeners[i].fd);
    OST_LIST_EACH(node, next, &s->owner.requests)
        ost_closing_add(closing, OST_CONTAINER(node, struct ostler_request, node)->watch.fd);
}

int ost_stop_init(struct ostler_server *s)
{
    struct ostler_reactor *r = s->owner.reactor;

    if (ost_timer_init(&s->stop_timer, r, on_stop_timer) < 0)
        return -ENOMEM;
    if (ost_timer_init(&s->request_timer, r, on_request_timer) < 0 ||
        ost_timer_init(&s->actions_timer, r, on_actions_timer) < 0)
        return -ENOMEM; /* places in the reactor's heap, nothing that leaks */
    if (ost_requests_init(s) < 0)
        return -ENOMEM;
    s->errors = ost_throttle_new_shared();
    if (!s->errors)
        return -ENOMEM;
    s->stoppable.stop = stop_with_reactor;
    s->stoppable.abort = abort_with_reactor;
    s->hook.run = on_hook;
    s->stop_job.run = on_stop_job;
    ost_list_init(&s->stoppable.node);
    ost_list_init(&s->hook.node);
    ost_list_init(&s->stop_job.node);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->left, NULL);
    s->holder.name = name_descriptors;
    s->holder.follow = ost_server_follow;
    ost_list_append(&r->holders, &s->holder.node);
    ost_list_append(&r->servers, &s->node);
    return 0;
}

/* Call function, on our thread, and on our own epoll set. */
static int tell_server(struct ostler_server *s, void (*function)(struct ost_stoppable *stoppable))
{
    int error;

    if (!s)
        return -EINVAL;
    if (!ostler_reactor_is_current(s->owner.reactor))
        return -EPERM;
    error = ost_reactor_follow(s->owner.reactor);
    if (error == 0)
        function(&s->stoppable);
    return error;
}

int ostler_server_stop(struct ostler_server *s)
{
    return tell_server(s, on_stop);
}

int ostler_server_abort(struct ostler_server *s)
{
    return tell_server(s, on_abort);
}

/* Run what is due for our requests; not for others', since we may be inside a callback
 * of theirs. Threads, while they run, own their requests' jobs. Return how many. */
static int run_jobs(struct ostler_server *s)
{
    struct ost_list *node, *next;
    int count = 0;

    OST_LIST_EACH(node, next, &s->owner.requests) {
        struct ostler_request *r = OST_CONTAINER(node, struct ostler_request, node);

        if (r->discarding || ost_list_is_empty(&r->job.node))
            continue;
        ost_list_remove(&r->job.node);
        r->job.run(&r->job);
        count++;
    }
    return count;
}

int ost_server_refuse(void *state, struct ostler_request *r)
{
    (void)state;
    return r->io_error = -ECANCELED; /* a line at level debug */
}

/* For what children have parked: their handlers must not run in this process. */
static const struct ostler_mixin nowhere = { .name = "nowhere", .process = ost_server_refuse };

static const struct ostler_mixin *last_mixin(const struct ostler_mixin *mixin)
{
    if (!mixin)
        return NULL;
    return mixin->kill ? &nowhere : &ost_inline;
}

/* End every request, whatever it takes: those on our thread here, those in threads in
 * the mix-in's close, after which what they posted is run; what they had parked is finished
 * inline, and last goes what was still discarding input. */
static void end_requests(struct ostler_server *s)
{
    if (s->state < OST_SERVER_STOPPING)
        ost_server_begin_stop(s);
    s->cut_off = true;
    cut_off(s);
    if (s->mixin_state)
        s->mixin->close(s->mixin_state);
    s->mixin = last_mixin(s->mixin);
    s->capacity = SIZE_MAX;
    ost_server_fill_places(s);
    ost_post_take(s->owner.reactor);
    while (run_jobs(s) > 0) /* a fiber's or thread's end, a conn's last callbacks, an inline one's begin and end */
        continue;
    cut_off(s);
    assert(ost_list_is_empty(&s->owner.requests)); /* see where it must not be called from */
}

/* Nobody may be left in ostler_server_shutdown(). */
static void await_waiters(struct ostler_server *s)
{
    pthread_mutex_lock(&s->lock);
    s->serving = false;
    pthread_cond_broadcast(&s->left);
    while (s->waiters > 0)
        pthread_cond_wait(&s->left, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void ost_server_destroy(struct ostler_server *s)
{
    struct ostler_reactor *r = s->owner.reactor;

    ost_reactor_adopt(r);
    end_requests(s);
    if (s->state != OST_SERVER_STOPPED)
        ost_server_finish(s);
    await_waiters(s);
    ost_reactor_withdraw(r, &s->stop_job);
    ost_list_remove(&s->holder.node);
    ost_list_remove(&s->node);
    ost_requests_fini(s);
    for (size_t i = 0; i < s->listener_count; i++)
        ost_listener_fini(&s->listeners[i]);
    ost_timer_fini(&s->stop_timer, r);
    ost_timer_fini(&s->request_timer, r);
    ost_places_fini(s);
    ost_timer_fini(&s->actions_timer, r);
    ost_throttle_free_shared(s->errors);
    pthread_cond_destroy(&s->left);
    pthread_mutex_destroy(&s->lock);
    ostler_reactor_free(s->own_reactor);
    free(s->listeners);
    free(s->mixin_state);
    free(s->name);
    free(s);
}
