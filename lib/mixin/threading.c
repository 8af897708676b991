/* ThreadingMixIn: a thread a request, kept for the next one for a while.
 *
 *   process ─> queue ─> a thread: next ─> ostler_request_run ─┐
 *                         └──────────────<────────────────────┘
 *
 * Requests stand in a queue. A thread that has ended one takes the next without sleeping, and
 * sleeps when there is none; the one that fell asleep last is woken first: what it touches is
 * still in the cache, and those that are too many are idle long enough to end. Each sleeps on a
 * semaphore of its own.
 *
 * Not every request wakes a thread: no more are on their way at once than there are cores for
 * them. Whoever takes a request and leaves some in the queue sends for another thread first,
 * so the queue empties whatever the handlers do; and of a row of connections that end and begin,
 * most find a thread that is awake.
 *
 * The server never hands over more than the capacity, and process fails when a thread that is needed cannot be
 * started, so there is always one to come for what stands in the queue.
 *
 * Where a connection's time goes (connect, echo, close; 64 at once on one core): to the 7 calls that it
 * needs (accept4, setsockopt for the time-out, recv twice, send, shutdown, close), to 0.6 of
 * futex(2), 0.4 of sched_yield(2) and 2 changes of thread. 9 parts in 10 of the CPU are the kernel's.
 * When all waited for one condition it was 3 of futex(2) and 3 changes; a thread that is created for
 * each takes 15 calls. One change must be: the thread that waits for the peer's end blocks. */
#include <ostler/sys/mixin.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdbool.h>
#include <time.h>

#include "base/kinds.h"
#include "base/list.h"
#include "base/thread.h"
#include "reactor/reactor.h"
#include "request/run.h"

enum { DEFAULT_THREADS = 256, IDLE_SECONDS = 10 };

/* The mix-in's state. Everything but what open sets is under lock. */
struct threading {
    struct ost_holder holder;
    pthread_mutex_t lock;
    pthread_cond_t gone;   /* a thread has ended */
    struct ost_list queue; /* struct ostler_request, by their job */
    struct ost_list idle;  /* struct worker, asleep; the last to fall asleep stands first */
    size_t queued, threads;
    size_t free;   /* threads that run no handler: asleep, on their way or just started */
    size_t coming; /* of these: awake, and about to look into the queue */
    size_t cores;
    bool closing;
    int capacity;
    pthread_attr_t attributes;
};

/* A thread: stands on its stack. */
struct worker {
    struct ost_list node; /* in idle */
    struct threading *threading;
    struct ostler_request *volatile request; /* for pthread_cleanup_push(3) may be a setjmp(3) */
    bool asleep; /* in idle; under lock */
    sem_t woken; /* who takes it out of idle posts this */
};

static int set_attributes(struct threading *t, const struct ostler_server_options *options)
{
    size_t size = options->stack_size + (size_t)PTHREAD_STACK_MIN; /* the guard, and what the C library keeps there */

    if (pthread_attr_init(&t->attributes) != 0)
        return -ENOMEM;
    pthread_attr_setdetachstate(&t->attributes, PTHREAD_CREATE_DETACHED);
    return -pthread_attr_setstacksize(&t->attributes, size);
}

/* On which a thread of ours could run now. */
static size_t count_cores(void)
{
    cpu_set_t cores;

    return sched_getaffinity(0, sizeof(cores), &cores) == 0 ? (size_t)CPU_COUNT(&cores) : 1;
}

static void enqueue(struct threading *t, struct ostler_request *request)
{
    ost_list_append(&t->queue, &request->job.node);
    t->queued++;
}

/* The next in the queue, or NULL. Under lock. */
static struct ostler_request *dequeue(struct threading *t)
{
    struct ost_list *node = ost_list_take(&t->queue);

    if (!node)
        return NULL;
    t->queued--;
    return OST_CONTAINER(node, struct ostler_request, job.node);
}

static void init_locks(struct threading *t)
{
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->gone, NULL);
}

/* In a process that the program has forked there are no threads, and one of the parent's may have held the lock.
 * What is in the queue is for the parent's, too: it leaves that as if they had it. */
static void follow(struct ost_holder *holder)
{
    struct threading *t = OST_CONTAINER(holder, struct threading, holder);

    init_locks(t);
    ost_list_init(&t->idle);
    while (dequeue(t))
        continue;
    t->threads = t->free = t->coming = 0;
}

static int open_threading(void *state, const struct ostler_server_options *options, struct ostler_reactor *reactor)
{
    struct threading *t = state;
    int error = ost_kinds_enter(OST_THREADS);

    if (error < 0) {
        ostler_log_write(reactor->log, OSTLER_LOG_ERROR,
                         "%s: a threading server does not open while a forking one is open in the process: "
                         "its threads' locks would be copied into children",
                         options->name);
        return error;
    }
    error = set_attributes(t, options);
    if (error < 0) {
        ost_kinds_leave(OST_THREADS);
        return error;
    }
    init_locks(t);
    ost_list_init(&t->queue);
    ost_list_init(&t->idle);
    t->holder.follow = follow;
    ost_list_append(reactor->holders.next, &t->holder.node); /* before the server, which closes what is in threads */
    t->cores = count_cores();
    t->capacity = options->max_requests ? options->max_requests : DEFAULT_THREADS;
    return t->capacity;
}

/* Who fell asleep last, to be woken, or NULL. Under lock. */
static struct worker *rouse(struct threading *t)
{
    struct ost_list *node = ost_list_take(&t->idle);
    struct worker *w = node ? OST_CONTAINER(node, struct worker, node) : NULL;

