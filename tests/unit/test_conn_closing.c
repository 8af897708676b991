/* conn.h: how evented connections end, by either side and in each callback. */
#include "support/conns.h"

/* ---- Closing ---- */

START_TEST(close_delivers_what_is_queued)
{
    static const struct ostler_conn_handler handler = { .on_open = write_a_lot_and_close, .on_data = note_data,
                                                        .on_close = note_close };
    struct harness_server h;
    int client;

    lot = new_pattern(LOT);
    start(&h, &handler);
    client = slow_client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    ck_assert(harness_say(client, "nobody reads this"));
    ck_assert_int_eq(harness_count(&seen.closed), 0);
    expect_pattern(client, LOT);
    ck_assert(harness_expect_end(client));
    check_closed(OSTLER_CLOSE_DONE, 0);
    ck_assert_int_eq(seen.result, 0);
    ck_assert_str_eq(seen.trace, "oc");
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    free(lot);
}
END_TEST

static ssize_t answer_and_close(struct ostler_conn *c, const void *data, size_t n)
{
    (void)data;
    (void)n;
    ostler_conn_write(c, "answer", 6);
    ostler_conn_close(c);
    return 1;
}

START_TEST(input_that_nobody_has_read_does_not_reset_the_answer)
{
    static const struct ostler_conn_handler handler = { .on_data = answer_and_close, .on_close = note_close };
    struct harness_server h;
    char *text = new_pattern(30000);
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_send(client, text, 30000));
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert(harness_send(client, text, 20000)); /* late bytes */
    ck_assert(harness_expect(client, "answer"));
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    free(text);
}
END_TEST

static int write_a_lot_and_abort(struct ostler_conn *c)
{
    open_with_a_lot(c);
    seen.result += ostler_conn_abort(c) != 0;
    seen.result += ostler_conn_write(c, "x", 1) != -EPIPE;
    seen.result += ostler_conn_abort(c) != 0;
    return 0;
}

static int say_bye_and_close(struct ostler_conn *c)
{
    seen.result = ostler_conn_write(c, "bye", 3);
    return ostler_conn_close(c);
}

START_TEST(who_goes_on_sending_after_the_close_is_not_heard_for_long)
{
    static const struct ostler_conn_handler handler = { .on_open = say_bye_and_close, .on_close = note_close };
    static const char block[65536];
    struct harness_server h;
    uint64_t begin;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_expect(client, "bye"));
    begin = harness_now_ms();
    while (send(client, block, sizeof(block), MSG_NOSIGNAL) > 0)
        continue;
    ck_assert_uint_lt(harness_now_ms() - begin, 1500); /* one who says little has two seconds */
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
}
END_TEST

enum { CROWD = 1100, LINGERING = 1024, FEW = 20 };

