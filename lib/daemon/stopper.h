/* What SIGTERM, SIGINT, SIGHUP and SIGUSR1 go to. */
#ifndef OST_DAEMON_STOPPER_H
#define OST_DAEMON_STOPPER_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct ostler_log;
struct ostler_reactor;
struct ostler_signal;

/* From a daemon to its workers: stop at once. No signal that others send to all processes will do for that. */
#define OST_STOPPER_HURRY (SIGRTMIN + 3)

enum { OST_STOPPER_SIGNALS = 6 };

struct ost_stopper {
    const char *who; /* begins its lines in the log; may be empty */
    const struct ostler_log *log;
    struct ostler_reactor *reactor;
    long stop_timeout_ms;
    bool told;    /* when at once is said by OST_STOPPER_HURRY, and not by a second one of any other */
    bool guarded; /* against a loop that is held; if not, the loop takes all signals itself */
    /* These run in a handler of a signal, on any thread, if guarded: */
    void (*stop)(void *user);    /* let everything end gracefully */
    void (*abort)(void *user);   /* at once */
    void (*give_up)(void *user); /* it did not: end it whatever it takes; never called if not guarded */
    void (*list_rest)(void *user); /* SIGUSR1, after the loop has left; never called if not guarded */
    /* and these in the loop: */
    void (*release)(void *user); /* the rest of what a stop has to do */
    void (*list)(void *user);    /* SIGUSR1, while it runs: log what is going on */
    void *user;
    /* The stopper's own, zeroed: */
    struct ostler_signal *signals[OST_STOPPER_SIGNALS]; /* that the loop takes */
    pthread_t loop; /* the reactor's thread */
    atomic_int stage;
    pid_t process; /* the guarded one: not a child that the program forks */
    timer_t timer;
    atomic_llong limit; /* when it is to go off, on the clock of now.h */
};

/* The stopper's signals: blocked before any thread is made, the reactor's too, and in a worker from its birth. */
void ost_stopper_list_signals(sigset_t *out);

/* Stop when a signal says so. Thread: the reactor's. 0 or -errno. */
int ost_stopper_start(struct ost_stopper *stopper);

/* The loop has left, and others still run: nothing is for the loop any more. Thread: the reactor's. */
void ost_stopper_note_left(const struct ost_stopper *stopper);

/* Everything has ended: from now on the signals do nothing. */
void ost_stopper_stop(struct ost_stopper *stopper);

#endif
