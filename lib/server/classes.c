/* The four server classes: tables that share what is the same for all. */
#include <errno.h>
#include <unistd.h>

#include "base/hot.h"
#include "net/batch.h"
#include "net/socket.h"
#include "request/conn.h"
#include "request/stream.h"
#include "server/receiver.h"
#include "server/server.h"

static int accept_connection(struct ostler_server *s, int listener, struct ostler_address *peer)
{
    int fd = ost_socket_accept(listener, peer);

    s->got_one = fd >= 0;
    return fd;
}

static int receive_datagrams(struct ostler_server *s, int listener, struct ostler_address *peer)
{
    (void)peer; /* each datagram has one of its own */
    for (size_t i = 0; i < s->listener_count; i++)
        if (s->listeners[i].fd == listener && s->listeners[i].receiver)
            return ost_batch_receive(s->listeners[i].receiver->batch, listener, s->listeners[i].receiver->asked);
    return -EBADF;
}

static bool verify_request(struct ostler_server *s, const struct ostler_request *r)
{
    (void)s;
    (void)r;
    return true;
}

/* Hand it to the mix-in. */
static int process_stream(struct ostler_server *s, struct ostler_request *r)
{
    int error = s->mixin->process(s->mixin_state, r);

    s->mixin_error = error;
    s->elsewhere = error == 0 && !OST_CONTAINER(r, struct ost_stream, request)->parker;
    return error;
}

static int process_connection(struct ostler_server *s, struct ostler_request *r)
{
    if (s->mixin)
        return process_stream(s, r);
    ost_conn_start(r);
    return 0;
}

static int process_datagram(struct ostler_server *s, struct ostler_request *r)
{
    return s->mixin ? process_stream(s, r) : ost_datagram_run(r);
}

OST_HOT static int finish_request(struct ostler_server *s, struct ostler_request *r)
{
    (void)s;
    return ost_stream_run(OST_CONTAINER(r, struct ost_stream, request));
}

/* The descriptor of a datagram is the listener's: there is nothing to be done about it. */
OST_HOT static void shutdown_request(struct ostler_server *s, struct ostler_request *r)
{
    (void)s;
    if (!r->datagram)
        shutdown(r->watch.fd, SHUT_WR);
}

static void close_request(struct ostler_server *s, struct ostler_request *r)
{
    (void)s;
    if (!r->datagram)
        close(r->watch.fd);
}

static void do_nothing(struct ostler_server *s)
{
    (void)s;
}

/* What all classes have in common. */
#define SHARED                                                                                                      \
    .bind = ost_bind_server, .activate = ost_activate_server, .verify_request = verify_request,                     \
    .finish_request = finish_request, .handle_error = ost_log_error, .shutdown_request = shutdown_request,          \
    .close_request = close_request, .handle_timeout = do_nothing, .service_actions = do_nothing,                    \
    .close = ost_close_server

#define CONNECTIONS SHARED, .get_request = accept_connection, .process_request = process_connection
#define DATAGRAMS SHARED, .get_request = receive_datagrams, .process_request = process_datagram

const struct ostler_server_class ostler_tcp_server = { .name = "tcp", CONNECTIONS };
const struct ostler_server_class ostler_udp_server = { .name = "udp", DATAGRAMS };
const struct ostler_server_class ostler_unix_stream_server = { .name = "unix", CONNECTIONS };
const struct ostler_server_class ostler_unix_datagram_server = { .name = "unixgram", DATAGRAMS };
