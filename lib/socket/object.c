#include "socket/object.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "net/socket.h"

enum { LONGEST_NAP = 4 }; /* 2 to the power of that, ms */

static int make_object(struct ostler_socket **out, int fd, int family, int type)
{
    struct ostler_socket *s = malloc(sizeof(*s));

    if (!s)
        return -ENOMEM;
    *s = (struct ostler_socket){
        .fd = fd,
        .family = family,
        .type = type,
        .kind = (unsigned char)ost_kind_of(family, type),
        .timeout_ms = OSTLER_NEVER,
    };
    ost_list_init(&s->guests);
    *out = s;
    return 0;
}

int ost_object_new(struct ostler_socket **out, int fd, int family, int type)
{
    int error = make_object(out, fd, family, type);

    if (error < 0)
        close(fd);
    return error;
}

int ost_object_check(const struct ostler_socket *s)
{
    if (!s)
        return -EINVAL;
    return s->fd < 0 ? -EBADF : ost_stream_check_current();
}

uint64_t ost_object_due(const struct ostler_socket *s)
{
    return s->timeout_ms == 0 ? 0 : ost_clock_after(ost_clock_ms(), s->timeout_ms);
}

bool ost_object_may_block(const struct ostler_socket *s)
{
    return s->timeout_ms == OSTLER_NEVER && !ost_request_current() && !ost_reactor_running();
}

bool ost_object_gave_up(const struct ostler_socket *s, unsigned what)
{
    struct timeval limit = { 0 };
    socklen_t size = sizeof(limit);
    int name = what == OST_READ ? SO_RCVTIMEO : SO_SNDTIMEO;

    if (!ost_object_may_block(s) || ost_socket_get_option(s->fd, SOL_SOCKET, name, &limit, &size) < 0)
        return false;
    return limit.tv_sec > 0 || limit.tv_usec > 0;
}

/* Undo it, on the reactor's thread. */
static void free_station(struct ost_station *station)
{
    struct ost_list *node;

    while ((node = ost_list_take(&station->port.needs))) /* they look after themselves when they go on */
        ost_waiter_wake(OST_CONTAINER(node, struct ost_need, node)->waiter);
    ost_list_remove(&station->orphan.node);
    ost_port_fini(&station->port);
    free(station);
}

static void on_end(struct ost_job *job)
{
    struct ost_station *station = OST_CONTAINER(job, struct ost_station, end);
    int fd = station->port.watch.fd;

    free_station(station);
    close(fd);
}

static void on_orphaned(struct ost_job *job)
{
    struct ost_station *station = OST_CONTAINER(job, struct ost_station, orphan);

    if (station->owner) {
        station->owner->station = NULL;
        free_station(station);
    } else { /* it was closed elsewhere, and the reactor has not come to that */
        ost_reactor_withdraw(station->reactor, &station->end);
        on_end(&station->end);
    }
}

static int new_station(struct ostler_socket *s, struct ostler_reactor *reactor)
{
    struct ost_station *station = malloc(sizeof(*station));

    if (!station)
        return -ENOMEM;
    ost_port_init(&station->port, reactor, s->fd);
    station->reactor = reactor;
    ost_list_init(&station->end.node);
    station->end.run = on_end;
    station->orphan.run = on_orphaned;
    ost_list_append(&reactor->dependents, &station->orphan.node);
    station->owner = s;
    s->station = station;
    return 0;
}

int ost_object_need(struct ost_need *need, struct ostler_socket *s, unsigned what, const struct ost_waiter *waiter)
{
    struct ostler_reactor *reactor;
    int error = 0;

    if (s->fd < 0)
        return -EBADF; /* since its waiter waited last */
    if (s->request && waiter->stream == OST_CONTAINER(s->request, struct ost_stream, request)) {
        ost_need_stream(need, waiter->stream, what);
        return 0;
    }
    reactor = waiter->stream && waiter->stream->parker ? waiter->stream->request.owner->reactor : NULL;
    if (reactor && !s->station && !s->request)
        error = new_station(s, reactor);
    if (error == 0 && reactor && s->station && s->station->reactor == reactor)
        ost_need_port(need, &s->station->port, what);
    else
        ost_need_descriptor(need, s->fd, what, reactor && s->station ? &s->guests : NULL);
    return error;
}

