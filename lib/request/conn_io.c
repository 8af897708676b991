/* Bytes in and out of an evented connection: the hot path. For a request that is
 * answered in its callback: libevent calls ost_conn_ready(), one recv(2) into the
 * reactor's buffer, on_data(), whose write is gathered in the reactor's spare output
 * buffer, and one send(2) when the callback is over. Nothing is allocated, no timer
 * and no watch is set anew: progress is only written down (see on_timer in conn.c),
 * and what to watch for has not changed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "request/conn.h"
#include "request/stall.h"

enum { READ_SIZE = 16384 }; /* beside what is kept */

static struct ostler_reactor *reactor_of(const struct ost_conn *c)
{
    return c->request.owner->reactor;
}

/* Call on_data while it uses bytes; return how many it used. */
static size_t offer(struct ost_conn *c, const char *data, size_t n)
{
    struct ost_hold hold;
    size_t used = 0;

    if (!c->handler->on_data)
        return n;
    c->offering = true;
    ost_stall_begin(&hold, c->request.owner, &c->request);
    while (used < n && ost_conn_is_reading(c)) {
        ssize_t u = c->handler->on_data(&c->base, data + used, n - used);

        if (u < 0 || (size_t)u > n - used)
            ost_conn_handler_failed(c, u < 0 ? (int)u : -EINVAL);
        if (u <= 0 || (size_t)u > n - used)
            break;
        used += (size_t)u;
    }
    ost_stall_end(c->request.owner, c->request.peer, "on_data");
    c->offering = false;
    return used;
}

/* A rest that waits for long is not to hold the room that was made for receiving. */
static void trim(struct ost_conn *c)
{
    char *in = c->in_size / 4 > c->in_count ? realloc(c->in, c->in_count) : NULL;

    if (!in)
        return;
    c->in = in;
    c->in_size = c->in_count;
}

static void forget_kept(struct ost_conn *c)
{
    free(c->in);
    c->in = NULL;
    c->in_count = c->in_size = 0;
}

/* Keep the n bytes at data, which may lie in c->in itself. */
static void keep(struct ost_conn *c, const char *data, size_t n)
{
    if (n == 0 || c->closing) {
        forget_kept(c);
        return;
    }
    if (n > c->request.owner->options.max_input && ost_conn_is_reading(c)) {
        ost_conn_finish(c, OSTLER_CLOSE_INPUT_LIMIT, -EMSGSIZE);
        return;
    }
    if (!c->in) {
        c->in = malloc(n);
        c->in_size = (uint32_t)n;
    }
    if (!c->in) {
        ost_conn_fail(c, OSTLER_CLOSE_ERROR, -ENOMEM);
        return;
    }
    memmove(c->in, data, n);
    c->in_count = (uint32_t)n;
    trim(c);
}

/* Hand n bytes at data to the handler, and keep what it leaves. */
static void deliver(struct ost_conn *c, const char *data, size_t n)
{
    size_t used = offer(c, data, n);

    keep(c, data + used, n - used);
}

/* Room for READ_SIZE bytes behind what is kept. */
static char *make_room(struct ost_conn *c)
{
    size_t size = (size_t)c->in_count + READ_SIZE;
    char *in;

    if (c->in_size >= size)
        return c->in + c->in_count;
    in = realloc(c->in, size);
    if (!in)
        return NULL;
    c->in = in;
    c->in_size = (uint32_t)size;
    return in + c->in_count;
}

static void input_ended(struct ost_conn *c)
{
    c->offer = true;
    ost_conn_touch(c);
}

void ost_conn_check_input(struct ost_conn *c)
{
    if (c->request.eof || !ost_request_input_is_over(&c->request))
        return;
    c->request.eof = true;
    input_ended(c);
}

/* Receive once and deliver. */
static void receive(struct ost_conn *c)
{
    bool kept = c->in != NULL;
    char *room = kept ? make_room(c) : reactor_of(c)->input;
    ssize_t n = room ? ost_request_receive(&c->request, room, kept ? READ_SIZE : OST_INPUT_SIZE, MSG_DONTWAIT)
                     : -ENOMEM;

    if (n == -EAGAIN)
        return;
    if (n < 0) {
        ost_conn_fail(c, ost_request_reason((int)n), (int)n);
        return;
    }
    c->progress = ost_reactor_now(reactor_of(c));
    if (n == 0)
        input_ended(c);
    else
        deliver(c, room - c->in_count, c->in_count + (size_t)n);
    ost_conn_check_input(c);
}

static void tell_eof(struct ost_conn *c)
{
    int error = 0;

    forget_kept(c);
    c->eof_told = true;
    if (!c->handler->on_eof)
        ost_conn_finish(c, OSTLER_CLOSE_PEER, 0);
    else
        error = ost_conn_call(c, c->handler->on_eof, "on_eof");
    if (error < 0)
        ost_conn_handler_failed(c, error);
}

void ost_conn_offer_kept(struct ost_conn *c)
{
    if (!c->offer || !ost_conn_is_reading(c))
        return;
    c->offer = false;
    if (c->in)
        deliver(c, c->in, c->in_count);
    if (c->request.eof && !c->eof_told && ost_conn_is_reading(c))
        tell_eof(c);
    else if (c->request.eof && !c->eof_told)
        c->offer = true; /* when it reads again */
}

/* Output has left: leave the state of being full, if it was that. */
static void drained(struct ost_conn *c)
{
    int error = 0;

    if (!c->full || ost_output_length(c->out) > c->low)
        return;
    c->full = false;
    c->offer = true;
    if (c->handler->on_drain && !c->closing)
        error = ost_conn_call(c, c->handler->on_drain, "on_drain");
    if (error < 0)
        ost_conn_handler_failed(c, error);
    if (c->out)
        c->blocked = true; /* not again before the others had a turn */
}

void ost_conn_send(struct ost_conn *c)
{
    ssize_t n;

    if (c->blocked || !c->out)
        return;
    n = ost_request_send(&c->request, c->out->data + c->out->used, ost_output_length(c->out), MSG_DONTWAIT);
    if (n < 0 && n != -EAGAIN) {
        ost_conn_fail(c, ost_request_reason((int)n), (int)n);
        return;
    }
    if (n > 0) {
        c->progress = ost_reactor_now(reactor_of(c));
        ost_output_consume(&c->out, reactor_of(c), (size_t)n);
    }
    c->blocked = c->out != NULL;
}

void ost_conn_flush(struct ost_conn *c)
{
    ost_conn_send(c);
    if (c->drop)
        return;
    if (!c->out && c->half_close && !c->shut) {
        c->shut = true;
        shutdown(c->request.watch.fd, SHUT_WR);
    }
    drained(c);
}

void ost_conn_ready(struct ost_watch *watch, unsigned what)
{
    struct ost_conn *c = OST_CONTAINER(watch, struct ost_conn, request.watch);

    if (c->connecting) {
        ost_conn_connected(c);
    } else {
        if (what & OST_WRITE)
            c->blocked = false;
        if (what & OST_READ && ost_conn_is_reading(c) && !c->request.eof)
            receive(c);
        ost_conn_touch(c);
    }
    ost_reactor_settle(watch->reactor);
}
