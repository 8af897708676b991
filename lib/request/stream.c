/* The straight-line face: what a handler calls. Lines and gathered output are made
 * here, bytes and waiting in channel.c, or in packet.c for a datagram. */
#include "request/stream.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hot.h"
#include "reactor/names.h"

enum { TEXT_SIZE = 512, MOST_GATHERED = 1 << 30 /* as .output_buffer */ };

static struct ost_stream *inside(const struct ostler_stream *stream)
{
    return stream ? ost_stream_inside(stream) : NULL;
}

int ost_stream_new(struct ostler_request **out, struct ost_owner *owner, int fd, const struct ostler_address *peer)
{
    const struct ostler_stream_handler *handler = owner->options.stream;
    size_t size = handler->size > sizeof(struct ostler_stream) ? handler->size : sizeof(struct ostler_stream);
    struct ost_stream *s;
    int error = ost_request_new(out, owner, offsetof(struct ost_stream, base) + size, fd, peer);

    if (error < 0)
        return error;
    s = OST_CONTAINER(*out, struct ost_stream, request);
    s->base.request = *out;
    s->timeout_ms = owner->options.timeout_ms;
    s->deadline = ost_clock_after(ost_reactor_refresh(owner->reactor), owner->options.deadline_ms);
    s->out_size = handler->output_buffer;
    s->channel = &ost_socket_channel;
    s->request.name = ost_name_add(owner->reactor, *out); /* now: its thread may ask, which must not add one */
    s->id = ost_name_of(owner->reactor, s->request.name);
    return 0;
}

void ost_stream_fini(struct ost_stream *s)
{
    free(s->in);
    free(s->out);
    s->in = s->out = NULL;
    free(s->socket);
    s->socket = NULL;
    ost_stream_close_wake(s);
}

void ost_stream_close_wake(struct ost_stream *s)
{
    int fd = atomic_exchange(&s->wake, 0) - 1;

    if (fd >= 0)
        close(fd);
}

static int set_up(struct ost_stream *s, const struct ostler_stream_handler *handler)
{
    int error = handler->setup && !s->set_up ? handler->setup(&s->base) : 0;

    s->set_up = error >= 0;
    return error;
}

/* Call handle, unless its time is up. To park is not for those whose input has ended. */
static int handle(struct ost_stream *s, const struct ostler_stream_handler *handler)
{
    int r = s->ended ? s->ended : handler->handle(&s->base), error;

    if (r != OSTLER_PARK)
        return r;
    error = ostler_stream_flush(&s->base);
    if (error < 0 || s->packet || (s->request.eof && s->in_used == s->in_count) || atomic_load(&s->request.cancelled))
        return error;
    return OSTLER_PARK;
}

OST_HOT int ost_stream_run(struct ost_stream *s)
{
    const struct ostler_stream_handler *handler = s->request.owner->options.stream;
    int error = ost_stream_check(s), finished = 0, sent;

    if (error < 0) /* while it waited for a place */
        s->ended = error;
    error = s->ended && !s->set_up ? s->ended : set_up(s, handler);
    if (error < 0) {
        ost_stream_flush_last(s); /* why it says no, perhaps; of a datagram there is nothing */
        return error;
    }
    error = handle(s, handler);
    if (error == OSTLER_PARK)
        return error;
    if (handler->finish)
        finished = handler->finish(&s->base);
    sent = s->channel->finish(s);
    return error < 0 ? error : finished < 0 ? finished : sent;
}

/* Take up to n of the bytes that read_line has received and not used, of which there are some. */
static size_t take_buffered(struct ost_stream *s, char *buffer, size_t n)
{
    size_t left = s->in_count - s->in_used;

    n = n < left ? n : left;
    memcpy(buffer, s->in + s->in_used, n);
    s->in_used += n;
    return n;
}

