/* Connections, spread over the processes that accept from the same sockets.
 *
 * The page. The parent makes a page of shared memory, in which each worker has a row that
 * it alone writes: how many connections it has, and for each server whether it accepts. And an eventfd
 * for each worker, by which the others wake it.
 *
 * The rule. A worker accepts while it is the lowest: nobody who could accept for that server has fewer
 * connections. It looks before each accept, so that a batch, too, ends in time. Only when a client
 * comes and it is not the lowest it stops watching that listener (PASSING), until it is. So while no
 * client comes nobody does anything, and short connections, which move all counts up and down, make
 * hardly anybody stop and start: counted with 64 at once, a tenth of an eventfd write a connection.
 *
 *   WATCHING ─(a client comes, it is not the lowest)─> PASSING ─(it is: sees it itself)─> WATCHING
 *                                                         └──(… another one sees it)─> WOKEN ─┘
 *   CLOSED: it is full, lacks descriptors, stops, has not started, or is dead: nobody waits for it
 *
 * What never fails: the lowest is WATCHING, or WOKEN and about to. For it can become the lowest in two
 * ways only. Its own connections get fewer: then it looks itself. Or others' get more, or others close: then
 * who caused it looks through the page and wakes those concerned; for one that has died the parent does
 * (ostler_balance_forget()). In between fits no change that nobody sees: who passes first writes
 * PASSING and then looks again, and who changes something first writes that and then looks who passes.
 * All of this is sequentially consistent, so one of the two sees the other.
 *
 * The exception. A worker that is WATCHING, but whose handler holds the loop, or which was stopped by
 * a signal, would keep all others from accepting. The parent sees that clients wait (guard.c) and marks all
 * who should have accepted as suspects. They no longer count; the mark comes with a wake-up, and
 * whoever gets that takes it off. To suspect the wrong one is harmless.
 *
 * Counts are a worker's, over all its servers, since that is its load; who is open is a
 * server's, so that one that is full in one worker does not keep its clients from another.
 *
 * Why not
 *   SO_REUSEPORT: each process has a queue of its own, and the kernel picks one by a hash. Of 10
 *       clients all may go to one; and with a process that ends, its queue goes: clients are lost.
 *   EPOLLEXCLUSIVE: the kernel wakes the one that went to sleep last: all go to one. libevent does not
 *       know it, and within a nested epoll it has no effect.
 *   one that accepts and hands on: a process more on the way of each connection, and all stand
 *       still when it does.
 *
 * What is left of the herd: those who are WATCHING and idle all wake up for a client, and all but one
 * find nothing.
 *
 * Thread: the reactor's, but for ostler_balance_forget(), which touches the page alone. The page is
 * others' memory, too: what stands there is counted with, and never trusted as an index. */
#include "server/balance.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/guard.h"
#include "server/server.h"

enum { LINE = 64, MAX_WORKERS = 1024, MAX_SERVERS = 65536, PARENT = -1 };

enum state { CLOSED, WATCHING, PASSING, WOKEN };

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "a lock would be one process's own");

struct cell { /* one server of a worker */
    _Atomic uint32_t state;
    _Atomic uint32_t accepted;
};

struct row { /* one worker, in cache lines of its own */
    _Atomic int live;
    _Atomic uint32_t suspect;
    struct cell cells[];
};

struct ostler_balance {
    struct ostler_reactor *reactor;
    int workers, servers, number; /* PARENT, or which worker */
    int added;                    /* servers so far */
    int told;                     /* the count that the others were last woken for */
    char *page;
    size_t stride; /* of a row */
    int *fds;      /* the page's, and the workers' eventfds */
    struct ost_watch wake;
};

static struct row *row(const struct ostler_balance *b, int worker)
{
    return (struct row *)(void *)(b->page + (size_t)worker * b->stride);
}

static struct cell *cell(const struct ostler_balance *b, int worker, int server)
{
    return &row(b, worker)->cells[server];
}

/* ---- Who has a turn ---- */

/* Does it count for the server? */
static bool counts(const struct ostler_balance *b, int worker, int server)
{
    return atomic_load(&cell(b, worker, server)->state) != CLOSED && !atomic_load(&row(b, worker)->suspect);
}

