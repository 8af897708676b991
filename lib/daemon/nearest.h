/* "Did you mean …?" */
#ifndef OST_DAEMON_NEAREST_H
#define OST_DAEMON_NEAREST_H

#include <stddef.h>

/* The candidate nearest to word so far. */
struct ost_nearest {
    const char *word;
    const char *best; /* NULL: none is near enough */
    size_t distance;
};

void ost_nearest_init(struct ost_nearest *nearest, const char *word);
void ost_nearest_offer(struct ost_nearest *nearest, const char *candidate);

#endif