/* Receive, after sending what the peer may be waiting for. */
static ssize_t receive(struct ost_stream *s, void *buffer, size_t n)
{
    int error = s->out_count > 0 ? ost_stream_flush(s) : 0;

    return error < 0 ? error : s->channel->receive(s, buffer, n);
}

OST_HOT ssize_t ostler_stream_read(struct ostler_stream *stream, void *buffer, size_t size)
{
    struct ost_stream *s = inside(stream);

    if (!s || !buffer || size == 0 || size > SSIZE_MAX)
        return -EINVAL;
    return s->in_used < s->in_count ? (ssize_t)take_buffered(s, buffer, size) : receive(s, buffer, size);
}

ssize_t ostler_stream_read_exactly(struct ostler_stream *stream, void *buffer, size_t size)
{
    char *at = buffer;
    size_t left = size;

    if (!stream || !buffer || size > SSIZE_MAX)
        return -EINVAL;
    while (left > 0) {
        ssize_t n = ostler_stream_read(stream, at, left);

        if (n < 0)
            return n;
        if (n == 0)
            break;
        at += n;
        left -= (size_t)n;
    }
    return (ssize_t)(size - left);
}

/* Receive more into the empty line buffer. On the reactor's thread, where thousands
 * may wait, the buffer is given back meanwhile. */
static ssize_t fill(struct ost_stream *s)
{
    ssize_t n;

    if (s->parker && s->drained && !s->request.eof) {
        int error = ostler_stream_flush(&s->base);

        free(s->in);
        s->in = NULL;
        s->in_used = s->in_count = 0;
        error = error < 0 ? error : ost_wait(s, OST_READ, ost_wait_due(s));
        if (error < 0)
            return ost_stream_failed(s, error);
        s->drained = false;
    }
    if (!s->in)
        s->in = malloc(OST_STREAM_INPUT);
    if (!s->in)
        return -ENOMEM;
    s->in_used = s->in_count = 0;
    n = receive(s, s->in, OST_STREAM_INPUT);
    if (n > 0)
        s->in_count = (size_t)n;
    return n;
}

/* Some bytes from the line buffer, which is not empty, up to and with the next '\n', at most n. */
static size_t take_line(struct ost_stream *s, char *line, size_t n)
{
    size_t left = s->in_count - s->in_used;
    const char *end = memchr(s->in + s->in_used, '\n', left);
    size_t length = end ? (size_t)(end - (s->in + s->in_used)) + 1 : left;

    return take_buffered(s, line, length < n ? length : n);
}

/* The end of these n bytes of a line has not come in time: let the next read begin with them. The line
 * buffer is empty. Did they fit? */
static bool put_back(struct ost_stream *s, const char *line, size_t n)
{
    if (n > OST_STREAM_INPUT)
        return false;
    if (!s->in)
        s->in = malloc(OST_STREAM_INPUT);
    if (!s->in)
        return false;
    memcpy(s->in, line, n);
    s->in_used = 0;
    s->in_count = n;
    return true;
}

ssize_t ostler_stream_read_line(struct ostler_stream *stream, char *buffer, size_t size)
{
    struct ost_stream *s = inside(stream);
    size_t n = 0;
    ssize_t got = 1;

    if (!s || !buffer || size < 2 || size > SSIZE_MAX)
        return -EINVAL;
    while (n < size - 1 && (n == 0 || buffer[n - 1] != '\n')) {
        if (s->in_used == s->in_count && (got = fill(s)) <= 0)
            break;
        n += take_line(s, buffer + n, size - 1 - n);
    }
    if (got < 0 && (got != -ETIMEDOUT || n == 0 || put_back(s, buffer, n)))
        return got;
    buffer[n] = '\0';
    return (ssize_t)n;
}

OST_HOT int ostler_stream_flush(struct ostler_stream *stream)
{
    return stream ? ost_stream_flush(inside(stream)) : -EINVAL;
}

