/* Stalls: whoever holds the loop for longer than stall_warn_ms is named in the log, whatever he
 * is called as; nobody else is. */
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/harness.h"

enum { LOT = 16 * 1024 * 1024, FLOOD = 40, TICK_MS = 10 };

#define HELD "held the loop for"

static atomic_int hold_ms = 150;

/* Compute: hold up whoever runs this. */
static void hold(void)
{
    uint64_t end = harness_now_ms() + (uint64_t)hold_ms;

    while (harness_now_ms() < end)
        continue;
}

static int port_of(int client)
{
    struct sockaddr_in address;
    socklen_t length = sizeof(address);

    return getsockname(client, (struct sockaddr *)&address, &length) == 0 ? ntohs(address.sin_port) : -1;
}

/* A line "service: peer: what held the loop for N ms", with N about right. */
static bool is_told(struct harness_log *log, int client, const char *what)
{
    char line[300];
    const char *found;
    long ms = 0;

    snprintf(line, sizeof(line), "warning staller: tcp:127.0.0.1:%d: %s " HELD " ", port_of(client), what);
    if (!harness_log_wait(log, line))
        return false;
    found = strstr(log->text, line);
    return sscanf(found + strlen(line), "%ld ms\n", &ms) == 1 && ms > 100 && ms < harness_deadline_ms();
}

/* Is no more time told than there was since begin, which each line rounds? Others may be named too, who were off the
 * processor for long. */
static bool no_time_is_told_twice(const struct harness_log *log, uint64_t begin)
{
    long told = 0;

    for (const char *at = log->text; (at = strstr(at, HELD));) {
        at += strlen(HELD);
        told += strtol(at, NULL, 10) - TICK_MS;
    }
    return told <= (long)(harness_now_ms() - begin);
}

/* ---- Evented callbacks ---- */

static int hold_in(struct ostler_conn *c)
{
    (void)c;
    hold();
    return 0;
}

static ssize_t hold_on_data(struct ostler_conn *c, const void *data, size_t n)
{
    (void)c;
    (void)data;
    hold();
    return (ssize_t)n;
}

static void hold_on_close(struct ostler_conn *c, enum ostler_close_reason reason, int error)
{
    (void)c;
    (void)reason;
    (void)error;
    hold();
}

static int set_timer(struct ostler_conn *c)
{
    return ostler_conn_set_timer(c, 1);
}

static struct harness_event written;

static ssize_t write_a_lot(struct ostler_conn *c, const void *data, size_t n)
{
    static const char lot[LOT];
    int error = ostler_conn_write(c, lot, sizeof(lot));

    harness_raise(&written);
    (void)data;
    return error < 0 ? error : (ssize_t)n;
}

static void hold_posted(struct ostler_conn *c, void *arg)
{
    (void)c;
    (void)arg;
    hold();
}

static ssize_t post_to_oneself(struct ostler_conn *c, const void *data, size_t n)
{
    int error = ostler_post_to(ostler_conn_id(c), hold_posted, NULL, NULL);

    (void)data;
    return error < 0 ? error : (ssize_t)n;
}

/* Each lets one callback take its time, once the client has said something, or has left. */
static const struct {
    const char *name;
    struct ostler_conn_handler handler;
} callbacks[] = {
    { "on_open", { .on_open = hold_in } },
    { "on_data", { .on_data = hold_on_data } },
    { "on_eof", { .on_eof = hold_in } },
    { "on_close", { .on_close = hold_on_close } },
    { "on_timeout", { .on_open = set_timer, .on_timeout = hold_in } },
    { "on_drain", { .on_data = write_a_lot, .on_drain = hold_in } },
    { "a function posted to it", { .on_data = post_to_oneself } },
};

/* Not before it was written: while somebody reads, the kernel may take all of it at once. */
static bool read_lot(int client)
{
    char buffer[4096];
    ssize_t n, count = 0;

    if (!harness_wait(&written, 1))
        return false;
    while (count < LOT && (n = harness_receive_once(client, buffer, sizeof(buffer))) > 0)
        count += n;
    return count == LOT;
}

