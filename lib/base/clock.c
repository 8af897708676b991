#include "base/clock.h"

#include <limits.h>
#include <time.h>

static uint64_t read_clock(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t ost_clock_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t ost_clock_ms(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t ost_clock_coarse_ms(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

long ost_clock_from_seconds(double seconds)
{
    long ms = (long)(seconds * 1000);

    return (double)ms < seconds * 1000 ? ms + 1 : ms;
}

uint64_t ost_clock_after(uint64_t now, long ms)
{
    return ms < 0 ? OST_NEVER : now + (uint64_t)ms;
}

int ost_clock_until(uint64_t now, uint64_t due)
{
    if (due == OST_NEVER)
        return -1;
    if (due <= now)
        return 0;
    return due - now > INT_MAX ? INT_MAX : (int)(due - now);
}
