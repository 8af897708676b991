/* ForkingMixIn: a child a request. This is the parent's side; child.c is the other.
 *
 *   process ─> fork(3) ─> pidfd watched ─> it can be read ─> waitid(2) ─> what the relay
 *   says goes into the stream ─> ost_request_report()
 *
 * A request's place is taken until its child has been waited for, so there are never more
 * children than places, zombies included. Waiting is by pidfd: children that the program
 * has itself are none of our business, nor is what it does with SIGCHLD. If that is
 * ignored, or the program waits for whatever child comes, ours is gone when we ask; what
 * it did is known from the relay.
 *
 * Where there is no pidfd_open(2), which old seccomp filters forbid and valgrind may not know,
 * the parent reads from a pipe that only the child holds instead, and waits for its number.
 *
 * What can fail comes before fork(3), since a child that there is may have answered already: memory, and the relay.
 * Who gets no child then has not begun, and goes back to the server, which lets it wait. One whose pidfd cannot be
 * had or watched, for want of descriptors, runs like any other: a timer looks after it, and it is waited for by its
 * number.
 *
 * Where the time goes. A connection that is accepted, echoed and closed costs a third to a half more CPU here
 * than in the C peer of the benchmark, nearly all of it in the kernel, and most for
 * what fork(2) copies, what is written to afterwards, and what exit(2) takes down. So:
 *
 *   - All that a callback of the loop has accepted is forked in a row (bear()). After a fork each
 *     page that the parent writes to is a fault, and a copy while the child lives: 17 a connection
 *     when each was accepted, forked and watched in turn, 2 now, of the stack.
 *   - Then the children run first, while what was made for them is in the cache: a tenth less.
 *   - What a child must take back is known before the row (child.h): which signals are caught, 62
 *     calls, and which descriptors are to be closed, by runs. Nothing is blocked if nothing is caught.
 *   - Relays are made once and shown to their child (relay.c).
 *   - The worker of a daemon has one thread (stopper.c).
 *   - What each child runs stands together in memory (hot.h), and of what is the process's one page is written to.
 *
 * That leaves 20 calls, and those 62 for each row, and 20 faults, where the peer has 13 and 12. What is more: showing
 * and hiding a relay, a pidfd that is made, watched, waited for and closed, 130 descriptors of
 * 64 connections that are inherited and closed, as the reactor owns connections; and faults
 * of a child: relay, stream and kinds are written to, and the clock is read. And the
 * daemon's worker has 37 mappings, and those of its relays, where the peer has 24: each costs 0.9 µs to copy and to
 * take down, 1.7 if it was written to. Linked with archives of libevent and libconfig instead of the shared libraries
 * the worker was faster by a tenth, and by a quarter if the C library was one, too: that stays the choice of who
 * builds a program, as such a one gets no security updates of libraries. Smaller rows, no table of procedure
 * linkage, and code and constants in one segment made less difference than the machine's noise. */
#include <ostler/sys/mixin.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/closing.h"
#include "base/hot.h"
#include "base/kinds.h"
#include "mixin/child.h"
#include "reactor/timer.h"
#include "request/relay.h"
#include "request/run.h"
#include "request/stall.h"

enum { DEFAULT_CHILDREN = 40, GRACE_MS = 250, LOOK_MS = 10, IN_A_ROW = 16 };

/* The mix-in's state. */
struct forking {
    struct ostler_reactor *reactor;
    struct ost_holder holder;
    struct ost_list children;
    struct ost_list unborn; /* those of them that are still to be forked, by their turn */
    struct ost_job birth;
    struct ost_relays relays;
    struct ost_legacy legacy;
    bool by_pipe; /* there are no pidfds */
    int alone;    /* so many are forked one by one: one could not be made lately */
};

/* A child that is alive, or has not been waited for; the stream's host points to it. */
struct child {
    struct ost_list node;
    struct ost_list turn; /* in unborn */
    struct ost_stream *stream;
    struct ost_relay *relay;
    struct ost_watch watch; /* of its pidfd, or the pipe, or of -1 */
    bool killed;            /* by us */
    bool by_number;         /* there is no pidfd */
    pid_t pid; /* 0: it is not born */
    struct ost_timer look; /* nothing tells of its end; or the pipe's other end is closed, and it is still there */
};

/* While it is forked, and its siblings are. */
struct birth {
    struct child *child;
    pid_t pid;   /* or -errno */
    int ends[2]; /* of the pipe */
};

static const struct ost_owner *owner_of(const struct child *c)
{
    return c->stream->request.owner;
}

/* A child must not keep its siblings' pidfds. */
static void name_descriptors(struct ost_holder *holder, struct ost_closing *closing)
{
    struct forking *f = OST_CONTAINER(holder, struct forking, holder);
    struct ost_list *node, *next;

    OST_LIST_EACH(node, next, &f->children)
        ost_closing_add(closing, OST_CONTAINER(node, struct child, node)->watch.fd);
}

