/* A mailbox: messages in a list, under a mutex that nobody holds while he waits; and in
 * another list those who wait, in the order in which they came. A message, or room, calls
 * the first of them that it suits and that was not called yet. Somebody else may be faster,
 * for the called one has still to wake: then it waits on, in its old place. And when one
 * leaves that was called, what it was called for may still be there: then it calls the next. */
#include "socket/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "request/stream.h"

enum { CAPACITY = 64, MAX_SIZE = 65536, MOST = 1 << 30 };

struct message {
    struct ost_list node;
    size_t size;
    char bytes[];
};

struct ostler_mailbox {
    struct ostler_mailbox_options options;
    pid_t process; /* whose it is */
    pthread_mutex_t lock;
    struct ost_list messages; /* struct message; this and what follows is under lock */
    struct ost_list visits;   /* struct ost_visit */
    size_t count;
    unsigned long long dropped;
    bool closed;
};

int ost_mailbox_check(const struct ostler_mailbox *m)
{
    const struct ostler_request *r = ost_request_current();

    if (!m)
        return -EINVAL;
    return r && r->in_child && m->process != getpid() ? -EPERM : 0;
}

static int check_options(struct ostler_mailbox_options *o)
{
    if (o->capacity == 0)
        o->capacity = CAPACITY;
    if (o->max_size == 0)
        o->max_size = MAX_SIZE;
    return o->capacity > MOST || o->max_size > MOST || (unsigned)o->full > OSTLER_FULL_DROP_OLDEST ? -EINVAL : 0;
}

int ostler_mailbox_new(struct ostler_mailbox **out, const struct ostler_mailbox_options *options)
{
    struct ostler_mailbox_options checked = { 0 };
    struct ostler_mailbox *m;

    if (options)
        checked = *options;
    if (!out || check_options(&checked) < 0)
        return -EINVAL;
    m = calloc(1, sizeof(*m));
    if (!m)
        return -ENOMEM;
    m->options = checked;
    m->process = getpid();
    pthread_mutex_init(&m->lock, NULL);
    ost_list_init(&m->messages);
    ost_list_init(&m->visits);
    *out = m;
    return 0;
}

static struct message *take(struct ostler_mailbox *m)
{
    struct ost_list *node = ost_list_take(&m->messages);

    if (!node)
        return NULL;
    m->count--;
    return OST_CONTAINER(node, struct message, node);
}

