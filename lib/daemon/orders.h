/* What a daemon tells its worker, as one argument of the command line. */
#ifndef OST_DAEMON_ORDERS_H
#define OST_DAEMON_ORDERS_H

#include <stdbool.h>

#include "daemon/conf.h"

struct ostler_balance;

/* What a worker is for. */
struct ost_duty {
    const struct ost_conf *conf;
    struct ostler_server *const *servers;   /* one a service, bound */
    bool forking;                           /* it runs the forking services, or all others */
    int text_fd;                            /* it reads its configuration from there */
    int number;                             /* which of several, from 1 on; 0: it is the only one */
    struct ostler_balance *balance;         /* with others; NULL: none */
};

/* All UDP ports and Unix names are known. *out is to be freed. 0, -errno. */
int ost_orders_compose(char **out, const struct ost_duty *duty);

/* Is the index-th service one of its duty's? */
bool ost_duty_has(const struct ost_duty *duty, size_t index);

/* In the worker: make conf, which is the daemon's own, what the orders say. 0; -EINVAL:
 * they are none, or not for this configuration; -ENOMEM. */
int ost_orders_apply(struct ost_conf *conf, const char *orders);

#endif
