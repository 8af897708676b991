#include "request/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hot.h"
#include "net/socket.h"
#include "request/conn.h"
#include "request/datagram.h"
#include "request/relay.h"
#include "request/stream.h"

int ost_request_new(struct ostler_request **out, struct ost_owner *owner, size_t size, int fd,
                    const struct ostler_address *peer)
{
    size_t inside = (size + 7) / 8 * 8; /* the peer's address comes behind it */
    struct ostler_request *r = inside <= UINT32_MAX ? calloc(1, inside + ost_address_size(peer)) : NULL;

    if (!r)
        return -ENOMEM;
    if (ost_timer_init(&r->timer, owner->reactor, NULL) < 0) {
        free(r);
        return -ENOMEM;
    }
    r->owner = owner;
    r->peer_at = (uint32_t)inside;
    memcpy((char *)r + inside, peer, ost_address_size(peer));
    r->input_left = -1;
    r->born_low = (uint32_t)ost_reactor_now(owner->reactor);
    r->born_high = (uint16_t)(ost_reactor_now(owner->reactor) >> 32);
    ost_list_init(&r->job.node);
    ost_list_append(&owner->requests, &r->node);
    ost_watch_init(&r->watch, owner->reactor, fd, NULL);
    *out = r;
    return 0;
}

void ost_request_leave(struct ostler_request *r)
{
    struct ost_list *node, *next;

    OST_LIST_EACH(node, next, &r->owner->cursors) {
        struct ost_cursor *cursor = OST_CONTAINER(node, struct ost_cursor, node);

        if (cursor->at == &r->node)
            cursor->at = r->node.next;
    }
    ost_list_remove(&r->node);
}

void ost_request_forget(struct ostler_request *r)
{
    ost_timer_fini(&r->timer, r->owner->reactor);
    ost_request_leave(r);
    free(r);
}

int ost_request_accept(struct ostler_request **out, struct ost_owner *owner, int fd, const struct ostler_address *peer)
{
    if (owner->options.conn)
        return ost_conn_new(out, owner, owner->options.conn, fd, peer);
    return ost_stream_new(out, owner, fd, peer);
}

/* Of one whose handler runs in a child. */
static struct ost_relay *relay_of(const struct ostler_request *r)
{
    return OST_CONTAINER(r, const struct ost_stream, request)->relay;
}

bool ost_request_is_stopped(const struct ostler_request *r)
{
    if (atomic_load_explicit(&r->stopping, memory_order_acquire))
        return true;
    return r->in_child && ost_relay_is_stopped(relay_of(r), NULL);
}

OST_HOT bool ost_request_is_cancelled_afar(const struct ostler_request *r)
{
    return ost_relay_is_cancelled(relay_of(r));
}

/* In a child: take over what the parent has told. */
static void heed_relay(struct ostler_request *r)
{
    if (!atomic_load(&r->stopping) && ost_relay_is_stopped(relay_of(r), &r->input_left))
        atomic_store(&r->stopping, true);
    if (ost_relay_is_cancelled(relay_of(r)))
        atomic_store(&r->cancelled, true);
}

static bool is_stopping(struct ostler_request *r)
{
    if (r->in_child)
        heed_relay(r);
    return atomic_load_explicit(&r->stopping, memory_order_acquire);
}

/* When the server stops a handler is to see what had arrived then, and no more. That
 * cannot be left to SHUT_RD, after which a TCP socket goes on taking in what the peer
 * sends; so what is left is counted down. got bytes were received, and stopping says
 * whether the count had been made before that. */
static void count_down(struct ostler_request *r, bool stopping, ssize_t got)
{
    if (stopping)
        r->input_left = r->input_left > got ? r->input_left - (int)got : 0;
    else if (is_stopping(r))
        r->input_left = ost_socket_pending_all(r->watch.fd); /* it came meanwhile, with or without ours */
}

static size_t at_most(size_t n, int limit)
{
    return n < (size_t)limit ? n : (size_t)limit;
}

int ost_request_failed(struct ostler_request *r, int error)
{
    if (r->in_child)
        heed_relay(r); /* it may be the parent's doing */
    if (error != -EAGAIN) {
        r->broken = true;
        r->io_error = ost_error16(error);
    }
    return error;
}

/* The end of input: the socket's, unless a stop has ended it. */
static void ended(struct ostler_request *r, bool by_socket)
{
    r->eof = true;
    r->peer_done = by_socket && !is_stopping(r);
}

/* Inline, so that the call of recv(2) in ost_request_receive(), which each request makes, is a direct one. */
static inline __attribute__((always_inline)) ssize_t receive_by(struct ostler_request *r, ost_receiving *receive,
                                                                void *into, size_t n, int flags)
{
    bool stopping = is_stopping(r);
    ssize_t got = 0;

    if (n == 0)
        return 0;
    if (r->eof)
        n = 0;
    else if (stopping)
        n = at_most(n, r->input_left);
    if (n > 0)
        got = receive(r->watch.fd, into, n, flags);
    if (got < 0)
        return ost_request_failed(r, (int)got);
    if (flags & MSG_PEEK)
        return got;
    if (got == 0 && !r->eof)
        ended(r, n > 0);
    ost_request_count(&r->bytes_in, (uint64_t)got);
    count_down(r, stopping, got);
    return got;
}

OST_HOT ssize_t ost_request_receive(struct ostler_request *r, void *buffer, size_t n, int flags)
{
    return receive_by(r, ost_socket_receive, buffer, n, flags);
}

