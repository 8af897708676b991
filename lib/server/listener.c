/* Accepting. A bounded number of connections a wake-up, so that those that are open
 * are served in between. Out of descriptors or memory: the listener pauses (a level-
 * triggered one would spin), and tries again after 10 ms, doubling to 1 s; or, if it is
 * descriptors, when one of ours is closed. The kernel's queue holds the clients meanwhile. */
#include "server/listener.h"

#include <errno.h>
#include <unistd.h>

#include <ostler/error.h>

#include "net/socket.h"
#include "request/stall.h"
#include "server/receiver.h"
#include "server/server.h"

enum { ACCEPT_BATCH = 16 };

static struct ostler_reactor *reactor_of(const struct ost_listener *l)
{
    return l->server->owner.reactor;
}

static void log_lack(struct ost_listener *l, int error)
{
    if (ost_lack_is_news(&l->lack, ost_reactor_refresh(reactor_of(l))))
        ostler_log_write(ostler_server_log(l->server), OSTLER_LOG_WARNING,
                         "%s: cannot %s: %s; clients wait%s", l->server->name, l->receiver ? "receive" : "accept",
                         ostler_strerror(error), error == -EPERM ? "" : " until a connection closes");
}

static bool lacks_descriptors(int error)
{
    return error == -EMFILE || error == -ENFILE;
}

void ost_listener_pause(struct ost_listener *l, int error)
{
    struct ostler_reactor *r = reactor_of(l);

    if (l->fd < 0)
        return; /* a slot of the server has stopped it */
    log_lack(l, error);
    l->paused = true;
    ost_timer_set(&l->retry, r, ost_reactor_refresh(r) + (uint64_t)ost_lack_pause(&l->lack));
    if (lacks_descriptors(error) && ost_list_is_empty(&l->starved.node))
        ost_list_append(&r->starved, &l->starved.node);
    ost_request_spare_descriptor(r);
    ost_watch_set(&l->watch, 0);
    ost_balance_tell(l->server);
}

static unsigned wants(const struct ost_listener *l)
{
    return ost_server_has_room(l->server) && !l->passing ? OST_READ : 0;
}

void ost_listener_watch(struct ost_listener *l)
{
    int error;

    if (l->fd < 0 || l->paused)
        return;
    error = l->receiver ? ost_receiver_watch(l) : ost_watch_set(&l->watch, wants(l));
    if (error < 0)
        ost_listener_pause(l, error);
}

static void end_pause(struct ost_listener *l)
{
    ost_list_remove(&l->starved.node);
    ost_timer_set(&l->retry, reactor_of(l), OST_NEVER);
    l->paused = false;
}

/* The server's other listeners may have been waiting for their turn (balance.c) before it paused. */
static void try_again(struct ost_listener *l)
{
    end_pause(l);
    ost_server_watch_listeners(l->server);
}

static void on_retry(struct ost_timer *timer)
{
    struct ost_listener *l = OST_CONTAINER(timer, struct ost_listener, retry);

    if (l->paused)
        try_again(l);
    else if (l->receiver && l->fd >= 0)
        ost_receiver_on_retry(l);
}

static void on_descriptor_freed(struct ost_job *job)
{
    try_again(OST_CONTAINER(job, struct ost_listener, starved));
}

/* Does it lack what the next accept would lack, too? */
static bool is_lack(int error)
{
    return lacks_descriptors(error) || error == -ENOBUFS || error == -ENOMEM;
}

/* The connection is gone, or its network is: on to the next (accept(2)). Not so EPERM, with which a security
 * module or a filter of system calls leaves the connection where it is. */
