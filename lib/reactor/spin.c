#include "reactor/spin.h"

#include <errno.h>

#include <event2/event.h>

#include "reactor/reactor.h"

/* A sleep that is longer than so many times the spin would not have been spared by it; the wake-ups
 * of both sides are part of it. */
enum { SOON = 4, MOST_FAILURES = 10, MOST_US = 1000000 };

/* Luck is an average in which the last look counts a WEIGHT-th; below LEAST_LUCK it does not pay. */
enum { MOST_LUCK = 1024, LEAST_LUCK = 256, WEIGHT = 8 };

static bool is_worth_it(struct ost_spin *s)
{
    if (!s->soon)
        return false;
    if (s->rest == 0)
        return true;
    s->rest--;
    return false;
}

/* Look until something has happened: 1; 0: the time is up; -1. The program's own events are not counted,
 * but may have left something to do. */
static int look(struct ostler_reactor *r, uint64_t start)
{
    unsigned before = r->activity;

    do {
        if (ost_reactor_loop(r, EVLOOP_NONBLOCK) < 0)
            return -1;
        if (r->activity != before || !ost_list_is_empty(&r->soon))
            return 1;
    } while (ost_clock_us() - start < r->spin.us);
    return 0;
}

static void note_success(struct ost_spin *s)
{
    s->luck += (MOST_LUCK - s->luck) / WEIGHT;
    s->failures = 0;
}

static void note_failure(struct ost_spin *s)
{
    s->luck -= s->luck / WEIGHT;
    if (s->luck >= LEAST_LUCK)
        return;
    s->failures += s->failures < MOST_FAILURES;
    s->rest = (1u << s->failures) - 1;
}

int ost_spin_turn(struct ostler_reactor *r)
{
    struct ost_spin *s = &r->spin;
    uint64_t start = ost_clock_us();
    int found;

    if (is_worth_it(s)) {
        found = look(r, start);
        if (found < 0)
            return -1;
        if (found > 0) {
            note_success(s);
            return 0;
        }
        note_failure(s);
        start = ost_clock_us();
    }
    found = ost_reactor_loop(r, 0);
    s->soon = ost_clock_us() - start <= s->us * SOON;
    return found;
}

int ostler_reactor_set_busy_poll(struct ostler_reactor *r, long us)
{
    if (!r || us < 0 || us > MOST_US)
        return -EINVAL;
    r->spin = (struct ost_spin){ .us = (uint64_t)us };
    return 0;
}
