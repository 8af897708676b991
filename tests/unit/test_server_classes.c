/* server.h and sys/mixin.h: the slots of server classes, and mix-ins that are not ours. */
#include "support/servers.h"

/* ---- Classes ---- */

/* Serve one greeting. */
static void greet_once(struct ostler_server_options options)
{
    struct harness_server h;

    see_afresh();
    options.address = anywhere;
    harness_start(&h, &options);
    check_greeting(h.server);
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
}

START_TEST(each_slot_is_called_once_in_the_order_of_the_table)
{
    greet_once((struct ostler_server_options){ .server_class = &traced, .stream = &greet, .mixin = mixins[_i] });
    ck_assert_str_eq(seen.trace, "BAGVPFhSCX");
}
END_TEST

START_TEST(a_conn_is_not_finished_by_finish_request)
{
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){
                          .address = anywhere, .server_class = &traced, .conn = &echo_conn });
    client = client_of(h.server);
    check_echo(client, "x");
    shutdown(client, SHUT_WR);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "BAGVPSCX");
}
END_TEST

static int get_without_peer(struct ostler_server *s, int listener, struct ostler_address *peer)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)s;
    (void)peer;
    return fd < 0 ? -errno : fd;
}

static int open_and_tell_peer(struct ostler_conn *c)
{
    const struct ostler_address *peer = ostler_conn_peer(c);
    char text[OSTLER_ADDRESS_TEXT] = "";

    ostler_address_text(peer, text, sizeof(text));
    if (ostler_address_sockaddr(peer, NULL) || ostler_address_is_loopback(peer))
        return ostler_conn_write(c, "somebody", 8);
    return ostler_conn_write(c, text, strlen(text));
}

static const struct ostler_server_class peerless[] = {
    { .super = &ostler_tcp_server, .get_request = get_without_peer },
    { .super = &ostler_unix_stream_server, .get_request = get_without_peer },
};

START_TEST(a_peer_that_get_request_leaves_alone_is_nobody)
{
    static const struct ostler_conn_handler handler = { .on_open = open_and_tell_peer };
    struct harness_server h;
    char name[64];
    int client;

    snprintf(name, sizeof(name), "unix:@ostler-silent-%d", (int)getpid());
    harness_start(&h, &(struct ostler_server_options){
                          .address = _i ? name : anywhere, .server_class = &peerless[_i], .conn = &handler });
    client = client_of(h.server);
    ck_assert(harness_expect(client, _i ? "unix:(unnamed)" : "tcp:[::]:0"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static bool parent_verify(struct ostler_server *s, const struct ostler_request *r)
{
    (void)s;
    (void)r;
    trace('1');
    return true;
}

static void parent_close_request(struct ostler_server *s, struct ostler_request *r)
{
    trace('2');
    ostler_tcp_server.close_request(s, r);
    harness_raise(&seen.closed);
}

static int child_bind(struct ostler_server *s)
{
    trace('3');
    return ostler_tcp_server.bind(s);
}

static bool child_verify(struct ostler_server *s, const struct ostler_request *r)
{
    trace('4');
    return parent_verify(s, r);
}

START_TEST(slots_are_inherited_over_two_levels)
{
    static const struct ostler_server_class parent = { .super = &ostler_tcp_server,
                                                       .verify_request = parent_verify,
                                                       .close_request = parent_close_request };
    static const struct ostler_server_class child = { .super = &parent, .bind = child_bind,
                                                      .verify_request = child_verify };
    static const struct ostler_server_class orphan = { .verify_request = child_verify,
                                                       .close_request = parent_close_request };

    greet_once((struct ostler_server_options){ .server_class = &child, .stream = &greet });
    ck_assert_str_eq(seen.trace, "341h2");
    greet_once((struct ostler_server_options){ .server_class = &orphan, .stream = &greet });
    ck_assert_str_eq(seen.trace, "41h2");
}
END_TEST

START_TEST(a_class_that_is_its_own_ancestor_is_refused_with_a_sentence)
{
    struct ostler_server_class a = { .name = "a" }, b = { .name = "b", .super = &a };
    struct ostler_server_options options = { .address = anywhere, .stream = &greet, .server_class = &b };
    struct ostler_server *server = NULL;
    struct harness_log log;

    a.super = &b;
    harness_log_init(&log);
    options.log = &log.log;
    ck_assert_int_lt(ostler_server_new(&server, &options, NULL), 0);
    ck_assert_ptr_null(server);
    ck_assert_int_ge(harness_log_count(&log, "error"), 1);
    harness_log_fini(&log);
}
END_TEST

static int fail_with_exdev(struct ostler_server *s)
{
    (void)s;
    trace('!');
    return -EXDEV;
}

START_TEST(a_bind_or_activate_that_fails_closes_what_is_open)
{
    static const struct ostler_server_class no_bind = { .super = &traced, .bind = fail_with_exdev };
    static const struct ostler_server_class no_activate = { .super = &traced, .activate = fail_with_exdev };
    struct ostler_server_options options = { .address = "tcp:*:0", .stream = &greet, .server_class = &no_bind };
    struct ostler_server *server = NULL;

    see_afresh();
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), -EXDEV);
    ck_assert_str_eq(seen.trace, "!X");
    see_afresh();
    options.server_class = &no_activate;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), -EXDEV);
    ck_assert_str_eq(seen.trace, "B!X");
    ck_assert_ptr_null(server);
}
END_TEST

