/* What a socket object is, and is set to: names, options, the time-out. Nothing here waits. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "net/socket.h"
#include "socket/object.h"

/* 0, or why it can tell nothing. */
static int check_open(const struct ostler_socket *s)
{
    if (!s)
        return -EINVAL;
    return s->fd < 0 ? -EBADF : 0;
}

int ostler_socket_fileno(const struct ostler_socket *s)
{
    int error = check_open(s);

    return error < 0 ? error : s->fd;
}

int ostler_socket_family(const struct ostler_socket *s)
{
    int error = check_open(s);

    return error < 0 ? error : s->family;
}

int ostler_socket_type(const struct ostler_socket *s)
{
    int error = check_open(s);

    return error < 0 ? error : s->type;
}

int ostler_socket_proto(const struct ostler_socket *s)
{
    int protocol = 0, error = ostler_socket_getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &protocol);

    return error < 0 ? error : protocol;
}

/* Of its own family and kind? An fd:N and a blank one are of none. */
static bool fits(const struct ostler_socket *s, const struct ostler_address *address)
{
    return address->kind == s->kind && address->as.sa.sa_family == s->family;
}

int ost_object_fit(const struct ostler_socket *s, const struct ostler_address *address, struct ostler_address *out)
{
    if (!address)
        return -EINVAL;
    if (ost_address_lacks_interface(address) && fits(s, address))
        return -ENODEV;
    if (address->wildcard && address->kind == s->kind && s->family == AF_INET)
        ost_address_ipv4_twin(out, address);
    else if (fits(s, address))
        memcpy(out, address, ost_address_size(address)); /* more of it need not be there */
    else
        return -EAFNOSUPPORT;
    return 0;
}

int ostler_socket_bind(struct ostler_socket *s, const struct ostler_address *address)
{
    struct ostler_address local;
    int error = check_open(s);

    if (error == 0)
        error = ost_object_fit(s, address, &local);
    return error < 0 ? error : ost_socket_bind_to(s->fd, &local);
}

int ostler_socket_listen(struct ostler_socket *s, int backlog)
{
    int error = check_open(s);

    if (error == 0 && backlog < 0)
        error = -EINVAL;
    return error < 0 ? error : ost_socket_listen_at_most(s->fd, backlog);
}

/* The name that get tells of. */
static int get_name(const struct ostler_socket *s, struct ostler_address *out,
                    int (*get)(int fd, struct ostler_address *out))
{
    struct ostler_address name;
    int error = out ? check_open(s) : -EINVAL;

    if (error < 0)
        return error;
    name.kind = s->kind;
    error = get(s->fd, &name);
    if (error == 0)
        *out = name;
    return error;
}

int ostler_socket_getpeername(const struct ostler_socket *s, struct ostler_address *out)
{
    return get_name(s, out, ost_socket_peer);
}

int ostler_socket_getsockname(const struct ostler_socket *s, struct ostler_address *out)
{
    return get_name(s, out, ost_socket_local);
}

int ostler_socket_setsockopt_buffer(struct ostler_socket *s, int level, int name, const void *value, size_t size)
{
    int error = check_open(s);

    if (error == 0 && ((!value && size > 0) || size > INT_MAX))
        error = -EINVAL;
    return error < 0 ? error : ost_socket_set_option(s->fd, level, name, value, (socklen_t)size);
}

int ostler_socket_setsockopt(struct ostler_socket *s, int level, int name, int value)
{
    return ostler_socket_setsockopt_buffer(s, level, name, &value, sizeof(value));
}

int ostler_socket_getsockopt_buffer(const struct ostler_socket *s, int level, int name, void *out, size_t *size)
{
    socklen_t length;
    int error = check_open(s);

    if (error == 0 && (!size || (!out && *size > 0) || *size > INT_MAX))
        error = -EINVAL;
    if (error < 0)
        return error;
    length = (socklen_t)*size;
    error = ost_socket_get_option(s->fd, level, name, out, &length);
    if (error == 0)
        *size = length;
    return error;
}

int ostler_socket_getsockopt(const struct ostler_socket *s, int level, int name, int *out)
{
    int value = 0, error;
    size_t size = sizeof(value);

    if (!out)
        return -EINVAL;
    error = ostler_socket_getsockopt_buffer(s, level, name, &value, &size);
    if (error == 0)
        *out = value;
    return error;
}

int ostler_socket_settimeout(struct ostler_socket *s, double seconds)
{
    long ms;
    int error = check_open(s);

    if (!s || !(seconds == OSTLER_NEVER || (seconds >= 0 && seconds <= OST_LONGEST_SECONDS)))
        return -EINVAL;
    if (error < 0)
        return error;
    ms = seconds < 0 ? OSTLER_NEVER : ost_clock_from_seconds(seconds);
    if (!s->request && (ms == 0) != (s->timeout_ms == 0))
        error = ost_socket_set_blocking(s->fd, ms != 0);
    if (error == 0)
        s->timeout_ms = ms;
    return error;
}

double ostler_socket_gettimeout(const struct ostler_socket *s)
{
    return s && s->timeout_ms >= 0 ? (double)s->timeout_ms / 1000 : (double)OSTLER_NEVER;
}

int ostler_socket_setblocking(struct ostler_socket *s, bool blocking)
{
    return ostler_socket_settimeout(s, blocking ? (double)OSTLER_NEVER : 0);
}

bool ostler_socket_getblocking(const struct ostler_socket *s)
{
    return s && s->timeout_ms != 0;
}
