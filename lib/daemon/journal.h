/* The log of a daemon, or of its worker. */
#ifndef OST_DAEMON_JOURNAL_H
#define OST_DAEMON_JOURNAL_H

#include "daemon/conf.h"

struct ostler_log;

/* The log, on standard error, at the level of conf. It is for ever. Before the first thread. */
const struct ostler_log *ost_journal_open(const struct ost_conf *conf);

/* From now on even a terminal that is no longer read holds up nobody; which takes a descriptor. */
void ost_journal_unblock(void);

#endif
