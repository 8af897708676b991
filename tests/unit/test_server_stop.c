/* server.h: shutdown and stop, with requests that run or wait; limits. */
#include "support/servers.h"

/* ---- Shutdown ---- */

START_TEST(shutdown_from_another_thread_waits_until_serve_forever_has_left)
{
    struct harness_server h;

    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &greet, .mixin = mixins[_i] });
    check_greeting(h.server);
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(ostler_server_fd(h.server, 0), -EBADF);
    ck_assert_ptr_nonnull(ostler_server_address(h.server, 0));
    ck_assert_int_gt(ostler_address_port(ostler_server_address(h.server, 0)), 0);
    ck_assert_int_eq(harness_connect(h.server), -ECONNREFUSED);
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0); /* again: nothing to wait for */
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
}
END_TEST

START_TEST(a_shutdown_before_the_start_wins)
{
    struct ostler_server *server = new_server((struct ostler_server_options){ .stream = &greet, .mixin = mixins[_i] });

    ck_assert_int_eq(ostler_server_shutdown(server), 0);
    ck_assert_int_eq(ostler_server_serve_forever(server), 0);
    ck_assert_str_eq(seen.trace, "BA");
    ostler_server_free(server);
    ck_assert_str_eq(seen.trace, "BAX");
}
END_TEST

START_TEST(a_handler_shuts_its_own_server_down)
{
    static const struct ostler_stream_handler handler = { .handle = stream_shuts_down };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &handler, .mixin = mixins[_i] });
    client = client_of(h.server);
    ck_assert(harness_expect(client, "bye\n"));
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
    ck_assert_int_eq(seen.result, 0);
}
END_TEST

static ssize_t conn_shuts_down(struct ostler_conn *c, const void *data, size_t n)
{
    seen.result = ostler_server_shutdown(ostler_conn_server(c));
    return echo_on_data(c, data, n);
}

START_TEST(a_callback_shuts_its_own_server_down)
{
    static const struct ostler_conn_handler handler = { .on_data = conn_shuts_down };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .conn = &handler });
    client = client_of(h.server);
    check_echo(client, "bye");
    close(client);
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
    ck_assert_int_eq(seen.result, 0);
}
END_TEST

START_TEST(twenty_servers_shut_down_while_starting_all_leave)
{
    for (int i = 0; i < 20; i++) {
        struct harness_server h;

        harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &greet, .mixin = mixins[_i] });
        ck_assert_int_eq(harness_stop(&h), 0);
    }
}
END_TEST

static void *shut_down(void *server)
{
    ostler_server_shutdown(server);
    harness_raise(&seen.returned);
    return NULL;
}

START_TEST(many_threads_may_shut_it_down_at_once)
{
    struct harness_server h;
    pthread_t threads[8];

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &greet });
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, shut_down, h.server), 0);
    ck_assert(harness_wait(&seen.returned, 8));
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
}
END_TEST

START_TEST(a_threading_server_that_never_served_is_freed)
{
    ostler_server_free(new_server((struct ostler_server_options){ .stream = &greet, .mixin = mixins[_i] }));
    ck_assert_str_eq(seen.trace, "BAX");
}
END_TEST

START_TEST(stop_and_abort_are_for_the_reactors_thread)
{
    struct harness_server h;

    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &greet });
    check_greeting(h.server);
    ck_assert_int_eq(ostler_server_stop(h.server), -EPERM);
    ck_assert_int_eq(ostler_server_abort(h.server), -EPERM);
    check_greeting(h.server);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- Stopping with requests that run ---- */

static int read_then_report(struct ostler_stream *s)
{
    char buffer[64];
    ssize_t n;
    size_t total = 0;

    harness_raise(&seen.handled);
    while ((n = ostler_stream_read(s, buffer, sizeof(buffer))) > 0)
        total += (size_t)n;
    return n < 0 ? (int)n : ostler_stream_printf(s, "%zu bytes\n", total);
}

