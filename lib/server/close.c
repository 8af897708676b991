/* server_close(): waiting for requests that still run. A server that is not to wait for its
 * handlers (daemon_threads, no_block_on_close) hands itself over to a thread of its own, which
 * runs the reactor until they have ended: so they never outlive what they use. */
#include <errno.h>

#include "base/thread.h"
#include "server/receiver.h"
#include "server/server.h"

bool ost_server_is_detached(const struct ostler_server *s)
{
    const struct ostler_server_options *o = &s->owner.options;

    return o->no_block_on_close || o->daemon_threads;
}

static bool is_over(void *arg)
{
    const struct ostler_server *s = arg;

    return s->timed_out || ost_server_is_idle(s);
}

/* Run until all requests have ended, or the time is up. Meanwhile nobody is cut off; afterwards a
 * stop has its limit again, and an abort, which has cut off, goes on all the time. */
static int await_requests(struct ostler_server *s, long timeout_ms)
{
    struct ostler_reactor *r = s->owner.reactor;
    int error;

    s->timed_out = false;
    if (!s->cut_off)
        ost_timer_set(&s->stop_timer, r, OST_NEVER);
    ost_timer_set(&s->request_timer, r, ost_clock_after(ost_reactor_refresh(r), timeout_ms));
    error = ost_reactor_run_until(r, is_over, s);
    ost_timer_set(&s->request_timer, r, OST_NEVER);
    if (s->state == OST_SERVER_STOPPING && !s->cut_off)
        ost_server_limit_stop(s);
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
    error = ost_reactor_follow(s->owner.reactor);
    if (error < 0)
        return error;
    ost_reactor_adopt(s->owner.reactor);
    if (s->state < OST_SERVER_STOPPING)
        ost_server_begin_stop(s);
    error = await_requests(s, timeout_ms);
    if (ost_server_is_idle(s) || error == -EIO)
        return error == -EIO ? error : 0;
    ost_server_log_holders(s, "");
    return -ETIMEDOUT;
}

/* On a thread of its own: wait for the handlers that still run. */
static void *keep(void *arg)
{
    struct ostler_server *s = arg;

    await_requests(s, OSTLER_NEVER);
    ost_server_destroy(s);
    return NULL;
}

/* From a thread beside the program's nobody may fork. What has not begun does not begin. */
static void forbid_children(struct ostler_server *s)
{
    s->childless = *s->mixin;
    s->childless.process = ost_server_refuse;
    s->mixin = &s->childless;
}

/* What has arrived, and was not taken in, is nobody's. */
static void forget_rest(struct ostler_server *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        if (s->listeners[i].receiver) {
            s->listeners[i].receiver->rest = 0;
            ost_listener_close(&s->listeners[i]);
        }
}

/* End everything but the handlers that run. Do any? */
static bool leave_alone(struct ostler_server *s)
{
    if (!ost_server_is_detached(s) || s->running == 0)
        return false;
    ost_reactor_adopt(s->owner.reactor);
    if (s->mixin->kill)
        forbid_children(s);
    if (s->state < OST_SERVER_STOPPING)
        ost_server_begin_stop(s);
    forget_rest(s);
    if (s->state != OST_SERVER_STOPPED)
        ost_server_finish(s);
    return s->running > 0;
}

void ostler_server_free(struct ostler_server *s)
{
    if (s)
        ost_reactor_follow(s->owner.reactor);
    if (s && !(leave_alone(s) && ost_thread_start(NULL, keep, s) == 0))
        ost_server_destroy(s);
}
