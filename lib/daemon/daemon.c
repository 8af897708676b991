/* One reactor, a server for each service of the file, and the stopper. All services
 * are bound before the first one accepts, so that a daemon that cannot have all its
 * addresses never answers on some. Everything runs on the main thread, but for the
 * stopper, the minder, and what mix-ins start.
 *
 *    the daemon     main thread: the reactor, all services but forking ones
 *                   stopper: SIGTERM, SIGINT and SIGUSR1;  minder: the worker
 *      the worker   main thread: the reactor, the forking services, the signals
 *        a child    one request
 *
 * Of forking services the daemon's process has the sockets, bound and never served: its
 * threads would make forks in it unsafe. The worker, which is this code in a process of
 * its own, serves them; when it dies, nothing of theirs is closed.
 *
 * The log is static: a thread that outlives its server, and is given up on, may still
 * write to it while the process ends. */
#include "daemon/daemon.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <ostler/error.h>
#include <ostler/log.h>
#include <ostler/mixin.h>
#include <ostler/reactor.h>
#include <ostler/server.h>

#include "daemon/minder.h"
#include "daemon/ports.h"
#include "daemon/process.h"
#include "daemon/ready.h"
#include "daemon/stopper.h"
#include "daemon/worker.h"

static struct ostler_log daemon_log;

struct daemon {
    const struct ost_conf *conf;
    const struct ost_flags *flags;
    struct ostler_reactor *reactor;
    struct ostler_server **servers; /* one a service, in the file's order */
    size_t count;                   /* of those that are there */
    struct ost_worker worker;
    struct ost_minder minder;
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
        if (error == 0) {
            ost_ports_add_server(d->servers[i]);
            d->count++;
        }
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

/* Clients of held services are refused, as soon as the worker has closed its sockets too. */
static void release_held(void *arg)
{
    struct daemon *d = arg;

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

/* Nobody listening is no reason not to serve. A worker's addresses are its daemon's to tell. */
static void announce(const struct daemon *d)
{
    int error = ost_ready_announce(d->flags->ready_fd, d->servers, d->conf->parent ? 0 : d->count);

    if (error < 0)
        ostler_log_write(&daemon_log, OSTLER_LOG_WARNING, "cannot write to the descriptor of --ready-fd: %s",
                         ostler_strerror(error));
}

/* ---- What the stopper does, on its thread ---- */

/* Without memory to post it, the sockets are released when the loop has left. */
static void on_stop(void *user)
{
    struct daemon *d = user;

    ost_minder_stop(&d->minder);
    ostler_reactor_post(d->reactor, release_held, d);
    ostler_reactor_stop(d->reactor);
}

static void on_abort(void *user)
{
    struct daemon *d = user;

    ost_minder_abort(&d->minder);
    ostler_reactor_abort(d->reactor);
}

static void on_list(void *user)
{
    struct daemon *d = user;

    ost_minder_list(&d->minder);
    if (ostler_reactor_log_requests(d->reactor) < 0)
        ostler_log_write(&daemon_log, OSTLER_LOG_WARNING, "there is no memory to list the requests");
}

static void on_give_up(void *user)
{
    struct daemon *d = user;

    ost_minder_kill(&d->minder);
    if (atomic_load(&d->loop_left))
        return; /* it was the worker alone, and the main thread sees that it is gone */
    ostler_log_write(&daemon_log, OSTLER_LOG_ERROR, "a handler holds the loop: ending the process");
    _exit(1);
}

/* ---- Running ---- */

static int serve(struct daemon *d)
{
    int error = ost_minder_start(&d->minder);

    if (error == 0)
        error = start_all(d);
    if (error < 0)
        return error;
    announce(d);
    return ostler_reactor_run(d->reactor);
}

/* The loop has left, or was never entered: now the worker. -ECHILD when it failed. */
static int end_worker(struct daemon *d)
{
    atomic_store(&d->loop_left, true);
    ost_minder_stop(&d->minder);
    release_held(d);
    return ost_minder_join(&d->minder);
}

static int serve_with_worker(struct daemon *d)
{
    int error = serve(d), ended = end_worker(d);

    if (error == -ETIMEDOUT) { /* threads still use what we would free; the log has their names */
        ostler_log_write(&daemon_log, OSTLER_LOG_ERROR, "handlers do not end: ending the process");
        _exit(1);
    }
    return error < 0 ? error : ended;
}

/* A worker whose handlers all run in children. */
static bool only_forks(const struct daemon *d)
{
    for (size_t i = 0; i < d->conf->count; i++)
        if (d->conf->services[i].options.mixin != &ostler_forking)
            return false;
    return d->conf->parent != 0;
}

static int serve_with_stopper(struct daemon *d)
{
    int error;

    d->stopper = (struct ost_stopper){
        .who = d->conf->parent ? "worker: " : "",
        .log = &daemon_log,
        .stop_timeout_ms = d->conf->stop_timeout_ms,
        .hurry = d->conf->parent ? OST_WORKER_HURRY : 0,
        .stop = on_stop,
        .abort = on_abort,
        .give_up = on_give_up,
        .list = on_list,
        .user = d,
        .reactor = only_forks(d) ? d->reactor : NULL,
    };
    error = ost_stopper_start(&d->stopper);
    if (error < 0)
        return error;
    error = serve_with_worker(d);
    ost_stopper_stop(&d->stopper);
    return error;
}

static int serve_bound(struct daemon *d)
{
    bool worker = ost_conf_has_held(d->conf);
    int error = worker ? ost_worker_init(&d->worker, d->flags->program, d->conf, d->servers) : 0;

    if (error < 0)
        return error;
    ost_minder_init(&d->minder, worker ? &d->worker : NULL, &daemon_log);
    error = serve_with_stopper(d);
    ost_minder_fini(&d->minder);
    if (worker)
        ost_worker_fini(&d->worker);
    return error;
}

int ost_daemon_run(const struct ost_conf *conf, const struct ost_flags *flags)
{
    struct daemon d = { .conf = conf, .flags = flags };
    int error;

    daemon_log.level = conf->log_level;
    ost_process_prepare(conf, flags->program, &daemon_log);
    error = ostler_reactor_new(&d.reactor, &daemon_log);
    if (error == 0)
        error = ostler_reactor_set_busy_poll(d.reactor, conf->busy_poll_us);
    if (error == 0)
        error = bind_all(&d);
    if (error == 0)
        error = serve_bound(&d);
    if (error < 0)
        ostler_log_write(&daemon_log, OSTLER_LOG_ERROR, "%s ends: %s", flags->program, ostler_strerror(error));
    free_all(&d);
    ostler_reactor_free(d.reactor);
    return error;
}
