/* The evented face of datagrams: one object that stands for each datagram of a batch in
 * turn, as long as its callbacks run. Thread: the reactor's. */
#ifndef OST_REQUEST_DATAGRAM_H
#define OST_REQUEST_DATAGRAM_H

#include <ostler/datagram.h>

#include "request/request.h"

struct ost_batch;

struct ost_datagram {
    struct ostler_request request;
    struct ost_batch *batch;
    int index;
    struct ostler_datagram base;
};

/* Let it stand for datagrams of batch, which are received on fd. */
void ost_datagram_init(struct ost_datagram *datagram, struct ost_owner *owner, int fd, struct ost_batch *batch);

/* … for the index-th from now on. */
void ost_datagram_select(struct ost_datagram *datagram, int index);

/* Call the handler. 0 or -errno. */
int ost_datagram_run(struct ostler_request *request);

/* Send the queued replies of batch. 0, or -EAGAIN: some are left. */
int ost_datagram_flush(struct ost_owner *owner, int fd, struct ost_batch *batch);

#endif