static void allow_many_descriptors(void)
{
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Each would keep its descriptor for two seconds. */
START_TEST(not_more_than_a_thousand_wait_for_their_peers_end)
{
    static const struct ostler_conn_handler handler = { .on_open = say_bye_and_close, .on_close = note_close };
    static int clients[CROWD];
    struct harness_server h;
    size_t before;

    allow_many_descriptors();
    start(&h, &handler);
    before = harness_descriptors();
    for (int i = 0; i < CROWD; i++)
        clients[i] = client_of(&h);
    ck_assert(harness_wait(&seen.closed, CROWD));
    ck_assert(harness_call(ostler_server_reactor(h.server), raise_done, NULL));
    ck_assert_uint_le(harness_descriptors(), before + CROWD + LINGERING + FEW);
    for (int i = 0; i < CROWD; i++) {
        ck_assert(harness_expect(clients[i], "bye"));
        ck_assert(harness_expect_end(clients[i]));
        close(clients[i]);
    }
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static void close_and_abort(struct ostler_server *s, struct ostler_request *r)
{
    ostler_tcp_server.close_request(s, r);
    if (seen.number++ == 0)
        ostler_server_abort(s);
}

/* One more than may wait ends the first one, whose close_request aborts the server while the last one is entered. */
START_TEST(who_makes_place_for_one_more_may_abort_the_server)
{
    static const struct ostler_conn_handler handler = { .on_open = say_bye_and_close, .on_close = note_close };
    static const struct ostler_server_class aborting = { .close_request = close_and_abort };
    static int clients[LINGERING + 1];
    struct harness_server h;

    allow_many_descriptors();
    start_with(&h, &handler, (struct ostler_server_options){ .server_class = &aborting });
    for (int i = 0; i <= LINGERING; i++)
        clients[i] = client_of(&h);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_uint_eq(seen.number, LINGERING + 1);
    for (int i = 0; i <= LINGERING; i++)
        close(clients[i]);
    harness_free(&h);
}
END_TEST

START_TEST(abort_resets_and_drops_what_is_queued)
{
    static const struct ostler_conn_handler handler = { .on_open = write_a_lot_and_abort, .on_close = note_close };
    struct harness_server h;
    ssize_t got;
    int client;

    if (harness_is_unix())
        return; /* it is about TCP */
    lot = new_pattern(LOT);
    start(&h, &handler);
    client = slow_client_of(&h);
    check_closed(OSTLER_CLOSE_ABORTED, 0);
    got = harness_receive(client, seen.input, LOT);
    ck_assert_int_eq(got, -ECONNRESET);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
    free(lot);
}
END_TEST

static void note_what_was_lost(struct ostler_conn *c, enum ostler_close_reason reason, int error)
{
    seen.length = (size_t)ostler_request_bytes_out(c->request);
    seen.number = ostler_conn_queued(c);
    note_close(c, reason, error);
}

START_TEST(on_close_can_tell_what_was_lost)
{
    static const struct ostler_conn_handler handler = { .on_open = open_with_a_lot, .on_close = note_what_was_lost };
    struct harness_server h;
    int client;

    lot = new_pattern(LOT);
    start(&h, &handler);
    client = slow_client_of(&h);
    on_conn(abort_it, NULL);
    check_closed(OSTLER_CLOSE_ABORTED, 0);
    ck_assert_uint_gt(seen.number, 0);
    ck_assert_uint_eq(seen.length + seen.number, LOT);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    free(lot);
}
END_TEST

START_TEST(abort_after_close_does_not_wait_for_the_output)
{
    static const struct ostler_conn_handler handler = { .on_open = write_a_lot_and_close, .on_close = note_close };
    struct harness_server h;
    int client;

    if (harness_is_unix())
        return; /* it is about TCP */
    lot = new_pattern(LOT);
    start(&h, &handler);
    client = slow_client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    on_conn(abort_it, NULL);
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(harness_receive(client, seen.input, LOT), -ECONNRESET);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
    free(lot);
}
END_TEST

START_TEST(a_reset_by_the_peer_is_told_as_one)
{
    static const struct ostler_conn_handler handler = { .on_open = note_open, .on_data = echo, .on_eof = note_eof,
                                                        .on_close = note_close };
    struct harness_server h;
    struct linger now = { 1, 0 };
    int client;

    if (harness_is_unix())
        return; /* it is about TCP */
    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_say(client, "x") && harness_expect(client, "x"));
    setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(client);
    check_closed(OSTLER_CLOSE_RESET, -ECONNRESET);
    ck_assert_int_eq(harness_count(&seen.eof), 0);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static struct harness_event gone = HARNESS_EVENT;

/* The header is gathered, and leaves with the body. */
static ssize_t answer_who_has_gone(struct ostler_conn *c, const void *data, size_t n)
{
    note_data(c, data, n);
    harness_wait(&gone, 1);
    seen.result = ostler_conn_write(c, "x", 1);
    if (seen.result == 0)
        seen.result = ostler_conn_write(c, lot, LOT);
    return seen.result < 0 ? seen.result : (ssize_t)n;
}

START_TEST(a_write_after_a_reset_says_so_and_is_a_line_for_debugging)
{
    static const struct ostler_conn_handler handler = { .on_open = note_open, .on_data = answer_who_has_gone,
                                                        .on_close = note_close };
    struct harness_server h;
    int client;

    if (harness_is_unix())
        return; /* it is about TCP */
    lot = new_pattern(LOT);
    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_say(client, "x") && harness_wait(&seen.data, 1));
    setsockopt(client, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
    close(client);
    harness_raise(&gone);
    check_closed(OSTLER_CLOSE_RESET, -ECONNRESET);
    ck_assert_int_eq(seen.result, -ECONNRESET);
    ck_assert(harness_log_has(&h.log, "debug tested: ") && !harness_log_has(&h.log, "error tested: "));
    ck_assert_int_eq(harness_stop(&h), 0);
    free(lot);
}
END_TEST

/* One way to end a connection, in one callback. */
static int (*ending)(struct ostler_conn *c);

static int fail_with_exdev(struct ostler_conn *c)
{
    (void)c;
    return -EXDEV;
}

static int open_a_lot_with_timer(struct ostler_conn *c)
{
    ostler_conn_set_timer(c, 1);
    return open_with_a_lot(c);
}

static ssize_t end_in_on_data(struct ostler_conn *c, const void *data, size_t n)
{
    int r = ending(c);

    note_data(c, data, n);
    return r < 0 ? r : 1;
}

static int end_in_on_open(struct ostler_conn *c)
{
    note_open(c);
    return ending(c);
}

static int end_in_on_drain(struct ostler_conn *c)
{
    note_drain(c);
    return ending(c);
}

static int end_in_on_eof(struct ostler_conn *c)
{
    note_eof(c);
    return ending(c);
}

static int end_in_on_timeout(struct ostler_conn *c)
{
    note_timeout(c);
    return ending(c);
}

/* In each of these a client that sends, reads and half-closes meets one callback that
 * ends the connection. */
static const struct ostler_conn_handler enders[] = {
    { .on_open = end_in_on_open, .on_data = note_data, .on_eof = note_eof, .on_close = note_close },
    { .on_open = note_open, .on_data = end_in_on_data, .on_eof = note_eof, .on_close = note_close },
    { .on_open = open_with_a_lot, .on_drain = end_in_on_drain, .on_eof = note_eof, .on_close = note_close },
    { .on_open = note_open, .on_data = note_data, .on_eof = end_in_on_eof, .on_close = note_close },
    { .on_open = open_a_lot_with_timer, .on_timeout = end_in_on_timeout, .on_eof = note_eof, .on_close = note_close },
};

static const char *const enders_trace[] = { "oc", "odc", "owc", "odec", "otc" };

enum { ENDERS = sizeof(enders) / sizeof(enders[0]) };

/* Meet enders[i], until on_close. */
static void meet(struct harness_server *h, int i)
{
    char scratch[4096];
    int client;

    lot = new_pattern(LOT);
    start_with(h, &enders[i], (struct ostler_server_options){ .name = "ender" });
    client = slow_client_of(h);
    ck_assert(harness_wait(&seen.opened, 1));
    harness_say(client, "hello"); /* which may find it gone */
    if (enders[i].on_data == note_data && enders[i].on_open == note_open) {
        ck_assert(harness_wait(&seen.data, 1));
        shutdown(client, SHUT_WR);
    }
    while (harness_receive_once(client, scratch, sizeof(scratch)) > 0)
        continue;
    ck_assert(harness_wait(&seen.closed, 1));
    close(client);
    free(lot);
}

static void check_trace(int i)
{
    ck_assert_str_eq(seen.trace, enders_trace[i]);
    ck_assert_int_eq(harness_count(&seen.closed), 1);
}

START_TEST(close_works_in_every_callback)
{
    struct harness_server h;

    ending = ostler_conn_close;
    meet(&h, _i);
    ck_assert_int_eq(harness_stop(&h), 0);
    check_trace(_i);
    ck_assert_int_eq(seen.reason, OSTLER_CLOSE_DONE);
    ck_assert_int_eq(seen.error, 0);
}
END_TEST

START_TEST(abort_works_in_every_callback)
{
    struct harness_server h;

    ending = ostler_conn_abort;
    meet(&h, _i);
    ck_assert_int_eq(harness_stop(&h), 0);
    check_trace(_i);
    ck_assert_int_eq(seen.reason, OSTLER_CLOSE_ABORTED);
}
END_TEST

START_TEST(an_error_from_any_callback_goes_to_handle_error)
{
    struct harness_server h;

    ending = fail_with_exdev;
    meet(&h, _i);
    ck_assert_int_eq(seen.reason, OSTLER_CLOSE_ERROR);
    ck_assert_int_eq(seen.error, -EXDEV);
    ck_assert_int_eq(harness_log_count(&h.log, harness_is_unix() ? "error ender: unix:" : "error ender: tcp:127.0.0.1:"), 1);
    ck_assert(harness_log_has(&h.log, ostler_strerror(-EXDEV)));
    ck_assert_int_eq(harness_stop(&h), 0);
    check_trace(_i);
}
END_TEST

static void count_error(struct ostler_server *s, struct ostler_request *r, int error)
{
    (void)s;
    (void)r;
    seen.handle_errors++;
    seen.handled_error = error;
}

START_TEST(a_handle_error_of_ones_own_is_called_once)
{
    static const struct ostler_server_class counting = { .handle_error = count_error };
    struct harness_server h;
    int client;

    ending = fail_with_exdev;
    start_with(&h, &enders[1], (struct ostler_server_options){ .server_class = &counting });
    client = client_of(&h);
    ck_assert(harness_say(client, "hello"));
    ck_assert(harness_expect_end(client));
    check_closed(OSTLER_CLOSE_ERROR, -EXDEV);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.handle_errors, 1);
    ck_assert_int_eq(seen.handled_error, -EXDEV);
}
END_TEST

static int give_one(struct ostler_conn *c)
{
    trace('+');
    (void)c;
    return 1;
}

START_TEST(a_positive_return_is_no_error)
{
    static const struct ostler_conn_handler handler = { .on_open = give_one, .on_data = answer_data,
                                                        .on_eof = close_at_eof, .on_close = note_close };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_say(client, "x") && harness_expect(client, "x"));
    close(client);
    check_closed(OSTLER_CLOSE_DONE, 0);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static void try_everything(struct ostler_conn *c, enum ostler_close_reason reason, int error)
{
    seen.result += ostler_conn_write(c, "x", 1) != -EPIPE;
    seen.result += ostler_conn_close(c) > 0;
    seen.result += ostler_conn_abort(c) > 0;
    seen.result += ostler_conn_pause(c) > 0;
    seen.result += ostler_conn_resume(c) > 0;
    seen.result += ostler_conn_set_timer(c, 1) > 0;
    seen.result += ostler_conn_set_timeout(c, 1) > 0;
    seen.result += ostler_conn_set_deadline(c, 1) > 0;
    seen.result += ostler_conn_shutdown_write(c) > 0;
    seen.result += ostler_conn_queued(c) != 0;
    seen.result += ostler_conn_is_full(c);
    seen.result += ostler_conn_server(c) == NULL;
    seen.result += ostler_conn_peer(c) == NULL;
    ostler_conn_id(c);
    note_close(c, reason, error);
}

static int note_late_timeout(struct ostler_conn *c)
{
    seen.result += 100;
    return note_timeout(c);
}

START_TEST(on_close_is_the_last_call_whatever_it_does)
{
    static const struct ostler_conn_handler handler = { .on_open = note_open, .on_data = echo, .on_eof = close_at_eof,
                                                        .on_timeout = note_late_timeout, .on_close = try_everything };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_say(client, "x") && harness_expect(client, "x"));
    shutdown(client, SHUT_WR);
    check_closed(OSTLER_CLOSE_DONE, 0);
    harness_is_silent(client); /* the time that on_close set passes */
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
    ck_assert_str_eq(seen.trace, "oec");
}
END_TEST

