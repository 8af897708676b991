/* A nudge: how the parent wakes a child that waits for something other than its
 * connection, whose end it would see. A signal that is ignored unless somebody catches it,
 * and that is let in during ppoll(2) alone: it cannot interrupt anything else, nor come too
 * early. */
#ifndef OST_REQUEST_NUDGE_H
#define OST_REQUEST_NUDGE_H

#include <poll.h>

#include "request/request.h"

/* The child: poll(2), which a nudge ends with EINTR. */
int ost_nudge_poll(struct ostler_request *request, struct pollfd *polled, size_t n, int ms);

/* The parent: let it look whether it was cancelled. */
void ost_nudge(const struct ostler_request *request);

#endif
