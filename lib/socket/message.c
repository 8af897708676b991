/* Messages in and out of a socket object: bytes with an address, or with descriptors. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "net/socket.h"
#include "socket/call.h"

struct incoming {
    struct ost_call call;
    struct msghdr *message;
};

struct outgoing {
    struct ost_call call;
    const struct msghdr *message;
};

/* The bytes that a message has room for, or holds. */
static size_t size_of(const struct msghdr *m)
{
    size_t n = 0;

    for (size_t i = 0; i < m->msg_iovlen; i++)
        n += m->msg_iov[i].iov_len;
    return n;
}

/* Receive n bytes at most, by cutting the message to a part of it where it has room for more. */
static ssize_t receive_some(int fd, void *into, size_t n, int flags)
{
    struct msghdr *m = into, cut = *m;
    struct iovec first = { .iov_len = 0 };
    ssize_t got;

    if (size_of(m) <= n)
        return ost_socket_receive_message(fd, m, flags);
    for (size_t i = 0; i < m->msg_iovlen && first.iov_len == 0; i++)
        first = m->msg_iov[i];
    first.iov_len = first.iov_len < n ? first.iov_len : n;
    cut.msg_iov = &first;
    cut.msg_iovlen = 1;
    got = ost_socket_receive_message(fd, &cut, flags);
    if (got < 0)
        return got;
    cut.msg_iov = m->msg_iov;
    cut.msg_iovlen = m->msg_iovlen;
    *m = cut;
    return got;
}

static void be_empty(struct msghdr *m)
{
    m->msg_namelen = 0;
    m->msg_controllen = 0;
    m->msg_flags = 0;
}

static ssize_t receive_once(struct ostler_socket *s, const struct ost_call *call, int flags)
{
    struct msghdr *m = OST_CONTAINER(call, const struct incoming, call)->message;
    struct msghdr copy = *m;
    ssize_t got;

    if (!s->request || flags & (MSG_OOB | MSG_ERRQUEUE))
        return ost_socket_receive_message(s->fd, m, flags);
    got = ost_request_receive_by(s->request, receive_some, &copy, size_of(m), flags);
    if (got > 0)
        *m = copy;
    else if (got == 0) /* perhaps the kernel was not asked */
        be_empty(m);
    return got;
}

static ssize_t send_once(struct ostler_socket *s, const struct ost_call *call, int flags)
{
    ssize_t sent = ost_socket_send_message(s->fd, OST_CONTAINER(call, const struct outgoing, call)->message, flags);

    return s->request ? ost_request_sent(s->request, sent) : sent;
}

ssize_t ostler_socket_recvmsg(struct ostler_socket *s, struct msghdr *message, int flags)
{
    struct incoming in = { { receive_once, OST_READ, flags & ~MSG_WAITALL }, message };
    int error = message ? ost_object_check(s) : -EINVAL;

    return error < 0 ? error : ost_call(s, &in.call);
}

ssize_t ostler_socket_sendmsg(struct ostler_socket *s, const struct msghdr *message, int flags)
{
    struct outgoing out = { { send_once, OST_WRITE, flags }, message };
    int error = message ? ost_object_check(s) : -EINVAL;

    return error < 0 ? error : ost_call(s, &out.call);
}

/* The sender of what came; a Unix one may have no name, and one that is connected is not told. */
static void tell_sender(const struct ostler_socket *s, struct ostler_address *from, socklen_t length)
{
    if (length >= sizeof(from->as.sa.sa_family)) {
        from->kind = s->kind;
        ost_address_set_length(from, length);
        return;
    }
    ost_address_init(from);
    if (s->family == AF_UNIX)
        *from = (struct ostler_address){ .kind = s->kind, .length = from->length, .as.sa.sa_family = AF_UNIX };
}

ssize_t ostler_socket_recvfrom(struct ostler_socket *s, void *buffer, size_t n, int flags, struct ostler_address *from)
{
    struct ostler_address sender = { .length = 0 };
    struct iovec iov = { .iov_base = buffer, .iov_len = n };
    struct msghdr m = { .msg_name = &sender.as, .msg_namelen = sizeof(sender.as), .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t got = ost_call_check(s, buffer, n);

    if (got == 0 && s->type == SOCK_STREAM && (n == 0 || flags & MSG_WAITALL)) {
        got = ostler_socket_recv(s, buffer, n, flags);
        m.msg_namelen = 0;
    } else if (got == 0) {
        got = ostler_socket_recvmsg(s, &m, flags);
    }
    if (got >= 0 && from) {
        tell_sender(s, &sender, m.msg_namelen);
        *from = sender;
    }
    return got;
}

ssize_t ostler_socket_sendto(struct ostler_socket *s, const void *data, size_t n, int flags,
                             const struct ostler_address *address)
{
    struct ostler_address to = { .length = 0 };
    struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = n };
    struct msghdr m = { .msg_name = &to.as, .msg_iov = &iov, .msg_iovlen = 1 };
    int error = ost_call_check(s, data, n);

    if (error == 0)
        error = ost_object_fit(s, address, &to);
    if (error < 0)
        return error;
    m.msg_namelen = to.length;
    return ostler_socket_sendmsg(s, &m, flags);
}
