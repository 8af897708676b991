/* Descriptors along with bytes, over a Unix socket. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "socket/object.h"

#ifndef SCM_PIDFD /* newer than the C library */
#define SCM_PIDFD 4
#endif

enum { MOST = 253 }; /* that one message carries: SCM_MAX_FD of the kernel */

/* Room for them, and for what else a socket may have been told to tell (SO_PASSCRED …). */
union control {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(int) * MOST) + 512];
};

struct found {
    int fds[MOST];
    size_t count;
};

static int check(const struct ostler_socket *s, const void *bytes, size_t n)
{
    int error = ost_object_check(s);

    if (error < 0)
        return error;
    if (s->family != AF_UNIX)
        return -EAFNOSUPPORT;
    return !bytes || n == 0 || n > SSIZE_MAX ? -EINVAL : 0;
}

/* Let the message carry them. */
static void enclose(struct msghdr *m, union control *control, const int *fds, size_t count)
{
    size_t size = sizeof(int) * count;

    memset(control, 0, CMSG_SPACE(size)); /* the padding, too, is read */
    control->head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(size), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(&control->head), fds, size);
    m->msg_control = control;
    m->msg_controllen = CMSG_SPACE(size);
}

ssize_t ostler_socket_send_fds(struct ostler_socket *s, const void *data, size_t n, const int *fds, size_t count)
{
    union control control;
    struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = n };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
    int error = check(s, data, n);

    if (error == 0 && ((!fds && count > 0) || count > MOST))
        error = -EINVAL;
    if (error < 0)
        return error;
    if (count > 0)
        enclose(&m, &control, fds, count);
    return ostler_socket_sendmsg(s, &m, 0);
}

/* What stands for the sender (SO_PASSPIDFD) is a descriptor as well, and nobody's. */
static void close_senders(const struct cmsghdr *c)
{
    int fd;

    memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    if (fd >= 0)
        close(fd);
}

static void find(struct found *found, struct msghdr *m)
{
    found->count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        size_t size = c->cmsg_len - CMSG_LEN(0), room = sizeof(found->fds) - found->count * sizeof(int);

        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_PIDFD && size == sizeof(int))
            close_senders(c);
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || size > room)
            continue;
        memcpy(found->fds + found->count, CMSG_DATA(c), size);
        found->count += size / sizeof(int);
    }
}

static void close_all(const struct found *found)
{
    for (size_t i = 0; i < found->count; i++)
        close(found->fds[i]);
}

ssize_t ostler_socket_recv_fds(struct ostler_socket *s, void *buffer, size_t n, int *fds, size_t *count)
{
    union control control;
    struct found found;
    struct iovec iov = { .iov_base = buffer, .iov_len = n };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
    ssize_t got = check(s, buffer, n);

    if (got == 0 && (!count || (!fds && *count > 0)))
        got = -EINVAL;
    if (got < 0)
        return got;
    got = ostler_socket_recvmsg(s, &m, 0);
    if (got < 0)
        return got;
    find(&found, &m);
    if (m.msg_flags & MSG_CTRUNC || found.count > *count) {
        close_all(&found);
        return -EMSGSIZE;
    }
    if (found.count > 0)
        memcpy(fds, found.fds, found.count * sizeof(int));
    *count = found.count;
    return got;
}
