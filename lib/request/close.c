/* Every end of a request, and so every close of a stream socket, goes through here: SHUT_WR,
 * discard input until its end, close(2). Closing a TCP socket that has unread input, or gets
 * some later, sends a reset, and a reset throws away what is still on its way to the peer
 * (RFC 1122, 4.2.2.13; RFC 7230, 6.6). The wait is bounded in bytes and time, and so is the
 * number of those that wait: they give way when descriptors run out. Beyond the bytes, and
 * when the server stops, it lasts only until the peer's kernel has everything.
 *
 * A socket that was SHUT_RD (a thread's, when the server stops) cannot tell of the
 * peer's end, and once its FIN is sent Linux answers late input with a reset: there the
 * FIN waits until all else has been acknowledged. */
#include <errno.h>
#include <stdlib.h>

#include "net/socket.h"
#include "reactor/names.h"
#include "request/conn.h"
#include "request/stall.h"
#include "request/stream.h"

enum { DISCARD_BYTES = 65536, LOOK_MS = 250, MAX_LINGERING = 1024, MAX_LOOKS = 64 };

static void log_close(const struct ostler_request *r)
{
    const struct ost_owner *owner = r->owner;
    char peer[OSTLER_ADDRESS_TEXT] = "?";

    if (!owner->reactor->log || owner->reactor->log->level < OSTLER_LOG_DEBUG)
        return;
    ostler_address_text(ost_request_peer(r), peer, sizeof(peer));
    ostler_log_write(owner->reactor->log, OSTLER_LOG_DEBUG, "%s: %s: closed: %s, %llu bytes in, %llu out",
               owner->options.name, peer, ostler_close_reason_text((enum ostler_close_reason)r->reason),
               (unsigned long long)r->bytes_in, (unsigned long long)r->bytes_out);
}

/* Was it SHUT_RD, as a thread's is when the server stops? */
static bool is_shut(const struct ostler_request *r)
{
    const struct ost_stream *s = ost_stream_of(r);

    return s && s->shut_read;
}

static void shut_down(struct ostler_request *r)
{
    struct ost_hold hold;

    ost_stall_begin(&hold, r->owner, r);
    ost_request_class(r)->shutdown_request(r->owner->server, r);
    ost_stall_end(r->owner, r, "shutdown_request");
}

static void close_descriptor(struct ostler_request *r)
{
    struct ost_hold hold;

    ost_stall_begin(&hold, r->owner, r);
    ost_request_class(r)->close_request(r->owner->server, r);
    ost_stall_end(r->owner, r, "close_request");
}

/* It lingers no more: a slot of the server's may stop or abort it, and is not to find it among those that do. */
static void end_lingering(struct ostler_request *r)
{
    if (!r->discarding)
        return;
    r->discarding = false;
    r->name = 0; /* where the end of it stood */
    ost_list_remove(&r->job.node);
    r->owner->reactor->lingering_count--;
}

/* close(2) and free. */
static void release(struct ostler_request *r)
{
    struct ost_owner *owner = r->owner;
    int shared = r->datagram ? r->watch.fd : -1;

    end_lingering(r);
    ost_watch_fini(&r->watch);
    ost_timer_fini(&r->timer, owner->reactor);
    ost_list_remove(&r->job.node);
    if (r->reset)
        ost_socket_arm_reset(r->watch.fd);
    close_descriptor(r);
    if (shared < 0)
        ost_reactor_descriptor_freed(owner->reactor);
    ost_request_leave(r);
    if (r->datagram)
        ost_packet_fini(OST_CONTAINER(r, struct ost_stream, request));
    free(r);
    owner->freed(owner, shared);
}

/* Close once all output has been acknowledged. There is no event for that: look now, and
 * then every while, until the time is up. */
static void await_output(struct ostler_request *r)
{
    struct ost_owner *owner = r->owner;
    uint64_t now = ost_reactor_refresh(owner->reactor);

    if (now < ost_clock_near(now, r->linger_end) && ost_socket_has_unsent(r->watch.fd)) {
        ost_timer_set(&r->timer, owner->reactor, now + LOOK_MS);
        return;
    }
    /* Unread, it would make close(2) a reset. */
    recv(r->watch.fd, owner->reactor->input, OST_INPUT_SIZE, MSG_DONTWAIT);
    end_lingering(r);
    if (is_shut(r))
        shut_down(r);
    release(r);
}

