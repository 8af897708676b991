/* Who has the loop, and for how long. Whoever is called from the loop, and may take his time,
 * is entered on the way in, and comes off on the way out:
 *
 *    a fiber that is resumed, an inline handler's turn, a callback, a slot of the server's class,
 *    the fork(2)s of all children that are made together
 *
 * They nest, for one may let another go on; the time of the inner one is not the outer one's.
 * The clock is the coarse one: a few ns to read, right to a tick of the kernel (4 ms mostly).
 * It is read when a hold ends, and that is also when the next one of the same turn begins: what
 * libevent does in between is nothing, unless the program has events of its own on the base, or there is
 * no turn: then it is read both times.
 * Thread: the reactor's. */
#ifndef OST_REACTOR_HOLD_H
#define OST_REACTOR_HOLD_H

#include "reactor/reactor.h"

/* On the caller's stack. */
struct ost_hold {
    struct ost_hold *outer;
    const void *subject; /* the request, or NULL */
    uint64_t since;      /* less what inner ones took */
};

/* When one that begins now does so: when the last one of this turn ended, unless it is inside of another, or
 * others may have been in between. */
static inline uint64_t ost_hold_since(struct ostler_reactor *reactor)
{
    if (reactor->hold || reactor->looked == 0 || !reactor->ours_alone)
        reactor->looked = ost_clock_coarse_ms();
    return reactor->looked;
}

static inline void ost_hold_begin(struct ost_hold *hold, struct ostler_reactor *reactor, const void *subject)
{
    hold->outer = reactor->hold;
    hold->subject = subject;
    hold->since = ost_hold_since(reactor);
    reactor->hold = hold;
}

/* The last one that began has ended: how many ms it had. */
static inline uint64_t ost_hold_end(struct ostler_reactor *reactor)
{
    struct ost_hold *hold = reactor->hold;
    uint64_t held;

    reactor->looked = ost_clock_coarse_ms();
    held = reactor->looked - hold->since;
    reactor->hold = hold->outer;
    if (held > 0)
        reactor->now = 0; /* to be read anew: what comes next comes later */
    if (hold->outer)
        hold->outer->since += held;
    return held;
}

static inline bool ost_hold_is_of(const struct ostler_reactor *reactor, const void *subject)
{
    const struct ost_hold *hold = reactor->hold;

    while (hold && hold->subject != subject)
        hold = hold->outer;
    return hold;
}

/* Call function(arg), which is nobody's in particular; what says what it is: "a timer". */
void ost_hold_call(struct ostler_reactor *reactor, void (*function)(void *arg), void *arg, const char *what);

#endif
