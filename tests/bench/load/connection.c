#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#include "load.h"

enum { SOURCES = 64 };

/* Connections that have been closed keep their ports for a minute. 127.0.0.0/8 is all ours. */
static void choose_source(int fd, unsigned number)
{
    struct sockaddr_in source = { .sin_family = AF_INET };
    int on = 1;

    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + number % SOURCES);
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0)
        fail("IP_BIND_ADDRESS_NO_PORT");
    if (bind(fd, (struct sockaddr *)&source, sizeof(source)) < 0)
        fail("bind");
}

int connection_open(const struct endpoint *endpoint, unsigned number)
{
    int fd = socket(endpoint->address.ss_family, endpoint->type | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0)
        fail("socket");
    if (endpoint->address.ss_family == AF_INET && endpoint->type == SOCK_STREAM) {
        choose_source(fd, number);
        if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
            fail("TCP_NODELAY");
    }
    if (connect(fd, (const struct sockaddr *)&endpoint->address, endpoint->length) < 0)
        fail("connect");
    return fd;
}
