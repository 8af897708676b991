/* Receiving datagrams, in batches, a bounded number of them a wake-up.
 *
 *   recvmmsg(2) ─> verify_request ─> process_request ─> on_datagram ─┐ replies gathered
 *                        │                                        └─> sendmmsg(2)
 *                        └─> a request of its own ─> place or queue ─> mix-in (its own sendmsg(2))
 *
 * When the queue is full, or the socket takes no more replies, nothing is received: the
 * kernel's buffer holds some more, and what it drops it counts.
 *
 * When the server stops, what has arrived is taken in likewise, a few batches a turn: until there is no
 * more, or it has been so much that it must have come since. A timer calls for it, since readiness would
 * not tell that another process has taken the last of it from the same socket. */
#include "server/receiver.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/batch.h"
#include "net/socket.h"
#include "request/stream.h"
#include "server/server.h"

enum { BATCHES = 4, REST = 8192, QUIET_MS = 10000 };

int ost_receiver_open(struct ost_listener *l, int fd)
{
    struct ostler_server *s = l->server;
    struct ost_receiver *receiver = calloc(1, sizeof(*receiver));
    int error;

    if (!receiver)
        return -ENOMEM;
    error = ost_batch_new(&receiver->batch, l->address.kind, s->owner.options.max_packet);
    if (error == 0)
        error = ost_socket_want_local(fd, &l->address);
    if (error < 0) {
        ost_receiver_free(receiver);
        return error;
    }
    ost_datagram_init(&receiver->datagram, &s->owner, fd, receiver->batch);
    receiver->nobody.kind = l->address.kind;
    receiver->drops = receiver->former = ost_socket_drops(fd);
    l->receiver = receiver;
    return 0;
}

void ost_receiver_free(struct ost_receiver *receiver)
{
    if (receiver)
        ost_batch_free(receiver->batch);
    free(receiver);
}

static void flush(struct ost_listener *l)
{
    struct ost_receiver *receiver = l->receiver;

    receiver->full = ost_datagram_flush(&l->server->owner, l->fd, receiver->batch) < 0;
}

/* The next datagram's request. */
static void admit_packet(struct ost_listener *l, int index)
{
    struct ostler_request *r;

    if (ost_packet_new(&r, &l->server->owner, l->fd, l->receiver->batch, index) < 0) {
        atomic_fetch_add(&l->server->owner.dropped, 1);
        return;
    }
    l->receiver->holders++;
    ost_server_admit_packet(l->server, r);
}

static void admit(struct ost_listener *l, int index)
{
    struct ost_receiver *receiver = l->receiver;

    if (l->server->mixin) {
        admit_packet(l, index);
        return;
    }
    ost_datagram_select(&receiver->datagram, index);
    ost_server_admit_datagram(l->server, &receiver->datagram.request);
}

/* How many may be received at once: each may have to wait in the queue, which is not full. */
static int at_once(const struct ostler_server *s)
{
    size_t room;

    if (s->one)
        return 1;
    if (!s->mixin)
        return OST_BATCH;
    room = (size_t)s->owner.options.queue - s->queued;
    return room < OST_BATCH ? (int)room : OST_BATCH;
}

/* n have been received: how many of the rest are left, at most. Fewer than asked for were the last. */
static int rest_after(const struct ost_receiver *receiver, int n)
{
    return n < receiver->asked || n > receiver->rest ? 0 : receiver->rest - n;
}

/* Ours never waits, so that it need not be timed. */
static int get_request(struct ost_listener *l)
{
    const struct ostler_server_class *class = &l->server->owner.classes[l->address.kind];

    if (class->get_request == ostler_udp_server.get_request)
        return class->get_request(l->server, l->fd, &l->receiver->nobody);
    return ost_listener_get_request(l, &l->receiver->nobody);
}

/* Receive a batch, and take it in. How many there were, or -errno. */
static int take_batch(struct ost_listener *l)
{
    struct ostler_server *s = l->server;
    int n, i = 0;

    l->receiver->asked = at_once(s);
    n = get_request(l);
    l->receiver->rest = rest_after(l->receiver, n);
    while (i < n && !s->cut_off)
        admit(l, i++);
    if (i < n)
        atomic_fetch_add(&s->owner.dropped, (unsigned)(n - i));
    flush(l);
    return n;
}

void ost_receiver_report(struct ost_listener *l)
{
    struct ost_receiver *receiver = l->receiver;
    uint32_t drops = ost_socket_drops(l->fd);

    if (drops == receiver->drops)
        return;
    ostler_log_write(ostler_server_log(l->server), OSTLER_LOG_WARNING,
                     "%s: %u datagrams dropped: they come faster than they are handled", l->server->name,
                     (unsigned)(drops - receiver->drops));
    receiver->drops = drops;
    receiver->reported = ost_reactor_now(l->server->owner.reactor);
}

