/* What CPython's own tests ask of socketserver, of every server class under every mix-in; and
 * the edges that its text promises. */
#include "support/matrix.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int line_back(struct ostler_stream *s)
{
    char line[128];
    ssize_t n = ostler_stream_read_line(s, line, sizeof(line));

    harness_raise(&matrix_seen()->handled);
    return n < 0 ? (int)n : ostler_stream_write(s, line, (size_t)n);
}

static void note_error(struct ostler_server *server, struct ostler_request *request, int error)
{
    struct matrix_notes *notes = matrix_seen();

    ostler_tcp_server.handle_error(server, request, error);
    notes->error = error;
    notes->process = getpid();
    harness_raise(&notes->failed);
}

static const struct ostler_stream_handler lines = { .handle = line_back };
static const struct ostler_server_class noting = { .handle_error = note_error };

static struct ostler_server_options options_of(const struct matrix_row *row,
                                               const struct ostler_stream_handler *handler)
{
    return (struct ostler_server_options){
        .name = row->word,
        .address = row->address,
        .server_class = &noting,
        .stream = handler,
        .mixin = row->mixin,
    };
}

static void start(struct harness_server *h, int index, const struct ostler_stream_handler *handler)
{
    struct matrix_row row = matrix_row_at(index);
    struct ostler_server_options options = options_of(&row, handler);

    matrix_enter();
    harness_start(h, &options);
}

/* ---- SocketServerTest ---- */

static void serve_three(int index)
{
    struct harness_server h;

    start(&h, index, &lines);
    for (int i = 0; i < 3; i++) {
        int client = matrix_connect(h.server);

        ck_assert_int_ge(client, 0);
        ck_assert(matrix_ask(client, "hello world\n", "hello world\n"));
        close(client);
    }
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(ostler_server_close(h.server, harness_deadline_ms()), 0);
    ck_assert_int_eq(ostler_server_fd(h.server, 0), -EBADF);
    ck_assert_uint_eq(ostler_server_active(h.server), 0);
    ck_assert_uint_eq(ostler_server_accepted(h.server), 3);
    ck_assert_int_eq(harness_count(&matrix_seen()->failed), 0);
    harness_free(&h);
    ck_assert(matrix_leave());
}

START_TEST(three_clients_each_get_their_line_back)
{
    serve_three(_i);
}
END_TEST

START_TEST(the_address_equals_getsockname)
{
    struct matrix_row row = matrix_row_at(_i);
    struct ostler_server_options options = options_of(&row, &lines);
    char told[OSTLER_ADDRESS_TEXT], real[OSTLER_ADDRESS_TEXT];
    struct ostler_server *server, *second;
    char inherited[32];

    matrix_enter();
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    snprintf(inherited, sizeof(inherited), "fd:%d", fcntl(ostler_server_fd(server, 0), F_DUPFD_CLOEXEC, 0));
    options.address = inherited; /* its address is what getsockname(2) says */
    ck_assert_int_eq(ostler_server_new(&second, &options, NULL), 0);
    ck_assert_int_gt(ostler_address_text(ostler_server_address(server, 0), told, sizeof(told)), 0);
    ck_assert_int_gt(ostler_address_text(ostler_server_address(second, 0), real, sizeof(real)), 0);
    ck_assert_str_eq(told, real);
    if (row.family == AF_INET)
        ck_assert_int_gt(ostler_address_port(ostler_server_address(server, 0)), 0);
    else
        ck_assert_str_eq(told, row.address);
    ostler_server_free(second);
    ostler_server_free(server);
    ck_assert(matrix_leave());
}
END_TEST

START_TEST(a_child_of_the_programs_own_is_not_waited_for)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0)
        _exit(72);
    ck_assert_int_gt(pid, 0);
    serve_three(_i);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 72);
}
END_TEST

START_TEST(twenty_servers_shut_down_while_starting_all_leave)
{
    enum { SERVERS = 20 };
    struct harness_server servers[SERVERS];
    struct matrix_row row = matrix_row_at(_i);
    struct ostler_server_options options = options_of(&row, &lines);
    char address[32];

    matrix_enter();
    for (int i = 0; i < SERVERS; i++) {
        snprintf(address, sizeof(address), "%s%d", row.address, i);
        options.address = row.family == AF_UNIX ? address : row.address;
        harness_start(&servers[i], &options);
        ck_assert_int_eq(ostler_server_shutdown(servers[i].server), 0);
    }
    for (int i = 0; i < SERVERS; i++) {
        ck_assert_int_eq(harness_join(&servers[i]), 0);
        harness_free(&servers[i]);
    }
    ck_assert(matrix_leave());
}
END_TEST

