/* The thread that keeps a worker running. */
#ifndef OST_DAEMON_MINDER_H
#define OST_DAEMON_MINDER_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "daemon/backoff.h"

struct ostler_log;
struct ost_worker;

struct ost_minder {
    const struct ost_worker *worker;
    const struct ostler_log *log;
    pthread_t thread;
    bool started;               /* the thread */
    struct ost_backoff backoff; /* the thread's */
    pthread_mutex_t lock;       /* of all that follows */
    pthread_cond_t changed;
    pid_t pid;     /* of the worker; 0: none is there */
    bool ready;    /* one has been */
    bool stopping; /* none is to be started any more */
    bool ended;    /* the thread has no more to do */
    int result;    /* then */
};

void ost_minder_init(struct ost_minder *minder, const struct ost_worker *worker, const struct ostler_log *log);
void ost_minder_fini(struct ost_minder *minder);

/* Start the worker. From now on it is started again whenever it dies. 0 or -errno. */
int ost_minder_start(struct ost_minder *minder);

/* Return when it is ready, or is not to be any more: 0, or -errno after the log was told. */
int ost_minder_await_ready(struct ost_minder *minder);

/* Let the worker stop gracefully, at once, or die with all its processes. Thread: any. */
void ost_minder_stop(struct ost_minder *minder);
void ost_minder_abort(struct ost_minder *minder);
void ost_minder_kill(struct ost_minder *minder);

/* Wait until there is no worker, or until limit, on the clock of now.h. Thread: any. */
void ost_minder_await_death(struct ost_minder *minder, int64_t limit);

/* Let the worker log its live requests. Thread: any. */
void ost_minder_list(struct ost_minder *minder);

/* After a stop: wait until no worker is left. 0, or -ECHILD when it did not end well. */
int ost_minder_join(struct ost_minder *minder);

#endif
