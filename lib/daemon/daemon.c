/* One reactor, a server for each service of the file, and the stopper. All services
 * are bound before the first one accepts, so that a daemon that cannot have all its
 * addresses never answers on some. Everything runs on the main thread, but for the
 * stopper and what mix-ins start.
 *
 * The log is static: a thread that outlives its server, and is given up on, may still
 * write to it while the process ends. */
#include "daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <ostler/error.h>
#include <ostler/log.h>
#include <ostler/reactor.h>
#include <ostler/server.h>

#include "daemon/ready.h"
#include "daemon/stopper.h"

static struct ostler_log daemon_log;

struct daemon {
    struct ostler_reactor *reactor;
    struct ostler_server **servers;
    size_t count; /* of those that are there */
    struct ost_stopper stopper;
};

/* As many connections as the system lets us have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        ostler_log_write(&daemon_log, OSTLER_LOG_WARNING, "cannot raise the limit of open descriptors: %s",
                   ostler_strerror(errno));
}

/* What belongs to the whole process; before the first thread. */
static void prepare_process(const struct ost_conf *conf)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    daemon_log.level = conf->log_level;
    sigaction(SIGPIPE, &ignore, NULL);
    ost_stopper_block_signals();
    raise_descriptor_limit();
}

static int bind_all(struct daemon *d, const struct ost_conf *conf)
{
    int error = 0;

    d->servers = calloc(conf->count, sizeof(*d->servers));
    if (!d->servers)
        return -ENOMEM;
    for (size_t i = 0; i < conf->count && error == 0; i++) {
        error = ostler_server_new(&d->servers[i], &conf->services[i].options, d->reactor);
        d->count += error == 0;
    }
    return error;
}

static int start_all(const struct daemon *d)
{
    int error = 0;

    for (size_t i = 0; i < d->count && error == 0; i++)
        error = ostler_server_start(d->servers[i]);
    return error;
}

/* Nobody listening is no reason not to serve. */
static void announce(const struct daemon *d, int ready_fd)
{
    int error = ost_ready_announce(ready_fd, d->servers, d->count);

    if (error < 0)
        ostler_log_write(&daemon_log, OSTLER_LOG_WARNING, "cannot write to the descriptor of --ready-fd: %s",
                   ostler_strerror(error));
}

static void free_all(struct daemon *d)
{
    while (d->count > 0)
        ostler_server_free(d->servers[--d->count]);
    free(d->servers);
}

/* With the stopper at work: start, and run until it stops us. */
static int serve(struct daemon *d, int ready_fd)
{
    int error = start_all(d);

    if (error < 0)
        return error;
    announce(d, ready_fd);
    error = ostler_reactor_run(d->reactor);
    if (error == -ETIMEDOUT) { /* threads still use what we would free; the log has their names */
        ostler_log_write(&daemon_log, OSTLER_LOG_ERROR, "handlers do not end: ending the process");
        _exit(1);
    }
    return error;
}

static int serve_with_stopper(struct daemon *d, const struct ost_conf *conf, int ready_fd)
{
    int error;

    d->stopper.reactor = d->reactor;
    d->stopper.log = &daemon_log;
    d->stopper.stop_timeout_ms = conf->stop_timeout_ms;
    error = ost_stopper_start(&d->stopper);
    if (error < 0)
        return error;
    error = serve(d, ready_fd);
    ost_stopper_stop(&d->stopper);
    return error;
}

int ost_daemon_run(const struct ost_conf *conf, const struct ost_flags *flags)
{
    struct daemon d = { 0 };
    int error;

    prepare_process(conf);
    error = ostler_reactor_new(&d.reactor, &daemon_log);
    if (error == 0)
        error = bind_all(&d, conf);
    if (error == 0)
        error = serve_with_stopper(&d, conf, flags->ready_fd);
    if (error < 0)
        ostler_log_write(&daemon_log, OSTLER_LOG_ERROR, "%s ends: %s", flags->program, ostler_strerror(error));
    free_all(&d);
    ostler_reactor_free(d.reactor);
    return error;
}
