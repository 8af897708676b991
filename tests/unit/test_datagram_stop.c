/* Stopping and aborting a server of datagrams: what has arrived, what waits, and who else has the loop; and
 * servers that never served. */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/datagrams.h"

/* ---- A call that fails when a test says so ---- */

static atomic_int full_sends; /* so many sendmmsg() find the socket full */

int __real_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags);

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
    if (atomic_load(&full_sends) == 0 || atomic_fetch_sub(&full_sends, 1) == 0)
        return __real_sendmmsg(fd, messages, n, flags);
    errno = EAGAIN;
    return -1;
}

/* ---- Waiting for a place ---- */

START_TEST(datagrams_wait_for_a_place_and_a_stop_waits_for_them)
{
    struct ostler_server_options options = {
        .address = "udp:127.0.0.1:0", .stream = &waiting, .mixin = blocking[_i], .max_requests = 2
    };
    struct harness_server h;
    char answer[8];
    int client;

    share_events();
    harness_start(&h, &options);
    client = connected(h.server, 0);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(send(client, &(char){ (char)('a' + i) }, 1, 0), 1);
    ck_assert(harness_wait(begun, 2));
    ostler_reactor_stop(ostler_server_reactor(h.server));
    harness_raise(go);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(harness_receive_once(client, answer, sizeof(answer)), 1);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(harness_count(begun), 20);
    harness_free(&h);
    close(client);
}
END_TEST

/* More than the queue takes: they wait in the kernel, and in whichever socket they have come to. */
START_TEST(a_stop_waits_for_what_the_queue_does_not_take)
{
    static const char *const addresses[] = { "udp:127.0.0.1:0", "udp:127.0.0.1:0", NULL };
    struct ostler_server_options options = {
        .addresses = addresses, .stream = &waiting, .mixin = blocking[_i], .max_requests = 1, .queue = 4
    };
    struct harness_server h;
    char answer[8];
    int clients[2];

    share_events();
    harness_start(&h, &options);
    for (int k = 0; k < 2; k++) {
        clients[k] = connected(h.server, (size_t)k);
        for (int i = 0; i < 20; i++)
            ck_assert_int_eq(send(clients[k], "x", 1, 0), 1);
    }
    ck_assert(harness_wait(begun, 1));
    ostler_reactor_stop(ostler_server_reactor(h.server));
    harness_raise(go);
    for (int i = 0; i < 40; i++)
        ck_assert_int_eq(harness_receive_once(clients[i / 20], answer, sizeof(answer)), 1);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(harness_count(begun), 40);
    ck_assert_uint_eq(ostler_server_dropped(h.server), 0);
    harness_free(&h);
    close(clients[0]);
    close(clients[1]);
}
END_TEST

/* ---- Stopped from within ---- */

static void abort_server(void *server)
{
    ostler_server_abort(server);
}

static void stop_at_first(struct ostler_server *s)
{
    if (ostler_server_accepted(s) == 1)
        ostler_server_stop(s);
}

static bool stopping_verify(struct ostler_server *s, const struct ostler_request *r)
{
    (void)r;
    stop_at_first(s);
    return true;
}

static int stopping_on_datagram(struct ostler_datagram *d)
{
    int r = echo_on_datagram(d);

    stop_at_first(ostler_datagram_server(d));
    return r;
}

static const struct ostler_server_class stopping_class = { .verify_request = stopping_verify };
static const struct ostler_datagram_handler stopping_datagram = { .on_datagram = stopping_on_datagram };

/* Serve a crowd of datagrams that has come before, and look at the answers: each once. */
static void serve_crowd(const struct ostler_server_options *options)
{
    bool seen[CROWD] = { false };
    struct ostler_server *server;
    unsigned char byte = 0;
    int client;

    ck_assert_int_eq(ostler_server_new(&server, options, NULL), 0);
    client = connected(server, 0);
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_eq(send(client, &(char){ (char)i }, 1, 0), 1);
    ck_assert_int_eq(ostler_server_serve_forever(server), 0);
    for (int i = 0; i < CROWD; i++) {
        ck_assert_int_eq(harness_receive_once(client, (char *)&byte, 1), 1);
        ck_assert(byte < CROWD && !seen[byte]);
        seen[byte] = true;
    }
    ck_assert(harness_is_silent(client));
    ck_assert_uint_eq(ostler_server_accepted(server), CROWD);
    ck_assert_uint_eq(ostler_server_dropped(server), 0);
    ostler_server_free(server);
    close(client);
}

