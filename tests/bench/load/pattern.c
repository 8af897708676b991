/* Bytes without an order, from a generator of the simplest kind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

static unsigned char bytes[2 * PATTERN_PERIOD];

void pattern_make(void)
{
    uint32_t state = 2463534242u;

    for (size_t i = 0; i < PATTERN_PERIOD; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes[i] = (unsigned char)(state >> 24);
    }
    memcpy(bytes + PATTERN_PERIOD, bytes, PATTERN_PERIOD);
}

const unsigned char *pattern_at(unsigned stream, uint64_t position)
{
    return bytes + (stream * (uint64_t)977 + position) % PATTERN_PERIOD;
}

void pattern_check(const unsigned char *data, size_t size, unsigned stream, uint64_t position)
{
    if (memcmp(data, pattern_at(stream, position), size) == 0)
        return;
    fprintf(stderr, "stream %u: not what was sent, in bytes %llu to %llu\n", stream, (unsigned long long)position,
            (unsigned long long)(position + size));
    exit(1);
}
