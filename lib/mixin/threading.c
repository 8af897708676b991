/* ThreadingMixIn: a thread a request, kept for the next one for a while.
 *
 * Requests stand in a queue that idle threads take from. The server never hands over
 * more than the capacity, so the queue is short: it holds what was handed over in the
 * moment in which a thread has reported its request's end and is not back yet. */
#include <ostler/sys/mixin.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/kinds.h"
#include "base/list.h"
#include "base/thread.h"
#include "reactor/reactor.h"
#include "request/run.h"

enum { DEFAULT_THREADS = 256, IDLE_SECONDS = 10 };

/* The mix-in's state. Everything but what open sets is under lock. */
struct threading {
    pthread_mutex_t lock;
    pthread_cond_t work;    /* there is a request, or closing */
    pthread_cond_t gone;    /* a thread has ended */
    struct ost_list queue;  /* struct ticket */
    size_t queued, idle, threads;
    bool closing;
    int capacity;
    pthread_attr_t attributes;
};

/* A request's place in the queue. */
struct ticket {
    struct ost_list node;
    struct ostler_request *request;
};

static int set_attributes(struct threading *t, const struct ostler_server_options *options)
{
    size_t size = options->stack_size;

    if (size < (size_t)PTHREAD_STACK_MIN)
        size = (size_t)PTHREAD_STACK_MIN;
    if (pthread_attr_init(&t->attributes) != 0)
        return -ENOMEM;
    pthread_attr_setdetachstate(&t->attributes, PTHREAD_CREATE_DETACHED);
    return -pthread_attr_setstacksize(&t->attributes, size);
}

static int open_threading(void *state, const struct ostler_server_options *options, struct ostler_reactor *reactor)
{
    struct threading *t = state;
    pthread_condattr_t clock;
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
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->work, &clock);
    pthread_cond_init(&t->gone, NULL);
    pthread_condattr_destroy(&clock);
    ost_list_init(&t->queue);
    t->capacity = options->max_requests ? options->max_requests : DEFAULT_THREADS;
    return t->capacity;
}

/* The next in the queue, or NULL. Under lock. */
static struct ostler_request *dequeue(struct threading *t)
{
    struct ost_list *node = ost_list_take(&t->queue);
    struct ostler_request *request;

    if (!node)
        return NULL;
    t->queued--;
    request = OST_CONTAINER(node, struct ticket, node)->request;
    free(OST_CONTAINER(node, struct ticket, node));
    return request;
}

/* Wait for a request, at most until the thread has been idle for long; NULL: end.
 * Under lock. */
static struct ostler_request *take(struct threading *t)
{
    struct timespec until;
    struct ostler_request *request;
    int error = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_SECONDS;
    t->idle++;
    while (!(request = dequeue(t)) && !t->closing && error == 0)
        error = pthread_cond_timedwait(&t->work, &t->lock, &until);
    t->idle--;
    return request;
}

/* The thread ends. Under lock, which it gives back. */
static void leave(struct threading *t)
{
    t->threads--;
    pthread_cond_signal(&t->gone); /* under the lock: after it t may be freed */
    pthread_mutex_unlock(&t->lock);
}

/* A thread, and what it runs: volatile, for pthread_cleanup_push(3) may be a setjmp(3). */
struct worker {
    struct threading *threading;
    struct ostler_request *volatile request;
};

static int start(struct threading *t);

/* A handler has called pthread_exit(3). What counted on this thread gets another one. */
static void on_exit_of_thread(void *arg)
{
    struct worker *w = arg;
    struct threading *t = w->threading;
    struct ostler_request *r;

    ost_request_abandon(OST_CONTAINER(w->request, struct ost_stream, request), 0);
    pthread_mutex_lock(&t->lock);
    if (t->queued > t->idle && start(t) < 0 && t->threads == 1)
        while ((r = dequeue(t)))
            ost_request_abandon(OST_CONTAINER(r, struct ost_stream, request), -EAGAIN);
    leave(t);
}

static void *work(void *arg)
{
    struct worker w = { .threading = arg };

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL); /* it would strike where the library is */
    pthread_cleanup_push(on_exit_of_thread, &w);
    pthread_mutex_lock(&w.threading->lock);
    while ((w.request = take(w.threading))) {
        pthread_mutex_unlock(&w.threading->lock);
        ostler_request_run(w.request);
        pthread_mutex_lock(&w.threading->lock);
    }
    leave(w.threading);
    pthread_cleanup_pop(0);
    return NULL;
}

/* Start a thread. Under lock. */
static int start(struct threading *t)
{
    int error = ost_thread_start(&t->attributes, work, t);

    t->threads += error == 0;
    return error;
}

static int process(void *state, struct ostler_request *request)
{
    struct threading *t = state;
    struct ticket *ticket = malloc(sizeof(*ticket));
    int error = 0;

    if (!ticket)
        return -ENOMEM;
    ticket->request = request;
    ost_list_init(&ticket->node);
    pthread_mutex_lock(&t->lock);
    if (t->queued >= t->idle && t->threads < (size_t)t->capacity)
        error = start(t);
    if (error < 0 && t->threads > 0)
        error = 0; /* one of those that run will take it */
    if (error == 0) {
        ost_list_append(&t->queue, &ticket->node);
        t->queued++;
    }
    pthread_mutex_unlock(&t->lock);
    if (error == 0)
        pthread_cond_signal(&t->work); /* not under the lock, which who wakes would wait for */
    if (error < 0)
        free(ticket);
    return error;
}

static void close_threading(void *state)
{
    struct threading *t = state;

    pthread_mutex_lock(&t->lock);
    t->closing = true;
    pthread_cond_broadcast(&t->work);
    while (t->threads > 0)
        pthread_cond_wait(&t->gone, &t->lock);
    pthread_mutex_unlock(&t->lock);
    pthread_cond_destroy(&t->gone);
    pthread_cond_destroy(&t->work);
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
