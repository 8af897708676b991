/* Points in time. */
#ifndef OST_DAEMON_NOW_H
#define OST_DAEMON_NOW_H

#include <stdint.h>

/* CLOCK_MONOTONIC in milliseconds. Thread: any. */
int64_t ost_now_ms(void);

#endif
