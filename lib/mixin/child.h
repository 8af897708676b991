/* What happens in a child process, from fork(3) to its end. */
#ifndef OST_MIXIN_CHILD_H
#define OST_MIXIN_CHILD_H

#include <signal.h>
#include <stdnoreturn.h>

#include "base/closing.h"
#include "request/stream.h"

/* What children must take back of what they have inherited. It is found out before the fork, and
 * once for all who are forked in a row. */
struct ost_legacy {
    struct ost_closing closing; /* the descriptors of the reactor */
    sigset_t caught;            /* the signals that the program catches */
    bool catches;               /* there are any */
};

/* 0 or -ENOMEM. */
int ost_legacy_take_stock(struct ost_legacy *legacy, struct ostler_reactor *reactor);

/* Run the handler of stream, whose relay is there, and end the process: status 0, or 1
 * when it has failed. If there are caught signals, all are blocked; mask is what the thread had
 * before. */
noreturn void ost_child_run(struct ost_stream *stream, const struct ost_legacy *legacy, const sigset_t *mask);

#endif
