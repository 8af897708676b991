/* Bad input: a NULL where an object is due, a negative size or time, an object that has stopped.
 * Every function that can return an error does, and nothing has changed. What cannot return one
 * tells nothing (NULL, 0, false), or does nothing. */
#include "support/harness.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ostler/sys/libevent.h>

struct call {
    const char *text;
    long long result, expected;
};

#define GIVES(expected, call) { #call, (long long)(call), (expected) }
#define REFUSED(call) GIVES(-EINVAL, call)
#define NOTHING(call) GIVES(0, (intptr_t)(call))

static void check(const struct call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(calls[i].result == calls[i].expected, "%s gave %lld, not %lld", calls[i].text, calls[i].result,
                      calls[i].expected);
}

#define CHECK(calls) check(calls, sizeof(calls) / sizeof((calls)[0]))

static int greet(struct ostler_stream *s)
{
    return ostler_stream_write(s, "hello\n", 6);
}

static const struct ostler_stream_handler greeting = { .handle = greet };
static const struct ostler_server_options fine = { .address = "tcp:127.0.0.1:0", .stream = &greeting };

static void nothing(void *arg)
{
    (void)arg;
}

static void nothing_conn(struct ostler_conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
}

START_TEST(a_server_that_is_null)
{
    struct ostler_server *out = NULL;
    const struct call calls[] = {
        REFUSED(ostler_server_new(NULL, &fine, NULL)),
        REFUSED(ostler_server_new(&out, NULL, NULL)),
        REFUSED(ostler_server_bind(NULL)),
        REFUSED(ostler_server_activate(NULL)),
        REFUSED(ostler_server_start(NULL)),
        REFUSED(ostler_server_stop(NULL)),
        REFUSED(ostler_server_abort(NULL)),
        REFUSED(ostler_server_close(NULL, 1)),
        REFUSED(ostler_server_serve_forever(NULL)),
        REFUSED(ostler_server_handle_request(NULL)),
        REFUSED(ostler_server_set_request_timeout(NULL, 1)),
        REFUSED(ostler_server_shutdown(NULL)),
        REFUSED(ostler_serve_forever(NULL)),
        REFUSED(ostler_server_fd(NULL, 0)),
        NOTHING(ostler_server_user(NULL)),
        NOTHING(ostler_server_name(NULL)),
        NOTHING(ostler_server_reactor(NULL)),
        NOTHING(ostler_server_log(NULL)),
        NOTHING(ostler_server_options_of(NULL)),
        NOTHING(ostler_server_address(NULL, 0)),
        NOTHING(ostler_server_is_stopping(NULL)),
        NOTHING(ostler_server_active(NULL)),
        NOTHING(ostler_server_waiting(NULL)),
        NOTHING(ostler_server_accepted(NULL)),
        NOTHING(ostler_server_dropped(NULL)),
        NOTHING(out),
    };

    CHECK(calls);
    ostler_server_free(NULL);
}
END_TEST

