#include "base/clock.h"

#include <time.h>

#include "base/hot.h"

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

OST_HOT uint64_t ost_clock_ms(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

OST_HOT uint64_t ost_clock_coarse_ms(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

long ost_clock_from_seconds(double seconds)
{
    long ms = (long)(seconds * 1000);

    return (double)ms < seconds * 1000 ? ms + 1 : ms;
}
