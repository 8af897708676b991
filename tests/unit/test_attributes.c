/* The attributes of a server, the hooks in their order, and the rules of setup, handle and
 * finish: of every server class under every mix-in. */
#include "support/matrix.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int echo_line(struct ostler_stream *s)
{
    char line[128];
    ssize_t n = ostler_stream_read_line(s, line, sizeof(line));

    return n < 0 ? (int)n : ostler_stream_write(s, line, (size_t)n);
}

static const struct ostler_stream_handler echo = { .handle = echo_line };

static struct ostler_server_options options_of(const struct matrix_row *row,
                                               const struct ostler_stream_handler *handler)
{
    return (struct ostler_server_options){
        .name = row->word, .address = row->address, .stream = handler, .mixin = row->mixin
    };
}

/* ---- Attributes ---- */

static const int capacities[MIXINS] = { 1, 256, 40, 10000 };

START_TEST(attributes_have_their_defaults)
{
    struct matrix_row row = matrix_row_at(_i);
    struct ostler_server_options options = options_of(&row, &echo);
    const struct ostler_server_options *told;
    struct ostler_server *server;

    matrix_enter();
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    told = ostler_server_options_of(server);
    ck_assert_ptr_eq(told->stream, &echo);
    ck_assert_int_eq(told->backlog, SOMAXCONN);
    ck_assert_int_eq(told->request_timeout_ms, row.mixin == &ostler_forking ? 300000 : OSTLER_NEVER);
    ck_assert_int_eq(told->max_requests, capacities[_i % MIXINS]);
    ck_assert_uint_eq(told->max_packet, 65535);
    ck_assert(!told->no_reuse_address && !told->reuse_port && !told->no_block_on_close && !told->daemon_threads);
    ck_assert_int_eq(ostler_address_is_datagram(ostler_server_address(server, 0)), row.type == SOCK_DGRAM);
    ck_assert_ptr_null(told->address);
    ck_assert_ptr_null(ostler_server_options_of(NULL));
    ostler_server_free(server);
    ck_assert(matrix_leave());
}
END_TEST