START_TEST(a_reactor_timer_or_signal_that_is_null)
{
    struct ostler_reactor *reactor;
    struct ostler_timer *timer = NULL;
    struct ostler_signal *watcher = NULL;

    ck_assert_int_eq(ostler_reactor_new(&reactor, NULL), 0);
    const struct call calls[] = {
        REFUSED(ostler_reactor_new(NULL, NULL)),
        REFUSED(ostler_reactor_run(NULL)),
        REFUSED(ostler_reactor_stop(NULL)),
        REFUSED(ostler_reactor_abort(NULL)),
        REFUSED(ostler_reactor_post(NULL, nothing, NULL)),
        REFUSED(ostler_reactor_post(reactor, NULL, NULL)),
        REFUSED(ostler_timer_new(NULL, reactor, nothing, NULL)),
        REFUSED(ostler_timer_new(&timer, NULL, nothing, NULL)),
        REFUSED(ostler_timer_new(&timer, reactor, NULL, NULL)),
        REFUSED(ostler_timer_start(NULL, 1)),
        REFUSED(ostler_timer_stop(NULL)),
        REFUSED(ostler_signal_new(NULL, reactor, 1, nothing, NULL)),
        REFUSED(ostler_signal_new(&watcher, NULL, 1, nothing, NULL)),
        REFUSED(ostler_signal_new(&watcher, reactor, 1, NULL, NULL)),
        REFUSED(ostler_signal_new(&watcher, reactor, -1, nothing, NULL)),
        REFUSED(ostler_signal_new(&watcher, reactor, INT_MAX, nothing, NULL)),
        NOTHING(ostler_reactor_is_current(NULL)),
        NOTHING(ostler_reactor_log(NULL)),
        NOTHING(ostler_reactor_event_base(NULL)),
        NOTHING(timer),
        NOTHING(watcher),
    };
    CHECK(calls);
    ostler_reactor_free(NULL);
    ostler_timer_free(NULL);
    ostler_signal_free(NULL);
    ostler_reactor_free(reactor);
}
END_TEST

START_TEST(a_stream_that_is_null)
{
    char buffer[8];
    const struct call calls[] = {
        REFUSED(ostler_stream_read(NULL, buffer, 8)),
        REFUSED(ostler_stream_read_exactly(NULL, buffer, 8)),
        REFUSED(ostler_stream_read_line(NULL, buffer, 8)),
        REFUSED(ostler_stream_write(NULL, buffer, 8)),
        REFUSED(ostler_stream_printf(NULL, "%d", 1)),
        REFUSED(ostler_stream_flush(NULL)),
        REFUSED(ostler_stream_set_output_buffer(NULL, 8)),
        REFUSED(ostler_stream_shutdown_write(NULL)),
        REFUSED(ostler_stream_set_timeout(NULL, 1)),
        REFUSED(ostler_stream_set_deadline(NULL, 1)),
        REFUSED(ostler_stream_no_reply(NULL)),
        NOTHING(ostler_stream_server(NULL)),
        NOTHING(ostler_stream_peer(NULL)),
    };

    CHECK(calls);
}
END_TEST

START_TEST(a_conn_or_datagram_that_is_null)
{
    const struct ostler_request_ref nobody = { 0 };
    struct ostler_conn *out = NULL;
    const struct call calls[] = {
        REFUSED(ostler_conn_write(NULL, "x", 1)),
        REFUSED(ostler_conn_pause(NULL)),
        REFUSED(ostler_conn_resume(NULL)),
        REFUSED(ostler_conn_set_marks(NULL, 1, 2)),
        REFUSED(ostler_conn_set_timer(NULL, 1)),
        REFUSED(ostler_conn_set_timeout(NULL, 1)),
        REFUSED(ostler_conn_set_deadline(NULL, 1)),
        REFUSED(ostler_conn_shutdown_write(NULL)),
        REFUSED(ostler_conn_close(NULL)),
        REFUSED(ostler_conn_abort(NULL)),
        REFUSED(ostler_conn_connect(&out, NULL, "tcp:127.0.0.1:1", &(struct ostler_conn_handler){ 0 })),
        REFUSED(ostler_post_to(nobody, nothing_conn, NULL, NULL)),
        REFUSED(ostler_datagram_reply(NULL, "x", 1)),
        NOTHING(ostler_conn_queued(NULL)),
        NOTHING(ostler_conn_is_full(NULL)),
        NOTHING(ostler_conn_server(NULL)),
        NOTHING(ostler_conn_peer(NULL)),
        NOTHING(ostler_conn_id(NULL).serial),
        NOTHING(ostler_datagram_data(NULL)),
        NOTHING(ostler_datagram_length(NULL)),
        NOTHING(ostler_datagram_was_cut(NULL)),
        NOTHING(ostler_datagram_server(NULL)),
        NOTHING(ostler_datagram_peer(NULL)),
        NOTHING(out),
    };

    CHECK(calls);
}
END_TEST

