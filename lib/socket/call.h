/* One call on a socket object, such as a recv, made again and again until it need not wait. */
#ifndef OST_SOCKET_CALL_H
#define OST_SOCKET_CALL_H

#include "socket/object.h"

/* The head of what a kind of call needs. */
struct ost_call {
    /* Once: the count, or -errno; -EAGAIN: it would have to wait. With MSG_DONTWAIT in flags it does not. */
    ssize_t (*once)(struct ostler_socket *s, const struct ost_call *call, int flags);
    unsigned what; /* OST_READ, OST_WRITE: what for */
    int flags;     /* the caller's */
};

/* When it times out if it begins now; 0: it must not wait. */
uint64_t ost_call_due(const struct ostler_socket *s, const struct ost_call *call);

/* Make it, until due: the count, or -errno. */
ssize_t ost_call_until(struct ostler_socket *s, const struct ost_call *call, uint64_t due);
ssize_t ost_call(struct ostler_socket *s, const struct ost_call *call);

/* 0, or what is wrong with a call that names n bytes at memory. */
int ost_call_check(const struct ostler_socket *s, const void *memory, size_t n);

#endif
