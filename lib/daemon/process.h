/* What belongs to the whole process. */
#ifndef OST_DAEMON_PROCESS_H
#define OST_DAEMON_PROCESS_H

#include "daemon/conf.h"

struct ostler_log;

/* Signals and limits, for a daemon or for its worker, which is called by this name. Before
 * the first thread. */
void ost_process_prepare(const struct ost_conf *conf, const char *program, const struct ostler_log *log);

#endif
