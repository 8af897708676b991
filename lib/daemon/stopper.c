/* SIGTERM, SIGINT, SIGHUP and SIGUSR1:
 *
 *    first signal              a graceful stop
 *    second, or none in time   all is cut off; resp. given up
 *    still there 0.7 s later   given up: the process ends
 *    SIGUSR1, at any time      the list of live requests
 *
 * For a worker a second signal is no other than the first: it may come from the daemon, which got it
 * too. The daemon says "at once" by a signal of its own, OST_STOPPER_HURRY.
 *
 * The times leave the library room to be done first, and to name in the log what
 * does not end.
 *
 * libevent would deliver a signal in its loop, which a handler of the program that never
 * returns holds for ever; then nothing but SIGKILL would help. A thread that waits for signals would
 * help, but a process with two threads pays for both in each of its system calls: the C
 * library makes them cancellable, and the kernel counts who uses a descriptor. So all of the above
 * is done where a signal arrives, in the middle of whatever it interrupts: with atomics,
 * signals, write(2) and the reactor's eventfd, and never with a lock or memory.
 *
 *   SIGTERM, SIGINT, ─> on_caught() ─> stop, abort; a timer (timer_create(2)) is set;
 *   SIGHUP                             AT_LOOP is raised ─> release, in the loop
 *   the timer        ─> on_caught() ─> give_up
 *   SIGUSR1          ─> list, in the loop: while that is held there is nothing new to tell;
 *                       once it has left: on_caught() ─> list_rest
 *
 * A SIGHUP that was ignored when we started (nohup(1)) stays so, in workers, too.
 *
 * What the loop takes is blocked, and read from a descriptor (ostler_signal_new()). What is caught is
 * not blocked on the thread that runs the reactor. Those that the library starts block all
 * signals; one of the program's may take a signal as well as any other. If it is older than the
 * daemon it does not block what is the loop's either, and the kernel would end the process by that: so
 * AT_LOOP is sent to the loop's thread and to no other, and SIGUSR1 is caught, by any but that
 * thread, which it is sent on to. What is interrupted goes on
 * (SA_RESTART); the library sees to the calls for which there is no such thing, like
 * poll(2), and so must handlers that make them. It runs on an alternate stack: a fiber's own
 * may be small, and nearly full.
 *
 * A worker that only forks is not guarded: the same is done by the loop alone, and nothing is
 * caught that children would have to give back; a thread that is older than it blocks these signals, as
 * the whole worker did when it was executed (worker.c). Its handlers run in children, which keep
 * SIGTERM blocked: one for the whole group does not tear them out of an answer. A loop that
 * is held nevertheless, by a slot of a server class, is the daemon's to give up on. */
#include "daemon/stopper.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <ostler/log.h>
#include <ostler/reactor.h>

#include "daemon/now.h"

enum {
    GRACE_MS = 2000, /* beyond stop_timeout, for everything to end */
    ABORT_MS = 700   /* after all was cut off */
};

enum { ALTERNATE_STACK = 64 * 1024 }; /* what the registers take, four times over, on the largest processors */

enum { SERVING, STOPPING, ABORTING, GIVEN_UP }; /* stages */

#define ON_TIME (SIGRTMIN + 1) /* the timer's */
#define AT_LOOP (SIGRTMIN + 2) /* for the loop, from who takes another signal */

/* The dispositions are the process's. Who is inside of on_caught() may use what is running. */
static struct ost_stopper *_Atomic running;
static atomic_int inside;
static char alternate[ALTERNATE_STACK];

static bool heeds_hangup(void)
{
    struct sigaction now;

    return sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler != SIG_IGN;
}

/* Those that come to the loop's thread in the middle of whatever it does. */
static void list_caught(sigset_t *out)
{
    sigemptyset(out);
    sigaddset(out, SIGTERM);
    sigaddset(out, SIGINT);
    if (heeds_hangup())
        sigaddset(out, SIGHUP);
    sigaddset(out, OST_STOPPER_HURRY);
    sigaddset(out, ON_TIME);
}

