/* The server classes, as tables of functions; and how a table inherits. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <ostler/error.h>

#include "net/socket.h"
#include "request/conn.h"
#include "request/stream.h"
#include "server/server.h"

enum { MAX_DEPTH = 16, PORT_TRIES = 10 };

static bool is_missing(int error)
{
    return error == -EADDRNOTAVAIL || error == -EAFNOSUPPORT;
}

static void report(struct ostler_server *s, const struct ost_listener *l, int level, const char *what, int error)
{
    char text[OSTLER_ADDRESS_TEXT] = "?";

    ostler_address_text(&l->address, text, sizeof(text));
    ostler_log_write(ostler_server_log(s), level, "%s: cannot %s %s: %s", s->name, what, text, ostler_strerror(error));
}

/* Bind one listener. 0, also when it may be missing and is, or -errno. */
static int bind_one(struct ostler_server *s, struct ost_listener *l)
{
    const struct ostler_server_options *options = &s->owner.options;
    int fd = ost_socket_bind(&l->address, !options->no_reuse_address, options->reuse_port), error;

    if (fd < 0 && is_missing(fd) && (l->optional || options->skip_missing)) {
        report(s, l, OSTLER_LOG_WARNING, "bind", fd);
        return 0;
    }
    if (fd < 0)
        return fd;
    error = ost_socket_local(fd, &l->address);
    if (error < 0) {
        close(fd);
        return error;
    }
    ost_listener_open(l, fd);
    return 0;
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
            ost_listener_close(&pair[0]);
        if (ostler_address_port(&asked) != 0)
            break;
    }
    return error;
}

/* One at least must be there. */
static int require_one(struct ostler_server *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        if (s->listeners[i].bound)
            return 0;
    report(s, &s->listeners[0], OSTLER_LOG_ERROR, "bind another address than", -EADDRNOTAVAIL);
    return -EADDRNOTAVAIL;
}

static int bind_server(struct ostler_server *s)
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

static int activate(struct ostler_server *s)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        struct ost_listener *l = &s->listeners[i];
        int error = l->fd >= 0 ? ost_socket_listen(l->fd, s->owner.options.backlog) : 0;

        if (error < 0) {
            report(s, l, OSTLER_LOG_ERROR, "listen on", error);
            return error;
        }
    }
    return 0;
}

static int get_request(struct ostler_server *s, int listener, struct ostler_address *peer)
{
    int fd = ost_socket_accept(listener, peer);

    if (fd >= 0 && s->owner.options.disable_nagle)
        ost_socket_set_nodelay(fd); /* fails only when the peer is gone already */
    return fd;
}

static bool verify_request(struct ostler_server *s, const struct ostler_request *r)
{
    (void)s;
    (void)r;
    return true;
}

static int process_request(struct ostler_server *s, struct ostler_request *r)
{
    int error = 0;

    if (s->mixin) {
        error = s->mixin->process(s->mixin_state, r);
        s->elsewhere = error == 0 && !OST_CONTAINER(r, struct ost_stream, request)->parker;
    } else {
        ost_conn_start(r);
    }
    return error;
}

static int finish_request(struct ostler_server *s, struct ostler_request *r)
{
    (void)s;
    return ost_stream_run(OST_CONTAINER(r, struct ost_stream, request));
}

static void shutdown_request(struct ostler_server *s, struct ostler_request *r)
{
    (void)s;
    shutdown(r->watch.fd, SHUT_WR);
}

static void close_request(struct ostler_server *s, struct ostler_request *r)
{
    (void)s;
    close(r->watch.fd);
}

static void do_nothing(struct ostler_server *s)
{
    (void)s;
}

static void close_server(struct ostler_server *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        ost_listener_close(&s->listeners[i]);
}

const struct ostler_server_class ostler_tcp_server = {
    .name = "tcp",
    .bind = bind_server,
    .activate = activate,
    .get_request = get_request,
    .verify_request = verify_request,
    .process_request = process_request,
    .finish_request = finish_request,
    .handle_error = ost_log_error,
    .shutdown_request = shutdown_request,
    .close_request = close_request,
    .handle_timeout = do_nothing,
    .service_actions = do_nothing,
    .close = close_server,
};

#define INHERIT(slot) (to->slot = to->slot ? to->slot : from->slot)

static void inherit(struct ostler_server_class *to, const struct ostler_server_class *from)
{
    INHERIT(name);
    INHERIT(bind);
    INHERIT(activate);
    INHERIT(get_request);
    INHERIT(verify_request);
    INHERIT(process_request);
    INHERIT(finish_request);
    INHERIT(handle_error);
    INHERIT(shutdown_request);
    INHERIT(close_request);
    INHERIT(handle_timeout);
    INHERIT(service_actions);
    INHERIT(close);
}

int ost_class_flatten(struct ostler_server_class *out, const struct ostler_server_class *class)
{
    struct ostler_server_class flat = { 0 };

    for (int depth = 0; class; class = class->super) {
        if (++depth > MAX_DEPTH)
            return -ELOOP;
        inherit(&flat, class);
    }
    inherit(&flat, &ostler_tcp_server);
    *out = flat;
    return 0;
}
