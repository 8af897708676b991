#include <netinet/in.h>
#include <netinet/tcp.h>

#include "load.h"

int connection_open(const struct endpoint *endpoint)
{
    int fd = socket(endpoint->address.ss_family, endpoint->type | SOCK_CLOEXEC, 0);

    if (fd < 0)
        fail("socket");
    if (connect(fd, (const struct sockaddr *)&endpoint->address, endpoint->length) < 0)
        fail("connect");
    return fd;
}

void connection_send_at_once(int fd, const struct endpoint *endpoint)
{
    int on = 1;

    if (endpoint->address.ss_family == AF_INET && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        fail("TCP_NODELAY");
}