START_TEST(a_request_address_or_log_that_is_null)
{
    const struct ostler_request_ref nobody = { 0 };
    struct ostler_address *address = NULL;
    char text[OSTLER_ADDRESS_TEXT] = "as it was";
    size_t length = 7;

    const struct call calls[] = {
        REFUSED(ostler_request_fd(NULL)),
        REFUSED(ostler_request_cancel(nobody)),
        NOTHING(ostler_request_peer(NULL)),
        NOTHING(ostler_request_server(NULL)),
        NOTHING(ostler_request_is_datagram(NULL)),
        NOTHING(ostler_request_was_cut(NULL)),
        NOTHING(ostler_request_data(NULL, &length)),
        NOTHING(ostler_request_id(NULL).serial),
        NOTHING(ostler_request_bytes_in(NULL)),
        NOTHING(ostler_request_bytes_out(NULL)),
        REFUSED(ostler_address_parse(NULL, "tcp:127.0.0.1:1")),
        REFUSED(ostler_address_parse(&address, NULL)),
        REFUSED(ostler_address_parse(&address, "tcp:127.0.0.1:65536")),
        REFUSED(ostler_address_parse(&address, "tcp:127.0.0.1:-1")),
        REFUSED(ostler_address_text(NULL, text, sizeof(text))),
        REFUSED(ostler_address_port(NULL)),
        NOTHING(ostler_address_is_loopback(NULL)),
        NOTHING(ostler_address_is_datagram(NULL)),
        NOTHING(address),
        GIVES(7, length),
        REFUSED(ostler_log_level_parse(NULL)),
        REFUSED(ostler_log_level_parse("loud")),
        NOTHING(ostler_log_level_name(-1)),
    };

    CHECK(calls);
    ck_assert_str_eq(text, "as it was");
    ck_assert_ptr_nonnull(ostler_address_problem(NULL));
    ostler_address_free(NULL);
}
END_TEST

/* ---- Numbers that cannot be ---- */

static const struct {
    const char *text;
    struct ostler_server_options bad;
} bad[] = {
    { "max_requests", { .max_requests = -1 } },
    { "max_parked", { .max_parked = -1 } },
    { "queue", { .queue = -1 } },
    { "backlog", { .backlog = -1 } },
    { "stack_size", { .stack_size = 1 } },
    { "stack_size", { .stack_size = SIZE_MAX } },
    { "max_packet", { .max_packet = 65536 } },
    { "timeout_ms", { .timeout_ms = -2 } },
    { "deadline_ms", { .deadline_ms = LONG_MIN } },
    { "stop_timeout_ms", { .stop_timeout_ms = -2 } },
    { "request_timeout_ms", { .request_timeout_ms = -2 } },
    { "actions_interval_ms", { .actions_interval_ms = -2 } },
    { "stall_warn_ms", { .stall_warn_ms = -2 } },
    { "max_input", { .max_input = SIZE_MAX } },
    { "max_output", { .max_output = SIZE_MAX } },
    { "output_high", { .output_high = SIZE_MAX } },
    { "output_low", { .output_low = SIZE_MAX } },
    { "socket_mode", { .socket_mode = 01000 } },
    { "socket_mode", { .socket_mode = 0577 } },
    { "socket_mode", { .socket_mode = 0060 } },
    { "stream.size", { .stream = &(struct ostler_stream_handler){ .size = SIZE_MAX, .handle = greet } } },
    { "stream.output_buffer",
      { .stream = &(struct ostler_stream_handler){ .handle = greet, .output_buffer = SIZE_MAX } } },
    { "conn.size", { .conn = &(struct ostler_conn_handler){ .size = SIZE_MAX } } },
};

