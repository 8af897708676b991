/* libevent by hand: an event a connection, and no buffers. */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "peer.h"

struct connection {
    struct event *event;
    struct backlog backlog;
};

static void end(struct connection *c, int fd)
{
    event_free(c->event);
    free(c->backlog.data);
    free(c);
    close(fd);
}

static void rearm(struct connection *c, int fd, short what, event_callback_fn callback)
{
    struct event_base *base = event_get_base(c->event);

    event_del(c->event);
    if (event_assign(c->event, base, fd, (short)(what | EV_PERSIST), callback, c) < 0 || event_add(c->event, NULL) < 0)
        end(c, fd);
}

static void on_read(int fd, short what, void *arg);

static void on_write(int fd, short what, void *arg)
{
    struct connection *c = arg;

    (void)what;
    if (backlog_send(&c->backlog, fd, NULL, 0) < 0)
        end(c, fd);
    else if (c->backlog.size == 0)
        rearm(c, fd, EV_READ, on_read);
}

static void on_read(int fd, short what, void *arg)
{
    static char buffer[PEER_BUFFER];
    struct connection *c = arg;
    ssize_t n = recv(fd, buffer, sizeof(buffer), 0);

    (void)what;
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || backlog_send(&c->backlog, fd, buffer, (size_t)n) < 0)
        end(c, fd);
    else if (c->backlog.size > 0)
        rearm(c, fd, EV_WRITE, on_write);
}

static void begin(struct event_base *base, int fd)
{
    struct connection *c = calloc(1, sizeof(*c));

    if (!c)
        fail("calloc");
    c->event = event_new(base, fd, EV_READ | EV_PERSIST, on_read, c);
    if (!c->event || event_add(c->event, NULL) < 0)
        fail("event");
}

static void on_accept(int listener, short what, void *arg)
{
    int fd;

    (void)what;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        begin(arg, fd);
}

int main(int argc, char **argv)
{
    int listener = peer_listen(argc, argv, SOCK_NONBLOCK);
    struct event_base *base = event_base_new();
    struct event *event = base ? event_new(base, listener, EV_READ | EV_PERSIST, on_accept, base) : NULL;

    if (!event || event_add(event, NULL) < 0)
        fail("event");
    return event_base_dispatch(base);
}
