/* What a server does when it lacks descriptors, processes, threads or memory: it says so once for a time of
 * lack, however often that comes and goes, and tries again after 10 ms, doubling to 1 s. */
#ifndef OST_SERVER_LACK_H
#define OST_SERVER_LACK_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: it lacks nothing. */
struct ost_lack {
    uint64_t last; /* when it lacked something last, ms; 0: never */
    long pause_ms; /* how long the next pause is; 0: it does not lack anything */
};

/* It lacks something now. Is that to be said? */
static inline bool ost_lack_is_news(struct ost_lack *lack, uint64_t now)
{
    enum { QUIET_MS = 10000 };
    bool news = lack->last == 0 || now - lack->last > QUIET_MS;

    lack->last = now;
    return news;
}

/* How long to wait before the next try, ms. */
static inline long ost_lack_pause(struct ost_lack *lack)
{
    enum { PAUSE_MS = 10, MAX_PAUSE_MS = 1000 };
    long pause_ms = lack->pause_ms > 0 ? lack->pause_ms : PAUSE_MS;

    lack->pause_ms = pause_ms * 2 < MAX_PAUSE_MS ? pause_ms * 2 : MAX_PAUSE_MS;
    return pause_ms;
}

/* A try has succeeded. */
static inline void ost_lack_is_over(struct ost_lack *lack)
{
    lack->pause_ms = 0;
}

#endif
