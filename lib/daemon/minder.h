/* The thread that keeps a worker running. */
#ifndef OST_DAEMON_MINDER_H
#define OST_DAEMON_MINDER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/backoff.h"

struct ostler_log;
struct ost_worker;

/* What is to become of the worker, and of who follows it; each of these takes back those before. */
enum ost_order { OST_ORDER_SERVE, OST_ORDER_STOP, OST_ORDER_ABORT, OST_ORDER_DIE };

struct ost_minder {
    const struct ost_worker *worker;
    const struct ostler_log *log;
    pthread_t thread;
    bool started;               /* the thread */
    struct ost_backoff backoff; /* the thread's */
    int ready_pipe[2];          /* the thread's, too: of the next worker, or of one that is not ready yet; -1: none */
    atomic_int pid;             /* of the worker; 0: none is there that may be sent a signal */
    atomic_int senders;         /* who may still be sending it one */
    atomic_int order;
    sem_t ordered;        /* an order came: the thread need not wait any longer */
    pthread_mutex_t lock; /* of all that follows, and of a worker's birth */
    pthread_cond_t changed;
    bool ready; /* one has been */
    bool ended; /* the thread has no more to do */
    int result; /* then */
};

void ost_minder_init(struct ost_minder *minder, const struct ost_worker *worker, const struct ostler_log *log);
void ost_minder_fini(struct ost_minder *minder);

/* Start the worker. From now on it is started again whenever it dies. 0 or -errno. */
int ost_minder_start(struct ost_minder *minder);

/* Return when it is ready, or is not to be any more: 0, or -errno after the log was told. */
int ost_minder_await_ready(struct ost_minder *minder);

/* Let the worker stop gracefully, at once, or die with all its processes. Thread: any, and a handler
 * of a signal. */
void ost_minder_order(struct ost_minder *minder, enum ost_order order);

/* Is there one, to be sent signals? Thread: as above. */
bool ost_minder_has_worker(const struct ost_minder *minder);

/* After an order: return when none is being born any more, with the descriptors of its duty. */
void ost_minder_await_birth(struct ost_minder *minder);

/* Let the worker log its live requests. Thread: any, and a handler of a signal. */
void ost_minder_list(struct ost_minder *minder);

/* After a stop: wait until no worker is left. 0, or -ECHILD when it did not end well. */
int ost_minder_join(struct ost_minder *minder);

#endif
