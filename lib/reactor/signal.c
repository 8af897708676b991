/* Signals, by libevent: its handler writes the number into a socket pair, and the
 * callback runs in the loop. A blocked signal never comes to a handler: it is read from a
 * descriptor. There are as many of these as watchers, but one read takes the signal: whoever has it tells
 * the others. A process that forks much had better block its signals: there is nothing that its
 * children must take back. */
#include "reactor/hold.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/closing.h"

struct ostler_signal {
    struct ostler_reactor *reactor;
    struct event *event;
    int number;
    int fd; /* or -1: it is libevent's */
    struct ost_holder holder; /* of fd */
    void (*function)(void *user);
    void *user;
};

/* Or another watcher has taken it. */
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

static void name_descriptor(struct ost_holder *holder, struct ost_closing *closing)
{
    ost_closing_add(closing, OST_CONTAINER(holder, struct ostler_signal, holder)->fd);
}

/* Let those run that watch the same signal as s; who is freed before that does not. */
static void tell_others(const struct ostler_signal *s)
{
    struct ost_list *node, *next;

    OST_LIST_EACH(node, next, &s->reactor->holders) {
        const struct ost_holder *holder = OST_CONTAINER(node, struct ost_holder, node);
        const struct ostler_signal *other = OST_CONTAINER(holder, struct ostler_signal, holder);

        if (holder->name == name_descriptor && other != s && other->number == s->number)
            event_active(other->event, EV_SIGNAL, 1);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    const struct ostler_signal *s = arg;
    struct signalfd_siginfo info;
    bool is_ours = read(fd, &info, sizeof(info)) == sizeof(info);

    if (is_ours)
        tell_others(s);
    if (is_ours || what & EV_SIGNAL)
        on_signal(s->number, what, arg);
}

static bool is_blocked(int number)
{
    sigset_t mask;

    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    return sigismember(&mask, number) > 0;
}

/* 0 or -errno. */
static int open_descriptor(struct ostler_signal *s, int number)
{
    sigset_t only;

    sigemptyset(&only);
    sigaddset(&only, number);
    s->fd = signalfd(-1, &only, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->fd < 0 ? -errno : 0;
}

static int watch(struct ostler_signal *s, int number)
{
    if (s->fd >= 0)
        s->event = event_new(s->reactor->base, s->fd, EV_READ | EV_PERSIST, on_readable, s);
    else
        s->event = evsignal_new(s->reactor->base, number, on_signal, s);
    return s->event && event_add(s->event, NULL) == 0 ? 0 : -EINVAL;
}

int ostler_signal_new(struct ostler_signal **out, struct ostler_reactor *r, int number, void (*function)(void *user),
                      void *user)
{
    struct ostler_signal *s;
    int error;

    if (!out || !r || number < 1 || !function)
        return -EINVAL;
    error = ost_reactor_follow(r);
    if (error < 0)
        return error;
    s = malloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    *s = (struct ostler_signal){
        .reactor = r, .number = number, .fd = -1, .holder.name = name_descriptor, .function = function, .user = user,
    };
    ost_list_append(&r->holders, &s->holder.node);
    error = is_blocked(number) ? open_descriptor(s, number) : 0;
    if (error == 0)
        error = watch(s, number);
    if (error < 0)
        ostler_signal_free(s);
    else
        *out = s;
    return error;
}

void ostler_signal_free(struct ostler_signal *s)
{
    if (!s)
        return;
    ost_reactor_follow(s->reactor);
    if (s->event)
        event_free(s->event);
    if (s->fd >= 0)
        close(s->fd);
    ost_list_remove(&s->holder.node);
    free(s);
}
