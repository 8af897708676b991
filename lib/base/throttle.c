#include "base/throttle.h"

#include <stddef.h>
#include <sys/mman.h>

#include "base/clock.h"

enum { BURST = 10, REFILL_MS = 1000 };

struct ost_throttle *ost_throttle_new_shared(void)
{
    void *memory = mmap(NULL, sizeof(struct ost_throttle), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

void ost_throttle_free_shared(struct ost_throttle *t)
{
    munmap(t, sizeof(*t));
}

bool ost_throttle_admits(struct ost_throttle *t, unsigned *suppressed)
{
    uint64_t now = ost_clock_ms(), most = now + (uint64_t)BURST * REFILL_MS;
    uint64_t full = atomic_load(&t->full), next;

    do {
        next = (full > now ? full : now) + REFILL_MS;
        if (next > most) {
            atomic_fetch_add(&t->suppressed, 1);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&t->full, &full, next));
    *suppressed = atomic_exchange(&t->suppressed, 0);
    return true;
}
