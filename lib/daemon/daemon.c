/* One reactor, a server for each service of the file, and the stopper. All services
 * are bound before the first one accepts, so that a daemon that cannot have all its
 * addresses never answers on some. Everything runs on the main thread, which is the
 * only one, but for the minders and what mix-ins start.
 *
 *    the daemon     main thread: the reactor, all services but those that workers run
 *                   a minder for each worker
 *      a worker     main thread: the reactor, its services
 *        a child    one request of a forking service
 *
 * Of services that workers run the daemon's process has the sockets, bound and never served:
 * with workers = N those are all, else the forking ones, since its threads would make
 * forks in it unsafe. A worker, which is this code in a process of
 * its own, serves them; when it dies, nothing of theirs is closed. */
#include "daemon/daemon.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <ostler/error.h>
#include <ostler/log.h>
#include <ostler/reactor.h>
#include <ostler/server.h>
#include <ostler/sys/balance.h>

#include "daemon/crew.h"
#include "daemon/journal.h"
#include "daemon/listen.h"
#include "daemon/ports.h"
#include "daemon/process.h"
#include "daemon/ready.h"
#include "daemon/service.h"
#include "daemon/stopper.h"
#include "daemon/worker.h"

struct daemon {
    const struct ost_conf *conf;
    const struct ost_flags *flags;
    const struct ostler_log *log;
    struct ostler_reactor *reactor;
    struct ostler_server **servers; /* one a service, in the file's order */
    size_t count;                   /* of those that are there */
    struct ost_crew crew;
    struct ostler_balance *balance; /* a worker's with others; NULL: none */
    struct ost_stopper stopper;
    atomic_bool loop_left;
};

static bool is_held(const struct daemon *d, size_t i)
{
    return d->conf->services[i].held;
}

/* The sockets of a held service are those of a server that never starts, and needs no mix-in. */
static int bind_service(struct daemon *d, size_t i)
{
    struct ostler_server_options options = d->conf->services[i].options;

    if (is_held(d, i))
        options.mixin = NULL;
    return ostler_server_new(&d->servers[i], &options, d->reactor);
}

static int bind_all(struct daemon *d)
{
    int error = 0;

    d->servers = calloc(d->conf->count, sizeof(struct ostler_server *));
    if (!d->servers)
        return -ENOMEM;
    for (size_t i = 0; i < d->conf->count && error == 0; i++) {
        error = bind_service(d, i);
        if (error == 0)
            error = ost_ports_add_server(d->servers[d->count++]);
    }
    return error;
}

static int start_all(const struct daemon *d)
{
    int error = 0;

    for (size_t i = 0; i < d->count && error == 0; i++)
        if (!is_held(d, i))
            error = ostler_server_start(d->servers[i]);
    return error;
}

/* Clients of held services are refused, as soon as the workers have closed their sockets too. A worker that is just
 * being started is given the sockets, by their numbers. */
static void release_held(void *user)
{
    struct daemon *d = user;

    ost_crew_await_births(&d->crew);
    for (size_t i = 0; i < d->count; i++)
        if (is_held(d, i))
            ostler_server_stop(d->servers[i]);
}

static void free_all(struct daemon *d)
{
    while (d->count > 0)
        ostler_server_free(d->servers[--d->count]);
    free(d->servers);
}

/* A reader who is gone is no reason not to serve; one who has not read yet is waited for. A worker's addresses are
 * its daemon's to tell; but one that could not say that it is ready would be waited for in vain. */
static int announce(const struct daemon *d)
{
    bool is_worker = d->conf->parent != 0;
    int error = ost_ready_announce(d->flags->ready_fd, d->servers, is_worker ? 0 : d->count);

    if (error < 0)
        ostler_log_write(d->log, OSTLER_LOG_WARNING, "cannot write to the descriptor of --ready-fd: %s",
                         ostler_strerror(error));
    return is_worker ? error : 0;
}

/* ---- What the stopper does, where a signal arrives; and to list, in the loop ---- */

static void on_stop(void *user)
{
    struct daemon *d = user;

    ost_crew_stop(&d->crew);
    ostler_reactor_stop(d->reactor);
}

static void on_abort(void *user)
{
    struct daemon *d = user;

    ost_crew_abort(&d->crew);
    ostler_reactor_abort(d->reactor);
}

static void on_list(void *user)
{
    struct daemon *d = user;

    ost_crew_list(&d->crew);
    if (ostler_reactor_log_requests(d->reactor) < 0)
        ostler_log_write(d->log, OSTLER_LOG_WARNING, "there is no memory to list the requests");
}

