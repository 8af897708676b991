/* conn.h: what evented connections send: marks, limits, what leaves together. */
#include "support/conns.h"

/* What is queued, as seen on the reactor's thread. */
struct output {
    size_t queued;
    bool full;
};

static void look_at_output(struct ostler_conn *c, void *arg)
{
    struct output *out = arg;

    out->queued = ostler_conn_queued(c);
    out->full = ostler_conn_is_full(c);
}

static int note_drain_and_marks(struct ostler_conn *c)
{
    seen.number = ostler_conn_queued(c);
    seen.result = ostler_conn_is_full(c);
    return note_drain(c);
}

START_TEST(over_the_high_mark_it_stops_reading_until_the_low_mark)
{
    static const struct ostler_conn_handler handler = { .on_open = open_with_a_lot, .on_data = note_data,
                                                        .on_drain = note_drain_and_marks };
    struct harness_server h;
    struct output out;
    int client;

    lot = new_pattern(LOT);
    start_with(&h, &handler, (struct ostler_server_options){ .output_high = 64 * 1024, .output_low = 16 * 1024 });
    client = slow_client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    ck_assert(harness_say(client, "x"));
    on_conn(look_at_output, &out);
    ck_assert(out.full);
    ck_assert_uint_gt(out.queued, 64 * 1024);
    ck_assert_uint_le(out.queued, LOT);
    ck_assert_int_eq(harness_count(&seen.data), 0);
    expect_pattern(client, LOT);
    ck_assert(harness_wait(&seen.drained, 1));
    ck_assert(harness_wait(&seen.data, 1));
    ck_assert_uint_le(seen.number, 16 * 1024);
    ck_assert_int_eq(seen.result, false);
    ck_assert_str_eq(seen.trace, "owd");
    on_conn(look_at_output, &out);
    ck_assert(!out.full);
    ck_assert_uint_eq(out.queued, 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&seen.drained), 1);
    free(lot);
}
END_TEST

START_TEST(below_the_high_mark_on_drain_is_not_called)
{
    static const struct ostler_conn_handler handler = { .on_open = open_with_a_lot, .on_data = note_data,
                                                        .on_drain = note_drain };
    struct harness_server h;
    struct output out;
    int client;

    lot = new_pattern(LOT);
    start_with(&h, &handler, (struct ostler_server_options){ .output_high = LOT, .output_low = 1 });
    client = slow_client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    on_conn(look_at_output, &out);
    ck_assert(!out.full);
    ck_assert(harness_say(client, "x"));
    ck_assert(harness_wait(&seen.data, 1));
    expect_pattern(client, LOT);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&seen.drained), 0);
    free(lot);
}
END_TEST

static int set_marks_then_write(struct ostler_conn *c)
{
    static const struct {
        size_t low, high;
        int result;
    } marks[] = {
        { 2, 1, -EINVAL },       { 0, 1048577, -EINVAL }, { 1048577, 1048577, -EINVAL }, { SIZE_MAX, SIZE_MAX, -EINVAL },
        { 0, 0, 0 },             { 0, 1048576, 0 },       { 1048576, 1048576, 0 },       { 10, 10, 0 },
        { 30000, 40000, 0 },
    };

    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        seen.result += ostler_conn_set_marks(c, marks[i].low, marks[i].high) != marks[i].result;
    return open_with_a_lot(c);
}

START_TEST(a_connection_may_have_marks_of_its_own)
{
    static const struct ostler_conn_handler handler = { .on_open = set_marks_then_write,
                                                        .on_drain = note_drain_and_marks };
    struct harness_server h;
    struct output out;
    int client;

    lot = new_pattern(LOT);
    start_with(&h, &handler, (struct ostler_server_options){ .output_high = 1048576 });
    client = slow_client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    ck_assert_int_eq(seen.result, 0);
    on_conn(look_at_output, &out);
    ck_assert(out.full);
    expect_pattern(client, LOT);
    ck_assert(harness_wait(&seen.drained, 1));
    ck_assert_uint_le(seen.number, 30000);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    free(lot);
}
END_TEST

