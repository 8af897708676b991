/* server_close(): waiting for requests that still run, and freeing, which is the same in a
 * hurry. A server that is not to wait for its handlers (daemon_threads, no_block_on_close)
 * hands itself over to a thread of its own, which runs the reactor until they have ended:
 * so they never outlive what they use. */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

#include <ostler/mixin.h>

#include "mixin/inline.h"
#include "server/server.h"

bool ost_server_is_detached(const struct ostler_server *s)
{
    const struct ostler_server_options *o = &s->owner.options;

    return o->no_block_on_close || o->daemon_threads;
}

/* The reactor does not run: what is done to it is done on this thread now. */
static void adopt(struct ostler_reactor *r)
{
    if (!r->running)
        atomic_store(&r->thread, (unsigned long)pthread_self());
}

static bool is_over(void *arg)
{
    const struct ostler_server *s = arg;

    return s->timed_out || ost_server_is_idle(s);
}

/* Run until all requests have ended, or the time is up. */
static int await_requests(struct ostler_server *s, long timeout_ms)
{
    struct ostler_reactor *r = s->owner.reactor;
    int error;

    s->timed_out = false;
    ost_timer_set(&s->stop_timer, r, OST_NEVER); /* nobody is cut off */
    ost_timer_set(&s->request_timer, r, ost_clock_after(ost_reactor_refresh(r), timeout_ms));
    error = ost_reactor_run_until(r, is_over, s);
    ost_timer_set(&s->request_timer, r, OST_NEVER);
    return error;
}

int ostler_server_close(struct ostler_server *s, long timeout_ms)
{
    int error;

    if (!s || timeout_ms < OSTLER_NEVER)
        return -EINVAL;
    if (s->owner.reactor->running)
        return -EBUSY;
    if (ost_reactor_is_disowned(s->owner.reactor))
        return -EPERM;
    adopt(s->owner.reactor);
    if (s->state < OST_SERVER_STOPPING)
        ost_server_begin_stop(s);
    error = await_requests(s, timeout_ms);
    if (ost_server_is_idle(s) || error == -EIO)
        return error == -EIO ? error : 0;
    ost_server_log_holders(s, "");
    return -ETIMEDOUT;
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

static int refuse(void *state, struct ostler_request *r)
{
    (void)state;
    return r->io_error = -ECANCELED; /* a line at level debug */
}

/* For what children have parked: their handlers must not run in this process. */
static const struct ostler_mixin nowhere = { .name = "nowhere", .process = refuse };

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
    ost_server_cut_off(s);
    if (s->mixin_state)
        s->mixin->close(s->mixin_state);
    s->mixin = last_mixin(s->mixin);
    s->capacity = SIZE_MAX;
    ost_server_fill_places(s);
    ost_post_take(s->owner.reactor);
    while (run_jobs(s) > 0) /* a fiber's or thread's end, a conn's last callbacks, an inline one's begin and end */
        continue;
    ost_server_cut_off(s);
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

static void destroy(struct ostler_server *s)
{
    struct ostler_reactor *r = s->owner.reactor;

    adopt(r);
    end_requests(s);
    if (s->state != OST_SERVER_STOPPED)
        ost_server_finish(s);
    await_waiters(s);
    ost_reactor_withdraw(r, &s->stop_job);
    ost_list_remove(&s->holder.node);
    for (size_t i = 0; i < s->listener_count; i++)
        ost_listener_fini(&s->listeners[i]);
    ost_timer_fini(&s->stop_timer, r);
    ost_timer_fini(&s->request_timer, r);
    ost_timer_fini(&s->actions_timer, r);
    ost_throttle_fini(&s->errors);
    pthread_cond_destroy(&s->left);
    pthread_mutex_destroy(&s->lock);
    ostler_reactor_free(s->own_reactor);
    free(s->listeners);
    free(s->mixin_state);
    free(s->name);
    free(s);
}

static void *keep(void *arg)
{
    struct ostler_server *s = arg;

    await_requests(s, OSTLER_NEVER);
    destroy(s);
    return NULL;
}

/* Let a thread wait for the handlers that still run. 0 or -errno. */
static int hand_over(struct ostler_server *s)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    int error = pthread_attr_init(&attributes);

    if (error != 0)
        return -error;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, &attributes, keep, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -error;
}

/* End everything but the handlers that run. Do any? */
static bool leave_alone(struct ostler_server *s)
{
    if (!ost_server_is_detached(s) || s->running == 0)
        return false;
    adopt(s->owner.reactor);
    if (s->state < OST_SERVER_STOPPING)
        ost_server_begin_stop(s);
    if (s->state != OST_SERVER_STOPPED)
        ost_server_finish(s);
    await_waiters(s);
    return s->running > 0;
}

void ostler_server_free(struct ostler_server *s)
{
    if (s && !(leave_alone(s) && hand_over(s) == 0))
        destroy(s);
}
