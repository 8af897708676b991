/* Bytes in and out of an evented connection: the hot path. For a request that is
 * answered in its callback: libevent calls ost_conn_ready(), one recv(2) into the
 * reactor's buffer, on_data(), whose write is gathered in the reactor's spare output
 * buffer, and one send(2) when the callback is over. Nothing is allocated, no timer
 * and no watch is set anew: progress is one word written down (ost_conn_moved()),
 * and what to watch for has not changed.
 *
 * Where the time goes: 64 bytes echoed over loopback, 64 connections, some 6 µs of CPU a request.
 *
 *   the kernel    95 %: a recv(2), a send(2) with all of TCP and the wake-up of the other side, and a
 *                 64th of an epoll_wait(2). The same calls as those of a loop on raw epoll.
 *   the C library, 100 of some 655 instructions. Its calls cost 110 more, and the kernel's a reference to the
 *                 descriptor each, in a process with a second thread; so the daemon has none (daemon/stopper.c).
 *   libevent      240 instructions: from the descriptor to its event, into the list of what is
 *                 ready, and out of it. A program that uses libevent by hand pays them, too.
 *   this file     and what it calls, some 310: receive, count, call on_data, gather, send, and look
 *                 what else is due. Reading the clock for who has held the loop is 60 of them.
 *
 * Instructions are not all of it. Each system call leaves the processor with little of ours in its first
 * cache, and with none of our returns foreseen. So what a request touches stands together: of a connection
 * one piece (struct ost_conn, from timer.due on), of its server the begin of struct ost_owner, of the
 * reactor the begin of struct ostler_reactor; and what sends is inline. What most connections do without is
 * elsewhere (struct ost_conn_own), so that 10,000 take 4 MB.
 *
 * What was tried, and made no difference that could be measured: optimisation across files, -O3, calls
 * without the procedure linkage table, prefetching the next connection, code for failures in a section of
 * its own, reading what is needed after a system call before it. Edge-triggered events would save 3 % at 1,000
 * connections, since the kernel need not look at each socket again (raw epoll, either way). They take a short
 * receive for the end of what has come, which it is not before urgent data: who sends "abc", an urgent byte and
 * "efg" would wait for ever for its "efg". What would be left to take are libevent's list and the time of each
 * callback: the one is the loop that all share, and the other tells who held it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hot.h"
#include "net/socket.h"
#include "request/conn.h"
#include "request/stall.h"

enum { READ_SIZE = 16384 }; /* beside what is kept */

/* Call on_data while it uses bytes; return how many it used. */
OST_HOT static size_t offer(struct ost_conn *c, const char *data, size_t n)
{
    const struct ostler_conn_handler *handler = ost_conn_terms(c)->handler;
    struct ost_hold hold;
    size_t used = 0;

    if (!handler->on_data)
        return n;
    c->offering = true;
    ost_stall_begin(&hold, c->request.owner, &c->request);
    while (used < n && ost_conn_is_reading(c)) {
        ssize_t u = handler->on_data(&c->base, data + used, n - used);

        if (u < 0 || (size_t)u > n - used)
            ost_conn_handler_failed(c, u < 0 ? (int)u : -EINVAL);
        if (u <= 0 || (size_t)u > n - used)
            break;
        used += (size_t)u;
    }
    ost_stall_end(c->request.owner, &c->request, "on_data");
    c->offering = false;
    return used;
}

/* A rest that waits for long is not to hold the room that was made for receiving. */
static void trim(struct ost_conn_own *own)
{
    char *in = own->in_size / 4 > own->in_count ? realloc(own->in, own->in_count) : NULL;

    if (!in)
        return;
    own->in = in;
    own->in_size = own->in_count;
}

static bool has_kept(const struct ost_conn *c)
{
    return c->own && c->own->in;
}

static void forget_kept(struct ost_conn *c)
{
    if (!has_kept(c))
        return;
    free(c->own->in);
    c->own->in = NULL;
    c->own->in_count = c->own->in_size = 0;
}

/* Room for n bytes that are kept, if there is none yet. */
static bool has_place(struct ost_conn *c, size_t n)
{
    struct ost_conn_own *own = ost_conn_own(c);

    if (!own || own->in)
        return own;
    own->in = malloc(n);
    own->in_size = (uint32_t)n;
    return own->in;
}

/* Keep the n bytes at data, which may be among those that are kept. */
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
    if (!has_place(c, n)) {
        ost_conn_fail(c, OSTLER_CLOSE_ERROR, -ENOMEM);
        return;
    }
    memmove(c->own->in, data, n);
    c->own->in_count = (uint32_t)n;
    trim(c->own);
}

/* Hand n bytes at data to the handler, and keep what it leaves. */
static void deliver(struct ost_conn *c, const char *data, size_t n)
{
    size_t used = offer(c, data, n);

    keep(c, data + used, n - used);
}

/* Room for READ_SIZE bytes behind what is kept. */
static char *make_room(struct ost_conn_own *own)
{
    size_t size = (size_t)own->in_count + READ_SIZE;
    char *in;

    if (own->in_size >= size)
        return own->in + own->in_count;
    in = realloc(own->in, size);
    if (!in)
        return NULL;
    own->in = in;
    own->in_size = (uint32_t)size;
    return in + own->in_count;
}

static void input_ended(struct ost_conn *c)
{
    c->offer = true;
    ost_conn_touch(c);
}

void ost_conn_end_input(struct ost_conn *c)
{
    c->request.eof = true;
    input_ended(c);
}

