/** A connection for straight-line code. Its functions may block, and that is what
 *  they are for: in a thread they wait in the system call, on a fiber or inline
 *  they let the reactor work on. So one handler runs under every mix-in.
 *
 *  Errors: -errno. -ETIMEDOUT: nothing moved for the time-out, or the deadline has
 *  passed. -ECANCELED: the server stopped and did not wait any longer. -ECONNRESET,
 *  -EPIPE: the peer is gone. -EINVAL: a NULL, or a size that no ssize_t holds. End of
 *  file latches: once a read returned 0, every later one does. Thread of everything here: the
 *  one that runs the handler. */
#ifndef OSTLER_STREAM_H
#define OSTLER_STREAM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <ostler/address.h>
#include <ostler/here.h>
#include <ostler/request.h>
#include <ostler/version.h>

OSTLER_BEGIN

/** What a handler receives, and the base of its own struct if it has state (see
 *  OSTLER_SIZE). One instance a connection, zeroed behind the base. */
struct ostler_stream {
    struct ostler_request *request;
};

/** What handle() may return instead of 0: nothing is to be done until the peer sends
 *  more. What is gathered is flushed, the connection waits on the reactor, where it holds
 *  no thread, child or fiber, and handle() is called again, perhaps elsewhere, once bytes
 *  or the end of the stream are there (at once, if a line was read and more came with it).
 *  setup and finish are called once each: finish also when the time-out or the deadline
 *  ends the wait, which then goes to handle_error; but not when there is nothing to call it
 *  in: no thread or process to be had, or a forking server that is freed. A child hands its struct on to the next
 *  one as bytes: what these point to, if it was made in the child, is gone. */
#define OSTLER_PARK 0x7061726b

struct ostler_socket;

/** setup, handle and finish, as in Python's StreamRequestHandler. Each returns 0
 *  or -errno, which goes to the server's handle_error. setup failing: neither of the
 *  others is called. handle failing: finish is called. Then, whichever failed, buffered
 *  output is flushed and the connection closed.
 *
 *  On a datagram server this is Python's DatagramRequestHandler: the stream is the
 *  datagram, then it ends; what was written leaves as one datagram after finish, an empty
 *  one if nothing was. A write that makes it longer than a datagram can be
 *  (ostler_datagram_reply()) fails with -EMSGSIZE. handle() runs once: OSTLER_PARK is like 0.
 *  The deadline counts from its arrival here, the wait for a place included. Past it the handler is
 *  not begun, and no reply leaves: handle_error gets -ETIMEDOUT, as it gets -EDESTADDRREQ for a Unix
 *  peer that bound no name, which nothing can be sent to. */
struct ostler_stream_handler {
    size_t size; /* OSTLER_SIZE(struct mine, base); 0: no state of its own */
    int (*setup)(struct ostler_stream *stream);
    int (*handle)(struct ostler_stream *stream); /* required */
    int (*finish)(struct ostler_stream *stream);
    size_t output_buffer; /* bytes gathered before they are sent; 0: each write leaves at once */
    bool disable_nagle;   /* its servers have the option of that name */
};

/** The size of a subclass; does not compile unless base is its first member. */
#define OSTLER_SIZE(type, base) (sizeof(type) + 0 * sizeof(char[1 - 2 * (offsetof(type, base) != 0)]))

/** From a pointer to the base back to the subclass. */
#define OSTLER_SELF(pointer, type, base) ((type *)(void *)((char *)(pointer)-offsetof(type, base)))

/** Read up to size bytes into buffer, waiting until at least one is there.
 *  Return the count, 0 at the end of the stream, or -errno. */
OSTLER_API ssize_t ostler_stream_read(struct ostler_stream *stream, void *buffer, size_t size);

/** Read exactly size bytes, or what came before the end of the stream. Return the
 *  count (less than size only at the end of the stream), or -errno: then what had
 *  arrived is lost, and the connection should end. */
OSTLER_API ssize_t ostler_stream_read_exactly(struct ostler_stream *stream, void *buffer, size_t size);

/** Read a line, its '\n' included, into buffer of size (at least 2) bytes, and end
 *  it with a NUL. Return its length without that NUL, 0 at the end of the stream, or
 *  -errno.
 *   - A line longer than size - 1 comes in pieces: one without '\n' at its end is
 *     continued by the next call. Nothing is lost.
 *   - A time-out in the middle of a line loses nothing either: after -ETIMEDOUT the next
 *     read begins with what had come. If that is more than 4,096 bytes, they are given as a
 *     piece instead, and it is the next call that times out.
 *   - A NUL byte in the line is a byte like others: trust the length returned.
 *   - A last line without '\n' is returned as it is. */
