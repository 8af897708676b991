/* server.h: the loop: accepting, and failing to; service_actions; handle_request. */
#include "support/servers.h"

#include <stdatomic.h>

/* ---- get_request that fails ---- */

static atomic_int failures; /* how many are left */
static int failure;

static int fail_a_few_times(struct ostler_server *s, int listener, struct ostler_address *peer)
{
    int n = harness_count(&seen.tried);

    if (atomic_load(&failures) > 0) {
        atomic_fetch_sub(&failures, 1);
        if (n < 64)
            seen.times[n] = harness_now_ms();
        harness_raise(&seen.tried);
        return failure;
    }
    return ostler_tcp_server.get_request(s, listener, peer);
}

static const struct ostler_server_class starved = { .get_request = fail_a_few_times };

/* EPERM: a security module or a filter of system calls says so, and the connection is left where it is. */
START_TEST(out_of_something_it_pauses_longer_and_longer_and_then_serves)
{
    static const int lacks[] = { -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM, -EPERM };
    struct harness_server h;

    see_afresh();
    atomic_store(&failures, 4);
    failure = lacks[_i];
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &starved,
                                                       .stream = &greet });
    check_greeting(h.server);
    ck_assert_int_eq(harness_log_count(&h.log, "cannot accept"), 1);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&seen.tried), 4);
    ck_assert_uint_ge(seen.times[1] - seen.times[0] + 1, 10);
    ck_assert_uint_ge(seen.times[2] - seen.times[1] + 1, 20);
    ck_assert_uint_ge(seen.times[3] - seen.times[2] + 1, 40);
}
END_TEST

START_TEST(it_resumes_at_once_when_one_of_ours_closes)
{
    struct harness_server h;
    uint64_t begin;
    int held, client;

    see_afresh();
    atomic_store(&failures, 0);
    failure = _i ? -ENFILE : -EMFILE;
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &starved,
                                                       .conn = &echo_conn });
    held = client_of(h.server);
    check_echo(held, "x");
    atomic_store(&failures, 8); /* the last pause is over a second, if it is waited for */
    client = client_of(h.server);
    ck_assert(harness_wait(&seen.tried, 8));
    begin = harness_now_ms();
    close(held);
    check_echo(client, "served");
    ck_assert_uint_lt(harness_now_ms() - begin, 600);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_connection_that_has_gone_is_passed_over)
{
    static const int passing[] = { -ECONNABORTED, -EINTR, -EPROTO, -ENETDOWN, -EAGAIN };
    struct harness_server h;

    see_afresh();
    atomic_store(&failures, 5);
    failure = passing[_i];
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &starved,
                                                       .stream = &greet });
    check_greeting(h.server);
    ck_assert(!harness_log_has(&h.log, "cannot accept"));
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* A class that looks at whom the inherited slot has accepted, and refuses a few of them. */
static int refuse_a_few(struct ostler_server *s, int listener, struct ostler_address *peer)
{
    int fd = ostler_tcp_server.get_request(s, listener, peer);

    if (fd < 0 || atomic_load(&failures) == 0)
        return fd;
    atomic_fetch_sub(&failures, 1);
    close(fd);
    return failure;
}

static const struct ostler_server_class doorman = { .get_request = refuse_a_few };

START_TEST(an_error_about_one_connection_holds_up_no_other)
{
    static const int errors[] = { -ECONNRESET, -EACCES, -EINVAL, -ETIMEDOUT, -EAGAIN };
    struct harness_server h;

    atomic_store(&failures, 5);
    failure = errors[_i];
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &doorman,
                                                       .stream = &greet });
    for (int i = 0; i < 5; i++) {
        int client = client_of(h.server);

        ck_assert(harness_expect_end(client));
        close(client);
    }
    check_greeting(h.server);
    ck_assert(!harness_log_has(&h.log, "cannot accept"));
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* A slot that wants another descriptor, for one, lacks what accept(2) may lack. */
START_TEST(out_of_something_behind_an_accept_it_pauses_too)
{
    struct harness_server h;
    int client;

    atomic_store(&failures, 1);
    failure = -EMFILE;
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &doorman,
                                                       .stream = &greet });
    client = client_of(h.server);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert(harness_log_wait(&h.log, "cannot accept: Too many open files"));
    check_greeting(h.server);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static void lower_descriptor_limit(void *arg)
{
    struct rlimit *limit = arg;

    setrlimit(RLIMIT_NOFILE, limit);
}

