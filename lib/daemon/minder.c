/* Starts a worker, waits in waitid(2) for its death, and starts it again, at once, or
 * a little later when it gets nowhere (backoff.c).
 *
 * A worker is the leader of a process group, in which its children are. When it has
 * died, the others of the group are killed, while it is still a zombie: as long as it
 * is one its number can be no one else's. Orphans of the group that became our children,
 * since we are the system's first process or a subreaper, are reaped when they die, since we
 * wait for whoever dies of the group. Others that became ours are not told from children of the program,
 * and left to it.
 *
 * It says that it is ready by a pipe. Whether it dies before, the pipe's end alone would not tell: what the program has
 * started before it was a worker may hold the other end. The next one's pipe is made as soon as this one is ready: when
 * it dies, clients of other services may hold all descriptors. They may take what is free for a moment between the two
 * pipes as well: then the next one's is tried again until it can be made (backoff.c).
 *
 * Orders come from handlers of signals (stopper.c), in the middle of whatever runs: they take
 * no locks. One who sends the worker a signal is counted while he does, and it is reaped
 * when its number was taken away and nobody is counted any more. An order that comes while
 * a worker is born is seen either by who gives it or by the thread, since each first tells, and
 * then looks; perhaps by both, and a signal sent twice is one. */
#include "daemon/minder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ostler/error.h>
#include <ostler/log.h>

#include "daemon/now.h"
#include "daemon/stopper.h"
#include "daemon/worker.h"

enum { LONG_ENOUGH_MS = 1000, NO_MORE = -1, PHRASE = 80 };

/* One worker's, from start to end. */
struct life {
    int64_t born;
    int error; /* it could not be started */
    bool ready;
    siginfo_t end; /* all 0: not known, somebody else has reaped it */
};

void ost_minder_init(struct ost_minder *m, const struct ost_worker *worker, const struct ostler_log *log)
{
    *m = (struct ost_minder){ .worker = worker, .log = log, .ready_pipe = { -1, -1 } };
    sem_init(&m->ordered, 0, 0);
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->changed, NULL);
}

void ost_minder_fini(struct ost_minder *m)
{
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->lock);
    sem_destroy(&m->ordered);
}

static bool is_stopping(const struct ost_minder *m)
{
    return atomic_load(&m->order) > OST_ORDER_SERVE;
}

bool ost_minder_has_worker(const struct ost_minder *m)
{
    return atomic_load(&m->pid) != 0;
}

/* Send the worker, if there is one, or its whole group, a signal. */
static void send_signal(struct ost_minder *m, int number, bool to_group)
{
    pid_t pid;

    atomic_fetch_add(&m->senders, 1);
    pid = atomic_load(&m->pid);
    if (pid)
        kill(to_group ? -pid : pid, number);
    atomic_fetch_sub(&m->senders, 1);
}

/* From now on nobody sends it any. */
static void take_number_away(struct ost_minder *m)
{
    atomic_store(&m->pid, 0);
    while (atomic_load(&m->senders) > 0)
        sched_yield();
}

static void send_order(struct ost_minder *m)
{
    switch (atomic_load(&m->order)) {
    case OST_ORDER_STOP:
        send_signal(m, OST_WORKER_STOP, false);
        break;
    case OST_ORDER_ABORT:
        send_signal(m, OST_STOPPER_HURRY, false);
        break;
    case OST_ORDER_DIE:
        send_signal(m, SIGKILL, true);
        break;
    default:
        break;
    }
}

/* Let time pass, unless an order comes. */
static void pass_time(struct ost_minder *m, long ms)
{
    int64_t limit = ost_now_ms() + ms;
    struct timespec until = { .tv_sec = (time_t)(limit / 1000), .tv_nsec = (long)(limit % 1000) * 1000000 };

    while (!is_stopping(m) && ms > 0)
        if (sem_clockwait(&m->ordered, CLOCK_MONOTONIC, &until) < 0 && errno == ETIMEDOUT)
            return;
}

/* Unless it is there. 0 or -errno. */
static int make_pipe(struct ost_minder *m)
{
    return m->ready_pipe[0] < 0 && pipe2(m->ready_pipe, O_CLOEXEC) < 0 ? -errno : 0;
}

