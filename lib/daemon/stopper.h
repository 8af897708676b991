/* The thread that SIGTERM and SIGINT go to. */
#ifndef OST_DAEMON_STOPPER_H
#define OST_DAEMON_STOPPER_H

#include <pthread.h>
#include <stdatomic.h>

struct ostler_log;
struct ostler_reactor;

struct ost_stopper {
    struct ostler_reactor *reactor;
    const struct ostler_log *log;
    long stop_timeout_ms;
    pthread_t thread;
    atomic_bool left; /* the loop has left: there is no more to stop */
};

/* Keep the signals for the stopper: before any thread is made, the reactor's too. */
void ost_stopper_block_signals(void);

/* Stop the reactor when a signal says so. All members but the last two are set. 0 or
 * -errno. The stopper ends the process when the loop does not leave in time. */
int ost_stopper_start(struct ost_stopper *stopper);

/* End the thread; the reactor is still there. */
void ost_stopper_stop(struct ost_stopper *stopper);

#endif