static void lower_marks(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result = ostler_conn_set_marks(c, 0, 1000);
}

START_TEST(marks_that_are_lowered_hold_for_what_waits_already)
{
    static const struct ostler_conn_handler handler = { .on_open = open_with_a_lot, .on_data = note_data,
                                                        .on_drain = note_drain };
    struct harness_server h;
    struct output out;
    int client;

    lot = new_pattern(LOT);
    start_with(&h, &handler, (struct ostler_server_options){ .output_high = LOT, .output_low = 1 });
    client = slow_client_of(&h);
    on_conn(look_at_output, &out);
    ck_assert(!out.full);
    on_conn(lower_marks, NULL);
    ck_assert_int_eq(seen.result, 0);
    on_conn(look_at_output, &out);
    ck_assert(out.full);
    ck_assert(harness_say(client, "x"));
    on_conn(look_at_output, &out);
    ck_assert_int_eq(harness_count(&seen.data), 0);
    expect_pattern(client, LOT);
    ck_assert(harness_wait(&seen.data, 1));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "owd");
    free(lot);
}
END_TEST

/* What is gathered counts, and over a mark means more than it. */
static int write_up_to_the_high_mark(struct ostler_conn *c)
{
    seen.result += ostler_conn_set_marks(c, 5, 10) != 0;
    seen.result += ostler_conn_write(c, "0123456789", 10) != 0 || ostler_conn_is_full(c);
    seen.result += ostler_conn_set_marks(c, 0, 10) != 0 || ostler_conn_is_full(c);
    seen.result += ostler_conn_write(c, "!", 1) != 0 || !ostler_conn_is_full(c);
    return 0;
}

