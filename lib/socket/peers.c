/* How a socket object comes by its peer: accept and connect.
 *
 * Neither call takes a flag that forbids to wait. An accept makes its descriptor non-blocking
 * each time, for others that share the socket may have changed that; a connect does so for
 * the moment of the call.
 *
 * A Unix stream socket whose peer's backlog is full is told EAGAIN, and nothing tells when there
 * is room again: it tries anew after 1 ms, 2 … 16. */
#include <errno.h>

#include "net/socket.h"
#include "socket/call.h"

struct accept {
    struct ost_call call;
    struct ostler_address *peer;
};

static ssize_t accept_once(struct ostler_socket *s, const struct ost_call *call, int flags)
{
    int error = flags & MSG_DONTWAIT ? ost_socket_set_blocking(s->fd, false) : 0;

    return error < 0 ? error : ost_socket_accept(s->fd, OST_CONTAINER(call, const struct accept, call)->peer);
}

int ostler_socket_accept(struct ostler_socket *s, struct ostler_socket **out, struct ostler_address *peer)
{
    struct ostler_address from;
    struct accept a = { { accept_once, OST_READ, 0 }, &from };
    int error = out ? ost_object_check(s) : -EINVAL, fd;

    if (error < 0)
        return error;
    from.kind = s->kind;
    fd = (int)ost_call(s, &a.call);
    if (fd < 0)
        return fd;
    error = ost_object_new(out, fd, s->family, s->type);
    if (error == 0 && peer)
        *peer = from;
    return error;
}

/* connect(2), which may wait only if nothing else has to be waited for. */
static int connect_once(struct ostler_socket *s, const struct ostler_address *peer)
{
    bool toggles = s->timeout_ms != 0 && !ost_object_may_block(s);
    int error = toggles ? ost_socket_set_blocking(s->fd, false) : 0, restored = 0;

    if (error < 0)
        return error;
    error = ost_socket_connect_to(s->fd, peer);
    if (toggles)
        restored = ost_socket_set_blocking(s->fd, true);
    return error == 0 || error == -EINPROGRESS ? (restored < 0 ? restored : error) : error;
}

static int connect_unix(struct ostler_socket *s, const struct ostler_address *peer, uint64_t due)
{
    int error = connect_once(s, peer);

    for (unsigned naps = 0; error == -EINTR || (error == -EAGAIN && due != 0); naps++) {
        if (error == -EAGAIN && ost_object_gave_up(s, OST_WRITE))
            return error;
        error = error == -EAGAIN ? ost_object_nap(s, naps, due) : 0;
        if (error == 0)
            error = connect_once(s, peer);
    }
    return error;
}

/* An attempt that was interrupted goes on, and a second call joins it. That is how the outcome is
 * learnt, too: SO_ERROR would tell it, but leave the kernel with an attempt that is not over. */
static int connect_internet(struct ostler_socket *s, const struct ostler_address *peer, uint64_t due)
{
    int error = connect_once(s, peer);

    while (error == -EINTR || (due != 0 && (error == -EINPROGRESS || error == -EALREADY))) {
        if (error != -EINTR && ost_object_gave_up(s, OST_WRITE))
            return error;
        error = error == -EINTR ? 0 : ost_object_wait(s, OST_WRITE, due);
        if (error == 0)
            error = connect_once(s, peer);
    }
    return error;
}

/* Waiting is certain; where it is forbidden nothing is to begin. */
static bool is_deadlock(const struct ostler_socket *s)
{
    return s->kind == OST_TCP && s->timeout_ms != 0 && !ost_request_current() && ost_reactor_running();
}

int ostler_socket_connect(struct ostler_socket *s, const struct ostler_address *address)
{
    struct ostler_address peer;
    int error = ost_object_check(s);

    if (error == 0)
        error = ost_object_fit(s, address, &peer);
    if (error == 0 && is_deadlock(s))
        error = -EDEADLK;
    if (error == 0)
        error = ost_give_turn();
    if (error < 0)
        return error;
    return (s->kind == OST_UNIX_STREAM ? connect_unix : connect_internet)(s, &peer, ost_object_due(s));
}

int ostler_socket_connect_ex(struct ostler_socket *s, const struct ostler_address *address)
{
    return -ostler_socket_connect(s, address);
}