START_TEST(a_server_is_closed_without_ever_serving)
{
    struct matrix_row row = matrix_row_at(_i);
    struct ostler_server_options options = options_of(&row, &lines);
    struct ostler_server *server;

    matrix_enter();
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    ck_assert_int_eq(ostler_server_close(server, 0), 0);
    ck_assert_int_eq(ostler_server_close(server, OSTLER_NEVER), 0);
    ck_assert_int_eq(ostler_server_fd(server, 0), -EBADF);
    ck_assert_int_eq(ostler_server_serve_forever(server), 0); /* it is shut down: at once */
    ck_assert_int_eq(ostler_server_handle_request(server), -ESHUTDOWN);
    ck_assert_int_eq(ostler_server_start(server), -ESHUTDOWN);
    ostler_server_free(server);
    ck_assert(matrix_leave());
}
END_TEST

static int fail_to_listen(struct ostler_server *server)
{
    (void)server;
    return -EOVERFLOW;
}

static const struct ostler_server_class unlucky = { .activate = fail_to_listen };

START_TEST(a_thousand_and_twenty_four_failing_constructors_leak_no_descriptor)
{
    struct matrix_row row = matrix_row_at(_i);
    struct ostler_server_options options = options_of(&row, &lines);
    struct ostler_server *server = NULL;
    struct harness_log log;
    size_t before;

    matrix_enter();
    harness_log_init(&log);
    options.log = &log.log;
    options.server_class = &unlucky;
    before = harness_descriptors();
    for (int i = 0; i < 1024; i++)
        ck_assert_int_eq(ostler_server_new(&server, &options, NULL), -EOVERFLOW);
    ck_assert_ptr_null(server);
    ck_assert_uint_eq(harness_descriptors(), before);
    harness_log_fini(&log);
    ck_assert(matrix_leave());
}
END_TEST

/* ---- ErrorHandlerTest ---- */

static int fail_first(struct ostler_stream *s)
{
    if (harness_count(&matrix_seen()->handled) > 0)
        return line_back(s);
    harness_raise(&matrix_seen()->handled);
    return -ENOTRECOVERABLE;
}

static int exit_first(struct ostler_stream *s)
{
    const struct ostler_server_options *o = ostler_server_options_of(ostler_stream_server(s));

    if (harness_count(&matrix_seen()->handled) > 0)
        return line_back(s);
    harness_raise(&matrix_seen()->handled);
    if (o->mixin == &ostler_forking)
        _exit(1);
    pthread_exit(NULL);
}

static const struct ostler_stream_handler failing = { .handle = fail_first };
static const struct ostler_stream_handler exiting = { .handle = exit_first };

/* The first request makes the handler fail; the second is served. */
static void fail_and_go_on(struct harness_server *h)
{
    int client = matrix_connect(h->server), second;

    ck_assert(harness_say(client, "fail\n"));
    ck_assert(harness_wait(&matrix_seen()->handled, 1));
    second = matrix_connect(h->server);
    ck_assert(matrix_ask(second, "go on\n", "go on\n"));
    close(client);
    close(second);
    ostler_server_shutdown(h->server);
    ck_assert_int_eq(harness_join(h), 0);
}

START_TEST(a_failing_handler_is_reported_once_where_it_ran_and_the_server_survives)
{
    struct harness_server h;
    const struct matrix_notes *notes;

    start(&h, _i, &failing);
    notes = matrix_seen();
    fail_and_go_on(&h);
    ck_assert_int_eq(harness_count(&matrix_seen()->failed), 1);
    ck_assert_int_eq(notes->error, -ENOTRECOVERABLE);
    ck_assert_int_eq(notes->process != getpid(), matrix_row_at(_i).mixin == &ostler_forking);
    ck_assert_int_eq(harness_log_count(&h.log, "request failed"), 1);
    harness_free(&h);
    ck_assert(matrix_leave());
}
END_TEST

START_TEST(a_handler_that_exits_is_not_reported_and_the_server_survives)
{
    const struct ostler_mixin *mixin = matrix_row_at(_i).mixin;
    struct harness_server h;

    if (mixin != &ostler_threading && mixin != &ostler_forking)
        return; /* it would end the reactor's thread */
    start(&h, _i, &exiting);
    fail_and_go_on(&h);
    ck_assert_int_eq(harness_count(&matrix_seen()->failed), 0);
    ck_assert_int_eq(harness_log_count(&h.log, "request failed"), 0);
    harness_free(&h);
    ck_assert(matrix_leave());
}
END_TEST

