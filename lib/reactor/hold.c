#include "reactor/hold.h"

enum { STALL_MS = 100, QUIET_MS = 1000 };

void ost_hold_call(struct ostler_reactor *r, void (*function)(void *arg), void *arg, const char *what)
{
    struct ost_hold hold;
    uint64_t held, now;

    ost_hold_begin(&hold, r, NULL);
    function(arg);
    held = ost_hold_end(r);
    if (held <= STALL_MS)
        return;
    now = ost_clock_coarse_ms();
    if (r->stall_told && now - r->stall_told < QUIET_MS)
        return;
    r->stall_told = now;
    ostler_log_write(r->log, OSTLER_LOG_WARNING, "%s held the loop for %llu ms", what, (unsigned long long)held);
}
