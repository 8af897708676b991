#include "net/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include <ostler/reactor.h>

#include "base/hot.h"

static int set_int(int fd, int level, int name, int value)
{
    return ost_socket_set_option(fd, level, name, &value, sizeof(value));
}

/* Close fd and hand on error. */
static int fail(int fd, int error)
{
    close(fd);
    return error;
}

int ost_socket_open(const struct ostler_address *address, int flags)
{
    int type = ost_kind_is_datagram(address->kind) ? SOCK_DGRAM : SOCK_STREAM;

    return ost_socket_make(address->as.sa.sa_family, type | flags, 0);
}

int ost_socket_make(int family, int type, int protocol)
{
    int fd = socket(family, type | SOCK_CLOEXEC, protocol);

    return fd < 0 ? -errno : fd;
}

int ost_socket_pair(int fds[2], int type)
{
    return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0 ? -errno : 0;
}

int ost_socket_dup(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    return copy < 0 ? -errno : copy;
}

int ost_socket_bind_to(int fd, const struct ostler_address *address)
{
    if (ost_address_lacks_interface(address))
        return -ENODEV;
    return bind(fd, &address->as.sa, address->length) < 0 ? -errno : 0;
}

static int prepare(int fd, const struct ostler_address *address, int reuse_address, int reuse_port)
{
    /* For datagrams it would let two sockets share a port, of which one gets nothing. */
    int r = address->kind == OST_TCP ? set_int(fd, SOL_SOCKET, SO_REUSEADDR, reuse_address) : 0;

    if (r == 0 && reuse_port && !ost_kind_is_unix(address->kind))
        r = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (r == 0 && address->as.sa.sa_family == AF_INET6) /* either way: the system's default is a setting */
        r = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, address->v6only);
    return r < 0 ? r : ost_socket_bind_to(fd, address);
}

int ost_socket_bind(const struct ostler_address *address, int reuse_address, int reuse_port)
{
    int fd = ost_socket_open(address, 0), r;

    if (fd < 0)
        return fd;
    r = prepare(fd, address, reuse_address, reuse_port);
    return r < 0 ? fail(fd, r) : fd;
}

static int get_int(int fd, int name)
{
    int value = 0;
    socklen_t length = sizeof(value);
    int error = ost_socket_get_option(fd, SOL_SOCKET, name, &value, &length);

    return error < 0 ? error : value;
}

int ost_socket_describe(int fd, int *family, int *type)
{
    int domain = get_int(fd, SO_DOMAIN), kind = get_int(fd, SO_TYPE);

    if (domain < 0 || kind < 0)
        return domain < 0 ? domain : kind;
    if (kind != SOCK_STREAM && kind != SOCK_DGRAM)
        return -EPROTONOSUPPORT;
    if (domain != AF_UNIX && domain != AF_INET && domain != AF_INET6)
        return -EPROTONOSUPPORT;
    *family = domain;
    *type = kind;
    return 0;
}

/* The kind of a socket by its family and type, or -errno. */
static int kind_of(int fd)
{
    int family = 0, type = 0, error = ost_socket_describe(fd, &family, &type);

    return error < 0 ? error : (int)ost_kind_of(family, type);
}

static bool is_connected(int fd)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);

    return getpeername(fd, (struct sockaddr *)&peer, &length) == 0;
}

static bool is_bound(const struct ostler_address *local)
{
    if (ost_kind_is_unix(local->kind))
        return local->length > offsetof(struct sockaddr_un, sun_path);
    return local->as.in.sin_port != 0;
}

int ost_socket_adopt(int fd, struct ostler_address *out)
{
    int kind = kind_of(fd), error;
    struct ostler_address local = { .kind = (unsigned char)kind };

    if (kind < 0)
        return kind;
    error = ost_socket_local(fd, &local);
    if (error == 0 && is_connected(fd))
        error = -EISCONN;
    if (error == 0 && !is_bound(&local))
        error = -EDESTADDRREQ;
    if (error == 0)
        error = ost_socket_close_on_exec(fd);
    if (error == 0)
        *out = local;
    return error;
}