static void on_discard_timer(struct ost_timer *timer)
{
    await_output(OST_CONTAINER(timer, struct ostler_request, timer));
}

static void on_discard(struct ost_watch *watch, unsigned what)
{
    struct ostler_request *r = OST_CONTAINER(watch, struct ostler_request, watch);
    struct ostler_reactor *reactor = r->owner->reactor;
    ssize_t n = recv(watch->fd, reactor->input, OST_INPUT_SIZE, MSG_DONTWAIT);

    (void)what;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        r->discarded += (int)n;
    if (n > 0 && r->discarded < DISCARD_BYTES)
        return;
    ost_watch_set(watch, 0);
    if (n > 0)
        await_output(r); /* what else comes stays unread: the window closes */
    else
        release(r);
    ost_reactor_settle(reactor);
}

void ost_request_close_sooner(struct ostler_request *r)
{
    struct ostler_reactor *reactor = r->owner->reactor;

    if (r->discarding)
        ost_timer_set(&r->timer, reactor, ost_reactor_refresh(reactor) + LOOK_MS);
}

static struct ostler_request *lingering(struct ost_list *node)
{
    return OST_CONTAINER(node, struct ostler_request, job.node);
}

void ost_request_spare_descriptor(struct ostler_reactor *reactor)
{
    struct ost_list *node, *next;
    int looks = 0;

    OST_LIST_EACH(node, next, &reactor->lingering) {
        if (!ost_socket_has_unsent(lingering(node)->watch.fd)) {
            release(lingering(node));
            return;
        }
        if (++looks >= MAX_LOOKS)
            return;
    }
}

/* Enter r among those that linger. */
static void linger(struct ostler_request *r)
{
    struct ostler_reactor *reactor = r->owner->reactor;

    r->discarding = true;
    ost_list_remove(&r->job.node);
    ost_list_append(&reactor->lingering, &r->job.node);
    reactor->lingering_count++;
}

static void discard(struct ostler_request *r)
{
    struct ostler_reactor *reactor = r->owner->reactor;
    uint64_t end;

    if (reactor->lingering_count >= MAX_LINGERING)
        release(lingering(reactor->lingering.next));
    if (atomic_load(&r->cancelled)) { /* by a slot that was called for the other */
        release(r);
        return;
    }
    linger(r);
    end = ost_reactor_refresh(reactor) + OST_LINGER_MS;
    r->linger_end = (uint32_t)end;
    r->discarded = 0;
    r->watch.ready = on_discard;
    r->timer.fire = on_discard_timer;
    if (is_shut(r)) {
        await_output(r);
        return;
    }
    ost_timer_set(&r->timer, reactor, end);
    if (r->owner->stopping)
        ost_request_close_sooner(r);
    if (ost_watch_set(&r->watch, OST_READ) < 0)
        release(r);
}

/* The handler's part is over. */
static void end(struct ostler_request *r)
{
    struct ost_owner *owner = r->owner;

    r->closing = true;
    if (r->name)
        ost_name_remove(owner->reactor, r->name);
    r->name = 0;
    log_close(r);
    if (r->is_conn)
        ost_conn_fini(OST_CONTAINER(r, struct ost_conn, request));
    else
        ost_stream_fini(OST_CONTAINER(r, struct ost_stream, request));
    if (r->counted) {
        r->counted = false;
        owner->ended(owner);
    }
}

/* Was shutdown_request called in the child? */
static bool was_shut_down(const struct ostler_request *r)
{
    const struct ost_stream *s = ost_stream_of(r);

    return s && s->shut_down;
}

void ost_request_close(struct ostler_request *r)
{
    bool at_once = r->reset || r->peer_done || r->broken || atomic_load(&r->cancelled);

    end(r);
    /* Before a reset it would look like an orderly end. */
    if (!r->reset && !was_shut_down(r) && (at_once || !is_shut(r)))
        shut_down(r);
    if (at_once || atomic_load(&r->cancelled))
        release(r);
    else
        discard(r);
}

void ost_request_close_now(struct ostler_request *r)
{
    if (!r->closing)
        end(r);
    release(r);
}
