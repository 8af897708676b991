/* libevent's bufferevents, as its documentation teaches. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "peer.h"

static void on_read(struct bufferevent *b, void *arg)
{
    (void)arg;
    bufferevent_write_buffer(b, bufferevent_get_input(b));
}

static void on_event(struct bufferevent *b, short what, void *arg)
{
    (void)arg;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        bufferevent_free(b);
}

static void begin(struct event_base *base, int fd)
{
    struct bufferevent *b = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);

    if (!b)
        fail("bufferevent");
    peer_send_at_once(fd);
    bufferevent_setcb(b, on_read, NULL, on_event, NULL);
    if (bufferevent_enable(b, EV_READ | EV_WRITE) < 0)
        fail("bufferevent_enable");
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