OSTLER_API ssize_t ostler_stream_read_line(struct ostler_stream *stream, char *buffer, size_t size);

/** Send all size bytes (or gather them, see ostler_stream_set_output_buffer()).
 *  0 or -errno; after an error it is unknown how many left. */
OSTLER_API int ostler_stream_write(struct ostler_stream *stream, const void *data, size_t size);

/** Format as printf(3) does, and write. 0 or -errno. */
OSTLER_API int ostler_stream_printf(struct ostler_stream *stream, const char *format, ...) OSTLER_PRINTF(2, 3);
OSTLER_API int ostler_stream_vprintf(struct ostler_stream *stream, const char *format, va_list arguments)
    OSTLER_PRINTF(2, 0);

/** Send what is gathered. It also leaves when the buffer is full, before the
 *  stream waits for input, at a half-close and at the end. */
OSTLER_API int ostler_stream_flush(struct ostler_stream *stream);

/** Gather up to size bytes of output before they are sent; 0 (the default) sends
 *  each write at once. Flushes what was gathered before. A datagram's reply leaves in one piece
 *  at the end whatever it is. -EINVAL: over 1 GiB. */
OSTLER_API int ostler_stream_set_output_buffer(struct ostler_stream *stream, size_t size);

/** Half-close: flush, then tell the peer that no more will come (SHUT_WR,
 *  shutdown(2)). Reading goes on; a write then fails with -EPIPE. */
OSTLER_API int ostler_stream_shutdown_write(struct ostler_stream *stream);

/** How long one read or write may wait without a byte moving, in milliseconds;
 *  OSTLER_NEVER: for ever. The server's timeout_ms is where it starts. 0 is -EINVAL. */
OSTLER_API int ostler_stream_set_timeout(struct ostler_stream *stream, long ms);

/** Let everything fail with -ETIMEDOUT from ms milliseconds from now on;
 *  OSTLER_NEVER: no deadline. The server's deadline_ms is where it starts. */
OSTLER_API int ostler_stream_set_deadline(struct ostler_stream *stream, long ms);

/** Send no datagram when the handler is done. 0 or -EINVAL; on a connection it changes
 *  nothing. */
OSTLER_API int ostler_stream_no_reply(struct ostler_stream *stream);

/** The connection as a socket object: what Python calls self.connection. Borrowed; it lives
 *  as long as the stream, and cannot be closed or detached (-EPERM). Its time-out is one of
 *  its own, at first none; the stream's deadline, a stop and a cancellation hold for it too.
 *  Bytes that go through it pass by the stream's buffers: what read_line has received and
 *  not given stays there, and what is gathered leaves first. -EOPNOTSUPP: it is a datagram;
 *  -ENOMEM. */
OSTLER_API int ostler_stream_socket(struct ostler_socket **out, struct ostler_stream *stream);

/** The server that accepted the connection, and the peer. Borrowed. */
OSTLER_API struct ostler_server *ostler_stream_server(const struct ostler_stream *stream);
OSTLER_API const struct ostler_address *ostler_stream_peer(const struct ostler_stream *stream);

/* Each from here: see <ostler/here.h>. */
#ifndef OSTLER_NO_HERE
#define ostler_stream_read(...) OSTLER_FROM_HERE(ostler_stream_read, __VA_ARGS__)
#define ostler_stream_read_exactly(...) OSTLER_FROM_HERE(ostler_stream_read_exactly, __VA_ARGS__)
#define ostler_stream_read_line(...) OSTLER_FROM_HERE(ostler_stream_read_line, __VA_ARGS__)
#define ostler_stream_write(...) OSTLER_FROM_HERE(ostler_stream_write, __VA_ARGS__)
#define ostler_stream_printf(...) OSTLER_FROM_HERE(ostler_stream_printf, __VA_ARGS__)
#define ostler_stream_vprintf(...) OSTLER_FROM_HERE(ostler_stream_vprintf, __VA_ARGS__)
#define ostler_stream_flush(...) OSTLER_FROM_HERE(ostler_stream_flush, __VA_ARGS__)
#define ostler_stream_set_output_buffer(...) OSTLER_FROM_HERE(ostler_stream_set_output_buffer, __VA_ARGS__)
#define ostler_stream_shutdown_write(...) OSTLER_FROM_HERE(ostler_stream_shutdown_write, __VA_ARGS__)
#endif

OSTLER_END

#endif
