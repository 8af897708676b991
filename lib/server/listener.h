/* A listener: one listening socket of a server, and its readiness: for connections
 * (listener.c), or for datagrams (receiver.c). */
#ifndef OST_SERVER_LISTENER_H
#define OST_SERVER_LISTENER_H

#include "net/address.h"
#include "net/unix.h"
#include "reactor/timer.h"
#include "reactor/watch.h"
#include "server/lack.h"

struct ost_listener {
    struct ostler_server *server;
    struct ostler_address address; /* as asked for; once bound, with the real port */
    int fd;                        /* -1: not bound, or closed */
    bool bound;                    /* once: it stays so when it is closed */
    bool optional;                 /* half of a "*": a machine may have one family only */
    bool borrowed;                 /* the descriptor is the caller's, until the server is made */
    int inherited;                 /* … and this is it */
    struct ost_unix_file file;     /* of a Unix socket */
    struct ost_receiver *receiver; /* of datagrams; else NULL */
    struct ost_watch watch;
    struct ost_timer retry;    /* to try again after running out of something, or to log more drops */
    struct ost_job starved;    /* … and when one of our descriptors was closed */
    struct ost_lack lack;      /* of descriptors or memory */
    bool paused;
    bool passing;      /* it is other processes' turn, see balance.c */
    uint32_t accepted; /* as guard.c has seen it last */
    unsigned early;    /* so many connections, or fewer, wait there since before it had our options */
};

/* Once, when the server is made: -ENOMEM. And when it is freed. */
int ost_listener_init(struct ost_listener *listener, struct ostler_server *server);
void ost_listener_fini(struct ost_listener *listener);

/* It has a bound socket from now on. 0 or -ENOMEM, then fd is still the caller's. */
int ost_listener_open(struct ost_listener *listener, int fd);

/* Listen. */
int ost_listener_activate(struct ost_listener *listener);

/* The socket goes: at once, or for datagrams when what has arrived was answered. */
void ost_listener_close(struct ost_listener *listener);

/* A connection, even though there are others that wait for a place: if one is there, it
 * is accepted. */
void ost_listener_accept_one(struct ost_listener *listener);

/* The class's slot: whoever is slow in it is named. */
int ost_listener_get_request(struct ost_listener *listener, struct ostler_address *peer);

/* It lacks something: wait before the next try. */
void ost_listener_pause(struct ost_listener *listener, int error);

/* Watch for connections, as long as the server has room. */
void ost_listener_watch(struct ost_listener *listener);

#endif
