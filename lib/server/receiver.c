/* Receiving datagrams, in batches, a bounded number of them a wake-up.
 *
 *   recvmmsg(2) ─> verify_request ─> process_request ─> on_datagram ─┐ replies gathered
 *                        │                                        └─> sendmmsg(2)
 *                        └─> a request of its own ─> place or queue ─> mix-in (its own sendmsg(2))
 *
 * When the queue is full, or the socket takes no more replies, nothing is received: the
 * kernel's buffer holds some more, and what it drops it counts. */
#include "server/receiver.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/batch.h"
#include "net/socket.h"
#include "request/stream.h"
#include "server/server.h"

enum { BATCHES = 4, REST_BATCHES = 256, QUIET_MS = 10000 };

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

/* Receive a batch, and take it in. How many there were, or -errno. */
static int take_batch(struct ost_listener *l)
{
    struct ostler_server *s = l->server;
    int n;

    l->receiver->asked = at_once(s);
    n = s->owner.classes[l->address.kind].get_request(s, l->fd, &l->receiver->nobody);
    for (int i = 0; i < n; i++)
        admit(l, i);
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

static bool may_receive(const struct ost_listener *l)
{
    return !l->receiver->full && l->fd >= 0 && ost_server_has_room_for_datagrams(l->server);
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

/* The server has stopped meanwhile: go on with that. */
static void go_on_closing(struct ost_listener *l)
{
    if (l->receiver->rest)
        ost_receiver_take_rest(l);
    ost_listener_close(l);
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
    if (l->receiver->closing)
        go_on_closing(l);
    else
        ost_listener_watch(l);
    ost_reactor_settle(reactor);
}

unsigned ost_receiver_wants(const struct ost_listener *l)
{
    if (l->receiver->full)
        return OST_WRITE;
    return !l->receiver->closing && ost_server_has_room_for_datagrams(l->server) ? OST_READ : 0;
}

/* Without a mix-in everything is answered here; with one, what the queue takes. */
void ost_receiver_take_rest(struct ost_listener *l)
{
    const struct ostler_server *s = l->server;
    struct ost_receiver *receiver = l->receiver;

    receiver->rest = true;
    if (receiver->taking)
        return; /* the batch at hand comes first */
    receiver->taking = true;
    for (int i = 0; i < REST_BATCHES && !receiver->full && !s->cut_off; i++)
        if (s->queued >= (size_t)s->owner.options.queue || take_batch(l) < receiver->asked)
            break;
    receiver->taking = false;
    receiver->rest = receiver->full;
}

bool ost_receiver_is_busy(const struct ost_listener *l)
{
    return l->fd >= 0 && l->receiver && (l->receiver->taking || (l->receiver->full && !l->server->cut_off));
}

bool ost_receiver_close(struct ost_listener *l)
{
    struct ost_receiver *receiver = l->receiver;
    bool held = receiver->holders > 0 || ost_receiver_is_busy(l);

    receiver->closing = true;
    if (held)
        ost_watch_set(&l->watch, ost_receiver_wants(l));
    else /* the kernel's count goes with the socket */
        atomic_fetch_add(&l->server->owner.dropped,
                         (unsigned)ost_batch_queued(receiver->batch) + ost_receiver_drops(l));
    return !held;
}

void ost_receiver_release(struct ost_listener *l)
{
    l->receiver->holders--;
    if (l->receiver->closing)
        ost_listener_close(l);
}

uint32_t ost_receiver_drops(const struct ost_listener *l)
{
    return l->fd >= 0 && l->receiver ? ost_socket_drops(l->fd) - l->receiver->former : 0;
}
