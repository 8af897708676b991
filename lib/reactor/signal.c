/* Signals, by libevent: its handler writes the number into a socket pair, and the
 * callback runs in the loop. A blocked signal never comes to a handler: it is read from a
 * descriptor. A process that forks much had better block its signals: there is nothing that its
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
    int fd; /* or -1: it is libevent's */
    struct ost_holder holder; /* of fd */
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

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof(info)) == sizeof(info))
        on_signal((evutil_socket_t)info.ssi_signo, what, arg);
}

static void name_descriptor(struct ost_holder *holder, struct ost_closing *closing)
{
    ost_closing_add(closing, OST_CONTAINER(holder, struct ostler_signal, holder)->fd);
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
    s = malloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    *s = (struct ostler_signal){
        .reactor = r, .fd = -1, .holder.name = name_descriptor, .function = function, .user = user,
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
    if (s->event)
        event_free(s->event);
    if (s->fd >= 0)
        close(s->fd);
    ost_list_remove(&s->holder.node);
    free(s);
}
