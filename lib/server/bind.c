/* Binding and listening: the same for all classes, since each listener knows its kind. */
#include <errno.h>
#include <unistd.h>

#include <ostler/error.h>

#include "net/socket.h"
#include "server/receiver.h"
#include "server/server.h"

enum { PORT_TRIES = 10 };

static bool is_missing(int error)
{
    return error == -EADDRNOTAVAIL || error == -EAFNOSUPPORT || error == -ENODEV;
}

static bool lacks_zone(const struct ostler_address *address)
{
    const struct sockaddr_in6 *in6 = &address->as.in6;

    return address->as.sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) && !in6->sin6_scope_id;
}

static const char *reason(const struct ostler_address *address, int error)
{
    if (error == -EINVAL && lacks_zone(address))
        return "a link-local address needs its interface, as in [fe80::1%eth0]";
    if (error == -EEXIST)
        return "what stands there is no socket; it is left as it is";
    if (error == -ENODEV)
        return "this machine does not have the network interface after the %";
    return ostler_strerror(error);
}

static void report(struct ostler_server *s, const struct ost_listener *l, int level, const char *what, int error)
{
    char text[OSTLER_ADDRESS_TEXT] = "?";

    ostler_address_text(&l->address, text, sizeof(text));
    ostler_log_write(ostler_server_log(s), level, "%s: cannot %s %s: %s", s->name, what, text,
                     reason(&l->address, error));
}

/* The listener's socket: a new one that is bound, or the one that is there. */
static int open_socket(struct ost_listener *l, const struct ostler_server_options *options)
{
    if (l->borrowed)
        return l->inherited;
    if (ost_address_has_file(&l->address))
        return ost_unix_bind(&l->file, &l->address, options->socket_mode);
    return ost_socket_bind(&l->address, !options->no_reuse_address, options->reuse_port);
}

static void drop_socket(struct ost_listener *l, int fd)
{
    ost_unix_remove(&l->file, &l->address);
    if (!l->borrowed)
        close(fd);
}

/* Bind one listener. 0, also when it may be missing and is, or -errno. */
static int bind_one(struct ostler_server *s, struct ost_listener *l)
{
    const struct ostler_server_options *options = &s->owner.options;
    int fd = open_socket(l, options), error;

    if (fd < 0 && is_missing(fd) && (l->optional || options->skip_missing)) {
        report(s, l, OSTLER_LOG_WARNING, "bind", fd);
        return 0;
    }
    if (fd < 0)
        return fd;
    error = l->borrowed || l->file.maker ? 0 : ost_socket_local(fd, &l->address);
    if (error == 0)
        error = ost_listener_open(l, fd);
    if (error < 0)
        drop_socket(l, fd);
    return error;
}

/* As if it had not been bound. */
static void unbind(struct ost_listener *l)
{
    ost_listener_close(l);
    ost_receiver_free(l->receiver);
    l->receiver = NULL;
    l->bound = false;
}

/* Bind the two halves of a "*" to one port, which for port 0 the first one finds. */
static int bind_pair(struct ostler_server *s, struct ost_listener pair[2])
{
    struct ostler_address asked = pair[0].address;
    int error = -EADDRINUSE;

    for (int i = 0; i < PORT_TRIES && error == -EADDRINUSE; i++) {
        pair[0].address = asked;
        error = bind_one(s, &pair[0]);
        if (error < 0)
            break;
        ost_address_set_port(&pair[1].address, (uint16_t)ostler_address_port(&pair[0].address));
        error = bind_one(s, &pair[1]);
        if (error < 0)
            unbind(&pair[0]);
        if (ostler_address_port(&asked) != 0)
            break;
    }
    if (error < 0)
        pair[0].address = asked; /* to be reported as what it is */
    return error;
}

/* One at least must be there. */
static int require_one(struct ostler_server *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        if (s->listeners[i].bound)
            return 0;
    ostler_log_write(ostler_server_log(s), OSTLER_LOG_ERROR, "%s: the machine has none of its addresses", s->name);
    return -EADDRNOTAVAIL;
}

int ost_bind_server(struct ostler_server *s)
{
    for (size_t i = 0; i < s->listener_count;) {
        struct ost_listener *l = &s->listeners[i];
        int error = l->address.wildcard ? bind_pair(s, l) : bind_one(s, l);

        if (error < 0) {
            report(s, l, OSTLER_LOG_ERROR, "bind", error);
            return error;
        }
        i += l->optional ? 2 : 1;
    }
    return require_one(s);
}

int ost_activate_server(struct ostler_server *s)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        struct ost_listener *l = &s->listeners[i];
        int error = l->fd >= 0 ? ost_listener_activate(l) : 0;

        if (error < 0) {
            report(s, l, OSTLER_LOG_ERROR, "listen on", error);
            return error;
        }
    }
    return 0;
}

/* May it be bound, or activated, now? */
static int check_new(const struct ostler_server *s, bool done)
{
    if (!s)
        return -EINVAL;
    if (s->state != OST_SERVER_NEW)
        return -ESHUTDOWN;
    return done ? -EALREADY : 0;
}

/* After a failure nothing is served, on none of the addresses. */
static int stop_if_failed(struct ostler_server *s, int error)
{
    if (error >= 0)
        return 0;
    ost_server_begin_stop(s);
    return error;
}

int ostler_server_bind(struct ostler_server *s)
{
    int error = check_new(s, s && s->bound);

    if (error < 0)
        return error;
    s->bound = true;
    return stop_if_failed(s, s->class->bind(s));
}

int ostler_server_activate(struct ostler_server *s)
{
    int error = check_new(s, s && s->active);

    if (error == 0 && !s->bound)
        error = -EDESTADDRREQ;
    if (error < 0)
        return error;
    error = s->class->activate(s);
    for (size_t i = 0; error >= 0 && i < s->listener_count; i++)
        s->listeners[i].borrowed = false;
    s->active = error >= 0;
    return stop_if_failed(s, error);
}

void ost_close_server(struct ostler_server *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        ost_listener_close(&s->listeners[i]);
}
