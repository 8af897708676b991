/* Waiting: the one place in which straight-line code waits, for any of several descriptors,
 * a wake-up from another thread or handler, and a time. Where, depends on the caller:
 *
 *   a fiber, an inline handler   arms watches and the request's timer, and parks; the reactor
 *                                works on, and a callback ends the wait
 *   a thread, of ours or not     poll(2), with an eventfd among the rest if it can be woken
 *   a child                      ppoll(2), which a signal of the parent's ends
 *
 * A watch stays armed for reading between two waits (it is level-triggered), so a ping-pong
 * costs no epoll_ctl(2); when readiness comes while nobody waits for it, it is disarmed then.
 *
 * Thread of everything here, but for ost_waiter_wake(): the one that waits. */
#ifndef OST_REQUEST_WAIT_H
#define OST_REQUEST_WAIT_H

#include <poll.h>

#include "reactor/watch.h"

struct ost_stream;
struct ost_waiter;

/* A descriptor that may be waited for again and again on a reactor. */
struct ost_port {
    struct ost_watch watch;
    struct ost_list needs; /* of those that wait for it now */
};

void ost_port_init(struct ost_port *port, struct ostler_reactor *reactor, int fd);
void ost_port_fini(struct ost_port *port);

/* A descriptor, and what for it is waited for: one of several in a wait. */
struct ost_need {
    struct ost_list node; /* in port->needs */
    struct ost_waiter *waiter;
    unsigned what;  /* OST_READ | OST_WRITE */
    unsigned ready; /* those of them that came */
    int fd;
    struct ost_stream *stream; /* whose descriptor it is: the waiter's own; or NULL */
    struct ost_port *port;     /* on a reactor: what tells; or NULL: its own */
    struct ost_port own;       /* of a descriptor that is watched for this wait alone */
    struct ost_list *guests;   /* where whoever closes that descriptor finds it; or NULL */
    struct ost_list guest;     /* in that list */
};

/* What to wait for: readiness of the waiter's own stream, of a port's descriptor, or of a descriptor, which who has
 * the guests may close meanwhile. */
void ost_need_stream(struct ost_need *need, struct ost_stream *stream, unsigned what);
void ost_need_port(struct ost_need *need, struct ost_port *port, unsigned what);
void ost_need_descriptor(struct ost_need *need, int fd, unsigned what, struct ost_list *guests);

/* Whoever waits: stands on its stack. */
struct ost_waiter {
    struct ost_stream *stream; /* whose handler it is; NULL: a thread that runs no handler */
    unsigned what, came;       /* on a reactor: of that stream, for which nobody else waits */
    struct ost_job job;        /* ends the wait from elsewhere */
    atomic_bool woken;         /* it is posted; or fd was written to */
    bool over;
    int result;
    int fd;    /* that wakes a thread, or -1 */
    bool owns; /* … and it is this waiter's alone */
};

/* The calling thread or fiber is to wait, perhaps several times; alone: for its own stream, or
 * nothing, and nobody is to wake it. 0; -EDEADLK: in a callback on the reactor; -EMFILE … */
int ost_waiter_init(struct ost_waiter *waiter, bool alone);
void ost_waiter_fini(struct ost_waiter *waiter);

/* End its wait, or the next one if it does not wait. Until ost_waiter_fini() begins. Thread: any. */
void ost_waiter_wake(struct ost_waiter *waiter);

/* Wait until one of the n needs is ready or somebody wakes it: 0. -ETIMEDOUT: due has come;
 * -ECANCELED, -EBADF, -EPERM, -ENOMEM … */
int ost_waiter_wait(struct ost_waiter *waiter, struct ost_need *needs, size_t n, uint64_t due);

/* poll(2) for what (OST_READ | OST_WRITE), and what has come of that, added to *ready: the end of input,
 * or an error, is all. 0, or -EBADF. */
struct pollfd ost_poll_for(int fd, unsigned what);
int ost_poll_take(unsigned *ready, const struct pollfd *polled, unsigned what);

/* For a stream's own descriptor alone: until it is ready for what (OST_READ, OST_WRITE; 0: only
 * let the others go on), or due is reached. 0, -ETIMEDOUT, -ECANCELED or another -errno. */
int ost_wait(struct ost_stream *stream, unsigned what, uint64_t due);

/* When a wait for a stream that begins now times out: the time-out or the deadline. Who knows the
 * time asks ost_stream_due(); here the clock is read where it matters. */
uint64_t ost_wait_due(const struct ost_stream *stream);

#endif