/* Wait for it, as one that stands for nobody's stream. what is 0: for the time alone. */
static int wait_once(struct ostler_socket *s, unsigned what, uint64_t due)
{
    struct ost_need need;
    struct ost_waiter waiter;
    int error = ost_waiter_init(&waiter, !ost_request_current());

    if (error < 0)
        return error;
    if (what)
        error = ost_object_need(&need, s, what, &waiter);
    if (error == 0)
        error = ost_waiter_wait(&waiter, &need, what != 0, due);
    ost_waiter_fini(&waiter);
    return error;
}

/* After a wait for s: what its caller is told. That the handler's own peer is silent is an error of its connection. */
static int after_wait(const struct ostler_socket *s, int error)
{
    struct ost_stream *own = ost_stream_current();

    if (s->fd < 0)
        return -EBADF;
    return error < 0 && own && s->request == &own->request ? ost_stream_failed(own, error) : error;
}

int ost_object_wait(struct ostler_socket *s, unsigned what, uint64_t due)
{
    return due == 0 ? -EAGAIN : after_wait(s, wait_once(s, what, due));
}

int ost_object_nap(struct ostler_socket *s, unsigned naps, uint64_t due)
{
    uint64_t now = ost_clock_ms(), end = now + (1u << (naps < LONGEST_NAP ? naps : LONGEST_NAP));
    int error;

    if (due == 0)
        return -EAGAIN;
    if (now >= due)
        return -ETIMEDOUT;
    error = wait_once(s, 0, end < due ? end : due);
    return error < 0 && error != -ETIMEDOUT ? error : ost_object_check(s);
}

int ostler_socket_new(struct ostler_socket **out, int family, int type, int protocol)
{
    int fd;

    if (!out)
        return -EINVAL;
    if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
        return -EAFNOSUPPORT;
    if (type != SOCK_STREAM && type != SOCK_DGRAM)
        return -EPROTONOSUPPORT;
    fd = ost_socket_make(family, type, protocol);
    return fd < 0 ? fd : ost_object_new(out, fd, family, type);
}

int ostler_socket_from_fd(struct ostler_socket **out, int fd)
{
    struct ostler_socket *s;
    int family = 0, type = 0, blocking, error;

    if (!out)
        return -EINVAL;
    error = ost_socket_describe(fd, &family, &type);
    if (error < 0)
        return error;
    blocking = ost_socket_is_blocking(fd);
    error = blocking < 0 ? blocking : ost_socket_close_on_exec(fd);
    if (error < 0)
        return error;
    error = make_object(&s, fd, family, type);
    if (error < 0)
        return error;
    s->timeout_ms = blocking ? OSTLER_NEVER : 0;
    *out = s;
    return 0;
}

int ostler_socket_dup(struct ostler_socket **out, const struct ostler_socket *s)
{
    int fd, error;

    if (!out || !s)
        return -EINVAL;
    if (s->fd < 0)
        return -EBADF;
    error = s->request ? ost_stream_share(OST_CONTAINER(s->request, struct ost_stream, request)) : 0;
    if (error < 0)
        return error;
    fd = ost_socket_dup(s->fd);
    error = fd < 0 ? fd : ost_object_new(out, fd, s->family, s->type);
    if (error == 0)
        (*out)->timeout_ms = s->timeout_ms;
    return error;
}

