/* The reactor: a libevent base, and the order in which things happen around its
 * loop. We turn the loop ourselves (EVLOOP_ONCE), because libevent 2.1 has no hook
 * after a round, and because event_base_loopbreak() before the loop is lost; our
 * own flag, tested before each turn, is not.
 *
 * The base has no locks (EVENT_BASE_FLAG_NOLOCK): one thread touches it, and
 * others reach that thread through an eventfd (post.c). */
#include "reactor/reactor.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include <ostler/sys/libevent.h>

#include "base/closing.h"
#include "base/kinds.h"
#include "reactor/alternate.h"
#include "reactor/current.h"

enum {
    BASE_DESCRIPTORS = 4, /* epoll's, a pair for signals, and one for post.c */
    PAGE = 4096
};

_Thread_local struct ostler_reactor *ost_running __attribute__((tls_model("initial-exec")));

/* Are there the descriptors that a base needs? Without them libevent does not fail: it
 * ends the process (evsig_init_ calls event_err). Between this look and libevent's use
 * another thread may still take one. 0 or -errno. */
static int check_descriptors(void)
{
    int fds[BASE_DESCRIPTORS], count = 0, error = 0;

    while (count < BASE_DESCRIPTORS && error == 0) {
        fds[count] = eventfd(0, EFD_CLOEXEC);
        if (fds[count] < 0)
            error = -errno;
        else
            count++;
    }
    while (count > 0)
        close(fds[--count]);
    return error;
}

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (!config)
        return NULL;
    /* Its events are in our structs, see struct ost_watch. IGNORE_ENV: EVENT_EPOLL_USE_CHANGELIST would
     * break duplicated descriptors. */
    if (event_get_struct_event_size() <= sizeof(struct event) &&
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV) == 0)
        base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static void init(struct ostler_reactor *r, const struct ostler_log *log)
{
    r->log = log;
    r->wake_fd = -1;
    r->generation = ost_generation();
    r->process = getpid();
    atomic_init(&r->thread, (unsigned long)pthread_self());
    atomic_init(&r->stop_asked, OST_RUN);
    ost_list_init(&r->stoppables);
    ost_list_init(&r->soon);
    ost_list_init(&r->main);
    ost_list_init(&r->hooks);
    ost_list_init(&r->starved);
    ost_list_init(&r->holders);
    ost_list_init(&r->dependents);
    ost_list_init(&r->servers);
    pthread_mutex_init(&r->posted_lock, NULL);
    ost_list_init(&r->posted);
    ost_list_init(&r->lingering);
}

int ostler_reactor_new(struct ostler_reactor **out, const struct ostler_log *log)
{
    struct ostler_reactor *r;
    int error;

    if (!out)
        return -EINVAL;
    r = calloc(1, sizeof(*r));
    if (!r)
        return -ENOMEM;
    init(r, log);
    r->input = aligned_alloc(PAGE, OST_INPUT_SIZE); /* the kernel copies faster to whole lines */
    error = check_descriptors();
    if (error == 0)
        r->base = r->input ? new_base() : NULL;
    if (error == 0)
        error = r->base ? ost_post_open(r) : -ENOMEM;
    if (error == 0)
        error = ost_timers_open(r);
    if (error < 0) {
        ostler_reactor_free(r);
        return error;
    }
    *out = r;
    return 0;
}

static void tell_holders(struct ostler_reactor *r)
{
    struct ost_list *node, *next;

    OST_LIST_EACH(node, next, &r->holders) {
        struct ost_holder *holder = OST_CONTAINER(node, struct ost_holder, node);

        if (holder->follow)
            holder->follow(holder);
    }
}

/* What is opened here takes the place of what is closed before: without a descriptor to spare it works too, so that
 * ostler_reactor_free() need not fail, nor touch what is the parent's. */
int ost_reactor_follow(struct ostler_reactor *r)
{
    pid_t process = getpid();
    int error;

    if (r->process == process || ost_reactor_is_disowned(r))
        return 0;
    error = event_reinit(r->base) < 0 ? -EIO : ost_post_reopen(r);
    if (error < 0)
        return error;
    r->process = process;
    tell_holders(r);
    return 0;
}

/* Run queue until it is empty. */
static void run_jobs(struct ost_list *queue)
{
    struct ost_list *node;

    while ((node = ost_list_take(queue))) {
        struct ost_job *job = OST_CONTAINER(node, struct ost_job, node);

        job->run(job);
    }
}

void ostler_reactor_free(struct ostler_reactor *r)
{
    if (!r)
        return;
    ost_reactor_follow(r);
    run_jobs(&r->dependents);
    ost_timers_close(r);
    ost_post_close(r);
    if (r->base)
        event_base_free(r->base);
    free(r->slots);
    free(r->spare);
    free(r->input);
    free(r);
}

bool ostler_reactor_is_current(const struct ostler_reactor *r)
{
    return r && atomic_load_explicit(&r->thread, memory_order_relaxed) == (unsigned long)pthread_self() &&
           !ost_reactor_is_disowned(r);
}

const struct ostler_log *ostler_reactor_log(const struct ostler_reactor *r)
{
    return r ? r->log : NULL;
}

struct event_base *ostler_reactor_event_base(struct ostler_reactor *r)
{
    if (!r)
        return NULL;
    r->shared = true;
    r->ours_alone = false;
    return r->base;
}

uint64_t ost_reactor_refresh(struct ostler_reactor *r)
{
    return r->now = ost_clock_ms();
}

static void enqueue(struct ost_list *queue, struct ost_job *job)
{
    if (ost_list_is_empty(&job->node))
        ost_list_append(queue, &job->node);
}

void ost_reactor_soon(struct ostler_reactor *r, struct ost_job *job)
{
    enqueue(&r->soon, job);
}