START_TEST(output_that_just_reaches_the_high_mark_is_not_over_it)
{
    static const struct ostler_conn_handler handler = { .on_open = write_up_to_the_high_mark };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_expect(client, "0123456789!"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
}
END_TEST

static int open_and_overfill(struct ostler_conn *c)
{
    size_t queued;

    send_little(c);
    seen.result += ostler_conn_write(c, lot, LOT) != 0;
    queued = ostler_conn_queued(c);
    seen.result += ostler_conn_write(c, lot, LOT) != -ENOBUFS;
    seen.result += ostler_conn_queued(c) != queued;
    seen.result += ostler_conn_write(c, lot, 1) != -EPIPE;
    return 0;
}

START_TEST(over_max_output_nothing_is_queued_and_it_closes)
{
    static const struct ostler_conn_handler handler = { .on_open = open_and_overfill, .on_close = note_close };
    struct harness_server h;
    int client;

    lot = new_pattern(LOT);
    start_with(&h, &handler, (struct ostler_server_options){ .max_output = LOT });
    client = slow_client_of(&h);
    check_closed(OSTLER_CLOSE_OUTPUT_LIMIT, -ENOBUFS);
    ck_assert_int_eq(seen.result, 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    free(lot);
}
END_TEST

static int write_too_much(struct ostler_conn *c)
{
    send_little(c);
    return ostler_conn_write(c, lot, LOT);
}

START_TEST(a_peer_that_does_not_take_so_much_is_no_error_of_the_server)
{
    static const struct ostler_conn_handler handler = { .on_open = write_too_much, .on_close = note_close };
    struct harness_server h;
    int client;

    lot = new_pattern(LOT);
    start_with(&h, &handler, (struct ostler_server_options){ .max_output = 1000 });
    client = slow_client_of(&h);
    check_closed(OSTLER_CLOSE_OUTPUT_LIMIT, -ENOBUFS);
    ck_assert(harness_log_wait(&h.log, "request failed: "));
    ck_assert_int_eq(harness_log_count(&h.log, "error "), 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    free(lot);
}
END_TEST

/* The kernel takes the begin of it, and nothing waits behind that. */
START_TEST(a_message_of_which_only_the_begin_left_does_not_look_like_all)
{
    static const struct ostler_conn_handler handler = { .on_open = write_too_much, .on_close = note_close };
    struct harness_server h;
    int client;
    ssize_t n;

    if (harness_is_unix())
        return; /* there is no reset */
    lot = new_pattern(LOT);
    start_with(&h, &handler, (struct ostler_server_options){ .max_output = 1000 });
    client = slow_client_of(&h);
    do
        n = harness_receive_once(client, seen.input, INPUT);
    while (n > 0);
    ck_assert_int_eq(n, -ECONNRESET);
    check_closed(OSTLER_CLOSE_OUTPUT_LIMIT, -ENOBUFS);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    free(lot);
}
END_TEST

static int open_and_write_too_often(struct ostler_conn *c)
{
    int r;

    send_little(c);
    do
        r = ostler_conn_write(c, "0123456789", 10);
    while (r == 0);
    seen.result = r;
    seen.number = ostler_conn_queued(c);
    return 0;
}

START_TEST(small_writes_reach_max_output_too)
{
    static const struct ostler_conn_handler handler = { .on_open = open_and_write_too_often, .on_close = note_close };
    struct harness_server h;
    int client;

    start_with(&h, &handler, (struct ostler_server_options){ .max_output = 100000 });
    client = slow_client_of(&h);
    check_closed(OSTLER_CLOSE_OUTPUT_LIMIT, -ENOBUFS);
    ck_assert_int_eq(seen.result, -ENOBUFS);
    ck_assert_uint_le(seen.number, 100000);
    ck_assert_uint_gt(seen.number, 100000 - 10);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

enum { LINE = 100, LINES = 120, PIECE = 6000 };

/* More than max_output each time, but never more than the kernel takes. */
static ssize_t answer_at_length(struct ostler_conn *c, const void *data, size_t n)
{
    char piece[PIECE];

    (void)data;
    memset(piece, 'x', PIECE);
    for (int i = 0; i < LINES && seen.result == 0; i++)
        seen.result = ostler_conn_write(c, piece, LINE);
    if (seen.result == 0)
        seen.result = ostler_conn_write(c, piece, PIECE);
    return (ssize_t)n;
}

static const size_t small_limits[] = { 1, 256, 4096, 8192, 16383 };

START_TEST(what_the_kernel_takes_does_not_count_as_unsent)
{
    static const struct ostler_conn_handler handler = { .on_data = answer_at_length };
    char text[LINES * LINE + PIECE];
    struct harness_server h;
    int client;

    start_with(&h, &handler, (struct ostler_server_options){ .max_output = small_limits[_i] });
    client = client_of(&h);
    ck_assert(harness_say(client, "go"));
    ck_assert_int_eq(harness_receive(client, text, sizeof(text)), (ssize_t)sizeof(text));
    ck_assert(harness_say(client, "go")); /* it is still open */
    ck_assert_int_eq(harness_receive(client, text, sizeof(text)), (ssize_t)sizeof(text));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
}
END_TEST

static ssize_t answer_in_pieces(struct ostler_conn *c, const void *data, size_t n)
{
    (void)data;
    for (int i = 0; i < 100; i++)
        ostler_conn_write(c, "0123456789", 10);
    seen.number = ostler_conn_queued(c);
    return (ssize_t)n;
}

START_TEST(writes_of_one_callback_leave_together)
{
    static const struct ostler_conn_handler handler = { .on_data = answer_in_pieces };
    struct harness_server h;
    struct tcp_info info;
    socklen_t size = sizeof(info);
    char text[1000];
    int client;

    if (harness_is_unix())
        return; /* it is about TCP */
    start_with(&h, &handler, (struct ostler_server_options){ .disable_nagle = true });
    client = client_of(&h);
    ck_assert(harness_say(client, "go"));
    ck_assert_int_eq(harness_receive(client, text, sizeof(text)), (ssize_t)sizeof(text));
    ck_assert_int_eq(getsockopt(client, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    ck_assert_uint_eq(info.tcpi_data_segs_in, 1);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_uint_eq(seen.number, 1000);
}
END_TEST

static size_t set_size;

static int open_and_push(struct ostler_conn *c)
{
    static const char data[16384];

    while (!ostler_conn_is_full(c) && ostler_conn_write(c, data, (size_t)set_size) == 0)
        continue;
    seen.number = ostler_request_bytes_out(c->request);
    harness_raise(&seen.opened);
    return ostler_conn_abort(c);
}

static const size_t push_sizes[] = { 16384, 8192, 8191, 1000, 100 };

/* Others are to have a turn, however much the kernel takes at once (4 MB by default). */
START_TEST(one_callback_sends_only_so_much_whatever_its_writes_are)
{
    static const struct ostler_conn_handler handler = { .on_open = open_and_push };
    struct harness_server h;
    int client;

    set_size = push_sizes[_i];
    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    ck_assert_uint_le(seen.number, (256 + 16) * 1024);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static int open_and_write_odd_things(struct ostler_conn *c)
{
    seen.result += ostler_conn_write(c, NULL, 1) != -EINVAL;
    seen.result += ostler_conn_write(c, NULL, 0) != 0;
    seen.result += ostler_conn_write(c, "x", 0) != 0;
    seen.result += ostler_conn_queued(c) != 0;
    seen.result += ostler_conn_is_full(c);
    return ostler_conn_write(c, "fine", 4);
}

START_TEST(writing_nothing_is_fine_and_writing_null_is_not)
{
    static const struct ostler_conn_handler handler = { .on_open = open_and_write_odd_things };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_expect(client, "fine"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
}
END_TEST

START_TEST(what_is_written_outside_its_callbacks_leaves_too)
{
    static const struct ostler_conn_handler handler = { .on_open = note_open };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    on_conn(write_text, "hello ");
    ck_assert(harness_expect(client, "hello "));
    on_conn(write_text, "again");
    ck_assert(harness_expect(client, "again"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static struct ostler_conn *first, *second;

static int open_pair(struct ostler_conn *c)
{
    if (first)
        second = c;
    else
        first = c;
    harness_raise(&seen.opened);
    return 0;
}

static ssize_t tell_the_other(struct ostler_conn *c, const void *data, size_t n)
{
    struct ostler_conn *other = c == first ? second : first;
    int r = ostler_conn_write(other, data, n);

    return r < 0 ? r : (ssize_t)n;
}

static int close_the_other(struct ostler_conn *c)
{
    ostler_conn_close(c == first ? second : first);
    return ostler_conn_close(c);
}

START_TEST(a_callback_writes_to_and_closes_another_connection)
{
    static const struct ostler_conn_handler handler = { .on_open = open_pair, .on_data = tell_the_other,
                                                        .on_eof = close_the_other, .on_close = note_close };
    struct harness_server h;
    int a, b;

    first = second = NULL;
    start(&h, &handler);
    a = client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    b = client_of(&h);
    ck_assert(harness_wait(&seen.opened, 2));
    ck_assert(harness_say(a, "to b"));
    ck_assert(harness_expect(b, "to b"));
    ck_assert(harness_say(b, "to a"));
    ck_assert(harness_expect(a, "to a"));
    ck_assert(harness_say(a, "last"));
    shutdown(a, SHUT_WR);
    ck_assert(harness_expect(b, "last"));
    ck_assert(harness_expect_end(b));
    ck_assert(harness_expect_end(a));
    ck_assert(harness_wait(&seen.closed, 2));
    close(a);
    close(b);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static ssize_t abort_the_other(struct ostler_conn *c, const void *data, size_t n)
{
    (void)data;
    ostler_conn_abort(c == first ? second : first);
    ostler_conn_write(c, "done", 4);
    return (ssize_t)n;
}

START_TEST(a_callback_aborts_another_connection_that_has_input_too)
{
    static const struct ostler_conn_handler handler = { .on_open = open_pair, .on_data = abort_the_other };
    struct harness_server h;
    int a, b;

    if (harness_is_unix())
        return; /* it is about TCP */
    first = second = NULL;
    start(&h, &handler);
    a = client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    b = client_of(&h);
    ck_assert(harness_wait(&seen.opened, 2));
    ck_assert(harness_say(a, "x"));
    ck_assert(harness_expect(a, "done"));
    ck_assert(harness_expect_reset(b));
    close(a);
    close(b);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(megabytes_are_echoed_with_little_memory)
{
    static const struct ostler_conn_handler handler = { .on_open = note_open, .on_data = echo, .on_close = note_close };
    enum { MEGABYTES = 8 << 20 };
    struct harness_server h;
    char *text = new_pattern(MEGABYTES), *back = malloc(MEGABYTES);
    size_t sent = 0, got = 0;
    int client;

    start_with(&h, &handler, (struct ostler_server_options){ .max_output = 256 * 1024 });
    client = client_of(&h);
    fcntl(client, F_SETFL, O_NONBLOCK);
    while (got < MEGABYTES) {
        ssize_t n = send(client, text + sent, MEGABYTES - sent, MSG_NOSIGNAL);

        if (n > 0) {
            sent += (size_t)n;
            continue; /* push until it pushes back */
        }
        n = harness_receive_once(client, back + got, MEGABYTES - got);
        ck_assert_int_gt(n, 0);
        got += (size_t)n;
    }
    ck_assert_mem_eq(text, back, MEGABYTES);
    shutdown(client, SHUT_WR);
    ck_assert(harness_expect_end(client));
    check_closed(OSTLER_CLOSE_PEER, 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    free(text);
    free(back);
}
END_TEST

static ssize_t note_byte_counts(struct ostler_conn *c, const void *data, size_t n)
{
    ssize_t used = echo(c, data, n);

    seen.number = ostler_request_bytes_in(c->request) * 1000 + ostler_request_bytes_out(c->request);
    return used;
}

START_TEST(bytes_in_and_out_are_counted)
{
    static const struct ostler_conn_handler handler = { .on_data = note_byte_counts };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_say(client, "12345"));
    ck_assert(harness_expect(client, "12345"));
    ck_assert(harness_say(client, "678"));
    ck_assert(harness_expect(client, "678"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_uint_eq(seen.number, 8005); /* the second answer had not left yet */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conn_output");
    TCase *tc = harness_case(suite, "output");

    tcase_add_test(tc, over_the_high_mark_it_stops_reading_until_the_low_mark);
    tcase_add_test(tc, below_the_high_mark_on_drain_is_not_called);
    tcase_add_test(tc, a_connection_may_have_marks_of_its_own);
    tcase_add_test(tc, marks_that_are_lowered_hold_for_what_waits_already);
    tcase_add_test(tc, output_that_just_reaches_the_high_mark_is_not_over_it);
    tcase_add_test(tc, over_max_output_nothing_is_queued_and_it_closes);
    tcase_add_test(tc, a_peer_that_does_not_take_so_much_is_no_error_of_the_server);
    tcase_add_test(tc, a_message_of_which_only_the_begin_left_does_not_look_like_all);
    tcase_add_test(tc, small_writes_reach_max_output_too);
    tcase_add_loop_test(tc, what_the_kernel_takes_does_not_count_as_unsent, 0,
                        sizeof(small_limits) / sizeof(small_limits[0]));
    tcase_add_test(tc, writes_of_one_callback_leave_together);
    tcase_add_loop_test(tc, one_callback_sends_only_so_much_whatever_its_writes_are, 0,
                        (int)(sizeof(push_sizes) / sizeof(push_sizes[0])));
    tcase_add_test(tc, writing_nothing_is_fine_and_writing_null_is_not);
    tcase_add_test(tc, what_is_written_outside_its_callbacks_leaves_too);
    tcase_add_test(tc, a_callback_writes_to_and_closes_another_connection);
    tcase_add_test(tc, a_callback_aborts_another_connection_that_has_input_too);
    tcase_add_test(tc, megabytes_are_echoed_with_little_memory);
    tcase_add_test(tc, bytes_in_and_out_are_counted);
    return harness_main(suite);
}
