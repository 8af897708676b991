/* A configuration, read and checked: everything that is needed to start. */
#ifndef OST_DAEMON_CONF_H
#define OST_DAEMON_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <libconfig.h>

#include <ostler/daemon.h>
#include <ostler/server.h>

#include "daemon/flags.h"

/* One service of the file. Strings belong to the tree, but for those of .addresses in a
 * worker, which stand behind it. */
struct ost_conf_service {
    const char *name;
    const struct ostler_service *handler;
    const char *handler_name;
    const char *mixin_name;               /* NULL: the handler's default */
    const config_setting_t *listen;       /* the addresses as the file has them */
    bool held;                            /* workers run it: here it has its sockets alone */
    struct ostler_server_options options; /* .addresses and .user are ours */
};

struct ost_conf {
    config_t tree;
    char *text; /* the file; NULL: there is none */
    const char *log_level_name;
    int log_level;
    long stop_timeout_ms;
    int busy_poll_us;
    int workers; /* processes for all services but forking ones; 0: the daemon's own */
    const config_setting_t *group; /* services = { … } */
    struct ost_conf_service *services;
    size_t count;
    /* In a worker, see orders.h; else 0: */
    pid_t parent;         /* the daemon's process */
    int number;           /* which of several, from 1 on */
    int *balance;         /* descriptors of its balance with others; NULL: none */
    size_t balance_count;
};

/* Read flags->file, or take the addresses of the command line for one service, for a
 * program that offers handlers, into conf. 0; or -errno after what is wrong was told on
 * standard error, then conf is not to be freed. */
int ost_conf_load(struct ost_conf *conf, const struct ost_flags *flags, const struct ostler_service *handlers);

/* Is there a service that workers are to run? One that they are not? */
bool ost_conf_has_held(const struct ost_conf *conf);
bool ost_conf_has_own(const struct ost_conf *conf);

void ost_conf_free(struct ost_conf *conf);

#endif