void ost_reactor_main(struct ostler_reactor *r, struct ost_job *job)
{
    enqueue(&r->main, job);
}

void ost_reactor_run_soon(struct ostler_reactor *r)
{
    if (r->settling)
        return; /* the caller further out will come to it */
    r->settling = true;
    run_jobs(&r->soon);
    r->settling = false;
}

void ost_reactor_descriptor_freed(struct ostler_reactor *r)
{
    struct ost_list *node;

    while ((node = ost_list_take(&r->starved)))
        ost_list_append(&r->soon, node);
}

void ost_reactor_name_descriptors(struct ostler_reactor *r, struct ost_closing *closing)
{
    struct ost_list *node, *next;

    OST_LIST_EACH(node, next, &r->holders) {
        struct ost_holder *holder = OST_CONTAINER(node, struct ost_holder, node);

        if (holder->name)
            holder->name(holder, closing);
    }
    ost_closing_add(closing, r->wake_fd);
}

bool ost_reactor_is_disowned(const struct ostler_reactor *r)
{
    return r->generation != ost_generation();
}

/* Call visit for each node of list, which may meanwhile remove any of them. */
static void visit_all(struct ostler_reactor *r, struct ost_list *list,
                      void (*visit)(struct ostler_reactor *r, struct ost_list *node))
{
    struct ost_list rest, *node;

    ost_list_init(&rest);
    while ((node = ost_list_take(list)))
        ost_list_append(&rest, node);
    while ((node = ost_list_take(&rest))) {
        ost_list_append(list, node);
        visit(r, node);
    }
}

static void run_hook(struct ostler_reactor *r, struct ost_list *node)
{
    struct ost_job *job = OST_CONTAINER(node, struct ost_job, node);

    (void)r;
    job->run(job);
}

static void tell_of_stop(struct ostler_reactor *r, struct ost_list *node)
{
    struct ost_stoppable *s = OST_CONTAINER(node, struct ost_stoppable, node);

    if (r->stop_heeded == OST_ABORT)
        s->abort(s);
    else
        s->stop(s);
}

/* Tell everything on the reactor of a stop that was asked for since. */
static void heed_stop(struct ostler_reactor *r)
{
    int asked = atomic_load(&r->stop_asked);

    if (asked == r->stop_heeded)
        return;
    r->stop_heeded = asked;
    visit_all(r, &r->stoppables, tell_of_stop);
}

int ost_reactor_loop(struct ostler_reactor *r, int flags)
{
    r->now = r->looked = 0;
    return event_base_loop(r->base, EVLOOP_NO_EXIT_ON_EMPTY | EVLOOP_ONCE | flags);
}

int ost_reactor_turn(struct ostler_reactor *r)
{
    int flags = 0, error;

    if (!ost_list_is_empty(&r->soon)) {
        ost_reactor_settle(r); /* what a handler that waits now has left to do */
        flags = EVLOOP_NONBLOCK; /* it may be what the handler waits for */
    }
    error = r->spin.us > 0 && !flags ? ost_spin_turn(r) : ost_reactor_loop(r, flags);
    if (error < 0)
        return -EIO;
    ost_reactor_settle(r);
    heed_stop(r);
    visit_all(r, &r->hooks, run_hook);
    return 0;
}

static int run_loop(struct ostler_reactor *r, bool (*done)(void *arg), void *arg)
{
    int error = 0;

    heed_stop(r);
    while (error == 0) {
        run_jobs(&r->main);
        ost_reactor_settle(r);
        if (done(arg))
            break;
        if (ost_list_is_empty(&r->main))
            error = ost_reactor_turn(r);
    }
    return error;
}

void ost_reactor_adopt(struct ostler_reactor *r)
{
    if (!r->running)
        atomic_store(&r->thread, (unsigned long)pthread_self());
}

int ost_reactor_run_until(struct ostler_reactor *r, bool (*done)(void *arg), void *arg)
{
    struct ostler_reactor *outer = ost_running;
    struct ost_present present = ost_present;
    int error;

    if (r->running)
        return -EBUSY;
    error = ost_reactor_follow(r);
    if (error < 0)
        return error;
    ost_reactor_adopt(r);
    r->running = true;
    r->ours_alone = !r->shared;
    ost_running = r;
    ost_present = (struct ost_present){ 0 }; /* callbacks are not the handler that runs us, if one does */
    ost_alternate_enter(r);
    error = run_loop(r, done, arg);
    ost_alternate_leave(r);
    error = error < 0 ? error : r->result;
    r->running = r->ours_alone = false;
    ost_running = outer;
    ost_present = present;
    r->result = 0;
    if (r->stop_heeded > OST_RUN) /* a stop ends one run; one not yet seen ends the next */
        atomic_store(&r->stop_asked, OST_RUN);
    r->stop_heeded = OST_RUN;
    return error;
}

static bool stopped(void *arg)
{
    struct ostler_reactor *r = arg;

    return r->stop_heeded > OST_RUN && ost_list_is_empty(&r->stoppables);
}

int ostler_reactor_run(struct ostler_reactor *r)
{
    return r ? ost_reactor_run_until(r, stopped, r) : -EINVAL;
}

static int ask(struct ostler_reactor *r, int stop)
{
    int asked = OST_RUN;

    if (!r)
        return -EINVAL;
    if (ost_reactor_is_disowned(r))
        return -EPERM;
    while (asked < stop && !atomic_compare_exchange_weak(&r->stop_asked, &asked, stop))
        continue;
    ost_reactor_wake(r);
    return 0;
}

int ostler_reactor_stop(struct ostler_reactor *r)
{
    return ask(r, OST_STOP);
}

int ostler_reactor_abort(struct ostler_reactor *r)
{
    return ask(r, OST_ABORT);
}
