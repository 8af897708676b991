/* The load generator: so many connections (or UDP sockets) that ask an echo server as fast
 * as it answers, and check every byte that comes back. One thread, one epoll set, and no
 * more calls than a send and a recv a request: it should cost less than any server.
 *
 *   main ─> crowd (echoes on connections that stay) | rate (connect, echo, close) | datagrams
 *
 * It talks to whoever started it: "ready" when all is connected and has been answered once; then, for each line
 * of its input, it works, and writes a line of JSON when all has been answered; at the end of its input it exits.
 * So the server can be measured before and after, again and again, with the connections open. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint.h"

struct load {
    struct endpoint endpoint;
    unsigned connections; /* of the rate: at once; of datagrams: sockets */
    unsigned active;      /* of a crowd: those that ask */
    size_t size;          /* bytes of a message */
    unsigned depth;       /* messages in flight on each */
    double seconds;       /* to work, unless … */
    uint64_t requests;    /* … this is not 0: so many, and no more */
    uint64_t started, answered, lost;
    double begin, end;
};

/* What goes through the server: byte i of stream number n is the byte that pattern_at(n, i) points to,
 * with PATTERN_PERIOD more behind it. No two streams are alike, nor two places of one. */
enum { PATTERN_PERIOD = 65521 };
void pattern_make(void);
const unsigned char *pattern_at(unsigned stream, uint64_t position);

/* Bytes that came are not those that went: end the program. */
void pattern_check(const unsigned char *data, size_t size, unsigned stream, uint64_t position);

double now(void);

/* All is connected: work(mode) as often as somebody asks for it, and tell what came of it. */
void load_serve(struct load *load, void (*work)(void *mode), void *mode);

/* May one more request be sent? Then it counts as started. */
bool load_may_start(struct load *load);

void crowd_run(struct load *load);
void rate_run(struct load *load);
void datagrams_run(struct load *load);

int connection_open(const struct endpoint *endpoint);

/* For several messages in flight: TCP must not hold the next one back. */
void connection_send_at_once(int fd, const struct endpoint *endpoint);

#endif
