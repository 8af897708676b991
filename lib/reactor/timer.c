/* Keys are the low half of the clock, which goes round in 49 days: they are compared by their
 * distance. So none is more than HORIZON ahead: what is due later is looked at then. And none is
 * behind when it is entered: a time that has been over for 25 days would look like one to come. */
#include "reactor/timer.h"

#include <errno.h>
#include <stdlib.h>

#include <event2/event.h>

#include "reactor/hold.h"

enum { HORIZON = 1 << 30 };

/* Is a's key earlier than b's? */
static bool is_earlier(const struct ost_timer *a, const struct ost_timer *b)
{
    return (int32_t)(a->key - b->key) < 0;
}

static void place(struct ostler_reactor *r, struct ost_timer *t, uint32_t index)
{
    r->heap[index] = t;
    t->index = index;
}

/* Find t's place from index towards the top. */
static void sift_up(struct ostler_reactor *r, struct ost_timer *t, uint32_t index)
{
    while (index > 1 && is_earlier(t, r->heap[index / 2])) {
        place(r, r->heap[index / 2], index);
        index /= 2;
    }
    place(r, t, index);
}

/* Find t's place from index towards the leaves. */
static void sift_down(struct ostler_reactor *r, struct ost_timer *t, uint32_t index)
{
    uint32_t child;

    while ((child = index * 2) <= r->heap_count) {
        if (child < r->heap_count && is_earlier(r->heap[child + 1], r->heap[child]))
            child++;
        if (!is_earlier(r->heap[child], t))
            break;
        place(r, r->heap[child], index);
        index = child;
    }
    place(r, t, index);
}

static void insert(struct ostler_reactor *r, struct ost_timer *t, uint64_t now)
{
    uint64_t soonest = t->due > now ? t->due : now;

    if (soonest < r->next_alarm)
        soonest = r->next_alarm;
    t->key = (uint32_t)(soonest > now + HORIZON ? now + HORIZON : soonest);
    sift_up(r, t, ++r->heap_count);
}

static void take_out(struct ostler_reactor *r, struct ost_timer *t)
{
    struct ost_timer *last = r->heap[r->heap_count--];
    uint32_t index = t->index;

    t->index = 0;
    if (last == t)
        return;
    if (index > 1 && is_earlier(last, r->heap[index / 2]))
        sift_up(r, last, index);
    else
        sift_down(r, last, index);
}

/* See that the alarm goes off no later than the first timer. */
static void arm(struct ostler_reactor *r)
{
    uint64_t due = r->heap_count ? ost_clock_near(ost_reactor_now(r), r->heap[1]->key) : OST_NEVER;
    int ms;
    struct timeval tv;

    if (due >= r->alarm_due)
        return;
    ms = ost_clock_until(ost_reactor_refresh(r), due);
    tv = (struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000L };
    if (event_add(r->alarm, &tv) == 0)
        r->alarm_due = due;
}

/* The alarm. Timers that enter the heap meanwhile, set by those that fire, wait for the next turn, even
 * when they are due: else one that sets itself anew would keep everything else waiting. */
static void on_alarm(evutil_socket_t fd, short what, void *arg)
{
    struct ostler_reactor *r = arg;
    uint64_t now = ost_reactor_refresh(r);

    (void)fd;
    (void)what;
    r->activity++;
    r->alarm_due = OST_NEVER;
    r->next_alarm = now + 1;
    while (r->heap_count > 0 && ost_clock_near(now, r->heap[1]->key) <= now) {
        struct ost_timer *t = r->heap[1];

        take_out(r, t);
        if (t->due > now) {
            if (t->due != OST_NEVER)
                insert(r, t, now);
            continue;
        }
        t->due = OST_NEVER;
        t->fire(t);
    }
    r->next_alarm = 0;
    arm(r);
    ost_reactor_settle(r);
}

int ost_timers_open(struct ostler_reactor *r)
{
    struct timeval some_time = { .tv_sec = 1 };

    r->alarm_due = OST_NEVER;
    r->alarm = event_new(r->base, -1, 0, on_alarm, r);
    /* Once now, so that libevent has the memory for it and cannot fail later. */
    if (!r->alarm || event_add(r->alarm, &some_time) < 0)
        return -ENOMEM;
    event_del(r->alarm);
    return 0;
}

void ost_timers_close(struct ostler_reactor *r)
{
    if (r->alarm)
        event_free(r->alarm);
    free(r->heap);
}

static int reserve(struct ostler_reactor *r, size_t count)
{
    size_t capacity = r->heap_capacity ? r->heap_capacity * 2 : 64;
    struct ost_timer **heap;

    if (count < r->heap_capacity)
        return 0;
    heap = realloc(r->heap, capacity * sizeof(struct ost_timer *));
    if (!heap)
        return -ENOMEM;
    r->heap = heap;
    r->heap_capacity = capacity;
    return 0;
}

int ost_timer_init(struct ost_timer *t, struct ostler_reactor *r, void (*fire)(struct ost_timer *timer))
{
    int error = reserve(r, r->timers + 1); /* heap[0] is not used */

    if (error < 0)
        return error;
    r->timers++;
    *t = (struct ost_timer){ .due = OST_NEVER, .fire = fire };
    return 0;
}

void ost_timer_fini(struct ost_timer *t, struct ostler_reactor *r)
{
    if (t->index)
        take_out(r, t);
    r->timers--;
}

void ost_timer_set(struct ost_timer *t, struct ostler_reactor *r, uint64_t due)
{
    uint64_t now = ost_reactor_now(r);

    t->due = due;
    if (due == OST_NEVER || (t->index && ost_clock_near(now, t->key) <= due))
        return;
    if (t->index)
        take_out(r, t);
    insert(r, t, now);
    arm(r);
}

struct ostler_timer {
    struct ost_timer timer;
    struct ostler_reactor *reactor;
    void (*function)(void *user);
    void *user;
};

static void fire(struct ost_timer *timer)
{
    struct ostler_timer *t = OST_CONTAINER(timer, struct ostler_timer, timer);

    ost_hold_call(t->reactor, t->function, t->user, "a timer");
}

int ostler_timer_new(struct ostler_timer **out, struct ostler_reactor *r, void (*function)(void *user), void *user)
{
    struct ostler_timer *t;
    int error;

    if (!out || !r || !function)
        return -EINVAL;
    t = malloc(sizeof(*t));
    if (!t)
        return -ENOMEM;
    error = ost_timer_init(&t->timer, r, fire);
    if (error < 0) {
        free(t);
        return error;
    }
    t->reactor = r;
    t->function = function;
    t->user = user;
    *out = t;
    return 0;
}

void ostler_timer_free(struct ostler_timer *t)
{
    if (!t)
        return;
    ost_timer_fini(&t->timer, t->reactor);
    free(t);
}

int ostler_timer_start(struct ostler_timer *t, long ms)
{
    if (!t || ms < 0)
        return -EINVAL;
    ost_timer_set(&t->timer, t->reactor, ost_reactor_refresh(t->reactor) + (uint64_t)ms);
    return 0;
}

int ostler_timer_stop(struct ostler_timer *t)
{
    if (!t)
        return -EINVAL;
    ost_timer_set(&t->timer, t->reactor, OST_NEVER);
    return 0;
}
