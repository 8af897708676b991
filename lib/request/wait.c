#include "request/wait.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "request/nudge.h"
#include "request/stream.h"

enum { FEW = 8 };

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t ost_wait_due(const struct ost_stream *s)
{
    if (s->timeout_ms < 0)
        return s->deadline;
    /* For park(), too, which asks the reactor for the time. */
    return ost_stream_due(s, s->parker ? ost_reactor_refresh(s->request.owner->reactor) : ost_clock_ms());
}

/* Its wait is over. */
static void end(struct ost_waiter *w, int result)
{
    if (!w || w->over)
        return;
    w->over = true;
    w->result = result;
    if (w->stream->waiting == w)
        w->stream->parker->unpark(w->stream);
}

static void on_woken(struct ost_job *job)
{
    struct ost_waiter *w = OST_CONTAINER(job, struct ost_waiter, job);

    atomic_store(&w->woken, false);
    end(w, 0);
}

void ost_waiter_wake(struct ost_waiter *w)
{
    struct ostler_reactor *reactor;

    if (atomic_exchange(&w->woken, true) && w->fd < 0)
        return;
    if (w->fd >= 0)
        eventfd_write(w->fd, 1);
    if (w->fd >= 0 || !w->stream)
        return;
    reactor = w->stream->request.owner->reactor;
    if (ostler_reactor_is_current(reactor))
        ost_reactor_soon(reactor, &w->job);
    else
        ost_reactor_post_job(reactor, &w->job);
}

static struct ost_need *need_of(struct ost_list *node)
{
    return OST_CONTAINER(node, struct ost_need, node);
}

/* All that is waited for at port. */
static unsigned wanted(const struct ost_port *port)
{
    unsigned what = 0;

    for (struct ost_list *node = port->needs.next; node != &port->needs; node = node->next)
        if (!need_of(node)->waiter->over)
            what |= need_of(node)->what;
    return what;
}

/* Let those that wait for what at port go on. Where there is one, at once, and as the last
 * thing done: the port may be gone afterwards. */
static void on_port_ready(struct ost_watch *watch, unsigned what)
{
    struct ost_port *port = OST_CONTAINER(watch, struct ost_port, watch);
    struct ost_list *node, *next;
    struct ost_need *only = NULL;
    int count = 0;

    OST_LIST_EACH(node, next, &port->needs) {
        struct ost_need *need = need_of(node);

        if (need->waiter->over || !(need->what & what))
            continue;
        need->ready |= need->what & what;
        only = need;
        count++;
    }
    if (count == 0) {
        ost_watch_set(watch, wanted(port));
    } else if (count == 1) {
        end(only->waiter, 0);
    } else {
        OST_LIST_EACH(node, next, &port->needs)
            if (need_of(node)->ready)
                ost_waiter_wake(need_of(node)->waiter);
    }
}

/* Let s go on if it waits for what. Did it? */
static bool end_if_wanted(const struct ost_stream *s, unsigned what)
{
    struct ost_waiter *w = s->waiting;

    if (!w || w->over || !(w->what & what))
        return false;
    w->came = w->what & what;
    end(w, 0);
    return true;
}

static void on_stream_ready(struct ost_watch *watch, unsigned what)
{
    if (!end_if_wanted(OST_CONTAINER(watch, struct ost_stream, request.watch), what))
        ost_watch_set(watch, 0);
}

static void on_due(struct ost_timer *timer)
{
    end(OST_CONTAINER(timer, struct ost_stream, request.timer)->waiting, -ETIMEDOUT);
}

void ost_port_init(struct ost_port *port, struct ostler_reactor *reactor, int fd)
{
    ost_watch_init(&port->watch, reactor, fd, on_port_ready);
    ost_list_init(&port->needs);
}

void ost_port_fini(struct ost_port *port)
{
    ost_watch_fini(&port->watch);
}

void ost_need_stream(struct ost_need *need, struct ost_stream *s, unsigned what)
{
    need->fd = s->request.watch.fd;
    need->what = what;
    need->stream = s;
    need->port = NULL;
}

void ost_need_port(struct ost_need *need, struct ost_port *port, unsigned what)
{
    need->fd = port->watch.fd;
    need->what = what;
    need->stream = NULL;
    need->port = port;
}

void ost_need_descriptor(struct ost_need *need, int fd, unsigned what, struct ost_list *guests)
{
    need->fd = fd;
    need->what = what;
    need->stream = NULL;
    need->port = NULL;
    need->guests = guests;
}

