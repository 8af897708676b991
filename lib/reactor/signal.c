/* Signals, by libevent: its handler writes the number into a socket pair, and the
 * callback runs in the loop. */
#include "reactor/hold.h"

#include <errno.h>
#include <stdlib.h>

#include <event2/event.h>

struct ostler_signal {
    struct ostler_reactor *reactor;
    struct event *event;
    void (*function)(void *user);
    void *user;
};

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct ostler_signal *s = arg;
    struct ostler_reactor *r = s->reactor;

    (void)number;
    (void)what;
    r->activity++;
    ost_hold_call(r, s->function, s->user, "a signal's function"); /* may free s */
    ost_reactor_settle(r);
}

int ostler_signal_new(struct ostler_signal **out, struct ostler_reactor *r, int number, void (*function)(void *user),
                      void *user)
{
    struct ostler_signal *s;

    if (!out || !r || number < 1 || !function)
        return -EINVAL;
    s = malloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    *s = (struct ostler_signal){ .reactor = r, .function = function, .user = user };
    s->event = evsignal_new(r->base, number, on_signal, s);
    if (!s->event || event_add(s->event, NULL) < 0) {
        ostler_signal_free(s);
        return -EINVAL;
    }
    *out = s;
    return 0;
}

void ostler_signal_free(struct ostler_signal *s)
{
    if (!s)
        return;
    if (s->event)
        event_free(s->event);
    free(s);
}