void ost_stopper_list_signals(sigset_t *out)
{
    list_caught(out);
    sigaddset(out, SIGUSR1);
    sigaddset(out, AT_LOOP);
}

/* Come to stage, unless somebody is there already. */
static bool advance(struct ost_stopper *s, int stage)
{
    int now = atomic_load(&s->stage);

    while (now < stage)
        if (atomic_compare_exchange_weak(&s->stage, &now, stage))
            return true;
    return false;
}

/* Let give_up be called ms from now, and not when it was to be before. */
static void set_timer(struct ost_stopper *s, long ms)
{
    struct itimerspec time = { .it_value = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 } };

    atomic_store(&s->limit, ost_now_ms() + ms);
    if (s->guarded)
        timer_settime(s->timer, 0, &time, NULL);
}

static const char *name_of(int number)
{
    switch (number) {
    case SIGTERM:
        return "SIGTERM";
    case SIGINT:
        return "SIGINT";
    default:
        return "SIGHUP";
    }
}

static void begin_stop(struct ost_stopper *s, int number)
{
    ostler_log_write(s->log, OSTLER_LOG_INFO, "%sstopping on %s", s->who, name_of(number));
    s->stop(s->user);
    set_timer(s, s->stop_timeout_ms + GRACE_MS);
    pthread_kill(s->loop, AT_LOOP);
}

static void begin_abort(struct ost_stopper *s, int number)
{
    if (number == OST_STOPPER_HURRY)
        ostler_log_write(s->log, OSTLER_LOG_INFO, "%sstopping at once", s->who);
    else
        ostler_log_write(s->log, OSTLER_LOG_INFO, "%s%s again: stopping at once", s->who, name_of(number));
    s->abort(s->user);
    set_timer(s, ABORT_MS);
}

static void take(struct ost_stopper *s, int number)
{
    bool hurry = number == OST_STOPPER_HURRY;

    if (!hurry && advance(s, STOPPING))
        begin_stop(s, number);
    else if ((hurry || !s->told) && advance(s, ABORTING))
        begin_abort(s, number);
}

/* If not, a signal of our own that comes is somebody else's. */
static bool is_stopping(const struct ost_stopper *s)
{
    return atomic_load(&s->stage) > SERVING;
}

/* An earlier time may still come after a later one was set. */
static void take_time(struct ost_stopper *s)
{
    if (is_stopping(s) && ost_now_ms() >= atomic_load(&s->limit) && advance(s, GIVEN_UP))
        s->give_up(s->user);
}

/* ---- Where a signal arrives ---- */

/* A child that the program has forked, and that is not another program yet, has inherited us. */
static void end_by(int number)
{
    signal(number, SIG_DFL);
    raise(number); /* comes when this handler returns */
}

/* It is blocked on the loop's thread until that has left. */
static void take_usr1(struct ost_stopper *s)
{
    if (pthread_equal(pthread_self(), s->loop))
        s->list_rest(s->user);
    else
        pthread_kill(s->loop, SIGUSR1);
}

static void take_caught(struct ost_stopper *s, int number)
{
    if (getpid() != s->process)
        end_by(number);
    else if (number == ON_TIME)
        take_time(s);
    else if (number == SIGUSR1)
        take_usr1(s);
    else
        take(s, number);
}

static void on_caught(int number)
{
    int saved = errno;
    struct ost_stopper *s;

    atomic_fetch_add(&inside, 1);
    s = atomic_load(&running);
    if (s)
        take_caught(s, number);
    atomic_fetch_sub(&inside, 1);
    errno = saved;
}

static int make_timer(struct ost_stopper *s)
{
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = ON_TIME };

    return timer_create(CLOCK_MONOTONIC, &event, &s->timer) < 0 ? -errno : 0;
}

