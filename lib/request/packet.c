/* The channel of a datagram: a stream whose input is there from the beginning, and
 * whose output leaves in one piece at the end. It never waits. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/batch.h"
#include "request/stream.h"

struct ost_packet {
    struct ost_origin origin;
    bool silent; /* there is to be no reply */
    bool lost;   /* the reply could not be sent */
    char *out;
    size_t count, size;
};

void ost_packet_free(struct ost_packet *p)
{
    if (p)
        free(p->out);
    free(p);
}

void ost_packet_silence(struct ost_packet *p)
{
    p->silent = true;
}

bool ost_packet_is_lost(const struct ost_packet *p)
{
    return p->lost;
}

/* What the line buffer of a connection holds is all there is of a datagram. */
static void fill(struct ost_stream *s, struct ost_packet *packet, char *in, const struct ost_batch *batch, int index)
{
    struct ostler_request *r = &s->request;

    s->channel = &ost_packet_channel;
    s->packet = packet;
    s->in = in;
    s->in_count = ost_batch_length(batch, index);
    atomic_store_explicit(&r->bytes_in, s->in_count, memory_order_relaxed);
    memcpy(s->in, ost_batch_data(batch, index), s->in_count);
    ost_batch_origin(batch, index, &packet->origin);
    r->datagram = r->eof = r->peer_done = true;
    r->cut = ost_batch_was_cut(batch, index);
}

/* All memory first: a request that has begun can only end as one that was admitted. */
int ost_packet_new(struct ostler_request **out, struct ost_owner *owner, int fd, const struct ost_batch *batch,
                   int index)
{
    size_t n = ost_batch_length(batch, index);
    struct ost_packet *packet = calloc(1, sizeof(*packet));
    char *in = malloc(n ? n : 1);
    struct ostler_request *r;

    if (!packet || !in || ost_stream_new(&r, owner, fd, ost_batch_peer(batch, index)) < 0) {
        free(packet);
        free(in);
        return -ENOMEM;
    }
    fill(OST_CONTAINER(r, struct ost_stream, request), packet, in, batch, index);
    *out = r;
    return 0;
}

/* 0, or -ECANCELED, which then is the server's doing. */
static int check(struct ost_stream *s)
{
    const struct ostler_request *r = &s->request;

    if (!ost_request_is_cancelled(r))
        return 0;
    s->request.io_error = -ECANCELED;
    return -ECANCELED;
}

static ssize_t receive(struct ost_stream *s, void *buffer, size_t n)
{
    (void)buffer;
    (void)n;
    return check(s);
}

static int grow(struct ost_packet *p, size_t size)
{
    size_t doubled = p->size * 2 > 512 ? p->size * 2 : 512;
    char *out;

    if (size <= p->size)
        return 0;
    size = size > doubled ? size : doubled;
    out = realloc(p->out, size);
    if (!out)
        return -ENOMEM;
    p->out = out;
    p->size = size;
    return 0;
}

static int append(struct ost_stream *s, const void *data, size_t n)
{
    struct ost_packet *p = s->packet;
    int error = check(s);

    if (error < 0)
        return error;
    if (n > ost_packet_limit(ost_request_peer(&s->request)) - p->count)
        return -EMSGSIZE;
    error = grow(p, p->count + n);
    if (error < 0)
        return error;
    memcpy(p->out + p->count, data, n);
    p->count += n;
    return 0;
}

static int half_close(struct ost_stream *s)
{
    (void)s; /* that nothing more is written is known (s->shut) */
    return 0;
}

/* A reply that cannot be sent is lost, as datagrams are, and counted. */
static void finish(struct ost_stream *s)
{
    struct ostler_request *r = &s->request;
    struct ost_packet *p = s->packet;

    ostler_stream_flush(&s->base); /* into the packet */
    if (p->silent || check(s) < 0)
        return;
    p->lost = ost_packet_send(r->watch.fd, ost_request_peer(r), &p->origin, p->out, p->count) < 0;
    if (p->lost)
        atomic_fetch_add(&r->owner->dropped, 1); /* of a child the parent does so: see relay.c */
    else
        ost_request_count(&r->bytes_out, p->count);
}

const struct ost_channel ost_packet_channel = { receive, append, half_close, finish };
