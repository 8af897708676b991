/* The channel of a datagram: a stream whose input is there from the beginning, and
 * whose output leaves in one piece at the end. It never waits.
 *
 * Its bytes stay as they came until the last slot has seen them (ostler_request_data()); the
 * reply is gathered here alone, so that each write is told when it has become too long. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/batch.h"
#include "request/stream.h"

struct ost_packet {
    struct ost_origin origin;
    bool silent; /* there is to be no reply */
    bool lost;   /* the reply could not be sent */
    char *in;
    size_t in_count, in_used;
    char *out;
    size_t count, size;
};

static void dispose(struct ost_packet *p)
{
    free(p->in);
    free(p->out);
    free(p);
}

void ost_packet_fini(struct ost_stream *s)
{
    if (s->packet)
        dispose(s->packet);
    s->packet = NULL;
}

void ost_packet_silence(struct ost_packet *p)
{
    p->silent = true;
}

bool ost_packet_is_lost(const struct ost_packet *p)
{
    return p->lost;
}

const void *ost_packet_data(const struct ost_packet *p)
{
    return p->in;
}

/* Room for a datagram of n bytes, or NULL. */
static struct ost_packet *make(size_t n)
{
    struct ost_packet *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->in_count = n;
    p->in = malloc(n ? n : 1);
    if (p->in)
        return p;
    free(p);
    return NULL;
}

static void fill(struct ost_stream *s, struct ost_packet *packet, const struct ost_batch *batch, int index)
{
    struct ostler_request *r = &s->request;

    s->channel = &ost_packet_channel;
    s->packet = packet;
    s->out_size = 0;
    atomic_store_explicit(&r->bytes_in, packet->in_count, memory_order_relaxed);
    memcpy(packet->in, ost_batch_data(batch, index), packet->in_count);
    ost_batch_origin(batch, index, &packet->origin);
    r->datagram = r->eof = r->peer_done = true;
    r->cut = ost_batch_was_cut(batch, index);
}

/* All memory first: a request that has begun can only end as one that was admitted. */
int ost_packet_new(struct ostler_request **out, struct ost_owner *owner, int fd, const struct ost_batch *batch,
                   int index)
{
    struct ost_packet *packet = make(ost_batch_length(batch, index));
    struct ostler_request *r;

    if (!packet)
        return -ENOMEM;
    if (ost_stream_new(&r, owner, fd, ost_batch_peer(batch, index)) < 0) {
        dispose(packet);
        return -ENOMEM;
    }
    fill(OST_CONTAINER(r, struct ost_stream, request), packet, batch, index);
    *out = r;
    return 0;
}

/* 0, or -ECANCELED or -ETIMEDOUT, which then are not the handler's doing. */
static int check(struct ost_stream *s)
{
    int error = ost_stream_check(s);

    return error < 0 ? ost_stream_failed(s, error) : 0;
}

static ssize_t receive(struct ost_stream *s, void *buffer, size_t n)
{
    struct ost_packet *p = s->packet;
    size_t left = p->in_count - p->in_used;
    int error = check(s);

    if (error < 0)
        return error;
    n = n < left ? n : left;
    memcpy(buffer, p->in + p->in_used, n);
    p->in_used += n;
    return (ssize_t)n;
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

/* A reply that the kernel refuses is lost, as datagrams are, and counted. One that may not, or
 * cannot, be sent at all is an error, as an evented handler's. */
static int finish(struct ost_stream *s)
{
    struct ostler_request *r = &s->request;
    struct ost_packet *p = s->packet;
    int error = p->silent ? 0 : check(s);

    if (p->silent || error < 0)
        return error;
    error = ost_packet_send(r->watch.fd, ost_request_peer(r), &p->origin, p->out, p->count);
    if (error == -EDESTADDRREQ)
        return ost_stream_failed(s, error);
    p->lost = error < 0;
    if (p->lost)
        atomic_fetch_add(&r->owner->dropped, 1); /* of a child the parent does so: see relay.c */
    else
        ost_request_count(&r->bytes_out, p->count);
    return 0;
}

const struct ost_channel ost_packet_channel = { receive, append, half_close, finish };
