/* conn.h: what evented connections receive, and when. */
#include "support/conns.h"

#include <linux/sockios.h>
#include <malloc.h>
#include <sys/ioctl.h>

/* ---- Input ---- */

START_TEST(open_comes_first_then_data_then_eof_then_close)
{
    static const struct ostler_conn_handler handler = {
        .on_open = note_open, .on_data = answer_data, .on_eof = close_at_eof, .on_close = note_close
    };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_say(client, "hello"));
    ck_assert(harness_expect(client, "hello"));
    shutdown(client, SHUT_WR);
    ck_assert(harness_expect_end(client));
    check_closed(OSTLER_CLOSE_DONE, 0);
    ck_assert_str_eq(seen.trace, "odec");
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&seen.closed), 1);
}
END_TEST

/* A subclass. */
struct counter {
    struct ostler_conn base;
    long double calls; /* wants all the alignment there is */
    char zeroes[100];
};

static ssize_t count_up(struct ostler_conn *c, const void *data, size_t n)
{
    struct counter *self = OSTLER_SELF(c, struct counter, base);
    char text[32];
    int length;

    (void)data;
    for (size_t i = 0; i < sizeof(self->zeroes); i++)
        seen.number += (size_t)self->zeroes[i];
    self->calls += 1;
    length = snprintf(text, sizeof(text), "%d\n", (int)self->calls);
    ostler_conn_write(c, text, (size_t)length);
    return (ssize_t)n;
}

START_TEST(each_connection_has_state_of_its_own_that_begins_as_zero)
{
    static const struct ostler_conn_handler handler = { .size = OSTLER_SIZE(struct counter, base),
                                                        .on_data = count_up };
    struct harness_server h;
    int a, b;

    start(&h, &handler);
    a = client_of(&h);
    b = client_of(&h);
    ck_assert(harness_say(a, "x") && harness_expect(a, "1\n"));
    ck_assert(harness_say(a, "x") && harness_expect(a, "2\n"));
    ck_assert(harness_say(b, "x") && harness_expect(b, "1\n"));
    close(a);
    close(b);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_uint_eq(seen.number, 0);
}
END_TEST

static ssize_t use_one(struct ostler_conn *c, const void *data, size_t n)
{
    char text[32];
    int length = snprintf(text, sizeof(text), "%zu%c ", n, *(const char *)data);

    ostler_conn_write(c, text, (size_t)length);
    return 1;
}

START_TEST(what_is_left_comes_again_at_once_when_some_was_used)
{
    static const struct ostler_conn_handler handler = { .on_data = use_one };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_say(client, "abcd"));
    ck_assert(harness_expect(client, "4a 3b 2c 1d "));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* Wait for six bytes. */
static ssize_t use_six(struct ostler_conn *c, const void *data, size_t n)
{
    seen.number++;
    harness_raise(&seen.data);
    return n < 6 ? 0 : echo(c, data, 6);
}