START_TEST(a_stop_within_a_batch_loses_nothing)
{
    struct ostler_server_options options = options_for(_i, &echo, &echo_datagram);

    options.server_class = &stopping_class;
    serve_crowd(&options);
}
END_TEST

START_TEST(a_handler_may_answer_and_stop_its_server)
{
    struct ostler_server_options options = { .address = "udp:127.0.0.1:0", .datagram = &stopping_datagram };

    serve_crowd(&options);
}
END_TEST

static int aborting_on_datagram(struct ostler_datagram *d)
{
    int r = echo_on_datagram(d);

    ostler_server_abort(ostler_datagram_server(d));
    return r;
}

static const struct ostler_datagram_handler aborting_datagram = { .on_datagram = aborting_on_datagram };

START_TEST(a_handler_may_answer_and_abort_its_server)
{
    struct ostler_server_options options = { .address = "udp:127.0.0.1:0", .datagram = &aborting_datagram };
    struct ostler_server *server;
    char byte = 0;
    int client;

    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    client = connected(server, 0);
    ck_assert_int_eq(send(client, "a", 1, 0), 1);
    ck_assert_int_eq(send(client, "b", 1, 0), 1);
    ck_assert_int_eq(ostler_server_serve_forever(server), 0);
    ck_assert_int_eq(harness_receive_once(client, &byte, 1), 1);
    ck_assert_int_eq(byte, 'a');
    ostler_server_free(server);
    close(client);
}
END_TEST

/* Those that wait for a place when the server is cut off are dropped: their handlers would
 * keep it from its end one after the other. */
START_TEST(a_cut_off_does_not_begin_what_waits)
{
    struct ostler_server_options options = {
        .address = "udp:127.0.0.1:0", .stream = &waiting, .mixin = blocking[_i], .max_requests = 1
    };
    struct harness_server h;
    char answer[8];
    int client;

    share_events();
    harness_start(&h, &options);
    client = connected(h.server, 0);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(send(client, "x", 1, 0), 1);
    ck_assert(harness_wait(begun, 1));
    ck_assert(harness_call(ostler_server_reactor(h.server), abort_server, h.server));
    harness_raise(go);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(harness_count(begun), 1);
    ck_assert_uint_eq(ostler_server_dropped(h.server), 19);
    ck_assert_uint_eq(ostler_server_waiting(h.server), 0);
    ck_assert_int_eq(harness_log_count(&h.log, "error "), 0);
    ck_assert_int_lt(recv(client, answer, sizeof(answer), MSG_DONTWAIT), 0);
    harness_free(&h);
    close(client);
}
END_TEST

/* ---- Aborted in the middle of a batch ---- */

static atomic_int crowd_begun;

static int abort_at_first(struct ostler_stream *s)
{
    if (atomic_fetch_add(&crowd_begun, 1) == 0)
        ostler_server_abort(ostler_stream_server(s));
    return ostler_sleep_ms(OSTLER_NEVER);
}

static int abort_on_datagram(struct ostler_datagram *d)
{
    if (atomic_fetch_add(&crowd_begun, 1) == 0)
        ostler_server_abort(ostler_datagram_server(d));
    return 0;
}

static int count_handle(struct ostler_stream *s)
{
    (void)s;
    atomic_fetch_add(&crowd_begun, 1);
    return 0;
}

static bool aborting_verify(struct ostler_server *s, const struct ostler_request *r)
{
    (void)r;
    if (ostler_server_accepted(s) == 1)
        ostler_server_abort(s);
    return true;
}

static const struct ostler_stream_handler aborts = { .handle = abort_at_first }, counts = { .handle = count_handle };
static const struct ostler_datagram_handler aborts_datagram = { .on_datagram = abort_on_datagram };
static const struct ostler_server_class aborting_class = { .verify_request = aborting_verify };

