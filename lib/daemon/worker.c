/* A process that has threads must not fork, so forking services get one without; and one process
 * has one reactor, which has one core, so other services may be given to several. Not by a
 * fork of ours, which would be the same mistake, but our program from its beginning. It
 * inherits
 *
 *    the text of the configuration   in a sealed memfd: the file may change meanwhile
 *    the sockets, bound              which stay open here, so that when a worker dies
 *                                    clients wait for the others, or for the next one
 *    its balance with the others     see lib/server/balance.c
 *    its orders                      see orders.c
 *
 * and nothing else: all our descriptors are close-on-exec, but for those that
 * adddup2() names. */
#include "daemon/worker.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <ostler/sys/balance.h>

#include "daemon/stopper.h"

extern char **environ;

enum { ARGUMENT = 40 };

static int keep_orders(struct ost_worker *w)
{
    char *orders;
    int error = ost_orders_compose(&orders, &w->duty);

    if (error < 0)
        return error;
    error = asprintf(&w->orders, "--worker=%s", orders) < 0 ? -ENOMEM : 0;
    free(orders);
    return error;
}

/* Note the descriptors of its duty, in fds unless that is NULL. How many they are. */
static size_t list_descriptors(const struct ost_duty *duty, int *fds)
{
    size_t n = 0;
    int fd;

    if (fds)
        fds[n] = duty->text_fd;
    n++;
    for (size_t i = 0; (fd = ostler_balance_fd(duty->balance, i)) >= 0; i++, n++)
        if (fds)
            fds[n] = fd;
    for (size_t i = 0; i < duty->conf->count; i++)
        for (size_t k = 0; ost_duty_has(duty, i) && (fd = ostler_server_fd(duty->servers[i], k)) >= 0; k++, n++)
            if (fds)
                fds[n] = fd;
    return n;
}

static int keep_descriptors(struct ost_worker *w)
{
    w->fd_count = list_descriptors(&w->duty, NULL);
    w->fds = calloc(w->fd_count, sizeof(*w->fds));
    if (!w->fds)
        return -ENOMEM;
    list_descriptors(&w->duty, w->fds);
    return 0;
}

int ost_worker_init(struct ost_worker *out, const char *program, const struct ost_duty *duty)
{
    struct ost_worker w = { .program = program, .name = "worker", .duty = *duty };
    int error = keep_descriptors(&w);

    if (duty->number > 0)
        snprintf(w.name, sizeof(w.name), "worker %d", duty->number);
    if (error == 0)
        error = keep_orders(&w);
    if (error < 0)
        ost_worker_fini(&w);
    else
        *out = w;
    return error;
}

void ost_worker_fini(struct ost_worker *w)
{
    free(w->orders);
    free(w->fds);
}

void ost_worker_forget(const struct ost_worker *w)
{
    if (w->duty.balance)
        ostler_balance_forget(w->duty.balance, w->duty.number - 1);
}

/* A descriptor duplicated onto itself is no longer close-on-exec. */
static int inherit(posix_spawn_file_actions_t *actions, const struct ost_worker *w, int ready)
{
    int error = posix_spawn_file_actions_adddup2(actions, ready, ready);

    for (size_t i = 0; i < w->fd_count && error == 0; i++)
        error = posix_spawn_file_actions_adddup2(actions, w->fds[i], w->fds[i]);
    return -error;
}

/* The signals that a worker is sent wait until it can take them. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t blocked;
    int error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);

    ost_stopper_list_signals(&blocked);
    if (error == 0)
        error = posix_spawnattr_setpgroup(attributes, 0);
    if (error == 0)
        error = posix_spawnattr_setsigmask(attributes, &blocked);
    return -error;
}

/* Our program's file, by its path: under valgrind /proc/self/exe stands for valgrind. But if
 * the path is no longer there, by that. */
static const char *find_program(char path[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);

    path[n > 0 ? n : 0] = '\0';
    return n > 0 && access(path, X_OK) == 0 ? path : "/proc/self/exe";
}

static int execute(pid_t *pid, const struct ost_worker *w, int ready, const posix_spawn_file_actions_t *actions,
                   const posix_spawnattr_t *attributes)
{
    char file[ARGUMENT], ready_flag[ARGUMENT], path[PATH_MAX];
    const char *const argv[] = { w->program, "-c", file, w->orders, ready_flag, NULL };

    snprintf(file, sizeof(file), "/proc/self/fd/%d", w->duty.text_fd);
    snprintf(ready_flag, sizeof(ready_flag), "--ready-fd=%d", ready);
    return -posix_spawn(pid, find_program(path), actions, attributes, (char *const *)argv, environ);
}

int ost_worker_spawn(pid_t *pid, const struct ost_worker *w, int ready)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = -posix_spawn_file_actions_init(&actions);

    if (error < 0)
        return error;
    error = -posix_spawnattr_init(&attributes);
    if (error == 0) {
        error = inherit(&actions, w, ready);
        if (error == 0)
            error = set_attributes(&attributes);
        if (error == 0)
            error = execute(pid, w, ready, &actions, &attributes);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}
