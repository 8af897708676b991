/* Busy polling: to look for readiness again and again for a short while before the loop sleeps.
 * What it saves is the wake-up of a thread that sleeps, which takes longer than most requests; what
 * it costs is the processor. So it is done only as long as it pays: readiness has come soon
 * after the last turns, and mostly within the time. One that is late now and then changes nothing; when
 * most are, the loop sleeps at once for one turn, then two, four … before it tries again.
 * Thread: the reactor's. */
#ifndef OST_REACTOR_SPIN_H
#define OST_REACTOR_SPIN_H

#include <stdbool.h>
#include <stdint.h>

struct ostler_reactor;

struct ost_spin {
    uint64_t us;       /* how long, at most; 0: not at all */
    bool soon;         /* readiness has come soon, when the loop slept last */
    unsigned luck;     /* how many of the last looks were not in vain, of MOST_LUCK */
    unsigned failures; /* in a row, out of luck */
    unsigned rest;     /* turns to sleep at once */
};

/* Turn libevent's loop once, and sleep if there is nothing to do for too long. As event_base_loop(). */
int ost_spin_turn(struct ostler_reactor *reactor);

#endif