/* How many begin; all others are counted as dropped. */
static const struct {
    struct ostler_server_options options;
    int begin;
} aborters[] = {
    { { .datagram = &aborts_datagram }, 1 },
    { { .stream = &aborts, .mixin = &ostler_fibers }, 1 },
    { { .stream = &counts, .mixin = &ostler_fibers, .server_class = &aborting_class }, 0 },
    { { .stream = &counts, .mixin = &ostler_threading, .server_class = &aborting_class }, 0 },
};

enum { ABORTERS = sizeof(aborters) / sizeof(aborters[0]), BATCH = 20 };

START_TEST(an_abort_within_a_batch_holds_for_the_rest_of_it)
{
    struct ostler_server_options options = aborters[_i].options;
    struct ostler_server *server;
    int client;

    atomic_store(&crowd_begun, 0);
    options.address = "udp:127.0.0.1:0";
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    client = connected(server, 0);
    for (int i = 0; i < BATCH; i++)
        ck_assert_int_eq(send(client, "x", 1, 0), 1);
    ck_assert_int_eq(ostler_server_serve_forever(server), 0);
    ck_assert_int_eq(atomic_load(&crowd_begun), aborters[_i].begin);
    ck_assert_uint_eq(ostler_server_dropped(server), (unsigned)(BATCH - aborters[_i].begin));
    ostler_server_free(server);
    close(client);
}
END_TEST

/* ---- Flooded ---- */

static struct {
    struct ostler_server *server;
    int client, handled, in_call, ticks, before;
    struct ostler_timer *timer;
} flood;

/* Whoever is handled sends another one: there is always one more. */
static int flood_on_datagram(struct ostler_datagram *d)
{
    (void)d;
    flood.handled++;
    return send(flood.client, "x", 1, 0) == 1 ? 0 : -errno;
}

static const struct ostler_datagram_handler flooding = { .on_datagram = flood_on_datagram };

static void tick(void *arg)
{
    (void)arg;
    flood.ticks++;
    ostler_timer_start(flood.timer, 1);
}

static void end_flooded(int (*end)(struct ostler_server *server))
{
    flood.before = flood.handled;
    flood.ticks = 0;
    end(flood.server);
    flood.in_call = flood.handled - flood.before;
}

static void stop_flooded(void *arg)
{
    (void)arg;
    end_flooded(ostler_server_stop);
}

static void abort_flooded(void *arg)
{
    (void)arg;
    end_flooded(ostler_server_abort);
}

/* Serve until end() is called, once the flood is there. */
static void serve_flood(void (*end)(void *arg))
{
    struct ostler_server_options options = { .address = "udp:127.0.0.1:0", .datagram = &flooding };
    struct ostler_reactor *reactor;
    struct ostler_timer *ender;

    memset(&flood, 0, sizeof(flood));
    ck_assert_int_eq(ostler_reactor_new(&reactor, NULL), 0);
    ck_assert_int_eq(ostler_server_new(&flood.server, &options, reactor), 0);
    ck_assert_int_eq(ostler_timer_new(&flood.timer, reactor, tick, NULL), 0);
    ck_assert_int_eq(ostler_timer_new(&ender, reactor, end, NULL), 0);
    flood.client = connected(flood.server, 0);
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_eq(send(flood.client, "x", 1, 0), 1);
    ck_assert_int_eq(ostler_timer_start(flood.timer, 1), 0);
    ck_assert_int_eq(ostler_timer_start(ender, 10), 0);
    ck_assert_int_eq(ostler_server_serve_forever(flood.server), 0);
    ostler_server_free(flood.server);
    ostler_timer_free(flood.timer);
    ostler_timer_free(ender);
    ostler_reactor_free(reactor);
    close(flood.client);
}

START_TEST(a_stop_leaves_the_loop_to_others_in_a_flood)
{
    serve_flood(stop_flooded);
    ck_assert_int_gt(flood.before, 0);
    ck_assert_int_eq(flood.in_call, 0);
    ck_assert_int_ge(flood.handled - flood.before, CROWD); /* those had come */
    ck_assert_int_gt(flood.ticks, 0);
}
END_TEST

