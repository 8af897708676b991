#include "reactor/watch.h"

#include <errno.h>

#include "base/hot.h"

/* The same bits, one further to the right. */
_Static_assert(EV_READ == OST_READ << 1 && EV_WRITE == OST_WRITE << 1, "see on_event() and rearm()");

OST_HOT static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct ost_watch *w = arg;

    (void)fd;
    ost_running->activity++;
    w->ready(w, (unsigned)what >> 1 & (OST_READ | OST_WRITE));
}

void ost_watch_init(struct ost_watch *w, struct ostler_reactor *reactor, int fd,
                    void (*ready)(struct ost_watch *watch, unsigned what))
{
    w->ready = ready;
    w->fd = fd;
    w->armed = 0;
    event_assign(&w->event, reactor->base, fd, EV_READ | EV_PERSIST, on_event, w);
}

/* Let w->event stand for what. */
static int assign(struct ost_watch *w, unsigned what)
{
    short flags = (short)(what << 1 | EV_PERSIST);

    if (event_get_events(&w->event) == flags)
        return 0;
    return event_assign(&w->event, event_get_base(&w->event), w->fd, flags, on_event, w) < 0 ? -EINVAL : 0;
}

int ost_watch_rearm(struct ost_watch *w, unsigned what)
{
    int error;

    if (w->armed)
        event_del(&w->event);
    w->armed = 0;
    if (!what)
        return 0;
    error = assign(w, what);
    if (error < 0)
        return error;
    errno = 0;
    if (event_add(&w->event, NULL) < 0)
        return errno ? -errno : -ENOMEM;
    w->armed = (unsigned char)what;
    return 0;
}

void ost_watch_fini(struct ost_watch *w)
{
    ost_watch_set(w, 0);
}
