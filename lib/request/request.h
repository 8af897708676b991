/* A request: one connection, from accept to close, under either face. The reactor
 * owns its descriptor throughout; whatever runs the handler only reports its end.
 *
 *   accept ─> ost_request_new ─> mix-in ─> ostler_request_run ─> (job) ─┐
 *                         └────> ost_conn_start ─> callbacks ───────────┴─> ost_request_close
 *                                                                             └─> discard ─> free
 *
 * Thread: the reactor's, but for what the comments in struct ostler_request say. */
#ifndef OST_REQUEST_REQUEST_H
#define OST_REQUEST_REQUEST_H

#include <sys/types.h>

#include <ostler/request.h>
#include <ostler/server.h>

#include "base/throttle.h"
#include "net/address.h"
#include "reactor/current.h"
#include "reactor/timer.h"
#include "reactor/watch.h"

/* How long input is discarded, at most, after the end. */
enum { OST_LINGER_MS = 2000 };

/* What an evented connection goes by: the server's options say it, and those that differ have their own. */
struct ost_terms {
    const struct ostler_conn_handler *handler;
    uint64_t patience;           /* how long it may be silent, in ms */
    size_t max_output, high, low; /* unsent output, and its marks */
};

/* Where a walk through an owner's requests goes on that others may end meanwhile: they move it. */
struct ost_cursor {
    struct ost_list node; /* in owner->cursors */
    struct ost_list *at;  /* the next request, or the end of the list */
};

/* What the requests of one server share: the server's side that faces them. It begins with what each
 * message looks at. */
struct ost_owner {
    struct ostler_reactor *reactor;
    struct ost_terms terms; /* .conn */
    uint64_t stall_ms;      /* options.stall_warn_ms, or OST_NEVER */
    struct ostler_server *server;
    struct ostler_server_class classes[OST_KINDS]; /* by the kind of a request's address; no slot is NULL */
    struct ostler_server_options options; /* no default is left to fill in */
    struct ost_list requests; /* the oldest first */
    struct ost_list cursors;  /* among them; see server/requests.c */
    atomic_bool stopping;
    struct ost_throttle stalls;
    atomic_ullong dropped; /* datagrams that got no place, replies that could not be sent … (any thread) */
    void (*ended)(struct ost_owner *owner); /* a counted request gave its place back */
    void (*parked)(struct ost_owner *owner, struct ostler_request *request); /* it did so to wait for input */
    void (*ready)(struct ost_owner *owner, struct ostler_request *request);  /* … and wants one again */
    void (*freed)(struct ost_owner *owner, int fd); /* a request is gone; fd: what it shared, or -1 */
    void (*unborn)(struct ost_owner *owner, struct ostler_request *request, int error); /* no child could be made */
    void (*cancel)(struct ost_owner *owner, struct ostler_request *request); /* end it, and no other */
    void (*connects)(struct ost_owner *owner); /* it has an outgoing connection */
};

/* The terms that options say, which have no default left to fill in. */
struct ost_terms ost_conn_terms_of(const struct ostler_server_options *options);

/* struct ostler_server, which this layer does not see, begins with its owner. */
static inline struct ost_owner *ost_owner_of(struct ostler_server *server)
{
    return (struct ost_owner *)(void *)server;
}

/* There may be very many of these, and each message touches one: so it is small, and what a message
 * touches stands together, from timer.due on, and goes on in struct ost_conn or struct ost_stream. What
 * comes before is for its beginning, its end, and being looked at. */
struct ostler_request {
    struct ost_list node; /* in owner->requests */
    union {
        uint32_t name;       /* see reactor/names.h; 0: it has none */
        uint32_t linger_end; /* once discarding: when that ends at the latest; the clock's low half */
    };
    uint32_t born_low;    /* see ost_request_born() */
    int16_t error;        /* 0 or the -errno behind reason, whose author writes it */
    int16_t io_error;     /* what this connection's own I/O failed with last (handler's thread) */
    union {
        int input_left;   /* once stopping: bytes that may still be read (handler's thread) */
        int discarded;    /* once discarding: input bytes thrown away */
    };
    struct ost_job job;           /* whatever comes next for this request */
    struct ost_timer timer;
    struct ost_watch watch;
    struct ost_owner *owner;
    _Atomic uint64_t bytes_in, bytes_out; /* added to by the handler's thread alone */
    uint32_t peer_at;             /* where the peer's address is, behind it; 0: see ost_request_peer() */
    atomic_bool stopping;         /* its input ends with what has arrived */
    atomic_bool cancelled;        /* SHUT_RDWR was done: nothing works any more */
    atomic_uchar reason;          /* enum ostler_close_reason (any thread: the first one stays) */
    bool eof;                     /* the end of input was read (handler's thread) */
    bool peer_done;               /* and it was the peer's own */
    bool broken;                  /* the socket failed: there is nobody to discard for (handler's thread) */
    bool reset;                   /* close with a reset */
    bool in_child;                /* its handler runs there: see relay in struct ost_stream */
    /* Set when it is made. */
    bool is_conn : 1;             /* struct ost_conn, else struct ost_stream or struct ost_datagram */
    bool datagram : 1;            /* the descriptor is the listener's */
    bool cut : 1;                 /* … and it was longer than what was received */
    bool : 0;
    /* The reactor's thread's alone. */
    bool counted : 1;             /* it holds one of the server's places */
    bool closing : 1;             /* the handler has done with it */
    bool discarding : 1;          /* … and its input is discarded */
    uint16_t born_high;
};

