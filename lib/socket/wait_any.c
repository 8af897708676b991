/* ostler_wait_any(): what is ready already; and if nothing is, one wait for all of it. */
#include <ostler/wait.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "socket/mailbox.h"
#include "socket/object.h"

enum { FEW = 8, MOST = 65536 };

/* What one of the things comes down to. */
struct part {
    struct ost_visit visit; /* a mailbox's */
    unsigned ready;
};

/* All of them. */
struct party {
    struct ostler_wait *waits;
    size_t count;
    struct part *parts;
    struct ost_need *needs; /* the k-th is for the k-th of those with a descriptor */
    struct pollfd *polled;  /* likewise */
};

static struct ostler_mailbox *mailbox_of(const struct ostler_wait *w)
{
    return w->events && !w->stream && !w->socket ? w->mailbox : NULL;
}

static bool has_descriptor(const struct ostler_wait *w)
{
    return w->events && !mailbox_of(w);
}

static int descriptor_of(const struct ostler_wait *w)
{
    if (w->stream)
        return ostler_request_fd(w->stream->request);
    return w->socket ? w->socket->fd : w->fd;
}

static int check(const struct ostler_wait *w)
{
    if (w->events & ~(unsigned)(OSTLER_READ | OSTLER_WRITE))
        return -EINVAL;
    if (w->events == 0)
        return 0;
    if (w->stream)
        return w->stream->request && w->stream->request == ost_request_current() ? 0 : -EINVAL;
    if (w->socket)
        return ost_object_check(w->socket);
    if (w->mailbox)
        return ost_mailbox_check(w->mailbox);
    return w->fd < 0 ? -EBADF : 0;
}

/* 0, or what is wrong with the call. */
static int check_all(const struct ostler_wait *waits, size_t count, long timeout_ms)
{
    bool any = false;
    int error = 0;

    if ((!waits && count > 0) || count > MOST || timeout_ms < OSTLER_NEVER)
        return -EINVAL;
    for (size_t i = 0; i < count && error == 0; i++) {
        any = any || waits[i].events;
        error = check(&waits[i]);
    }
    if (error == 0 && !any && timeout_ms == OSTLER_NEVER)
        return -EINVAL;
    if (error == 0 && timeout_ms != 0 && !ost_request_current() && ost_reactor_running())
        return -EDEADLK;
    return error < 0 ? error : ost_stream_check_current();
}

/* The handler's stream, if it is among the things. */
static const struct ost_stream *stream_among(const struct party *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->waits[i].events && p->waits[i].stream)
            return ost_stream_inside(p->waits[i].stream);
    return NULL;
}

/* Has its stream received more than it has given, of that which is waited for? */
static bool can_read_on(const struct ostler_wait *w)
{
    const struct ost_stream *s = w->stream && w->events & OSTLER_READ ? ost_stream_inside(w->stream) : NULL;

    return s && s->in_used < s->in_count;
}

/* What of it is ready whatever the kernel says: bytes that a stream has received with others, the
 * end of its input, all of a datagram; and what is in a mailbox. */
static unsigned ready_inside(const struct ostler_wait *w)
{
    const struct ost_stream *s = w->stream ? ost_stream_inside(w->stream) : NULL;
    const struct ostler_request *r = s ? &s->request : w->socket ? w->socket->request : NULL;

    if (mailbox_of(w))
        return ost_mailbox_ready(w->mailbox);
    if (s && s->packet)
        return OST_READ | OST_WRITE;
    return can_read_on(w) || (r && (r->eof || ost_request_input_is_over(r))) ? OST_READ : 0;
}

/* Look at what we know ourselves. */
static void look_inside(struct party *p)
{
    for (size_t i = 0; i < p->count; i++)
        p->parts[i].ready = p->waits[i].events ? ready_inside(&p->waits[i]) & p->waits[i].events : 0;
}

/* Let the kernel say what is ready now. 0 or -errno. */
static int look_outside(struct party *p)
{
    nfds_t n = 0;
    int found, error = 0;

    for (size_t i = 0; i < p->count; i++)
        if (has_descriptor(&p->waits[i]))
            p->polled[n++] = ost_poll_for(descriptor_of(&p->waits[i]), p->waits[i].events);
    do
        found = poll(p->polled, n, 0);
    while (found < 0 && errno == EINTR);
    if (found < 0)
        return -errno;
    n = 0;
    for (size_t i = 0; i < p->count && error == 0; i++)
        if (has_descriptor(&p->waits[i]))
            error = ost_poll_take(&p->parts[i].ready, &p->polled[n++], p->waits[i].events);
    return error;
}

/* Has the kernel to be asked first: for a wait on the reactor would not tell the right thing of a
 * descriptor that is not open, or is a file's? */
static bool has_strange(const struct party *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (has_descriptor(&p->waits[i]) && !p->waits[i].stream && !p->waits[i].socket)
            return true;
    return false;
}

/* Tell what is ready; return how many are. */
static int tell(struct party *p)
{
    int count = 0;

    for (size_t i = 0; i < p->count; i++) {
        p->waits[i].ready = p->parts[i].ready;
        count += p->parts[i].ready != 0;
    }
    return count;
}

static bool is_any_ready(const struct party *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->parts[i].ready)
            return true;
    return false;
}

