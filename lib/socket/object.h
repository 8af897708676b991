/* The socket object's inside.
 *
 * The descriptor is in blocking mode unless the time-out is 0, as Python's is, so that
 * others can use it; a call that must not block says MSG_DONTWAIT. A thread outside of every
 * request, which nobody can cancel, blocks in the call itself where there is no time-out; everything
 * else tries, and if the kernel has nothing waits as <request/wait.h> says.
 *
 * On a reactor an object keeps its watch between two waits: its station, made at its first
 * wait there. It belongs to the reactor's thread, which alone may undo it: whoever closes
 * the object elsewhere leaves the descriptor to that. */
#ifndef OST_SOCKET_OBJECT_H
#define OST_SOCKET_OBJECT_H

#include <ostler/socket.h>

#include "net/address.h"
#include "request/stream.h"

struct ost_station {
    struct ost_port port;
    struct ostler_reactor *reactor; /* that watches it */
    struct ost_job end;     /* undoes it, posted by another thread */
    struct ost_job orphan;  /* undoes it when the reactor is freed first */
    struct ostler_socket *owner; /* NULL: it was closed */
};

struct ostler_socket {
    int fd; /* -1: closed */
    int family, type;
    unsigned char kind;           /* enum ost_kind, of its addresses */
    long timeout_ms;              /* OSTLER_NEVER: none; 0: never wait */
    struct ostler_request *request; /* whose connection it is, and which owns fd; else NULL */
    struct ost_station *station;  /* NULL: none yet, or no more */
    struct ost_list guests;       /* struct ost_need, of those that wait on another reactor than its station's */
};

/* An object for fd, of which family and type are known. Consumes fd, on failure too. 0 or
 * -errno. */
int ost_object_new(struct ostler_socket **out, int fd, int family, int type);

/* 0, or why it cannot be used: -EINVAL, -EBADF, -ECANCELED, or -ETIMEDOUT past the deadline. */
int ost_object_check(const struct ostler_socket *s);

/* Its own form of an address to bind or connect to. -EINVAL: NULL; -EAFNOSUPPORT. */
int ost_object_fit(const struct ostler_socket *s, const struct ostler_address *address, struct ostler_address *out);

/* When a call that begins now times out; 0: it must not wait. */
uint64_t ost_object_due(const struct ostler_socket *s);

/* May the call itself block, for there is nothing else to wait for? */
bool ost_object_may_block(const struct ostler_socket *s);

/* Did a call that may block come back since the kernel's own time-out for what, SO_RCVTIMEO or
 * SO_SNDTIMEO, was over? Others can make the descriptor non-blocking, so this is asked of the option. */
bool ost_object_gave_up(const struct ostler_socket *s, unsigned what);

/* Wait until it is ready for what (OST_READ or OST_WRITE), or due. 0; -ETIMEDOUT; -EAGAIN: due
 * is 0; -EBADF: it was closed meanwhile; -ECANCELED, -EDEADLK … */
int ost_object_wait(struct ostler_socket *s, unsigned what, uint64_t due);

/* Where nothing tells that it is worth another try: rest for 1 ms and, as naps grow from 0 on, up to
 * 16. 0, or as ost_object_wait(). */
int ost_object_nap(struct ostler_socket *s, unsigned naps, uint64_t due);

/* One of several things that a waiter waits for. 0; -EBADF: it was closed; -ENOMEM. */
int ost_object_need(struct ost_need *need, struct ostler_socket *s, unsigned what, const struct ost_waiter *waiter);

#endif
