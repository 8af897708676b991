/* A throttle for log lines that anybody may cause: a few at once, then one a second.
 * Thread: any. One that child processes share, since a thousand that fail once each are a flood
 * too, stands in shared memory; and none has a lock: who dies then holds up nobody. */
#ifndef OST_BASE_THROTTLE_H
#define OST_BASE_THROTTLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* All zero in the beginning. */
struct ost_throttle {
    _Atomic uint64_t full;  /* when as many lines as at the beginning may be written again, ms */
    atomic_uint suppressed; /* lines that were not written, since the last one that was */
};

/* One that the process shares with all that it forks from now on; NULL: there is no memory. */
struct ost_throttle *ost_throttle_new_shared(void);
void ost_throttle_free_shared(struct ost_throttle *throttle);

/* May a line be written now? If so *suppressed says how many were not before it. */
bool ost_throttle_admits(struct ost_throttle *throttle, unsigned *suppressed);

#endif
