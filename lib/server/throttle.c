#include "server/throttle.h"

#include "base/clock.h"

enum { BURST = 10, REFILL_MS = 1000 };

void ost_throttle_init(struct ost_throttle *t)
{
    pthread_mutex_init(&t->lock, NULL);
    t->since = ost_clock_ms();
    t->tokens = BURST;
    t->suppressed = 0;
}

void ost_throttle_fini(struct ost_throttle *t)
{
    pthread_mutex_destroy(&t->lock);
}

static void refill(struct ost_throttle *t)
{
    uint64_t more = (ost_clock_ms() - t->since) / REFILL_MS;

    t->since += more * REFILL_MS;
    t->tokens = more < BURST - t->tokens ? t->tokens + (unsigned)more : BURST;
}

bool ost_throttle_admits(struct ost_throttle *t, unsigned *suppressed)
{
    bool admits;

    pthread_mutex_lock(&t->lock);
    refill(t);
    admits = t->tokens > 0;
    if (admits) {
        t->tokens--;
        *suppressed = t->suppressed;
        t->suppressed = 0;
    } else {
        t->suppressed++;
    }
    pthread_mutex_unlock(&t->lock);
    return admits;
}