START_TEST(options_that_cannot_be)
{
    struct ostler_server_options options = bad[_i].bad;
    struct ostler_server *server = NULL;
    struct harness_log log;

    harness_log_init(&log);
    options.address = fine.address;
    if (!options.stream && !options.conn)
        options.stream = fine.stream;
    options.log = &log.log;
    ck_assert_msg(ostler_server_new(&server, &options, NULL) == -EINVAL, "%s", bad[_i].text);
    ck_assert_ptr_null(server);
    ck_assert(harness_log_has(&log, "error server: "));
    harness_log_fini(&log);
}
END_TEST

static const struct ostler_mixin *const mixins[] = { NULL, &ostler_threading, &ostler_fibers };

enum { MIXINS = sizeof(mixins) / sizeof(mixins[0]) };

static struct call of_stream[16], of_conn[16];

static int ask_too_much(struct ostler_stream *s)
{
    char buffer[10] = "as it was";
    struct ostler_wait strange = { .stream = &(struct ostler_stream){ NULL }, .events = OSTLER_READ };
    const struct call calls[] = {
        REFUSED(ostler_stream_read(s, NULL, 8)),
        REFUSED(ostler_stream_read(s, buffer, 0)),
        REFUSED(ostler_stream_read(s, buffer, SIZE_MAX)),
        REFUSED(ostler_stream_read_exactly(s, NULL, 8)),
        REFUSED(ostler_stream_read_exactly(s, buffer, SIZE_MAX)),
        REFUSED(ostler_stream_read_line(s, NULL, 8)),
        REFUSED(ostler_stream_read_line(s, buffer, 1)),
        REFUSED(ostler_stream_read_line(s, buffer, SIZE_MAX)),
        REFUSED(ostler_stream_write(s, NULL, 8)),
        REFUSED(ostler_stream_write(s, buffer, SIZE_MAX)),
        REFUSED(ostler_stream_set_output_buffer(s, SIZE_MAX)),
        REFUSED(ostler_stream_set_output_buffer(s, SIZE_MAX / 2)),
        REFUSED(ostler_wait_any(&strange, 1, 0)),
        GIVES(0, strcmp(buffer, "as it was") != 0),
    };

    memcpy(of_stream, calls, sizeof(calls));
    return ostler_stream_write(s, "asked\n", 6);
}