/* The peer's address: of an evented datagram it stands elsewhere. */
const struct ostler_address *ost_datagram_peer(const struct ostler_request *request);

static inline const struct ostler_address *ost_request_peer(const struct ostler_request *request)
{
    const char *piece = (const char *)request;

    return request->peer_at ? (const struct ostler_address *)(const void *)(piece + request->peer_at)
                            : ost_datagram_peer(request);
}

/* An error as it is kept: no errno is greater, but a handler may return what it likes. */
static inline int16_t ost_error16(int error)
{
    return (int16_t)(error < INT16_MIN ? INT16_MIN : error);
}

/* When it was born, in ms on the clock. */
static inline uint64_t ost_request_born(const struct ostler_request *request)
{
    return (uint64_t)request->born_high << 32 | request->born_low;
}

static inline const struct ostler_server_class *ost_request_class(const struct ostler_request *request)
{
    return &request->owner->classes[ost_request_peer(request)->kind];
}

/* Allocate a request of size bytes (the whole of the struct that begins with it)
 * for fd, and enter it in owner's list. Consumes fd on success. -ENOMEM. */
int ost_request_new(struct ostler_request **out, struct ost_owner *owner, size_t size, int fd,
                    const struct ostler_address *peer);

/* Undo that; fd is the caller's again. */
void ost_request_forget(struct ostler_request *request);

/* Take it out of owner's list: who walks through that goes on behind it. */
void ost_request_leave(struct ostler_request *request);

/* The request of the right kind for what owner serves. As ost_request_new(). */
int ost_request_accept(struct ostler_request **out, struct ost_owner *owner, int fd,
                       const struct ostler_address *peer);

/* Count bytes. Thread: the handler's. */
static inline void ost_request_count(_Atomic uint64_t *bytes, uint64_t n)
{
    atomic_store_explicit(bytes, atomic_load_explicit(bytes, memory_order_relaxed) + n, memory_order_relaxed);
}

/* Receive with flags: the count, 0 at the end (which latches), or -errno.
 * Thread: the handler's. */
ssize_t ost_request_receive(struct ostler_request *request, void *buffer, size_t n, int flags);

/* The same by another call, which takes in n bytes or less to wherever into says. With MSG_PEEK
 * nothing is counted, and no end latches. */
typedef ssize_t ost_receiving(int fd, void *into, size_t n, int flags);
ssize_t ost_request_receive_by(struct ostler_request *request, ost_receiving *receive, void *into, size_t n, int flags);

/* Note that a receive brought nothing, not for lack of room: 0 or -errno, which it returns. */
ssize_t ost_request_received_nothing(struct ostler_request *request, ssize_t got);

/* Note an error of the socket, and hand it on. */
int ost_request_failed(struct ostler_request *request, int error);

/* Note what a call that sends has returned: the count or -errno. */
static inline ssize_t ost_request_sent(struct ostler_request *request, ssize_t sent)
{
    if (sent < 0)
        return ost_request_failed(request, (int)sent);
    ost_request_count(&request->bytes_out, (uint64_t)sent);
    return sent;
}

/* Send once: the count or -errno. Thread: the handler's. */
ssize_t ost_request_send(struct ostler_request *request, const void *data, size_t n, int flags);

/* Once stopping: was all read that had arrived then? Thread: the handler's. */
static inline bool ost_request_input_is_over(const struct ostler_request *request)
{
    return atomic_load_explicit(&request->stopping, memory_order_acquire) && request->input_left == 0;
}

/* Keep the first reason. Thread: any that it runs on. */
void ost_request_blame(struct ostler_request *request, enum ostler_close_reason reason, int error);

/* The reason that fits an error a handler returned. */
enum ostler_close_reason ost_request_reason(int error);

/* The server stops: let a closing request end when its output has arrived, rather
 * than at the peer's end of file. */
void ost_request_close_sooner(struct ostler_request *request);

/* A descriptor is needed: close the oldest request that only waits to be closed, and
 * whose output has arrived. */
void ost_request_spare_descriptor(struct ostler_reactor *reactor);

/* The handler is done and its output handed over: SHUT_WR, discard input until its
 * end, close, free. */
void ost_request_close(struct ostler_request *request);

/* As ost_request_close(), without discarding. */
void ost_request_close_now(struct ostler_request *request);

/* The server stops: let the request's input end with what has arrived; end everything. */
void ost_request_stop(struct ostler_request *request);
void ost_request_cancel(struct ostler_request *request);

/* Did everything end for it? Thread: any that it runs on, a child's too. */
bool ost_request_is_cancelled_afar(const struct ostler_request *request); /* in a child: by the parent */

static inline bool ost_request_is_cancelled(const struct ostler_request *request)
{
    return atomic_load(&request->cancelled) || (request->in_child && ost_request_is_cancelled_afar(request));
}

/* Was it told to stop? Thread: any that it runs on, a child's too. */
bool ost_request_is_stopped(const struct ostler_request *request);

#endif