/* Let what it needs tell of all that those want who wait for it, this one included. */
static int enlist(struct ost_need *need, struct ost_waiter *w)
{
    if (need->stream) {
        w->what |= need->what;
        return 0;
    }
    if (!need->port) {
        ost_port_init(&need->own, w->stream->request.owner->reactor, need->fd);
        need->port = &need->own;
        ost_list_init(&need->guest);
        if (need->guests)
            ost_list_append(need->guests, &need->guest);
    }
    need->waiter = w;
    ost_list_append(&need->port->needs, &need->node);
    return ost_watch_set(&need->port->watch, wanted(need->port));
}

static void delist(struct ost_need *need, const struct ost_waiter *w)
{
    if (need->stream) {
        need->ready = w->came & need->what;
        return;
    }
    ost_list_remove(&need->node);
    if (need->port == &need->own) {
        ost_list_remove(&need->guest);
        ost_port_fini(&need->own);
        need->port = NULL;
    }
}

static void park(struct ost_stream *s, struct ost_waiter *w)
{
    const char *place = ost_here();

    s->waiting = w;
    ost_stream_note_wait(s, ost_reactor_now(s->request.owner->reactor));
    while (!w->over)
        s->parker->park(s);
    ost_request_set_current(&s->request);
    ost_stream_note_run(s);
    s->waiting = NULL;
    s->burst = 0;
    ost_set_here(place);
}

/* Wait for what w wants of its own stream, for somebody who wakes it, or due. */
static int wait_parked(struct ost_waiter *w, uint64_t due)
{
    struct ostler_request *r = &w->stream->request;
    int error = atomic_load(&r->cancelled) ? -ECANCELED : 0;

    w->came = 0;
    if (error == 0 && w->what) {
        r->watch.ready = on_stream_ready;
        error = ost_watch_set(&r->watch, w->what);
    }
    if (error == 0) {
        r->timer.fire = on_due;
        ost_timer_set(&r->timer, r->owner->reactor, due);
        park(w->stream, w);
        ost_timer_set(&r->timer, r->owner->reactor, OST_NEVER);
        error = w->result;
    }
    w->over = false;
    return error;
}

static int wait_for_needs(struct ost_waiter *w, struct ost_need *needs, size_t n, uint64_t due)
{
    size_t count = 0;
    int error = 0;

    w->what = 0;
    while (error == 0 && count < n)
        error = enlist(&needs[count++], w);
    if (error == 0)
        error = wait_parked(w, due);
    while (count > 0)
        delist(&needs[--count], w);
    return error;
}

struct pollfd ost_poll_for(int fd, unsigned what)
{
    int events = (what & OST_READ ? POLLIN : 0) | (what & OST_WRITE ? POLLOUT : 0);

    return (struct pollfd){ .fd = fd, .events = (short)events };
}

int ost_poll_take(unsigned *ready, const struct pollfd *polled, unsigned what)
{
    short events = polled->revents;

    if (events & POLLNVAL)
        return -EBADF;
    if (events & (POLLERR | POLLHUP))
        *ready |= what;
    if (events & POLLIN)
        *ready |= OST_READ & what;
    if (events & POLLOUT)
        *ready |= OST_WRITE & what;
    return 0;
}

/* What poll(2) has said of the needs. */
static int take_events(struct ost_need *needs, size_t n, const struct pollfd *polled)
{
    int error = 0;

    for (size_t i = 0; i < n && error == 0; i++)
        error = ost_poll_take(&needs[i].ready, &polled[i], needs[i].what);
    return error;
}

/* One poll(2). In a request it is the one that the others see waiting. */
static int poll_once(struct ost_waiter *w, struct pollfd *polled, size_t n, uint64_t due)
{
    uint64_t now = ost_clock_ms();
    int ms = ost_clock_until(now, due), count;

    if (!w->stream)
        return poll(polled, n, ms);
    ost_stream_note_wait(w->stream, now);
    if (w->stream->relay)
        count = ost_nudge_poll(&w->stream->request, polled, n, ms);
    else
        count = poll(polled, n, ms);
    ost_stream_note_run(w->stream);
    return count;
}

static int poll_needs(struct ost_waiter *w, struct ost_need *needs, size_t n, struct pollfd *polled, uint64_t due)
{
    int count;

    for (size_t i = 0; i < n; i++)
        polled[i] = ost_poll_for(needs[i].fd, needs[i].what);
    polled[n] = (struct pollfd){ .fd = w->fd, .events = POLLIN };
    do {
        if (w->stream && ost_request_is_cancelled(&w->stream->request))
            return -ECANCELED;
        count = poll_once(w, polled, n + 1, due);
    } while ((count < 0 && errno == EINTR) || (count == 0 && ost_clock_ms() < due));
    if (count < 0)
        return -errno;
    if (w->stream && ost_request_is_cancelled(&w->stream->request))
        return -ECANCELED;
    if (polled[n].revents)
        eventfd_read(w->fd, &(eventfd_t){ 0 });
    return count > 0 ? take_events(needs, n, polled) : -ETIMEDOUT;
}