static void catch_signal(int number)
{
    struct sigaction action = { .sa_handler = on_caught, .sa_flags = SA_RESTART | SA_ONSTACK };

    list_caught(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static void catch_all(const sigset_t *set)
{
    for (int number = 1; number < NSIG; number++)
        if (sigismember(set, number) > 0)
            catch_signal(number);
}

/* For the thread that runs the reactor, unless it has one. */
static void give_stack(void)
{
    stack_t now;

    if (sigaltstack(NULL, &now) == 0 && now.ss_flags & SS_DISABLE)
        sigaltstack(&(stack_t){ .ss_sp = alternate, .ss_size = sizeof(alternate) }, NULL);
}

static void take_stack_back(void)
{
    stack_t now;

    if (sigaltstack(NULL, &now) == 0 && now.ss_sp == alternate)
        sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE }, NULL);
}

static int begin_guard(struct ost_stopper *s)
{
    int error = make_timer(s);
    sigset_t caught;

    if (error < 0)
        return error;
    atomic_store(&s->limit, INT64_MAX);
    s->process = getpid();
    atomic_store(&running, s);
    give_stack();
    list_caught(&caught);
    catch_all(&caught);
    catch_signal(SIGUSR1); /* which this thread goes on to block */
    pthread_sigmask(SIG_UNBLOCK, &caught, NULL);
    return 0;
}

/* Handlers on other threads may still be at it. */
static void end_guard(const struct ost_stopper *s)
{
    atomic_store(&running, NULL);
    while (atomic_load(&inside) > 0)
        sched_yield();
    timer_delete(s->timer);
    take_stack_back();
}

/* ---- In the loop ---- */

static void on_term(void *user)
{
    take(user, SIGTERM);
}

static void on_int(void *user)
{
    take(user, SIGINT);
}

static void on_hup(void *user)
{
    take(user, SIGHUP);
}

static void on_hurry(void *user)
{
    take(user, OST_STOPPER_HURRY);
}

static void on_usr1(void *user)
{
    struct ost_stopper *s = user;

    s->list(s->user);
}

static void at_loop(void *user)
{
    struct ost_stopper *s = user;

    if (is_stopping(s))
        s->release(s->user);
}

static void leave_loop(struct ost_stopper *s)
{
    for (size_t i = 0; i < OST_STOPPER_SIGNALS; i++)
        ostler_signal_free(s->signals[i]);
}

/* All that on_caught() takes in others. */
static int enter_loop_unguarded(struct ost_stopper *s)
{
    int error = ostler_signal_new(&s->signals[2], s->reactor, SIGTERM, on_term, s);

    if (error == 0)
        error = ostler_signal_new(&s->signals[3], s->reactor, SIGINT, on_int, s);
    if (error == 0)
        error = ostler_signal_new(&s->signals[4], s->reactor, OST_STOPPER_HURRY, on_hurry, s);
    if (error == 0 && heeds_hangup())
        error = ostler_signal_new(&s->signals[5], s->reactor, SIGHUP, on_hup, s);
    return error;
}

static int enter_loop(struct ost_stopper *s)
{
    int error = ostler_signal_new(&s->signals[0], s->reactor, SIGUSR1, on_usr1, s);

    if (error == 0)
        error = ostler_signal_new(&s->signals[1], s->reactor, AT_LOOP, at_loop, s);
    if (error == 0 && !s->guarded)
        error = enter_loop_unguarded(s);
    return error;
}

int ost_stopper_start(struct ost_stopper *s)
{
    int error;

    s->loop = pthread_self();
    error = enter_loop(s);
    if (error == 0 && s->guarded)
        error = begin_guard(s);
    if (error < 0)
        leave_loop(s);
    return error;
}

void ost_stopper_note_left(const struct ost_stopper *s)
{
    sigset_t only;

    sigemptyset(&only);
    sigaddset(&only, SIGUSR1);
    if (s->guarded)
        pthread_sigmask(SIG_UNBLOCK, &only, NULL);
}

void ost_stopper_stop(struct ost_stopper *s)
{
    if (s->guarded)
        end_guard(s);
    leave_loop(s);
}