START_TEST(an_abort_handles_no_more_of_a_flood)
{
    serve_flood(abort_flooded);
    ck_assert_int_gt(flood.before, 0);
    ck_assert_int_eq(flood.handled, flood.before);
}
END_TEST

/* ---- Stopped by another server's handler ---- */

static struct {
    struct ostler_server *server;
    int client, handled, mine;
} other;

static int other_on_datagram(struct ostler_datagram *d)
{
    (void)d;
    other.handled++;
    other.mine += ostler_request_current() == NULL && ostler_sleep_ms(1) == -EDEADLK;
    return 0;
}

static int stop_other(struct ostler_stream *s)
{
    if (send(other.client, "x", 1, 0) == 1)
        ostler_server_stop(other.server);
    return ostler_server_stop(ostler_stream_server(s));
}

static const struct ostler_datagram_handler other_handler = { .on_datagram = other_on_datagram };
static const struct ostler_stream_handler stops_other = { .handle = stop_other };
static const struct ostler_mixin *const on_the_loop[] = { NULL, &ostler_fibers };

START_TEST(what_has_arrived_is_not_handled_within_a_handler_that_stops_its_server)
{
    struct ostler_server_options options = { .address = "udp:127.0.0.1:0", .datagram = &other_handler };
    struct ostler_server_options admin = { .address = "tcp:127.0.0.1:0", .stream = &stops_other,
                                           .mixin = on_the_loop[_i] };
    struct ostler_reactor *reactor;
    struct ostler_server *server;
    int client;

    memset(&other, 0, sizeof(other));
    ck_assert_int_eq(ostler_reactor_new(&reactor, NULL), 0);
    ck_assert_int_eq(ostler_server_new(&other.server, &options, reactor), 0);
    ck_assert_int_eq(ostler_server_new(&server, &admin, reactor), 0);
    ck_assert_int_eq(ostler_server_start(other.server), 0);
    ck_assert_int_eq(ostler_server_start(server), 0);
    other.client = connected(other.server, 0);
    client = harness_connect(server);
    ck_assert_int_ge(client, 0);
    ck_assert_int_eq(ostler_server_serve_forever(server), 0);
    ck_assert_int_eq(ostler_server_serve_forever(other.server), 0);
    ck_assert_int_eq(other.handled, 1);
    ck_assert_int_eq(other.mine, 1);
    ostler_server_free(server);
    ostler_server_free(other.server);
    ostler_reactor_free(reactor);
    close(client);
    close(other.client);
}
END_TEST

/* ---- Who else reads the socket ---- */

/* What was there when it was told to stop is gone before it comes to that. */
START_TEST(what_another_process_has_taken_is_not_waited_for)
{
    struct ostler_server_options options = { .address = "udp:127.0.0.1:0", .datagram = &echo_datagram,
                                             .stop_timeout_ms = OSTLER_NEVER };
    struct ostler_server *server;
    int others, client;
    char byte;

    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    others = dup(ostler_server_fd(server, 0));
    client = connected(server, 0);
    ck_assert_int_eq(send(client, "x", 1, 0), 1);
    ck_assert_int_eq(ostler_server_start(server), 0);
    ck_assert_int_eq(ostler_server_stop(server), 0);
    ck_assert_int_eq(recv(others, &byte, 1, MSG_DONTWAIT), 1);
    ck_assert_int_eq(ostler_server_serve_forever(server), 0);
    ck_assert_uint_eq(ostler_server_accepted(server), 0);
    ostler_server_free(server);
    close(others);
    close(client);
}
END_TEST

/* ---- Not served ---- */

/* What waits on fd is the n bytes of data. */
static bool still_has(int fd, const char *data, size_t n)
{
    char there[64];

    return recv(fd, there, sizeof(there), MSG_DONTWAIT) == (ssize_t)n && memcmp(there, data, n) == 0;
}

