/* Connections that stay. Each active one has depth messages in flight: for each that has
 * come back whole the next one goes, those that come back together also go together.
 * Edge-triggered: the kernel need not look at a socket again from which all has been read. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "load.h"

enum { EVENTS = 1024, PATIENCE_MS = 20000 };

struct client {
    int fd;
    unsigned number;
    bool blocked;              /* the socket takes no more; epoll tells when it does */
    uint64_t granted;          /* bytes that may be sent, all in all */
    uint64_t sent, received;
};

struct crowd {
    struct load *load;
    int epoll;
    struct client *clients;
    uint64_t in_flight; /* messages */
};

static void watch(struct crowd *crowd, struct client *c, int operation, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = c };

    if (epoll_ctl(crowd->epoll, operation, c->fd, &event) < 0)
        fail("epoll_ctl");
}

static void set_blocked(struct crowd *crowd, struct client *c, bool blocked)
{
    if (c->blocked != blocked)
        watch(crowd, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLET | (blocked ? EPOLLOUT : 0));
    c->blocked = blocked;
}

static void send_granted(struct crowd *crowd, struct client *c)
{
    while (c->sent < c->granted) {
        size_t size = (size_t)(c->granted - c->sent);
        ssize_t n = send(c->fd, pattern_at(c->number, c->sent), size < PATTERN_PERIOD ? size : PATTERN_PERIOD,
                         MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            fail("send");
        c->sent += (uint64_t)n;
    }
    set_blocked(crowd, c, c->sent < c->granted);
}

static void start(struct crowd *crowd, struct client *c, uint64_t messages)
{
    for (; messages > 0 && load_may_start(crowd->load); messages--) {
        c->granted += crowd->load->size;
        crowd->in_flight++;
    }
    send_granted(crowd, c);
}

/* True: there may be more. */
static bool receive(struct crowd *crowd, struct client *c)
{
    static unsigned char buffer[PATTERN_PERIOD];
    ssize_t n = recv(c->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    uint64_t whole;

    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0)
        fail(n == 0 ? "the server has closed a connection" : "recv");
    pattern_check(buffer, (size_t)n, c->number, c->received);
    whole = (c->received + (size_t)n) / crowd->load->size - c->received / crowd->load->size;
    c->received += (uint64_t)n;
    if (c->received > c->sent)
        fail("the server sends more than it got");
    crowd->in_flight -= whole;
    crowd->load->answered += whole;
    start(crowd, c, whole);
    return n == sizeof(buffer);
}

static void handle(struct crowd *crowd, const struct epoll_event *event)
{
    struct client *c = event->data.ptr;

    if (event->events & EPOLLOUT)
        send_granted(crowd, c);
    if (event->events & ~(uint32_t)EPOLLOUT)
        while (receive(crowd, c))
            ;
}

static void run_until_answered(struct crowd *crowd)
{
    struct epoll_event events[EVENTS];

    while (crowd->in_flight > 0) {
        int n = epoll_wait(crowd->epoll, events, EVENTS, PATIENCE_MS);

        if (n <= 0)
            fail(n == 0 ? "the server does not answer" : "epoll_wait");
        crowd->load->end = now();
        for (int i = 0; i < n; i++)
            handle(crowd, &events[i]);
    }
}

/* Each says one message, before anything is measured. */
static void greet(struct crowd *crowd)
{
    struct load wanted = *crowd->load;

    for (unsigned i = 0; i < wanted.connections; i++) {
        crowd->load->requests = crowd->load->started + 1;
        start(crowd, &crowd->clients[i], 1);
        if (i % EVENTS == EVENTS - 1)
            run_until_answered(crowd);
    }
    run_until_answered(crowd);
    *crowd->load = wanted;
}

static void work(void *mode)
{
    struct crowd *crowd = mode;
    struct load *load = crowd->load;

    for (unsigned i = 0; i < load->active; i++)
        start(crowd, &crowd->clients[i * (load->connections / load->active)], load->depth);
    run_until_answered(crowd);
    load->end = now();
}

void crowd_run(struct load *load)
{
    struct crowd crowd = { .load = load, .epoll = epoll_create1(EPOLL_CLOEXEC) };

    crowd.clients = calloc(load->connections, sizeof(*crowd.clients));
    if (!crowd.clients || crowd.epoll < 0)
        fail("crowd");
    for (unsigned i = 0; i < load->connections; i++) {
        crowd.clients[i].fd = connection_open(&load->endpoint);
        connection_send_at_once(crowd.clients[i].fd, &load->endpoint);
        crowd.clients[i].number = i;
        watch(&crowd, &crowd.clients[i], EPOLL_CTL_ADD, EPOLLIN | EPOLLET);
    }
    greet(&crowd);
    load_serve(load, work, &crowd);
    free(crowd.clients);
}
