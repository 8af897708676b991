/** Waiting for several things at once, in straight-line code: a handler's stream, sockets,
 *  mailboxes, descriptors of other libraries, a time-out. The same under every mix-in: a
 *  fiber or an inline handler lets the reactor work on meanwhile, a thread or a child
 *  waits in the kernel. A thread outside of every request may wait too.
 *
 *  Errors of everything here: -ETIMEDOUT: the request's deadline has passed
 *  (ostler_stream_set_deadline()). -ECANCELED: the request was cancelled, or its server
 *  stopped and did not wait any longer. -EDEADLK: in a callback on the reactor, which
 *  must not wait (with a time-out of 0 it may look). */
#ifndef OSTLER_WAIT_H
#define OSTLER_WAIT_H

#include <stddef.h>

#include <ostler/here.h>
#include <ostler/version.h>

OSTLER_BEGIN

struct ostler_mailbox;
struct ostler_socket;
struct ostler_stream;

/** What to wait for. Of a mailbox OSTLER_READ is a message, or that it was closed, and
 *  OSTLER_WRITE is room for one. */
enum { OSTLER_READ = 1, OSTLER_WRITE = 2 };

/** One thing to wait for: the first of stream, socket and mailbox that is not NULL, or
 *  else fd, of which everything is as poll(2) says: a regular file is always ready. */
struct ostler_wait {
    struct ostler_stream *stream; /* the handler's own */
    struct ostler_socket *socket;
    struct ostler_mailbox *mailbox;
    int fd;
    unsigned events; /* OSTLER_READ, OSTLER_WRITE or both; 0: not this one, this time */
    unsigned ready;  /* out: those that came; the end of input, or an error, is both asked for */
};

/** Wait until at least one of the count things is ready, at most timeout_ms (0: only look;
 *  OSTLER_NEVER: no limit). Return how many are, with their ready set; 0: the time is up.
 *  Of several that are ready it may tell only some; the others come with the next call.
 *  -EINVAL: nothing to wait for, and no limit; an event that is none; a stream that is not
 *  the calling handler's. -EBADF: a closed socket or descriptor. After an error no ready has
 *  changed.
 *
 *   - A stream is ready when a read would not wait: also when read_line has received more
 *     than it has given. Unless that is so, what is gathered for the peer is sent first,
 *     as by a read. Of a datagram everything is ready.
 *   - While a stream is waited for, its own time-out (ostler_stream_set_timeout()) counts as
 *     well, so that a silent peer does not hold the handler for ever: then -ETIMEDOUT.
 *   - That a thing is ready is a hint: with several waiting for one mailbox or socket,
 *     another may be faster. Bound the call that follows by a time-out of its own, or 0. */
OSTLER_API int ostler_wait_any(struct ostler_wait *waits, size_t count, long timeout_ms);

/** Sleep for ms (0 or more) milliseconds; 0 lets others have a turn. 0, or -errno. */
OSTLER_API int ostler_sleep_ms(long ms);

/* Each from here: see <ostler/here.h>. */
#ifndef OSTLER_NO_HERE
#define ostler_wait_any(...) OSTLER_FROM_HERE(ostler_wait_any, __VA_ARGS__)
#define ostler_sleep_ms(...) OSTLER_FROM_HERE(ostler_sleep_ms, __VA_ARGS__)
#endif

OSTLER_END

#endif
