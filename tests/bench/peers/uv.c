/* libuv, as its guide's echo server has it; with "try" it writes at once what the socket takes. */
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "peer.h"

static bool try_first;

struct writing {
    uv_write_t request;
    char *data;
};

static void on_buffer(uv_handle_t *handle, size_t size, uv_buf_t *out)
{
    static char shared[PEER_BUFFER];

    (void)handle;
    *out = try_first ? uv_buf_init(shared, sizeof(shared)) : uv_buf_init(malloc(size), (unsigned)size);
}

static void on_close(uv_handle_t *handle)
{
    free(handle);
}

static void on_written(uv_write_t *request, int status)
{
    struct writing *w = (struct writing *)request;

    (void)status;
    free(w->data);
    free(w);
}

/* Takes data. */
static void write_later(uv_stream_t *stream, char *data, size_t size)
{
    struct writing *w = malloc(sizeof(*w));
    uv_buf_t buffer = uv_buf_init(data, (unsigned)size);

    if (!w || !data)
        fail("malloc");
    w->data = data;
    if (uv_write(&w->request, stream, &buffer, 1, on_written) < 0)
        on_written(&w->request, -1);
}

static void write_at_once(uv_stream_t *stream, char *data, size_t size)
{
    uv_buf_t buffer = uv_buf_init(data, (unsigned)size);
    int n = uv_try_write(stream, &buffer, 1);
    size_t done = n > 0 ? (size_t)n : 0;
    char *rest;

    if (done == size)
        return;
    rest = malloc(size - done);
    if (rest)
        memcpy(rest, data + done, size - done);
    write_later(stream, rest, size - done);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    if (n > 0 && try_first)
        write_at_once(stream, buffer->base, (size_t)n);
    else if (n > 0)
        write_later(stream, buffer->base, (size_t)n);
    else if (!try_first)
        free(buffer->base);
    if (n < 0)
        uv_close((uv_handle_t *)stream, on_close);
}

static void on_connection(uv_stream_t *server, int status)
{
    bool is_tcp = server->type == UV_TCP;
    uv_stream_t *client = status < 0 ? NULL : malloc(is_tcp ? sizeof(uv_tcp_t) : sizeof(uv_pipe_t));

    if (!client)
        return;
    if (is_tcp)
        uv_tcp_init(server->loop, (uv_tcp_t *)client);
    else
        uv_pipe_init(server->loop, (uv_pipe_t *)client, 0);
    if (uv_accept(server, client) < 0 || uv_read_start(client, on_buffer, on_read) < 0)
        uv_close((uv_handle_t *)client, on_close);
}

static void on_datagram(uv_udp_t *socket, ssize_t n, const uv_buf_t *buffer, const struct sockaddr *from,
                        unsigned flags)
{
    uv_buf_t answer = uv_buf_init(buffer->base, n > 0 ? (unsigned)n : 0);

    (void)flags;
    if (from && n >= 0)
        uv_udp_try_send(socket, &answer, 1, from);
}

static void listen_on(uv_loop_t *loop, int fd, bool is_datagrams, bool is_unix)
{
    static union {
        uv_tcp_t tcp;
        uv_pipe_t pipe;
        uv_udp_t udp;
        uv_stream_t stream;
    } u;
    int error;

    if (is_datagrams) {
        uv_udp_init(loop, &u.udp);
        error = uv_udp_open(&u.udp, fd) < 0 || uv_udp_recv_start(&u.udp, on_buffer, on_datagram) < 0;
    } else if (is_unix) {
        uv_pipe_init(loop, &u.pipe, 0);
        error = uv_pipe_open(&u.pipe, fd) < 0 || uv_listen(&u.stream, SOMAXCONN, on_connection) < 0;
    } else {
        uv_tcp_init(loop, &u.tcp);
        error = uv_tcp_open(&u.tcp, fd) < 0 || uv_listen(&u.stream, SOMAXCONN, on_connection) < 0;
    }
    if (error)
        fail("libuv");
}

int main(int argc, char **argv)
{
    int fd = peer_listen(argc, argv, SOCK_NONBLOCK);
    const char *address = argv[argc - 1];
    bool is_datagrams = strncmp(address, "udp:", 4) == 0;

    try_first = is_datagrams || peer_variant(argc, argv, "try");
    listen_on(uv_default_loop(), fd, is_datagrams, strncmp(address, "unix:", 5) == 0);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
