/* SIGTERM, SIGINT and SIGUSR1, in a thread of their own. libevent would deliver a signal in
 * its loop, which a handler that never returns holds for ever; then nothing but
 * SIGKILL would help. So these signals are blocked everywhere and waited for here,
 * where no handler runs:
 *
 *    first signal              a graceful stop
 *    second, or none in time   all is cut off; resp. given up
 *    still there 0.7 s later   given up: the process ends
 *    SIGUSR1, at any time      the list of live requests
 *
 * The times leave the library room to be done first, and to name in the log what
 * does not end. Waiting is sigtimedwait(2), which nobody polls. To end the thread the
 * main one sets a flag and sends it SIGTERM.
 *
 * A worker that only forks has no such thread: fork(3) would copy its stack, take the locks of
 * a program with threads and give them back in parent and child, which was a quarter of
 * what a request costs. Handlers run in children there, so the loop takes the signals; one that is
 * held nevertheless, by a slot of a server class, is the daemon's to give up on, which has the thread. */
#include "daemon/stopper.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <ostler/log.h>
#include <ostler/reactor.h>

#include "daemon/now.h"

enum {
    GRACE_MS = 2000, /* beyond stop_timeout, for everything to end */
    ABORT_MS = 700,  /* after all was cut off */
    NO_LIMIT = 0
};

static void signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGUSR1);
}

void ost_stopper_block_signals(void)
{
    sigset_t set;

    signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* Wait for one signal of set; limit is a point in time (NO_LIMIT: none). */
static int wait_once(const sigset_t *set, int64_t limit)
{
    struct timespec time = { 0 };
    int64_t left;

    if (limit == NO_LIMIT)
        return sigwaitinfo(set, NULL);
    left = limit - ost_now_ms();
    if (left > 0)
        time = (struct timespec){ .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };
    return sigtimedwait(set, NULL, &time);
}

/* Wait for one that stops something; list what is asked for meanwhile. */
static int wait_for_stop(struct ost_stopper *s, const sigset_t *set, int64_t limit)
{
    int number;

    for (;;) {
        number = wait_once(set, limit);
        if (number == SIGUSR1)
            s->list(s->user);
        else if (number > 0 || errno != EINTR)
            return number;
    }
}

/* The next signal; -EAGAIN when none came until limit; 0 when everything has ended. */
static int next_signal(struct ost_stopper *s, int64_t limit)
{
    sigset_t set;
    int number;

    signals(&set);
    number = wait_for_stop(s, &set, limit);
    if (atomic_load(&s->left))
        return 0;
    return number < 0 ? -EAGAIN : number;
}

static const char *name_of(int number)
{
    return number == SIGTERM ? "SIGTERM" : "SIGINT";
}

/* The signal for a stop at once, or else as next_signal(). */
static int next_hurry(struct ost_stopper *s, int64_t limit)
{
    int number;

    do
        number = next_signal(s, limit);
    while (number > 0 && s->hurry && number != s->hurry);
    return number;
}

/* Wait until everything has ended; more signals change nothing. 0, or -EAGAIN after limit. */
static int await_end(struct ost_stopper *s, int64_t limit)
{
    int number;

    do
        number = next_signal(s, limit);
    while (number > 0);
    return number;
}

static void log_stop(const struct ost_stopper *s, int number)
{
    ostler_log_write(s->log, OSTLER_LOG_INFO, "%sstopping on %s", s->who, name_of(number));
}

static void log_hurry(const struct ost_stopper *s, int number)
{
    ostler_log_write(s->log, OSTLER_LOG_INFO, "%s%s%s: stopping at once", s->who, name_of(number),
                     s->hurry ? "" : " again");
}

static int stop(struct ost_stopper *s, int number)
{
    log_stop(s, number);
    s->stop(s->user);
    return next_hurry(s, ost_now_ms() + s->stop_timeout_ms + GRACE_MS);
}

static int stop_at_once(struct ost_stopper *s, int number)
{
    log_hurry(s, number);
    s->abort(s->user);
    return await_end(s, ost_now_ms() + ABORT_MS);
}

static void *run(void *arg)
{
    struct ost_stopper *s = arg;
    int number = next_signal(s, NO_LIMIT);

    if (number > 0 && number != s->hurry)
        number = stop(s, number);
    if (number > 0)
        number = stop_at_once(s, number);
    if (number < 0) {
        s->give_up(s->user);
        await_end(s, NO_LIMIT);
    }
    return NULL;
}

/* ---- In the loop ---- */

static void begin_stop(struct ost_stopper *s, int number)
{
    s->stopping = true;
    log_stop(s, number);
    s->stop(s->user);
}

static void begin_abort(struct ost_stopper *s, int number)
{
    s->aborting = true;
    log_hurry(s, number);
    s->abort(s->user);
}

static void on_signal(struct ost_stopper *s, int number)
{
    if (s->aborting)
        return;
    if (number == s->hurry || (s->stopping && !s->hurry))
        begin_abort(s, number);
    else if (!s->stopping)
        begin_stop(s, number);
}

static void on_term(void *user)
{
    on_signal(user, SIGTERM);
}

static void on_int(void *user)
{
    on_signal(user, SIGINT);
}

static void on_usr1(void *user)
{
    struct ost_stopper *s = user;

    s->list(s->user);
}

static void leave_loop(struct ost_stopper *s)
{
    for (size_t i = 0; i < OST_STOPPER_SIGNALS; i++)
        ostler_signal_free(s->signals[i]);
}

static int enter_loop(struct ost_stopper *s)
{
    int error = ostler_signal_new(&s->signals[0], s->reactor, SIGTERM, on_term, s);

    if (error == 0)
        error = ostler_signal_new(&s->signals[1], s->reactor, SIGINT, on_int, s);
    if (error == 0)
        error = ostler_signal_new(&s->signals[2], s->reactor, SIGUSR1, on_usr1, s);
    if (error < 0)
        leave_loop(s);
    return error;
}

int ost_stopper_start(struct ost_stopper *s)
{
    if (s->reactor)
        return enter_loop(s);
    atomic_init(&s->left, false);
    return -pthread_create(&s->thread, NULL, run, s);
}

void ost_stopper_stop(struct ost_stopper *s)
{
    if (s->reactor) {
        leave_loop(s);
        return;
    }
    atomic_store(&s->left, true);
    pthread_kill(s->thread, SIGTERM);
    pthread_join(s->thread, NULL);
}