START_TEST(a_rejected_request_is_shut_down_and_closed_once)
{
    static const struct ostler_server_class choosy = { .super = &traced, .verify_request = refuse };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &choosy,
                                                       .stream = &greet, .mixin = mixins[_i] });
    client = client_of(h.server);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "BAGVSCX");
    ck_assert_int_eq(harness_count(&seen.closed), 1);
}
END_TEST

static void note_conn_close(struct ostler_conn *c, enum ostler_close_reason reason, int error)
{
    (void)c;
    (void)reason;
    (void)error;
    trace('c');
}

START_TEST(a_rejected_conn_never_meets_its_handler)
{
    static const struct ostler_server_class choosy = { .super = &traced, .verify_request = refuse };
    static const struct ostler_conn_handler handler = { .on_data = echo_on_data, .on_close = note_conn_close };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &choosy,
                                                       .conn = &handler });
    client = client_of(h.server);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "BAGVSCX");
}
END_TEST

static int process_the_second(struct ostler_server *s, struct ostler_request *r)
{
    trace('P');
    return ostler_server_accepted(s) == 1 ? -EXDEV : ostler_tcp_server.process_request(s, r);
}

START_TEST(process_request_failing_is_reported_once_and_the_server_goes_on)
{
    static const struct ostler_server_class broken = { .super = &traced, .process_request = process_the_second };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &broken,
                                                       .stream = &greet, .mixin = mixins[_i] });
    client = client_of(h.server);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert(harness_wait(&seen.closed, 1));
    check_greeting(h.server);
    ck_assert(harness_wait(&seen.closed, 2));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "BAGVPESCGVPFhSCX");
    ck_assert_int_eq(seen.handled_error, -EXDEV);
}
END_TEST

static int open_and_write(struct ostler_conn *c)
{
    trace('o');
    return ostler_conn_write(c, "hello", 5);
}

static int process_and_fail(struct ostler_server *s, struct ostler_request *r)
{
    trace('P');
    seen.result = ostler_tcp_server.process_request(s, r);
    return -EXDEV;
}

static void note_refusal(struct ostler_conn *c, enum ostler_close_reason reason, int error)
{
    seen.result += reason != OSTLER_CLOSE_REFUSED || error != -EXDEV;
    note_conn_close(c, reason, error);
}

START_TEST(a_conn_that_was_opened_hears_that_process_request_failed)
{
    static const struct ostler_server_class broken = { .super = &traced, .process_request = process_and_fail };
    static const struct ostler_conn_handler handler = { .on_open = open_and_write, .on_close = note_refusal };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &broken,
                                                       .conn = &handler });
    client = client_of(h.server);
    ck_assert(harness_expect(client, "hello"));
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "BAGVPoEcSCX");
    ck_assert_int_eq(seen.result, 0);
}
END_TEST

static int read_a_byte(struct ostler_stream *s)
{
    return (int)ostler_stream_read(s, &(char){ 0 }, 1);
}

/* Its handler is on its way then, and ends, before the request does. */
START_TEST(who_runs_elsewhere_is_ended_when_process_request_fails)
{
    static const struct ostler_server_class broken = { .super = &traced, .process_request = process_and_fail };
    static const struct ostler_stream_handler reader = { .handle = read_a_byte };
    struct harness_server h;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &broken, .stream = &reader,
                                                       .mixin = _i ? &ostler_forking : &ostler_threading,
                                                       .max_requests = 1 });
    for (int i = 1; i <= 3; i++) {
        int client = client_of(h.server);

        ck_assert(harness_expect_end(client));
        ck_assert(harness_wait(&seen.closed, i));
        close(client);
    }
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
}
END_TEST

static int finish_none(struct ostler_server *s, struct ostler_request *r)
{
    (void)s;
    (void)r;
    trace('F');
    return -EXDEV;
}

