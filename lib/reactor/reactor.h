/* The reactor's inside. Everything here is the reactor's thread's alone, but for
 * ost_reactor_post_job() and ost_reactor_wake().
 *
 * A *turn* is one round of libevent's loop: wait for readiness, run the callbacks.
 * What must not run inside somebody else's callback is a *job*:
 *   soon   runs when the current callback is over (ost_reactor_settle());
 *   main   runs between turns, on the bare stack of the run loop. Inline handlers
 *          run there, so that while they wait they can turn the reactor
 *          themselves: libevent's loop does not nest, but it is not running then. */
#ifndef OST_REACTOR_REACTOR_H
#define OST_REACTOR_REACTOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <ostler/reactor.h>

#include "base/clock.h"
#include "base/list.h"
#include "reactor/spin.h"

struct event;
struct event_base;
struct ost_alternate;
struct ost_closing;
struct ost_hold;
struct ost_timer;

struct ost_job {
    struct ost_list node; /* ost_list_init() it before its first use */
    void (*run)(struct ost_job *job);
};

/* Something that a stop of the reactor must stop, and wait for. */
struct ost_stoppable {
    struct ost_list node;
    void (*stop)(struct ost_stoppable *stoppable);
    void (*abort)(struct ost_stoppable *stoppable);
};

/* Something that a child process inherits. One of ours must not keep its descriptors; one of the program's own goes on
 * with it. Each function may be NULL. */
struct ost_holder {
    struct ost_list node;
    void (*name)(struct ost_holder *holder, struct ost_closing *closing); /* add each; before the fork */
    void (*follow)(struct ost_holder *holder); /* see ost_reactor_follow() */
};

/* One name's place, see reactor/names.h. */
struct ost_slot {
    void *object; /* NULL: the slot is free */
    uint32_t generation, next;
};

/* How far a stop has gone; each step includes those before. */
enum ost_stop { OST_RUN, OST_STOP, OST_ABORT };

enum { OST_INPUT_SIZE = 65536 };

struct ostler_reactor {
    /* What each message touches, together. */
    unsigned activity; /* counts the loop's callbacks */
    bool running, settling;
    bool shared; /* the program has asked for the base, and may have events of its own on it */
    bool ours_alone; /* it runs, and is not shared: between two holds of a turn there is nothing */
    uint64_t now; /* ost_clock_ms(), read once a turn; 0: not yet */
    uint64_t looked; /* when a hold last ended, in this turn; 0: none has */
    struct ost_hold *hold; /* who has the loop, the innermost first; see reactor/hold.h */
    char *input; /* OST_INPUT_SIZE bytes that every connection receives into */
    void *spare; /* one free output buffer, see request/output.h */
    struct ost_list soon; /* struct ost_job */

    struct event_base *base;
    const struct ostler_log *log;
    atomic_ulong thread; /* pthread_self() of its thread */
    uint64_t stall_told; /* when a stall that is no server's was last logged, on the coarse clock */
    int result;          /* of the current run */
    struct ost_spin spin;

    atomic_int stop_asked; /* enum ost_stop */
    int stop_heeded;
    struct ost_list stoppables; /* struct ost_stoppable */

    struct ost_list main;       /* struct ost_job */
    struct ost_list hooks;      /* struct ost_job, run after each turn */
    struct ost_list starved;    /* struct ost_job, run once a descriptor was closed */
    struct ost_list holders;    /* struct ost_holder */
    struct ost_list dependents; /* struct ost_job, run when the reactor is freed */
    struct ost_list servers;    /* struct ostler_server, by their node */

    struct ost_list lingering;  /* jobs of requests that only wait to be closed, oldest first */
    size_t lingering_count;

    unsigned generation; /* of the process whose it is, see base/kinds.h */
    pid_t process;       /* whose epoll set and eventfd are behind it; see ost_reactor_follow() */
    int wake_fd;         /* eventfd */
    struct event *wake;
    pthread_mutex_t posted_lock;
    struct ost_list posted; /* struct ost_job, under posted_lock */

    struct ost_timer **heap; /* heap[1] is the first to fire */
    uint32_t heap_count;
    size_t timers, heap_capacity;
    struct event *alarm;
    uint64_t alarm_due; /* when alarm fires; OST_NEVER: it is not set */
    uint64_t next_alarm; /* while timers fire: what is set meanwhile fires no earlier; else 0 */

