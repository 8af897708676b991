/* conn.h: timers, time-outs and deadlines of evented connections. */
#include "support/conns.h"

#include <poll.h>

static long set_ms; /* what the callbacks below set */
static uint64_t set_at;

static int open_with_timer(struct ostler_conn *c)
{
    note_open(c);
    set_at = harness_now_ms();
    return ostler_conn_set_timer(c, set_ms);
}

static int note_timeout_time(struct ostler_conn *c)
{
    seen.number = (size_t)(harness_now_ms() - set_at);
    return note_timeout(c);
}

static void set_timer(struct ostler_conn *c, void *ms)
{
    set_at = harness_now_ms();
    seen.result = ostler_conn_set_timer(c, *(long *)ms);
}

START_TEST(the_timer_fires_once_when_it_is_time)
{
    static const struct ostler_conn_handler handler = { .on_open = open_with_timer, .on_timeout = note_timeout_time };
    struct harness_server h;
    int client;

    set_ms = 30;
    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_wait(&seen.fired, 1));
    ck_assert(harness_is_silent(client));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&seen.fired), 1);
    ck_assert_uint_ge(seen.number, 30);
}
END_TEST

START_TEST(the_timer_is_set_anew_and_cleared)
{
    static const struct ostler_conn_handler handler = { .on_open = open_with_timer, .on_timeout = note_timeout_time };
    struct harness_server h;
    long never = OSTLER_NEVER, nothing = 0, wrong = -2, later = 60000;
    int client;

    set_ms = 60000;
    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    on_conn(set_timer, &nothing);
    ck_assert(harness_wait(&seen.fired, 1));
    on_conn(set_timer, &wrong);
    ck_assert_int_eq(seen.result, -EINVAL);
    set_ms = 20;
    on_conn(set_timer, &set_ms);
    on_conn(set_timer, &never);
    ck_assert(harness_is_silent(client));
    ck_assert_int_eq(harness_count(&seen.fired), 1);
    on_conn(set_timer, &set_ms);
    on_conn(set_timer, &later);
    ck_assert(harness_is_silent(client));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&seen.fired), 1);
}
END_TEST

static int set_timer_again(struct ostler_conn *c)
{
    note_timeout(c);
    return ++seen.number < 10 ? ostler_conn_set_timer(c, 1) : 0;
}

START_TEST(on_timeout_may_set_the_timer_again)
{
    static const struct ostler_conn_handler handler = { .on_open = open_with_timer, .on_timeout = set_timer_again };
    struct harness_server h;
    int client;

    set_ms = 1;
    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_wait(&seen.fired, 10));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static int open_with_timeout(struct ostler_conn *c)
{
    note_open(c);
    seen.result += ostler_conn_set_timeout(c, 0) != -EINVAL;
    seen.result += ostler_conn_set_timeout(c, -2) != -EINVAL;
    seen.result += ostler_conn_set_timeout(c, OSTLER_NEVER) != 0;
    seen.result += ostler_conn_set_timeout(c, set_ms) != 0;
    return 0;
}

START_TEST(silence_for_the_timeout_closes)
{
    static const struct ostler_conn_handler handler = { .on_open = open_with_timeout, .on_data = echo,
                                                        .on_close = note_close };
    struct harness_server h;
    uint64_t begin, last = 0;
    int client;

    set_ms = 300 * harness_slow();
    start(&h, &handler);
    client = client_of(&h);
    begin = harness_now_ms();
    while (harness_now_ms() - begin < 2 * (uint64_t)set_ms) {
        ck_assert(harness_say(client, "x"));
        ck_assert(harness_expect(client, "x"));
        last = harness_now_ms();
        ck_assert(harness_is_silent(client));
    }
    check_closed(OSTLER_CLOSE_TIMEOUT, -ETIMEDOUT);
    ck_assert_uint_ge(harness_now_ms() - last + 20, (uint64_t)set_ms);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
}
END_TEST

static struct ostler_conn *two[2];
static uint64_t last_byte, silent_for;

static int open_one_of_two(struct ostler_conn *c)
{
    two[harness_count(&seen.opened)] = c;
    return note_open(c);
}

/* Hold the loop until both have input, which then comes in one turn. */
static void await_both(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        struct pollfd look = { .fd = ostler_request_fd(two[i]->request), .events = POLLIN };

        seen.result += poll(&look, 1, (int)harness_deadline_ms()) != 1;
    }
}

