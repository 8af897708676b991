/* A TCP proxy, both directions at once: proxy fibers|threading tcp:127.0.0.1:7014 HOST PORT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ostler/ostler.h>

struct pump { /* one direction */
    struct ostler_socket *from, *to;
    bool over;
    size_t start, end; /* of what has been received and not sent */
    char buffer[65536];
};

struct proxy { /* class Proxy(StreamRequestHandler) */
    struct ostler_stream base;
    struct pump pumps[2]; /* up to the server, and down to the client */
};

/* Wait for room if there are bytes to send, else for bytes; for nothing once it is over. */
static struct ostler_wait pump_wait(const struct pump *p)
{
    if (p->start < p->end)
        return (struct ostler_wait){ .socket = p->to, .events = OSTLER_WRITE };
    return (struct ostler_wait){ .socket = p->from, .events = p->over ? 0 : OSTLER_READ };
}

/* Move what can be moved without waiting. An end is handed on; the other direction goes on. */
static int pump_move(struct pump *p)
{
    ssize_t n;

    if (p->start == p->end) {
        n = ostler_socket_recv(p->from, p->buffer, sizeof(p->buffer), MSG_DONTWAIT);
        p->over = n == 0;
        if (n <= 0)
            return p->over ? ostler_socket_shutdown(p->to, SHUT_WR) : n == -EAGAIN ? 0 : (int)n;
        p->start = 0;
        p->end = (size_t)n;
    }
    n = ostler_socket_send(p->to, p->buffer + p->start, p->end - p->start, MSG_DONTWAIT);
    p->start += n > 0 ? (size_t)n : 0;
    return n > 0 || n == -EAGAIN ? 0 : (int)n;
}

static int proxy_handle(struct ostler_stream *s)
{
    struct pump *up = OSTLER_SELF(s, struct proxy, base)->pumps, *down = up + 1;
    char **argv = ostler_server_user(ostler_stream_server(s));
    int r = ostler_create_connection(&up->to, argv[3], atoi(argv[4]), 10.0, NULL);

    if (r == 0)
        r = ostler_stream_socket(&up->from, s);
    down->from = up->to;
    down->to = up->from;
    while (r >= 0 && !(up->over && down->over)) {
        struct ostler_wait waits[] = { pump_wait(up), pump_wait(down) };

        r = ostler_wait_any(waits, 2, OSTLER_NEVER);
        for (int i = 0; r >= 0 && i < 2; i++)
            if (waits[i].ready)
                r = pump_move(up + i);
    }
    ostler_socket_free(up->to);
    return r;
}

static const struct ostler_stream_handler proxy = { .size = OSTLER_SIZE(struct proxy, base), .handle = proxy_handle };

int main(int argc, char **argv)
{
    struct ostler_server_options server = { .stream = &proxy, .user = argv, .max_requests = 10000 };

    if (argc != 5)
        return 2;
    server.address = argv[2];
    server.mixin = strcmp(argv[1], "fibers") == 0 ? &ostler_fibers : &ostler_threading;
    return ostler_serve_forever(&server) < 0;
}
