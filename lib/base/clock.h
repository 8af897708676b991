/* Time. One clock for every time-out: CLOCK_MONOTONIC, in whole milliseconds,
 * which setting the wall clock does not move. */
#ifndef OST_BASE_CLOCK_H
#define OST_BASE_CLOCK_H

#include <stdint.h>

/* A point in time that never comes. */
#define OST_NEVER UINT64_MAX

/* Milliseconds since some fixed point. */
uint64_t ost_clock_ms(void);

/* Microseconds since the same point. */
uint64_t ost_clock_us(void);

/* Milliseconds again, cheaper, and behind by up to a tick of the kernel: for comparing with itself alone. */
uint64_t ost_clock_coarse_ms(void);

/* Whole milliseconds, rounded up, of seconds, which are at most OST_LONGEST_SECONDS. */
#define OST_LONGEST_SECONDS 1e12
long ost_clock_from_seconds(double seconds);

/* now + ms, or OST_NEVER when ms is negative. */
static inline uint64_t ost_clock_after(uint64_t now, long ms)
{
    return ms < 0 ? OST_NEVER : now + (uint64_t)ms;
}

/* The time of which low is the low half, at most 24 days from now. */
static inline uint64_t ost_clock_near(uint64_t now, uint32_t low)
{
    return now + (uint64_t)(int64_t)(int32_t)(low - (uint32_t)now);
}

/* Milliseconds from now to due, at least 0 and at most INT32_MAX; -1 for
 * OST_NEVER: what poll(2) takes. */
static inline int ost_clock_until(uint64_t now, uint64_t due)
{
    if (due == OST_NEVER)
        return -1;
    if (due <= now)
        return 0;
    return due - now > INT32_MAX ? INT32_MAX : (int)(due - now);
}

#endif
