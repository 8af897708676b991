/* A process that has threads must not fork, so forking services get one without: not a
 * fork of ours, which would be the same mistake, but our program from its beginning. It
 * inherits
 *
 *    the text of the configuration   in a sealed memfd: the file may change meanwhile
 *    the sockets, bound              which stay open here, so that when a worker dies
 *                                    clients wait for the next one
 *    its orders                      see orders.c
 *
 * and nothing else: all our descriptors are close-on-exec, but for those that
 * adddup2() names. */
#include "daemon/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/orders.h"

extern char **environ;

enum { ARGUMENT = 40 };

static int write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, text, size);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            text += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

static int seal(int fd)
{
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 ? -errno : 0;
}

/* The text without the newline that text.c put behind it. */
static int keep_text(int *out, const char *text)
{
    int fd = memfd_create("configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int error = fd < 0 ? -errno : write_all(fd, text, strlen(text) - 1);

    if (error == 0)
        error = seal(fd);
    if (error == 0)
        *out = fd;
    else if (fd >= 0)
        close(fd);
    return error;
}

static int keep_orders(struct ost_worker *w, const struct ost_conf *conf, struct ostler_server *const *servers)
{
    char *orders;
    int error = ost_orders_compose(&orders, conf, servers, w->text_fd);

    if (error < 0)
        return error;
    error = asprintf(&w->orders, "--worker=%s", orders) < 0 ? -ENOMEM : 0;
    free(orders);
    return error;
}

static size_t count_sockets(const struct ost_conf *conf, struct ostler_server *const *servers)
{
    size_t count = 0;

    for (size_t i = 0; i < conf->count; i++)
        for (size_t k = 0; conf->services[i].held && ostler_server_fd(servers[i], k) >= 0; k++)
            count++;
    return count;
}

static int keep_sockets(struct ost_worker *w, const struct ost_conf *conf, struct ostler_server *const *servers)
{
    int fd;

    w->fds = calloc(count_sockets(conf, servers) + 1, sizeof(*w->fds));
    if (!w->fds)
        return -ENOMEM;
    for (size_t i = 0; i < conf->count; i++)
        for (size_t k = 0; conf->services[i].held && (fd = ostler_server_fd(servers[i], k)) >= 0; k++)
            w->fds[w->fd_count++] = fd;
    return 0;
}

int ost_worker_init(struct ost_worker *out, const char *program, const struct ost_conf *conf,
                    struct ostler_server *const *servers)
{
    struct ost_worker w = { .program = program, .text_fd = -1 };
    int error = keep_sockets(&w, conf, servers);

    if (error == 0)
        error = keep_text(&w.text_fd, conf->text);
    if (error == 0)
        error = keep_orders(&w, conf, servers);
    if (error < 0)
        ost_worker_fini(&w);
    else
        *out = w;
    return error;
}

void ost_worker_fini(struct ost_worker *w)
{
    if (w->text_fd >= 0)
        close(w->text_fd);
    free(w->orders);
    free(w->fds);
}

/* A descriptor duplicated onto itself is no longer close-on-exec. */
static int inherit(posix_spawn_file_actions_t *actions, const struct ost_worker *w, int ready)
{
    int error = posix_spawn_file_actions_adddup2(actions, w->text_fd, w->text_fd);

    if (error == 0)
        error = posix_spawn_file_actions_adddup2(actions, ready, ready);
    for (size_t i = 0; i < w->fd_count && error == 0; i++)
        error = posix_spawn_file_actions_adddup2(actions, w->fds[i], w->fds[i]);
    return -error;
}

/* The signals that a worker is sent wait until it can take them. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t blocked;
    int error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);

    sigemptyset(&blocked);
    sigaddset(&blocked, OST_WORKER_STOP);
    sigaddset(&blocked, OST_WORKER_HURRY);
    sigaddset(&blocked, OST_WORKER_LIST);
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

    snprintf(file, sizeof(file), "/proc/self/fd/%d", w->text_fd);
    snprintf(ready_flag, sizeof(ready_flag), "--ready-fd=%d", ready);
    return -posix_spawn(pid, find_program(path), actions, attributes, (char *const *)argv, environ);
}

static int prepare_and_execute(pid_t *pid, const struct ost_worker *w, int ready)
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

int ost_worker_spawn(pid_t *pid, int *ready, const struct ost_worker *w)
{
    int ends[2], error;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    error = prepare_and_execute(pid, w, ends[1]);
    close(ends[1]);
    if (error < 0)
        close(ends[0]);
    else
        *ready = ends[0];
    return error;
}
