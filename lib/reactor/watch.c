#include "reactor/watch.h"

#include <errno.h>

#include <event2/event.h>

void ost_watch_init(struct ost_watch *w, struct ostler_reactor *reactor, int fd,
                    void (*ready)(struct ost_watch *watch, unsigned what))
{
    *w = (struct ost_watch){ .reactor = reactor, .fd = fd, .ready = ready };
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct ost_watch *w = arg;

    (void)fd;
    w->reactor->activity++;
    w->ready(w, (what & EV_READ ? OST_READ : 0u) | (what & EV_WRITE ? OST_WRITE : 0u));
}

/* Let w->event stand for what. */
static int assign(struct ost_watch *w, unsigned what)
{
    short flags = EV_PERSIST;

    if (what & OST_READ)
        flags |= EV_READ;
    if (what & OST_WRITE)
        flags |= EV_WRITE;
    if (!w->event)
        w->event = event_new(w->reactor->base, w->fd, flags, on_event, w);
    else if (w->assigned != what && event_assign(w->event, w->reactor->base, w->fd, flags, on_event, w) < 0)
        return -EINVAL;
    if (!w->event)
        return -ENOMEM;
    w->assigned = (unsigned char)what;
    return 0;
}

int ost_watch_set(struct ost_watch *w, unsigned what)
{
    int error;

    if (what == w->armed)
        return 0;
    if (w->armed)
        event_del(w->event);
    w->armed = 0;
    if (!what)
        return 0;
    error = assign(w, what);
    if (error < 0)
        return error;
    errno = 0;
    if (event_add(w->event, NULL) < 0)
        return errno ? -errno : -ENOMEM;
    w->armed = (unsigned char)what;
    return 0;
}

void ost_watch_fini(struct ost_watch *w)
{
    if (w->event)
        event_free(w->event);
    w->event = NULL;
    w->armed = 0;
}