/* The first holds up the second for longer than that may be silent. */
static ssize_t hold_up_the_other(struct ostler_conn *c, const void *data, size_t n)
{
    uint64_t end = harness_now_ms() + 3 * (uint64_t)set_ms;

    seen.conn = c;
    if (note_data(c, data, n) > 0 && seen.length == 1) {
        ostler_conn_set_timeout(two[0], set_ms);
        ostler_conn_set_timeout(two[1], set_ms);
        while (harness_now_ms() < end)
            continue;
    }
    last_byte = harness_now_ms();
    return (ssize_t)n;
}

static void note_silence(struct ostler_conn *c, enum ostler_close_reason reason, int error)
{
    if (c == seen.conn)
        silent_for = harness_now_ms() - last_byte;
    note_close(c, reason, error);
}

START_TEST(to_be_held_up_by_another_is_no_silence)
{
    static const struct ostler_conn_handler handler = { .on_open = open_one_of_two, .on_data = hold_up_the_other,
                                                        .on_close = note_silence };
    struct harness_server h;
    int clients[2];

    set_ms = 200 * harness_slow();
    start(&h, &handler);
    for (int i = 0; i < 2; i++)
        clients[i] = client_of(&h);
    ck_assert(harness_wait(&seen.opened, 2));
    ck_assert_int_eq(ostler_reactor_post(ostler_server_reactor(h.server), await_both, NULL), 0);
    for (int i = 0; i < 2; i++)
        ck_assert(harness_say(clients[i], "x"));
    ck_assert(harness_wait(&seen.closed, 2));
    ck_assert_uint_ge(silent_for + 20, (uint64_t)set_ms);
    for (int i = 0; i < 2; i++)
        close(clients[i]);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
    ck_assert_uint_eq(seen.length, 2);
}
END_TEST

