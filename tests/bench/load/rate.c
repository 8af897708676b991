/* New connections all the time, so many at once: the oldest one's answer is read and checked, it closes, and
 * another one opens and asks. Whoever comes later has its answer meanwhile, so that waiting for them in
 * turn costs no time, and no epoll. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "load.h"

struct client {
    int fd; /* -1: none */
    unsigned number;
};

struct rate {
    struct load *load;
    struct client *clients;
};

static void begin(struct load *load, struct client *c, unsigned number)
{
    c->number = number;
    c->fd = connection_open(&load->endpoint);
    if (send(c->fd, pattern_at(number, 0), load->size, MSG_NOSIGNAL) != (ssize_t)load->size)
        fail("send");
}

static void finish(struct load *load, struct client *c)
{
    static unsigned char buffer[PATTERN_PERIOD];

    if (recv(c->fd, buffer, load->size, MSG_WAITALL) != (ssize_t)load->size)
        fail("recv");
    pattern_check(buffer, load->size, c->number, 0);
    close(c->fd);
    c->fd = -1;
    load->answered++;
    load->end = now();
}

static void work(void *mode)
{
    struct rate *rate = mode;
    struct load *load = rate->load;
    unsigned next = 0, open = 0;

    do {
        struct client *c = &rate->clients[next % load->connections];

        if (c->fd >= 0) {
            finish(load, c);
            open--;
        }
        if (load_may_start(load)) {
            begin(load, c, next);
            open++;
        }
        next++;
    } while (open > 0);
}

void rate_run(struct load *load)
{
    struct rate rate = { load, calloc(load->connections, sizeof(*rate.clients)) };
    struct load wanted = *load;

    if (!rate.clients)
        fail("calloc");
    for (unsigned i = 0; i < load->connections; i++)
        rate.clients[i].fd = -1;
    load->requests = 1;
    work(&rate); /* one, before anything is measured */
    *load = wanted;
    load_serve(load, work, &rate);
    free(rate.clients);
}
