/* All workers of a daemon. */
#ifndef OST_DAEMON_CREW_H
#define OST_DAEMON_CREW_H

#include <stddef.h>

#include "daemon/conf.h"

struct ost_minder;
struct ost_worker;
struct ostler_balance;
struct ostler_log;
struct ostler_reactor;

/* Zero is a crew of nobody: all this does nothing then. */
struct ost_crew {
    struct ost_worker *workers;
    struct ost_minder *minders; /* one a worker */
    size_t count;
    int text_fd;                    /* the configuration as it was read; 0: none, as 0 to 2 are never ours */
    struct ostler_balance *balance; /* of those that share services; NULL: there is one at most */
};

/* For the services of conf that are held; servers, one a service, are bound, and on the
 * reactor. 0 or -errno; what crew, which is zeroed, then holds is to be given back either way. */
int ost_crew_init(struct ost_crew *crew, const struct ost_conf *conf, const char *program,
                  struct ostler_server *const *servers, struct ostler_reactor *reactor);

/* After the servers. */
void ost_crew_fini(struct ost_crew *crew);

/* Start all, and return when all are ready. 0, or -errno after the log was told. From now on each
 * is started again whenever it dies. */
int ost_crew_start(struct ost_crew *crew);

/* Let all stop gracefully, at once, or die with all their processes (then wait until they
 * have, for a moment); log their live requests. Thread: any, and a handler of a signal. */
void ost_crew_stop(struct ost_crew *crew);
void ost_crew_abort(struct ost_crew *crew);
void ost_crew_kill(struct ost_crew *crew);
void ost_crew_list(struct ost_crew *crew);

/* After a stop: return when nobody is being started any more, and the servers may be stopped. */
void ost_crew_await_births(struct ost_crew *crew);

/* After a stop: wait until nobody is left. 0, or -ECHILD when one did not end well. */
int ost_crew_join(struct ost_crew *crew);

#endif