START_TEST(a_callback_that_takes_long_is_named)
{
    uint64_t begin = harness_now_ms();
    struct harness_server h;
    int client;

    harness_event_init(&written);
    harness_start(&h, &(struct ostler_server_options){
                          .name = "staller", .address = "tcp:127.0.0.1:0", .conn = &callbacks[_i].handler,
                          .max_output = 2 * LOT });
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "go on\n"));
    if (callbacks[_i].handler.on_drain)
        ck_assert(read_lot(client));
    if (callbacks[_i].handler.on_eof || callbacks[_i].handler.on_close)
        ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
    ck_assert(is_told(&h.log, client, callbacks[_i].name));
    close(client);
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert(no_time_is_told_twice(&h.log, begin));
    harness_free(&h);
}
END_TEST

/* ---- Straight-line handlers ---- */

static atomic_int line_of_call;

/* The handler is about to make a call in that line. */
static bool is_at(int line)
{
    line_of_call = line;
    return true;
}

static int hold_and_wait(struct ostler_stream *s)
{
    char line[16];
    ssize_t n;

    while (is_at(__LINE__) && (n = ostler_stream_read_line(s, line, sizeof(line))) > 0) {
        hold();
        if (strcmp(line, "end\n") == 0)
            return 0;
    }
    return (int)n;
}

static const struct ostler_stream_handler waiter = { .handle = hold_and_wait };

static void start_waiter(struct harness_server *h, const struct ostler_mixin *mixin, long stall_warn_ms)
{
    harness_start(h, &(struct ostler_server_options){ .name = "staller", .address = "tcp:127.0.0.1:0",
                                                      .stream = &waiter, .mixin = mixin,
                                                      .stall_warn_ms = stall_warn_ms });
}

static const struct ostler_mixin *const on_the_loop[] = { NULL, &ostler_fibers };

START_TEST(a_handler_is_named_with_the_call_in_which_it_gave_the_loop_back)
{
    struct harness_server h;
    char what[200];
    int client;

    start_waiter(&h, on_the_loop[_i], 0);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "hold\n"));
    ck_assert(harness_log_wait(&h.log, "its handler, which now waits "));
    snprintf(what, sizeof(what), "its handler, which now waits at %s:%d,", __FILE__, line_of_call);
    ck_assert(is_told(&h.log, client, what));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_handler_that_returns_is_named_with_its_last_call)
{
    uint64_t begin = harness_now_ms();
    struct harness_server h;
    char what[200];
    int client;

    start_waiter(&h, on_the_loop[_i], 0);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "end\n"));
    ck_assert(harness_log_wait(&h.log, "its handler, which called last "));
    snprintf(what, sizeof(what), "its handler, which called last at %s:%d,", __FILE__, line_of_call);
    ck_assert(is_told(&h.log, client, what));
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert(no_time_is_told_twice(&h.log, begin));
    harness_free(&h);
}
END_TEST

/* Its peer is silent for longer than that. */
START_TEST(a_handler_that_waits_holds_nobody)
{
    uint64_t begin = harness_now_ms();
    struct harness_server h;
    int client;

    start_waiter(&h, on_the_loop[_i], 500);
    client = harness_connect(h.server);
    while (harness_now_ms() < begin + 700)
        ck_assert(harness_is_silent(client));
    close(client);
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(harness_log_count(&h.log, HELD), 0);
    harness_free(&h);
}
END_TEST

START_TEST(a_thread_holds_nobody)
{
    struct harness_server h;
    int client;

    start_waiter(&h, &ostler_threading, 0);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "end\n"));
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(harness_log_count(&h.log, "its handler"), 0);
    harness_free(&h);
}
END_TEST

static const long limits[] = { OSTLER_NEVER, 3600000 };

START_TEST(the_limit_can_be_set_or_taken_away)
{
    struct harness_server h;
    int client;

    start_waiter(&h, &ostler_fibers, limits[_i]);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "end\n"));
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(harness_log_count(&h.log, HELD), 0);
    harness_free(&h);
}
END_TEST

START_TEST(a_negative_limit_is_refused)
{
    struct harness_log log;
    struct ostler_server *server;

    harness_log_init(&log);
    ck_assert_int_eq(ostler_server_new(&server, &(struct ostler_server_options){
                         .address = "tcp:127.0.0.1:0", .stream = &waiter, .stall_warn_ms = -2, .log = &log.log }, NULL),
                     -EINVAL);
    harness_log_fini(&log);
}
END_TEST