static void close_end(int *end)
{
    if (*end >= 0)
        close(*end);
    *end = -1;
}

/* After a stop, which must find every worker, none is born. With the lock, for who waits until none is any more. */
static int give_birth(struct ost_minder *m)
{
    pid_t pid;
    int error;

    pthread_mutex_lock(&m->lock);
    error = is_stopping(m) ? -ECANCELED : make_pipe(m);
    if (error == 0)
        error = ost_worker_spawn(&pid, m->worker, m->ready_pipe[1]);
    pthread_mutex_unlock(&m->lock);
    if (error < 0)
        return error;
    close_end(&m->ready_pipe[1]);
    atomic_store(&m->pid, pid);
    send_order(m);
    return 0;
}

/* Until it is ready, or dead; where there is no pidfd_open(2), or no descriptor for it, until the pipe ends. */
static void await_word(int fd, pid_t pid)
{
    struct pollfd either[] = { { .fd = fd, .events = POLLIN }, { .fd = pidfd_open(pid, 0), .events = POLLIN } };

    while (poll(either, 2, -1) < 0 && errno == EINTR)
        continue;
    close_end(&either[1].fd);
}

/* Has the worker said that it is ready, although it may have died since? */
static bool read_word(int fd)
{
    struct pollfd word = { .fd = fd, .events = POLLIN };
    char text[8];

    return poll(&word, 1, 0) > 0 && read(fd, text, sizeof(text)) == 6 && memcmp(text, "ready\n", 6) == 0;
}

