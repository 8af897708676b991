/** A request: one accepted connection of a server, or one datagram, whatever runs its
 *  handler. */
#ifndef OSTLER_REQUEST_H
#define OSTLER_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include <ostler/address.h>
#include <ostler/version.h>

OSTLER_BEGIN

struct ostler_reactor;
struct ostler_request;
struct ostler_server;

/** Why a connection was closed. */
enum ostler_close_reason {
    OSTLER_CLOSE_NONE,         /* it is open */
    OSTLER_CLOSE_DONE,         /* the handler closed it, or returned */
    OSTLER_CLOSE_PEER,         /* the peer sent its end of file, and there was no more to do */
    OSTLER_CLOSE_RESET,        /* the peer reset it, or the network failed */
    OSTLER_CLOSE_TIMEOUT,      /* nothing moved for timeout_ms */
    OSTLER_CLOSE_DEADLINE,     /* its deadline passed */
    OSTLER_CLOSE_INPUT_LIMIT,  /* more unused input than max_input */
    OSTLER_CLOSE_OUTPUT_LIMIT, /* more unsent output than max_output */
    OSTLER_CLOSE_ERROR,        /* the handler failed */
    OSTLER_CLOSE_REFUSED,      /* verify_request said no, or nothing could run it */
    OSTLER_CLOSE_CONNECT,      /* ostler_conn_connect() did not succeed */
    OSTLER_CLOSE_ABORTED,      /* ostler_conn_abort() */
    OSTLER_CLOSE_STOPPED,      /* the server stopped and did not wait any longer */
    OSTLER_CLOSE_CANCELLED     /* ostler_request_cancel() */
};

/** A few words for the log. Static text, never NULL. */
OSTLER_API const char *ostler_close_reason_text(enum ostler_close_reason reason);

/** The peer's address; borrowed, valid as long as the request. Thread: any. */
OSTLER_API const struct ostler_address *ostler_request_peer(const struct ostler_request *request);

OSTLER_API struct ostler_server *ostler_request_server(const struct ostler_request *request);

/** Is it a datagram, and no connection? And was it longer than max_packet, so that its end
 *  is lost? Thread: any. */
OSTLER_API bool ostler_request_is_datagram(const struct ostler_request *request);
OSTLER_API bool ostler_request_was_cut(const struct ostler_request *request);

/** The bytes of a datagram, for verify_request too, and how many to *length; borrowed, valid
 *  as long as the request. NULL, and nothing written: it is a connection. Thread: any. */
OSTLER_API const void *ostler_request_data(const struct ostler_request *request, size_t *length);

/** The descriptor, which stays the reactor's: never close it. Of a datagram it is the
 *  listening socket. In a thread or a child it has an SO_RCVTIMEO (socket(7)) once its stream was read,
 *  which whoever else is to read from it, such as another program, undoes. */
OSTLER_API int ostler_request_fd(const struct ostler_request *request);

/** A name for a request that outlives it and may travel between threads. */
struct ostler_request_ref {
    struct ostler_reactor *reactor;
    uint64_t serial; /* 0 names nothing */
};

/** The name of request; serial 0 for an evented datagram, which is over when its callback
 *  returns, and when there is no memory. Thread: the one that runs the handler. */
OSTLER_API struct ostler_request_ref ostler_request_id(struct ostler_request *request);

/** End one request from outside: whatever its handler waits for, and whatever it does with
 *  its stream, its sockets or mailboxes from then on, fails with -ECANCELED (but for input
 *  that read_line has received already, and mailboxes with a time-out of 0, so that finish()
 *  can tell others). One whose handler has not begun is closed without it; an evented
 *  connection is closed without what was queued. It never waits for that. A child that has
 *  not ended a quarter of a second later is killed; a thread or fiber that computes is not
 *  stopped. A request that is gone is left alone. 0; -EINVAL, -ENOMEM; -EPERM in a child.
 *  Thread: any, as long as the reactor lives. */
OSTLER_API int ostler_request_cancel(struct ostler_request_ref id);

/** The request whose handler runs on the calling thread or fiber; NULL: none. Of straight-line handlers
 *  only. Thread: any. */
OSTLER_API struct ostler_request *ostler_request_current(void);

/** Bytes received from, and handed to the kernel for, the peer so far. Thread: any
 *  (of a child's request the parent knows what was true when it last waited). */
OSTLER_API uint64_t ostler_request_bytes_in(const struct ostler_request *request);
OSTLER_API uint64_t ostler_request_bytes_out(const struct ostler_request *request);

OSTLER_END

#endif