    struct ost_slot *slots;
    uint32_t slot_count, free_slot;

    struct ost_alternate *alternate; /* NULL: nobody wants one */
};

/* The reactor that the calling thread runs just now, or NULL. */
extern _Thread_local struct ostler_reactor *ost_running __attribute__((tls_model("initial-exec")));

static inline struct ostler_reactor *ost_reactor_running(void)
{
    return ost_running;
}

/* Let libevent wait, unless flags are EVLOOP_NONBLOCK, and run what is ready. As event_base_loop(). */
int ost_reactor_loop(struct ostler_reactor *reactor, int flags);

/* One turn, and what it left to do. 0 or -EIO. */
int ost_reactor_turn(struct ostler_reactor *reactor);

/* In a process that the program itself has forked: have an epoll set and an eventfd of our own. Those that were
 * inherited are the parent's, who would miss what is changed there. Before anything is watched, or is not any
 * more. Holders are told. 0 or -errno; nothing to do in a mix-in's child, whose reactor it is not. */
int ost_reactor_follow(struct ostler_reactor *reactor);

/* Unless it runs: it belongs to the calling thread from now on. */
void ost_reactor_adopt(struct ostler_reactor *reactor);

/* Run until done(arg), asked between turns. 0, -EBUSY, -EIO or what a server that gave
 * up left as the result. */
int ost_reactor_run_until(struct ostler_reactor *reactor, bool (*done)(void *arg), void *arg);

/* The time of this turn, and the time it really is after a callback may have
 * taken long. */
uint64_t ost_reactor_refresh(struct ostler_reactor *reactor);

static inline uint64_t ost_reactor_now(struct ostler_reactor *reactor)
{
    return reactor->now ? reactor->now : ost_reactor_refresh(reactor);
}

/* As ostler_reactor_is_current(). */
static inline bool ost_reactor_is_ours(const struct ostler_reactor *reactor)
{
    return ost_running == reactor || ostler_reactor_is_current(reactor);
}

/* Queue a job; one that is queued already stays where it is. */
void ost_reactor_soon(struct ostler_reactor *reactor, struct ost_job *job);
void ost_reactor_main(struct ostler_reactor *reactor, struct ost_job *job);

/* Run the soon jobs. Called when a callback is over. */
void ost_reactor_run_soon(struct ostler_reactor *reactor);

static inline void ost_reactor_settle(struct ostler_reactor *reactor)
{
    if (!ost_list_is_empty(&reactor->soon))
        ost_reactor_run_soon(reactor);
}

/* One of our descriptors was closed: let those that lacked one try again. */
void ost_reactor_descriptor_freed(struct ostler_reactor *reactor);

/* Run job, which is in no list, on the reactor's thread. Thread: any. */
void ost_reactor_post_job(struct ostler_reactor *reactor, struct ost_job *job);

/* Take job back, if it is posted or queued; it will not run. */
void ost_reactor_withdraw(struct ostler_reactor *reactor, struct ost_job *job);

/* As ostler_reactor_post(); release(arg) is called in any case, after function or
 * instead of it. */
int ost_reactor_post_release(struct ostler_reactor *reactor, void (*function)(void *), void *arg,
                             void (*release)(void *));

/* Before a fork: add all descriptors that a child must not keep. */
void ost_reactor_name_descriptors(struct ostler_reactor *reactor, struct ost_closing *closing);

/* In a child process, which has one thread and has closed them: it runs none. */
static inline void ost_reactor_leave(void)
{
    ost_running = NULL;
}

/* Is it a parent's, or an older one's? */
bool ost_reactor_is_disowned(const struct ostler_reactor *reactor);

/* End the wait of the current or the next turn. Thread: any. */
void ost_reactor_wake(struct ostler_reactor *reactor);

/* Move what was posted to the soon jobs. */
void ost_post_take(struct ostler_reactor *reactor);

/* Set up and tear down the parts in post.c and timer.c. */
int ost_post_open(struct ostler_reactor *reactor);
int ost_post_reopen(struct ostler_reactor *reactor);
void ost_post_close(struct ostler_reactor *reactor);
int ost_timers_open(struct ostler_reactor *reactor);
void ost_timers_close(struct ostler_reactor *reactor);

#endif