/* The fewest connections that one who could accept has, except for one; INT_MAX: there is none. */
static int lowest(const struct ostler_balance *b, int server, int except)
{
    int least = INT_MAX;

    for (int i = 0; i < b->workers; i++) {
        int live = atomic_load(&row(b, i)->live);

        if (i != except && live < least && counts(b, i, server))
            least = live;
    }
    return least;
}

static int own_live(const struct ostler_balance *b)
{
    return atomic_load_explicit(&row(b, b->number)->live, memory_order_relaxed);
}

bool ost_balance_has_turn(const struct ostler_server *s)
{
    const struct ostler_balance *b = s->seat.balance;

    return !b || own_live(b) <= lowest(b, s->seat.number, b->number);
}

/* ---- Waking others ---- */

static void wake(const struct ostler_balance *b, int worker)
{
    eventfd_write(b->fds[1 + worker], 1); /* fails only when it is full: the wake-up is there */
}

/* It passes, and is the lowest: wake it, once. */
static void wake_if_due(const struct ostler_balance *b, int worker, int server, int least)
{
    uint32_t passing = PASSING;

    if (atomic_load(&row(b, worker)->live) > least)
        return;
    if (atomic_compare_exchange_strong(&cell(b, worker, server)->state, &passing, WOKEN))
        wake(b, worker);
}

/* Something has changed here that may make others the lowest. */
static void wake_others(const struct ostler_balance *b)
{
    for (int server = 0; server < b->servers; server++) {
        int least = lowest(b, server, PARENT);

        for (int i = 0; i < b->workers; i++)
            if (i != b->number && atomic_load(&cell(b, i, server)->state) == PASSING)
                wake_if_due(b, i, server, least);
    }
}

/* ---- A worker's own ---- */

static struct ostler_server *server_of(struct ost_list *node)
{
    return OST_CONTAINER(node, struct ostler_server, node);
}

static void set_state(const struct ostler_server *s, enum state state)
{
    const struct ostler_balance *b = s->seat.balance;

    atomic_store(&cell(b, b->number, s->seat.number)->state, state);
}

static bool is_passing(const struct ostler_server *s)
{
    const struct ostler_balance *b = s->seat.balance;
    uint32_t state = atomic_load(&cell(b, b->number, s->seat.number)->state);

    return state == PASSING || state == WOKEN;
}

/* Stay away. But if it is the lowest by now nobody else may see that any more: then false. */
static bool stay_away(const struct ostler_server *s)
{
    set_state(s, PASSING);
    if (!ost_balance_has_turn(s))
        return true;
    set_state(s, WATCHING);
    return false;
}

static void clear_passing(const struct ostler_server *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        s->listeners[i].passing = false;
}

static void resume(struct ostler_server *s)
{
    set_state(s, WATCHING);
    clear_passing(s);
    ost_server_watch_listeners(s);
}

/* Whoever accepts from one of a server's listeners does so from all of them: clients at the others
 * must not wait unseen behind those who come here (guard.c looks at the server's count). */
void ost_balance_look(struct ost_listener *l)
{
    struct ostler_server *s = l->server;
    bool passed;

    if (!s->seat.balance || !s->seat.open)
        return;
    passed = is_passing(s);
    if (!ost_balance_has_turn(s) && stay_away(s))
        l->passing = true;
    else if (passed)
        resume(s);
}

/* Watch again where it is the lowest. */
static void look_again(struct ostler_balance *b)
{
    struct ost_list *node, *next;

    OST_LIST_EACH(node, next, &b->reactor->servers) {
        struct ostler_server *s = server_of(node);

        if (s->seat.balance == b && s->seat.open && is_passing(s) && !stay_away(s))
            resume(s);
    }
}

static void on_wake(struct ost_watch *watch, unsigned what)
{
    struct ostler_balance *b = OST_CONTAINER(watch, struct ostler_balance, wake);
    eventfd_t count;

    (void)what;
    eventfd_read(watch->fd, &count);
    atomic_store(&row(b, b->number)->suspect, 0);
    look_again(b);
}

static bool is_paused(const struct ostler_server *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        if (s->listeners[i].paused)
            return true;
    return false;
}