static void bear(struct ost_job *job);

static bool has_pidfds(void)
{
    int fd = pidfd_open(getpid(), 0);

    if (fd < 0)
        return errno != ENOSYS && errno != EPERM;
    close(fd);
    return true;
}

static int open_forking(void *state, const struct ostler_server_options *options, struct ostler_reactor *reactor)
{
    struct forking *f = state;
    int error = ost_kinds_enter(OST_CHILDREN);

    if (error < 0) {
        ostler_log_write(reactor->log, OSTLER_LOG_ERROR,
                         "%s: a forking server does not open while a threading one is open in the process, or a "
                         "name is being resolved: the threads' locks would be copied into its children",
                         options->name);
        return error;
    }
    f->by_pipe = !has_pidfds();
    f->reactor = reactor;
    f->birth.run = bear;
    ost_list_init(&f->birth.node);
    ost_list_init(&f->unborn);
    ost_relays_init(&f->relays, options->stream);
    f->holder.name = name_descriptors;
    ost_list_append(&reactor->holders, &f->holder.node);
    ost_list_init(&f->children);
    return options->max_requests ? options->max_requests : DEFAULT_CHILDREN;
}

static void free_child(struct child *c)
{
    ost_list_remove(&c->node);
    ost_list_remove(&c->turn);
    c->stream->host = NULL;
    c->stream->child = 0;
    c->stream->relay = NULL;
    c->stream->request.in_child = false;
    ost_watch_fini(&c->watch);
    if (c->watch.fd >= 0)
        close(c->watch.fd);
    ost_timer_fini(&c->look, owner_of(c)->reactor);
    ost_relay_close(c->relay);
    free(c);
}

/* Wait for it, with options for waitid(2): whether it has ended, and how; si_pid 0: nobody
 * knows. */
static bool has_ended(const struct child *c, int options, siginfo_t *how)
{
    int error;

    do {
        *how = (siginfo_t){ 0 };
        error = waitid(c->by_number ? P_PID : P_PIDFD, (id_t)(c->by_number ? c->pid : c->watch.fd), how,
                       WEXITED | options);
    } while (error < 0 && errno == EINTR);
    return error < 0 || how->si_pid != 0;
}

/* The handler, or a program that it became (execve(2)), has ended by itself, and well. */
static bool has_exited_well(const siginfo_t *how)
{
    return how->si_pid != 0 && how->si_code == CLD_EXITED && how->si_status == 0;
}

/* It has exited by itself, and meant it: that is noted, but no failure to be handled. */
static int exited(struct child *c, int status)
{
    struct ostler_request *r = &c->stream->request;
    char peer[OSTLER_ADDRESS_TEXT] = "?";

    ostler_address_text(ost_request_peer(r), peer, sizeof(peer));
    ostler_log_write(ostler_server_log(owner_of(c)->server), OSTLER_LOG_WARNING,
                     "%s: %s: its child exited with status %d before the handler had returned",
                     owner_of(c)->options.name, peer, status);
    ost_request_blame(r, OSTLER_CLOSE_ERROR, -EOWNERDEAD);
    return 0;
}

/* It ended before it could report. */
static int died(struct child *c, const siginfo_t *how)
{
    struct ostler_request *r = &c->stream->request;
    int error = c->killed ? -ECANCELED : -EOWNERDEAD;

    if (how->si_pid != 0 && how->si_code == CLD_EXITED && !c->killed)
        return exited(c, how->si_status);
    c->stream->death = how->si_pid == 0 ? OST_LOST : OST_KILLED;
    c->stream->death_status = (unsigned char)how->si_status; /* the signal */
    if (c->killed)
        r->io_error = ost_error16(error);
    ost_request_fail(c->stream, error);
    return error;
}

/* It has ended, and how says how: its request goes on. */
static void bury(struct child *c, const siginfo_t *how)
{
    struct ost_stream *s = c->stream;
    int result, error = ost_relay_take(c->relay, s, &result);

    if (error == -ENOMEM)
        ost_request_fail(s, result = error);
    else if (error < 0 && has_exited_well(how))
        result = 0;
    else if (error < 0)
        result = died(c, how);
    free_child(c);
    ost_reactor_descriptor_freed(s->request.owner->reactor);
    ost_request_report(s, result);
}

/* A pipe's end comes somewhat before the child's; and its handler may have closed it. */
static void look_later(struct child *c)
{
    struct ostler_reactor *reactor = owner_of(c)->reactor;

    ost_watch_set(&c->watch, 0);
    ost_timer_set(&c->look, reactor, ost_reactor_refresh(reactor) + LOOK_MS);
}