ssize_t ost_request_receive_by(struct ostler_request *r, ost_receiving *receive, void *into, size_t n, int flags)
{
    return receive_by(r, receive, into, n, flags);
}

ssize_t ost_request_received_nothing(struct ostler_request *r, ssize_t got)
{
    if (got < 0)
        return ost_request_failed(r, (int)got);
    ended(r, true);
    return 0;
}

OST_HOT ssize_t ost_request_send(struct ostler_request *r, const void *data, size_t n, int flags)
{
    return ost_request_sent(r, ost_socket_send(r->watch.fd, data, n, flags));
}

/* Is it this thread that receives for it? */
static bool is_received_here(const struct ostler_request *r)
{
    return r->is_conn || OST_CONTAINER(r, const struct ost_stream, request)->parker;
}

void ost_request_stop(struct ostler_request *r)
{
    if (r->closing) {
        ost_request_close_sooner(r);
        return;
    }
    if (r->datagram)
        return; /* all of its input is there */
    r->input_left = is_received_here(r) ? ost_socket_pending_all(r->watch.fd) : ost_socket_pending(r->watch.fd);
    if (r->in_child && !ost_relay_stop(relay_of(r), r->input_left))
        return; /* its end is about to be seen */
    atomic_store_explicit(&r->stopping, true, memory_order_release);
    if (r->is_conn)
        ost_conn_stop(r);
    else
        ost_stream_stop(r);
}

void ost_request_cancel(struct ostler_request *r)
{
    if (r->discarding) {
        ost_request_close_now(r);
        return;
    }
    atomic_store(&r->cancelled, true);
    if (r->in_child)
        ost_relay_cancel(relay_of(r));
    if (r->closing)
        return; /* it is on its way */
    if (r->is_conn) {
        ost_conn_cancel(r);
    } else {
        if (!r->datagram)
            shutdown(r->watch.fd, SHUT_RDWR);
        ost_stream_cancel(r);
    }
}

OST_HOT void ost_request_blame(struct ostler_request *r, enum ostler_close_reason reason, int error)
{
    unsigned char none = OSTLER_CLOSE_NONE;

    if (atomic_compare_exchange_strong(&r->reason, &none, (unsigned char)reason))
        r->error = ost_error16(error);
}

OST_HOT enum ostler_close_reason ost_request_reason(int error)
{
    switch (-error) {
    case 0:
        return OSTLER_CLOSE_DONE;
    case ETIMEDOUT:
        return OSTLER_CLOSE_TIMEOUT;
    case ECANCELED:
        return OSTLER_CLOSE_STOPPED;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
    case ENETRESET:
        return OSTLER_CLOSE_RESET;
    default:
        return OSTLER_CLOSE_ERROR;
    }
}

const char *ostler_close_reason_text(enum ostler_close_reason reason)
{
    static const char *const texts[] = {
        [OSTLER_CLOSE_NONE] = "open",
        [OSTLER_CLOSE_DONE] = "done",
        [OSTLER_CLOSE_PEER] = "end of input",
        [OSTLER_CLOSE_RESET] = "connection lost",
        [OSTLER_CLOSE_TIMEOUT] = "timed out",
        [OSTLER_CLOSE_DEADLINE] = "deadline passed",
        [OSTLER_CLOSE_INPUT_LIMIT] = "more unused input than max_input",
        [OSTLER_CLOSE_OUTPUT_LIMIT] = "more unsent output than max_output",
        [OSTLER_CLOSE_ERROR] = "handler failed",
        [OSTLER_CLOSE_REFUSED] = "refused",
        [OSTLER_CLOSE_CONNECT] = "could not connect",
        [OSTLER_CLOSE_ABORTED] = "aborted",
        [OSTLER_CLOSE_STOPPED] = "server stopped",
        [OSTLER_CLOSE_CANCELLED] = "cancelled",
    };
    size_t i = (size_t)reason;

    return i < sizeof(texts) / sizeof(texts[0]) ? texts[i] : "unknown";
}

const struct ostler_address *ostler_request_peer(const struct ostler_request *r)
{
    return r ? ost_request_peer(r) : NULL;
}

struct ostler_server *ostler_request_server(const struct ostler_request *r)
{
    return r ? r->owner->server : NULL;
}

bool ostler_request_is_datagram(const struct ostler_request *r)
{
    return r && r->datagram;
}

bool ostler_request_was_cut(const struct ostler_request *r)
{
    return r && r->cut;
}

const void *ostler_request_data(const struct ostler_request *r, size_t *length)
{
    if (!r || !length || !r->datagram)
        return NULL;
    *length = (size_t)ostler_request_bytes_in(r);
    if (r->owner->options.stream)
        return ost_packet_data(OST_CONTAINER(r, const struct ost_stream, request)->packet);
    return ostler_datagram_data(&OST_CONTAINER(r, const struct ost_datagram, request)->base);
}

int ostler_request_fd(const struct ostler_request *r)
{
    return r ? r->watch.fd : -EINVAL;
}

uint64_t ostler_request_bytes_in(const struct ostler_request *r)
{
    return r ? atomic_load_explicit(&r->bytes_in, memory_order_relaxed) : 0;
}

uint64_t ostler_request_bytes_out(const struct ostler_request *r)
{
    return r ? atomic_load_explicit(&r->bytes_out, memory_order_relaxed) : 0;
}