/* Could it accept? Return whether it could before, and can no more. */
static bool note_open(struct ostler_server *s)
{
    bool was = s->seat.open;

    s->seat.open = ost_server_has_room(s) && !is_paused(s);
    if (s->seat.open == was)
        return false;
    clear_passing(s);
    set_state(s, s->seat.open ? WATCHING : CLOSED);
    return was;
}

static void note_live(struct ostler_server *s)
{
    const struct ostler_balance *b = s->seat.balance;
    size_t live = s->running + s->parked;

    if (live == s->seat.live)
        return;
    atomic_store(&row(b, b->number)->live, own_live(b) + (int)live - (int)s->seat.live);
    s->seat.live = live;
}

void ost_balance_note_accept(struct ostler_server *s)
{
    const struct ostler_balance *b = s->seat.balance;

    if (!b)
        return;
    atomic_fetch_add(&cell(b, b->number, s->seat.number)->accepted, 1);
    note_live(s);
}

void ost_balance_tell(struct ostler_server *s)
{
    struct ostler_balance *b = s->seat.balance;
    bool closed;
    int before;

    if (!b || b->number == PARENT)
        return;
    note_live(s);
    before = b->told;
    b->told = own_live(b);
    closed = note_open(s);
    if (closed || b->told > before)
        wake_others(b);
    if (b->told < before)
        look_again(b);
}

/* ---- The parent's ---- */

uint32_t ost_balance_accepted(const struct ostler_balance *b, int server)
{
    uint32_t sum = 0;

    for (int i = 0; i < b->workers; i++)
        sum += atomic_load(&cell(b, i, server)->accepted);
    return sum;
}

void ost_balance_suspect(struct ostler_balance *b, int server)
{
    for (int i = 0; i < b->workers; i++) {
        uint32_t state = atomic_load(&cell(b, i, server)->state);

        if ((state == WATCHING || state == WOKEN) && !atomic_exchange(&row(b, i)->suspect, 1))
            wake(b, i);
    }
    wake_others(b);
}

/* What it has accepted stays: the guard compares sums. */
int ostler_balance_forget(struct ostler_balance *b, int number)
{
    if (!b || number < 0 || number >= b->workers)
        return -EINVAL;
    for (int server = 0; server < b->servers; server++)
        atomic_store(&cell(b, number, server)->state, CLOSED);
    atomic_store(&row(b, number)->live, 0);
    atomic_store(&row(b, number)->suspect, 0);
    wake_others(b);
    return 0;
}

/* ---- Making it ---- */

static size_t stride_of(int servers)
{
    size_t size = sizeof(struct row) + (size_t)servers * sizeof(struct cell);

    return (size + LINE - 1) / LINE * LINE;
}

static int open_page(int *out, size_t size)
{
    int fd = memfd_create("balance", MFD_CLOEXEC | MFD_ALLOW_SEALING), error = 0;

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) < 0)
        error = -errno;
    if (error < 0)
        close(fd);
    else
        *out = fd;
    return error;
}

