#include "request/datagram.h"

#include <errno.h>
#include <string.h>

#include "net/batch.h"

static struct ost_datagram *inside(const struct ostler_datagram *datagram)
{
    return datagram ? OST_CONTAINER(datagram, struct ost_datagram, base) : NULL;
}

void ost_datagram_init(struct ost_datagram *d, struct ost_owner *owner, int fd, struct ost_batch *batch)
{
    struct ostler_request *r = &d->request;

    memset(d, 0, sizeof(*d));
    r->owner = owner;
    r->watch.fd = fd;
    r->input_left = -1;
    r->datagram = r->eof = r->peer_done = true;
    ost_list_init(&r->node);
    ost_list_init(&r->job.node);
    d->batch = batch;
    d->base.request = r;
}

void ost_datagram_select(struct ost_datagram *d, int index)
{
    struct ostler_request *r = &d->request;

    d->index = index;
    r->cut = ost_batch_was_cut(d->batch, index);
    r->bytes_in = ost_batch_length(d->batch, index);
    r->bytes_out = 0;
    r->io_error = 0;
}

const struct ostler_address *ost_datagram_peer(const struct ostler_request *r)
{
    const struct ost_datagram *d = OST_CONTAINER(r, const struct ost_datagram, request);

    return ost_batch_peer(d->batch, d->index);
}

int ost_datagram_run(struct ostler_request *r)
{
    struct ost_datagram *d = OST_CONTAINER(r, struct ost_datagram, request);
    int error = r->owner->options.datagram->on_datagram(&d->base);

    return error < 0 ? error : 0;
}

int ost_datagram_flush(struct ost_owner *owner, int fd, struct ost_batch *batch)
{
    unsigned long long refused = 0;
    int error = ost_batch_send(batch, fd, &refused);

    if (refused > 0)
        atomic_fetch_add(&owner->dropped, refused);
    return error;
}

int ostler_datagram_reply(struct ostler_datagram *datagram, const void *data, size_t n)
{
    struct ost_datagram *d = inside(datagram);
    struct ost_owner *owner;
    int error;

    if (!d || (!data && n > 0))
        return -EINVAL;
    owner = d->request.owner;
    error = ost_batch_reply(d->batch, d->index, data, n);
    if (error == -ENOSPC && ost_datagram_flush(owner, d->request.watch.fd, d->batch) == 0)
        error = ost_batch_reply(d->batch, d->index, data, n);
    if (error == -ENOSPC) { /* the socket is full: as if it had been refused */
        atomic_fetch_add(&owner->dropped, 1);
        return 0;
    }
    if (error == 0)
        ost_request_count(&d->request.bytes_out, n);
    else
        d->request.io_error = ost_error16(error);
    return error;
}

const void *ostler_datagram_data(const struct ostler_datagram *datagram)
{
    const struct ost_datagram *d = inside(datagram);

    return d ? ost_batch_data(d->batch, d->index) : NULL;
}

size_t ostler_datagram_length(const struct ostler_datagram *datagram)
{
    const struct ost_datagram *d = inside(datagram);

    return d ? ost_batch_length(d->batch, d->index) : 0;
}

bool ostler_datagram_was_cut(const struct ostler_datagram *datagram)
{
    return datagram && ostler_request_was_cut(datagram->request);
}

struct ostler_server *ostler_datagram_server(const struct ostler_datagram *datagram)
{
    return datagram ? ostler_request_server(datagram->request) : NULL;
}

const struct ostler_address *ostler_datagram_peer(const struct ostler_datagram *datagram)
{
    return datagram ? ostler_request_peer(datagram->request) : NULL;
}
