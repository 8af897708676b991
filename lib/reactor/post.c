/* Posts: how other threads reach the reactor. A list under a mutex, and an eventfd
 * that is written when the list stops being empty. */
#include "reactor/hold.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

/* A posted function. The jobs of ost_reactor_post_job() stand in the same list. */
struct posted {
    struct ost_job job;
    struct ostler_reactor *reactor;
    void (*function)(void *arg);
    void *arg;
    void (*release)(void *arg);
};

static void release(struct posted *p)
{
    if (p->release)
        p->release(p->arg);
    free(p);
}

static void run_posted(struct ost_job *job)
{
    struct posted *p = OST_CONTAINER(job, struct posted, job);

    ost_hold_call(p->reactor, p->function, p->arg, "a posted function");
    release(p);
}

void ost_post_take(struct ostler_reactor *r)
{
    struct ost_list *node;

    pthread_mutex_lock(&r->posted_lock);
    while ((node = ost_list_take(&r->posted)))
        ost_list_append(&r->soon, node);
    pthread_mutex_unlock(&r->posted_lock);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct ostler_reactor *r = arg;
    eventfd_t count;

    (void)what;
    r->activity++;
    if (eventfd_read(fd, &count) < 0)
        return; /* EAGAIN: an earlier round has seen to it */
    ost_post_take(r);
    ost_reactor_settle(r);
}

int ost_post_open(struct ostler_reactor *r)
{
    r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->wake_fd < 0)
        return -errno;
    r->wake = event_new(r->base, r->wake_fd, EV_READ | EV_PERSIST, on_wake, r);
    return r->wake && event_add(r->wake, NULL) == 0 ? 0 : -ENOMEM;
}

/* As far as it was opened. */
static void close_wake(struct ostler_reactor *r)
{
    if (r->wake)
        event_free(r->wake);
    r->wake = NULL;
    if (r->wake_fd >= 0)
        close(r->wake_fd);
    r->wake_fd = -1;
}

/* The lock may be held by a thread that is not here; and what was posted before would wake nobody. */
int ost_post_reopen(struct ostler_reactor *r)
{
    int error;

    pthread_mutex_init(&r->posted_lock, NULL);
    close_wake(r);
    error = ost_post_open(r);
    if (error == 0)
        ost_reactor_wake(r);
    return error;
}

void ost_post_close(struct ostler_reactor *r)
{
    struct ost_list *node;

    if (ost_reactor_is_disowned(r))
        return;
    close_wake(r);
    ost_post_take(r);
    while ((node = ost_list_take(&r->soon))) /* nothing but posted functions can be left */
        release(OST_CONTAINER(node, struct posted, job.node));
    pthread_mutex_destroy(&r->posted_lock);
}

void ost_reactor_wake(struct ostler_reactor *r)
{
    eventfd_write(r->wake_fd, 1); /* fails only when it is full: the wake-up is there */
}

void ost_reactor_post_job(struct ostler_reactor *r, struct ost_job *job)
{
    bool first;

    pthread_mutex_lock(&r->posted_lock);
    first = ost_list_is_empty(&r->posted);
    ost_list_append(&r->posted, &job->node);
    if (first) /* under the lock: once it is released the reactor may be gone */
        ost_reactor_wake(r);
    pthread_mutex_unlock(&r->posted_lock);
}

void ost_reactor_withdraw(struct ostler_reactor *r, struct ost_job *job)
{
    pthread_mutex_lock(&r->posted_lock);
    ost_list_remove(&job->node);
    pthread_mutex_unlock(&r->posted_lock);
}

int ost_reactor_post_release(struct ostler_reactor *r, void (*function)(void *), void *arg, void (*release_arg)(void *))
{
    struct posted *p;

    if (!r || !function)
        return -EINVAL;
    if (ost_reactor_is_disowned(r))
        return -EPERM; /* and the lock may be held by a thread that is not here */
    p = malloc(sizeof(*p));
    if (!p)
        return -ENOMEM;
    *p = (struct posted){
        .job.run = run_posted, .reactor = r, .function = function, .arg = arg, .release = release_arg,
    };
    ost_list_init(&p->job.node);
    ost_reactor_post_job(r, &p->job);
    return 0;
}

int ostler_reactor_post(struct ostler_reactor *r, void (*function)(void *arg), void *arg)
{
    return ost_reactor_post_release(r, function, arg, NULL);
}