static int take_line_and_exit(struct ostler_stream *s)
{
    const struct ostler_server_options *o = ostler_server_options_of(ostler_stream_server(s));
    char line[16];

    if (ostler_stream_read_line(s, line, sizeof(line)) == 5)
        harness_raise(&matrix_seen()->handled);
    if (o->mixin == &ostler_forking)
        _exit(0);
    pthread_exit(NULL);
}

static const struct ostler_stream_handler leaving = { .handle = take_line_and_exit };

/* All places are taken all the time, and each handler takes its thread along. */
START_TEST(who_waits_for_a_place_gets_that_of_a_handler_that_exits)
{
    enum { PLACES = 2, CLIENTS = 60 };
    struct matrix_row row = matrix_row_at(_i);
    struct ostler_server_options options = options_of(&row, &leaving);
    struct harness_server h;
    int clients[CLIENTS];

    if (row.mixin != &ostler_threading && row.mixin != &ostler_forking)
        return; /* it would end the reactor's thread */
    matrix_enter();
    options.max_requests = PLACES;
    harness_start(&h, &options);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = matrix_connect(h.server);
        ck_assert(harness_say(clients[i], "next\n"));
    }
    ck_assert(harness_wait(&matrix_seen()->handled, CLIENTS));
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert(matrix_leave());
}
END_TEST

/* What a thread was asked for while it ran a handler must not reach the next one. */
static int cancel_thread_first(struct ostler_stream *s)
{
    if (harness_count(&matrix_seen()->handled) > 0)
        return line_back(s);
    harness_raise(&matrix_seen()->handled);
    pthread_cancel(pthread_self());
    return 0;
}

static const struct ostler_stream_handler cancelling = { .handle = cancel_thread_first };

START_TEST(a_handler_that_cancels_its_thread_harms_nobody)
{
    struct harness_server h;

    if (matrix_row_at(_i).mixin != &ostler_threading)
        return;
    start(&h, _i, &cancelling);
    fail_and_go_on(&h);
    harness_free(&h);
    ck_assert(matrix_leave());
}
END_TEST

/* ---- SocketWriterTest ---- */

enum { HUGE = 16 * 1024 * 1024 + 1 };

static void on_signal(int number)
{
    (void)number;
}