/* valgrind accepts a connection over the limit and closes it, which no kernel does. */
static bool is_under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");

    return preload && strstr(preload, "vgpreload");
}

START_TEST(at_the_real_limit_of_descriptors_clients_wait_and_are_served)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct harness_server h;
    struct rlimit before, low;
    int held, waiting;
    bool lowered, connected, told, served, silent;

    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .conn = &echo_conn });
    held = client_of(h.server);
    check_echo(held, "x");
    waiting = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    in.sin_port = htons((uint16_t)ostler_address_port(ostler_server_address(h.server, 0)));
    getrlimit(RLIMIT_NOFILE, &before);
    low = before;
    low.rlim_cur = 1;
    lowered = harness_call(ostler_server_reactor(h.server), lower_descriptor_limit, &low);
    connected = connect(waiting, (struct sockaddr *)&in, sizeof(in)) == 0 && harness_say(waiting, "patience");
    told = harness_log_wait(&h.log, "cannot accept");
    served = harness_say(held, "still served") && harness_expect(held, "still served");
    silent = harness_is_silent(waiting);
    setrlimit(RLIMIT_NOFILE, &before); /* Check itself needs descriptors to report a failure */
    ck_assert(lowered && connected && told && served && silent);
    close(held);
    ck_assert(harness_expect(waiting, "patience"));
    close(waiting);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* One that is closed but for its peer's end would have its descriptor for two seconds. */
START_TEST(who_waits_for_his_peers_end_makes_room_at_the_limit)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int waiting, closed, lowest;
    struct rlimit before, low;
    struct harness_server h;
    bool connected, served;
    uint64_t begin;

    if (is_under_valgrind())
        return;
    waiting = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &greet });
    in.sin_port = htons((uint16_t)ostler_address_port(ostler_server_address(h.server, 0)));
    closed = client_of(h.server);
    ck_assert(harness_expect(closed, "hello\n"));
    ck_assert(harness_expect_end(closed));
    lowest = dup(closed); /* the first that is free, once it is closed */
    close(lowest);
    getrlimit(RLIMIT_NOFILE, &before);
    low = before;
    low.rlim_cur = (rlim_t)lowest;
    begin = harness_now_ms();
    setrlimit(RLIMIT_NOFILE, &low);
    connected = connect(waiting, (struct sockaddr *)&in, sizeof(in)) == 0;
    served = harness_expect(waiting, "hello\n");
    setrlimit(RLIMIT_NOFILE, &before);
    ck_assert(connected && served);
    ck_assert_uint_lt(harness_now_ms() - begin, 1500);
    close(waiting);
    close(closed);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

enum { QUEUED = 40 };

static struct {
    int in_round, most, all;
} accepts;

static int count_accepts(struct ostler_server *s, int listener, struct ostler_address *peer)
{
    int fd = ostler_tcp_server.get_request(s, listener, peer);

    accepts.in_round += fd >= 0;
    return fd;
}

static void end_round(struct ostler_server *s)
{
    if (accepts.in_round > accepts.most)
        accepts.most = accepts.in_round;
    accepts.all += accepts.in_round;
    accepts.in_round = 0;
    if (accepts.all == QUEUED)
        ostler_server_abort(s);
}

static const struct ostler_server_class counting = { .get_request = count_accepts, .service_actions = end_round };

START_TEST(those_who_are_there_have_a_turn_while_a_crowd_comes_in)
{
    struct ostler_server_options options = { .address = anywhere, .server_class = &counting, .conn = &echo_conn };
    struct ostler_server *server;
    int clients[QUEUED];

    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    for (int i = 0; i < QUEUED; i++)
        clients[i] = client_of(server);
    ck_assert_int_eq(ostler_server_serve_forever(server), 0);
    ck_assert_int_le(accepts.most, QUEUED / 2);
    for (int i = 0; i < QUEUED; i++)
        close(clients[i]);
    ostler_server_free(server);
}
END_TEST

/* ---- service_actions ---- */

static void act(struct ostler_server *s)
{
    (void)s;
    harness_raise(&seen.acted);
}

static const struct ostler_server_class active = { .service_actions = act };

START_TEST(service_actions_run_after_each_round)
{
    struct harness_server h;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &active,
                                                       .stream = &greet });
    for (int i = 0; i < 5; i++) {
        int before = harness_count(&seen.acted);

        check_greeting(h.server);
        ck_assert(harness_wait(&seen.acted, before + 1));
    }
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(service_actions_run_by_the_clock_if_it_is_said)
{
    struct harness_server h;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &active,
                                                       .stream = &greet, .actions_interval_ms = 5 });
    ck_assert(harness_wait(&seen.acted, 10));
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- handle_request ---- */

