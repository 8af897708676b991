/* What happens in a child process, from fork(3) to its end. */
#ifndef OST_MIXIN_CHILD_H
#define OST_MIXIN_CHILD_H

#include <signal.h>
#include <stdnoreturn.h>

#include "request/stream.h"

/* Run the handler of stream, whose relay is there, and end the process: status 0, or 1
 * when it has failed. All signals are blocked; mask is what the thread had before. */
noreturn void ost_child_run(struct ost_stream *stream, const sigset_t *mask);

#endif
