/* What SIGTERM, SIGINT and SIGUSR1 go to. */
#ifndef OST_DAEMON_STOPPER_H
#define OST_DAEMON_STOPPER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct ostler_log;
struct ostler_reactor;
struct ostler_signal;

enum { OST_STOPPER_SIGNALS = 3 };

struct ost_stopper {
    const char *who; /* begins its lines in the log; may be empty */
    const struct ostler_log *log;
    long stop_timeout_ms;
    int hurry; /* the signal that always means at once, and no other does; 0: a second one of any does */
    void (*stop)(void *user);    /* let everything end gracefully */
    void (*abort)(void *user);   /* at once */
    void (*give_up)(void *user); /* it did not: end it whatever it takes */
    void (*list)(void *user);    /* SIGUSR1, at any time: log what is going on */
    void *user;
    struct ostler_reactor *reactor; /* whose loop runs no handlers, and which does it all; NULL: a thread does */
    pthread_t thread;
    atomic_bool left; /* everything has ended: there is no more to stop */
    struct ostler_signal *signals[OST_STOPPER_SIGNALS]; /* in the reactor's loop */
    bool stopping, aborting;
};

/* Keep the signals for the stopper: before any thread is made, the reactor's too. */
void ost_stopper_block_signals(void);

/* Stop when a signal says so; what is called runs on the stopper's thread, or on the reactor's. All
 * members down to reactor are set. 0 or -errno. */
int ost_stopper_start(struct ost_stopper *stopper);

/* Everything has ended: end the thread. */
void ost_stopper_stop(struct ost_stopper *stopper);

#endif