START_TEST(the_servers_timeout_is_where_it_starts)
{
    static const struct ostler_conn_handler handler = { .on_close = note_close };
    struct harness_server h;
    int client;

    start_with(&h, &handler, (struct ostler_server_options){ .timeout_ms = 30 });
    client = client_of(&h);
    check_closed(OSTLER_CLOSE_TIMEOUT, -ETIMEDOUT);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static int open_without_timeout(struct ostler_conn *c)
{
    note_open(c);
    return ostler_conn_set_timeout(c, OSTLER_NEVER);
}

START_TEST(a_connection_may_do_without_the_servers_timeout)
{
    static const struct ostler_conn_handler handler = { .on_open = open_without_timeout, .on_data = echo,
                                                        .on_close = note_close };
    struct harness_server h;
    int client;

    start_with(&h, &handler, (struct ostler_server_options){ .timeout_ms = 10 });
    client = client_of(&h);
    ck_assert(harness_is_silent(client));
    ck_assert(harness_say(client, "x"));
    ck_assert(harness_expect(client, "x"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_peer_that_takes_nothing_times_out)
{
    static const struct ostler_conn_handler handler = { .on_open = write_a_lot_and_close, .on_close = note_close };
    struct harness_server h;
    ssize_t n;
    int client;

    lot = new_pattern(LOT);
    start_with(&h, &handler, (struct ostler_server_options){ .timeout_ms = 100 });
    client = slow_client_of(&h);
    ck_assert(harness_wait(&seen.closed, 1));
    do
        n = harness_receive_once(client, seen.input, INPUT);
    while (n > 0);
    ck_assert_int_eq(n, harness_is_unix() ? 0 : -ECONNRESET); /* what it got is not taken for everything */
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    free(lot);
}
END_TEST

enum { EVERY_MS = 20 };

/* A large piece leaves within the callback, a small one after it. */
static int write_again_and_again(struct ostler_conn *c)
{
    int r = ostler_conn_write(c, lot, seen.number);

    seen.result = seen.result < 0 ? seen.result : r;
    harness_raise(&seen.fired);
    return ostler_conn_set_timer(c, EVERY_MS);
}

START_TEST(what_the_peer_takes_is_no_silence)
{
    static const struct ostler_conn_handler handler = { .on_open = write_again_and_again,
                                                        .on_timeout = write_again_and_again, .on_close = note_close };
    const size_t piece = _i ? 10000 : 100, pieces = (size_t)(30 * harness_slow());
    struct harness_server h;
    char *got = malloc(piece);
    int client;

    lot = new_pattern(piece);
    start_with(&h, &handler, (struct ostler_server_options){ .timeout_ms = 10 * EVERY_MS * harness_slow() });
    seen.number = piece;
    client = client_of(&h);
    for (size_t i = 0; i < pieces; i++)
        ck_assert_int_eq(harness_receive(client, got, piece), (ssize_t)piece);
    ck_assert_int_eq(harness_count(&seen.closed), 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
    free(got);
    free(lot);
}
END_TEST

static int open_with_deadline(struct ostler_conn *c)
{
    note_open(c);
    seen.result += ostler_conn_set_deadline(c, -2) != -EINVAL;
    seen.result += ostler_conn_set_deadline(c, set_ms) != 0;
    return 0;
}

START_TEST(the_deadline_closes_however_busy_it_is)
{
    static const struct ostler_conn_handler handler = { .on_open = open_with_deadline, .on_data = echo,
                                                        .on_close = note_close };
    struct harness_server h;
    uint64_t begin;
    int client;
    bool open = true;

    set_ms = 200;
    start(&h, &handler);
    begin = harness_now_ms();
    client = client_of(&h);
    while (open && harness_now_ms() - begin < (uint64_t)harness_deadline_ms()) {
        char byte;

        open = harness_say(client, "x") && harness_receive_once(client, &byte, 1) == 1;
    }
    check_closed(OSTLER_CLOSE_DEADLINE, -ETIMEDOUT);
    ck_assert_uint_ge(harness_now_ms() - begin, (uint64_t)set_ms);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
}
END_TEST

START_TEST(the_servers_deadline_counts_from_the_start)
{
    static const struct ostler_conn_handler handler = { .on_close = note_close };
    struct harness_server h;
    int client;

    start_with(&h, &handler, (struct ostler_server_options){ .deadline_ms = 30 });
    client = client_of(&h);
    check_closed(OSTLER_CLOSE_DEADLINE, -ETIMEDOUT);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static void set_deadline(struct ostler_conn *c, void *ms)
{
    seen.result = ostler_conn_set_deadline(c, *(long *)ms);
}

START_TEST(a_deadline_may_be_lifted)
{
    static const struct ostler_conn_handler handler = { .on_open = note_open, .on_data = echo,
                                                        .on_close = note_close };
    struct harness_server h;
    long never = OSTLER_NEVER;
    int client;

    start_with(&h, &handler, (struct ostler_server_options){ .deadline_ms = 60000 });
    client = client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    set_ms = 20;
    on_conn(set_deadline, &set_ms);
    on_conn(set_deadline, &never);
    ck_assert(harness_is_silent(client));
    ck_assert(harness_say(client, "x") && harness_expect(client, "x"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static int open_with_timers(struct ostler_conn *c)
{
    note_open(c);
    ostler_conn_set_timer(c, 20);
    return ostler_conn_set_timeout(c, 60);
}

START_TEST(the_timer_does_not_count_as_progress)
{
    static const struct ostler_conn_handler handler = { .on_open = open_with_timers, .on_timeout = note_timeout,
                                                        .on_close = note_close };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    check_closed(OSTLER_CLOSE_TIMEOUT, -ETIMEDOUT);
    ck_assert_str_eq(seen.trace, "otc");
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_timer_without_on_timeout_does_nothing)
{
    static const struct ostler_conn_handler handler = { .on_open = open_with_timer, .on_data = echo };
    struct harness_server h;
    int client;

    set_ms = 5;
    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_is_silent(client));
    ck_assert(harness_say(client, "x") && harness_expect(client, "x"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conn_time");
    TCase *tc = harness_case(suite, "time");

    tcase_add_test(tc, the_timer_fires_once_when_it_is_time);
    tcase_add_test(tc, the_timer_is_set_anew_and_cleared);
    tcase_add_test(tc, on_timeout_may_set_the_timer_again);
    tcase_add_test(tc, silence_for_the_timeout_closes);
    tcase_add_test(tc, to_be_held_up_by_another_is_no_silence);
    tcase_add_test(tc, the_servers_timeout_is_where_it_starts);
    tcase_add_test(tc, a_connection_may_do_without_the_servers_timeout);
    tcase_add_test(tc, a_peer_that_takes_nothing_times_out);
    tcase_add_loop_test(tc, what_the_peer_takes_is_no_silence, 0, 2);
    tcase_add_test(tc, the_deadline_closes_however_busy_it_is);
    tcase_add_test(tc, the_servers_deadline_counts_from_the_start);
    tcase_add_test(tc, a_deadline_may_be_lifted);
    tcase_add_test(tc, the_timer_does_not_count_as_progress);
    tcase_add_test(tc, a_timer_without_on_timeout_does_nothing);
    return harness_main(suite);
}