static bool is_passing(int error)
{
    switch (-error) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETDOWN:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

int ost_listener_get_request(struct ost_listener *l, struct ostler_address *peer)
{
    struct ostler_server *s = l->server;
    struct ost_hold hold;
    int fd;

    ost_stall_begin(&hold, &s->owner, NULL);
    fd = s->owner.classes[l->address.kind].get_request(s, l->fd, peer);
    ost_stall_end(&s->owner, NULL, "get_request");
    return fd;
}

/* Accept one. Return whether to go on. */
static bool accept_one(struct ost_listener *l)
{
    struct ostler_server *s = l->server;
    struct ostler_address peer = { .kind = l->address.kind };
    int fd, error;

    s->accepting = true;
    s->got_one = false;
    fd = ost_listener_get_request(l, &peer);
    if (fd >= 0 && l->early > 0) {
        l->early--;
        ost_socket_set_nodelay(fd);
    }
    error = fd < 0 ? fd : ost_server_admit(s, fd, &peer);
    s->accepting = false;
    ost_server_check_running(s);
    ost_server_check_stopped(s);
    if (fd < 0 && s->got_one && !is_lack(fd)) {
        ost_lack_is_over(&l->lack);
        return true;
    }
    if (is_passing(fd))
        return true;
    if (fd == -EAGAIN)
        return false;
    if (fd >= 0)
        ost_balance_note_accept(s);
    if (error < 0) {
        ost_listener_pause(l, error);
        return false;
    }
    ost_lack_is_over(&l->lack);
    return true;
}

/* May another connection be accepted, here and now? */
static bool may_accept(const struct ost_listener *l)
{
    return l->fd >= 0 && ost_server_has_room(l->server) && ost_balance_has_turn(l->server);
}

static void on_ready(struct ost_watch *watch, unsigned what)
{
    struct ost_listener *l = OST_CONTAINER(watch, struct ost_listener, watch);
    struct ostler_reactor *r = reactor_of(l);

    (void)what;
    ost_balance_look(l);
    for (int i = 0; i < ACCEPT_BATCH && may_accept(l) && accept_one(l); i++)
        continue;
    ost_balance_tell(l->server);
    ost_listener_watch(l);
    ost_reactor_settle(r);
}

void ost_listener_accept_one(struct ost_listener *l)
{
    if (l->fd >= 0 && !l->receiver && !l->paused)
        accept_one(l);
}

int ost_listener_init(struct ost_listener *l, struct ostler_server *server)
{
    l->server = server;
    l->fd = -1;
    l->starved.run = on_descriptor_freed;
    ost_list_init(&l->starved.node);
    return ost_timer_init(&l->retry, server->owner.reactor, on_retry);
}

void ost_listener_fini(struct ost_listener *l)
{
    ost_listener_close(l);
    ost_receiver_free(l->receiver);
    ost_list_remove(&l->starved.node);
    ost_timer_fini(&l->retry, reactor_of(l));
}

int ost_listener_open(struct ost_listener *l, int fd)
{
    bool datagrams = ost_kind_is_datagram(l->address.kind);
    int error = datagrams ? ost_receiver_open(l, fd) : 0;

    if (error < 0)
        return error;
    l->fd = fd;
    l->bound = true;
    ost_watch_init(&l->watch, reactor_of(l), fd, datagrams ? ost_receiver_ready : on_ready);
    return 0;
}

int ost_listener_activate(struct ost_listener *l)
{
    const struct ostler_server_options *options = &l->server->owner.options;

    if (options->disable_nagle && l->address.kind == OST_TCP) {
        ost_socket_set_nodelay(l->fd); /* one that was inherited may be SCTP, which knows no such option */
        l->early = ost_socket_waiting(l->fd);
    }
    return l->receiver ? 0 : ost_socket_listen(l->fd, options->backlog);
}

void ost_listener_close(struct ost_listener *l)
{
    if (l->fd < 0)
        return;
    end_pause(l);
    ost_unix_remove(&l->file, &l->address);
    if (l->receiver && l->server->accepted > 0) /* who takes nothing loses nothing */
        ost_receiver_report(l);
    if (l->receiver && !ost_receiver_close(l))
        return;
    ost_watch_fini(&l->watch);
    if (!l->borrowed)
        close(l->fd);
    l->fd = -1;
}
