#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The port may have been left to the kernel. */
static void announce(int fd, const char *text)
{
    struct sockaddr_in in;
    socklen_t length = sizeof(in);

    if (strncmp(text, "unix:", 5) == 0) {
        printf("echo %s\nready\n", text);
    } else {
        if (getsockname(fd, (struct sockaddr *)&in, &length) < 0)
            fail("getsockname");
        printf("echo %.4s%s:%d\nready\n", text, inet_ntoa(in.sin_addr), ntohs(in.sin_port));
    }
    fclose(stdout);
}

int peer_listen(int argc, char **argv, int flags)
{
    struct endpoint endpoint;
    int fd, on = 1;

    if (argc < 2) {
        fprintf(stderr, "usage: %s [VARIANT] ADDRESS\n", argv[0]);
        exit(2);
    }
    endpoint_parse(&endpoint, argv[argc - 1]);
    fd = socket(endpoint.address.ss_family, endpoint.type | flags | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        fail("SO_REUSEADDR");
    if (bind(fd, (struct sockaddr *)&endpoint.address, endpoint.length) < 0)
        fail("bind");
    if (endpoint.type == SOCK_STREAM && listen(fd, SOMAXCONN) < 0)
        fail("listen");
    announce(fd, argv[argc - 1]);
    return fd;
}

bool peer_variant(int argc, char **argv, const char *word)
{
    return argc > 2 && strcmp(argv[1], word) == 0;
}

void peer_send_at_once(int fd)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* a Unix socket refuses, and always does */
}

static int send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

void peer_serve(int fd)
{
    char buffer[16384];
    ssize_t n;

    peer_send_at_once(fd);
    do {
        n = recv(fd, buffer, sizeof(buffer), 0);
    } while ((n > 0 && send_all(fd, buffer, (size_t)n) == 0) || (n < 0 && errno == EINTR));
    close(fd);
}

static int keep(struct backlog *backlog, const char *data, size_t size)
{
    char *grown = realloc(backlog->data, backlog->size + size);

    if (!grown)
        return -1;
    memcpy(grown + backlog->size, data, size);
    backlog->data = grown;
    backlog->size += size;
    return 0;
}

static void drop(struct backlog *backlog, size_t size)
{
    backlog->size -= size;
    memmove(backlog->data, backlog->data + size, backlog->size);
    if (backlog->size == 0) {
        free(backlog->data);
        backlog->data = NULL;
    }
}

int backlog_send(struct backlog *backlog, int fd, const char *data, size_t size)
{
    ssize_t n;

    if (size > 0 && backlog->size > 0)
        return keep(backlog, data, size);
    n = backlog->size > 0 ? send(fd, backlog->data, backlog->size, MSG_NOSIGNAL)
                          : send(fd, data, size, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        return -1;
    if (n < 0)
        n = 0;
    if (backlog->size > 0)
        drop(backlog, (size_t)n);
    else if ((size_t)n < size)
        return keep(backlog, data + n, size - (size_t)n);
    return 0;
}