START_TEST(what_is_left_comes_together_with_more_when_nothing_was_used)
{
    static const struct ostler_conn_handler handler = { .on_data = use_six };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_say(client, "abc"));
    ck_assert(harness_wait(&seen.data, 1));
    ck_assert(harness_is_silent(client));
    ck_assert(harness_say(client, "defg"));
    ck_assert(harness_expect(client, "abcdef"));
    ck_assert(harness_wait(&seen.data, 3)); /* "g", at once */
    ck_assert(harness_say(client, "hijkl"));
    ck_assert(harness_expect(client, "ghijkl"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_uint_eq(seen.number, 4);
}
END_TEST

static ssize_t leave_all(struct ostler_conn *c, const void *data, size_t n)
{
    (void)c;
    (void)data;
    (void)n;
    harness_raise(&seen.data);
    return 0;
}

static void count_allocated(struct ostler_conn *c, void *arg)
{
    size_t *bytes = arg;

    (void)c;
    *bytes = mallinfo2().uordblks;
}

/* More is received behind what is kept into a room of 16 KiB, which a thousand halves of messages are not to hold. */
START_TEST(what_is_left_takes_little_more_than_itself)
{
    enum { CLIENTS = 64 };
    static const struct ostler_conn_handler handler = { .on_open = note_open, .on_data = leave_all };
    struct harness_server h;
    int clients[CLIENTS];
    size_t first, second;

    start(&h, &handler);
    for (int i = 0; i < CLIENTS; i++)
        ck_assert(harness_say(clients[i] = client_of(&h), "half a message, "));
    ck_assert(harness_wait(&seen.data, CLIENTS));
    on_conn(count_allocated, &first);
    for (int i = 0; i < CLIENTS; i++)
        ck_assert(harness_say(clients[i], "and some of the other"));
    ck_assert(harness_wait(&seen.data, 2 * CLIENTS));
    on_conn(count_allocated, &second);
    ck_assert_uint_lt(second, first + CLIENTS * 1024);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* Frames: a byte with the length, then as many bytes. */
static ssize_t echo_frames(struct ostler_conn *c, const void *data, size_t n)
{
    size_t length = 1 + (size_t)*(const unsigned char *)data;

    if (n < length)
        return 0;
    return echo(c, data, length);
}

START_TEST(frames_cut_anywhere_come_out_whole)
{
    static const struct ostler_conn_handler handler = { .on_data = echo_frames };
    struct harness_server h;
    unsigned char *frames = calloc(1, 200000), *back = calloc(1, 200000);
    size_t n = 0;
    int client;

    for (unsigned i = 0; n + 256 < 200000; i++) {
        unsigned char length = (unsigned char)(i * 37);

        frames[n++] = length;
        for (unsigned j = 0; j < length; j++)
            frames[n++] = (unsigned char)(i + j);
    }
    start(&h, &handler);
    client = client_of(&h);
    for (size_t sent = 0, got = 0, piece = 1; got < n; piece = piece * 5 % 8191 + 1) {
        size_t now = piece < n - sent ? piece : n - sent;
        ssize_t r;

        ck_assert(harness_send(client, frames + sent, now));
        sent += now;
        r = recv(client, back + got, n - got, sent < n ? MSG_DONTWAIT : 0);
        got += r > 0 ? (size_t)r : 0;
    }
    ck_assert_mem_eq(back, frames, n);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    free(frames);
    free(back);
}
END_TEST

static ssize_t use_too_much(struct ostler_conn *c, const void *data, size_t n)
{
    (void)c;
    (void)data;
    return (ssize_t)n + 1;
}

START_TEST(using_more_than_was_given_ends_the_connection)
{
    static const struct ostler_conn_handler handler = { .on_data = use_too_much, .on_close = note_close };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_say(client, "abc"));
    ck_assert(harness_expect_end(client));
    check_closed(OSTLER_CLOSE_ERROR, -EINVAL);
    ck_assert(harness_log_has(&h.log, "request failed: Invalid argument"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static ssize_t use_nothing(struct ostler_conn *c, const void *data, size_t n)
{
    (void)c;
    (void)data;
    trace('d');
    seen.number = n;
    if (n == 100)
        harness_raise(&seen.data);
    return 0;
}

START_TEST(a_rest_of_max_input_is_kept_and_one_more_byte_closes)
{
    static const struct ostler_conn_handler handler = { .on_data = use_nothing, .on_close = note_close };
    struct harness_server h;
    int client;

    start_with(&h, &handler, (struct ostler_server_options){ .max_input = 100 });
    client = client_of(&h);
    for (int i = 0; i < 10; i++)
        ck_assert(harness_say(client, "0123456789"));
    ck_assert(harness_wait(&seen.data, 1));
    ck_assert(harness_is_silent(client));
    ck_assert_int_eq(harness_count(&seen.closed), 0);
    ck_assert(harness_say(client, "x"));
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(seen.reason, OSTLER_CLOSE_INPUT_LIMIT);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_uint_eq(seen.number, 101); /* it was offered first */
}
END_TEST

START_TEST(max_input_is_64_kib_unless_it_is_said)
{
    static const struct ostler_conn_handler handler = { .on_data = use_nothing, .on_close = note_close };
    struct harness_server h;
    char *text = new_pattern(65537);
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_send(client, text, 65537));
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(seen.reason, OSTLER_CLOSE_INPUT_LIMIT);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_uint_ge(seen.number, 65537);
    free(text);
}
END_TEST

static ssize_t use_one_of_many(struct ostler_conn *c, const void *data, size_t n)
{
    (void)c;
    (void)data;
    trace('0' + (char)n);
    harness_raise(&seen.data);
    return n > 3 || n == 1 ? 0 : 1;
}

START_TEST(at_the_end_of_file_the_rest_is_offered_once_more_while_bytes_are_used)
{
    static const struct ostler_conn_handler handler = { .on_data = use_one_of_many, .on_eof = close_at_eof };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_say(client, "abcd"));
    ck_assert(harness_wait(&seen.data, 1));
    shutdown(client, SHUT_WR);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "44e"); /* nothing used: it is dropped */
}
END_TEST

static ssize_t use_at_the_end(struct ostler_conn *c, const void *data, size_t n)
{
    (void)c;
    (void)data;
    trace('0' + (char)n);
    harness_raise(&seen.data);
    return seen.trace[1] ? n > 2 : 0; /* nothing at first, then one byte a call, down to two */
}

START_TEST(bytes_used_at_the_end_of_file_bring_the_rest_again)
{
    static const struct ostler_conn_handler handler = { .on_data = use_at_the_end, .on_eof = close_at_eof };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_say(client, "abcd"));
    ck_assert(harness_wait(&seen.data, 1));
    shutdown(client, SHUT_WR);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "4432e");
}
END_TEST