START_TEST(handle_request_handles_one_and_leaves_the_rest)
{
    struct ostler_server *server =
        new_server((struct ostler_server_options){ .stream = &greet, .mixin = mixins[_i], .request_timeout_ms = 60000 });
    int a = client_of(server), b = client_of(server);

    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert_uint_eq(ostler_server_accepted(server), 1);
    ck_assert(harness_expect(a, "hello\n"));
    ck_assert(harness_is_silent(b));
    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert_uint_eq(ostler_server_accepted(server), 2);
    ck_assert(harness_expect(b, "hello\n"));
    close(a);
    close(b);
    ck_assert_int_eq(harness_count(&seen.timed_out), 0);
    ostler_server_free(server);
}
END_TEST

START_TEST(handle_request_finishes_a_conn_too)
{
    struct ostler_server *server =
        new_server((struct ostler_server_options){ .conn = &echo_conn, .request_timeout_ms = 60000 });
    int client = client_of(server);

    ck_assert(harness_say(client, "hello"));
    shutdown(client, SHUT_WR);
    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert(harness_expect(client, "hello"));
    ck_assert(harness_expect_end(client));
    ck_assert_uint_eq(ostler_server_active(server), 0);
    close(client);
    ostler_server_free(server);
}
END_TEST

START_TEST(handle_request_calls_handle_timeout_when_nobody_comes)
{
    struct ostler_server *server =
        new_server((struct ostler_server_options){ .stream = &greet, .request_timeout_ms = 20 });
    uint64_t begin = harness_now_ms();

    ck_assert_int_eq(ostler_server_handle_request(server), 0);
    ck_assert_uint_ge(harness_now_ms() - begin, 20);
    ck_assert_int_eq(harness_count(&seen.timed_out), 1);
    ck_assert_int_eq(ostler_server_handle_request(server), 0);
    ck_assert_int_eq(harness_count(&seen.timed_out), 2);
    ostler_server_free(server);
}
END_TEST

START_TEST(the_request_timeout_does_not_cut_a_request_short)
{
    struct ostler_server *server =
        new_server((struct ostler_server_options){ .conn = &echo_conn, .timeout_ms = 100, .request_timeout_ms = 20 });
    int client = client_of(server);

    ck_assert_int_eq(ostler_server_handle_request(server), 1); /* ends by its own timeout */
    ck_assert_int_eq(harness_count(&seen.timed_out), 0);
    ck_assert(harness_expect_end(client));
    close(client);
    ostler_server_free(server);
}
END_TEST

START_TEST(a_request_that_is_refused_counts_as_handled)
{
    static const struct ostler_server_class choosy = { .super = &patient, .verify_request = refuse };
    struct ostler_server *server = new_server(
        (struct ostler_server_options){ .stream = &greet, .server_class = &choosy, .request_timeout_ms = 60000 });
    int client = client_of(server);

    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert(harness_expect_end(client));
    close(client);
    ostler_server_free(server);
}
END_TEST

static void *stop_reactor(void *server)
{
    ostler_reactor_stop(ostler_server_reactor(server));
    return NULL;
}

START_TEST(a_stop_of_the_reactor_ends_handle_request)
{
    struct ostler_server *server = new_server((struct ostler_server_options){ .stream = &greet });
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, stop_reactor, server), 0);
    ck_assert_int_eq(ostler_server_handle_request(server), -ESHUTDOWN);
    pthread_join(thread, NULL);
    ck_assert_int_eq(harness_count(&seen.timed_out), 0);
    ostler_server_free(server);
}
END_TEST

START_TEST(handle_request_after_a_shutdown_says_so_each_time)
{
    struct ostler_server *server = new_server((struct ostler_server_options){ .stream = &greet });

    ck_assert_int_eq(ostler_server_shutdown(server), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(ostler_server_handle_request(server), -ESHUTDOWN);
    ostler_server_free(server);
}
END_TEST

static int stop_reactor_from_a_thread(struct ostler_stream *s)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, stop_reactor, ostler_stream_server(s)) != 0)
        return -EAGAIN;
    return -pthread_join(thread, NULL);
}

