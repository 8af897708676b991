/* Datagrams: on each socket depth of them are in flight. A datagram begins with its number; slot
 * number % depth has the one that is to come back. What does not come is sent again, and
 * counted as lost. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "load.h"

enum { SLOTS = 64, SIZE = 2048, RESEND_MS = 200, RESENDS = 25 };

struct client {
    int fd;
    unsigned number;
    bool flying[SLOTS];
    uint64_t slots[SLOTS]; /* the number of what is in flight there, or was last */
};

struct datagrams {
    struct load *load;
    int epoll;
    struct client *clients;
    uint64_t in_flight;
    bool resent; /* so that one may come twice, sometime */
    unsigned char out[SLOTS][SIZE], in[SLOTS][SIZE];
};

static void send_slots(struct datagrams *d, struct client *c, const unsigned *slots, unsigned count)
{
    struct mmsghdr messages[SLOTS] = { 0 };
    struct iovec vectors[SLOTS];
    int n;

    for (unsigned i = 0; i < count; i++) {
        uint64_t number = c->slots[slots[i]];

        memcpy(d->out[i], &number, sizeof(number));
        memcpy(d->out[i] + sizeof(number), pattern_at(c->number, number), d->load->size - sizeof(number));
        vectors[i] = (struct iovec){ d->out[i], d->load->size };
        messages[i].msg_hdr = (struct msghdr){ .msg_iov = &vectors[i], .msg_iovlen = 1 };
    }
    for (unsigned done = 0; done < count; done += (unsigned)n) {
        n = sendmmsg(c->fd, messages + done, count - done, 0);
        if (n < 0)
            fail("sendmmsg");
    }
}

static unsigned accept_answer(struct datagrams *d, struct client *c, const unsigned char *data, size_t size)
{
    uint64_t number;
    unsigned slot;

    if (size != d->load->size)
        fail("an answer of another size");
    memcpy(&number, data, sizeof(number));
    pattern_check(data + sizeof(number), size - sizeof(number), c->number, number);
    slot = (unsigned)(number % d->load->depth);
    if (c->flying[slot] && c->slots[slot] == number)
        return slot;
    if (!d->resent)
        fail("an answer that nobody asked for");
    return SLOTS; /* it was late, and given up */
}

static void receive(struct datagrams *d, struct client *c)
{
    struct mmsghdr messages[SLOTS] = { 0 };
    struct iovec vectors[SLOTS];
    unsigned next[SLOTS], count = 0;
    int n;

    for (unsigned i = 0; i < d->load->depth; i++) {
        vectors[i] = (struct iovec){ d->in[i], SIZE };
        messages[i].msg_hdr = (struct msghdr){ .msg_iov = &vectors[i], .msg_iovlen = 1 };
    }
    n = recvmmsg(c->fd, messages, d->load->depth, MSG_DONTWAIT, NULL);
    if (n < 0 && errno != EAGAIN)
        fail("recvmmsg");
    for (int i = 0; i < n; i++) {
        unsigned slot = accept_answer(d, c, d->in[i], messages[i].msg_len);

        if (slot == SLOTS)
            continue;
        d->load->answered++;
        d->in_flight--;
        c->flying[slot] = load_may_start(d->load);
        if (c->flying[slot]) {
            d->in_flight++;
            c->slots[slot] += d->load->depth;
            next[count++] = slot;
        }
    }
    send_slots(d, c, next, count);
}

static void resend(struct datagrams *d)
{
    for (unsigned i = 0; i < d->load->connections; i++)
        for (unsigned slot = 0; slot < d->load->depth; slot++)
            if (d->clients[i].flying[slot]) {
                d->load->lost++;
                d->resent = true;
                send_slots(d, &d->clients[i], &slot, 1);
            }
}

static void work(void *mode)
{
    struct datagrams *d = mode;
    struct epoll_event events[SLOTS];
    unsigned silent = 0;

    for (unsigned i = 0; i < d->load->connections; i++)
        for (unsigned slot = 0; slot < d->load->depth; slot++)
            if (load_may_start(d->load)) {
                d->in_flight++;
                d->clients[i].flying[slot] = true;
                d->clients[i].slots[slot] += d->load->depth;
                send_slots(d, &d->clients[i], &slot, 1);
            }
    while (d->in_flight > 0) {
        int n = epoll_wait(d->epoll, events, SLOTS, RESEND_MS);

        if (n < 0 || (silent = n == 0 ? silent + 1 : 0) == RESENDS)
            fail("the server does not answer");
        d->load->end = now();
        if (n == 0)
            resend(d);
        for (int i = 0; i < n; i++)
            receive(d, events[i].data.ptr);
    }
    d->load->end = now();
}

static void open_client(struct datagrams *d, unsigned i)
{
    struct client *c = &d->clients[i];
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

    c->fd = connection_open(&d->load->endpoint);
    c->number = i;
    for (unsigned slot = 0; slot < SLOTS; slot++)
        c->slots[slot] = slot;
    if (epoll_ctl(d->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
        fail("epoll_ctl");
}

void datagrams_run(struct load *load)
{
    static struct datagrams d;
    struct load wanted = *load;

    if (load->size < sizeof(uint64_t) || load->size > SIZE || load->depth > SLOTS)
        fail("a datagram has 8 to 2048 bytes, and 64 may be in flight");
    d.load = load;
    d.epoll = epoll_create1(EPOLL_CLOEXEC);
    d.clients = calloc(load->connections, sizeof(*d.clients));
    if (d.epoll < 0 || !d.clients)
        fail("datagrams");
    for (unsigned i = 0; i < load->connections; i++)
        open_client(&d, i);
    load->requests = load->connections;
    work(&d); /* before anything is measured */
    *load = wanted;
    load_serve(load, work, &d);
    free(d.clients);
}
