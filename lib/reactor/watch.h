/* A watch: readiness of one descriptor, level-triggered, by one libevent event.
 * Thread: the reactor's. */
#ifndef OST_REACTOR_WATCH_H
#define OST_REACTOR_WATCH_H

#include "reactor/reactor.h"

enum { OST_READ = 1, OST_WRITE = 2 };

struct ost_watch {
    struct ostler_reactor *reactor;
    struct event *event; /* made when first needed: a request in a thread never is */
    void (*ready)(struct ost_watch *watch, unsigned what);
    int fd;
    unsigned char armed, assigned; /* OST_READ | OST_WRITE */
};

void ost_watch_init(struct ost_watch *watch, struct ostler_reactor *reactor, int fd,
                    void (*ready)(struct ost_watch *watch, unsigned what));

/* Watch for exactly what (0: nothing) from now on. Telling it what it does already
 * costs nothing. 0, -ENOMEM or another -errno. */
int ost_watch_set(struct ost_watch *watch, unsigned what);

/* Forget the descriptor; call it before close(2). */
void ost_watch_fini(struct ost_watch *watch);

#endif
