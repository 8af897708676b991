/* Raw epoll, level-triggered: what all others are compared with. A connection is a descriptor,
 * and has memory only while the client does not read. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "peer.h"

enum { EVENTS = 1024 };

static struct backlog *backlogs; /* by descriptor */

static void watch(int epoll, int operation, int fd, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.fd = fd };

    if (epoll_ctl(epoll, operation, fd, &event) < 0)
        fail("epoll_ctl");
}

static void end(int fd)
{
    free(backlogs[fd].data);
    backlogs[fd] = (struct backlog){ 0 };
    close(fd);
}

static void accept_all(int epoll, int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
}

static void send_some(int epoll, int fd, const char *data, size_t size)
{
    struct backlog *backlog = &backlogs[fd];
    size_t before = backlog->size;

    if (backlog_send(backlog, fd, data, size) < 0)
        end(fd);
    else if ((backlog->size == 0) != (before == 0)) /* a client that does not read is not read from */
        watch(epoll, EPOLL_CTL_MOD, fd, backlog->size ? EPOLLOUT : EPOLLIN);
}

static void serve(int epoll, int fd)
{
    static char buffer[PEER_BUFFER];
    ssize_t n;

    if (backlogs[fd].size > 0) {
        send_some(epoll, fd, NULL, 0);
        return;
    }
    n = recv(fd, buffer, sizeof(buffer), 0);
    if (n > 0)
        send_some(epoll, fd, buffer, (size_t)n);
    else if (n == 0 || errno != EAGAIN)
        end(fd);
}

int main(int argc, char **argv)
{
    int listener = peer_listen(argc, argv, SOCK_NONBLOCK);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS];
    struct rlimit most;

    if (epoll < 0 || getrlimit(RLIMIT_NOFILE, &most) < 0)
        fail("epoll");
    backlogs = calloc(most.rlim_cur, sizeof(*backlogs));
    if (!backlogs)
        fail("calloc");
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);

        for (int i = 0; i < n; i++)
            if (events[i].data.fd == listener)
                accept_all(epoll, listener);
            else
                serve(epoll, events[i].data.fd);
    }
}
