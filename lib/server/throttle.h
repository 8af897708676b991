/* A throttle for log lines that anybody may cause: a few at once, then one a second.
 * Thread: any. */
#ifndef OST_SERVER_THROTTLE_H
#define OST_SERVER_THROTTLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct ost_throttle {
    pthread_mutex_t lock;
    uint64_t since;      /* when tokens was last right, ms */
    unsigned tokens;     /* lines that may be written */
    unsigned suppressed; /* lines that were not, since the last one that was */
};

void ost_throttle_init(struct ost_throttle *throttle);
void ost_throttle_fini(struct ost_throttle *throttle);

/* May a line be written now? If so *suppressed says how many were not before it. */
bool ost_throttle_admits(struct ost_throttle *throttle, unsigned *suppressed);

#endif