START_TEST(a_stop_lets_handlers_answer_what_was_received)
{
    static const struct ostler_stream_handler handler = { .handle = read_then_report };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &handler, .mixin = mixins[_i],
                                                       .stop_timeout_ms = 60000 });
    client = client_of(h.server);
    ck_assert(harness_wait(&seen.handled, 1));
    ck_assert(harness_say(client, "12345"));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert(harness_expect(client, "5 bytes\n"));
    ck_assert(harness_expect_end(client));
    close(client);
}
END_TEST

static int write_for_ever(struct ostler_stream *s)
{
    static const char block[65536];
    int r;

    harness_raise(&seen.handled);
    do
        r = ostler_stream_write(s, block, sizeof(block));
    while (r == 0);
    seen.result = r;
    return r;
}

START_TEST(what_is_left_after_the_stop_timeout_is_cut_off)
{
    static const struct ostler_stream_handler handler = { .handle = write_for_ever };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &handler, .mixin = mixins[_i],
                                                       .stop_timeout_ms = 30 });
    client = client_of(h.server); /* which reads nothing */
    ck_assert(harness_wait(&seen.handled, 1));
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert(harness_log_has(&h.log, "warning"));
    ck_assert_int_eq(seen.result, -ECANCELED);
    harness_free(&h);
    close(client);
}
END_TEST

static int hold_out(struct ostler_stream *s)
{
    (void)s;
    harness_raise(&seen.handled);
    harness_wait(&seen.release, 1);
    return 0;
}

START_TEST(a_handler_that_does_not_end_is_named_and_the_stop_gives_up)
{
    static const struct ostler_stream_handler handler = { .handle = hold_out };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .name = "tested", .address = anywhere, .stream = &handler,
                                                       .mixin = &ostler_threading, .stop_timeout_ms = 20 });
    client = client_of(h.server);
    ck_assert(harness_wait(&seen.handled, 1));
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), -ETIMEDOUT);
    ck_assert_int_eq(harness_log_count(&h.log, "error tested: tcp:127.0.0.1:"), 1);
    harness_raise(&seen.release);
    harness_free(&h);
    close(client);
}
END_TEST

/* A call on the reactor's thread that has to do with a server. */
struct order {
    struct ostler_server *server;
    struct ostler_reactor *reactor;
    const struct ostler_server_options *options;
    int result;
};

static void make_and_start(void *arg)
{
    struct order *o = arg;

    o->result = ostler_server_new(&o->server, o->options, o->reactor);
    if (o->result == 0)
        o->result = ostler_server_start(o->server);
}

static void stop_server(void *arg)
{
    struct order *o = arg;

    o->result = ostler_server_stop(o->server);
}

static void free_server(void *arg)
{
    struct order *o = arg;

    ostler_server_free(o->server);
}

static void serve_inside(void *arg)
{
    struct order *o = arg;

    o->result = ostler_server_serve_forever(o->server);
}

static void count_active(void *arg)
{
    struct order *o = arg;

    o->result = (int)ostler_server_active(o->server);
}

static void order(struct order *o, void (*function)(void *))
{
    ck_assert(harness_call(o->reactor, function, o));
}

static int read_until_the_end(struct ostler_stream *s)
{
    char byte;
    ssize_t n;

    harness_raise(&seen.handled);
    do
        n = ostler_stream_read(s, &byte, 1);
    while (n > 0);
    trace(n == -ECANCELED || n == 0 ? 'k' : '?');
    return (int)n;
}

/* Answers a byte; at the end of its input nothing is worth waiting for. */
static int answer_or_abort(struct ostler_stream *s)
{
    char byte;
    ssize_t n = ostler_stream_read(s, &byte, 1);

    if (n == 0)
        return ostler_server_abort(ostler_stream_server(s));
    return n < 0 ? (int)n : ostler_stream_write(s, "done", 4);
}

