/* The straight-line face's inside: the stream, its buffers, and where it waits. */
#ifndef OST_REQUEST_STREAM_H
#define OST_REQUEST_STREAM_H

#include <errno.h>
#include <stdalign.h>
#include <stddef.h>

#include <ostler/stream.h>

#include "request/relay.h"
#include "request/request.h"
#include "request/wait.h"

struct ost_batch;

struct ost_packet;
struct ost_stream;

/* Where a stream's bytes come from and go to. Thread: the handler's. */
struct ost_channel {
    ssize_t (*receive)(struct ost_stream *stream, void *buffer, size_t n);
    int (*send)(struct ost_stream *stream, const void *data, size_t n);
    int (*half_close)(struct ost_stream *stream);
    int (*finish)(struct ost_stream *stream); /* the handler is done: what is left to send leaves. 0 or -errno */
};

extern const struct ost_channel ost_socket_channel, ost_packet_channel;

enum { OST_STREAM_INPUT = 4096 }; /* read_line's buffer */

/* How a handler that runs on the reactor's own thread waits: park() comes back
 * after unpark(), or before it and is then called again. A handler in a thread or
 * a child has none: it waits in the kernel. Set by the mix-in. */
struct ost_parker {
    void (*park)(struct ost_stream *stream);
    void (*unpark)(struct ost_stream *stream);
};

/* How the child that ran a handler died before it could report. */
enum ost_death { OST_REPORTED, OST_KILLED, OST_LOST, OST_UNBORN };

struct ost_stream {
    struct ostler_request request;
    /* Each read and write touches these, and of a thousand streams none is in the cache: so they stand together. */
    const struct ost_channel *channel;
    const struct ost_parker *parker;
    struct ost_relay *relay;  /* by which the child that runs it tells; NULL: none does */
    _Atomic(const char *) place; /* of the call in which it waits, or last did: see ost_here() */
    _Atomic uint64_t since;   /* ms on the clock; 0: it runs */
    uint64_t deadline;        /* ms on the clock, or OST_NEVER */
    long timeout_ms;          /* OSTLER_NEVER: none */
    long receive_timeout;     /* what SO_RCVTIMEO is set to, ms; 0: none */
    size_t in_used, in_count; /* of what is in the buffer in */
    size_t out_count, out_size;
    bool shut;                /* half-closed by us */
    bool drained;             /* the last receive took all there was */
    unsigned char burst;      /* operations since the reactor had a turn */
    bool shared;              /* its socket has a twin: see ost_stream_share() */
    bool set_up;              /* setup was called, and finish is due */
    bool parked;              /* it waits on the reactor, and nothing runs it */
    bool shut_read;           /* stopping, and SHUT_RD told a thread that waits for more */
    bool shut_down;           /* shutdown_request was called, in the child */
    unsigned char death;      /* enum ost_death */
    unsigned char death_status; /* the signal */

    char *in;                 /* read_line's buffer */
    char *out;                /* gathered output */
    struct ost_waiter *waiting; /* on the reactor; NULL: it runs */
    struct ost_packet *packet; /* of a datagram; else NULL */
    void *host;               /* the mix-in's: the fiber, or the child */
    struct ostler_socket *socket; /* of ostler_stream_socket(), which has nothing of its own but its memory */
    atomic_int wake;          /* in a thread: the eventfd that ends its waits, plus one; 0: none yet */
    pid_t child;              /* that runs it, in the parent; 0: none */
    uint64_t id;              /* its name and that one's generation: its thread may ask for them */
    int ended;                /* 0, or the -errno that ended a wait on the reactor: handle is not called again */
    alignas(max_align_t) struct ostler_stream base; /* then the subclass's members */
};

int ost_stream_new(struct ostler_request **out, struct ost_owner *owner, int fd, const struct ostler_address *peer);

/* setup, handle, finish, flush; or as much of them as is due. 0, -errno, or OSTLER_PARK.
 * Thread: the handler's. */
int ost_stream_run(struct ost_stream *stream);

/* The index-th datagram of a batch, as a stream. fd stays the listener's. -ENOMEM. */
int ost_packet_new(struct ostler_request **out, struct ost_owner *owner, int fd, const struct ost_batch *batch,
                   int index);
void ost_packet_silence(struct ost_packet *packet);
const void *ost_packet_data(const struct ost_packet *packet);

/* Free it, once its last slot was called; of a connection there is none. */
void ost_packet_fini(struct ost_stream *stream);