START_TEST(without_on_eof_it_closes_after_what_is_queued_has_left)
{
    static const struct ostler_conn_handler handler = { .on_open = open_with_a_lot, .on_close = note_close };
    struct harness_server h;
    int client;

    lot = new_pattern(LOT);
    start_with(&h, &handler, (struct ostler_server_options){ .output_high = 1000000 });
    client = slow_client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    shutdown(client, SHUT_WR);
    expect_pattern(client, LOT);
    ck_assert(harness_expect_end(client));
    check_closed(OSTLER_CLOSE_PEER, 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    free(lot);
}
END_TEST

static int say_bye(struct ostler_conn *c)
{
    ostler_conn_write(c, "bye", 3);
    return ostler_conn_close(c);
}

static int eof_starts_timer(struct ostler_conn *c)
{
    note_eof(c);
    return ostler_conn_set_timer(c, 20);
}

START_TEST(with_on_eof_it_stays_open_until_the_handler_closes_it)
{
    static const struct ostler_conn_handler handler = {
        .on_eof = eof_starts_timer, .on_timeout = say_bye, .on_close = note_close
    };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    shutdown(client, SHUT_WR);
    ck_assert(harness_expect(client, "bye"));
    ck_assert(harness_expect_end(client));
    check_closed(OSTLER_CLOSE_DONE, 0);
    ck_assert_str_eq(seen.trace, "ec");
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(without_on_data_input_is_discarded)
{
    static const struct ostler_conn_handler handler = { .on_eof = say_bye, .on_close = note_close };
    struct harness_server h;
    char *text = new_pattern(300000);
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_send(client, text, 300000));
    shutdown(client, SHUT_WR);
    ck_assert(harness_expect(client, "bye"));
    check_closed(OSTLER_CLOSE_DONE, 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    free(text);
}
END_TEST

START_TEST(a_handler_of_nothing_is_a_sink)
{
    static const struct ostler_conn_handler handler = { 0 };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_say(client, "anything"));
    shutdown(client, SHUT_WR);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- Pause and resume ---- */

static void resume(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result = ostler_conn_resume(c);
}

static void pause_it(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result = ostler_conn_pause(c);
}

START_TEST(a_paused_connection_gets_no_data_until_it_is_resumed)
{
    static const struct ostler_conn_handler handler = { .on_open = open_paused, .on_data = answer_data };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_say(client, "hello"));
    ck_assert(harness_is_silent(client));
    on_conn(resume, NULL);
    ck_assert(harness_expect(client, "hello"));
    on_conn(pause_it, NULL);
    on_conn(pause_it, NULL);
    ck_assert(harness_say(client, "again"));
    ck_assert(harness_is_silent(client));
    on_conn(resume, NULL); /* once is enough */
    ck_assert(harness_expect(client, "again"));
    on_conn(resume, NULL); /* and once more does no harm */
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_paused_connection_gets_no_eof_until_it_is_resumed)
{
    static const struct ostler_conn_handler handler = { .on_open = open_paused, .on_data = note_data,
                                                        .on_eof = close_at_eof, .on_close = note_close };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_say(client, "hello"));
    shutdown(client, SHUT_WR);
    ck_assert(harness_is_silent(client));
    ck_assert_int_eq(harness_count(&seen.eof), 0);
    on_conn(resume, NULL);
    ck_assert(harness_expect_end(client));
    check_closed(OSTLER_CLOSE_DONE, 0);
    ck_assert_str_eq(seen.trace, "odec");
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static ssize_t pause_in_the_middle(struct ostler_conn *c, const void *data, size_t n)
{
    if (seen.length > 0)
        return answer_data(c, data, n);
    note_data(c, data, 1);
    ostler_conn_pause(c);
    return 1;
}

START_TEST(pausing_in_on_data_keeps_the_rest_for_later)
{
    static const struct ostler_conn_handler handler = { .on_open = note_open, .on_data = pause_in_the_middle };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_say(client, "abcdef"));
    ck_assert(harness_wait(&seen.data, 1));
    ck_assert(harness_is_silent(client));
    ck_assert_int_eq(harness_count(&seen.data), 1);
    on_conn(resume, NULL);
    ck_assert(harness_expect(client, "bcdef"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_mem_eq(seen.input, "abcdef", 6);
}
END_TEST

START_TEST(what_is_kept_while_paused_may_be_more_than_max_input)
{
    static const struct ostler_conn_handler handler = { .on_open = note_open, .on_data = pause_in_the_middle,
                                                        .on_close = note_close };
    struct harness_server h;
    char *text = new_pattern(20000);
    int client;

    start_with(&h, &handler, (struct ostler_server_options){ .max_input = 100 });
    client = client_of(&h);
    ck_assert(harness_send(client, text, 20000));
    ck_assert(harness_wait(&seen.data, 1));
    ck_assert(harness_is_silent(client));
    ck_assert_int_eq(harness_count(&seen.closed), 0);
    on_conn(resume, NULL);
    ck_assert(harness_receive(client, seen.input + INPUT / 2, 19999) == 19999);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_uint_eq(seen.length, 20000);
    ck_assert_mem_eq(seen.input, text, 20000);
    free(text);
}
END_TEST

static ssize_t pause_and_use_nothing(struct ostler_conn *c, const void *data, size_t n)
{
    if (seen.number++ == 0) {
        harness_raise(&seen.data);
        ostler_conn_pause(c);
        return 0;
    }
    return answer_data(c, data, n);
}

START_TEST(a_rest_that_was_not_used_is_offered_at_the_resume)
{
    static const struct ostler_conn_handler handler = { .on_open = note_open, .on_data = pause_and_use_nothing };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_say(client, "abc"));
    ck_assert(harness_wait(&seen.data, 1));
    on_conn(resume, NULL);
    ck_assert(harness_expect(client, "abc"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static ssize_t pause_and_resume(struct ostler_conn *c, const void *data, size_t n)
{
    if (n < 6) {
        seen.number++;
        ostler_conn_pause(c);
        ostler_conn_resume(c);
        harness_raise(&seen.data);
        return 0;
    }
    return echo(c, data, n);
}

START_TEST(paused_and_resumed_in_on_data_it_just_goes_on)
{
    static const struct ostler_conn_handler handler = { .on_data = pause_and_resume };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_say(client, "abc"));
    ck_assert(harness_wait(&seen.data, 1));
    ck_assert(harness_is_silent(client));
    ck_assert(harness_say(client, "def"));
    ck_assert(harness_expect(client, "abcdef"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_uint_eq(seen.number, 1);
}
END_TEST

START_TEST(a_paused_connection_still_sends)
{
    static const struct ostler_conn_handler handler = { .on_open = open_with_a_lot, .on_data = note_data };
    struct harness_server h;
    int client;

    lot = new_pattern(LOT);
    start_with(&h, &handler, (struct ostler_server_options){ .output_high = 1000000 });
    client = slow_client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    on_conn(pause_it, NULL);
    expect_pattern(client, LOT);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    free(lot);
}
END_TEST

/* ---- Urgent data ---- */

static const struct urgent {
    const char *before, *after;
} urgents[] = { { "", "" }, { "12345", "" }, { "", "67890" }, { "12345", "67890" } };

/* All that was sent is there. */
static bool has_arrived(int client)
{
    uint64_t end = harness_now_ms() + (uint64_t)harness_deadline_ms();
    int n = 1;

    while (!harness_is_unix() && n > 0 && harness_now_ms() < end)
        if (ioctl(client, SIOCOUTQ, &n) < 0)
            return false;
    return harness_is_unix() || n == 0;
}

static void stop_and_resume(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_server_stop(ostler_conn_server(c)) != 0;
    seen.result += ostler_conn_resume(c) != 0;
}

/* The byte itself is not delivered (tcp(7), "MSG_OOB" in send(2)). */
START_TEST(urgent_data_is_no_end_for_what_a_stop_lets_in)
{
    static const struct ostler_conn_handler handler = { .on_open = open_paused, .on_data = note_data,
                                                        .on_eof = close_at_eof, .on_close = note_close };
    const struct urgent *urgent = &urgents[_i];
    struct harness_server h;
    char all[16];
    int client;

    snprintf(all, sizeof(all), "%s%s", urgent->before, urgent->after);
    start_with(&h, &handler, (struct ostler_server_options){ .stop_timeout_ms = OSTLER_NEVER });
    client = client_of(&h);
    ck_assert(harness_say(client, urgent->before));
    if (send(client, "!", 1, MSG_OOB) < 0) /* CONFIG_AF_UNIX_OOB */
        ck_assert_int_eq(errno, EOPNOTSUPP);
    ck_assert(harness_say(client, urgent->after));
    ck_assert(has_arrived(client));
    on_conn(stop_and_resume, NULL);
    check_closed(OSTLER_CLOSE_DONE, 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_str_eq(seen.input, all);
    ck_assert_int_eq(seen.result, 0);
    close(client);
    harness_free(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conn_input");
    TCase *tc = harness_case(suite, "input");

    tcase_add_test(tc, open_comes_first_then_data_then_eof_then_close);
    tcase_add_test(tc, each_connection_has_state_of_its_own_that_begins_as_zero);
    tcase_add_test(tc, what_is_left_comes_again_at_once_when_some_was_used);
    tcase_add_test(tc, what_is_left_comes_together_with_more_when_nothing_was_used);
    tcase_add_test(tc, what_is_left_takes_little_more_than_itself);
    tcase_add_test(tc, frames_cut_anywhere_come_out_whole);
    tcase_add_test(tc, using_more_than_was_given_ends_the_connection);
    tcase_add_test(tc, a_rest_of_max_input_is_kept_and_one_more_byte_closes);
    tcase_add_test(tc, max_input_is_64_kib_unless_it_is_said);
    tcase_add_test(tc, at_the_end_of_file_the_rest_is_offered_once_more_while_bytes_are_used);
    tcase_add_test(tc, bytes_used_at_the_end_of_file_bring_the_rest_again);
    tcase_add_test(tc, without_on_eof_it_closes_after_what_is_queued_has_left);
    tcase_add_test(tc, with_on_eof_it_stays_open_until_the_handler_closes_it);
    tcase_add_test(tc, without_on_data_input_is_discarded);
    tcase_add_test(tc, a_handler_of_nothing_is_a_sink);
    tc = harness_case(suite, "pause and resume");
    tcase_add_test(tc, a_paused_connection_gets_no_data_until_it_is_resumed);
    tcase_add_test(tc, a_paused_connection_gets_no_eof_until_it_is_resumed);
    tcase_add_test(tc, pausing_in_on_data_keeps_the_rest_for_later);
    tcase_add_test(tc, what_is_kept_while_paused_may_be_more_than_max_input);
    tcase_add_test(tc, a_rest_that_was_not_used_is_offered_at_the_resume);
    tcase_add_test(tc, paused_and_resumed_in_on_data_it_just_goes_on);
    tcase_add_test(tc, a_paused_connection_still_sends);
    tc = harness_case(suite, "urgent data");
    tcase_add_loop_test(tc, urgent_data_is_no_end_for_what_a_stop_lets_in, 0,
                        (int)(sizeof(urgents) / sizeof(urgents[0])));
    return harness_main(suite);
}
