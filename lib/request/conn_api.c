/* The evented face: what a handler, and whoever holds a conn, may call. */
#include <errno.h>
#include <limits.h>

#include "base/hot.h"
#include "request/conn.h"

static struct ost_conn *inside(const struct ostler_conn *conn)
{
    return conn ? OST_CONTAINER(conn, struct ost_conn, base) : NULL;
}

/* 0, or why conn may not be touched from here. */
static int check(const struct ostler_conn *conn)
{
    if (!conn)
        return -EINVAL;
    return ost_reactor_is_ours(ost_conn_reactor(inside(conn))) ? 0 : -EPERM;
}

/* Small writes are gathered, to leave together; one of so many bytes leaves at once, uncopied. A callback
 * that writes as long as the kernel takes it would keep the others from their turn: after PUSH_LIMIT
 * bytes the rest is queued. */
enum { LARGE = 8192, PUSH_LIMIT = 256 * 1024 };

/* Would n more be too much to wait? What the kernel takes does not count: it is tried first. */
static bool is_too_much(const struct ost_conn *c, size_t n)
{
    return ost_output_length(c->out) + n > ost_conn_terms(c)->max_output;
}

/* Send what is gathered and as much of the n bytes at data as the kernel takes.
 * The count of the latter, or -errno. */
static ssize_t send_now(struct ost_conn *c, const void *data, size_t n)
{
    size_t waiting = ost_output_length(c->out);
    ssize_t sent;

    ost_conn_send(c);
    c->pushed += (uint32_t)(waiting - ost_output_length(c->out));
    if (c->drop)
        return c->request.io_error;
    if (c->out || (n < LARGE && !is_too_much(c, n)))
        return 0;
    sent = ost_request_send(&c->request, data, n, MSG_DONTWAIT);
    if (sent == -EAGAIN)
        sent = 0;
    if (sent < 0) {
        ost_conn_fail(c, ost_request_reason((int)sent), (int)sent);
        return sent;
    }
    c->blocked = (size_t)sent < n;
    c->pushed += (uint32_t)sent;
    if (sent > 0)
        ost_conn_moved(c);
    return sent;
}

/* May something leave within the callback? */
static bool may_leave(const struct ost_conn *c)
{
    return c->pushed < PUSH_LIMIT && !c->blocked && !c->connecting;
}

/* Close it: what was to be sent is lost. If the begin of it has left the peer must not take that for everything. */
static int lose(struct ost_conn *c, bool begun, enum ostler_close_reason reason, int error)
{
    c->request.reset = c->request.reset || begun;
    ost_conn_fail(c, reason, error);
    return error;
}

/* n bytes more would be too much. How many of them the kernel takes, so that the rest is not; or -errno. begun: as
 * for queue(). */
static ssize_t make_room(struct ost_conn *c, const char *data, size_t n, bool begun)
{
    ssize_t sent = may_leave(c) ? send_now(c, data, n) : 0;

    if (sent < 0 || !is_too_much(c, n - (size_t)sent))
        return sent;
    return lose(c, begun || sent > 0, OSTLER_CLOSE_OUTPUT_LIMIT, -ENOBUFS);
}

/* begun: some of the same write has left. */
static int queue(struct ost_conn *c, const char *data, size_t n, bool begun)
{
    const struct ost_terms *terms = ost_conn_terms(c);
    int error;

    if (ost_output_length(c->out) + n > terms->max_output) {
        ssize_t sent = make_room(c, data, n, begun);

        if (sent < 0 || (size_t)sent == n)
            return sent < 0 ? (int)sent : 0;
        data += sent;
        n -= (size_t)sent;
        begun = begun || sent > 0;
    }
    error = ost_output_append(&c->out, ost_conn_reactor(c), data, n);
    if (error < 0)
        return lose(c, begun, OSTLER_CLOSE_ERROR, error);
    if (ost_output_length(c->out) > terms->high)
        c->full = true;
    return 0;
}

/* Must, and may, something leave within the callback? */
static bool is_to_leave(const struct ost_conn *c, size_t n)
{
    return (c->out ? ost_output_length(c->out) + n > OST_GATHER : n >= LARGE) && may_leave(c);
}

OST_HOT int ostler_conn_write(struct ostler_conn *conn, const void *data, size_t n)
{
    struct ost_conn *c = inside(conn);
    const char *rest = data;
    int error = check(conn);

    if (error < 0 || (!data && n > 0) || n > SSIZE_MAX)
        return error < 0 ? error : -EINVAL;
    if (c->closing || c->half_close) {
        c->request.io_error = -EPIPE;
        return -EPIPE;
    }
    ost_conn_touch(c);
    if (is_to_leave(c, n)) {
        ssize_t sent = send_now(c, rest, n);

        if (sent < 0)
            return (int)sent;
        rest += sent;
        n -= (size_t)sent;
    }
    return n > 0 ? queue(c, rest, n, rest != data) : 0;
}

