/* Bytes in and out of a socket object. */
#include <errno.h>

#include "net/socket.h"
#include "socket/call.h"

struct receive {
    struct ost_call call;
    void *buffer;
    size_t n;
};

struct send {
    struct ost_call call;
    const void *data;
    size_t n;
};

/* A stream's own bytes are counted, and end when its server stops. */
static ssize_t receive_once(struct ostler_socket *s, const struct ost_call *call, int flags)
{
    const struct receive *r = OST_CONTAINER(call, const struct receive, call);

    if (s->request && !(flags & (MSG_OOB | MSG_ERRQUEUE)))
        return ost_request_receive(s->request, r->buffer, r->n, flags);
    return ost_socket_receive(s->fd, r->buffer, r->n, flags);
}

static ssize_t send_once(struct ostler_socket *s, const struct ost_call *call, int flags)
{
    const struct send *w = OST_CONTAINER(call, const struct send, call);

    if (s->request)
        return ost_request_send(s->request, w->data, w->n, flags);
    return ost_socket_send(s->fd, w->data, w->n, flags);
}

/* MSG_WAITALL, which the kernel forgets where it must not wait: all of it, or what came before the
 * end, the time-out or an error. */
static ssize_t receive_all(struct ostler_socket *s, struct receive *r)
{
    uint64_t due = ost_call_due(s, &r->call);
    size_t all = r->n;

    while (r->n > 0) {
        ssize_t got = ost_call_until(s, &r->call, due);

        if (got <= 0)
            return got < 0 && r->n == all ? got : (ssize_t)(all - r->n);
        r->buffer = (char *)r->buffer + got;
        r->n -= (size_t)got;
    }
    return (ssize_t)all;
}

ssize_t ostler_socket_recv(struct ostler_socket *s, void *buffer, size_t n, int flags)
{
    struct receive r = { { receive_once, OST_READ, flags & ~MSG_WAITALL }, buffer, n };
    int error = ost_call_check(s, buffer, n);

    if (error < 0 || n == 0)
        return error;
    if (flags & MSG_WAITALL && s->type == SOCK_STREAM && !(flags & MSG_PEEK))
        return receive_all(s, &r);
    return ost_call(s, &r.call);
}

ssize_t ostler_socket_send(struct ostler_socket *s, const void *data, size_t n, int flags)
{
    struct send w = { { send_once, OST_WRITE, flags }, data, n };
    int error = ost_call_check(s, data, n);

    return error < 0 ? error : ost_call(s, &w.call);
}

int ostler_socket_sendall(struct ostler_socket *s, const void *data, size_t n, int flags)
{
    struct send w = { { send_once, OST_WRITE, flags }, data, n };
    int error = ost_call_check(s, data, n);
    uint64_t due = error < 0 ? 0 : ost_call_due(s, &w.call);
    ssize_t sent;

    if (error < 0)
        return error;
    do {
        sent = ost_call_until(s, &w.call, due);
        if (sent < 0)
            return (int)sent;
        w.data = (const char *)w.data + sent;
        w.n -= (size_t)sent;
    } while (w.n > 0);
    return 0;
}

int ostler_socket_shutdown(struct ostler_socket *s, int how)
{
    int error = ost_object_check(s);

    if (error == 0 && s->request && how != SHUT_RD)
        error = ost_stream_flush(OST_CONTAINER(s->request, struct ost_stream, request));
    return error < 0 ? error : ost_socket_shutdown(s->fd, how);
}