START_TEST(finish_request_failing_is_reported_once)
{
    static const struct ostler_server_class broken = { .super = &traced, .finish_request = finish_none };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &broken,
                                                       .stream = &greet, .mixin = mixins[_i] });
    client = client_of(h.server);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "BAGVPFESCX");
    ck_assert_int_eq(seen.handled_error, -EXDEV);
}
END_TEST

START_TEST(a_failing_handler_is_logged_once_and_the_server_survives)
{
    struct harness_server h;

    harness_start(&h, &(struct ostler_server_options){ .name = "tested", .address = anywhere, .stream = &failing,
                                                       .mixin = mixins[_i] });
    for (int i = 1; i <= 3; i++) {
        int client = client_of(h.server);

        ck_assert(harness_say(client, "x"));
        ck_assert(harness_expect_end(client));
        close(client);
        ck_assert_int_eq(harness_log_count(&h.log, "error tested: tcp:127.0.0.1:"), i);
    }
    ck_assert_int_eq(harness_log_count(&h.log, ostler_strerror(-EXDEV)), 3);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_flood_of_failures_is_a_few_lines)
{
    struct harness_server h;
    uint64_t begin = harness_now_ms();
    int lines;

    harness_start(&h, &(struct ostler_server_options){ .name = "tested", .address = anywhere, .stream = &failing });
    for (int i = 0; i < 300; i++) {
        int client = client_of(h.server);

        ck_assert(harness_say(client, "x"));
        ck_assert(harness_expect_end(client));
        close(client);
    }
    lines = harness_log_count(&h.log, "error tested");
    ck_assert_int_ge(lines, 1);
    ck_assert_int_le(lines, 20 + 5 * (int)((harness_now_ms() - begin) / 1000));
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- Mix-ins of one's own ---- */

/* What a mix-in's open may answer. */
static int capacity;

static int open_with_capacity(void *state, const struct ostler_server_options *options, struct ostler_reactor *reactor)
{
    trace(state && options->stack_size > 0 && options->timeout_ms > 0 && reactor ? 'O' : '?');
    for (int i = 0; i < 64; i++)
        if (((char *)state)[i])
            trace('?');
    return capacity;
}

static int run_at_once(void *state, struct ostler_request *request)
{
    (void)state;
    trace('R');
    ostler_request_run(request);
    return 0;
}

static void close_mixin(void *state)
{
    (void)state;
    trace('Z');
}

static const struct ostler_mixin own_mixin = {
    .name = "own", .size = 64, .open = open_with_capacity, .process = run_at_once, .close = close_mixin
};

START_TEST(a_mixin_of_ones_own_runs_requests)
{
    struct harness_server h;

    see_afresh();
    capacity = 1;
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &greet, .mixin = &own_mixin });
    check_greeting(h.server);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "ORhZ");
}
END_TEST

START_TEST(a_mixin_that_does_not_open_fails_the_server_with_a_sentence)
{
    static const int answers[] = { -ENOMEM, -EXDEV, 0 };
    struct ostler_server_options options = { .address = anywhere, .stream = &greet, .mixin = &own_mixin };

    for (size_t i = 0; i < 3; i++) {
        struct ostler_server *server = NULL;
        struct harness_log log;

        see_afresh();
        harness_log_init(&log);
        options.log = &log.log;
        capacity = answers[i];
        ck_assert_int_eq(ostler_server_new(&server, &options, NULL), capacity ? capacity : -EINVAL);
        ck_assert_ptr_null(server);
        ck_assert_str_eq(seen.trace, "O"); /* what was not opened is not closed */
        ck_assert_int_ge(harness_log_count(&log, "error"), 1);
        harness_log_fini(&log);
    }
}
END_TEST

START_TEST(the_capacity_of_the_mixin_is_the_servers_limit)
{
    struct harness_server h;
    int a, b;

    see_afresh();
    capacity = 1;
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &echo, .mixin = &own_mixin });
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

static int process_fails(void *state, struct ostler_request *request)
{
    (void)state;
    (void)request;
    return -EXDEV;
}

START_TEST(a_request_that_the_mixin_does_not_take_is_reported_and_closed)
{
    static const struct ostler_mixin lazy = {
        .name = "lazy", .size = 64, .open = open_with_capacity, .process = process_fails, .close = close_mixin
    };
    struct harness_server h;
    int client;

    see_afresh();
    capacity = 1;
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &greet, .mixin = &lazy,
                                                       .server_class = &traced });
    for (int i = 1; i <= 3; i++) {
        client = client_of(h.server);
        ck_assert(harness_expect_end(client));
        close(client);
        ck_assert(harness_wait(&seen.closed, i));
    }
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "OBAGVPESCGVPESCGVPESCXZ");
}
END_TEST