START_TEST(request_queue_size_is_the_backlog_of_the_listener)
{
    struct matrix_row row = matrix_row_at(0);
    struct ostler_server_options options = options_of(&row, &echo);
    struct ostler_server *server;
    struct tcp_info info = { 0 };
    socklen_t length = sizeof(info);

    options.backlog = 17;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    ck_assert_int_eq(getsockopt(ostler_server_fd(server, 0), IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    ck_assert_uint_eq(info.tcpi_sacked, 17); /* of a listener, that is what it means */
    ostler_server_free(server);
}
END_TEST

static int tell_cut(struct ostler_stream *s)
{
    char packet[64];
    ssize_t n = ostler_stream_read(s, packet, sizeof(packet));

    return ostler_stream_printf(s, "%zd %s\n", n, ostler_request_was_cut(s->request) ? "cut" : "whole");
}

static const struct ostler_stream_handler telling = { .handle = tell_cut };

START_TEST(a_datagram_over_max_packet_size_is_cut_and_says_so)
{
    struct matrix_row row = matrix_row_at(_i);
    struct ostler_server_options options = options_of(&row, &telling);
    struct harness_server h;
    int client;

    if (row.type == SOCK_STREAM)
        return;
    matrix_enter();
    options.max_packet = 8;
    harness_start(&h, &options);
    client = matrix_connect(h.server);
    ck_assert(matrix_ask(client, "12345678", "8 whole\n"));
    ck_assert(matrix_ask(client, "123456789", "8 cut\n"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert(matrix_leave());
}
END_TEST

static bool is_known(struct ostler_server *server, const struct ostler_request *request)
{
    size_t n = 99;
    const char *data = ostler_request_data(request, &n);

    (void)server;
    return ostler_request_is_datagram(request) ? n == 5 && memcmp(data, "known", 5) == 0 : !data && n == 99;
}

static const struct ostler_server_class choosy = { .verify_request = is_known };

START_TEST(verify_request_sees_a_datagrams_bytes)
{
    struct matrix_row row = matrix_row_at(_i);
    struct ostler_server_options options = options_of(&row, &telling);
    struct harness_server h;
    int client;

    matrix_enter();
    options.server_class = &choosy;
    harness_start(&h, &options);
    client = matrix_connect(h.server);
    if (row.type == SOCK_DGRAM)
        ck_assert(harness_say(client, "other"));
    ck_assert(matrix_ask(client, "known", "5 whole\n"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert(matrix_leave());
}
END_TEST

/* ---- Hooks, in their order ---- */

/* A letter for each call; shared with children. */
struct trace {
    atomic_int count;
    char text[64];
};

static struct trace *trace;

static void note(char letter)
{
    int i = atomic_fetch_add(&trace->count, 1);

    if (i < (int)sizeof(trace->text) - 1)
        trace->text[i] = letter;
}

/* The class of the address, whose slots ours extend. */
static const struct ostler_server_class *base;

static int on_bind(struct ostler_server *s)
{
    note('b');
    return base->bind(s);
}

static int on_activate(struct ostler_server *s)
{
    note('a');
    return base->activate(s);
}

static int on_get(struct ostler_server *s, int listener, struct ostler_address *peer)
{
    int got = base->get_request(s, listener, peer);

    if (got > 0)
        note('g');
    return got;
}

static bool on_verify(struct ostler_server *s, const struct ostler_request *r)
{
    note('v');
    return base->verify_request(s, r);
}

static int on_process(struct ostler_server *s, struct ostler_request *r)
{
    note('p');
    return base->process_request(s, r);
}

static int on_finish(struct ostler_server *s, struct ostler_request *r)
{
    note('f');
    return base->finish_request(s, r);
}

static void on_error(struct ostler_server *s, struct ostler_request *r, int error)
{
    note('e');
    base->handle_error(s, r, error);
}

static void on_shutdown(struct ostler_server *s, struct ostler_request *r)
{
    note('s');
    base->shutdown_request(s, r);
}

static void on_close_request(struct ostler_server *s, struct ostler_request *r)
{
    note('c');
    base->close_request(s, r);
    harness_raise(&matrix_seen()->closed);
}

static void on_actions(struct ostler_server *s)
{
    base->service_actions(s);
    harness_raise(&matrix_seen()->go);
}

static void on_close(struct ostler_server *s)
{
    note('x');
    base->close(s);
}

static const struct ostler_server_class traced = {
    .bind = on_bind, .activate = on_activate, .get_request = on_get, .verify_request = on_verify,
    .process_request = on_process, .finish_request = on_finish, .handle_error = on_error,
    .shutdown_request = on_shutdown, .close_request = on_close_request, .service_actions = on_actions,
    .close = on_close,
};

static int setup_noted(struct ostler_stream *s)
{
    (void)s;
    note('1');
    return 0;
}

static int fail_noted(struct ostler_stream *s)
{
    note('2');
    echo_line(s);
    return -ENOTRECOVERABLE;
}

static int finish_noted(struct ostler_stream *s)
{
    (void)s;
    note('3');
    return 0;
}

static const struct ostler_stream_handler noted = {
    .setup = setup_noted, .handle = fail_noted, .finish = finish_noted
};

START_TEST(every_hook_is_called_in_the_documented_order)
{
    struct matrix_row row = matrix_row_at(_i);
    struct ostler_server_options options = options_of(&row, &noted);
    struct harness_server h;
    int client;

    matrix_enter();
    trace = harness_share(sizeof(*trace));
    base = row.server_class;
    options.server_class = &traced;
    harness_start(&h, &options);
    client = matrix_connect(h.server);
    ck_assert(matrix_ask(client, "hello\n", "hello\n"));
    close(client);
    ck_assert(harness_wait(&matrix_seen()->closed, 1));
    ck_assert(harness_wait(&matrix_seen()->go, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(trace->text, "bagvpf123escx");
    harness_unshare(trace, sizeof(*trace));
    ck_assert(matrix_leave());
}
END_TEST

START_TEST(binding_and_activating_may_be_left_to_the_caller)
{
    struct matrix_row row = matrix_row_at(_i);
    struct ostler_server_options options = options_of(&row, &echo);
    struct ostler_server *server;
    int client;

    matrix_enter();
    trace = harness_share(sizeof(*trace));
    base = row.server_class;
    options.server_class = &traced;
    options.no_bind_and_activate = true;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    ck_assert_str_eq(trace->text, "");
    ck_assert_int_eq(ostler_server_fd(server, 0), -EINVAL);
    ck_assert_int_eq(ostler_server_activate(server), -EDESTADDRREQ);
    ck_assert_int_eq(ostler_server_start(server), -EDESTADDRREQ);
    ck_assert_int_eq(ostler_server_handle_request(server), -EDESTADDRREQ);
    ck_assert_int_eq(ostler_server_serve_forever(server), -EDESTADDRREQ);
    ck_assert_int_eq(ostler_server_bind(server), 0);
    ck_assert_int_eq(ostler_server_bind(server), -EALREADY);
    ck_assert_int_ge(ostler_server_fd(server, 0), 0);
    ck_assert_int_eq(ostler_server_activate(server), 0);
    ck_assert_int_eq(ostler_server_activate(server), -EALREADY);
    client = matrix_connect(server);
    ck_assert(harness_say(client, "hello\n"));
    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert(harness_expect(client, "hello\n"));
    close(client);
    ck_assert_int_eq(ostler_server_close(server, harness_deadline_ms()), 0);
    ck_assert_int_eq(ostler_server_bind(server), -ESHUTDOWN);
    ck_assert_int_eq(ostler_server_activate(server), -ESHUTDOWN);
    ostler_server_free(server);
    ck_assert_msg(strncmp(trace->text, "bagvpf", 6) == 0, "%s", trace->text);
    harness_unshare(trace, sizeof(*trace));
    ck_assert(matrix_leave());
}
END_TEST

static int cannot_bind(struct ostler_server *s)
{
    int error = base->bind(s);

    return error < 0 ? error : -EADDRINUSE;
}

static const struct ostler_server_class unlucky = { .bind = cannot_bind };

START_TEST(a_server_that_could_not_bind_serves_on_none_of_its_addresses)
{
    struct matrix_row row = matrix_row_at(_i);
    struct ostler_server_options options = options_of(&row, &echo);
    struct ostler_server *server;

    matrix_enter();
    base = row.server_class;
    options.server_class = &unlucky;
    options.no_bind_and_activate = true;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    ck_assert_int_eq(ostler_server_bind(server), -EADDRINUSE);
    ck_assert_int_eq(ostler_server_fd(server, 0), -EBADF);
    ck_assert_int_eq(ostler_server_bind(server), -ESHUTDOWN);
    ck_assert_int_eq(ostler_server_activate(server), -ESHUTDOWN);
    ck_assert_int_eq(ostler_server_start(server), -ESHUTDOWN);
    ck_assert_int_eq(ostler_server_handle_request(server), -ESHUTDOWN);
    ostler_server_free(server);
    ck_assert(matrix_leave());
}
END_TEST

/* The first two calls fail. */
static int get_at_last(struct ostler_server *s, int listener, struct ostler_address *peer)
{
    static const int errors[] = { -ECONNABORTED, -EIO };
    int i = atomic_fetch_add(&trace->count, 1);

    return i < 2 ? errors[i] : base->get_request(s, listener, peer);
}

static const struct ostler_server_class slow_to_get = { .get_request = get_at_last, .handle_error = on_error };

START_TEST(get_request_failing_is_no_error_of_the_server)
{
    struct matrix_row row = matrix_row_at(_i);
    struct ostler_server_options options = options_of(&row, &echo);
    struct harness_server h;
    int client;

    matrix_enter();
    trace = harness_share(sizeof(*trace));
    base = row.server_class;
    options.server_class = &slow_to_get;
    harness_start(&h, &options);
    client = matrix_connect(h.server);
    ck_assert(matrix_ask(client, "hello\n", "hello\n"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(trace->text, "");
    harness_unshare(trace, sizeof(*trace));
    ck_assert(matrix_leave());
}
END_TEST

/* ---- setup, handle, finish ---- */

static int setup_failing(struct ostler_stream *s)
{
    (void)s;
    harness_raise(&matrix_seen()->set_up);
    return -ENOTRECOVERABLE;
}

static int handle_failing(struct ostler_stream *s)
{
    (void)s;
    harness_raise(&matrix_seen()->handled);
    return -ENOTRECOVERABLE;
}

static int finish_raising(struct ostler_stream *s)
{
    (void)s;
    harness_raise(&matrix_seen()->finished);
    return 0;
}

static void raise_error(struct ostler_server *s, struct ostler_request *r, int error)
{
    ostler_tcp_server.handle_error(s, r, error);
    harness_raise(&matrix_seen()->failed);
}

static const struct ostler_server_class raising = { .handle_error = raise_error };
static const struct ostler_stream_handler no_setup = {
    .setup = setup_failing, .handle = handle_failing, .finish = finish_raising
};
static const struct ostler_stream_handler no_handle = { .handle = handle_failing, .finish = finish_raising };

static void fail_at(int index, const struct ostler_stream_handler *handler, int handled, int finished)
{
    struct matrix_row row = matrix_row_at(index);
    struct ostler_server_options options = options_of(&row, handler);
    struct harness_server h;
    int client;

    matrix_enter();
    options.server_class = &raising;
    harness_start(&h, &options);
    client = matrix_connect(h.server);
    ck_assert(harness_say(client, "?\n"));
    ck_assert(harness_wait(&matrix_seen()->failed, 1));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&matrix_seen()->failed), 1);
    ck_assert_int_eq(harness_count(&matrix_seen()->handled), handled);
    ck_assert_int_eq(harness_count(&matrix_seen()->finished), finished);
    ck_assert(matrix_leave());
}

START_TEST(when_setup_fails_neither_handle_nor_finish_is_called)
{
    fail_at(_i, &no_setup, 0, 0);
}
END_TEST

START_TEST(when_handle_fails_finish_is_called)
{
    fail_at(_i, &no_handle, 1, 1);
}
END_TEST

/* Gather an answer for a peer that has gone by then. */
static int answer_the_gone(struct ostler_stream *s)
{
    int error = ostler_stream_write(s, "answer\n", 7);

    if (error < 0)
        return error;
    harness_raise(&matrix_seen()->handled);
    if (!harness_wait(&matrix_seen()->go, 1))
        return -ETIMEDOUT;
    return 0;
}

static const struct ostler_stream_handler gathering = { .handle = answer_the_gone, .output_buffer = 4096 };

START_TEST(a_socket_error_in_the_last_flush_is_swallowed)
{
    struct matrix_row row = matrix_row_at(_i);
    struct ostler_server_options options = options_of(&row, &gathering);
    struct harness_server h;
    int client;

    matrix_enter();
    options.server_class = &raising;
    harness_start(&h, &options);
    client = matrix_connect(h.server);
    ck_assert(harness_say(client, "?\n"));
    ck_assert(harness_wait(&matrix_seen()->handled, 1));
    setsockopt(client, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
    close(client); /* with a reset */
    harness_raise(&matrix_seen()->go);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&matrix_seen()->failed), 0);
    ck_assert(matrix_leave());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attributes");
    TCase *tc = harness_case(suite, "attributes");

    tcase_add_loop_test(tc, attributes_have_their_defaults, 0, MATRIX);
    tcase_add_test(tc, request_queue_size_is_the_backlog_of_the_listener);
    tcase_add_loop_test(tc, a_datagram_over_max_packet_size_is_cut_and_says_so, 0, MATRIX);
    tcase_add_loop_test(tc, verify_request_sees_a_datagrams_bytes, 0, MATRIX);
    tc = harness_case(suite, "hooks");
    tcase_add_loop_test(tc, every_hook_is_called_in_the_documented_order, 0, MATRIX);
    tcase_add_loop_test(tc, get_request_failing_is_no_error_of_the_server, 0, MATRIX);
    tcase_add_loop_test(tc, binding_and_activating_may_be_left_to_the_caller, 0, MATRIX);
    tcase_add_loop_test(tc, a_server_that_could_not_bind_serves_on_none_of_its_addresses, 0, MATRIX);
    tc = harness_case(suite, "handlers");
    tcase_add_loop_test(tc, when_setup_fails_neither_handle_nor_finish_is_called, 0, MATRIX);
    tcase_add_loop_test(tc, when_handle_fails_finish_is_called, 0, MATRIX);
    tcase_add_loop_test(tc, a_socket_error_in_the_last_flush_is_swallowed, 0, MATRIX);
    return harness_main(suite);
}
