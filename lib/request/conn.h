/* The evented face's inside. A callback never ends or frees a conn, and never sends:
 * it changes the state and leaves a job, and ost_conn_settle() does what is due when
 * the callback is over. Thread: the reactor's. */
#ifndef OST_REQUEST_CONN_H
#define OST_REQUEST_CONN_H

#include <stdalign.h>
#include <stddef.h>

#include <ostler/conn.h>

#include "request/output.h"
#include "request/request.h"

/* What most connections do without: made when it is first needed. */
struct ost_conn_own {
    struct ost_conn *conn;
    struct ost_terms terms;
    char *in; /* input that the handler has left: in_count of in_size bytes */
    uint32_t in_count, in_size;
    struct ost_timer alarm, deadline; /* when on_timeout is due; the end */
};

/* The request's timer says when it has been silent for too long, and so when a byte last moved. */
struct ost_conn {
    struct ostler_request request;
    union {
        struct {
            bool connecting : 1; /* an outgoing one, not there yet */
            bool paused : 1;     /* by the handler */
            bool full : 1;       /* output is over the high mark: paused by that */
            bool blocked : 1;    /* the kernel refused output: wait for OST_WRITE */
            bool offer : 1;      /* offer what is kept again, although nothing was added */
            bool eof_told : 1;
            bool half_close : 1; /* SHUT_WR when the output has left */
            bool shut : 1;       /* and that was done */
            bool closing : 1;    /* close when the output has left */
            bool drop : 1;       /* … and don't wait for it */
        };
        uint16_t unusual; /* any of these */
    };
    bool opened : 1;   /* on_open was called */
    bool offering : 1; /* on_data is being called */
    bool busy : 1;     /* what is due is done when the callback that runs is over, without being asked for */
    uint32_t pushed;   /* bytes sent from within the current callback */
    struct ost_output *out;
    struct ost_conn_own *own; /* NULL: none */
    alignas(max_align_t) struct ostler_conn base; /* then the subclass's members */
};

int ost_conn_new(struct ostler_request **out, struct ost_owner *owner, const struct ostler_conn_handler *handler,
                 int fd, const struct ostler_address *peer);

/* What it has of its own; NULL: there is no memory. */
struct ost_conn_own *ost_conn_own(struct ost_conn *conn);

/* Give back what it has beside its own piece of memory. */
void ost_conn_fini(struct ost_conn *conn);

/* Begin: on_open, then input. The request is connected. */
void ost_conn_start(struct ostler_request *request);

/* The server stops: input ends now, or with what has arrived. */
void ost_conn_stop(struct ostler_request *request);
void ost_conn_cancel(struct ostler_request *request);

/* Do what is due, now. */
void ost_conn_settle(struct ost_conn *conn);

/* Close it: once the output has left; or at once, without it. The first reason
 * stays. */
void ost_conn_finish(struct ost_conn *conn, enum ostler_close_reason reason, int error);
void ost_conn_fail(struct ost_conn *conn, enum ostler_close_reason reason, int error);

/* Call one of the handler's callbacks, by its name. */
int ost_conn_call(struct ost_conn *conn, int (*callback)(struct ostler_conn *conn), const char *name);

/* A callback returned a negative errno. */
void ost_conn_handler_failed(struct ost_conn *conn, int error);

/* May the handler be given input now? */
static inline bool ost_conn_is_reading(const struct ost_conn *conn)
{
    return conn->unusual == 0 || (!conn->paused && !conn->full && !conn->closing && !conn->connecting);
}

static inline const struct ost_terms *ost_conn_terms(const struct ost_conn *conn)
{
    return conn->own ? &conn->own->terms : &conn->request.owner->terms;
}

static inline struct ostler_reactor *ost_conn_reactor(const struct ost_conn *conn)
{
    return conn->request.owner->reactor;
}

/* Do what is due, soon. */
static inline void ost_conn_touch(struct ost_conn *conn)
{
    if (!conn->busy)
        ost_reactor_soon(ost_conn_reactor(conn), &conn->request.job);
}

/* Patience for ms: 30 years, if it may be silent for ever. */
static inline uint64_t ost_conn_patience(long ms)
{
    return ms < 0 ? UINT64_C(1) << 40 : (uint64_t)ms;
}

/* A byte has moved just now. */
static inline void ost_conn_moved(struct ost_conn *conn)
{
    conn->request.timer.due = ost_reactor_now(ost_conn_reactor(conn)) + ost_conn_terms(conn)->patience;
}

/* A byte has moved then, and the timer is to see to it. */
static inline void ost_conn_watch_silence(struct ost_conn *conn, uint64_t since)
{
    ost_timer_set(&conn->request.timer, ost_conn_reactor(conn), since + ost_conn_terms(conn)->patience);
}

/* When a byte last moved; 0: it is over. */
static inline uint64_t ost_conn_progress(const struct ost_conn *conn)
{
    uint64_t due = conn->request.timer.due;

    return due == OST_NEVER ? 0 : due - ost_conn_terms(conn)->patience;
}

/* Readiness, and what follows from it. */
void ost_conn_ready(struct ost_watch *watch, unsigned what);

/* Send what waits, unless the kernel was full and has not said otherwise. The
 * second also does what follows from it, callbacks included. */
void ost_conn_send(struct ost_conn *conn);
void ost_conn_flush(struct ost_conn *conn);

/* Take note of the end of input; if the server stops, and all of it was read. */
void ost_conn_end_input(struct ost_conn *conn);

static inline void ost_conn_check_input(struct ost_conn *conn)
{
    if (ost_request_input_is_over(&conn->request) && !conn->request.eof)
        ost_conn_end_input(conn);
}

/* Offer what is kept, and tell of the end of file, if that is due. */
void ost_conn_offer_kept(struct ost_conn *conn);

/* connect(2) has come to an end. */
void ost_conn_connected(struct ost_conn *conn);

#endif
