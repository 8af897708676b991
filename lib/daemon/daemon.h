/* A daemon that runs what a configuration says. */
#ifndef OST_DAEMON_DAEMON_H
#define OST_DAEMON_DAEMON_H

#include "daemon/conf.h"
#include "daemon/flags.h"

/* Bind everything, serve until a signal says stop, give everything back. 0 or
 * -errno; why is in the log. Ends the process with 1 when handlers do not end. */
int ost_daemon_run(const struct ost_conf *conf, const struct ost_flags *flags);

#endif