    if (!w)
        return NULL;
    w->asleep = false;
    t->coming++;
    return w;
}

/* The same, if another thread should come for what is in the queue. */
static struct worker *rouse_if_due(struct threading *t)
{
    return t->coming < t->queued && t->coming < t->cores ? rouse(t) : NULL;
}

/* Best not under the lock, which who wakes would wait for. */
static void wake(struct worker *w)
{
    if (w)
        sem_post(&w->woken);
}

static int sleep_until(sem_t *woken, const struct timespec *until)
{
    int error;

    do
        error = sem_clockwait(woken, CLOCK_MONOTONIC, until);
    while (error < 0 && errno == EINTR);
    return error;
}

/* Sleep until there may be work: false if there was none for long. Under lock, which is free
 * meanwhile. */
static bool rest(struct worker *w)
{
    struct threading *t = w->threading;
    struct timespec until;
    int error;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_SECONDS;
    w->asleep = true;
    ost_list_append(t->idle.next, &w->node); /* before the first */
    pthread_mutex_unlock(&t->lock);
    error = sleep_until(&w->woken, &until);
    pthread_mutex_lock(&t->lock);
    if (w->asleep) {
        ost_list_remove(&w->node);
        return false;
    }
    while (error < 0) /* too late: it is posted just now; a signal that a handler has let in is no reason to go */
        error = sem_wait(&w->woken);
    t->coming--;
    return true;
}

/* A thread that has ended a request lets others have the core once before it sleeps: the reactor may
 * be about to bring another one. Until it is back it does not count as coming. Under lock, as above. */
static void give_way(struct threading *t)
{
    pthread_mutex_unlock(&t->lock);
    sched_yield();
    pthread_mutex_lock(&t->lock);
}

/* Wait for a request, at most until the thread has been idle for long; NULL: end. Under lock. */
static struct ostler_request *take(struct worker *w)
{
    struct threading *t = w->threading;
    struct ostler_request *request;
    bool awake = true;

    if (t->queued == 0 && !t->closing)
        give_way(t);
    while (!(request = dequeue(t)) && !t->closing && awake)
        awake = rest(w);
    t->free--;
    return request;
}

/* The thread ends. Under lock, which it gives back. */
static void leave(struct threading *t)
{
    t->threads--;
    pthread_cond_signal(&t->gone); /* under the lock: after it t may be freed */
    pthread_mutex_unlock(&t->lock);
}

static int start(struct threading *t);

/* A handler has called pthread_exit(3). What counted on this thread gets another one. */
static void on_exit_of_thread(void *arg)
{
    struct worker *w = arg;
    struct threading *t = w->threading;
    struct ostler_request *r;

    sem_destroy(&w->woken);
    ost_request_abandon(OST_CONTAINER(w->request, struct ost_stream, request), 0);
    pthread_mutex_lock(&t->lock);
    if (t->queued > t->free && start(t) < 0 && t->threads == 1)
        while ((r = dequeue(t)))
            ost_request_abandon(OST_CONTAINER(r, struct ost_stream, request), -EAGAIN);
    leave(t);
}

/* The thread's next request, or NULL: it is to end, under the lock then. */
static struct ostler_request *next(struct worker *w)
{
    struct threading *t = w->threading;
    struct ostler_request *request = take(w);
    struct worker *another;

    if (!request)
        return NULL;
    another = rouse_if_due(t);
    pthread_mutex_unlock(&t->lock);
    wake(another);
    return request;
}

static void *work(void *arg)
{
    struct worker w = { .threading = arg };

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL); /* it would strike where the library is */
    sem_init(&w.woken, 0, 0);
    pthread_cleanup_push(on_exit_of_thread, &w);
    pthread_mutex_lock(&w.threading->lock);
    while ((w.request = next(&w))) {
        ostler_request_run(w.request);
        pthread_mutex_lock(&w.threading->lock);
        w.threading->free++;
    }
    sem_destroy(&w.woken);
    leave(w.threading);
    pthread_cleanup_pop(0);
    return NULL;
}

/* Start a thread. Under lock. */
static int start(struct threading *t)
{
    int error = ost_thread_start(&t->attributes, work, t);

    t->threads += error == 0;
    t->free += error == 0;
    return error;
}

static int process(void *state, struct ostler_request *request)
{
    struct threading *t = state;
    struct worker *sleeper = NULL;
    int error = 0;

    pthread_mutex_lock(&t->lock);
    if (t->queued >= t->free && t->threads < (size_t)t->capacity)
        error = start(t);
    if (error == 0) {
        enqueue(t, request);
        sleeper = rouse_if_due(t);
    }
    pthread_mutex_unlock(&t->lock);
    wake(sleeper);
    return error;
}

static void close_threading(void *state)
{
    struct threading *t = state;
    struct worker *w;

    pthread_mutex_lock(&t->lock);
    t->closing = true;
    while ((w = rouse(t)))
        wake(w);
    while (t->threads > 0)
        pthread_cond_wait(&t->gone, &t->lock);
    pthread_mutex_unlock(&t->lock);
    ost_list_remove(&t->holder.node);
    pthread_cond_destroy(&t->gone);
    pthread_mutex_destroy(&t->lock);
    pthread_attr_destroy(&t->attributes);
    ost_kinds_leave(OST_THREADS);
}

const struct ostler_mixin ostler_threading = {
    .name = "threading",
    .size = sizeof(struct threading),
    .open = open_threading,
    .process = process,
    .close = close_threading,
};