START_TEST(a_server_that_could_not_be_made_takes_nothing)
{
    char address[32];
    const char *addresses[] = { address, "unixgram:/none/s", NULL };
    struct ostler_server_options options = options_for(_i, &echo, &echo_datagram);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof(to);
    struct ostler_server *server;
    int fd = client_for(AF_INET), client = client_for(AF_INET);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&to, &length), 0);
    ck_assert_int_eq(connect(client, (struct sockaddr *)&to, sizeof(to)), 0);
    ck_assert_int_eq(send(client, "hello", 5, 0), 5);
    snprintf(address, sizeof(address), "fd:%d", fd);
    options.address = NULL;
    options.addresses = addresses;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), -ENOENT);
    ck_assert(still_has(fd, "hello", 5));
    ck_assert(harness_is_silent(client));
    close(fd);
    close(client);
}
END_TEST

START_TEST(a_server_that_was_not_started_answers_nothing)
{
    struct ostler_server_options options = options_for(_i, &echo, &echo_datagram);
    struct ostler_server *server;
    int client;

    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    client = connected(server, 0);
    ck_assert_int_eq(send(client, "hello", 5, 0), 5);
    ostler_server_free(server);
    ck_assert(harness_is_silent(client));
    close(client);
}
END_TEST

/* ---- A full socket ---- */

START_TEST(replies_wait_for_a_full_socket_and_a_stop_waits_for_them)
{
    struct ostler_server_options options = { .address = "udp:127.0.0.1:0", .datagram = &stopping_datagram };

    atomic_store(&full_sends, 3);
    serve_crowd(&options);
    ck_assert_int_eq(atomic_load(&full_sends), 0);
}
END_TEST

START_TEST(what_stays_unsent_is_counted)
{
    struct ostler_server_options options = { .address = "udp:127.0.0.1:0", .datagram = &stopping_datagram,
                                             .stop_timeout_ms = 50 };
    struct ostler_server *server;
    int client;

    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    client = connected(server, 0);
    ck_assert_int_eq(send(client, "a", 1, 0), 1);
    ck_assert_int_eq(send(client, "b", 1, 0), 1);
    atomic_store(&full_sends, INT_MAX);
    ck_assert_int_eq(ostler_server_serve_forever(server), 0);
    ck_assert_uint_eq(ostler_server_dropped(server), 2);
    atomic_store(&full_sends, 0);
    ostler_server_free(server);
    close(client);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("datagram_stop");
    TCase *tc = harness_case(suite, "places");

    tcase_add_loop_test(tc, datagrams_wait_for_a_place_and_a_stop_waits_for_them, 0, 2);
    tcase_add_loop_test(tc, a_stop_waits_for_what_the_queue_does_not_take, 0, 2);
    tc = harness_case(suite, "within");
    tcase_add_loop_test(tc, a_stop_within_a_batch_loses_nothing, 0, WAYS);
    tcase_add_test(tc, a_handler_may_answer_and_stop_its_server);
    tcase_add_test(tc, a_handler_may_answer_and_abort_its_server);
    tcase_add_loop_test(tc, a_cut_off_does_not_begin_what_waits, 0, 2);
    tcase_add_loop_test(tc, an_abort_within_a_batch_holds_for_the_rest_of_it, 0, ABORTERS);
    tc = harness_case(suite, "others");
    tcase_add_test(tc, a_stop_leaves_the_loop_to_others_in_a_flood);
    tcase_add_test(tc, an_abort_handles_no_more_of_a_flood);
    tcase_add_loop_test(tc, what_has_arrived_is_not_handled_within_a_handler_that_stops_its_server, 0, 2);
    tcase_add_test(tc, what_another_process_has_taken_is_not_waited_for);
    tc = harness_case(suite, "not served");
    tcase_add_loop_test(tc, a_server_that_could_not_be_made_takes_nothing, 0, WAYS);
    tcase_add_loop_test(tc, a_server_that_was_not_started_answers_nothing, 0, WAYS);
    tc = harness_case(suite, "full");
    tcase_add_test(tc, replies_wait_for_a_full_socket_and_a_stop_waits_for_them);
    tcase_add_test(tc, what_stays_unsent_is_counted);
    return harness_main(suite);
}