static int wait_in_kernel(struct ost_waiter *w, struct ost_need *needs, size_t n, uint64_t due)
{
    struct pollfd few[FEW + 1], *polled = n > FEW ? malloc((n + 1) * sizeof(struct pollfd)) : few;
    int error = polled ? poll_needs(w, needs, n, polled, due) : -ENOMEM;

    if (polled != few)
        free(polled);
    return error;
}

/* The eventfd by which a handler in a thread is woken; its request keeps it. */
static int open_wake(struct ost_stream *s)
{
    int fd = atomic_load(&s->wake) - 1;

    if (fd >= 0)
        return fd;
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    atomic_store(&s->wake, fd + 1); /* before it is looked whether the request was cancelled */
    return fd;
}

/* Of a thread that runs no handler. */
static int open_own(struct ost_waiter *w)
{
    if (ost_reactor_running())
        return -EDEADLK;
    w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->owns = w->fd >= 0;
    return w->owns ? 0 : -errno;
}

int ost_waiter_init(struct ost_waiter *w, bool alone)
{
    *w = (struct ost_waiter){ .stream = ost_stream_current(), .fd = -1 };
    ost_list_init(&w->job.node);
    w->job.run = on_woken;
    if (!w->stream)
        return alone && !ost_reactor_running() ? 0 : open_own(w);
    if (alone || w->stream->parker)
        return 0;
    w->fd = open_wake(w->stream);
    return w->fd < 0 ? w->fd : 0;
}

/* A wake-up that came when it did not wait, or no longer, must not end the handler's next wait
 * for something else. */
void ost_waiter_fini(struct ost_waiter *w)
{
    if (w->owns)
        close(w->fd);
    else if (atomic_load(&w->woken) && w->fd >= 0)
        eventfd_read(w->fd, &(eventfd_t){ 0 });
    else if (atomic_load(&w->woken) && w->stream)
        ost_reactor_withdraw(w->stream->request.owner->reactor, &w->job);
}

int ost_waiter_wait(struct ost_waiter *w, struct ost_need *needs, size_t n, uint64_t due)
{
    for (size_t i = 0; i < n; i++)
        needs[i].ready = 0;
    if (w->stream)
        due = earlier(due, w->stream->deadline);
    return w->stream && w->stream->parker ? wait_for_needs(w, needs, n, due) : wait_in_kernel(w, needs, n, due);
}

/* A fiber's hot path. Nobody wakes it, so what that takes is left out. */
static int wait_alone(struct ost_stream *s, unsigned what, uint64_t due)
{
    struct ost_waiter w;
    int error;

    if (what == OST_READ && ost_request_input_is_over(&s->request))
        return 0; /* the end can be read */
    w.stream = s;
    w.what = what;
    w.over = false;
    error = wait_parked(&w, earlier(due, s->deadline));
    return error == -ETIMEDOUT && !what ? 0 : error;
}

static int wait_alone_in_kernel(struct ost_stream *s, unsigned what, uint64_t due)
{
    struct ost_waiter w = { .stream = s, .fd = -1 };
    struct ost_need need = { .fd = s->request.watch.fd, .what = what };

    return wait_in_kernel(&w, &need, 1, earlier(due, s->deadline));
}

int ost_wait(struct ost_stream *s, unsigned what, uint64_t due)
{
    if (s->parker)
        return wait_alone(s, what, due);
    return what ? wait_alone_in_kernel(s, what, due) : 0;
}

/* In a thread the wait ends only when the socket's input does. There is a price: once
 * SHUT_WR follows, Linux answers late input with a reset (see close.c). */
void ost_stream_stop(struct ostler_request *r)
{
    struct ost_stream *s = OST_CONTAINER(r, struct ost_stream, request);

    if (s->parked) {
        ost_unpark(s, s->set_up || r->input_left > 0 ? 0 : -ECANCELED);
    } else if (!s->parker) {
        s->shut_read = true;
        shutdown(r->watch.fd, SHUT_RD);
    } else if (r->input_left == 0) {
        end_if_wanted(s, OST_READ); /* one that sends goes on waiting for room */
    }
}

void ost_stream_cancel(struct ostler_request *r)
{
    struct ost_stream *s = OST_CONTAINER(r, struct ost_stream, request);
    int wake = atomic_load(&s->wake) - 1;

    if (wake >= 0)
        eventfd_write(wake, 1);
    if (s->relay)
        ost_nudge(r);
    end(s->waiting, -ECANCELED);
    ost_unpark(s, -ECANCELED); /* it may be gone then */
}
