/* handle_request(): one request, or handle_timeout after the shorter of two times, whatever
 * signals come in between: of every server class under every mix-in. */
#include "support/matrix.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { SHORT_MS = 40, LONG_MS = 60000 };

static int echo_line(struct ostler_stream *s)
{
    char line[128];
    ssize_t n = ostler_stream_read_line(s, line, sizeof(line));

    return n < 0 ? (int)n : ostler_stream_write(s, line, (size_t)n);
}

static void note_timeout(struct ostler_server *server)
{
    ostler_tcp_server.handle_timeout(server);
    harness_raise(&matrix_seen()->timed_out);
}

static const struct ostler_stream_handler echo = { .handle = echo_line };
static const struct ostler_server_class noting = { .handle_timeout = note_timeout };

static struct ostler_server *make(int index)
{
    struct matrix_row row = matrix_row_at(index);
    struct ostler_server *server;

    matrix_enter();
    ck_assert_int_eq(ostler_server_new(&server,
                                       &(struct ostler_server_options){ .address = row.address,
                                                                        .server_class = &noting,
                                                                        .stream = &echo,
                                                                        .mixin = row.mixin },
                                       NULL),
                     0);
    return server;
}

static void leave(struct ostler_server *server)
{
    ck_assert_int_eq(ostler_server_close(server, harness_deadline_ms()), 0);
    ostler_server_free(server);
    ck_assert(matrix_leave());
}

/* One of two that wait is handled; then the other. */
START_TEST(one_request_is_handled)
{
    struct ostler_server *server = make(_i);
    int first = matrix_connect(server), second = matrix_connect(server);

    ck_assert(harness_say(first, "first\n"));
    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert_uint_eq(ostler_server_accepted(server), 1);
    ck_assert(harness_expect(first, "first\n"));
    ck_assert(harness_say(second, "second\n"));
    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert(harness_expect(second, "second\n"));
    ck_assert_int_eq(harness_count(&matrix_seen()->timed_out), 0);
    close(first);
    close(second);
    leave(server);
}
END_TEST

/* It gives up at the time, and not before. */
static void expect_timeout(struct ostler_server *server, uint64_t ms)
{
    uint64_t began = harness_now_ms(), took;
    int before = harness_count(&matrix_seen()->timed_out);

    ck_assert_int_eq(ostler_server_handle_request(server), 0);
    took = harness_now_ms() - began;
    ck_assert_uint_ge(took + 1, ms);
    ck_assert_uint_lt(took, ms + 2000 * (uint64_t)harness_slow());
    ck_assert_int_eq(harness_count(&matrix_seen()->timed_out), before + 1);
}

