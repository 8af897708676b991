/* Where to listen or connect, in ostler's words: tcp:127.0.0.1:7007, udp:127.0.0.1:0,
 * unix:@name, unix:/path. IPv4 alone; what the benchmark's own programs need. */
#ifndef BENCH_ENDPOINT_H
#define BENCH_ENDPOINT_H

#include <sys/socket.h>

struct endpoint {
    int type; /* SOCK_STREAM or SOCK_DGRAM */
    struct sockaddr_storage address;
    socklen_t length;
};

/* Read text; what is not an address ends the program. */
void endpoint_parse(struct endpoint *out, const char *text);

/* Say what failed, and why, and end the program. */
_Noreturn void fail(const char *what);

#endif
