/* A TCP proxy: for each client a connection onward, and bytes that move both ways at once.
 *
 *     example_proxy fibers|threading tcp:127.0.0.1:7014 HOST PORT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ostler/ostler.h>

enum { CONNECT_SECONDS = 10, IDLE_MS = 300000 };

struct target {
    const char *host;
    int port;
};

struct pump { /* one direction; bytes from start to end have been received and not sent */
    struct ostler_socket *from, *to;
    bool over;
    size_t start, end;
    char buffer[65536];
};

struct proxy { /* class Proxy(StreamRequestHandler) */
    struct ostler_stream base;
    struct ostler_socket *client, *backend;
    struct pump up, down;
};

/* Wait for room if there are bytes to send, else for bytes; for nothing once it is over. */
static struct ostler_wait pump_wait(const struct pump *p)
{
    bool full = p->start < p->end;

    return (struct ostler_wait){
        .socket = full ? p->to : p->from, .events = p->over ? 0 : full ? OSTLER_WRITE : OSTLER_READ,
    };
}

/* Move what can be moved without waiting. The end of one direction is handed on, and the
 * other goes on. */
static int pump_move(struct pump *p)
{
    ssize_t n;

    if (p->start == p->end) {
        n = ostler_socket_recv(p->from, p->buffer, sizeof(p->buffer), MSG_DONTWAIT);
        if (n <= 0) {
            p->over = n == 0;
            return n == 0 ? ostler_socket_shutdown(p->to, SHUT_WR) : n == -EAGAIN ? 0 : (int)n;
        }
        p->start = 0;
        p->end = (size_t)n;
    }
    n = ostler_socket_send(p->to, p->buffer + p->start, p->end - p->start, MSG_DONTWAIT);
    p->start += n > 0 ? (size_t)n : 0;
    return n < 0 && n != -EAGAIN ? (int)n : 0;
}

static int proxy_setup(struct ostler_stream *s)
{
    struct proxy *self = OSTLER_SELF(s, struct proxy, base);
    const struct target *target = ostler_server_user(ostler_stream_server(s));
    int error = ostler_stream_socket(&self->client, s);

    if (error < 0)
        return error;
    return ostler_create_connection(&self->backend, target->host, target->port, CONNECT_SECONDS, NULL);
}

static int proxy_handle(struct ostler_stream *s)
{
    struct proxy *self = OSTLER_SELF(s, struct proxy, base);
    struct pump *up = &self->up, *down = &self->down;
    int r;

    up->from = down->to = self->client;
    up->to = down->from = self->backend;
    while (!up->over || !down->over) {
        struct ostler_wait waits[] = { pump_wait(up), pump_wait(down) };

        r = ostler_wait_any(waits, 2, IDLE_MS);
        if (r > 0 && waits[0].ready)
            r = pump_move(up);
        if (r >= 0 && waits[1].ready)
            r = pump_move(down);
        if (r < 0)
            return r;
    }
    return 0;
}

static int proxy_finish(struct ostler_stream *s)
{
    ostler_socket_free(OSTLER_SELF(s, struct proxy, base)->backend);
    return 0;
}

static const struct ostler_stream_handler proxy = {
    .size = OSTLER_SIZE(struct proxy, base),
    .setup = proxy_setup,
    .handle = proxy_handle,
    .finish = proxy_finish,
};

int main(int argc, char **argv)
{
    struct target target = { .host = argc == 5 ? argv[3] : NULL, .port = argc == 5 ? atoi(argv[4]) : 0 };
    struct ostler_server_options server = {
        .address = argc == 5 ? argv[2] : NULL,
        .stream = &proxy,
        .mixin = argc == 5 && strcmp(argv[1], "threading") == 0 ? &ostler_threading : &ostler_fibers,
        .user = &target,
    };

    return ostler_serve_forever(&server) < 0;
}