static int open_wakes(struct ostler_balance *b)
{
    for (int i = 0; i < b->workers; i++) {
        b->fds[1 + i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (b->fds[1 + i] < 0)
            return -errno;
    }
    return 0;
}

static int map(struct ostler_balance *b)
{
    void *page = mmap(NULL, (size_t)b->workers * b->stride, PROT_READ | PROT_WRITE, MAP_SHARED, b->fds[0], 0);

    if (page == MAP_FAILED)
        return -errno;
    b->page = page;
    return 0;
}

static struct ostler_balance *allocate(struct ostler_reactor *reactor, int workers, size_t stride)
{
    struct ostler_balance *b = calloc(1, sizeof(*b));

    if (!b)
        return NULL;
    *b = (struct ostler_balance){ .reactor = reactor, .workers = workers, .number = PARENT, .stride = stride };
    b->servers = (int)((stride - sizeof(struct row)) / sizeof(struct cell)); /* or some fewer */
    b->fds = malloc((1 + (size_t)workers) * sizeof(*b->fds));
    for (int i = 0; b->fds && i <= workers; i++)
        b->fds[i] = -1;
    if (b->fds)
        return b;
    free(b);
    return NULL;
}

int ostler_balance_new(struct ostler_balance **out, struct ostler_reactor *reactor, int workers, int servers)
{
    struct ostler_balance *b;
    int error;

    if (!out || !reactor || workers < 1 || workers > MAX_WORKERS || servers < 1 || servers > MAX_SERVERS)
        return -EINVAL;
    b = allocate(reactor, workers, stride_of(servers));
    if (!b)
        return -ENOMEM;
    b->servers = servers;
    error = open_page(&b->fds[0], (size_t)workers * b->stride);
    if (error == 0)
        error = map(b);
    if (error == 0)
        error = open_wakes(b);
    if (error < 0)
        ostler_balance_free(b);
    else
        *out = b;
    return error;
}

int ostler_balance_fd(const struct ostler_balance *b, size_t index)
{
    return b && index <= (size_t)b->workers ? b->fds[index] : -EINVAL;
}

/* The length of a row of the page, or -EINVAL when fd is no page for so many workers. */
static long measure(int fd, int workers)
{
    struct stat page;
    long stride;

    if (fstat(fd, &page) < 0 || !S_ISREG(page.st_mode) || page.st_size % workers)
        return -EINVAL;
    stride = (long)(page.st_size / workers);
    return stride < LINE || stride % LINE || stride > (long)stride_of(MAX_SERVERS) ? -EINVAL : stride;
}

/* Inherited ones are open to what is executed here. */
static int adopt(struct ostler_balance *b, const int *fds)
{
    for (int i = 0; i <= b->workers; i++)
        if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) < 0)
            return -errno;
    memcpy(b->fds, fds, (1 + (size_t)b->workers) * sizeof(*fds));
    return 0;
}

static int take_seat(struct ostler_balance *b, int number)
{
    b->number = number;
    ost_watch_init(&b->wake, b->reactor, b->fds[1 + number], on_wake);
    return ost_watch_set(&b->wake, OST_READ);
}

/* They are the caller's: free all else. */
static void abandon(struct ostler_balance *b)
{
    for (int i = 0; i <= b->workers; i++)
        b->fds[i] = -1;
    ostler_balance_free(b);
}

int ostler_balance_open(struct ostler_balance **out, struct ostler_reactor *reactor, const int *fds, size_t count,
                        int number)
{
    struct ostler_balance *b;
    long stride;
    int error;

    if (!out || !reactor || !fds || count < 2 || count > 1 + MAX_WORKERS || number < 0 || number >= (int)count - 1)
        return -EINVAL;
    stride = measure(fds[0], (int)count - 1);
    if (stride < 0)
        return -EINVAL;
    error = ost_reactor_follow(reactor);
    if (error < 0)
        return error;
    b = allocate(reactor, (int)count - 1, (size_t)stride);
    if (!b)
        return -ENOMEM;
    error = adopt(b, fds);
    if (error == 0)
        error = map(b);
    if (error == 0)
        error = take_seat(b, number);
    if (error < 0)
        abandon(b);
    else
        *out = b;
    return error;
}

int ostler_balance_add(struct ostler_balance *b, struct ostler_server *s)
{
    int error;

    if (!b || !s || s->seat.balance || s->owner.reactor != b->reactor || s->state != OST_SERVER_NEW)
        return -EINVAL;
    if (b->added == b->servers)
        return -ENOSPC;
    error = ost_reactor_follow(b->reactor);
    if (error < 0)
        return error;
    s->seat = (struct ost_seat){ .balance = b, .number = b->added++ };
    return b->number == PARENT ? ost_guard_start(s) : 0;
}

int ost_balance_workers(const struct ostler_server *s)
{
    return s->seat.balance ? s->seat.balance->workers : 1;
}

void ostler_balance_free(struct ostler_balance *b)
{
    if (!b)
        return;
    ost_reactor_follow(b->reactor);
    if (b->wake.ready)
        ost_watch_fini(&b->wake);
    if (b->page)
        munmap(b->page, (size_t)b->workers * b->stride);
    for (int i = 0; i <= b->workers; i++)
        if (b->fds[i] >= 0)
            close(b->fds[i]);
    free(b->fds);
    free(b);
}
