/* Bytes in and out of a socket object. */
#include <errno.h>

#include "net/socket.h"
#include "socket/object.h"

/* A call that is made again and again until it need not wait: -EAGAIN, or how it went. */
struct transfer {
    ssize_t (*once)(struct ostler_socket *s, const struct transfer *transfer, int flags);
    unsigned what;
    int flags;
    void *in;
    const void *out;
    size_t n;
};

static ssize_t transfer(struct ostler_socket *s, const struct transfer *t)
{
    int flags = ost_object_may_block(s) ? t->flags : t->flags | MSG_DONTWAIT;
    uint64_t due = t->flags & MSG_DONTWAIT ? 0 : ost_object_due(s);
    ssize_t n = ost_give_turn();

    while (n >= 0) {
        n = t->once(s, t, flags);
        if (n != -EAGAIN)
            return n;
        n = ost_object_wait(s, t->what, due);
    }
    return n;
}

/* A stream's own bytes are counted, and end when its server stops. */
static ssize_t receive_once(struct ostler_socket *s, const struct transfer *t, int flags)
{
    if (s->request && !(flags & MSG_PEEK))
        return ost_request_receive(s->request, t->in, t->n, flags);
    return ost_socket_receive(s->fd, t->in, t->n, flags);
}

static ssize_t send_once(struct ostler_socket *s, const struct transfer *t, int flags)
{
    if (s->request)
        return ost_request_send(s->request, t->out, t->n, flags);
    return ost_socket_send(s->fd, t->out, t->n, flags);
}

ssize_t ostler_socket_recv(struct ostler_socket *s, void *buffer, size_t n, int flags)
{
    struct transfer t = { .once = receive_once, .what = OST_READ, .flags = flags, .in = buffer, .n = n };
    int error = ost_object_check(s);

    if (error < 0 || (!buffer && n > 0))
        return error < 0 ? error : -EINVAL;
    return transfer(s, &t);
}

ssize_t ostler_socket_send(struct ostler_socket *s, const void *data, size_t n, int flags)
{
    struct transfer t = { .once = send_once, .what = OST_WRITE, .flags = flags, .out = data, .n = n };
    int error = ost_object_check(s);

    if (error < 0 || (!data && n > 0))
        return error < 0 ? error : -EINVAL;
    return transfer(s, &t);
}

int ostler_socket_shutdown(struct ostler_socket *s, int how)
{
    int error = ost_object_check(s);

    return error < 0 ? error : ost_socket_shutdown(s->fd, how);
}

int ostler_socket_settimeout(struct ostler_socket *s, double seconds)
{
    long ms;
    int error = 0;

    if (!s || !(seconds == OSTLER_NEVER || (seconds >= 0 && seconds <= OST_LONGEST_SECONDS)))
        return -EINVAL;
    if (s->fd < 0)
        return -EBADF;
    ms = seconds < 0 ? OSTLER_NEVER : ost_clock_from_seconds(seconds);
    if (!s->request && (ms == 0) != (s->timeout_ms == 0))
        error = ost_socket_set_blocking(s->fd, ms != 0);
    if (error == 0)
        s->timeout_ms = ms;
    return error;
}
