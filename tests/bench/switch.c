/* What a switch of fibers costs, in nanoseconds, the median of many rounds:
 *
 *   switch    to a fiber and back again: ost_fiber_resume() of one that yields for ever; nothing else
 *   mailbox   a message to another handler and its answer: two handlers on fibers, each of which
 *             waits for the other's mailbox, by the public interface; the reactor turns meanwhile */
#include <errno.h>
#include <ostler/ostler.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "endpoint.h"
#include "mixin/fiber.h"
#include "mixin/stack.h"

enum { ROUNDS = 41, SWITCHES = 100000, MESSAGES = 10000, STACK = 256 * 1024 };

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print_median(const char *name, double *rounds)
{
    qsort(rounds, ROUNDS, sizeof(*rounds), compare);
    printf("%s %.1f\n", name, rounds[ROUNDS / 2]);
}

static void yield_for_ever(void *arg)
{
    struct ost_fiber *fiber = arg;

    for (;;)
        ost_fiber_yield(fiber);
}

static void measure_switch(void)
{
    struct ost_stacks stacks;
    struct ost_fiber *fiber;
    double rounds[ROUNDS];

    ost_stacks_open(&stacks, STACK);
    if (ost_fiber_new(&fiber, &stacks) < 0)
        fail("fiber");
    ost_fiber_begin(fiber, yield_for_ever, fiber);
    for (int i = 0; i < ROUNDS; i++) {
        double begin = now_ns();

        for (int n = 0; n < SWITCHES; n++)
            ost_fiber_resume(fiber);
        rounds[i] = (now_ns() - begin) / SWITCHES;
    }
    print_median("switch", rounds);
}

struct talk {
    struct ostler_mailbox *there, *back;
    bool answering; /* somebody is */
};

static int answer(struct talk *talk)
{
    char word;
    int error = 0;

    while (error == 0 && ostler_mailbox_receive(talk->there, &word, 1, OSTLER_NEVER) == 1)
        error = ostler_mailbox_send(talk->back, &word, 1, OSTLER_NEVER);
    return error;
}

static void ask(struct talk *talk)
{
    double rounds[ROUNDS];
    char word = 'x';

    for (int i = 0; i < ROUNDS; i++) {
        double begin = now_ns();

        for (int n = 0; n < MESSAGES; n++)
            if (ostler_mailbox_send(talk->there, &word, 1, OSTLER_NEVER) < 0 ||
                ostler_mailbox_receive(talk->back, &word, 1, OSTLER_NEVER) != 1)
                fail("mailbox");
        rounds[i] = (now_ns() - begin) / MESSAGES;
    }
    print_median("mailbox", rounds);
}

/* The first connection's handler answers, the second one's asks. */
static int handle(struct ostler_stream *s)
{
    struct ostler_server *server = ostler_stream_server(s);
    struct talk *talk = ostler_server_user(server);

    if (!talk->answering) {
        talk->answering = true;
        return answer(talk);
    }
    ask(talk);
    ostler_mailbox_close(talk->there);
    return ostler_server_stop(server);
}

static void connect_to(const struct ostler_server *server)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (getsockname(ostler_server_fd(server, 0), (struct sockaddr *)&address, &length) < 0 ||
        connect(fd, (struct sockaddr *)&address, length) < 0)
        fail("connect");
}

static void measure_mailbox(void)
{
    static const struct ostler_stream_handler handler = { .handle = handle };
    struct talk talk = { 0 };
    struct ostler_server_options options = {
        .address = "tcp:127.0.0.1:0", .stream = &handler, .mixin = &ostler_fibers, .user = &talk,
    };
    struct ostler_server *server;

    if (ostler_mailbox_new(&talk.there, NULL) < 0 || ostler_mailbox_new(&talk.back, NULL) < 0 ||
        ostler_server_new(&server, &options, NULL) < 0)
        fail("server");
    connect_to(server);
    connect_to(server);
    if (ostler_server_serve_forever(server) < 0)
        fail("serve_forever");
    ostler_server_free(server);
    ostler_mailbox_free(talk.there);
    ostler_mailbox_free(talk.back);
}

int main(void)
{
    measure_switch();
    measure_mailbox();
    return 0;
}
