/* The clock of the stopper and the minder, which no change of the date moves. */
#include "daemon/now.h"

#include <time.h>

int64_t ost_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