START_TEST(a_fiber_that_a_stop_wakes_may_abort)
{
    static const struct ostler_stream_handler handler = { .handle = answer_or_abort };
    struct harness_server h;
    int clients[6];

    harness_start(&h, &(struct ostler_server_options){
                          .address = anywhere, .stream = &handler, .mixin = &ostler_fibers });
    for (int i = 0; i < 6; i++) {
        clients[i] = harness_connect(h.server);
        ck_assert_int_ge(clients[i], 0);
        if (i % 3 == 0)
            continue; /* it waits; the others linger */
        ck_assert(harness_say(clients[i], "x"));
        ck_assert(harness_expect(clients[i], "done"));
    }
    ck_assert_int_eq(harness_stop(&h), 0);
    for (int i = 0; i < 6; i++)
        close(clients[i]);
}
END_TEST

START_TEST(a_server_is_freed_while_connections_are_open_and_handlers_run)
{
    static const struct ostler_stream_handler handler = { .handle = read_until_the_end };
    struct ostler_server_options options = { .address = anywhere, .stream = &handler, .mixin = mixins[_i] };
    struct harness_reactor h;
    struct order o = { .options = &options };
    int clients[5];

    see_afresh();
    harness_reactor_init(&h);
    harness_reactor_start(&h);
    o.reactor = h.reactor;
    order(&o, make_and_start);
    ck_assert_int_eq(o.result, 0);
    for (int i = 0; i < 5; i++)
        clients[i] = client_of(o.server);
    ck_assert(harness_wait(&seen.handled, 5));
    order(&o, free_server);
    ck_assert_str_eq(seen.trace, "kkkkk");
    for (int i = 0; i < 5; i++) {
        char byte;

        ck_assert_int_le(harness_receive_once(clients[i], &byte, 1), 0);
        close(clients[i]);
    }
    ostler_reactor_stop(h.reactor);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    harness_reactor_fini(&h);
}
END_TEST

static int note_conn_open(struct ostler_conn *c)
{
    (void)c;
    harness_raise(&seen.handled);
    return 0;
}

static void note_stopped(struct ostler_conn *c, enum ostler_close_reason reason, int error)
{
    (void)c;
    trace(reason == OSTLER_CLOSE_STOPPED && error == -ECANCELED ? 'k' : '?');
}

static int ignore_eof(struct ostler_conn *c)
{
    (void)c;
    return 0;
}

START_TEST(every_conn_hears_of_it_when_its_server_is_freed)
{
    static const struct ostler_conn_handler handler = { .on_open = note_conn_open, .on_eof = ignore_eof,
                                                        .on_close = note_stopped };
    struct ostler_server_options options = { .address = anywhere, .conn = &handler };
    struct harness_reactor h;
    struct order o = { .options = &options };
    int clients[5];

    see_afresh();
    harness_reactor_init(&h);
    harness_reactor_start(&h);
    o.reactor = h.reactor;
    order(&o, make_and_start);
    for (int i = 0; i < 5; i++)
        clients[i] = client_of(o.server);
    ck_assert(harness_wait(&seen.handled, 5));
    order(&o, free_server);
    ck_assert_str_eq(seen.trace, "kkkkk");
    for (int i = 0; i < 5; i++)
        close(clients[i]);
    ostler_reactor_stop(h.reactor);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    harness_reactor_fini(&h);
}
END_TEST

START_TEST(two_servers_live_on_one_reactor_and_stop_one_by_one)
{
    struct ostler_server_options echoes = { .address = anywhere, .conn = &echo_conn };
    struct ostler_server_options greets = { .address = anywhere, .stream = &greet, .mixin = &ostler_fibers };
    struct harness_reactor h;
    struct order a = { .options = &echoes }, b = { .options = &greets };
    int client;

    see_afresh();
    harness_reactor_init(&h);
    a.reactor = b.reactor = h.reactor;
    ck_assert_int_eq(ostler_server_new(&a.server, &echoes, h.reactor), 0);
    ck_assert_int_eq(ostler_server_start(a.server), 0);
    harness_reactor_start(&h);
    order(&b, make_and_start);
    ck_assert_int_eq(b.result, 0);
    client = client_of(a.server);
    check_echo(client, "x");
    check_greeting(b.server);
    close(client);
    order(&a, stop_server);
    ck_assert_int_eq(a.result, 0);
    check_greeting(b.server); /* the reactor runs on for it */
    ck_assert_int_eq(ostler_server_fd(a.server, 0), -EBADF);
    order(&a, free_server);
    order(&b, serve_inside);
    ck_assert_int_eq(b.result, -EBUSY);
    check_greeting(b.server);
    ostler_reactor_stop(h.reactor);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    ck_assert_int_eq(ostler_server_fd(b.server, 0), -EBADF);
    ostler_server_free(b.server);
    harness_reactor_fini(&h);
}
END_TEST