/* ---- A get_request, or a verify_request, that stops the server ---- */

static int came, stop_at; /* which connection is the last one */
static int (*stop_by)(struct ostler_server *s);

static void look_for_the_last(struct ostler_server *s)
{
    if (++came == stop_at)
        seen.result = stop_by(s);
}

static int get_the_last(struct ostler_server *s, int listener, struct ostler_address *peer)
{
    int fd = ostler_tcp_server.get_request(s, listener, peer);

    if (fd >= 0)
        look_for_the_last(s);
    return fd;
}

static bool verify_the_last(struct ostler_server *s, const struct ostler_request *r)
{
    (void)r;
    look_for_the_last(s);
    return true;
}

static const struct ostler_server_class counted[] = { { .get_request = get_the_last },
                                                      { .verify_request = verify_the_last } };

enum { SLOTS = sizeof(counted) / sizeof(counted[0]) };

static struct ostler_server *new_counted(int slot, int i)
{
    struct ostler_server_options options = { .server_class = &counted[slot], .stop_timeout_ms = 600000 };

    came = 0;

    if (i < MIXINS) {
        options.stream = &echo;
        options.mixin = mixins[i];
    } else {
        options.conn = &echo_conn;
    }
    return new_server(options);
}

enum { LAST = 2 }; /* with one that came before, or without */

START_TEST(who_came_before_a_slot_stopped_the_server_is_served)
{
    int mixin = _i / LAST / SLOTS;
    struct ostler_server *server = new_counted(_i % SLOTS, mixin);
    int clients[LAST];

    stop_at = 1 + _i / SLOTS % LAST;
    stop_by = ostler_server_stop;
    for (int i = 0; i < stop_at; i++) {
        clients[i] = client_of(server);
        ck_assert(harness_say(clients[i], "hello\n"));
        if (mixin == 0) /* one at a time */
            shutdown(clients[i], SHUT_WR);
    }
    ck_assert_int_eq(ostler_server_serve_forever(server), 0);
    ck_assert_int_eq(seen.result, 0);
    ck_assert_uint_eq(ostler_server_accepted(server), (unsigned)stop_at);
    for (int i = 0; i < stop_at; i++) {
        ck_assert(harness_expect(clients[i], "hello\n"));
        ck_assert(harness_expect_end(clients[i]));
        close(clients[i]);
    }
    ostler_server_free(server);
}
END_TEST

START_TEST(who_came_when_a_slot_aborted_the_server_is_cut_off)
{
    struct ostler_server *server = new_counted(_i % SLOTS, _i / SLOTS);
    int client = client_of(server);

    stop_at = 1;
    stop_by = ostler_server_abort;
    ck_assert_int_eq(ostler_server_serve_forever(server), 0);
    ck_assert_int_eq(seen.result, 0);
    ck_assert_uint_eq(ostler_server_accepted(server), 1);
    ck_assert(harness_expect_end(client));
    close(client);
    ostler_server_free(server);
}
END_TEST

static int failure;

static int get_nobody(struct ostler_server *s, int listener, struct ostler_address *peer)
{
    (void)listener;
    (void)peer;
    ostler_server_stop(s);
    return failure;
}

static void close_the_last(struct ostler_server *s, struct ostler_request *r)
{
    look_for_the_last(s);
    ostler_tcp_server.close_request(s, r);
}

static void shut_down_the_last(struct ostler_server *s, struct ostler_request *r)
{
    look_for_the_last(s);
    ostler_tcp_server.shutdown_request(s, r);
}

static const struct ostler_server_class ending[] = { { .close_request = close_the_last },
                                                     { .shutdown_request = shut_down_the_last } };

static int (*const ends[])(struct ostler_server *s) = { ostler_server_stop, ostler_server_abort };

static int open_and_leave(struct ostler_conn *c)
{
    int error = ostler_conn_write(c, "hello\n", 6);

    return error < 0 ? error : ostler_conn_close(c);
}

enum { WAYS_TO_END = 4 };