/* A few at once, then one a second. */
START_TEST(a_flood_is_cut)
{
    struct harness_server h;
    int client, count;

    hold_ms = 40;
    harness_start(&h, &(struct ostler_server_options){ .name = "staller", .address = "tcp:127.0.0.1:0",
                                                       .conn = &callbacks[1].handler, .stall_warn_ms = 20 });
    for (int i = 0; i < FLOOD; i++) {
        client = harness_connect(h.server);
        ck_assert(harness_say(client, "hold\n"));
        ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
        ck_assert(harness_expect_end(client));
        close(client);
    }
    hold_ms = 150;
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    count = harness_log_count(&h.log, HELD);
    ck_assert_int_ge(count, 10);
    ck_assert_int_lt(count, FLOOD);
    harness_free(&h);
}
END_TEST

/* ---- Datagrams, slots, timers, posted functions ---- */

static int hold_on_datagram(struct ostler_datagram *d)
{
    hold();
    return ostler_datagram_reply(d, "held", 4);
}

static const struct ostler_datagram_handler datagram = { .on_datagram = hold_on_datagram };

static int connect_datagrams(const struct ostler_server *server)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    address.sin_port = htons((uint16_t)ostler_address_port(ostler_server_address(server, 0)));
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

START_TEST(a_datagrams_callback_is_named)
{
    struct harness_server h;
    int client;

    harness_start(&h, &(struct ostler_server_options){ .name = "staller", .address = "udp:127.0.0.1:0",
                                                       .datagram = &datagram });
    client = connect_datagrams(h.server);
    ck_assert_int_eq(send(client, "x", 1, 0), 1);
    ck_assert(harness_log_wait(&h.log, "on_datagram " HELD));
    ck_assert(harness_log_has(&h.log, "warning staller: udp:127.0.0.1:"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static bool hold_verify(struct ostler_server *server, const struct ostler_request *request)
{
    hold();
    return ostler_tcp_server.verify_request(server, request);
}

static int hold_process(struct ostler_server *server, struct ostler_request *request)
{
    hold();
    return ostler_tcp_server.process_request(server, request);
}

static int hold_get(struct ostler_server *server, int listener, struct ostler_address *peer)
{
    hold();
    return ostler_tcp_server.get_request(server, listener, peer);
}

static void hold_error(struct ostler_server *server, struct ostler_request *request, int error)
{
    (void)server;
    (void)request;
    (void)error;
    hold();
}

static void hold_shutdown(struct ostler_server *server, struct ostler_request *request)
{
    hold();
    ostler_tcp_server.shutdown_request(server, request);
}

static void hold_close(struct ostler_server *server, struct ostler_request *request)
{
    hold();
    ostler_tcp_server.close_request(server, request);
}

static int actions;

static void hold_actions(struct ostler_server *server)
{
    (void)server;
    if (actions++ == 0)
        hold();
}

static const struct {
    const char *name;
    struct ostler_server_class class;
} slots[] = {
    { "verify_request", { .super = &ostler_tcp_server, .verify_request = hold_verify } },
    { "process_request", { .super = &ostler_tcp_server, .process_request = hold_process } },
    { "get_request", { .super = &ostler_tcp_server, .get_request = hold_get } },
    { "handle_error", { .super = &ostler_tcp_server, .handle_error = hold_error } },
    { "shutdown_request", { .super = &ostler_tcp_server, .shutdown_request = hold_shutdown } },
    { "close_request", { .super = &ostler_tcp_server, .close_request = hold_close } },
    { "service_actions", { .super = &ostler_tcp_server, .service_actions = hold_actions } },
};

static ssize_t fail_on_data(struct ostler_conn *c, const void *data, size_t n)
{
    (void)c;
    (void)data;
    (void)n;
    return -EPROTO;
}

static const struct ostler_conn_handler failing = { .on_data = fail_on_data };

START_TEST(a_slot_of_the_class_is_named)
{
    struct harness_server h;
    char line[100];
    int client;

    actions = 0;
    harness_start(&h, &(struct ostler_server_options){ .name = "staller", .address = "tcp:127.0.0.1:0",
                                                       .server_class = &slots[_i].class, .conn = &failing });
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "fail\n"));
    close(client);
    snprintf(line, sizeof(line), "%s " HELD, slots[_i].name);
    ck_assert(harness_log_wait(&h.log, line));
    ck_assert(harness_log_has(&h.log, "warning staller: "));
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* As a large process would: nobody but who forks it is to be named for that. */
START_TEST(forking_is_named)
{
    uint64_t begin = harness_now_ms();
    struct harness_server h;
    int client;

    ck_assert_int_eq(pthread_atfork(hold, NULL, NULL), 0);
    start_waiter(&h, &ostler_forking, 0);
    client = harness_connect(h.server);
    ck_assert(harness_log_wait(&h.log, "warning staller: forking " HELD));
    ck_assert(harness_say(client, "end\n"));
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert(no_time_is_told_twice(&h.log, begin));
    harness_free(&h);
}
END_TEST

static int hold_get_datagrams(struct ostler_server *server, int listener, struct ostler_address *peer)
{
    hold();
    return ostler_udp_server.get_request(server, listener, peer);
}

static const struct ostler_server_class holds_datagrams = { .get_request = hold_get_datagrams };

START_TEST(a_slot_that_receives_datagrams_is_named)
{
    struct harness_server h;
    int client;

    harness_start(&h, &(struct ostler_server_options){ .name = "staller", .address = "udp:127.0.0.1:0",
                                                       .server_class = &holds_datagrams, .datagram = &datagram });
    client = connect_datagrams(h.server);
    ck_assert_int_eq(send(client, "x", 1, 0), 1);
    ck_assert(harness_log_wait(&h.log, "get_request " HELD));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static int reply_handle(struct ostler_stream *s)
{
    return ostler_stream_write(s, "x", 1);
}

static const struct ostler_stream_handler reply = { .handle = reply_handle };

/* What the program does when the reactor does not run holds nobody up: a thread's end is seen after that. */
START_TEST(the_time_between_two_runs_is_nobodys)
{
    struct ostler_server_options options = { .address = "udp:127.0.0.1:0", .stream = &reply,
                                             .mixin = &ostler_threading };
    struct ostler_server *server;
    struct harness_log log;
    int client;
    char byte;

    harness_log_init(&log);
    options.log = &log.log;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    client = connect_datagrams(server);
    ck_assert_int_eq(send(client, "x", 1, 0), 1);
    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert_int_eq(harness_receive_once(client, &byte, 1), 1);
    hold();
    ostler_server_free(server);
    ck_assert_int_eq(harness_log_count(&log, HELD), 0);
    harness_log_fini(&log);
    close(client);
}
END_TEST

static void hold_once(void *arg)
{
    hold();
    harness_raise(arg);
}

START_TEST(a_timer_and_a_posted_function_are_named)
{
    struct harness_event done = HARNESS_EVENT;
    struct harness_reactor h;
    struct ostler_timer *timer;

    harness_reactor_init(&h);
    if (_i) {
        ck_assert_int_eq(ostler_timer_new(&timer, h.reactor, hold_once, &done), 0);
        ck_assert_int_eq(ostler_timer_start(timer, 1), 0);
    } else {
        ck_assert_int_eq(ostler_reactor_post(h.reactor, hold_once, &done), 0);
    }
    harness_reactor_start(&h);
    ck_assert(harness_wait(&done, 1));
    ck_assert(harness_log_wait(&h.log, _i ? "warning a timer " HELD : "warning a posted function " HELD));
    ck_assert_int_eq(ostler_reactor_stop(h.reactor), 0);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    if (_i)
        ostler_timer_free(timer);
    harness_reactor_fini(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stall");
    TCase *tc = harness_case(suite, "stall");

    tcase_add_loop_test(tc, a_callback_that_takes_long_is_named, 0, sizeof(callbacks) / sizeof(callbacks[0]));
    tcase_add_loop_test(tc, a_handler_is_named_with_the_call_in_which_it_gave_the_loop_back, 0, 2);
    tcase_add_loop_test(tc, a_handler_that_returns_is_named_with_its_last_call, 0, 2);
    tcase_add_loop_test(tc, a_handler_that_waits_holds_nobody, 0, 2);
    tcase_add_test(tc, a_thread_holds_nobody);
    tcase_add_loop_test(tc, the_limit_can_be_set_or_taken_away, 0, 2);
    tcase_add_test(tc, a_negative_limit_is_refused);
    tcase_add_test(tc, a_flood_is_cut);
    tcase_add_test(tc, a_datagrams_callback_is_named);
    tcase_add_loop_test(tc, a_slot_of_the_class_is_named, 0, sizeof(slots) / sizeof(slots[0]));
    tcase_add_test(tc, a_slot_that_receives_datagrams_is_named);
    tcase_add_test(tc, the_time_between_two_runs_is_nobodys);
    tcase_add_test(tc, forking_is_named);
    tcase_add_loop_test(tc, a_timer_and_a_posted_function_are_named, 0, 2);
    return harness_main(suite);
}