START_TEST(a_stop_of_the_reactor_while_a_handler_computes_is_not_lost)
{
    static const struct ostler_stream_handler stops = { .handle = stop_reactor_from_a_thread };
    struct ostler_server *server = new_server((struct ostler_server_options){ .stream = &stops });
    int client = harness_connect(server);

    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert_int_eq(ostler_server_handle_request(server), -ESHUTDOWN);
    close(client);
    ostler_server_free(server);
}
END_TEST

START_TEST(after_handle_request_it_can_still_serve_for_ever)
{
    struct ostler_server *server = new_server((struct ostler_server_options){ .stream = &greet });
    int client = client_of(server);

    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert(harness_expect(client, "hello\n"));
    close(client);
    ck_assert_int_eq(ostler_server_shutdown(server), 0);
    ck_assert_int_eq(ostler_server_serve_forever(server), 0);
    ostler_server_free(server);
}
END_TEST

START_TEST(a_stop_of_the_reactor_ends_what_handle_request_left_in_a_thread)
{
    struct ostler_server *server = new_server((struct ostler_server_options){ .stream = &echo,
                                                                              .mixin = &ostler_threading });
    int client = client_of(server);

    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    check_echo(client, "hello\n");
    ck_assert_int_eq(ostler_reactor_stop(ostler_server_reactor(server)), 0);
    ck_assert_int_eq(ostler_reactor_run(ostler_server_reactor(server)), 0);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(ostler_server_handle_request(server), -ESHUTDOWN);
    ostler_server_free(server);
}
END_TEST

static int start_own(struct ostler_stream *s)
{
    seen.result = ostler_server_start(ostler_stream_server(s));
    return ostler_stream_printf(s, "hello\n");
}

START_TEST(a_handler_of_handle_request_does_not_start_its_server)
{
    static const struct ostler_stream_handler starting = { .handle = start_own };
    struct ostler_server *server = new_server((struct ostler_server_options){ .stream = &starting });
    int client = client_of(server);

    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert_int_eq(seen.result, -EBUSY);
    ck_assert(harness_expect(client, "hello\n"));
    close(client);
    ck_assert_int_eq(ostler_reactor_stop(ostler_server_reactor(server)), 0);
    ck_assert_int_eq(ostler_reactor_run(ostler_server_reactor(server)), 0);
    ck_assert_int_eq(ostler_server_start(server), 0);
    ostler_server_free(server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server_loop");
    TCase *tc = harness_case(suite, "get_request that fails");

    tcase_add_loop_test(tc, out_of_something_it_pauses_longer_and_longer_and_then_serves, 0, 5);
    tcase_add_loop_test(tc, it_resumes_at_once_when_one_of_ours_closes, 0, 2);
    tcase_add_loop_test(tc, a_connection_that_has_gone_is_passed_over, 0, 5);
    tcase_add_loop_test(tc, an_error_about_one_connection_holds_up_no_other, 0, 5);
    tcase_add_test(tc, out_of_something_behind_an_accept_it_pauses_too);
    if (!is_under_valgrind())
        tcase_add_test(tc, at_the_real_limit_of_descriptors_clients_wait_and_are_served);
    tcase_add_test(tc, who_waits_for_his_peers_end_makes_room_at_the_limit);
    tcase_add_test(tc, those_who_are_there_have_a_turn_while_a_crowd_comes_in);
    tc = harness_case(suite, "service_actions");
    tcase_add_test(tc, service_actions_run_after_each_round);
    tcase_add_test(tc, service_actions_run_by_the_clock_if_it_is_said);
    tc = harness_case(suite, "handle_request");
    tcase_add_loop_test(tc, handle_request_handles_one_and_leaves_the_rest, 0, MIXINS);
    tcase_add_test(tc, handle_request_finishes_a_conn_too);
    tcase_add_test(tc, handle_request_calls_handle_timeout_when_nobody_comes);
    tcase_add_test(tc, the_request_timeout_does_not_cut_a_request_short);
    tcase_add_test(tc, a_request_that_is_refused_counts_as_handled);
    tcase_add_test(tc, a_stop_of_the_reactor_ends_handle_request);
    tcase_add_test(tc, handle_request_after_a_shutdown_says_so_each_time);
    tcase_add_test(tc, a_stop_of_the_reactor_while_a_handler_computes_is_not_lost);
    tcase_add_test(tc, after_handle_request_it_can_still_serve_for_ever);
    tcase_add_test(tc, a_stop_of_the_reactor_ends_what_handle_request_left_in_a_thread);
    tcase_add_test(tc, a_handler_of_handle_request_does_not_start_its_server);
    return harness_main(suite);
}
