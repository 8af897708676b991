/** The one installed header that names libevent. */
#ifndef OSTLER_SYS_LIBEVENT_H
#define OSTLER_SYS_LIBEVENT_H

#include <ostler/version.h>

OSTLER_BEGIN

struct event_base;
struct ostler_reactor;

/** The reactor's base, to add events of your own. It has no locks: use it on the
 *  reactor's thread only, and never run or free it. Borrowed. */
OSTLER_API struct event_base *ostler_reactor_event_base(struct ostler_reactor *reactor);

OSTLER_END

#endif
