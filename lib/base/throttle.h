/* A throttle for log lines that anybody may cause: a few at once, then one a second.
 * Thread: any; and any child process, since a thousand that fail once each are a flood
 * too. So it stands in shared memory, and has no lock: who dies then holds up nobody. */
#ifndef OST_BASE_THROTTLE_H
#define OST_BASE_THROTTLE_H

#include <stdbool.h>

struct ost_throttle {
    struct ost_throttle_state *state; /* shared */
};

/* 0 or -errno. */
int ost_throttle_init(struct ost_throttle *throttle);
void ost_throttle_fini(struct ost_throttle *throttle);

/* May a line be written now? If so *suppressed says how many were not before it. */
bool ost_throttle_admits(struct ost_throttle *throttle, unsigned *suppressed);

#endif