/* Let SIGUSR1 interrupt whatever this thread waits in. */
static void be_interruptible(void)
{
    struct sigaction action = { .sa_handler = on_signal }; /* no SA_RESTART */
    sigset_t set;

    sigaction(SIGUSR1, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    matrix_seen()->process = getpid();
    matrix_seen()->thread = (pid_t)syscall(SYS_gettid);
    harness_raise(&matrix_seen()->handled);
}

static int write_huge(struct ostler_stream *s)
{
    char line[32], *zeros = calloc(1, HUGE);
    int error = zeros ? ostler_stream_write(s, "write data\n", 11) : -ENOMEM;

    if (error == 0 && ostler_stream_read_line(s, line, sizeof(line)) != 3)
        error = -EPROTO;
    be_interruptible();
    if (error == 0)
        error = ostler_stream_write(s, zeros, HUGE);
    free(zeros);
    return error;
}

static const struct ostler_stream_handler huge = { .handle = write_huge };

static size_t read_huge(int client)
{
    const struct matrix_notes *notes = matrix_seen();
    char *block = malloc(65536);
    size_t all = 0;
    ssize_t n = 1;

    for (int i = 0; block && n > 0; i++) {
        if (i % 16 == 0) /* most of them find it in the middle of its write */
            syscall(SYS_tgkill, notes->process, notes->thread, SIGUSR1);
        n = harness_receive_once(client, block, 65536);
        all += n > 0 ? (size_t)n : 0;
    }
    free(block);
    return all;
}

START_TEST(a_write_leaves_at_once_and_signals_cut_none)
{
    struct harness_server h;
    struct sigaction before;
    int client;

    if (matrix_row_at(_i).type == SOCK_DGRAM)
        return; /* one datagram, at the end: see test_datagram.c */
    sigaction(SIGUSR1, NULL, &before);
    start(&h, _i, &huge);
    client = matrix_connect(h.server);
    ck_assert(harness_expect(client, "write data\n"));
    ck_assert(harness_say(client, "ok\n"));
    ck_assert(harness_wait(&matrix_seen()->handled, 1));
    for (int i = 0; i < 20; i++) /* while nobody reads */
        ck_assert_int_eq(syscall(SYS_tgkill, matrix_seen()->process, matrix_seen()->thread, SIGUSR1), 0);
    ck_assert_uint_eq(read_huge(client), HUGE);
    close(client);
    ostler_server_shutdown(h.server);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(harness_count(&matrix_seen()->failed), 0);
    harness_free(&h);
    sigaction(SIGUSR1, &before, NULL);
    ck_assert(matrix_leave());
}
END_TEST

/* ---- MiscTestCase ---- */

static bool reject(struct ostler_server *server, const struct ostler_request *request)
{
    (void)server;
    (void)request;
    return false;
}

/* The default ones know of datagrams that there is nothing to shut down or close. */
static void note_shutdown(struct ostler_server *server, struct ostler_request *request)
{
    ostler_tcp_server.shutdown_request(server, request);
    harness_raise(&matrix_seen()->shut);
}

static void note_close(struct ostler_server *server, struct ostler_request *request)
{
    ostler_tcp_server.close_request(server, request);
    harness_raise(&matrix_seen()->closed);
}

static const struct ostler_server_class rejecting = {
    .verify_request = reject, .shutdown_request = note_shutdown, .close_request = note_close
};

START_TEST(a_rejected_request_is_shut_down_exactly_once)
{
    struct matrix_row row = matrix_row_at(_i);
    struct ostler_server_options options = options_of(&row, &lines);
    struct harness_server h;
    int client;

    matrix_enter();
    options.server_class = &rejecting;
    harness_start(&h, &options);
    client = matrix_connect(h.server);
    ck_assert(harness_say(client, "let me in\n"));
    ck_assert(harness_wait(&matrix_seen()->shut, 1));
    close(client);
    ostler_server_shutdown(h.server);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(harness_count(&matrix_seen()->shut), 1);
    ck_assert_int_eq(harness_count(&matrix_seen()->closed), 1);
    ck_assert_int_eq(harness_count(&matrix_seen()->handled), 0);
    ck_assert_uint_eq(ostler_server_accepted(h.server), 1);
    harness_free(&h);
    ck_assert(matrix_leave());
}
END_TEST

START_TEST(after_ten_requests_fewer_than_ten_threads_are_held)
{
    struct matrix_row row = matrix_row_at(_i);
    struct ostler_server_options options = options_of(&row, &lines);
    struct ostler_server *server;
    size_t before = harness_threads();

    matrix_enter();
    options.mixin = &ostler_threading;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    for (int i = 1; i <= 10; i++) {
        int client = matrix_connect(server);

        ck_assert(harness_say(client, "one\n"));
        ck_assert_int_eq(ostler_server_handle_request(server), 1);
        ck_assert(harness_wait(&matrix_seen()->handled, i));
        ck_assert(harness_expect(client, "one\n"));
        close(client);
    }
    ck_assert_uint_lt(harness_threads() - before, 10);
    ck_assert_int_eq(ostler_server_close(server, harness_deadline_ms()), 0);
    ostler_server_free(server);
    ck_assert(matrix_leave());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract");
    TCase *tc = harness_case(suite, "socketserver");

    tcase_add_loop_test(tc, three_clients_each_get_their_line_back, 0, MATRIX);
    tcase_add_loop_test(tc, the_address_equals_getsockname, 0, MATRIX);
    tcase_add_loop_test(tc, a_child_of_the_programs_own_is_not_waited_for, 0, MATRIX);
    tcase_add_loop_test(tc, twenty_servers_shut_down_while_starting_all_leave, 0, MATRIX);
    tcase_add_loop_test(tc, a_server_is_closed_without_ever_serving, 0, MATRIX);
    tcase_add_loop_test(tc, a_thousand_and_twenty_four_failing_constructors_leak_no_descriptor, 0, MATRIX);
    tc = harness_case(suite, "errors");
    tcase_add_loop_test(tc, a_failing_handler_is_reported_once_where_it_ran_and_the_server_survives, 0, MATRIX);
    tcase_add_loop_test(tc, a_handler_that_exits_is_not_reported_and_the_server_survives, 0, MATRIX);
    tcase_add_loop_test(tc, who_waits_for_a_place_gets_that_of_a_handler_that_exits, 0, MATRIX);
    tcase_add_loop_test(tc, a_handler_that_cancels_its_thread_harms_nobody, 0, MATRIX);
    tc = harness_case(suite, "writing");
    tcase_add_loop_test(tc, a_write_leaves_at_once_and_signals_cut_none, 0, MATRIX);
    tc = harness_case(suite, "other");
    tcase_add_loop_test(tc, a_rejected_request_is_shut_down_exactly_once, 0, MATRIX);
    tcase_add_loop_test(tc, after_ten_requests_fewer_than_ten_threads_are_held, 0, MATRIX);
    return harness_main(suite);
}
