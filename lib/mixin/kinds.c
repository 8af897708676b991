#include "mixin/kinds.h"

#include <errno.h>
#include <stdatomic.h>

/* The one thing in the library that is the process's: fork(2) copies all of it, so what
 * one server does concerns all others. How many mix-ins with threads are open; below 0:
 * how many with children. */
static atomic_int open_kinds;

static void refuse(enum ost_mixin_kind kind, const char *server, const struct ostler_log *log)
{
    ostler_log_write(log, OSTLER_LOG_ERROR,
                     kind == OST_THREADS
                         ? "%s: a threading server does not open while a forking one is open in the process: "
                           "its threads' locks would be copied into children"
                         : "%s: a forking server does not open while a threading one is open in the process: "
                           "the threads' locks would be copied into its children",
                     server);
}

int ost_mixin_enter(enum ost_mixin_kind kind, const char *server, const struct ostler_log *log)
{
    int count = atomic_load(&open_kinds);

    do {
        if (count * (int)kind < 0) {
            refuse(kind, server, log);
            return -EBUSY;
        }
    } while (!atomic_compare_exchange_weak(&open_kinds, &count, count + (int)kind));
    return 0;
}

void ost_mixin_leave(enum ost_mixin_kind kind)
{
    atomic_fetch_sub(&open_kinds, (int)kind);
}
