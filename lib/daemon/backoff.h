/* How long to wait before something that died is started again. */
#ifndef OST_DAEMON_BACKOFF_H
#define OST_DAEMON_BACKOFF_H

#include <stdint.h>

enum { OST_BACKOFF_DEATHS = 6 };

/* Zero is the beginning. */
struct ost_backoff {
    int64_t deaths[OST_BACKOFF_DEATHS]; /* when, a ring */
    unsigned count;                     /* of all since the beginning */
    long delay_ms;                      /* the last one */
};

/* It died at this moment and had got nowhere: the delay in milliseconds. */
long ost_backoff_after_death(struct ost_backoff *backoff, int64_t now_ms);

#endif