int ostler_socketpair(struct ostler_socket **a, struct ostler_socket **b, int type)
{
    struct ostler_socket *first;
    int fds[2], error;

    if (!a || !b)
        return -EINVAL;
    if (type != SOCK_STREAM && type != SOCK_DGRAM)
        return -EPROTONOSUPPORT;
    error = ost_socket_pair(fds, type);
    if (error < 0)
        return error;
    error = ost_object_new(&first, fds[0], AF_UNIX, type);
    if (error < 0) {
        close(fds[1]);
        return error;
    }
    error = ost_object_new(b, fds[1], AF_UNIX, type);
    if (error < 0)
        ostler_socket_free(first);
    else
        *a = first;
    return error;
}

/* Is it watched by a reactor that only another thread may tell to forget it? */
static bool is_watched_elsewhere(const struct ostler_socket *s)
{
    const struct ostler_reactor *reactor = s->station ? s->station->reactor : NULL;

    return reactor && !ost_reactor_is_disowned(reactor) && !ostler_reactor_is_current(reactor);
}

/* Those on the caller's reactor. They forget the descriptor before somebody may have its number. */
static void wake_guests(struct ostler_socket *s)
{
    struct ost_list *node;

    while ((node = ost_list_take(&s->guests))) {
        struct ost_need *need = OST_CONTAINER(node, struct ost_need, guest);

        if (ostler_reactor_is_current(need->waiter->stream->request.owner->reactor)) {
            ost_port_fini(&need->own);
            ost_waiter_wake(need->waiter);
        }
    }
}

/* Give the descriptor up: close it here, or leave that to the reactor that watches it. */
static int let_go(struct ostler_socket *s)
{
    struct ost_station *station = s->station;
    bool watched_elsewhere = is_watched_elsewhere(s);
    int fd = s->fd;

    wake_guests(s);
    s->fd = -1;
    s->station = NULL;
    if (station)
        station->owner = NULL;
    if (station && ost_reactor_is_disowned(station->reactor)) {
        close(fd); /* a child: the watch is its parent's */
    } else if (watched_elsewhere) {
        ost_reactor_post_job(station->reactor, &station->end);
    } else {
        if (station)
            free_station(station);
        close(fd);
    }
    return 0;
}

/* Give the caller the descriptor, or another of the same socket, if that one is still watched. */
static int hand_over(struct ostler_socket *s)
{
    int fd = s->fd;

    if (is_watched_elsewhere(s)) {
        fd = ost_socket_dup(s->fd);
        if (fd >= 0)
            let_go(s);
        return fd;
    }
    wake_guests(s);
    if (s->station && !ost_reactor_is_disowned(s->station->reactor))
        free_station(s->station);
    s->station = NULL;
    s->fd = -1;
    return fd;
}

int ostler_socket_detach(struct ostler_socket *s)
{
    int error;

    if (!s)
        return -EINVAL;
    if (s->request)
        return -EPERM;
    if (s->fd < 0)
        return -EBADF;
    error = ost_socket_set_blocking(s->fd, s->timeout_ms != 0); /* an accept may have changed it */
    return error < 0 ? error : hand_over(s);
}

int ostler_socket_close(struct ostler_socket *s)
{
    if (!s)
        return -EINVAL;
    if (s->request)
        return -EPERM;
    return s->fd < 0 ? 0 : let_go(s);
}

void ostler_socket_free(struct ostler_socket *s)
{
    if (!s || s->request)
        return;
    ostler_socket_close(s);
    free(s);
}

int ostler_stream_socket(struct ostler_socket **out, struct ostler_stream *stream)
{
    struct ost_stream *inside;
    int error = 0;

    if (!out || !stream)
        return -EINVAL;
    inside = ost_stream_inside(stream);
    if (inside->packet)
        return -EOPNOTSUPP;
    if (!inside->socket)
        error = make_object(&inside->socket, inside->request.watch.fd,
                            ost_request_peer(&inside->request)->as.sa.sa_family, SOCK_STREAM);
    if (error < 0)
        return error;
    inside->socket->request = &inside->request;
    *out = inside->socket;
    return 0;
}