void ostler_mailbox_free(struct ostler_mailbox *m)
{
    struct message *message;

    if (!m)
        return;
    while ((message = take(m)))
        free(message);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* Under lock. */
static unsigned ready(const struct ostler_mailbox *m)
{
    unsigned what = 0;

    if (m->count > 0 || m->closed)
        what |= OST_READ;
    if (m->count < m->options.capacity || m->closed || m->options.full != OSTLER_FULL_WAIT)
        what |= OST_WRITE;
    return what;
}

unsigned ost_mailbox_ready(struct ostler_mailbox *m)
{
    unsigned what;

    pthread_mutex_lock(&m->lock);
    what = ready(m);
    pthread_mutex_unlock(&m->lock);
    return what;
}

/* Wake the first who waits for what and was not called yet. Under lock. */
static void call(struct ostler_mailbox *m, unsigned what)
{
    struct ost_list *node, *next;

    OST_LIST_EACH(node, next, &m->visits) {
        struct ost_visit *visit = OST_CONTAINER(node, struct ost_visit, node);

        if (visit->called || !(visit->what & what))
            continue;
        visit->called = true;
        ost_waiter_wake(visit->waiter);
        return;
    }
}

void ost_mailbox_enter(struct ostler_mailbox *m, struct ost_visit *visit, unsigned what, struct ost_waiter *waiter)
{
    *visit = (struct ost_visit){ .what = what, .waiter = waiter };
    pthread_mutex_lock(&m->lock);
    ost_list_append(&m->visits, &visit->node);
    if (ready(m) & what) {
        visit->called = true;
        ost_waiter_wake(waiter);
    }
    pthread_mutex_unlock(&m->lock);
}

void ost_mailbox_leave(struct ostler_mailbox *m, struct ost_visit *visit)
{
    pthread_mutex_lock(&m->lock);
    ost_list_remove(&visit->node);
    if (visit->called) {
        call(m, ready(m) & visit->what & OST_READ);
        call(m, ready(m) & visit->what & OST_WRITE);
    }
    pthread_mutex_unlock(&m->lock);
}

/* 0, or why the caller may not wait. */
static int begin_to_wait(void)
{
    const struct ost_stream *s = ost_stream_current();
    int error;

    if (!s)
        return ost_reactor_running() ? -EDEADLK : 0;
    error = ost_stream_check(s);
    return error < 0 ? error : ost_give_turn();
}

/* 0, or why nothing may be done. Who must not wait gives no turn either, for he may hold a lock; and
 * at his end, whatever its cause, he may still tell others. */
static int begin(const struct ostler_mailbox *m, long timeout_ms)
{
    int error = ost_mailbox_check(m);

    if (error == 0 && timeout_ms < OSTLER_NEVER)
        error = -EINVAL;
    return error == 0 && timeout_ms != 0 ? begin_to_wait() : error;
}

/* What somebody comes for. */
struct errand {
    unsigned what;           /* OST_WRITE: to put message in; OST_READ: to take one out */
    struct message *message; /* what he has, before and after */
    size_t size;             /* of his buffer */
};

/* Put the message in, in exchange for what has to go for it, or drop it. -EAGAIN: it is full; -EPIPE. Under lock. */
static int put(struct ostler_mailbox *m, struct errand *e)
{
    struct message *oldest = NULL;

    if (m->closed)
        return -EPIPE;
    if (m->count == m->options.capacity) {
        if (m->options.full == OSTLER_FULL_WAIT)
            return -EAGAIN;
        m->dropped++;
        if (m->options.full == OSTLER_FULL_DROP_NEWEST)
            return 0;
        oldest = take(m);
    }
    ost_list_append(&m->messages, &e->message->node);
    m->count++;
    e->message = oldest;
    call(m, OST_READ);
    return 0;
}

/* Take the first message out. -EAGAIN: there is none; -EPIPE: nor will there be; -EMSGSIZE. Under lock. */
static int get(struct ostler_mailbox *m, struct errand *e)
{
    if (m->count == 0)
        return m->closed ? -EPIPE : -EAGAIN;
    if (OST_CONTAINER(m->messages.next, struct message, node)->size > e->size)
        return -EMSGSIZE;
    e->message = take(m);
    call(m, OST_WRITE);
    return 0;
}

static int attempt(struct ostler_mailbox *m, struct errand *e, struct ost_visit *visit)
{
    int error;

    pthread_mutex_lock(&m->lock);
    error = e->what == OST_WRITE ? put(m, e) : get(m, e);
    if (visit)
        visit->called = error == -EMSGSIZE; /* that message is still there */
    pthread_mutex_unlock(&m->lock);
    return error;
}

/* Wait in line, by due at most, until an attempt succeeds, or fails with anything but -EAGAIN. */
static int attempt_in_line(struct ostler_mailbox *m, struct errand *e, struct ost_waiter *waiter, uint64_t due)
{
    struct ost_visit visit;
    int error = -EAGAIN, waited = 0;

    ost_mailbox_enter(m, &visit, e->what, waiter);
    while (error == -EAGAIN && waited >= 0) {
        waited = ost_waiter_wait(waiter, NULL, 0, due);
        if (waited >= 0)
            error = attempt(m, e, &visit);
    }
    ost_mailbox_leave(m, &visit);
    return error == -EAGAIN ? waited : error;
}

static int wait_for(struct ostler_mailbox *m, struct errand *e, long timeout_ms)
{
    struct ost_waiter waiter;
    int error = timeout_ms == 0 ? -ETIMEDOUT : ost_waiter_init(&waiter, false);

    if (error < 0)
        return error;
    error = attempt_in_line(m, e, &waiter, ost_clock_after(ost_clock_ms(), timeout_ms));
    ost_waiter_fini(&waiter);
    return error;
}

static int run(struct ostler_mailbox *m, struct errand *e, long timeout_ms)
{
    int error = attempt(m, e, NULL);

    return error == -EAGAIN ? wait_for(m, e, timeout_ms) : error;
}

static struct message *copy_of(const void *data, size_t size)
{
    struct message *message = malloc(sizeof(*message) + size);

    if (!message)
        return NULL;
    ost_list_init(&message->node);
    message->size = size;
    if (size > 0)
        memcpy(message->bytes, data, size);
    return message;
}

int ostler_mailbox_send(struct ostler_mailbox *m, const void *data, size_t size, long timeout_ms)
{
    struct errand errand = { .what = OST_WRITE };
    int error = begin(m, timeout_ms);

    if (error < 0 || (!data && size > 0))
        return error < 0 ? error : -EINVAL;
    if (size > m->options.max_size)
        return -EMSGSIZE;
    errand.message = copy_of(data, size);
    if (!errand.message)
        return -ENOMEM;
    error = run(m, &errand, timeout_ms);
    free(errand.message);
    return error;
}

ssize_t ostler_mailbox_receive(struct ostler_mailbox *m, void *buffer, size_t size, long timeout_ms)
{
    struct errand errand = { .what = OST_READ, .size = size };
    int error = begin(m, timeout_ms);
    ssize_t n;

    if (error < 0 || (!buffer && size > 0))
        return error < 0 ? error : -EINVAL;
    error = run(m, &errand, timeout_ms);
    if (error < 0)
        return error;
    n = (ssize_t)errand.message->size;
    if (buffer)
        memcpy(buffer, errand.message->bytes, errand.message->size);
    free(errand.message);
    return n;
}

int ostler_mailbox_close(struct ostler_mailbox *m)
{
    struct ost_list *node, *next;
    int error = ost_mailbox_check(m);

    if (error < 0)
        return error;
    pthread_mutex_lock(&m->lock);
    m->closed = true;
    OST_LIST_EACH(node, next, &m->visits)
        ost_waiter_wake(OST_CONTAINER(node, struct ost_visit, node)->waiter);
    pthread_mutex_unlock(&m->lock);
    return 0;
}

size_t ostler_mailbox_count(struct ostler_mailbox *m)
{
    size_t n;

    if (ost_mailbox_check(m) < 0)
        return 0;
    pthread_mutex_lock(&m->lock);
    n = m->count;
    pthread_mutex_unlock(&m->lock);
    return n;
}

unsigned long long ostler_mailbox_dropped(struct ostler_mailbox *m)
{
    unsigned long long n;

    if (ost_mailbox_check(m) < 0)
        return 0;
    pthread_mutex_lock(&m->lock);
    n = m->dropped;
    pthread_mutex_unlock(&m->lock);
    return n;
}