static void on_look(struct ost_timer *timer)
{
    struct child *c = OST_CONTAINER(timer, struct child, look);
    siginfo_t how;

    if (has_ended(c, WNOHANG, &how))
        bury(c, &how);
    else
        look_later(c);
}

static void on_ended(struct ost_watch *watch, unsigned what)
{
    struct child *c = OST_CONTAINER(watch, struct child, watch);
    struct ostler_reactor *reactor = owner_of(c)->reactor;
    siginfo_t how;

    (void)what;
    if (has_ended(c, WNOHANG, &how))
        bury(c, &how);
    else if (c->by_number)
        look_later(c);
    ost_reactor_settle(reactor);
}

/* See to it that the child's end is seen. ESRCH: it has ended, and SIGCHLD is ignored (EINVAL, of some kernels, if
 * it ends just then). */
static void attend(struct forking *f, const struct birth *b)
{
    struct child *c = b->child;
    int fd = f->by_pipe ? b->ends[0] : pidfd_open(b->pid, 0);

    c->pid = c->stream->child = b->pid;
    c->by_number = f->by_pipe || fd < 0;
    if (fd < 0 && (errno == ESRCH || errno == EINVAL)) {
        bury(c, &(siginfo_t){ 0 });
        return;
    }
    ost_watch_init(&c->watch, f->reactor, fd, on_ended);
    if (fd < 0 || ost_watch_set(&c->watch, OST_READ) < 0)
        look_later(c);
}

/* What can fail before there is a child. */
static int prepare(const struct forking *f, struct birth *b)
{
    int error = ost_relay_show(b->child->relay);

    if (error == 0 && f->by_pipe && pipe2(b->ends, O_CLOEXEC) < 0)
        error = -errno;
    return error;
}

/* The child keeps its own end of its pipe until it ends, and none of those before it in the row. */
static noreturn void run_child(const struct forking *f, const struct birth *births, size_t n, const sigset_t *mask)
{
    for (size_t i = 0; f->by_pipe && i <= n; i++)
        if (births[i].pid >= 0)
            close(births[i].ends[0]);
    ost_child_run(births[n].child->stream, &f->legacy, mask);
}

/* fork(3) the n-th, with nothing caught in the child before it has come to run_child(). */
static pid_t fork_unseen(const struct forking *f, const struct birth *births, size_t n)
{
    sigset_t all, before;
    pid_t pid;

    if (f->legacy.catches) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
    }
    pid = fork();
    pid = pid < 0 ? -errno : pid;
    if (pid == 0)
        run_child(f, births, n, &before);
    if (f->legacy.catches)
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid;
}

/* The process, or -errno. Nothing is written to here but the stack: see above. */
static pid_t fork_child(const struct forking *f, struct birth *births, size_t n)
{
    struct birth *b = &births[n];
    int error = prepare(f, b);
    pid_t pid;

    pid = error < 0 ? error : fork_unseen(f, births, n);
    ost_relay_hide(b->child->relay);
    if (f->by_pipe && error == 0)
        close(b->ends[1]);
    if (f->by_pipe && error == 0 && pid < 0)
        close(b->ends[0]);
    return pid;
}

/* Fork a child for each of *n births, or for as many as there can be: *n. 0, or -errno: why there are no more. */
OST_HOT static int fork_all(struct forking *f, struct birth *births, size_t *n)
{
    struct ost_owner *owner = births[0].child->stream->request.owner;
    struct ost_hold hold;
    size_t born = 0;
    int error;

    ost_stall_begin(&hold, owner, NULL);
    error = ost_legacy_take_stock(&f->legacy, f->reactor);
    while (born < *n && error == 0) {
        births[born].pid = fork_child(f, births, born);
        if (births[born].pid < 0)
            error = births[born].pid;
        else
            born++;
    }
    sched_yield(); /* to the children: see above */
    ost_stall_end(owner, NULL, "forking");
    *n = born;
    if (error < 0)
        f->alone = IN_A_ROW;
    return error;
}

static size_t take_unborn(struct forking *f, struct birth *births)
{
    struct ost_list *node;
    size_t n = 0;

    while (n < IN_A_ROW && (node = ost_list_take(&f->unborn)))
        births[n++] = (struct birth){ .child = OST_CONTAINER(node, struct child, turn) };
    return n;
}

/* There is no child for it. */
static void give_back(struct child *c, int error)
{
    struct ostler_request *r = &c->stream->request;

    c->stream->death = OST_UNBORN;
    free_child(c);
    r->owner->unborn(r->owner, r, error);
}

/* Those n, and whose turn would be after them. The youngest come first, as the server puts each before the others
 * that wait. */