/* The client's end is waited for, in which time the request is one of those whose input is discarded. */
START_TEST(the_last_slots_of_a_request_may_stop_or_abort_the_server)
{
    static const struct ostler_conn_handler leaving = { .on_open = open_and_leave };
    int mixin = _i / WAYS_TO_END;
    struct ostler_server_options options = { .server_class = &ending[_i % 2], .stop_timeout_ms = 600000 };
    struct ostler_server *server;
    int client;

    options.stream = mixin < MIXINS ? &greet : NULL;
    options.mixin = mixin < MIXINS ? mixins[mixin] : NULL;
    options.conn = mixin < MIXINS ? NULL : &leaving;
    server = new_server(options);
    came = 0;
    stop_at = 1;
    stop_by = ends[_i / 2 % 2];
    client = client_of(server);
    shutdown(client, SHUT_WR);
    ck_assert_int_eq(ostler_server_serve_forever(server), 0);
    ck_assert_int_eq(seen.result, 0);
    ck_assert_int_eq(came, 1);
    ck_assert(harness_expect(client, "hello\n"));
    ck_assert(harness_expect_end(client));
    close(client);
    ostler_server_free(server);
}
END_TEST

/* A thread's input was shut down by the stop: its connection ends another way. */
START_TEST(a_slot_may_abort_the_server_while_it_stops)
{
    struct harness_server h;
    int client;

    see_afresh();
    came = 0;
    stop_at = 1;
    stop_by = ostler_server_abort;
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &ending[_i], .stream = &echo,
                                                       .mixin = &ostler_threading });
    client = client_of(h.server);
    check_echo(client, "hello\n");
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(seen.result, 0);
    ck_assert_int_eq(came, 1);
    ck_assert(harness_expect_end(client));
    close(client);
    harness_free(&h);
}
END_TEST

START_TEST(a_server_that_get_request_stops_for_nobody_has_stopped)
{
    static const struct ostler_server_class class = { .get_request = get_nobody };
    static const int failures[] = { -EAGAIN, -ECONNABORTED, -ENOMEM };
    struct ostler_server *server = new_server((struct ostler_server_options){ .server_class = &class, .stream = &greet });
    int client = client_of(server);

    failure = failures[_i];
    ck_assert_int_eq(ostler_server_serve_forever(server), 0);
    close(client);
    ostler_server_free(server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server_classes");
    TCase *tc = harness_case(suite, "classes");

    tcase_add_loop_test(tc, each_slot_is_called_once_in_the_order_of_the_table, 0, MIXINS);
    tcase_add_test(tc, a_conn_is_not_finished_by_finish_request);
    tcase_add_test(tc, slots_are_inherited_over_two_levels);
    tcase_add_loop_test(tc, a_peer_that_get_request_leaves_alone_is_nobody, 0, 2);
    tcase_add_test(tc, a_class_that_is_its_own_ancestor_is_refused_with_a_sentence);
    tcase_add_test(tc, a_bind_or_activate_that_fails_closes_what_is_open);
    tcase_add_loop_test(tc, a_rejected_request_is_shut_down_and_closed_once, 0, MIXINS);
    tcase_add_test(tc, a_rejected_conn_never_meets_its_handler);
    tcase_add_loop_test(tc, process_request_failing_is_reported_once_and_the_server_goes_on, 0, MIXINS);
    tcase_add_test(tc, a_conn_that_was_opened_hears_that_process_request_failed);
    tcase_add_loop_test(tc, who_runs_elsewhere_is_ended_when_process_request_fails, 0, 2);
    tcase_add_loop_test(tc, finish_request_failing_is_reported_once, 0, MIXINS);
    tcase_add_loop_test(tc, a_failing_handler_is_logged_once_and_the_server_survives, 0, MIXINS);
    tcase_add_test(tc, a_flood_of_failures_is_a_few_lines);
    tc = harness_case(suite, "a slot that stops the server");
    tcase_add_loop_test(tc, who_came_before_a_slot_stopped_the_server_is_served, 0, (MIXINS + 1) * LAST * SLOTS);
    tcase_add_loop_test(tc, who_came_when_a_slot_aborted_the_server_is_cut_off, 0, (MIXINS + 1) * SLOTS);
    tcase_add_loop_test(tc, the_last_slots_of_a_request_may_stop_or_abort_the_server, 0, WAYS_TO_END * (MIXINS + 1));
    tcase_add_loop_test(tc, a_slot_may_abort_the_server_while_it_stops, 0, 2);
    tcase_add_loop_test(tc, a_server_that_get_request_stops_for_nobody_has_stopped, 0, 3);
    tc = harness_case(suite, "mix-ins of one's own");
    tcase_add_test(tc, a_mixin_of_ones_own_runs_requests);
    tcase_add_test(tc, a_mixin_that_does_not_open_fails_the_server_with_a_sentence);
    tcase_add_test(tc, the_capacity_of_the_mixin_is_the_servers_limit);
    tcase_add_test(tc, a_request_that_the_mixin_does_not_take_is_reported_and_closed);
    return harness_main(suite);
}