/* Keep size bytes, for which there is room. */
static int gather(struct ost_stream *s, const void *data, size_t size)
{
    if (!s->out)
        s->out = malloc(s->out_size);
    if (!s->out)
        return -ENOMEM;
    memcpy(s->out + s->out_count, data, size);
    s->out_count += size;
    return 0;
}

OST_HOT int ostler_stream_write(struct ostler_stream *stream, const void *data, size_t size)
{
    struct ost_stream *s = inside(stream);
    int error = 0;

    if (!s || (!data && size > 0) || size > SSIZE_MAX)
        return -EINVAL;
    if (s->shut)
        return -EPIPE;
    if (size == 0)
        return 0;
    if (s->out_count + size > s->out_size)
        error = ost_stream_flush(s);
    if (error < 0)
        return error;
    return size > s->out_size ? s->channel->send(s, data, size) : gather(s, data, size);
}

int ostler_stream_set_output_buffer(struct ostler_stream *stream, size_t size)
{
    struct ost_stream *s = inside(stream);
    int error = size > MOST_GATHERED ? -EINVAL : ostler_stream_flush(stream);

    if (error < 0)
        return error;
    free(s->out);
    s->out = NULL;
    s->out_size = s->packet ? 0 : size;
    return 0;
}

/* Text that does not fit on the stack, which on a fiber is not to grow with it. */
static int print_long(struct ostler_stream *stream, size_t n, const char *format, va_list arguments)
{
    char *text = malloc(n + 1);
    int error;

    if (!text)
        return -ENOMEM;
    vsnprintf(text, n + 1, format, arguments);
    error = ostler_stream_write(stream, text, n);
    free(text);
    return error;
}

int ostler_stream_vprintf(struct ostler_stream *stream, const char *format, va_list arguments)
{
    char text[TEXT_SIZE];
    va_list again;
    int n, error;

    if (!stream || !format)
        return -EINVAL;
    va_copy(again, arguments);
    n = vsnprintf(text, sizeof(text), format, arguments);
    if (n < 0)
        error = -errno;
    else if ((size_t)n < sizeof(text))
        error = ostler_stream_write(stream, text, (size_t)n);
    else
        error = print_long(stream, (size_t)n, format, again);
    va_end(again);
    return error;
}

int ostler_stream_printf(struct ostler_stream *stream, const char *format, ...)
{
    va_list arguments;
    int error;

    va_start(arguments, format);
    error = ostler_stream_vprintf(stream, format, arguments);
    va_end(arguments);
    return error;
}

int ostler_stream_shutdown_write(struct ostler_stream *stream)
{
    struct ost_stream *s = inside(stream);
    int error = ostler_stream_flush(stream);

    if (error < 0 || s->shut)
        return error;
    s->shut = true;
    return s->channel->half_close(s);
}

int ostler_stream_no_reply(struct ostler_stream *stream)
{
    struct ost_stream *s = inside(stream);

    if (!s)
        return -EINVAL;
    if (s->packet)
        ost_packet_silence(s->packet);
    return 0;
}

int ostler_stream_set_timeout(struct ostler_stream *stream, long ms)
{
    struct ost_stream *s = inside(stream);

    if (!s || ms == 0 || ms < OSTLER_NEVER)
        return -EINVAL;
    s->timeout_ms = ms;
    return 0;
}

int ostler_stream_set_deadline(struct ostler_stream *stream, long ms)
{
    struct ost_stream *s = inside(stream);

    if (!s || ms < OSTLER_NEVER)
        return -EINVAL;
    s->deadline = ost_clock_after(ost_clock_ms(), ms);
    return 0;
}

struct ostler_server *ostler_stream_server(const struct ostler_stream *stream)
{
    return stream ? ostler_request_server(stream->request) : NULL;
}

const struct ostler_address *ostler_stream_peer(const struct ostler_stream *stream)
{
    return stream ? ostler_request_peer(stream->request) : NULL;
}
