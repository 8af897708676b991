/* Outgoing connections, evented. */
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "net/socket.h"
#include "request/conn.h"

void ost_conn_connected(struct ost_conn *c)
{
    int error = ost_socket_error(c->request.watch.fd);

    if (error < 0) {
        ost_conn_fail(c, OSTLER_CLOSE_CONNECT, error);
        return;
    }
    c->connecting = false;
    if (!c->closing) {
        ost_conn_start(&c->request);
        return;
    }
    c->opened = true; /* it was closed meanwhile: only its output is to leave, and on_close to come */
    ost_conn_touch(c);
}

/* Begin to connect, and make the conn for it. */
static int begin(struct ost_conn **out, struct ost_owner *owner, const struct ostler_address *peer,
                 const struct ostler_conn_handler *handler)
{
    struct ostler_request *r;
    int fd, error = ost_address_lacks_interface(peer) ? -ENODEV : ost_socket_connect(&fd, peer);

    if (error < 0 && error != -EINPROGRESS)
        return error;
    error = ost_conn_new(&r, owner, handler, fd, peer);
    if (error < 0) {
        close(fd);
        return error;
    }
    *out = OST_CONTAINER(r, struct ost_conn, request);
    (*out)->connecting = true;
    return 0;
}

static bool can_be_connected(const struct ostler_address *peer)
{
    return !peer->wildcard && (peer->kind == OST_TCP || peer->kind == OST_UNIX_STREAM);
}

/* Is its state one that a conn is the base of? */
static bool can_be_made(const struct ostler_conn_handler *handler)
{
    return handler->size == 0 || (handler->size >= sizeof(struct ostler_conn) && handler->size <= SSIZE_MAX);
}

int ostler_conn_connect(struct ostler_conn **out, struct ostler_server *server, const char *address,
                        const struct ostler_conn_handler *handler)
{
    struct ostler_address *peer;
    struct ost_conn *c;
    int error;

    if (!out || !server || !handler || !can_be_made(handler))
        return -EINVAL;
    if (!ostler_reactor_is_current(ost_owner_of(server)->reactor))
        return -EPERM;
    if (ost_owner_of(server)->stopping)
        return -ESHUTDOWN;
    error = ostler_address_parse(&peer, address);
    if (error < 0)
        return error;
    error = can_be_connected(peer) ? begin(&c, ost_owner_of(server), peer, handler) : -EINVAL;
    ostler_address_free(peer);
    if (error < 0)
        return error;
    ost_conn_watch_silence(c, ost_reactor_now(ost_conn_reactor(c)));
    ost_conn_touch(c); /* to be watched; on_open comes later even when it is connected already */
    ost_owner_of(server)->connects(ost_owner_of(server));
    *out = &c->base;
    return 0;
}
