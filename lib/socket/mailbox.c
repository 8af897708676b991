/* A mailbox: messages in a list, under a mutex that nobody holds while he waits; and in
 * another list those who wait, in the order in which they came. A message, or room, calls
 * the first of them that it suits. */
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
    return r && r->relay && m->process != getpid() ? -EPERM : 0;
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
    if (visit->called && (ready(m) & visit->what))
        call(m, ready(m) & visit->what);
    pthread_mutex_unlock(&m->lock);
}

/* Wait for what, by due. 0 when it may be there. */
static int wait_for(struct ostler_mailbox *m, unsigned what, uint64_t due)
{
    struct ost_waiter waiter;
    struct ost_visit visit;
    int error;

    if (due == 0)
        return -ETIMEDOUT;
    error = ost_waiter_init(&waiter, false);
    if (error < 0)
        return error;
    ost_mailbox_enter(m, &visit, what, &waiter);
    error = ost_waiter_wait(&waiter, NULL, 0, due);
    visit.called = visit.called && error < 0; /* what it was called for it takes now */
    ost_mailbox_leave(m, &visit);
    ost_waiter_fini(&waiter);
    return error;
}

/* 0, or why nothing may be done. */
static int begin(const struct ostler_mailbox *m, long timeout_ms)
{
    struct ostler_request *r = ost_request_current();
    int error = ost_mailbox_check(m);

    if (error == 0 && timeout_ms < OSTLER_NEVER)
        error = -EINVAL;
    if (error == 0 && timeout_ms != 0 && !r && ost_reactor_running())
        error = -EDEADLK;
    if (error == 0 && r)
        error = ost_stream_check(OST_CONTAINER(r, struct ost_stream, request));
    return error;
}

static uint64_t due_in(long timeout_ms)
{
    return timeout_ms == 0 ? 0 : ost_clock_after(ost_clock_ms(), timeout_ms);
}

/* Make room for message by the mailbox's own rule: 0 or -EAGAIN; *loser is to be freed. Under lock. */
static int make_room(struct ostler_mailbox *m, struct message *message, struct message **loser)
{
    *loser = NULL;
    if (m->count < m->options.capacity)
        return 0;
    if (m->options.full == OSTLER_FULL_WAIT)
        return -EAGAIN;
    *loser = m->options.full == OSTLER_FULL_DROP_OLDEST ? take(m) : message;
    m->dropped++;
    return 0;
}

/* Put message in, or drop it: 0; it is the mailbox's then. -EAGAIN: it is full; -EPIPE. */
static int put(struct ostler_mailbox *m, struct message *message)
{
    struct message *loser = NULL;
    int error;

    pthread_mutex_lock(&m->lock);
    error = m->closed ? -EPIPE : make_room(m, message, &loser);
    if (error == 0 && loser != message) {
        ost_list_append(&m->messages, &message->node);
        m->count++;
        call(m, OST_READ);
    }
    pthread_mutex_unlock(&m->lock);
    free(loser);
    return error;
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
    int error = begin(m, timeout_ms);
    uint64_t due = due_in(timeout_ms);
    struct message *message;

    if (error < 0 || (!data && size > 0))
        return error < 0 ? error : -EINVAL;
    if (size > m->options.max_size)
        return -EMSGSIZE;
    message = copy_of(data, size);
    if (!message)
        return -ENOMEM;
    while ((error = put(m, message)) == -EAGAIN && (error = wait_for(m, OST_WRITE, due)) == 0)
        continue;
    if (error < 0)
        free(message);
    return error;
}

/* Take the first message: 0, and NULL when it is closed and empty. -EAGAIN: there is none; -EMSGSIZE. */
static int get(struct ostler_mailbox *m, struct message **out, size_t size)
{
    const struct ost_list *first;
    int error = 0;

    *out = NULL;
    pthread_mutex_lock(&m->lock);
    first = m->messages.next;
    if (m->count == 0)
        error = m->closed ? -EPIPE : -EAGAIN;
    else if (OST_CONTAINER(first, struct message, node)->size > size)
        error = -EMSGSIZE;
    if (error == 0) {
        *out = take(m);
        call(m, OST_WRITE);
    }
    if (error == -EMSGSIZE)
        call(m, OST_READ); /* it is still there, for another */
    pthread_mutex_unlock(&m->lock);
    return error;
}

ssize_t ostler_mailbox_receive(struct ostler_mailbox *m, void *buffer, size_t size, long timeout_ms)
{
    int error = begin(m, timeout_ms);
    uint64_t due = due_in(timeout_ms);
    struct message *message;
    ssize_t n;

    if (error < 0 || (!buffer && size > 0))
        return error < 0 ? error : -EINVAL;
    while ((error = get(m, &message, size)) == -EAGAIN && (error = wait_for(m, OST_READ, due)) == 0)
        continue;
    if (error < 0)
        return error;
    n = (ssize_t)message->size;
    if (n > 0)
        memcpy(buffer, message->bytes, message->size);
    free(message);
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
