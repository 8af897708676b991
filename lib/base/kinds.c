#include "base/kinds.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/hot.h"

/* This is the process's: fork(2) copies all of it, so what one server does concerns all
 * others. How many with threads are open; below 0: how many with children. */
static atomic_int open_kinds;

/* How many of our forks there were between the program and this process. It stands beside open_kinds, so that
 * a child writes to one page for both. */
static atomic_uint generation;

int ost_kinds_enter(enum ost_kinds kind)
{
    int count = atomic_load(&open_kinds);

    do {
        if (count * (int)kind < 0)
            return -EBUSY;
    } while (!atomic_compare_exchange_weak(&open_kinds, &count, count + (int)kind));
    return 0;
}

void ost_kinds_leave(enum ost_kinds kind)
{
    atomic_fetch_sub(&open_kinds, (int)kind);
}

OST_HOT void ost_kinds_reset(void)
{
    atomic_store(&open_kinds, 0);
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}

unsigned ost_generation(void)
{
    return atomic_load_explicit(&generation, memory_order_relaxed);
}
