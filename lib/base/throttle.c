#include "base/throttle.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/clock.h"

enum { BURST = 10, REFILL_MS = 1000 };

struct ost_throttle_state {
    _Atomic uint64_t full;  /* when as many lines as at the beginning may be written again, ms */
    atomic_uint suppressed; /* lines that were not written, since the last one that was */
};

int ost_throttle_init(struct ost_throttle *t)
{
    void *memory = mmap(NULL, sizeof(*t->state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return -errno;
    t->state = memory;
    return 0;
}

void ost_throttle_fini(struct ost_throttle *t)
{
    munmap(t->state, sizeof(*t->state));
}

bool ost_throttle_admits(struct ost_throttle *t, unsigned *suppressed)
{
    uint64_t now = ost_clock_ms(), most = now + (uint64_t)BURST * REFILL_MS;
    uint64_t full = atomic_load(&t->state->full), next;

    do {
        next = (full > now ? full : now) + REFILL_MS;
        if (next > most) {
            atomic_fetch_add(&t->state->suppressed, 1);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&t->state->full, &full, next));
    *suppressed = atomic_exchange(&t->state->suppressed, 0);
    return true;
}
