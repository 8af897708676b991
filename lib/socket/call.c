#include "socket/call.h"

#include <errno.h>
#include <limits.h>

#include "net/socket.h"

/* What is not among the ordinary bytes never keeps recv(2) waiting (but on a Unix socket, which
 * does not know the error queue, MSG_ERRQUEUE would). */
static bool never_waits(const struct ost_call *call)
{
    return call->flags & MSG_DONTWAIT || (call->what == OST_READ && call->flags & (MSG_OOB | MSG_ERRQUEUE));
}

uint64_t ost_call_due(const struct ostler_socket *s, const struct ost_call *call)
{
    return never_waits(call) ? 0 : ost_object_due(s);
}

/* A fiber that never has to wait gives the others a turn; through a stream's own socket, what its
 * handler has gathered leaves first. */
static int begin(const struct ostler_socket *s)
{
    int error = s->request ? ost_stream_flush(OST_CONTAINER(s->request, struct ost_stream, request)) : 0;

    return error < 0 ? error : ost_give_turn();
}

/* Does poll(2) say that it is ready although it is not? A Unix datagram socket can be written to, and
 * still the receiver's queue is full; and a socket with queued errors (IP_RECVERR, ip(7)) is ready for
 * everything until somebody takes them. */
static bool is_misleading(const struct ostler_socket *s, const struct ost_call *call)
{
    return (s->kind == OST_UNIX_DATAGRAM && call->what == OST_WRITE) || ost_socket_has_errors(s->fd);
}

/* Where nothing tells when there is something to do, look every while. */
static int wait_again(struct ostler_socket *s, const struct ost_call *call, unsigned tries, uint64_t due)
{
    if (tries > 0 && is_misleading(s, call))
        return ost_object_nap(s, tries - 1, due);
    return ost_object_wait(s, call->what, due);
}

ssize_t ost_call_until(struct ostler_socket *s, const struct ost_call *call, uint64_t due)
{
    int flags = due != 0 && ost_object_may_block(s) ? call->flags : call->flags | MSG_DONTWAIT;
    ssize_t n = begin(s);

    for (unsigned tries = 0; n == 0; tries++) {
        n = call->once(s, call, flags);
        if (n != -EAGAIN || ost_object_gave_up(s, call->what))
            return n;
        n = wait_again(s, call, tries, due);
    }
    return n;
}

ssize_t ost_call(struct ostler_socket *s, const struct ost_call *call)
{
    return ost_call_until(s, call, ost_call_due(s, call));
}

int ost_call_check(const struct ostler_socket *s, const void *memory, size_t n)
{
    int error = ost_object_check(s);

    if (error == 0 && ((!memory && n > 0) || n > SSIZE_MAX))
        error = -EINVAL;
    return error;
}
