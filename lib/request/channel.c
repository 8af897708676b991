/* The channel of a connection: bytes in and out of a socket, with their time-outs.
 *
 * Receiving, in a thread: a blocking recv(2) under SO_RCVTIMEO; a poll(2) before
 * each would cost a fifth of the speed, so there is one only when the option's time
 * has run out. Near the deadline the option is halved again and again: a connection
 * sets it a handful of times, not once a read.
 * On the reactor's thread: after a receive that took all there was, wait first and
 * receive then, which is one recv(2) a request. So does a thread whose handler has
 * made a second socket of its stream's: the option would be that one's, too.
 *
 * Sending, anywhere: send without waiting; when the kernel is full, ost_wait().
 *
 * A handler on the reactor's thread whose peer is as fast as itself would never
 * wait: after a burst of operations it gives the others a turn.
 *
 * Where a request's time goes in a thread: to one recv(2), one send(2) and one change of thread. All but
 * a twelfth of it is the kernel's, and most of that twelfth is waiting for what is no longer in the
 * cache: our instructions are some 350, and touch 4 lines of the stream. A fiftieth is the
 * kernel's timer, which each wait sets for SO_RCVTIMEO. It stays: nothing else ends a recv(2) and
 * leaves the socket as it is, for shutdown(2) does not, and signals are the program's. */
#include <errno.h>

#include "base/hot.h"
#include "net/socket.h"
#include "request/stream.h"

enum { BURST = 32 };

static int give_others_a_turn(struct ost_stream *s)
{
    if (!s->parker || ++s->burst < BURST)
        return 0;
    return ost_wait(s, 0, ost_clock_ms());
}

int ost_give_turn(void)
{
    struct ost_stream *s = ost_stream_current();

    return s ? give_others_a_turn(s) : 0;
}

/* What the handler is told of the end, or of an error. */
static ssize_t report(struct ost_stream *s, ssize_t result)
{
    if (atomic_load(&s->request.cancelled))
        result = -ECANCELED;
    if (result < 0)
        s->request.io_error = ost_error16((int)result);
    return result;
}

static ssize_t receive_waiting(struct ost_stream *s, void *buffer, size_t n)
{
    ssize_t got = give_others_a_turn(s);

    while (got == 0) {
        if (s->drained && !s->request.eof)
            got = ost_wait(s, OST_READ, ost_wait_due(s));
        if (got < 0)
            return got;
        got = ost_request_receive(&s->request, buffer, n, MSG_DONTWAIT);
        s->drained = got < (ssize_t)n;
        if (got != -EAGAIN)
            return got;
        got = 0;
    }
    return got;
}

/* Let a blocking receive come back somewhat before due (it comes late by up to an eighth:
 * the kernel's timer wheel); an exact wait does the rest. An option that is short enough
 * is left as it is. */
static int arm_receive(struct ost_stream *s, uint64_t now, uint64_t due)
{
    long ms = 0;
    int error;

    if (due != OST_NEVER) {
        ms = ost_clock_until(now, due);
        ms = ms > 8 ? ms - ms / 8 - 4 : 1;
        if (s->receive_timeout > 0 && s->receive_timeout <= ms)
            return 0;
        if (due == s->deadline) /* which comes nearer with each read */
            ms = ms / 2 + 1;
    }
    if (ms == s->receive_timeout)
        return 0;
    error = ost_socket_set_receive_timeout(s->request.watch.fd, ms);
    if (error == 0)
        s->receive_timeout = ms;
    return error;
}

static ssize_t receive_blocking(struct ost_stream *s, void *buffer, size_t n)
{
    uint64_t now = ost_clock_ms(), due = ost_stream_due(s, now);
    ssize_t got = arm_receive(s, now, due);

    while (got == 0) {
        ost_stream_note_wait(s, now);
        got = ost_request_receive(&s->request, buffer, n, 0);
        ost_stream_note_run(s);
        if (got != -EAGAIN)
            return got;
        got = ost_wait(s, OST_READ, due);
    }
    return got;
}

OST_HOT static ssize_t receive(struct ost_stream *s, void *buffer, size_t n)
{
    ssize_t got = ost_stream_check(s);

    if (got == 0)
        got = s->parker || s->shared ? receive_waiting(s, buffer, n) : receive_blocking(s, buffer, n);
    return got <= 0 ? report(s, got) : got;
}

/* After a send that took sent bytes, or none: wait if the kernel is full. */
static int after_send(struct ost_stream *s, ssize_t sent)
{
    if (sent == -EAGAIN)
        return ost_wait(s, OST_WRITE, ost_wait_due(s));
    if (sent < 0)
        return (int)sent;
    return give_others_a_turn(s);
}

OST_HOT static int send_all(struct ost_stream *s, const void *data, size_t n)
{
    const char *rest = data;
    int error = ost_stream_check(s);

    while (error == 0 && n > 0) {
        ssize_t sent = ost_request_send(&s->request, rest, n, MSG_DONTWAIT);

        error = after_send(s, sent);
        if (sent > 0) {
            rest += sent;
            n -= (size_t)sent;
        }
    }
    return (int)(error < 0 ? report(s, error) : 0);
}

static int half_close(struct ost_stream *s)
{
    return shutdown(s->request.watch.fd, SHUT_WR) < 0 ? -errno : 0;
}

OST_HOT static int finish(struct ost_stream *s)
{
    ost_stream_flush_last(s);
    return 0;
}

const struct ost_channel ost_socket_channel = { receive, send_all, half_close, finish };

int ost_stream_share(struct ost_stream *s)
{
    int error = s->receive_timeout > 0 ? ost_socket_set_receive_timeout(s->request.watch.fd, 0) : 0;

    if (error < 0)
        return error;
    s->receive_timeout = 0;
    s->shared = true;
    return 0;
}