START_TEST(a_stop_does_not_wait_for_peers_that_keep_their_end_open)
{
    struct ostler_server_options options = { .address = anywhere, .conn = &echo_conn };
    struct harness_server h;
    uint64_t begin;
    int client;

    if (_i > 0)
        options = (struct ostler_server_options){ .address = anywhere, .stream = &echo, .mixin = mixins[_i - 1] };
    harness_start(&h, &options);
    client = client_of(h.server);
    check_echo(client, "x");
    begin = harness_now_ms();
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_uint_lt(harness_now_ms() - begin, 1500); /* without a stop it would be two seconds */
    ck_assert(harness_expect_end(client));
    close(client);
    harness_free(&h);
}
END_TEST

START_TEST(the_reactors_run_tells_that_a_server_gave_up)
{
    static const struct ostler_stream_handler handler = { .handle = hold_out };
    struct ostler_server_options options = { .address = anywhere, .stream = &handler, .mixin = &ostler_threading,
                                             .stop_timeout_ms = 20 };
    struct harness_reactor h;
    struct ostler_server *server;
    int client;

    see_afresh();
    harness_reactor_init(&h);
    ck_assert_int_eq(ostler_server_new(&server, &options, h.reactor), 0);
    ck_assert_int_eq(ostler_server_start(server), 0);
    harness_reactor_start(&h);
    client = client_of(server);
    ck_assert(harness_wait(&seen.handled, 1));
    ostler_reactor_stop(h.reactor);
    ck_assert_int_eq(harness_reactor_join(&h), -ETIMEDOUT);
    harness_raise(&seen.release);
    ostler_server_free(server);
    ostler_reactor_stop(h.reactor);
    ck_assert_int_eq(ostler_reactor_run(h.reactor), 0); /* the next run has nothing to tell of that */
    harness_reactor_fini(&h);
    close(client);
}
END_TEST

/* ---- Limits ---- */

START_TEST(a_full_house_lets_clients_wait)
{
    struct harness_server h;
    struct order o = { 0 };
    int a, b, c;

    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .conn = &echo_conn, .max_requests = 2 });
    o.server = h.server;
    o.reactor = ostler_server_reactor(h.server);
    a = client_of(h.server);
    b = client_of(h.server);
    check_echo(a, "a");
    check_echo(b, "b");
    c = client_of(h.server);
    ck_assert(harness_say(c, "patience"));
    ck_assert(harness_is_silent(c));
    check_echo(a, "still served");
    order(&o, count_active);
    ck_assert_int_eq(o.result, 2);
    close(a);
    ck_assert(harness_expect(c, "patience"));
    check_echo(b, "me too");
    close(b);
    close(c);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_full_house_of_streams_lets_clients_wait_too)
{
    struct harness_server h;
    int a, b;

    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &echo, .mixin = mixins[_i],
                                                       .max_requests = 1 });
    a = client_of(h.server);
    check_echo(a, "a");
    b = client_of(h.server);
    ck_assert(harness_say(b, "patience"));
    ck_assert(harness_is_silent(b));
    close(a);
    ck_assert(harness_expect(b, "patience"));
    close(b);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static void abort_and_close(struct ostler_server *server)
{
    seen.result = ostler_server_abort(server);
    ostler_tcp_server.close(server);
}

