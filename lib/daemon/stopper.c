/* SIGTERM and SIGINT, in a thread of their own. libevent would deliver a signal in
 * its loop, which a handler that never returns holds for ever; then nothing but
 * SIGKILL would help. So the two signals are blocked everywhere and waited for here,
 * where no handler runs:
 *
 *    first signal              a graceful stop
 *    second, or none in time   all is cut off; resp. the process ends
 *    still there 0.7 s later   the process ends
 *
 * The times leave the library room to be done first, and to name in the log what
 * does not end. Waiting is sigtimedwait(2), which nobody polls. To end the thread the
 * main one sets a flag and sends it SIGTERM. */
#include "daemon/stopper.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ostler/log.h>
#include <ostler/reactor.h>

enum {
    GRACE_MS = 2000, /* beyond stop_timeout, for the loop to leave */
    ABORT_MS = 700,  /* after all was cut off */
    NO_LIMIT = 0
};

static void signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
}

void ost_stopper_block_signals(void)
{
    sigset_t set;

    signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Wait for one signal of set; limit is a point in time (NO_LIMIT: none). */
static int wait_once(const sigset_t *set, int64_t limit)
{
    struct timespec time = { 0 };
    int64_t left;

    if (limit == NO_LIMIT)
        return sigwaitinfo(set, NULL);
    left = limit - now_ms();
    if (left > 0)
        time = (struct timespec){ .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };
    return sigtimedwait(set, NULL, &time);
}

/* The next signal; -EAGAIN when none came until limit; 0 when the loop has left. */
static int next_signal(struct ost_stopper *s, int64_t limit)
{
    sigset_t set;
    int number;

    signals(&set);
    do
        number = wait_once(&set, limit);
    while (number < 0 && errno == EINTR);
    if (atomic_load(&s->left))
        return 0;
    return number < 0 ? -EAGAIN : number;
}

static const char *name_of(int number)
{
    return number == SIGTERM ? "SIGTERM" : "SIGINT";
}

static void give_up(struct ost_stopper *s)
{
    ostler_log_write(s->log, OSTLER_LOG_ERROR, "a handler holds the loop: ending the process");
    _exit(1);
}

/* All is cut off: wait for the loop to leave. More signals change nothing. */
static void await_end(struct ost_stopper *s)
{
    int64_t limit = now_ms() + ABORT_MS;
    int number = 1;

    while (number > 0)
        number = next_signal(s, limit);
    if (number < 0)
        give_up(s);
}

static void *run(void *arg)
{
    struct ost_stopper *s = arg;
    int number = next_signal(s, NO_LIMIT);

    if (number == 0)
        return NULL;
    ostler_log_write(s->log, OSTLER_LOG_INFO, "stopping on %s", name_of(number));
    ostler_reactor_stop(s->reactor);
    number = next_signal(s, now_ms() + s->stop_timeout_ms + GRACE_MS);
    if (number < 0)
        give_up(s);
    if (number <= 0)
        return NULL;
    ostler_log_write(s->log, OSTLER_LOG_INFO, "%s again: stopping at once", name_of(number));
    ostler_reactor_abort(s->reactor);
    await_end(s);
    return NULL;
}

int ost_stopper_start(struct ost_stopper *s)
{
    atomic_init(&s->left, false);
    return -pthread_create(&s->thread, NULL, run, s);
}

void ost_stopper_stop(struct ost_stopper *s)
{
    atomic_store(&s->left, true);
    pthread_kill(s->thread, SIGTERM);
    pthread_join(s->thread, NULL);
}
