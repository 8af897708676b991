/* A listener: one listening socket of a server, and its readiness. */
#ifndef OST_SERVER_LISTENER_H
#define OST_SERVER_LISTENER_H

#include "net/address.h"
#include "reactor/timer.h"
#include "reactor/watch.h"

struct ost_listener {
    struct ostler_server *server;
    struct ostler_address address; /* as asked for; once bound, with the real port */
    int fd;                        /* -1: not bound, or closed */
    bool bound;                    /* once: it stays so when it is closed */
    bool optional;                 /* half of a "*": a machine may have one family only */
    struct ost_watch watch;
    struct ost_timer retry;    /* when to try again after running out of something */
    struct ost_job starved;    /* … and when one of our descriptors was closed */
    uint64_t lacked;           /* when it lacked something last, ms; 0: never */
    long pause_ms;             /* how long the next pause is; 0: it does not lack anything */
    bool paused;
};

/* Once, when the server is made: -ENOMEM. And when it is freed. */
int ost_listener_init(struct ost_listener *listener, struct ostler_server *server);
void ost_listener_fini(struct ost_listener *listener);

/* A bound socket: watch it from now on; or the socket goes. */
void ost_listener_open(struct ost_listener *listener, int fd);
void ost_listener_close(struct ost_listener *listener);

/* Watch for connections, as long as the server has room. */
void ost_listener_watch(struct ost_listener *listener);

#endif
