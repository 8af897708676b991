/* Names. getaddrinfo(3) may take many seconds, and can neither be watched nor broken off. So
 * a name goes to a helper, a thread that makes the call, and the caller waits for that as
 * handlers wait for everything (<request/wait.h>):
 *
 *   caller ── lookup, in the queue ──> helper: getaddrinfo(3) ── done, and a wake-up ──> caller
 *
 * A caller whose time is up, or who is cancelled, leaves at once; what the helper finds
 * later it drops. So a lookup belongs to both while the helper has it, and the last to let
 * go frees it. A helper ends when nothing is queued: a pool of idle ones would be in the
 * way of forking servers, and a thread costs little beside a resolver.
 *
 * A number needs no resolver, and is read where it is asked for. */
#include <ostler/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/kinds.h"
#include "base/thread.h"
#include "request/stream.h"

enum { MOST_HELPERS = 64 };

struct lookup {
    struct ost_list node;
    struct ost_waiter *waiter; /* its caller; NULL: he has left */
    enum { QUEUED, TAKEN, DONE } state;
    int error; /* once it is done: 0 or -errno */
    struct addrinfo *found;
    struct addrinfo hints;
    const char *host, *service;
    char text[];
};

/* The process's, since a thread that asks need not have a reactor. Everything, and each
 * lookup's state and waiter, is under lock. */
static struct {
    pthread_mutex_t lock;
    pid_t process; /* whose helpers they are */
    int helpers;
    struct ost_list queue; /* struct lookup, that no helper has taken */
} lookups = { .lock = PTHREAD_MUTEX_INITIALIZER, .queue = { &lookups.queue, &lookups.queue } };

/* What getaddrinfo(3) has returned, as 0 or -errno. */
static int error_of(int code)
{
    switch (code) {
    case 0:
        return 0;
    case EAI_AGAIN:
        return -EAGAIN;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return errno ? -errno : -EIO;
    case EAI_FAMILY:
        return -EAFNOSUPPORT;
    case EAI_BADFLAGS:
    case EAI_SOCKTYPE:
        return -EINVAL;
    case EAI_NONAME:
    case EAI_SERVICE:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return -ENOENT;
    default:
        return -EIO;
    }
}

static void free_lookup(struct lookup *l)
{
    if (l->found)
        freeaddrinfo(l->found);
    free(l);
}

/* Where getaddrinfo(3) is called: on a helper's thread. */
static void resolve(struct lookup *l)
{
    int code;

    errno = 0;
    code = getaddrinfo(l->host, l->service, &l->hints, &l->found);
    l->error = error_of(code);
    if (code != 0)
        l->found = NULL;
}

/* Under lock. */
static struct lookup *take(void)
{
    struct ost_list *node = ost_list_take(&lookups.queue);
    struct lookup *l = node ? OST_CONTAINER(node, struct lookup, node) : NULL;

    if (l)
        l->state = TAKEN;
    return l;
}

/* Under lock. */
static void finish(struct lookup *l)
{
    l->state = DONE;
    if (l->waiter)
        ost_waiter_wake(l->waiter);
    else
        free_lookup(l);
}

static void *help(void *unused)
{
    struct lookup *l;

    pthread_mutex_lock(&lookups.lock);
    while ((l = take())) {
        pthread_mutex_unlock(&lookups.lock);
        resolve(l);
        pthread_mutex_lock(&lookups.lock);
        finish(l);
    }
    lookups.helpers--;
    ost_kinds_leave(OST_THREADS); /* before who was served last goes on, and may open a forking server */
    pthread_mutex_unlock(&lookups.lock);
    return unused;
}

/* 0; -EBUSY: a forking server is open; -EAGAIN. Under lock. */
static int start_helper(void)
{
    int error = ost_kinds_enter(OST_THREADS);

    if (error < 0)
        return error;
    error = ost_thread_start(NULL, help, NULL);
    if (error < 0)
        ost_kinds_leave(OST_THREADS);
    else
        lookups.helpers++;
    return error;
}

/* In a process that was forked from one with helpers there are none. Under lock. */
static void note_process(void)
{
    pid_t process = getpid();

    if (lookups.process == process)
        return;
    lookups.process = process;
    ost_list_init(&lookups.queue);
    for (; lookups.helpers > 0; lookups.helpers--)
        ost_kinds_leave(OST_THREADS);
}

static int submit(struct lookup *l)
{
    int error = 0;

    pthread_mutex_lock(&lookups.lock);
    note_process();
    if (lookups.helpers < MOST_HELPERS)
        error = start_helper();
    if (error < 0 && lookups.helpers > 0)
        error = 0; /* one of those that run will take it */
    if (error == 0)
        ost_list_append(&lookups.queue, &l->node);
    pthread_mutex_unlock(&lookups.lock);
    return error;
}

static bool is_done(const struct lookup *l)
{
    bool done;

    pthread_mutex_lock(&lookups.lock);
    done = l->state == DONE;
    pthread_mutex_unlock(&lookups.lock);
    return done;
}