static void await_ready(struct ost_minder *m, struct life *life)
{
    await_word(m->ready_pipe[0], atomic_load(&m->pid));
    life->ready = read_word(m->ready_pipe[0]);
    close_end(&m->ready_pipe[0]);
    make_pipe(m); /* or when it is needed */
    pthread_mutex_lock(&m->lock);
    m->ready = m->ready || life->ready;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

/* 0 and its end, which is not reaped; or -errno. */
static int await_end(idtype_t type, pid_t id, siginfo_t *end)
{
    while (waitid(type, (id_t)id, end, WEXITED | WNOWAIT) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

/* Until it is dead, but not reaped; orphans are. */
static void await_death(const struct ost_minder *m, struct life *life)
{
    pid_t pid = atomic_load(&m->pid);
    siginfo_t end;

    while (await_end(P_PGID, pid, &end) == 0 && end.si_pid != pid)
        waitid(P_PID, (id_t)end.si_pid, &end, WEXITED | WNOHANG);
    if (await_end(P_PID, pid, &end) == 0)
        life->end = end;
}

/* All of its group that died; and it, if it was killed before it was in its group. */
static void reap(pid_t pid)
{
    bool reaped = false;
    siginfo_t end;
    int r;

    do {
        r = waitid(P_PGID, (id_t)pid, &end, WEXITED);
        reaped = reaped || (r == 0 && end.si_pid == pid);
    } while (r == 0 || errno == EINTR);
    if (!reaped)
        waitid(P_PID, (id_t)pid, &end, WEXITED | WNOHANG);
}

static void bury(struct ost_minder *m, const struct life *life)
{
    pid_t pid = atomic_load(&m->pid);

    if (life->end.si_pid == pid)
        kill(-pid, SIGKILL);
    take_number_away(m);
    if (life->end.si_pid == pid)
        reap(pid);
    ost_worker_forget(m->worker);
}

static void describe(const struct life *life, char text[PHRASE])
{
    if (life->error < 0)
        snprintf(text, PHRASE, "cannot be started: %s", ostler_strerror(life->error));
    else if (life->end.si_code == CLD_EXITED)
        snprintf(text, PHRASE, "ended with status %d", life->end.si_status);
    else if (life->end.si_pid)
        snprintf(text, PHRASE, "died by signal %d", life->end.si_status);
    else
        snprintf(text, PHRASE, "ended");
}

/* Is its death a reason to wait? Not when it had its time, nor when somebody killed it
 * at its work. */
static bool got_nowhere(const struct life *life)
{
    bool killed = life->end.si_code == CLD_KILLED && life->end.si_status == SIGKILL;

    return ost_now_ms() - life->born < LONG_ENOUGH_MS && !(life->ready && killed);
}

static long delay_after(struct ost_minder *m, const struct life *life)
{
    if (got_nowhere(life))
        return ost_backoff_after_death(&m->backoff, ost_now_ms());
    m->backoff = (struct ost_backoff){ 0 };
    return 0;
}

/* There is to be no other: we stop, or not even the first one was ever ready. */
static long end(struct ost_minder *m, const struct life *life, const char *how)
{
    bool good = life->end.si_code == CLD_EXITED && life->end.si_status == 0;
    bool unready = !m->ready && life->error == 0;

    if (good && is_stopping(m))
        return NO_MORE;
    ostler_log_write(m->log, OSTLER_LOG_ERROR, "%s %s%s", m->worker->name, how, unready ? " before it was ready" : "");
    m->result = -ECHILD;
    return NO_MORE;
}

/* What follows on a life: the delay before the next one, or NO_MORE. */
static long go_on(struct ost_minder *m, const struct life *life)
{
    char how[PHRASE];
    long delay_ms;

    describe(life, how);
    if (is_stopping(m) || !m->ready)
        return end(m, life, how);
    delay_ms = delay_after(m, life);
    if (delay_ms > 0)
        ostler_log_write(m->log, OSTLER_LOG_ERROR, "%s %s; started again in %ld.%ld s", m->worker->name, how,
                         delay_ms / 1000, delay_ms % 1000 / 100);
    else
        ostler_log_write(m->log, OSTLER_LOG_ERROR, "%s %s; started again", m->worker->name, how);
    return delay_ms;
}

static long live(struct ost_minder *m)
{
    struct life life = { .born = ost_now_ms() };

    life.error = give_birth(m);
    if (life.error == -ECANCELED)
        return NO_MORE;
    if (life.error == 0) {
        await_ready(m, &life);
        await_death(m, &life);
        bury(m, &life);
    }
    return go_on(m, &life);
}

/* Signals are for the other threads: what they do to handlers is none of ours. */
static void block_signals(void)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static void *run(void *arg)
{
    struct ost_minder *m = arg;
    long delay_ms = 0;

    block_signals();
    while (delay_ms != NO_MORE) {
        pass_time(m, delay_ms);
        delay_ms = live(m);
    }
    close_end(&m->ready_pipe[0]);
    close_end(&m->ready_pipe[1]);
    pthread_mutex_lock(&m->lock);
    m->ended = true;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

int ost_minder_start(struct ost_minder *m)
{
    int error = -pthread_create(&m->thread, NULL, run, m);

    m->started = error == 0;
    return error;
}

int ost_minder_await_ready(struct ost_minder *m)
{
    int error;

    pthread_mutex_lock(&m->lock);
    while (!m->ready && !m->ended)
        pthread_cond_wait(&m->changed, &m->lock);
    error = m->ended ? m->result : 0;
    pthread_mutex_unlock(&m->lock);
    return error;
}

void ost_minder_order(struct ost_minder *m, enum ost_order order)
{
    int before = atomic_load(&m->order);

    while (before < (int)order && !atomic_compare_exchange_weak(&m->order, &before, (int)order))
        continue;
    if (before >= (int)order)
        return;
    if (order == OST_ORDER_DIE && ost_minder_has_worker(m))
        ostler_log_write(m->log, OSTLER_LOG_ERROR, "%s does not end: killing it", m->worker->name);
    send_order(m);
    sem_post(&m->ordered);
}

void ost_minder_await_birth(struct ost_minder *m)
{
    pthread_mutex_lock(&m->lock);
    pthread_mutex_unlock(&m->lock);
}

void ost_minder_list(struct ost_minder *m)
{
    send_signal(m, OST_WORKER_LIST, false);
}

int ost_minder_join(struct ost_minder *m)
{
    if (!m->started)
        return 0;
    pthread_join(m->thread, NULL);
    return m->result;
}