static void set_socket_timeout(const struct ostler_server *server, long ms)
{
    struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

    ck_assert_int_eq(setsockopt(ostler_server_fd(server, 0), SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
}

START_TEST(its_deadline_is_the_shorter_of_the_sockets_timeout_and_the_servers)
{
    struct ostler_server *server = make(_i);

    ck_assert_int_eq(ostler_server_set_request_timeout(server, SHORT_MS), 0);
    expect_timeout(server, SHORT_MS);
    set_socket_timeout(server, LONG_MS);
    expect_timeout(server, SHORT_MS);
    ck_assert_int_eq(ostler_server_set_request_timeout(server, LONG_MS), 0);
    set_socket_timeout(server, SHORT_MS);
    expect_timeout(server, SHORT_MS);
    ck_assert_int_eq(ostler_server_set_request_timeout(server, OSTLER_NEVER), 0);
    expect_timeout(server, SHORT_MS);
    leave(server);
}
END_TEST

START_TEST(a_timeout_of_zero_only_looks)
{
    struct ostler_server *server = make(_i);
    int client;

    ck_assert_int_eq(ostler_server_set_request_timeout(server, 0), 0);
    expect_timeout(server, 0);
    client = matrix_connect(server);
    ck_assert(harness_say(client, "there\n"));
    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert(harness_expect(client, "there\n"));
    close(client);
    leave(server);
}
END_TEST

static void on_signal(int number)
{
    (void)number;
}

struct pest {
    pthread_t victim;
    struct harness_event *go;
};

/* Interrupt the victim until told to stop. */
static void *pester(void *arg)
{
    struct pest *pest = arg;

    while (harness_count(pest->go) == 0) {
        pthread_kill(pest->victim, SIGUSR1);
        sched_yield();
    }
    return NULL;
}

START_TEST(signals_do_not_cut_its_wait_short)
{
    struct ostler_server *server = make(_i);
    struct sigaction action = { .sa_handler = on_signal }, before;
    struct pest pest = { .victim = pthread_self(), .go = &matrix_seen()->go };
    pthread_t thread;

    sigaction(SIGUSR1, &action, &before);
    ck_assert_int_eq(pthread_create(&thread, NULL, pester, &pest), 0);
    ck_assert_int_eq(ostler_server_set_request_timeout(server, SHORT_MS), 0);
    expect_timeout(server, SHORT_MS);
    harness_raise(&matrix_seen()->go);
    pthread_join(thread, NULL);
    sigaction(SIGUSR1, &before, NULL);
    leave(server);
}
END_TEST

START_TEST(bad_timeouts_are_refused_and_change_nothing)
{
    struct ostler_server *server = make(0);

    ck_assert_int_eq(ostler_server_set_request_timeout(server, SHORT_MS), 0);
    ck_assert_int_eq(ostler_server_set_request_timeout(NULL, 1), -EINVAL);
    ck_assert_int_eq(ostler_server_set_request_timeout(server, -2), -EINVAL);
    ck_assert_int_eq(ostler_server_options_of(server)->request_timeout_ms, SHORT_MS);
    leave(server);
}
END_TEST

/* ---- The only place is taken ---- */

static int wait_to_go(struct ostler_stream *s)
{
    harness_raise(&matrix_seen()->handled);
    return harness_wait(&matrix_seen()->go, 1) ? echo_line(s) : -ETIMEDOUT;
}

static void let_go(void *arg)
{
    (void)arg;
    harness_raise(&matrix_seen()->go);
}

static const struct ostler_stream_handler waiting = { .handle = wait_to_go };

static struct ostler_server *make_with_one_place(int kind)
{
    struct matrix_row row = matrix_row_at(kind * MIXINS);
    struct ostler_server *server;

    matrix_enter();
    ck_assert_int_eq(ostler_server_new(&server,
                                       &(struct ostler_server_options){ .address = row.address,
                                                                        .server_class = row.server_class,
                                                                        .stream = &waiting,
                                                                        .mixin = &ostler_threading,
                                                                        .max_requests = 1 },
                                       NULL),
                     0);
    return server;
}

START_TEST(a_request_that_has_no_place_yet_is_waited_for)
{
    struct ostler_server *server = make_with_one_place(_i);
    int first = matrix_connect(server), second = matrix_connect(server);
    struct ostler_timer *timer;

    ck_assert_int_eq(ostler_timer_new(&timer, ostler_server_reactor(server), let_go, NULL), 0);
    ck_assert(harness_say(first, "first\n"));
    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert(harness_wait(&matrix_seen()->handled, 1));
    ck_assert(harness_say(second, "second\n"));
    ck_assert_int_eq(ostler_timer_start(timer, SHORT_MS), 0);
    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert_uint_eq(ostler_server_waiting(server), 0);
    ck_assert(harness_expect(first, "first\n"));
    ck_assert(harness_expect(second, "second\n"));
    ostler_timer_free(timer);
    close(first);
    close(second);
    leave(server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("handle_request");
    TCase *tc = harness_case(suite, "handle_request");

    tcase_add_loop_test(tc, one_request_is_handled, 0, MATRIX);
    tcase_add_loop_test(tc, its_deadline_is_the_shorter_of_the_sockets_timeout_and_the_servers, 0, MATRIX);
    tcase_add_loop_test(tc, a_timeout_of_zero_only_looks, 0, MATRIX);
    tcase_add_loop_test(tc, signals_do_not_cut_its_wait_short, 0, MATRIX);
    tcase_add_loop_test(tc, a_request_that_has_no_place_yet_is_waited_for, 0, KINDS);
    tcase_add_test(tc, bad_timeouts_are_refused_and_change_nothing);
    return harness_main(suite);
}
