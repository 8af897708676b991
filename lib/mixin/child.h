/* What happens in a child process, from fork(3) to its end; and what must be known of its parent for that. */
#ifndef OST_MIXIN_CHILD_H
#define OST_MIXIN_CHILD_H

#include <signal.h>
#include <stdnoreturn.h>

#include "request/stream.h"

/* The signals that the program catches. To ask the kernel is a call for each that there is, so
 * what was found holds for all who are forked within one callback of the loop. */
struct ost_caught {
    struct ost_job forget;
    bool known, any;
    sigset_t signals;
};

void ost_caught_init(struct ost_caught *caught);
void ost_caught_fini(struct ost_caught *caught);

/* Find them, unless that was done. */
void ost_caught_look(struct ost_caught *caught, struct ostler_reactor *reactor);

/* Run the handler of stream, whose relay is there, and end the process: status 0, or 1
 * when it has failed. If there are caught signals, all are blocked; mask is what the thread had
 * before. */
noreturn void ost_child_run(struct ost_stream *stream, const struct ost_caught *caught, const sigset_t *mask);

#endif