static void look_around(struct ostler_conn *c, void *text)
{
    struct ostler_server *server = ostler_conn_server(c);

    if (server == ostler_request_server(c->request) && ostler_conn_peer(c) == ostler_request_peer(c->request))
        ostler_address_text(ostler_conn_peer(c), text, OSTLER_ADDRESS_TEXT);
    seen.result = strcmp(ostler_server_name(server), "tested");
}

START_TEST(server_and_peer_are_told)
{
    static const struct ostler_conn_handler handler = { .on_open = note_open };
    struct harness_server h;
    struct sockaddr_in in;
    socklen_t size = sizeof(in);
    char text[OSTLER_ADDRESS_TEXT] = "", expected[OSTLER_ADDRESS_TEXT];
    int client;

    if (harness_is_unix())
        return; /* it is about TCP */
    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    getsockname(client, (struct sockaddr *)&in, &size);
    snprintf(expected, sizeof(expected), "tcp:127.0.0.1:%d", ntohs(in.sin_port));
    on_conn(look_around, text);
    ck_assert_str_eq(text, expected);
    ck_assert_int_eq(seen.result, 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- Half-close ---- */

static ssize_t write_a_lot_and_shut(struct ostler_conn *c, const void *data, size_t n)
{
    if (seen.length == 0) {
        send_little(c);
        seen.result += ostler_conn_write(c, lot, LOT) != 0;
        seen.result += ostler_conn_shutdown_write(c) != 0;
        seen.result += ostler_conn_write(c, "x", 1) != -EPIPE;
        seen.result += ostler_conn_shutdown_write(c) != 0;
    }
    return note_data(c, data, n);
}

START_TEST(a_half_close_comes_after_what_is_queued_and_reading_goes_on)
{
    static const struct ostler_conn_handler handler = { .on_open = note_open, .on_data = write_a_lot_and_shut,
                                                        .on_close = note_close };
    struct harness_server h;
    int client;

    lot = new_pattern(LOT);
    start_with(&h, &handler, (struct ostler_server_options){ .output_high = 1 << 20 });
    client = slow_client_of(&h);
    ck_assert(harness_say(client, "one"));
    ck_assert(harness_wait(&seen.data, 1));
    expect_pattern(client, LOT);
    ck_assert(harness_expect_end(client));
    ck_assert(harness_say(client, "two"));
    ck_assert(harness_wait(&seen.data, 2));
    ck_assert_int_eq(harness_count(&seen.closed), 0);
    shutdown(client, SHUT_WR);
    check_closed(OSTLER_CLOSE_PEER, 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
    ck_assert_mem_eq(seen.input, "onetwo", 6);
    free(lot);
}
END_TEST

static int open_and_shut(struct ostler_conn *c)
{
    note_open(c);
    return ostler_conn_shutdown_write(c);
}

START_TEST(a_half_close_with_nothing_queued_is_seen_at_once)
{
    static const struct ostler_conn_handler handler = { .on_open = open_and_shut, .on_data = note_data };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_expect_end(client));
    ck_assert(harness_say(client, "still heard"));
    ck_assert(harness_wait(&seen.data, 1));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static int shut_on_eof(struct ostler_conn *c)
{
    note_eof(c);
    return ostler_conn_shutdown_write(c);
}

START_TEST(when_both_directions_are_over_it_closes)
{
    static const struct ostler_conn_handler handler = {
        .on_open = note_open, .on_eof = shut_on_eof, .on_close = note_close
    };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    shutdown(client, SHUT_WR);
    ck_assert(harness_expect_end(client));
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(seen.reason, OSTLER_CLOSE_PEER);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conn_closing");
    TCase *tc = harness_case(suite, "closing");

    tcase_add_test(tc, close_delivers_what_is_queued);
    tcase_add_test(tc, input_that_nobody_has_read_does_not_reset_the_answer);
    tcase_add_test(tc, who_goes_on_sending_after_the_close_is_not_heard_for_long);
    tcase_add_test(tc, not_more_than_a_thousand_wait_for_their_peers_end);
    tcase_add_test(tc, who_makes_place_for_one_more_may_abort_the_server);
    tcase_add_test(tc, abort_resets_and_drops_what_is_queued);
    tcase_add_test(tc, on_close_can_tell_what_was_lost);
    tcase_add_test(tc, abort_after_close_does_not_wait_for_the_output);
    tcase_add_test(tc, a_reset_by_the_peer_is_told_as_one);
    tcase_add_test(tc, a_write_after_a_reset_says_so_and_is_a_line_for_debugging);
    tcase_add_loop_test(tc, close_works_in_every_callback, 0, ENDERS);
    tcase_add_loop_test(tc, abort_works_in_every_callback, 0, ENDERS);
    tcase_add_loop_test(tc, an_error_from_any_callback_goes_to_handle_error, 0, ENDERS);
    tcase_add_test(tc, a_handle_error_of_ones_own_is_called_once);
    tcase_add_test(tc, a_positive_return_is_no_error);
    tcase_add_test(tc, on_close_is_the_last_call_whatever_it_does);
    tcase_add_test(tc, server_and_peer_are_told);
    tc = harness_case(suite, "half-close");
    tcase_add_test(tc, a_half_close_comes_after_what_is_queued_and_reading_goes_on);
    tcase_add_test(tc, a_half_close_with_nothing_queued_is_seen_at_once);
    tcase_add_test(tc, when_both_directions_are_over_it_closes);
    return harness_main(suite);
}
