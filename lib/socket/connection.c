/* create_connection() and create_server(): from a name to a socket, in one call. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>

#include "net/socket.h"
#include "socket/object.h"

enum { PORT_TEXT = 8 };

/* Resolve host for a TCP socket of family. 0 or -errno. */
static int resolve(struct addrinfo **out, const char *host, int port, int family, double timeout)
{
    struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    char service[PORT_TEXT];

    if (port < 0 || port > UINT16_MAX)
        return -EINVAL;
    if (!host)
        hints.ai_flags |= AI_PASSIVE;
    snprintf(service, sizeof(service), "%d", port);
    return ostler_getaddrinfo(out, host, service, &hints, timeout);
}

static int bind_and_connect(struct ostler_socket *s, const struct addrinfo *to, const struct ostler_address *source)
{
    struct ostler_address address;
    int error = ostler_address_set(&address, to->ai_addr, to->ai_addrlen, SOCK_STREAM);

    if (error == 0 && source)
        error = ostler_socket_bind(s, source);
    return error < 0 ? error : ostler_socket_connect(s, &address);
}

/* A socket that is connected to it, or -errno after seconds. */
static int try_one(struct ostler_socket **out, const struct addrinfo *to, const struct ostler_address *source,
                   double seconds)
{
    struct ostler_socket *s;
    int error = ostler_socket_new(&s, to->ai_family, to->ai_socktype, to->ai_protocol);

    if (error < 0)
        return error;
    error = ostler_socket_settimeout(s, seconds);
    if (error == 0)
        error = bind_and_connect(s, to, source);
    if (error < 0)
        ostler_socket_free(s);
    else
        *out = s;
    return error;
}

static int count(const struct addrinfo *list)
{
    int n = 0;

    for (; list; list = list->ai_next)
        n++;
    return n;
}

/* The time for the first of those that are left: its share, so that one that does not answer
 * leaves some for the others. */
static double share(const struct addrinfo *left, uint64_t due)
{
    uint64_t now = ost_clock_ms();

    if (due == OST_NEVER)
        return OSTLER_NEVER;
    return due > now ? (double)(due - now) / 1000 / count(left) : 0;
}

static int try_each(struct ostler_socket **out, const struct addrinfo *to, const struct ostler_address *source,
                    uint64_t due, bool waits)
{
    int error = -ENOENT;

    for (; to; to = to->ai_next) {
        double seconds = share(to, due);

        if (waits && seconds == 0)
            return -ETIMEDOUT;
        error = try_one(out, to, source, seconds);
        if (error == 0)
            return 0;
    }
    return error;
}

int ostler_create_connection(struct ostler_socket **out, const char *host, int port, double timeout,
                             const struct ostler_address *source)
{
    struct ostler_socket *s;
    struct addrinfo *found;
    uint64_t begin = ost_clock_ms(), due;
    int error = out && host ? resolve(&found, host, port, AF_UNSPEC, timeout) : -EINVAL;

    if (error < 0)
        return error;
    due = timeout < 0 ? OST_NEVER : ost_clock_after(begin, ost_clock_from_seconds(timeout));
    error = try_each(&s, found, source, due, timeout != 0);
    freeaddrinfo(found);
    if (error < 0)
        return error;
    ostler_socket_settimeout(s, timeout);
    *out = s;
    return 0;
}

static int check(const struct ostler_create_server_options *o)
{
    if (o->family != AF_INET && o->family != AF_INET6)
        return -EAFNOSUPPORT;
    if (o->backlog < 0 || (o->dualstack_ipv6 && o->family != AF_INET6))
        return -EINVAL;
    return o->dualstack_ipv6 && !ostler_has_dualstack_ipv6() ? -EOPNOTSUPP : 0;
}

/* The address to bind. */
static int find_local(struct ostler_address *out, const char *host, int port,
                      const struct ostler_create_server_options *o)
{
    struct addrinfo *found;
    int error = resolve(&found, host && *host ? host : NULL, port, o->family, OSTLER_NEVER);

    if (error < 0)
        return error;
    error = ostler_address_set(out, found->ai_addr, found->ai_addrlen, SOCK_STREAM);
    freeaddrinfo(found);
    out->v6only = !o->dualstack_ipv6;
    return error;
}

int ostler_create_server(struct ostler_socket **out, const char *host, int port,
                         const struct ostler_create_server_options *options)
{
    struct ostler_create_server_options o = { 0 };
    struct ostler_address local;
    struct ostler_socket *s;
    int error, fd;

    if (options)
        o = *options;
    o.family = o.family ? o.family : AF_INET;
    error = out ? check(&o) : -EINVAL;
    if (error == 0)
        error = find_local(&local, host, port, &o);
    if (error < 0)
        return error;
    fd = ost_socket_bind(&local, true, o.reuse_port);
    error = fd < 0 ? fd : ost_object_new(&s, fd, o.family, SOCK_STREAM);
    if (error < 0)
        return error;
    error = ostler_socket_listen(s, o.backlog ? o.backlog : OSTLER_BACKLOG);
    if (error < 0)
        ostler_socket_free(s);
    else
        *out = s;
    return error;
}

bool ostler_has_dualstack_ipv6(void)
{
    struct ostler_socket *s;
    bool has;

    if (ostler_socket_new(&s, AF_INET6, SOCK_STREAM, 0) < 0)
        return false;
    has = ostler_socket_setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, 0) == 0;
    ostler_socket_free(s);
    return has;
}
