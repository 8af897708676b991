/* What a daemon tells its worker, as one argument of the command line. */
#ifndef OST_DAEMON_ORDERS_H
#define OST_DAEMON_ORDERS_H

#include "daemon/conf.h"

/* For the services that are held; servers, one a service of conf, are bound, and all
 * UDP ports are known; the worker reads its configuration from text_fd. *out is to be
 * freed. 0, -errno. */
int ost_orders_compose(char **out, const struct ost_conf *conf, struct ostler_server *const *servers, int text_fd);

/* In the worker: make conf, which is the daemon's own, what the orders say. 0; -EINVAL:
 * they are none, or not for this configuration; -ENOMEM. */
int ost_orders_apply(struct ost_conf *conf, const char *orders);

#endif