START_TEST(sizes_that_no_stream_has)
{
    static const struct ostler_stream_handler handler = { .handle = ask_too_much };
    struct ostler_server_options options = { .address = fine.address, .stream = &handler, .mixin = mixins[_i] };
    struct harness_server h;
    int client;

    harness_start(&h, &options);
    client = harness_connect(h.server);
    ck_assert(harness_expect(client, "asked\n"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    for (size_t i = 0; of_stream[i].text; i++)
        check(&of_stream[i], 1);
}
END_TEST

static int connect_too_much(struct ostler_conn *conn)
{
    static const struct ostler_conn_handler small = { .size = 1 }, large = { .size = SIZE_MAX };
    struct ostler_server *server = ostler_conn_server(conn);
    struct ostler_conn *out = NULL;
    const struct call calls[] = {
        REFUSED(ostler_conn_connect(&out, server, "tcp:127.0.0.1:1", &small)),
        REFUSED(ostler_conn_connect(&out, server, "tcp:127.0.0.1:1", &large)),
        REFUSED(ostler_conn_write(conn, "x", SIZE_MAX)),
        GIVES(0, ostler_conn_write(conn, "asked\n", 6)), /* it is as it was */
        NOTHING(out),
    };

    memcpy(of_conn, calls, sizeof(calls));
    return ostler_conn_close(conn);
}

START_TEST(sizes_that_no_conn_has)
{
    static const struct ostler_conn_handler handler = { .on_open = connect_too_much };
    struct ostler_server_options options = { .address = fine.address, .conn = &handler };
    struct harness_server h;
    int client;

    harness_start(&h, &options);
    client = harness_connect(h.server);
    ck_assert(harness_expect(client, "asked\n"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    for (size_t i = 0; of_conn[i].text; i++)
        check(&of_conn[i], 1);
}
END_TEST

/* ---- Objects that have stopped, or run ---- */

START_TEST(a_server_that_has_stopped)
{
    struct ostler_server *server;

    ck_assert_int_eq(ostler_server_new(&server, &fine, NULL), 0);
    ck_assert_int_eq(ostler_server_stop(server), 0);
    const struct call calls[] = {
        GIVES(-ESHUTDOWN, ostler_server_start(server)),
        GIVES(-ESHUTDOWN, ostler_server_handle_request(server)),
        GIVES(0, ostler_server_serve_forever(server)),
        GIVES(0, ostler_server_stop(server)),
        GIVES(0, ostler_server_abort(server)),
        GIVES(0, ostler_server_shutdown(server)),
        GIVES(0, ostler_server_close(server, 0)),
        GIVES(-EBADF, ostler_server_fd(server, 0)),
        GIVES(-EINVAL, ostler_server_fd(server, 1)),
        GIVES(-EINVAL, ostler_server_fd(server, SIZE_MAX)),
        GIVES(0, ostler_server_active(server)),
        GIVES(1, ostler_server_is_stopping(server)),
    };
    CHECK(calls);
    ostler_server_free(server);
}
END_TEST

static struct {
    struct ostler_server *server;
    struct call calls[8];
} inside;

static int ask_inside(struct ostler_stream *s)
{
    struct ostler_server *server = ostler_stream_server(s);
    const struct call calls[8] = {
        GIVES(-EALREADY, ostler_server_start(server)),
        GIVES(-EBUSY, ostler_server_serve_forever(server)),
        GIVES(-EBUSY, ostler_server_handle_request(server)),
        GIVES(-EBUSY, ostler_server_close(server, 0)),
        GIVES(-EBUSY, ostler_reactor_run(ostler_server_reactor(server))),
        GIVES(-EINVAL, ostler_stream_set_timeout(s, -2)),
        GIVES(-EINVAL, ostler_stream_set_deadline(s, -2)),
        GIVES(-EINVAL, ostler_server_set_request_timeout(server, -2)),
    };

    memcpy(inside.calls, calls, sizeof(calls));
    return ostler_stream_write(s, "asked\n", 6);
}

static const struct ostler_stream_handler asking = { .handle = ask_inside };

START_TEST(a_server_that_runs)
{
    struct ostler_server_options options = { .address = fine.address, .stream = &asking };
    struct harness_server h;
    int client;

    options.mixin = _i ? &ostler_fibers : NULL;
    harness_start(&h, &options);
    client = harness_connect(h.server);
    ck_assert(harness_expect(client, "asked\n"));
    ck_assert(harness_expect_end(client));
    shutdown(client, SHUT_WR);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    CHECK(inside.calls);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("arguments");
    TCase *tc = harness_case(suite, "null");

    tcase_add_test(tc, a_server_that_is_null);
    tcase_add_test(tc, a_reactor_timer_or_signal_that_is_null);
    tcase_add_test(tc, a_stream_that_is_null);
    tcase_add_test(tc, a_conn_or_datagram_that_is_null);
    tcase_add_test(tc, a_request_address_or_log_that_is_null);
    tc = harness_case(suite, "numbers");
    tcase_add_loop_test(tc, options_that_cannot_be, 0, sizeof(bad) / sizeof(bad[0]));
    tcase_add_loop_test(tc, sizes_that_no_stream_has, 0, MIXINS);
    tcase_add_test(tc, sizes_that_no_conn_has);
    tc = harness_case(suite, "states");
    tcase_add_test(tc, a_server_that_has_stopped);
    tcase_add_loop_test(tc, a_server_that_runs, 0, 2);
    return harness_main(suite);
}
