/* A configuration, read and checked: everything that is needed to start. */
#ifndef OST_DAEMON_CONF_H
#define OST_DAEMON_CONF_H

#include <stddef.h>

#include <libconfig.h>

#include <ostler/daemon.h>
#include <ostler/server.h>

/* One service of the file. Strings belong to the tree. */
struct ost_conf_service {
    const char *name;
    const struct ostler_service *handler;
    const char *handler_name;
    const char *mixin_name;               /* NULL: the handler's default */
    const config_setting_t *listen;       /* the addresses as the file has them */
    struct ostler_server_options options; /* .addresses and .user are ours */
};

struct ost_conf {
    config_t tree;
    const char *log_level_name;
    int log_level;
    long stop_timeout_ms;
    const config_setting_t *group; /* services = { … } */
    struct ost_conf_service *services;
    size_t count;
};

/* Read file, for a program that offers handlers, into conf. 0; or -errno after what is
 * wrong was told on standard error, then conf is not to be freed. */
int ost_conf_load(struct ost_conf *conf, const char *file, const struct ostler_service *handlers);

void ost_conf_free(struct ost_conf *conf);

#endif
