/* At once, until more than five deaths fall into ten seconds; from then on after 0.1 s,
 * doubling to 5 s. That the longer delays make deaths rarer is no reason to hurry again:
 * only a life that got somewhere is, after which the caller begins anew. */
#include "daemon/backoff.h"

#include <stdbool.h>

enum { WINDOW_MS = 10000, FIRST_MS = 100, LONGEST_MS = 5000 };

/* Note a death; have there been too many? */
static bool is_crowded(struct ost_backoff *b, int64_t now_ms)
{
    b->deaths[b->count++ % OST_BACKOFF_DEATHS] = now_ms;
    return b->count >= OST_BACKOFF_DEATHS && now_ms - b->deaths[b->count % OST_BACKOFF_DEATHS] <= WINDOW_MS;
}

long ost_backoff_after_death(struct ost_backoff *b, int64_t now_ms)
{
    bool crowded = is_crowded(b, now_ms);

    if (b->delay_ms > 0)
        b->delay_ms = b->delay_ms * 2 < LONGEST_MS ? b->delay_ms * 2 : LONGEST_MS;
    else if (crowded)
        b->delay_ms = FIRST_MS;
    return b->delay_ms;
}