/* After a receive that brought nothing: the end, or -errno. */
static void received_nothing(struct ost_conn *c, ssize_t n)
{
    if (n < 0 && n != -EAGAIN)
        ost_conn_fail(c, ost_request_reason((int)n), (int)n);
    if (n == 0)
        input_ended(c);
}

/* Receive once behind what is kept, and deliver. */
static void receive_more(struct ost_conn *c)
{
    char *room = make_room(c->own);
    ssize_t n = room ? ost_request_receive(&c->request, room, READ_SIZE, MSG_DONTWAIT) : -ENOMEM;

    if (n > 0) {
        ost_conn_moved(c);
        deliver(c, c->own->in, c->own->in_count + (size_t)n);
    } else {
        received_nothing(c, n);
    }
}

/* ost_request_receive() for one that is not stopping. */
static ssize_t receive_once(struct ostler_request *r, char *buffer, size_t n)
{
    ssize_t got = ost_socket_receive(r->watch.fd, buffer, n, MSG_DONTWAIT);

    if (got <= 0)
        return ost_request_received_nothing(r, got);
    ost_request_count(&r->bytes_in, (uint64_t)got);
    return got;
}

/* Receive once and deliver. */
static void receive(struct ost_conn *c)
{
    char *input = ost_conn_reactor(c)->input;
    ssize_t n = c->request.stopping ? ost_request_receive(&c->request, input, OST_INPUT_SIZE, MSG_DONTWAIT)
                                    : receive_once(&c->request, input, OST_INPUT_SIZE);

    if (n > 0) {
        size_t used;

        ost_conn_moved(c);
        used = offer(c, input, (size_t)n);
        if (used < (size_t)n)
            keep(c, input + used, (size_t)n - used);
    } else {
        received_nothing(c, n);
    }
}

static void tell_eof(struct ost_conn *c)
{
    int error = 0;

    forget_kept(c);
    c->eof_told = true;
    if (!ost_conn_terms(c)->handler->on_eof)
        ost_conn_finish(c, OSTLER_CLOSE_PEER, 0);
    else
        error = ost_conn_call(c, ost_conn_terms(c)->handler->on_eof, "on_eof");
    if (error < 0)
        ost_conn_handler_failed(c, error);
}

void ost_conn_offer_kept(struct ost_conn *c)
{
    if (!c->offer || !ost_conn_is_reading(c))
        return;
    c->offer = false;
    if (has_kept(c))
        deliver(c, c->own->in, c->own->in_count);
    if (c->request.eof && !c->eof_told && ost_conn_is_reading(c))
        tell_eof(c);
    else if (c->request.eof && !c->eof_told)
        c->offer = true; /* when it reads again */
}

/* Output has left: leave the state of being full, if it was that. */
static void drained(struct ost_conn *c)
{
    int error = 0;

    if (!c->full || ost_output_length(c->out) > ost_conn_terms(c)->low)
        return;
    c->full = false;
    c->offer = true;
    if (ost_conn_terms(c)->handler->on_drain && !c->closing)
        error = ost_conn_call(c, ost_conn_terms(c)->handler->on_drain, "on_drain");
    if (error < 0)
        ost_conn_handler_failed(c, error);
    if (c->out)
        c->blocked = true; /* not again before the others had a turn */
}

/* Send what waits, unless the kernel was full. Inline: after a system call the processor does not foresee
 * where a function that was entered before it returns to. */
static inline __attribute__((always_inline)) void send_gathered(struct ost_conn *c)
{
    struct ostler_request *r = &c->request;
    ssize_t n;

    if (c->blocked || !c->out)
        return;
    n = ost_request_sent(r, ost_socket_send(r->watch.fd, c->out->data + c->out->used, ost_output_length(c->out),
                                            MSG_DONTWAIT));
    if (n < 0 && n != -EAGAIN) {
        ost_conn_fail(c, ost_request_reason((int)n), (int)n);
        return;
    }
    if (n > 0) {
        ost_conn_moved(c);
        ost_output_consume(&c->out, ost_conn_reactor(c), (size_t)n);
    }
    if (c->out)
        c->blocked = true;
}

OST_HOT void ost_conn_send(struct ost_conn *c)
{
    send_gathered(c);
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

/* Input has come. What the handler wrote leaves when its callback is over. */
static void read_ready(struct ost_conn *c)
{
    c->busy = true;
    if (has_kept(c))
        receive_more(c);
    else
        receive(c);
    ost_conn_check_input(c);
    c->busy = false;
}

/* Do what is due after the callback. Mostly the answer leaves whole, and that is all. */
static void settle(struct ost_conn *c)
{
    c->pushed = 0;
    if (c->unusual == 0)
        send_gathered(c);
    if (c->unusual != 0 || c->request.watch.armed != OST_READ)
        ost_conn_settle(c);
}

OST_HOT void ost_conn_ready(struct ost_watch *watch, unsigned what)
{
    struct ost_conn *c = OST_CONTAINER(watch, struct ost_conn, request.watch);
    struct ostler_reactor *reactor = ost_conn_reactor(c);

    if (what & OST_WRITE)
        c->blocked = false;
    if (c->connecting)
        ost_conn_connected(c);
    else if (what & OST_READ && ost_conn_is_reading(c) && !c->request.eof)
        read_ready(c);
    if (reactor->settling)
        ost_conn_touch(c);
    else
        settle(c);
    ost_reactor_settle(reactor);
}