int ost_socket_close_on_exec(int fd)
{
    return ioctl(fd, FIOCLEX) < 0 ? -errno : 0;
}

int ost_socket_is_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags < 0 ? -errno : !(flags & O_NONBLOCK);
}

int ost_socket_set_blocking(int fd, bool blocking)
{
    int on = !blocking;

    return ioctl(fd, FIONBIO, &on) < 0 ? -errno : 0;
}

ssize_t ost_socket_receive_message(int fd, struct msghdr *message, int flags)
{
    ssize_t got;

    do
        got = recvmsg(fd, message, flags | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

ssize_t ost_socket_send_message(int fd, const struct msghdr *message, int flags)
{
    ssize_t sent;

    do
        sent = sendmsg(fd, message, flags | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

int ost_socket_set_option(int fd, int level, int name, const void *value, socklen_t size)
{
    return setsockopt(fd, level, name, value, size) < 0 ? -errno : 0;
}

int ost_socket_get_option(int fd, int level, int name, void *value, socklen_t *size)
{
    return getsockopt(fd, level, name, value, size) < 0 ? -errno : 0;
}

OST_HOT int ost_socket_shutdown(int fd, int how)
{
    return shutdown(fd, how) < 0 ? -errno : 0;
}

int ost_socket_listen(int fd, int backlog)
{
    int error = ost_socket_listen_at_most(fd, backlog > 0 ? backlog : SOMAXCONN);

    /* A connection that is reset between readiness and accept4() must not leave
     * the reactor waiting there (accept(2)). */
    return error < 0 ? error : ost_socket_set_blocking(fd, false);
}

int ost_socket_listen_at_most(int fd, int backlog)
{
    return listen(fd, backlog) < 0 ? -errno : 0;
}

int ost_socket_accept(int listener, struct ostler_address *peer)
{
    struct ostler_address from = { .kind = peer->kind };
    socklen_t length;
    int fd;

    do {
        length = sizeof(from.as);
        fd = accept4(listener, &from.as.sa, &length, SOCK_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return -errno;
    ost_address_set_length(&from, length);
    *peer = from;
    return fd;
}

int ost_socket_connect(int *out, const struct ostler_address *address)
{
    int fd = ost_socket_open(address, SOCK_NONBLOCK);

    if (fd < 0)
        return fd;
    if (connect(fd, &address->as.sa, address->length) == 0) {
        *out = fd;
        return 0;
    }
    if (errno != EINPROGRESS)
        return fail(fd, -errno);
    *out = fd;
    return -EINPROGRESS;
}

int ost_socket_connect_to(int fd, const struct ostler_address *address)
{
    return connect(fd, &address->as.sa, address->length) < 0 ? -errno : 0;
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
    struct ostler_address local = { .kind = out->kind };
    socklen_t length = sizeof(local.as);

    if (getsockname(fd, &local.as.sa, &length) < 0)
        return -errno;
    ost_address_set_length(&local, length);
    *out = local;
    return 0;
}

int ost_socket_peer(int fd, struct ostler_address *out)
{
    struct ostler_address peer = { .kind = out->kind };
    socklen_t length = sizeof(peer.as);

    if (getpeername(fd, &peer.as.sa, &length) < 0)
        return -errno;
    ost_address_set_length(&peer, length);
    *out = peer;
    return 0;
}

/* What the former owner of a UDP socket may have asked for: datagrams that come joined, or leave cut or
 * not at all, and the times at which they left, which are queued for somebody to take. */
static int forget_wishes(int fd)
{
    static const struct {
        int level, name;
    } wishes[] = { { IPPROTO_UDP, UDP_GRO }, { IPPROTO_UDP, UDP_SEGMENT }, { IPPROTO_UDP, UDP_CORK },
                   { SOL_SOCKET, SO_TIMESTAMPING } };
    int error = 0;

    for (size_t i = 0; error == 0 && i < sizeof(wishes) / sizeof(wishes[0]); i++) {
        error = set_int(fd, wishes[i].level, wishes[i].name, 0);
        if (error == -ENOPROTOOPT) /* the kernel does not know it */
            error = 0;
    }
    while (error == 0 && recv(fd, NULL, 0, MSG_DONTWAIT | MSG_ERRQUEUE) >= 0)
        continue;
    return error;
}

/* Tell of our addresses; and don't queue errors, which nobody would take. */
static int tell_local(int fd, int level, int tell, int queue_errors)
{
    int error = set_int(fd, level, queue_errors, 0);

    return error < 0 ? error : set_int(fd, level, tell, 1);
}

/* An IPv6 socket that takes IPv4 too tells of that in either form, or in both. */
int ost_socket_want_local(int fd, const struct ostler_address *address)
{
    int error;

    if (ost_kind_is_unix(address->kind))
        return 0;
    error = tell_local(fd, IPPROTO_IP, IP_PKTINFO, IP_RECVERR);
    if (error == 0 && address->as.sa.sa_family == AF_INET6)
        error = tell_local(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, IPV6_RECVERR);
    return error < 0 ? error : forget_wishes(fd);
}

uint32_t ost_socket_drops(int fd)
{
    uint32_t info[SK_MEMINFO_DROPS + 1] = { 0 };
    socklen_t length = sizeof(info);

    return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &length) < 0 ? 0 : info[SK_MEMINFO_DROPS];
}

int ost_socket_set_nodelay(int fd)
{
    return set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* Of a listener the kernel tells it in this member. */
unsigned ost_socket_waiting(int fd)
{
    struct tcp_info info = { 0 };
    socklen_t length = sizeof(info);

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 || info.tcpi_state != TCP_LISTEN
               ? 0
               : info.tcpi_unacked;
}

OST_HOT int ost_socket_set_receive_timeout(int fd, long ms)
{
    struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

    return ost_socket_set_option(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

long ost_socket_receive_timeout(int fd)
{
    struct timeval tv = { 0 };
    socklen_t length = sizeof(tv);

    if (getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &length) < 0 || (tv.tv_sec == 0 && tv.tv_usec == 0))
        return OSTLER_NEVER;
    return (long)tv.tv_sec * 1000 + ((long)tv.tv_usec + 999) / 1000;
}

bool ost_socket_has_errors(int fd)
{
    struct pollfd look = { .fd = fd };

    return poll(&look, 1, 0) > 0 && look.revents & POLLERR;
}

int ost_socket_pending(int fd)
{
    int n = 0;

    return ioctl(fd, FIONREAD, &n) < 0 ? 0 : n;
}

/* Urgent data does not come with the rest. But of a Unix socket the kernel counts it; and of a TCP socket
 * nothing of what is behind it, unless it does come with the rest: for that moment it does. */
int ost_socket_pending_all(int fd)
{
    char urgent;
    int n;

    if (recv(fd, &urgent, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) != 1)
        return ost_socket_pending(fd);
    set_int(fd, SOL_SOCKET, SO_OOBINLINE, 1);
    n = ost_socket_pending(fd);
    set_int(fd, SOL_SOCKET, SO_OOBINLINE, 0);
    return n > 0 ? n - 1 : 0;
}

bool ost_socket_has_unsent(int fd)
{
    struct tcp_info info = { 0 };
    socklen_t length = sizeof(info);
    int n = 0;

    /* What a Unix socket has sent is with the peer; and a TCP socket that was reset
     * keeps the count of what it will never send. */
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 || info.tcpi_state == TCP_CLOSE)
        return false;
    return ioctl(fd, SIOCOUTQ, &n) == 0 && n > 0;
}

void ost_socket_arm_reset(int fd)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}
