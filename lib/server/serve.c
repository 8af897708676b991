/* Running a server: start, serve_forever, handle_request, and shutdown from any
 * thread. */
#include <errno.h>

#include "net/socket.h"
#include "server/server.h"

static void log_listening(const struct ostler_server *s)
{
    char text[OSTLER_ADDRESS_TEXT];
    const struct ostler_address *address;

    for (size_t i = 0; (address = ostler_server_address(s, i)); i++)
        if (ostler_address_text(address, text, sizeof(text)) > 0)
            ostler_log_write(ostler_server_log(s), OSTLER_LOG_INFO, "%s: listening on %s", s->name, text);
}

/* From here on a shutdown waits for us; unless one has come before. */
static int begin_serving(struct ostler_server *s)
{
    pthread_mutex_lock(&s->lock);
    s->serving = !atomic_load(&s->shutdown);
    pthread_mutex_unlock(&s->lock);
    return s->serving ? 0 : -ESHUTDOWN;
}

/* Let service_actions run, if somebody has made it do something. */
static void start_actions(struct ostler_server *s)
{
    struct ostler_reactor *r = s->owner.reactor;

    if (s->class->service_actions == ostler_tcp_server.service_actions)
        return;
    ost_list_append(&r->hooks, &s->hook.node);
    ost_timer_set(&s->actions_timer, r, ost_clock_after(ost_reactor_refresh(r), s->owner.options.actions_interval_ms));
}

int ostler_server_start(struct ostler_server *s)
{
    int error;

    if (!s)
        return -EINVAL;
    if (s->one)
        return -EBUSY; /* its listeners are ostler_server_handle_request()'s */
    if (s->state != OST_SERVER_NEW)
        return s->state == OST_SERVER_SERVING ? -EALREADY : -ESHUTDOWN;
    if (!s->active)
        return -EDESTADDRREQ;
    if (s->owner.reactor->stop_heeded > OST_RUN)
        return -ESHUTDOWN;
    error = ost_reactor_follow(s->owner.reactor);
    if (error < 0)
        return error;
    if (begin_serving(s) < 0)
        return -ESHUTDOWN;
    s->state = OST_SERVER_SERVING;
    ost_server_join_stops(s);
    start_actions(s);
    ost_server_watch_listeners(s);
    log_listening(s);
    return 0;
}

static bool is_stopped(void *arg)
{
    struct ostler_server *s = arg;

    return s->state == OST_SERVER_STOPPED;
}

/* Let those go who wait in ostler_server_shutdown(). */
static void leave_forever(struct ostler_server *s)
{
    pthread_mutex_lock(&s->lock);
    s->in_forever = s->serving = false;
    pthread_cond_broadcast(&s->left);
    pthread_mutex_unlock(&s->lock);
}

int ostler_server_serve_forever(struct ostler_server *s)
{
    int error;

    if (!s)
        return -EINVAL;
    if (s->owner.reactor->running)
        return -EBUSY;
    s->in_forever = true;
    error = ostler_server_start(s);
    if (error == 0 || error == -EALREADY || s->state == OST_SERVER_STOPPING)
        error = ost_reactor_run_until(s->owner.reactor, is_stopped, s);
    if (error == 0)
        error = s->result;
    leave_forever(s);
    return error == -ESHUTDOWN ? 0 : error;
}

int ostler_server_shutdown(struct ostler_server *s)
{
    const struct ostler_request *r = ost_request_current();

    if (!s)
        return -EINVAL;
    if (ost_reactor_is_disowned(s->owner.reactor))
        return -EPERM;
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->shutdown, true);
    if (s->serving && !s->stop_posted) {
        s->stop_posted = true;
        ost_reactor_post_job(s->owner.reactor, &s->stop_job);
    }
    if (!ostler_reactor_is_current(s->owner.reactor) && !(r && r->owner == &s->owner)) {
        s->waiters++;
        while (s->serving)
            pthread_cond_wait(&s->left, &s->lock);
        s->waiters--;
        pthread_cond_broadcast(&s->left); /* ostler_server_free() waits for us */
    }
    pthread_mutex_unlock(&s->lock);
    return 0;
}

static bool has_handled_one(void *arg)
{
    struct ostler_server *s = arg;

    if (s->taken)
        return s->elsewhere || s->running <= s->running_before || s->state == OST_SERVER_STOPPED;
    return s->timed_out || s->state >= OST_SERVER_STOPPING;
}

/* The shorter of two times, of which OSTLER_NEVER is the longest. */
static long shorter(long a, long b)
{
    return a == OSTLER_NEVER || (b != OSTLER_NEVER && b < a) ? b : a;
}

/* How long to wait for a request: request_timeout_ms, or a time-out that a listening socket
 * itself has. */
static long patience(const struct ostler_server *s)
{
    long ms = s->owner.options.request_timeout_ms;

    for (size_t i = 0; i < s->listener_count; i++)
        if (s->listeners[i].fd >= 0)
            ms = shorter(ms, ost_socket_receive_timeout(s->listeners[i].fd));
    return ms;
}

/* Accept one, and run until it has been seen to. 0 or -errno. */
static int run_for_one(struct ostler_server *s)
{
    struct ostler_reactor *r = s->owner.reactor;
    int error;

    s->one = true;
    s->taken = s->timed_out = s->elsewhere = false;
    s->running_before = s->running;
    ost_server_join_stops(s);
    ost_timer_set(&s->request_timer, r, ost_clock_after(ost_reactor_refresh(r), patience(s)));
    ost_server_watch_listeners(s);
    error = ost_reactor_run_until(r, has_handled_one, s);
    s->one = false;
    ost_timer_set(&s->request_timer, r, OST_NEVER);
    ost_server_watch_listeners(s);
    return error;
}

int ostler_server_set_request_timeout(struct ostler_server *s, long ms)
{
    if (!s || ms < OSTLER_NEVER)
        return -EINVAL;
    s->owner.options.request_timeout_ms = ms;
    return 0;
}

int ostler_server_handle_request(struct ostler_server *s)
{
    int error;

    if (!s)
        return -EINVAL;
    if (s->owner.reactor->running || s->state == OST_SERVER_SERVING)
        return -EBUSY;
    if (s->state == OST_SERVER_NEW && !s->active)
        return -EDESTADDRREQ;
    error = ost_reactor_follow(s->owner.reactor);
    if (error < 0)
        return error;
    if (s->state != OST_SERVER_NEW || begin_serving(s) < 0)
        return -ESHUTDOWN;
    s->in_forever = true;
    error = run_for_one(s);
    leave_forever(s);
    if (error < 0 || s->taken)
        return error < 0 ? error : 1;
    if (!s->timed_out)
        return -ESHUTDOWN;
    s->class->handle_timeout(s);
    return 0;
}

int ostler_serve_forever(const struct ostler_server_options *options)
{
    struct ostler_server *s;
    int error = ostler_server_new(&s, options, NULL);

    if (error < 0)
        return error;
    error = ostler_server_serve_forever(s);
    ostler_server_free(s);
    return error;
}