/* The daemon's own have ended. */
static void on_list_rest(void *user)
{
    struct daemon *d = user;

    ost_crew_list(&d->crew);
}

static void on_give_up(void *user)
{
    struct daemon *d = user;

    ost_crew_kill(&d->crew);
    if (atomic_load(&d->loop_left))
        return; /* it was a worker alone, and the main thread sees that it is gone */
    ostler_log_write(d->log, OSTLER_LOG_ERROR, "a handler holds the loop: ending the process");
    _exit(1);
}

/* ---- Running ---- */

static int serve(struct daemon *d)
{
    int error = ost_crew_start(&d->crew);

    if (error == 0)
        error = start_all(d);
    if (error == 0)
        error = announce(d);
    return error < 0 ? error : ostler_reactor_run(d->reactor);
}

/* The loop has left, or was never entered: now the workers. -ECHILD when one failed. */
static int end_crew(struct daemon *d)
{
    atomic_store(&d->loop_left, true);
    ost_stopper_note_left(&d->stopper);
    ost_crew_stop(&d->crew);
    release_held(d);
    return ost_crew_join(&d->crew);
}

static int serve_with_crew(struct daemon *d)
{
    int error = serve(d), ended = end_crew(d);

    if (error == -ETIMEDOUT) { /* threads still use what we would free; the log has their names */
        ostler_log_write(d->log, OSTLER_LOG_ERROR, "handlers do not end: ending the process");
        _exit(1);
    }
    return error < 0 ? error : ended;
}

/* A worker whose handlers all run in children. */
static bool only_forks(const struct daemon *d)
{
    for (size_t i = 0; i < d->conf->count; i++)
        if (!ost_service_forks(&d->conf->services[i]))
            return false;
    return d->conf->parent != 0;
}

static int serve_with_stopper(struct daemon *d)
{
    int error;

    d->stopper = (struct ost_stopper){
        .who = d->conf->parent && !d->conf->number ? "worker: " : "",
        .log = d->log,
        .reactor = d->reactor,
        .stop_timeout_ms = d->conf->stop_timeout_ms,
        .told = d->conf->parent != 0,
        .guarded = !only_forks(d),
        .stop = on_stop,
        .abort = on_abort,
        .give_up = on_give_up,
        .list_rest = on_list_rest,
        .release = release_held,
        .list = on_list,
        .user = d,
    };
    error = ost_stopper_start(&d->stopper);
    if (error < 0)
        return error;
    error = serve_with_crew(d);
    ost_stopper_stop(&d->stopper);
    return error;
}

/* A worker's balance with those who serve the same. */
static int join_balance(struct daemon *d)
{
    int error = 0;

    if (d->conf->balance_count > 0)
        error = ostler_balance_open(&d->balance, d->reactor, d->conf->balance, d->conf->balance_count,
                                    d->conf->number - 1);
    for (size_t i = 0; i < d->count && error == 0 && d->balance; i++)
        error = ostler_balance_add(d->balance, d->servers[i]);
    return error;
}

static int serve_bound(struct daemon *d)
{
    int error = join_balance(d);

    if (error == 0)
        error = ost_crew_init(&d->crew, d->conf, d->flags->program, d->servers, d->reactor);
    return error < 0 ? error : serve_with_stopper(d);
}

/* A loop that serves nothing has nothing to hurry for. */
static int make_reactor(struct daemon *d)
{
    int error = ostler_reactor_new(&d->reactor, d->log);

    if (error == 0 && ost_conf_has_own(d->conf))
        error = ostler_reactor_set_busy_poll(d->reactor, d->conf->busy_poll_us);
    return error;
}

int ost_daemon_run(const struct ost_conf *conf, const struct ost_flags *flags)
{
    struct daemon d = { .conf = conf, .flags = flags, .log = ost_journal_open(conf) };
    int error;

    ost_process_prepare(conf, flags->program, d.log);
    error = ost_listen_check_open(conf, d.log); /* later a wrong number may be a descriptor of our own */
    ost_journal_unblock();
    if (error == 0)
        error = make_reactor(&d);
    if (error == 0)
        error = bind_all(&d);
    if (error == 0)
        error = serve_bound(&d);
    if (error < 0 && error != -ECHILD) /* of a worker's end all is said */
        ostler_log_write(d.log, OSTLER_LOG_ERROR, "%s ends: %s", flags->program, ostler_strerror(error));
    free_all(&d);
    ost_crew_fini(&d.crew);
    ostler_balance_free(d.balance);
    ostler_reactor_free(d.reactor);
    return error;
}
