/* Timers: a binary heap over one libevent timer, made for time-outs that are
 * nearly always pushed back before they fire. Pushing one back, or clearing it,
 * only writes down the new time; the heap is put right when the old one comes.
 * A timer is 24 bytes in its owner's struct (a libevent event: 128).
 * Resolution: a millisecond, late by up to the kernel's tick. Thread: the reactor's. */
#ifndef OST_REACTOR_TIMER_H
#define OST_REACTOR_TIMER_H

#include "reactor/reactor.h"

struct ost_timer {
    void (*fire)(struct ost_timer *timer);
    uint32_t key;   /* its place in the heap: never later than due, or than when it was set (by one that
                       fires: a millisecond after); see timer.c */
    uint32_t index; /* in the heap; 0: not in it */
    uint64_t due;   /* when it is to fire; OST_NEVER: not at all. Last: see struct ostler_request */
};

/* Reserve a place; -ENOMEM. After it the timer's other functions cannot fail. */
int ost_timer_init(struct ost_timer *timer, struct ostler_reactor *reactor, void (*fire)(struct ost_timer *timer));
void ost_timer_fini(struct ost_timer *timer, struct ostler_reactor *reactor);

/* Fire once, at due (OST_NEVER: don't). */
void ost_timer_set(struct ost_timer *timer, struct ostler_reactor *reactor, uint64_t due);

#endif
