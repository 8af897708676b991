/* New connections all the time: each asks once, checks the answer, closes, and makes room
 * for the next one. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"

enum { EVENTS = 1024, PATIENCE_MS = 20000 };

struct rate {
    struct load *load;
    int epoll;
    unsigned open, next; /* next: the number of the next connection */
};

/* An event carries the descriptor and the connection's number. */
static void begin(struct rate *rate)
{
    unsigned number = rate->next++;
    int fd = connection_open(&rate->load->endpoint, number);
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = (uint64_t)number << 32 | (uint32_t)fd };

    if (send(fd, pattern_at(number, 0), rate->load->size, MSG_NOSIGNAL) != (ssize_t)rate->load->size)
        fail("send");
    if (epoll_ctl(rate->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll_ctl");
    rate->open++;
}

static void finish(struct rate *rate, uint64_t word)
{
    static unsigned char buffer[PATTERN_PERIOD];
    int fd = (int)(uint32_t)word;

    if (recv(fd, buffer, rate->load->size, MSG_WAITALL) != (ssize_t)rate->load->size)
        fail("recv");
    pattern_check(buffer, rate->load->size, (unsigned)(word >> 32), 0);
    close(fd);
    rate->open--;
    rate->load->answered++;
}

static void work(struct rate *rate)
{
    struct epoll_event events[EVENTS];

    while (rate->open < rate->load->connections && load_may_start(rate->load))
        begin(rate);
    while (rate->open > 0) {
        int n = epoll_wait(rate->epoll, events, EVENTS, PATIENCE_MS);

        if (n <= 0)
            fail(n == 0 ? "the server does not answer" : "epoll_wait");
        rate->load->end = now();
        for (int i = 0; i < n; i++) {
            finish(rate, events[i].data.u64);
            if (load_may_start(rate->load))
                begin(rate);
        }
    }
}

void rate_run(struct load *load)
{
    struct rate rate = { .load = load, .epoll = epoll_create1(EPOLL_CLOEXEC) };
    struct load wanted = *load;

    if (rate.epoll < 0)
        fail("epoll_create1");
    load->requests = 1;
    work(&rate); /* one, before anything is measured */
    *load = wanted;
    load_ready(load);
    work(&rate);
    load->end = now();
}
