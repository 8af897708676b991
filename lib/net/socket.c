#include "net/socket.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

static int set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* Close fd and hand on error. */
static int fail(int fd, int error)
{
    close(fd);
    return error;
}

static int prepare(int fd, const struct ostler_address *address, int reuse_address, int reuse_port)
{
    int r = set_int(fd, SOL_SOCKET, SO_REUSEADDR, reuse_address);

    if (r == 0 && reuse_port)
        r = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (r == 0 && address->as.sa.sa_family == AF_INET6) /* either way: the system's default is a setting */
        r = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, address->v6only);
    if (r == 0 && bind(fd, &address->as.sa, ost_address_length(address)) < 0)
        r = -errno;
    return r;
}

int ost_socket_bind(const struct ostler_address *address, int reuse_address, int reuse_port)
{
    int fd = socket(address->as.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

    if (fd < 0)
        return -errno;
    r = prepare(fd, address, reuse_address, reuse_port);
    return r < 0 ? fail(fd, r) : fd;
}

int ost_socket_listen(int fd, int backlog)
{
    int flags = 1;

    if (listen(fd, backlog > 0 ? backlog : SOMAXCONN) < 0)
        return -errno;
    /* A connection that is reset between readiness and accept4() must not leave
     * the reactor waiting there (accept(2)). */
    return ioctl(fd, FIONBIO, &flags) < 0 ? -errno : 0;
}

int ost_socket_accept(int listener, struct ostler_address *peer)
{
    struct ostler_address from = { 0 };
    socklen_t length = sizeof(from.as);
    int fd = accept4(listener, &from.as.sa, &length, SOCK_CLOEXEC);

    if (fd < 0)
        return -errno;
    *peer = from;
    return fd;
}

int ost_socket_connect(int *out, const struct ostler_address *address)
{
    int fd = socket(address->as.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    if (connect(fd, &address->as.sa, ost_address_length(address)) == 0) {
        *out = fd;
        return 0;
    }
    if (errno != EINPROGRESS)
        return fail(fd, -errno);
    *out = fd;
    return -EINPROGRESS;
}

int ost_socket_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof(error);

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
        return -errno;
    return -error;
}

int ost_socket_local(int fd, struct ostler_address *out)
{
    struct ostler_address local = { 0 };
    socklen_t length = sizeof(local.as);

    if (getsockname(fd, &local.as.sa, &length) < 0)
        return -errno;
    *out = local;
    return 0;
}

int ost_socket_set_nodelay(int fd)
{
    return set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

int ost_socket_set_receive_timeout(int fd, long ms)
{
    struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ? -errno : 0;
}

int ost_socket_pending(int fd)
{
    int n = 0;

    return ioctl(fd, FIONREAD, &n) < 0 ? 0 : n;
}

bool ost_socket_has_unsent(int fd)
{
    struct tcp_info info = { 0 };
    socklen_t length = sizeof(info);
    int n = 0;

    /* A socket that was reset keeps the count of what it will never send. */
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && info.tcpi_state == TCP_CLOSE)
        return false;
    return ioctl(fd, SIOCOUTQ, &n) == 0 && n > 0;
}

void ost_socket_arm_reset(int fd)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}