size_t ostler_conn_queued(const struct ostler_conn *conn)
{
    return conn ? ost_output_length(inside(conn)->out) : 0;
}

bool ostler_conn_is_full(const struct ostler_conn *conn)
{
    return conn && inside(conn)->full;
}

int ostler_conn_pause(struct ostler_conn *conn)
{
    int error = check(conn);

    if (error < 0)
        return error;
    inside(conn)->paused = true;
    ost_conn_touch(inside(conn));
    return 0;
}

int ostler_conn_resume(struct ostler_conn *conn)
{
    struct ost_conn *c = inside(conn);
    int error = check(conn);

    if (error < 0)
        return error;
    if (c->paused && !c->offering)
        c->offer = true;
    c->paused = false;
    ost_conn_touch(c);
    return 0;
}

int ostler_conn_set_marks(struct ostler_conn *conn, size_t low, size_t high)
{
    struct ost_conn *c = inside(conn);
    int error = check(conn);

    if (error < 0)
        return error;
    if (low > high || high > ost_conn_terms(c)->max_output)
        return -EINVAL;
    if (!ost_conn_own(c))
        return -ENOMEM;
    c->own->terms.low = low;
    c->own->terms.high = high;
    c->full = c->full || ost_output_length(c->out) > high;
    ost_conn_touch(c);
    return 0;
}

/* 0, or why no timer of its own can be set to ms. */
static int check_timer(const struct ostler_conn *conn, long ms)
{
    int error = check(conn);

    if (error < 0 || ms < OSTLER_NEVER)
        return error < 0 ? error : -EINVAL;
    return ost_conn_own(inside(conn)) ? 0 : -ENOMEM;
}

/* Let it fire ms from now. */
static void set_timer(const struct ost_conn *c, struct ost_timer *timer, long ms)
{
    struct ostler_reactor *reactor = ost_conn_reactor(c);

    ost_timer_set(timer, reactor, ost_clock_after(ost_reactor_refresh(reactor), ms));
}

int ostler_conn_set_timer(struct ostler_conn *conn, long ms)
{
    int error = check_timer(conn, ms);

    if (error == 0)
        set_timer(inside(conn), &inside(conn)->own->alarm, ms);
    return error;
}

int ostler_conn_set_timeout(struct ostler_conn *conn, long ms)
{
    struct ost_conn *c = inside(conn);
    int error = check(conn);
    uint64_t progress;

    if (error < 0 || ms == 0 || ms < OSTLER_NEVER)
        return error < 0 ? error : -EINVAL;
    if (!ost_conn_own(c))
        return -ENOMEM;
    progress = ost_conn_progress(c);
    c->own->terms.patience = ost_conn_patience(ms);
    if (progress > 0)
        ost_conn_watch_silence(c, progress);
    return 0;
}

int ostler_conn_set_deadline(struct ostler_conn *conn, long ms)
{
    int error = check_timer(conn, ms);

    if (error == 0)
        set_timer(inside(conn), &inside(conn)->own->deadline, ms);
    return error;
}

int ostler_conn_shutdown_write(struct ostler_conn *conn)
{
    int error = check(conn);

    if (error < 0)
        return error;
    inside(conn)->half_close = true;
    ost_conn_touch(inside(conn));
    return 0;
}

int ostler_conn_close(struct ostler_conn *conn)
{
    int error = check(conn);

    if (error < 0)
        return error;
    ost_conn_finish(inside(conn), OSTLER_CLOSE_DONE, 0);
    return 0;
}

int ostler_conn_abort(struct ostler_conn *conn)
{
    int error = check(conn);

    if (error < 0)
        return error;
    conn->request->reset = true;
    ost_conn_fail(inside(conn), OSTLER_CLOSE_ABORTED, 0);
    return 0;
}

struct ostler_request_ref ostler_conn_id(struct ostler_conn *conn)
{
    return ostler_request_id(check(conn) < 0 ? NULL : conn->request);
}

struct ostler_server *ostler_conn_server(const struct ostler_conn *conn)
{
    return conn ? ostler_request_server(conn->request) : NULL;
}

const struct ostler_address *ostler_conn_peer(const struct ostler_conn *conn)
{
    return conn ? ostler_request_peer(conn->request) : NULL;
}
