/* A watch: readiness of one descriptor, level-triggered, by one libevent event.
 * Thread: the reactor's. */
#ifndef OST_REACTOR_WATCH_H
#define OST_REACTOR_WATCH_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "reactor/reactor.h"

enum { OST_READ = 1, OST_WRITE = 2 };

/* libevent's part is by value: one piece of memory less for each connection, and what is read
 * next lies next to it. Its size is that of libevent_core-2.1.so.7; see check_libevent() in reactor.c. */
struct ost_watch {
    struct event event;
    void (*ready)(struct ost_watch *watch, unsigned what);
    int fd;
    unsigned char armed; /* OST_READ | OST_WRITE */
};

void ost_watch_init(struct ost_watch *watch, struct ostler_reactor *reactor, int fd,
                    void (*ready)(struct ost_watch *watch, unsigned what));

/* Watch for exactly what (0: nothing) from now on. Telling it what it does already
 * costs nothing. 0, -ENOMEM or another -errno. */
int ost_watch_rearm(struct ost_watch *watch, unsigned what);

static inline int ost_watch_set(struct ost_watch *watch, unsigned what)
{
    return what == watch->armed ? 0 : ost_watch_rearm(watch, what);
}

/* Forget the descriptor; call it before close(2). */
void ost_watch_fini(struct ost_watch *watch);

#endif