/* The caller lets go. Return whether the lookup is his alone. */
static bool let_go(struct lookup *l)
{
    bool alone;

    pthread_mutex_lock(&lookups.lock);
    l->waiter = NULL;
    alone = l->state != TAKEN;
    if (l->state == QUEUED)
        ost_list_remove(&l->node);
    pthread_mutex_unlock(&lookups.lock);
    return alone;
}

/* Have it resolved. Consumes the lookup. */
static int await(struct lookup *l, struct addrinfo **out, uint64_t due)
{
    int error = submit(l);

    while (error == 0 && !is_done(l))
        error = ost_waiter_wait(l->waiter, NULL, 0, due);
    if (!let_go(l))
        return error;
    if (error == 0 && l->error == 0) {
        *out = l->found;
        l->found = NULL;
    }
    error = error < 0 ? error : l->error;
    free_lookup(l);
    return error;
}

static char *copy_text(char *to, const char *text)
{
    return text ? memcpy(to, text, strlen(text) + 1) : NULL;
}

static struct lookup *new_lookup(const char *host, const char *service, const struct addrinfo *hints)
{
    size_t n = host ? strlen(host) + 1 : 0, m = service ? strlen(service) + 1 : 0;
    struct lookup *l = malloc(sizeof(*l) + n + m);

    if (!l)
        return NULL;
    *l = (struct lookup){ .state = QUEUED, .hints = *hints };
    ost_list_init(&l->node);
    l->host = copy_text(l->text, host);
    l->service = copy_text(l->text + n, service);
    return l;
}

/* That the process forks is its program's choice, which the caller's may not know. */
static void explain(const struct ostler_request *r, const char *host)
{
    if (r)
        ostler_log_write(r->owner->reactor->log, OSTLER_LOG_WARNING,
                         "%s: \"%s\" is not resolved while a forking server is open in the process: the resolver "
                         "needs a thread, whose locks would be copied into children",
                         r->owner->options.name, host ? host : "");
}

static int look_up(struct addrinfo **out, const char *host, const char *service, const struct addrinfo *hints,
                   uint64_t due)
{
    struct ost_waiter waiter;
    struct lookup *l;
    int error = ost_waiter_init(&waiter, false);

    if (error < 0)
        return error;
    l = new_lookup(host, service, hints);
    if (l)
        l->waiter = &waiter;
    error = l ? await(l, out, due) : -ENOMEM;
    ost_waiter_fini(&waiter);
    if (error == -EBUSY)
        explain(ost_request_current(), host);
    return error;
}

static bool is_number(const char *host)
{
    struct in_addr unused;

    return strchr(host, ':') || inet_aton(host, &unused);
}

static bool is_digits(const char *service)
{
    return service[strspn(service, "0123456789")] == '\0';
}

static bool may_have_names(const char *host, const char *service, int flags)
{
    return (host && !(flags & AI_NUMERICHOST)) || (service && !(flags & AI_NUMERICSERV));
}

static bool has_names(const char *host, const char *service, int flags)
{
    return (host && !(flags & AI_NUMERICHOST) && !is_number(host)) ||
           (service && !(flags & AI_NUMERICSERV) && !is_digits(service));
}

/* Without a resolver: what getaddrinfo(3) returns. EAI_NONAME: there is a name in it. With one it is
 * not even called, for who stands in for it (an LD_PRELOAD, a test) may not look at flags. */
static int look_at(struct addrinfo **out, const char *host, const char *service, const struct addrinfo *hints)
{
    struct addrinfo numeric = *hints, *found;
    int code;

    if (has_names(host, service, hints->ai_flags))
        return EAI_NONAME;
    numeric.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
    errno = 0;
    code = getaddrinfo(host, service, &numeric, &found);
    if (code == 0)
        *out = found;
    return code;
}

static int check(struct addrinfo *const *out, const char *host, const char *service, double timeout)
{
    if (!out || (!host && !service))
        return -EINVAL;
    if (!(timeout == OSTLER_NEVER || (timeout >= 0 && timeout <= OST_LONGEST_SECONDS)))
        return -EINVAL;
    return ost_stream_check_current();
}

int ostler_getaddrinfo(struct addrinfo **out, const char *host, const char *service, const struct addrinfo *hints,
                       double timeout)
{
    struct addrinfo asked = { 0 };
    int error = check(out, host, service, timeout), code;
    long ms;

    if (error < 0)
        return error;
    if (hints)
        asked = (struct addrinfo){ .ai_flags = hints->ai_flags, .ai_family = hints->ai_family,
                                   .ai_socktype = hints->ai_socktype, .ai_protocol = hints->ai_protocol };
    code = look_at(out, host, service, &asked);
    if (code != EAI_NONAME || !may_have_names(host, service, asked.ai_flags))
        return error_of(code);
    ms = timeout < 0 ? OSTLER_NEVER : ost_clock_from_seconds(timeout);
    if (ms == 0)
        return -ETIMEDOUT;
    return look_up(out, host, service, &asked, ost_clock_after(ost_clock_ms(), ms));
}
