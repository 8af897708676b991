/* Waiting. In a thread or child: poll(2) on the one descriptor. On the reactor's
 * thread, as a fiber or inline: arm the request's watch and timer, and park; the
 * callbacks below end the wait. The watch stays armed for reading in between (it
 * is level-triggered), so a ping-pong costs no epoll_ctl(2); when readiness comes
 * while nobody waits for it, it is disarmed then. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "request/stream.h"

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t ost_wait_due(const struct ost_stream *s)
{
    if (s->timeout_ms < 0)
        return s->deadline;
    return earlier(s->deadline, ost_clock_after(ost_clock_ms(), s->timeout_ms));
}

static int wait_in_kernel(struct ost_stream *s, unsigned what, uint64_t due)
{
    struct pollfd pfd = { .fd = s->request.watch.fd };
    int n;

    if (!what)
        return 0;
    pfd.events = what & OST_READ ? POLLIN : POLLOUT;
    do
        n = poll(&pfd, 1, due == OST_NEVER ? -1 : ost_clock_until(ost_clock_ms(), due));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (atomic_load(&s->request.cancelled))
        return -ECANCELED;
    return n > 0 ? 0 : -ETIMEDOUT;
}

/* The wait of s is over. */
static void end_wait(struct ost_stream *s, int result)
{
    if (!s->waiting || s->waiting->over)
        return;
    s->waiting->over = true;
    s->waiting->result = result;
    s->parker->unpark(s);
}

static void on_ready(struct ost_watch *watch, unsigned what)
{
    struct ost_stream *s = OST_CONTAINER(watch, struct ost_stream, request.watch);

    if (s->waiting && !s->waiting->over && (s->waiting->what & what))
        end_wait(s, 0);
    else
        ost_watch_set(watch, 0);
}

static void on_due(struct ost_timer *timer)
{
    struct ost_stream *s = OST_CONTAINER(timer, struct ost_stream, request.timer);

    end_wait(s, s->waiting && s->waiting->what ? -ETIMEDOUT : 0);
}

/* In a thread the wait ends only when the socket's input does. There is a price: once
 * SHUT_WR follows, Linux answers late input with a reset (see close.c). */
void ost_stream_stop(struct ostler_request *r)
{
    struct ost_stream *s = OST_CONTAINER(r, struct ost_stream, request);

    if (s->parked) {
        ost_unpark(s, s->set_up || r->input_left > 0 ? 0 : -ECANCELED);
    } else if (!s->parker) {
        r->shut_read = true;
        shutdown(r->watch.fd, SHUT_RD);
    } else if (s->waiting && s->waiting->what == OST_READ && r->input_left == 0) {
        end_wait(s, 0);
    }
}

void ost_stream_cancel(struct ostler_request *r)
{
    struct ost_stream *s = OST_CONTAINER(r, struct ost_stream, request);

    ost_unpark(s, -ECANCELED);
    end_wait(s, -ECANCELED);
}

static void park(struct ost_stream *s, struct ost_wait *wait)
{
    struct ostler_request *r = &s->request;

    s->waiting = wait;
    ost_request_set_current(NULL);
    while (!wait->over)
        s->parker->park(s);
    ost_request_set_current(r);
    s->waiting = NULL;
    s->burst = 0;
}

static int wait_parked(struct ost_stream *s, unsigned what, uint64_t due)
{
    struct ost_wait wait = { .what = what };
    struct ostler_request *r = &s->request;
    int error;

    if (atomic_load(&r->cancelled))
        return -ECANCELED;
    if (what == OST_READ && ost_request_input_is_over(r))
        return 0; /* the end can be read */
    r->watch.ready = on_ready;
    r->timer.fire = on_due;
    if (what) {
        error = ost_watch_set(&r->watch, what);
        if (error < 0)
            return error;
    }
    ost_timer_set(&r->timer, r->owner->reactor, due);
    park(s, &wait);
    ost_timer_set(&r->timer, r->owner->reactor, OST_NEVER);
    return wait.result;
}

int ost_wait(struct ost_stream *s, unsigned what, uint64_t due)
{
    return s->parker ? wait_parked(s, what, due) : wait_in_kernel(s, what, due);
}