static int need_of(struct ost_need *need, const struct ostler_wait *w, const struct ost_waiter *waiter)
{
    if (w->socket && !w->stream)
        return ost_object_need(need, w->socket, w->events, waiter);
    if (w->stream)
        ost_need_stream(need, ost_stream_inside(w->stream), w->events);
    else
        ost_need_descriptor(need, w->fd, w->events, NULL);
    return 0;
}

static int wait_with(struct party *p, struct ost_waiter *waiter, uint64_t due)
{
    size_t entered = 0, n = 0;
    int error = 0;

    for (size_t i = 0; i < p->count && error == 0; i++)
        if (has_descriptor(&p->waits[i]))
            error = need_of(&p->needs[n++], &p->waits[i], waiter);
    for (; entered < p->count && error == 0; entered++)
        if (mailbox_of(&p->waits[entered]))
            ost_mailbox_enter(p->waits[entered].mailbox, &p->parts[entered].visit, p->waits[entered].events, waiter);
    if (error == 0)
        error = ost_waiter_wait(waiter, p->needs, n, due);
    look_inside(p);
    while (entered-- > 0)
        if (mailbox_of(&p->waits[entered]))
            ost_mailbox_leave(p->waits[entered].mailbox, &p->parts[entered].visit);
    return error;
}

/* Wait once for what is not ready yet. */
static int wait_once(struct party *p, uint64_t due)
{
    struct ost_waiter waiter;
    size_t n = 0;
    int error = ost_waiter_init(&waiter, false);

    if (error < 0)
        return error;
    error = wait_with(p, &waiter, due);
    ost_waiter_fini(&waiter);
    for (size_t i = 0; i < p->count && error == 0; i++)
        if (has_descriptor(&p->waits[i]))
            p->parts[i].ready |= p->needs[n++].ready;
    return error;
}

/* A time has come: the caller's, which is nothing wrong, or that of its stream or request. */
static int time_is_up(struct party *p, bool is_callers)
{
    struct ost_stream *s = ost_stream_current();
    int error = is_callers || !s ? ost_stream_check_current() : ost_stream_failed(s, -ETIMEDOUT);

    return error < 0 ? error : tell(p);
}

static int wait_until(struct party *p, long timeout_ms)
{
    const struct ost_stream *own = stream_among(p);
    uint64_t now = ost_clock_ms(), silent = own ? ost_stream_due(own, now) : OST_NEVER;
    uint64_t due = ost_clock_after(now, timeout_ms);
    int error = 0;

    look_inside(p);
    if (timeout_ms == 0 || has_strange(p) || is_any_ready(p))
        error = look_outside(p);
    if (timeout_ms == 0 && error == 0)
        return tell(p);
    while (error == 0 && !is_any_ready(p))
        error = wait_once(p, due < silent ? due : silent);
    if (error == -ETIMEDOUT)
        return time_is_up(p, due < silent);
    return error < 0 ? error : tell(p);
}

/* With room for the parts: on the stack, unless they are many. */
static int wait_for_many(struct party *p, long timeout_ms)
{
    int error = -ENOMEM;

    p->parts = calloc(p->count, sizeof(*p->parts));
    p->needs = calloc(p->count, sizeof(*p->needs));
    p->polled = calloc(p->count, sizeof(*p->polled));
    if (p->parts && p->needs && p->polled)
        error = wait_until(p, timeout_ms);
    free(p->polled);
    free(p->needs);
    free(p->parts);
    return error;
}

static int wait_for_few(const struct party *p, long timeout_ms)
{
    struct part parts[FEW];
    struct ost_need needs[FEW];
    struct pollfd polled[FEW];
    struct party few = { .waits = p->waits, .count = p->count, .parts = parts, .needs = needs, .polled = polled };

    return wait_until(&few, timeout_ms);
}

/* Does it wait for the peer of s: through the stream, or its socket? */
static bool is_for_peer(const struct ostler_wait *w, const struct ost_stream *s)
{
    return w->events && (w->stream || (w->socket && w->socket->request == &s->request));
}

/* What is gathered for the peer may be what it waits for itself: unless it has said more already. */
static int flush(const struct party *p)
{
    struct ost_stream *s = ost_stream_current();
    bool is_asked = false;

    for (size_t i = 0; s && i < p->count; i++) {
        if (can_read_on(&p->waits[i]))
            return 0;
        is_asked = is_asked || is_for_peer(&p->waits[i], s);
    }
    return is_asked ? ost_stream_flush(s) : 0;
}

int ostler_wait_any(struct ostler_wait *waits, size_t count, long timeout_ms)
{
    struct party p = { .waits = waits, .count = count };
    int error = check_all(waits, count, timeout_ms);

    if (error == 0)
        error = flush(&p);
    if (error == 0 && timeout_ms != 0)
        error = ost_give_turn();
    if (error < 0)
        return error;
    return count > FEW ? wait_for_many(&p, timeout_ms) : wait_for_few(&p, timeout_ms);
}

int ostler_sleep_ms(long ms)
{
    uint64_t due = ost_clock_after(ost_clock_ms(), ms);
    struct ost_waiter waiter;
    int error = ms < 0 ? -EINVAL : ost_stream_check_current();

    if (error == 0)
        error = ost_waiter_init(&waiter, !ost_request_current());
    if (error < 0)
        return error;
    while (error == 0) /* a thread may be woken by what came too late for its last wait */
        error = ost_waiter_wait(&waiter, NULL, 0, due);
    ost_waiter_fini(&waiter);
    return error == -ETIMEDOUT ? ost_stream_check_current() : error;
}
