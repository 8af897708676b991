/* A worker: this program executed anew, for some of the services. */
#ifndef OST_DAEMON_WORKER_H
#define OST_DAEMON_WORKER_H

#include <signal.h>
#include <stddef.h>
#include <sys/types.h>

#include "daemon/orders.h"

/* The first of these stops it gracefully; at once OST_STOPPER_HURRY does. Two of one kind would not do: they
 * may arrive as one; and the kernel sends the first for each thread of the daemon that dies. */
enum { OST_WORKER_STOP = SIGTERM, OST_WORKER_LIST = SIGUSR1 };

enum { OST_WORKER_NAME = 24 };

/* All that it takes to start one, again and again. */
struct ost_worker {
    const char *program;
    char name[OST_WORKER_NAME]; /* in the log */
    struct ost_duty duty;
    char *orders; /* as an argument */
    int *fds;     /* that it inherits; others' */
    size_t fd_count;
};

/* For its duty, whose descriptors stay open. 0 or -errno. */
int ost_worker_init(struct ost_worker *worker, const char *program, const struct ost_duty *duty);

void ost_worker_fini(struct ost_worker *worker);

/* It has died: those who share services with it go on without it. */
void ost_worker_forget(const struct ost_worker *worker);

/* Start one, in a process group of its own, with the stopper's signals blocked; which takes no
 * descriptor. When it is ready it writes "ready" and a newline to ready, which stays the caller's. 0 or
 * -errno. Thread: one that lives as long as the worker (PR_SET_PDEATHSIG, prctl(2)). */
int ost_worker_spawn(pid_t *pid, const struct ost_worker *worker, int ready);

#endif