/* Has its reply left, and the kernel refused it? */
bool ost_packet_is_lost(const struct ost_packet *packet);

/* 0, or why its handler may do nothing any more: -ECANCELED, or -ETIMEDOUT past the deadline. Thread:
 * the handler's. */
static inline int ost_stream_check(const struct ost_stream *s)
{
    if (ost_request_is_cancelled(&s->request))
        return -ECANCELED;
    return s->deadline != OST_NEVER && ost_clock_ms() >= s->deadline ? -ETIMEDOUT : 0;
}

/* Note error as one of the connection's own, which its handler may hand on; and return it. Thread: the
 * handler's. */
static inline int ost_stream_failed(struct ost_stream *s, int error)
{
    s->request.io_error = ost_error16(error);
    return error;
}

/* When a wait that begins now times out: the time-out or the deadline. */
static inline uint64_t ost_stream_due(const struct ost_stream *s, uint64_t now)
{
    uint64_t due = ost_clock_after(now, s->timeout_ms);

    return due < s->deadline ? due : s->deadline;
}

/* The stream that a request is, or NULL: an evented connection or datagram. */
static inline const struct ost_stream *ost_stream_of(const struct ostler_request *r)
{
    return r->is_conn || !r->owner->options.stream ? NULL : OST_CONTAINER(r, const struct ost_stream, request);
}

/* The stream of the calling handler, or NULL; and the same check for it, who else calls may do all. */
static inline struct ost_stream *ost_stream_current(void)
{
    struct ostler_request *r = ost_request_current();

    return r ? OST_CONTAINER(r, struct ost_stream, request) : NULL;
}

static inline int ost_stream_check_current(void)
{
    struct ost_stream *s = ost_stream_current();
    int error = s ? ost_stream_check(s) : 0;

    return error < 0 ? ost_stream_failed(s, error) : 0;
}

/* Somebody else is to have the socket, too: from now on no time-out of ours is among its options. 0 or
 * -errno. Thread: the handler's. */
int ost_stream_share(struct ost_stream *stream);

/* Send what is gathered. */
static inline int ost_stream_flush(struct ost_stream *s)
{
    size_t n = s->out_count;

    s->out_count = 0;
    return n > 0 ? s->channel->send(s, s->out, n) : 0;
}

/* The same once the handler has ended. The peer's going is nobody's fault by now, and what went wrong before
 * stays what did. */
static inline void ost_stream_flush_last(struct ost_stream *s)
{
    int16_t io_error = s->request.io_error;

    ost_stream_flush(s);
    s->request.io_error = io_error;
}

/* The calling fiber or inline handler has done something that did not wait: after a number of those
 * the reactor has a turn. 0 or -errno. */
int ost_give_turn(void);

/* Keep the request on the reactor until it has input or its time is up; then it goes
 * to owner->ready(). Thread of these: the reactor's. */
void ost_park(struct ost_stream *stream);

/* End that wait now; error: 0, or why. */
void ost_unpark(struct ost_stream *stream, int error);

/* Its input ends now, or with what has arrived: wake it if it waits. */
void ost_stream_stop(struct ostler_request *request);

/* Let whatever it waits for fail. */
void ost_stream_cancel(struct ostler_request *request);

/* Free the buffers, once the handler has ended; or only close what woke it in a thread. */
void ost_stream_fini(struct ost_stream *stream);
void ost_stream_close_wake(struct ost_stream *stream);

static inline struct ost_stream *ost_stream_inside(const struct ostler_stream *stream)
{
    return OST_CONTAINER(stream, struct ost_stream, base);
}

/* For those who list requests: it waits from now on, where its handler has called; it runs. */
static inline void ost_stream_note_wait(struct ost_stream *s, uint64_t now)
{
    atomic_store_explicit(&s->place, ost_here(), memory_order_relaxed);
    atomic_store_explicit(&s->since, now, memory_order_relaxed);
    if (s->relay)
        ost_relay_note(s->relay, s);
}

/* It does so on the reactor, and nothing runs it. */
static inline void ost_stream_note_idle(struct ost_stream *s, uint64_t now)
{
    atomic_store_explicit(&s->place, NULL, memory_order_relaxed);
    atomic_store_explicit(&s->since, now, memory_order_relaxed);
}

static inline void ost_stream_note_run(struct ost_stream *s)
{
    atomic_store_explicit(&s->since, 0, memory_order_relaxed);
    if (s->relay)
        ost_relay_note(s->relay, s);
}

#endif