static void give_back_all(struct forking *f, const struct birth *births, size_t n, int error)
{
    struct ost_list youngest_first, *node;

    while (n-- > 0)
        ost_list_append(f->unborn.next, &births[n].child->turn); /* before the first */
    ost_list_init(&youngest_first);
    while ((node = ost_list_take(&f->unborn)))
        ost_list_append(youngest_first.next, node);
    while ((node = ost_list_take(&youngest_first)))
        give_back(OST_CONTAINER(node, struct child, turn), error);
}

/* All whose turn it is. */
static void bear(struct ost_job *job)
{
    struct forking *f = OST_CONTAINER(job, struct forking, birth);
    struct birth births[IN_A_ROW];
    size_t n, born;

    while ((n = born = take_unborn(f, births)) > 0) {
        int error = fork_all(f, births, &born);

        for (size_t i = 0; i < born; i++)
            attend(f, &births[i]);
        if (error < 0)
            give_back_all(f, births + born, n - born, error);
    }
}

/* What can fail. */
static int open_child(struct child *c, struct forking *f)
{
    int error = ost_timer_init(&c->look, f->reactor, on_look);

    if (error < 0)
        return error;
    error = ost_relay_open(&c->relay, &f->relays);
    if (error < 0)
        ost_timer_fini(&c->look, f->reactor);
    return error;
}

static int new_child(struct child **out, struct forking *f, struct ost_stream *s)
{
    struct child *c = calloc(1, sizeof(*c));
    int error = c ? open_child(c, f) : -ENOMEM;

    if (error < 0) {
        free(c);
        return error;
    }
    c->stream = s;
    s->host = c;
    s->relay = c->relay;
    s->death = OST_REPORTED; /* it may have been tried before */
    s->request.in_child = true;
    ost_watch_init(&c->watch, f->reactor, -1, NULL);
    ost_list_append(&f->children, &c->node);
    ost_list_init(&c->turn);
    if (s->shut_read) /* stopped while it waited for its place: the FIN is the parent's, see close.c */
        ost_relay_stop(c->relay, s->request.input_left);
    *out = c;
    return 0;
}

/* Where one could not be made, the next ones are tried alone: none of the others is taken in for nothing. Not only
 * the next: at a limit it succeeds whenever a child has ended. */
static int bear_now(struct forking *f, struct child *c)
{
    struct birth b = { .child = c };
    size_t n = 1;
    int error = fork_all(f, &b, &n);

    if (error < 0) {
        c->stream->death = OST_UNBORN;
        free_child(c);
        return error;
    }
    f->alone--;
    attend(f, &b);
    return 0;
}

static int process(void *state, struct ostler_request *request)
{
    struct forking *f = state;
    struct child *c;
    int error = new_child(&c, f, OST_CONTAINER(request, struct ost_stream, request));

    if (error < 0)
        return error;
    if (f->alone > 0)
        return bear_now(f, c);
    ost_list_append(&f->unborn, &c->turn);
    ost_reactor_soon(f->reactor, &f->birth);
    return 0;
}

static int send_kill(const struct child *c)
{
    return c->by_number ? kill(c->pid, SIGKILL) : pidfd_send_signal(c->watch.fd, SIGKILL, NULL, 0);
}

static int kill_child(void *state, struct ostler_request *request)
{
    struct child *c = OST_CONTAINER(request, struct ost_stream, request)->host;

    (void)state;
    if (!c || !c->pid || c->killed)
        return c && c->killed ? -EALREADY : -ESRCH;
    if (send_kill(c) < 0 && errno != ESRCH)
        return -errno;
    c->killed = true;
    return 0;
}

/* Wait for its end; if it has not come until then, bring it about. */
static void await(struct child *c, uint64_t until)
{
    struct pollfd pfd = { .fd = c->watch.fd, .events = POLLIN };
    siginfo_t how;
    int n;

    do
        n = poll(&pfd, 1, ost_clock_until(ost_clock_ms(), until));
    while (n < 0 && errno == EINTR);
    if (n < 1 || !has_ended(c, WNOHANG, &how)) {
        kill_child(NULL, &c->stream->request);
        has_ended(c, 0, &how);
    }
    bury(c, &how);
}

/* Those that the server has cut off have a moment to see it. */
static void close_forking(void *state)
{
    struct forking *f = state;
    uint64_t until = ost_clock_ms() + GRACE_MS;
    struct ost_list *node;

    bear(&f->birth);
    while ((node = ost_list_take(&f->children)))
        await(OST_CONTAINER(node, struct child, node), until);
    ost_list_remove(&f->birth.node);
    ost_relays_fini(&f->relays);
    ost_closing_free(&f->legacy.closing);
    ost_list_remove(&f->holder.node);
    ost_kinds_leave(OST_CHILDREN);
}

const struct ostler_mixin ostler_forking = {
    .name = "forking",
    .size = sizeof(struct forking),
    .open = open_forking,
    .process = process,
    .close = close_forking,
    .kill = kill_child,
};