/* One line for a time of loss, and another one later for what is lost meanwhile. */
static void watch_drops(struct ost_listener *l)
{
    struct ostler_reactor *reactor = l->server->owner.reactor;
    uint64_t next = l->receiver->reported + QUIET_MS;

    if (l->receiver->reported && next > ost_reactor_now(reactor))
        ost_timer_set(&l->retry, reactor, next);
    else
        ost_receiver_report(l);
}

/* Has a stop something left to take in, with an abort yet to come? */
static bool has_rest(const struct ost_listener *l)
{
    return l->receiver->rest > 0 && !l->server->cut_off;
}

static bool may_receive(const struct ost_listener *l)
{
    if (l->receiver->full || l->fd < 0)
        return false;
    return has_rest(l) ? ost_server_may_queue(l->server) : ost_server_has_room_for_datagrams(l->server);
}

/* Is the error a datagram's, or that of one sent earlier, and no lack? */
static bool is_passing(int error)
{
    return error == -EAGAIN || error == -EINTR || error == -ECONNREFUSED || error == -EHOSTUNREACH ||
           error == -ENETUNREACH;
}

static void take(struct ost_listener *l)
{
    struct ost_receiver *receiver = l->receiver;
    int n = receiver->asked;

    for (int i = 0; i < BATCHES && n == receiver->asked && may_receive(l); i++)
        n = take_batch(l);
    if (n >= 0)
        ost_lack_is_over(&l->lack);
    else if (!is_passing(n) && !receiver->closing)
        ost_listener_pause(l, n);
    if (n == receiver->asked && !l->server->one && l->fd >= 0)
        watch_drops(l);
}

/* The server stops, or has begun to meanwhile: go on with that. */
static void go_on_stopping(struct ost_listener *l)
{
    if (l->receiver->closing && !ost_receiver_is_busy(l))
        ost_listener_close(l);
    else
        ost_listener_watch(l);
    ost_server_check_running(l->server);
    ost_server_check_stopped(l->server);
}

void ost_receiver_ready(struct ost_watch *watch, unsigned what)
{
    struct ost_listener *l = OST_CONTAINER(watch, struct ost_listener, watch);
    struct ostler_reactor *reactor = l->server->owner.reactor;

    l->receiver->taking = true;
    if (what & OST_WRITE)
        flush(l);
    take(l);
    l->receiver->taking = false;
    if (l->server->state < OST_SERVER_STOPPING)
        ost_listener_watch(l);
    else
        go_on_stopping(l);
    ost_reactor_settle(reactor);
}

void ost_receiver_on_retry(struct ost_listener *l)
{
    if (has_rest(l))
        ost_receiver_ready(&l->watch, OST_READ);
    else
        ost_receiver_report(l);
}

static unsigned wants(const struct ost_listener *l)
{
    if (l->receiver->full)
        return OST_WRITE;
    return !has_rest(l) && !l->receiver->closing && ost_server_has_room_for_datagrams(l->server) ? OST_READ : 0;
}

int ost_receiver_watch(struct ost_listener *l)
{
    struct ostler_reactor *reactor = l->server->owner.reactor;

    if (has_rest(l) && may_receive(l))
        ost_timer_set(&l->retry, reactor, ost_reactor_refresh(reactor));
    return ost_watch_set(&l->watch, wants(l));
}

void ost_receiver_take_rest(struct ost_listener *l)
{
    if (ost_socket_receive(l->fd, NULL, 0, MSG_PEEK | MSG_DONTWAIT) == -EAGAIN)
        return;
    l->receiver->rest = REST;
    ost_listener_watch(l);
}

bool ost_receiver_is_busy(const struct ost_listener *l)
{
    const struct ost_receiver *receiver = l->receiver;

    if (l->fd < 0 || !receiver)
        return false;
    return receiver->taking || has_rest(l) || (receiver->full && !l->server->cut_off);
}

bool ost_receiver_close(struct ost_listener *l)
{
    struct ost_receiver *receiver = l->receiver;
    bool held = receiver->holders > 0 || ost_receiver_is_busy(l);

    receiver->closing = true;
    if (held)
        ost_receiver_watch(l);
    else /* the kernel's count goes with the socket */
        atomic_fetch_add(&l->server->owner.dropped,
                         (unsigned)ost_batch_queued(receiver->batch) + ost_receiver_drops(l));
    return !held;
}

void ost_receiver_release(struct ost_listener *l)
{
    if (--l->receiver->holders == 0 && l->receiver->closing)
        ost_listener_close(l);
}

uint32_t ost_receiver_drops(const struct ost_listener *l)
{
    return l->fd >= 0 && l->receiver ? ost_socket_drops(l->fd) - l->receiver->former : 0;
}
