/* The parent serves nothing, but it has the sockets, and sees when a client waits at one:
 *
 *   ready ─> note how many were accepted ─(20 ms)─> as many as before? suspect who should have
 *     └────────────────────────(watch again)────────────────────────┘
 *
 * Connections leave the kernel's queue by being accepted alone: if none was, the one that made
 * the socket ready is still there. So a client waits 20 ms for a worker that is stuck, 40 if another
 * one came just before; while clients come one after another this costs the parent 50 looks a
 * second, and nothing when none come. It stands here and not in the workers since it takes
 * one who is never stuck, and one alone: each of them would have to wake up for each client.
 *
 * What is used of a listener that never accepts: its watch, and the timer that it would try
 * again by. So they end as ever when it closes. */
#include "server/guard.h"

#include "server/balance.h"
#include "server/server.h"

enum { LOOK_MS = 20 };

static void look_later(struct ost_listener *l)
{
    struct ostler_reactor *r = l->server->owner.reactor;

    ost_timer_set(&l->retry, r, ost_reactor_refresh(r) + LOOK_MS);
}

static void on_waiting(struct ost_watch *watch, unsigned what)
{
    struct ost_listener *l = OST_CONTAINER(watch, struct ost_listener, watch);
    const struct ost_seat *seat = &l->server->seat;

    (void)what;
    ost_watch_set(watch, 0);
    l->accepted = ost_balance_accepted(seat->balance, seat->number);
    look_later(l);
}

static void on_look(struct ost_timer *timer)
{
    struct ost_listener *l = OST_CONTAINER(timer, struct ost_listener, retry);
    const struct ost_seat *seat = &l->server->seat;

    if (ost_balance_accepted(seat->balance, seat->number) == l->accepted)
        ost_balance_suspect(seat->balance, seat->number);
    if (ost_watch_set(&l->watch, OST_READ) < 0)
        look_later(l);
}

int ost_guard_start(struct ostler_server *s)
{
    int error = 0;

    for (size_t i = 0; i < s->listener_count && error == 0; i++) {
        struct ost_listener *l = &s->listeners[i];

        if (l->fd < 0 || l->receiver)
            continue;
        l->watch.ready = on_waiting;
        l->retry.fire = on_look;
        error = ost_watch_set(&l->watch, OST_READ);
    }
    return error;
}