START_TEST(a_close_slot_may_abort)
{
    static const struct ostler_server_class class = { .super = &ostler_tcp_server, .close = abort_and_close };
    struct ostler_reactor *reactor;
    struct ostler_server *server;

    ck_assert_int_eq(ostler_reactor_new(&reactor, NULL), 0);
    ck_assert_int_eq(ostler_server_new(&server,
                                       &(struct ostler_server_options){ .address = anywhere, .conn = &echo_conn,
                                                                        .server_class = &class },
                                       reactor), 0);
    ck_assert_int_eq(ostler_server_start(server), 0);
    seen.result = -1;
    ck_assert_int_eq(ostler_reactor_stop(reactor), 0);
    ck_assert_int_eq(ostler_reactor_run(reactor), 0);
    ck_assert_int_eq(seen.result, 0);
    ck_assert_int_eq(ostler_server_start(server), -ESHUTDOWN);
    ostler_server_free(server);
    ostler_reactor_free(reactor);
}
END_TEST

enum { CROWD = 200 };

START_TEST(hundreds_of_connections_are_served_side_by_side)
{
    struct harness_server h;
    struct order o = { 0 };
    int clients[CROWD];

    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .conn = &echo_conn });
    for (int i = 0; i < CROWD; i++)
        clients[i] = client_of(h.server);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CROWD; i++)
            ck_assert(harness_say(clients[i], "ping"));
        for (int i = CROWD; i-- > 0;)
            ck_assert(harness_expect(clients[i], "ping"));
    }
    o.server = h.server;
    o.reactor = ostler_server_reactor(h.server);
    order(&o, count_active);
    ck_assert_int_eq(o.result, CROWD);
    for (int i = 0; i < CROWD; i++)
        close(clients[i]);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server_stop");
    TCase *tc = harness_case(suite, "shutdown");

    tcase_add_loop_test(tc, shutdown_from_another_thread_waits_until_serve_forever_has_left, 0, MIXINS);
    tcase_add_loop_test(tc, a_shutdown_before_the_start_wins, 0, MIXINS);
    tcase_add_loop_test(tc, a_handler_shuts_its_own_server_down, 0, MIXINS);
    tcase_add_test(tc, a_callback_shuts_its_own_server_down);
    tcase_add_loop_test(tc, twenty_servers_shut_down_while_starting_all_leave, 0, MIXINS);
    tcase_add_test(tc, many_threads_may_shut_it_down_at_once);
    tcase_add_loop_test(tc, a_threading_server_that_never_served_is_freed, 0, MIXINS);
    tcase_add_test(tc, stop_and_abort_are_for_the_reactors_thread);
    tc = harness_case(suite, "stopping with requests that run");
    tcase_add_loop_test(tc, a_stop_lets_handlers_answer_what_was_received, 0, MIXINS);
    tcase_add_loop_test(tc, what_is_left_after_the_stop_timeout_is_cut_off, 0, MIXINS);
    tcase_add_test(tc, a_handler_that_does_not_end_is_named_and_the_stop_gives_up);
    tcase_add_loop_test(tc, a_server_is_freed_while_connections_are_open_and_handlers_run, 1, MIXINS);
    tcase_add_test(tc, a_fiber_that_a_stop_wakes_may_abort);
    tcase_add_test(tc, every_conn_hears_of_it_when_its_server_is_freed);
    tcase_add_test(tc, two_servers_live_on_one_reactor_and_stop_one_by_one);
    tcase_add_test(tc, the_reactors_run_tells_that_a_server_gave_up);
    tcase_add_test(tc, a_close_slot_may_abort);
    tcase_add_loop_test(tc, a_stop_does_not_wait_for_peers_that_keep_their_end_open, 0, MIXINS + 1);
    tc = harness_case(suite, "limits");
    tcase_add_test(tc, a_full_house_lets_clients_wait);
    tcase_add_loop_test(tc, a_full_house_of_streams_lets_clients_wait_too, 0, MIXINS);
    tcase_add_test(tc, hundreds_of_connections_are_served_side_by_side);
    return harness_main(suite);
}
