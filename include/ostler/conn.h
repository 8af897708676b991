/** An evented connection: its handler runs on the reactor and must not block.
 *
 *  Thread of everything here, but for ostler_post_to(): the reactor's; from another
 *  thread the functions return -EPERM. A conn is valid until its on_close returns.
 *  Every function may be called on any conn at any time, inside callbacks too:
 *  closing in a callback is carried out when the callback is over. */
#ifndef OSTLER_CONN_H
#define OSTLER_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ostler/address.h>
#include <ostler/request.h>
#include <ostler/version.h>

OSTLER_BEGIN

struct ostler_reactor;

/** What a handler receives, and the base of its own struct if it has state
 *  (OSTLER_SIZE, OSTLER_SELF in <ostler/stream.h>), zeroed behind the base. */
struct ostler_conn {
    struct ostler_request *request;
};

/** All slots but the ones you need may stay NULL. One that returns a negative
 *  errno ends the connection, through the server's handle_error. */
struct ostler_conn_handler {
    size_t size; /* OSTLER_SIZE(struct mine, base); 0: no state of its own */

    /** The connection is there (accepted, or connected). */
    int (*on_open)(struct ostler_conn *conn);

    /** n > 0 bytes have arrived or are left from before. Return how many were used
     *  (0 to n); the rest comes again: at once if some were used, else together with
     *  more. So one that is busy pauses, rather than to return 0: more may never come.
     *  data is valid until the return. A rest beyond max_input closes the
     *  connection. At the peer's end of file the rest is offered once more, while
     *  bytes are used; what is left then is dropped. NULL: input is discarded. */
    ssize_t (*on_data)(struct ostler_conn *conn, const void *data, size_t n);

    /** Output had grown over the high mark, and has fallen to the low mark. */
    int (*on_drain)(struct ostler_conn *conn);

    /** The peer sends no more (it may still read). NULL: close, after what is queued
     *  has left. A handler that has this slot closes the connection itself. */
    int (*on_eof)(struct ostler_conn *conn);

    /** The timer of ostler_conn_set_timer() fired. */
    int (*on_timeout)(struct ostler_conn *conn);

    /** The last call. The connection can no longer be used for anything but the
     *  functions that only tell. error is 0 or the -errno behind the reason. */
    void (*on_close)(struct ostler_conn *conn, enum ostler_close_reason reason, int error);

    bool disable_nagle; /* its servers have the option of that name */
};

/** Send n bytes. Inside a callback of a connection small writes are gathered and
 *  leave together when it returns, or before they would be more than max_output; what the
 *  kernel refuses is queued. Over the high mark the connection stops reading by itself,
 *  until output has fallen to the low mark. Over max_output nothing is queued, the
 *  connection is closed, with a reset (TCP) if the peer has the begin of something, and -ENOBUFS
 *  returned. -EPIPE once it is closing or after a half-close; else why sending failed, as
 *  -ECONNRESET, which closes it. */
OSTLER_API int ostler_conn_write(struct ostler_conn *conn, const void *data, size_t n);

/** Bytes of output not yet taken by the kernel. In on_close: what of it is lost,
 *  beside what a write was refused. */
OSTLER_API size_t ostler_conn_queued(const struct ostler_conn *conn);

/** Has output grown over the high mark, and not yet fallen to the low one? Whoever
 *  writes to this connection should then wait for its on_drain. */
OSTLER_API bool ostler_conn_is_full(const struct ostler_conn *conn);

/** Stop and start reading. A paused connection gets no on_data and no on_eof. What on_data had
 *  left is offered again after the resume, without waiting for more (but not if both come
 *  within one on_data). */
OSTLER_API int ostler_conn_pause(struct ostler_conn *conn);
OSTLER_API int ostler_conn_resume(struct ostler_conn *conn);

/** The two marks for this connection, in bytes, low <= high <= max_output; -EINVAL.
 *  This function and the next three return -ENOMEM, and change nothing, when there is no
 *  memory for what this connection is to have of its own. */
OSTLER_API int ostler_conn_set_marks(struct ostler_conn *conn, size_t low, size_t high);

/** Call on_timeout once, ms (>= 0) from now, or with OSTLER_NEVER not at all. */
OSTLER_API int ostler_conn_set_timer(struct ostler_conn *conn, long ms);

/** Close it when no byte has moved either way for ms; OSTLER_NEVER: never. The
 *  server's timeout_ms is where it starts. 0 is -EINVAL. */
OSTLER_API int ostler_conn_set_timeout(struct ostler_conn *conn, long ms);

/** Close it ms from now, whatever it does; OSTLER_NEVER: no deadline. */
OSTLER_API int ostler_conn_set_deadline(struct ostler_conn *conn, long ms);

/** Half-close: SHUT_WR once what is queued has left. Reading goes on. */
OSTLER_API int ostler_conn_shutdown_write(struct ostler_conn *conn);

/** Close it once what is queued has left; no more input is delivered. */
OSTLER_API int ostler_conn_close(struct ostler_conn *conn);

/** Close it at once with a reset; what is queued is dropped. */
OSTLER_API int ostler_conn_abort(struct ostler_conn *conn);

/** Open an outgoing connection on server's reactor, one of server's from then on
 *  (it stops with it, and its limits are the server's; it does not count for
 *  max_requests). address is numeric. *out is valid at once: writes are queued
 *  until on_open. on_close with OSTLER_CLOSE_CONNECT tells of failure; when this
 *  function itself fails (-EINVAL, -ENODEV, -EMFILE, -ENOMEM, -ESHUTDOWN …) nothing is called. */
OSTLER_API int ostler_conn_connect(struct ostler_conn **out, struct ostler_server *server, const char *address,
                                   const struct ostler_conn_handler *handler);

/** The name of conn: ostler_request_id(conn->request), for the reactor's thread alone. Serial 0
 *  (which names nothing) when there was no memory. */
OSTLER_API struct ostler_request_ref ostler_conn_id(struct ostler_conn *conn);

/** On the reactor's thread: function(conn, arg) if the connection is still there,
 *  nothing otherwise; then, either way, release(arg) unless release is NULL.
 *  -ENOMEM, -EINVAL: neither is called. Thread: any, as long as the reactor lives. */
OSTLER_API int ostler_post_to(struct ostler_request_ref id, void (*function)(struct ostler_conn *conn, void *arg),
                              void *arg, void (*release)(void *arg));

OSTLER_API struct ostler_server *ostler_conn_server(const struct ostler_conn *conn);
OSTLER_API const struct ostler_address *ostler_conn_peer(const struct ostler_conn *conn);

OSTLER_END

#endif
