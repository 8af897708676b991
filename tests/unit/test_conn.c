/* conn.h: everything that it promises about evented connections.
 *
 * Callbacks run on the server's thread and write down what happens in `seen`; the
 * test's thread looks at it after an event that was raised later, or after the stop. */
#include "support/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INPUT = 1 << 20 };

static struct seen {
    struct ostler_conn *conn; /* the last one that was opened */
    struct ostler_request_ref ref;
    char trace[256]; /* a letter for each callback */
    char input[INPUT];
    size_t length;
    enum ostler_close_reason reason;
    int error, result, handle_errors, handled_error;
    size_t number;
    struct harness_event opened, data, drained, eof, fired, closed, done;
} seen;

static void see_afresh(void)
{
    struct harness_event *events[] = { &seen.opened, &seen.data, &seen.drained, &seen.eof,
                                       &seen.fired,  &seen.closed, &seen.done };

    memset(&seen, 0, offsetof(struct seen, opened));
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        harness_event_init(events[i]);
}

static void trace(char letter)
{
    size_t n = strlen(seen.trace);

    if (n + 1 < sizeof(seen.trace))
        seen.trace[n] = letter;
}

/* ---- Callbacks that only take notes ---- */

static int note_open(struct ostler_conn *c)
{
    trace('o');
    seen.conn = c;
    seen.ref = ostler_conn_id(c);
    harness_raise(&seen.opened);
    return 0;
}

static ssize_t note_data(struct ostler_conn *c, const void *data, size_t n)
{
    (void)c;
    trace('d');
    if (seen.length + n <= INPUT)
        memcpy(seen.input + seen.length, data, n);
    seen.length += n;
    harness_raise(&seen.data);
    return (ssize_t)n;
}

static int note_drain(struct ostler_conn *c)
{
    (void)c;
    trace('w');
    harness_raise(&seen.drained);
    return 0;
}

static int note_eof(struct ostler_conn *c)
{
    (void)c;
    trace('e');
    harness_raise(&seen.eof);
    return 0;
}

static int close_at_eof(struct ostler_conn *c)
{
    note_eof(c);
    return ostler_conn_close(c);
}

static int note_timeout(struct ostler_conn *c)
{
    (void)c;
    trace('t');
    harness_raise(&seen.fired);
    return 0;
}

static void note_close(struct ostler_conn *c, enum ostler_close_reason reason, int error)
{
    (void)c;
    trace('c');
    seen.reason = reason;
    seen.error = error;
    harness_raise(&seen.closed);
}

static ssize_t echo(struct ostler_conn *c, const void *data, size_t n)
{
    int r = ostler_conn_write(c, data, n);

    return r < 0 ? r : (ssize_t)n;
}

/* ---- Servers and clients ---- */

static void start_with(struct harness_server *h, const struct ostler_conn_handler *handler,
                       struct ostler_server_options options)
{
    see_afresh();
    if (!options.address)
        options.address = harness_address();
    options.conn = handler;
    harness_start(h, &options);
}

static void start(struct harness_server *h, const struct ostler_conn_handler *handler)
{
    start_with(h, handler, (struct ostler_server_options){ .name = "tested" });
}

static int client_of(const struct harness_server *h)
{
    int fd = harness_connect(h->server);

    ck_assert_int_ge(fd, 0);
    return fd;
}

/* One whose kernel takes in little. */
static int slow_client_of(const struct harness_server *h)
{
    int fd = harness_connect_to(ostler_server_address(h->server, 0), 4096);

    ck_assert_int_ge(fd, 0);
    return fd;
}

/* Let the kernel take little of what this connection sends. */
static void send_little(struct ostler_conn *c)
{
    int size = 4096;

    setsockopt(ostler_request_fd(c->request), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static void raise_done(void *arg)
{
    (void)arg;
    harness_raise(&seen.done);
}

/* Run function on the connection that was opened last, and wait for it. */
static void on_conn(void (*function)(struct ostler_conn *c, void *arg), void *arg)
{
    int before = harness_count(&seen.done);

    ck_assert(harness_wait(&seen.opened, 1));
    ck_assert_int_eq(ostler_post_to(seen.ref, function, arg, raise_done), 0);
    ck_assert(harness_wait(&seen.done, before + 1));
}

/* Wait for on_close. */
static void check_closed(enum ostler_close_reason reason, int error)
{
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_str_eq(ostler_close_reason_text(seen.reason), ostler_close_reason_text(reason));
    ck_assert_int_eq(seen.error, error);
}

/* A text that is easily checked: the i-th byte of a long stream. */
static char pattern(size_t i)
{
    return (char)('a' + (i * 7 + i / 251) % 26);
}

static char *new_pattern(size_t n)
{
    char *text = malloc(n);

    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < n; i++)
        text[i] = pattern(i);
    return text;
}

static void expect_pattern(int fd, size_t n)
{
    char *got = malloc(n);
    size_t i = 0;

    ck_assert_int_eq(harness_receive(fd, got, n), (ssize_t)n);
    while (i < n && got[i] == pattern(i))
        i++;
    ck_assert_uint_eq(i, n);
    free(got);
}

/* ---- Input ---- */

static ssize_t answer_data(struct ostler_conn *c, const void *data, size_t n)
{
    note_data(c, data, n);
    return echo(c, data, n);
}

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

enum { LOT = 600000 };

static char *lot;

static int open_with_a_lot(struct ostler_conn *c)
{
    send_little(c);
    note_open(c);
    return ostler_conn_write(c, lot, LOT);
}

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

static int open_paused(struct ostler_conn *c)
{
    note_open(c);
    return ostler_conn_pause(c);
}

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

/* ---- Output ---- */

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
    ck_assert_int_eq(seen.result, 0);
    ck_assert(harness_say(client, "go")); /* it is still open */
    ck_assert_int_eq(harness_receive(client, text, sizeof(text)), (ssize_t)sizeof(text));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
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

static void write_text(struct ostler_conn *c, void *text)
{
    seen.result = ostler_conn_write(c, text, strlen(text));
}

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

/* ---- Closing ---- */

static int write_a_lot_and_close(struct ostler_conn *c)
{
    open_with_a_lot(c);
    seen.result += ostler_conn_close(c) != 0;
    seen.result += ostler_conn_write(c, "x", 1) != -EPIPE;
    seen.result += ostler_conn_close(c) != 0; /* twice is fine */
    return 0;
}

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

static void abort_it(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_conn_abort(c) != 0;
}

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

/* ---- Time ---- */

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
    int client;

    lot = new_pattern(LOT);
    start_with(&h, &handler, (struct ostler_server_options){ .timeout_ms = 100 });
    client = slow_client_of(&h);
    ck_assert(harness_wait(&seen.closed, 1));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
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

/* ---- Outgoing connections ---- */

/* A listening socket of the test's own, and its address. */
static int listen_at(char *address, size_t size, int backlog)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, length), 0);
    if (backlog >= 0)
        ck_assert_int_eq(listen(fd, backlog), 0);
    getsockname(fd, (struct sockaddr *)&in, &length);
    snprintf(address, size, "tcp:127.0.0.1:%d", ntohs(in.sin_port));
    return fd;
}

/* A call of ostler_conn_connect() on the reactor's thread. */
struct dial {
    struct ostler_server *server;
    char address[OSTLER_ADDRESS_TEXT];
    const struct ostler_conn_handler *handler;
    void (*then)(struct ostler_conn *c, void *arg);
    void *arg;
    struct ostler_conn *conn;
    int result, opened_inside;
};

static void dial(void *arg)
{
    struct dial *d = arg;

    d->result = ostler_conn_connect(&d->conn, d->server, d->address, d->handler);
    d->opened_inside = harness_count(&seen.opened) + harness_count(&seen.closed);
    if (d->result == 0)
        seen.ref = ostler_conn_id(d->conn);
    if (d->result == 0 && d->then)
        d->then(d->conn, d->arg);
}

static void start_and_dial(struct harness_server *h, struct dial *d)
{
    static const struct ostler_conn_handler nobody = { 0 };

    start_with(h, &nobody, (struct ostler_server_options){ .stop_timeout_ms = 60000 });
    d->server = h->server;
    ck_assert(harness_call(ostler_server_reactor(h->server), dial, d));
    ck_assert_int_eq(d->opened_inside, 0);
}

static const struct ostler_conn_handler caller = {
    .on_open = note_open, .on_data = note_data, .on_eof = close_at_eof, .on_timeout = note_timeout, .on_close = note_close
};

START_TEST(an_outgoing_connection_opens_later_and_talks)
{
    struct dial d = { .handler = &caller, .then = write_text, .arg = "early " };
    struct harness_server h;
    char text[OSTLER_ADDRESS_TEXT];
    int listener = listen_at(d.address, sizeof(d.address), 5), peer;

    start_and_dial(&h, &d);
    ck_assert_int_eq(d.result, 0);
    ck_assert_int_eq(seen.result, 0);
    peer = accept(listener, NULL, NULL);
    ck_assert(harness_wait(&seen.opened, 1));
    ck_assert_ptr_eq(seen.conn, d.conn);
    ostler_address_text(ostler_conn_peer(d.conn), text, sizeof(text));
    ck_assert_str_eq(text, d.address);
    ck_assert(harness_expect(peer, "early "));
    on_conn(write_text, "late");
    ck_assert(harness_expect(peer, "late"));
    ck_assert(harness_say(peer, "answer"));
    close(peer);
    check_closed(OSTLER_CLOSE_DONE, 0);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "odec");
    ck_assert_mem_eq(seen.input, "answer", 6);
    close(listener);
}
END_TEST

START_TEST(a_refused_connection_is_told_by_on_close_alone)
{
    struct dial d = { .handler = &caller, .then = write_text, .arg = "for nobody" };
    struct harness_server h;
    int bound = listen_at(d.address, sizeof(d.address), -1); /* nobody listens there */

    start_and_dial(&h, &d);
    ck_assert_int_eq(d.result, 0);
    check_closed(OSTLER_CLOSE_CONNECT, -ECONNREFUSED);
    ck_assert_str_eq(seen.trace, "c");
    ck_assert_int_eq(harness_stop(&h), 0);
    close(bound);
}
END_TEST

static void write_and_close(struct ostler_conn *c, void *text)
{
    seen.result += ostler_conn_write(c, text, strlen(text)) != 0;
    seen.result += ostler_conn_close(c) != 0;
}

START_TEST(written_and_closed_before_it_is_open_it_still_delivers)
{
    struct dial d = { .handler = &caller, .then = write_and_close, .arg = "hello" };
    struct harness_server h;
    int listener = listen_at(d.address, sizeof(d.address), 5), peer;

    start_and_dial(&h, &d);
    peer = accept(listener, NULL, NULL);
    ck_assert(harness_expect(peer, "hello"));
    ck_assert(harness_expect_end(peer));
    close(peer);
    check_closed(OSTLER_CLOSE_DONE, 0);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
    close(listener);
}
END_TEST

static void write_lot(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_conn_write(c, lot, LOT) != 0;
    seen.number = ostler_conn_queued(c);
}

START_TEST(a_lot_written_before_it_is_open_is_queued)
{
    struct dial d = { .handler = &caller, .then = write_lot };
    struct harness_server h;
    int listener = listen_at(d.address, sizeof(d.address), 5), peer;

    lot = new_pattern(LOT);
    start_and_dial(&h, &d);
    ck_assert_uint_eq(seen.number, LOT);
    peer = accept(listener, NULL, NULL);
    expect_pattern(peer, LOT);
    close(peer);
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
    close(listener);
    free(lot);
}
END_TEST

static void shut_after_hello(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_conn_write(c, "hello", 5) != 0;
    seen.result += ostler_conn_shutdown_write(c) != 0;
}

START_TEST(half_closed_before_it_is_open_it_still_hears_the_answer)
{
    struct dial d = { .handler = &caller, .then = shut_after_hello };
    struct harness_server h;
    int listener = listen_at(d.address, sizeof(d.address), 5), peer;

    start_and_dial(&h, &d);
    peer = accept(listener, NULL, NULL);
    ck_assert(harness_expect(peer, "hello"));
    ck_assert(harness_expect_end(peer));
    ck_assert(harness_say(peer, "answer"));
    close(peer);
    check_closed(OSTLER_CLOSE_DONE, 0);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_mem_eq(seen.input, "answer", 6);
    close(listener);
}
END_TEST

/* Connections to a listener that has no room stay half-open. */
static void fill_up(const char *address, int fillers[2])
{
    struct ostler_address *a;

    ck_assert_int_eq(ostler_address_parse(&a, address), 0);
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

        in.sin_port = htons((uint16_t)ostler_address_port(a));
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(fillers[i], (struct sockaddr *)&in, sizeof(in));
    }
    ostler_address_free(a);
}

/* What may be done to a connection that is not there yet, and why it closes then. */
static void close_it(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_conn_close(c) != 0;
}

static void let_it_time_out(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_conn_set_timeout(c, 20) != 0;
}

static void let_the_deadline_pass(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_conn_set_deadline(c, 20) != 0;
}

static void stop_its_server(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_server_stop(ostler_conn_server(c)) != 0;
}

static void abort_its_server(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_server_abort(ostler_conn_server(c)) != 0;
}

static const struct {
    void (*then)(struct ostler_conn *c, void *arg);
    enum ostler_close_reason reason;
    int error;
} giving_up[] = {
    { close_it, OSTLER_CLOSE_DONE, 0 },
    { abort_it, OSTLER_CLOSE_ABORTED, 0 },
    { let_it_time_out, OSTLER_CLOSE_CONNECT, -ETIMEDOUT },
    { let_the_deadline_pass, OSTLER_CLOSE_DEADLINE, -ETIMEDOUT },
    { stop_its_server, OSTLER_CLOSE_STOPPED, -ECANCELED },
    { abort_its_server, OSTLER_CLOSE_STOPPED, -ECANCELED },
};

enum { GIVING_UP = sizeof(giving_up) / sizeof(giving_up[0]) };

START_TEST(a_connection_that_is_not_there_yet_is_given_up)
{
    struct dial d = { .handler = &caller, .then = giving_up[_i].then };
    struct harness_server h;
    int listener = listen_at(d.address, sizeof(d.address), 0), fillers[2];

    fill_up(d.address, fillers);
    start_and_dial(&h, &d);
    ck_assert_int_eq(d.result, 0);
    check_closed(giving_up[_i].reason, giving_up[_i].error);
    ck_assert_str_eq(seen.trace, "c");
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
    close(listener);
    close(fillers[0]);
    close(fillers[1]);
}
END_TEST

static void start_timer_now(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_conn_set_timer(c, 5) != 0;
}

START_TEST(the_timer_runs_while_it_connects)
{
    struct dial d = { .handler = &caller, .then = start_timer_now };
    struct harness_server h;
    int listener = listen_at(d.address, sizeof(d.address), 0), fillers[2];

    fill_up(d.address, fillers);
    start_and_dial(&h, &d);
    ck_assert(harness_wait(&seen.fired, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "tc");
    close(listener);
    close(fillers[0]);
    close(fillers[1]);
}
END_TEST

static void dial_without_descriptors(void *arg)
{
    struct rlimit before, none;

    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    dial(arg);
    setrlimit(RLIMIT_NOFILE, &before);
}

START_TEST(when_connect_itself_fails_nothing_is_called)
{
    static const struct ostler_conn_handler nobody = { 0 };
    static const char *const wrong[] = { "", "tcp:localhost:7", "tcp:127.0.0.1", "nonsense",
                                         "udp:127.0.0.1:7", "unixgram:@x", "fd:0", "tcp:*:7" };
    struct dial d = { .handler = &caller };
    struct harness_server h;
    int listener = listen_at(d.address, sizeof(d.address), 5);

    start_with(&h, &nobody, (struct ostler_server_options){ 0 });
    d.server = h.server;
    ck_assert(harness_call(ostler_server_reactor(h.server), dial_without_descriptors, &d));
    ck_assert_int_eq(d.result, -EMFILE);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(d.address, sizeof(d.address), "%s", wrong[i]);
        ck_assert(harness_call(ostler_server_reactor(h.server), dial, &d));
        ck_assert_int_eq(d.result, -EINVAL);
    }
    ck_assert_ptr_null(d.conn);
    ck_assert_int_eq(ostler_conn_connect(&d.conn, h.server, "tcp:127.0.0.1:1", &caller), -EPERM);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "");
    close(listener);
}
END_TEST

static void stop_then_dial(void *arg)
{
    struct dial *d = arg;

    ostler_server_stop(d->server);
    dial(d);
}

START_TEST(a_server_that_stops_connects_nowhere)
{
    struct dial d = { .handler = &caller };
    struct harness_server h;
    int listener = listen_at(d.address, sizeof(d.address), 5);
    static const struct ostler_conn_handler nobody = { 0 };

    start_with(&h, &nobody, (struct ostler_server_options){ 0 });
    d.server = h.server;
    ck_assert(harness_call(ostler_server_reactor(h.server), stop_then_dial, &d));
    ck_assert_int_eq(d.result, -ESHUTDOWN);
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
    close(listener);
}
END_TEST

static void look_at_active(void *arg)
{
    struct dial *d = arg;

    seen.number = ostler_server_active(d->server);
}

START_TEST(outgoing_connections_do_not_count_for_max_requests)
{
    static const struct ostler_conn_handler echoes = { .on_data = echo };
    struct dial d = { .handler = &caller };
    struct harness_server h;
    int listener = listen_at(d.address, sizeof(d.address), 5), peer, client;

    start_with(&h, &echoes, (struct ostler_server_options){ .max_requests = 1 });
    d.server = h.server;
    ck_assert(harness_call(ostler_server_reactor(h.server), dial, &d));
    peer = accept(listener, NULL, NULL);
    ck_assert(harness_wait(&seen.opened, 1));
    client = client_of(&h);
    ck_assert(harness_say(client, "served") && harness_expect(client, "served"));
    ck_assert(harness_call(ostler_server_reactor(h.server), look_at_active, &d));
    ck_assert_uint_eq(seen.number, 1);
    close(peer);
    check_closed(OSTLER_CLOSE_DONE, 0);
    close(client);
    client = client_of(&h); /* the place is the same one as before */
    ck_assert(harness_say(client, "again") && harness_expect(client, "again"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    close(listener);
}
END_TEST

/* A proxy: each connection and the one it opens hold each other. */
struct half {
    struct ostler_conn base;
    struct half *other;
};

static char upstream_address[OSTLER_ADDRESS_TEXT];

static ssize_t proxy_data(struct ostler_conn *c, const void *data, size_t n)
{
    struct half *self = OSTLER_SELF(c, struct half, base);

    if (!self->other)
        return (ssize_t)n;
    if (ostler_conn_is_full(&self->other->base)) {
        ostler_conn_pause(c);
        return 0;
    }
    return echo(&self->other->base, data, n);
}

static int proxy_drain(struct ostler_conn *c)
{
    struct half *self = OSTLER_SELF(c, struct half, base);

    return self->other ? ostler_conn_resume(&self->other->base) : 0;
}

static int proxy_eof(struct ostler_conn *c)
{
    struct half *self = OSTLER_SELF(c, struct half, base);

    return self->other ? ostler_conn_shutdown_write(&self->other->base) : 0;
}

static void proxy_close(struct ostler_conn *c, enum ostler_close_reason reason, int error)
{
    struct half *self = OSTLER_SELF(c, struct half, base);

    if (self->other) {
        self->other->other = NULL;
        ostler_conn_close(&self->other->base);
    }
    note_close(c, reason, error);
}

static const struct ostler_conn_handler proxy_upstream = {
    .size = OSTLER_SIZE(struct half, base),
    .on_data = proxy_data,
    .on_drain = proxy_drain,
    .on_eof = proxy_eof,
    .on_close = proxy_close,
};

static int proxy_open(struct ostler_conn *c)
{
    struct half *self = OSTLER_SELF(c, struct half, base);
    struct ostler_conn *upstream;
    int r = ostler_conn_connect(&upstream, ostler_conn_server(c), upstream_address, &proxy_upstream);

    if (r < 0)
        return r;
    self->other = OSTLER_SELF(upstream, struct half, base);
    self->other->other = self;
    return 0;
}

START_TEST(a_proxy_carries_megabytes_both_ways_and_half_closes)
{
    static const struct ostler_conn_handler proxy = {
        .size = OSTLER_SIZE(struct half, base),
        .on_open = proxy_open,
        .on_data = proxy_data,
        .on_drain = proxy_drain,
        .on_eof = proxy_eof,
        .on_close = proxy_close,
    };
    enum { MEGABYTES = 4 << 20 };
    struct harness_server h;
    char *text = new_pattern(MEGABYTES), *back = malloc(MEGABYTES);
    size_t sent = 0, got = 0;
    int listener = listen_at(upstream_address, sizeof(upstream_address), 5), client, peer;

    start(&h, &proxy);
    client = client_of(&h);
    peer = accept(listener, NULL, NULL);
    fcntl(client, F_SETFL, O_NONBLOCK);
    while (got < MEGABYTES) {
        ssize_t n = sent < MEGABYTES ? send(client, text + sent, MEGABYTES - sent, MSG_NOSIGNAL) : -1;

        sent += n > 0 ? (size_t)n : 0;
        if (n > 0)
            continue;
        n = harness_receive_once(peer, back + got, MEGABYTES - got);
        ck_assert_int_gt(n, 0);
        got += (size_t)n;
    }
    ck_assert_mem_eq(text, back, MEGABYTES);
    shutdown(client, SHUT_WR);
    ck_assert(harness_expect_end(peer));
    ck_assert(harness_say(peer, "the answer"));
    ck_assert(harness_expect(client, "the answer"));
    close(peer);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&seen.closed), 2);
    free(text);
    free(back);
    close(listener);
}
END_TEST

/* ---- Refs and posts ---- */

static struct harness_event released, delivered;

static void count_delivery(struct ostler_conn *c, void *arg)
{
    int *on_reactor = arg;

    *on_reactor += ostler_reactor_is_current(ostler_server_reactor(ostler_conn_server(c)));
    harness_raise(&delivered);
}

static void count_release(void *arg)
{
    (void)arg;
    harness_raise(&released);
}

static void forget_deliveries(void)
{
    harness_event_init(&released);
    harness_event_init(&delivered);
}

START_TEST(a_post_reaches_the_connection_on_the_reactors_thread)
{
    static const struct ostler_conn_handler handler = { .on_open = note_open };
    struct harness_server h;
    int client, on_reactor = 0;

    forget_deliveries();
    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    ck_assert_uint_ne(seen.ref.serial, 0);
    ck_assert_ptr_eq(seen.ref.reactor, ostler_server_reactor(h.server));
    ck_assert_int_eq(ostler_post_to(seen.ref, count_delivery, &on_reactor, count_release), 0);
    ck_assert_int_eq(ostler_post_to(seen.ref, count_delivery, &on_reactor, NULL), 0);
    ck_assert_int_eq(ostler_post_to(seen.ref, count_delivery, &on_reactor, count_release), 0);
    ck_assert(harness_wait(&released, 2));
    ck_assert_int_eq(harness_count(&delivered), 3);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(on_reactor, 3);
}
END_TEST

START_TEST(a_post_to_one_that_has_gone_is_only_released)
{
    static const struct ostler_conn_handler handler = { .on_open = note_open, .on_close = note_close };
    struct harness_server h;
    struct ostler_request_ref gone;
    int client, on_reactor = 0;

    forget_deliveries();
    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    gone = seen.ref;
    close(client);
    ck_assert(harness_wait(&seen.closed, 1));
    client = client_of(&h); /* which may take its place */
    ck_assert(harness_wait(&seen.opened, 2));
    ck_assert_int_eq(ostler_post_to(gone, count_delivery, &on_reactor, count_release), 0);
    ck_assert_int_eq(ostler_post_to(gone, count_delivery, &on_reactor, NULL), 0);
    gone.serial = 0; /* names nothing */
    ck_assert_int_eq(ostler_post_to(gone, count_delivery, &on_reactor, count_release), 0);
    gone.serial = UINT64_MAX;
    ck_assert_int_eq(ostler_post_to(gone, count_delivery, &on_reactor, count_release), 0);
    ck_assert(harness_wait(&released, 3));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&delivered), 0);
}
END_TEST

START_TEST(a_wrong_post_calls_nothing)
{
    struct ostler_request_ref nothing = { NULL, 1 };

    forget_deliveries();
    ck_assert_int_eq(ostler_post_to(nothing, count_delivery, NULL, count_release), -EINVAL);
    ck_assert_uint_eq(ostler_conn_id(NULL).serial, 0);
    ck_assert_int_eq(harness_count(&released) + harness_count(&delivered), 0);
}
END_TEST

START_TEST(posts_that_outlive_the_run_are_released_with_the_reactor)
{
    struct ostler_reactor *r;
    struct ostler_request_ref ref;

    forget_deliveries();
    ck_assert_int_eq(ostler_reactor_new(&r, NULL), 0);
    ref = (struct ostler_request_ref){ r, 1 };
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(ostler_post_to(ref, count_delivery, NULL, count_release), 0);
    ck_assert_int_eq(ostler_post_to(ref, NULL, NULL, count_release), -EINVAL);
    ostler_reactor_free(r);
    ck_assert_int_eq(harness_count(&released), 10);
    ck_assert_int_eq(harness_count(&delivered), 0);
}
END_TEST

static int ask_for_name_twice(struct ostler_conn *c)
{
    struct ostler_request_ref a = ostler_conn_id(c), b = ostler_conn_id(c);

    seen.result = a.reactor == b.reactor && a.serial == b.serial;
    return note_open(c);
}

START_TEST(a_connection_has_one_name)
{
    static const struct ostler_conn_handler handler = { .on_open = ask_for_name_twice };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    ck_assert_int_eq(seen.result, 1);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

enum { WRITERS = 4, WRITES = 500 };

static void write_number(struct ostler_conn *c, void *arg)
{
    ostler_conn_write(c, arg, 8);
}

static void *post_numbers(void *letter)
{
    for (int i = 0; i < WRITES; i++) {
        char *text = malloc(16);

        snprintf(text, 16, "%c%06d\n", *(char *)letter, i);
        if (ostler_post_to(seen.ref, write_number, text, free) < 0)
            free(text);
    }
    return NULL;
}

START_TEST(threads_write_through_posts_while_the_peer_comes_and_goes)
{
    static const struct ostler_conn_handler handler = { .on_open = note_open, .on_close = note_close };
    static char letters[] = "abcd";
    struct harness_server h;
    pthread_t writers[WRITERS];
    int client, next[WRITERS] = { 0 };
    char line[9] = "";

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    for (int i = 0; i < WRITERS; i++)
        ck_assert_int_eq(pthread_create(&writers[i], NULL, post_numbers, &letters[i]), 0);
    for (int i = 0; i < WRITERS * WRITES; i++) {
        int who;

        ck_assert_int_eq(harness_receive(client, line, 8), 8);
        who = line[0] - 'a';
        ck_assert_int_eq(strtol(line + 1, NULL, 10), next[who]++);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
    for (int i = 0; i < WRITERS; i++)
        ck_assert_int_eq(pthread_create(&writers[i], NULL, post_numbers, &letters[i]), 0);
    close(client); /* in the middle of it */
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- Threads and NULL ---- */

START_TEST(another_thread_is_turned_away)
{
    static const struct ostler_conn_handler handler = { .on_open = note_open, .on_data = echo, .on_close = note_close };
    struct harness_server h;
    struct ostler_conn *c;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    c = seen.conn;
    ck_assert_int_eq(ostler_conn_write(c, "x", 1), -EPERM);
    ck_assert_int_eq(ostler_conn_pause(c), -EPERM);
    ck_assert_int_eq(ostler_conn_resume(c), -EPERM);
    ck_assert_int_eq(ostler_conn_set_marks(c, 1, 2), -EPERM);
    ck_assert_int_eq(ostler_conn_set_timer(c, 1), -EPERM);
    ck_assert_int_eq(ostler_conn_set_timeout(c, 1), -EPERM);
    ck_assert_int_eq(ostler_conn_set_deadline(c, 1), -EPERM);
    ck_assert_int_eq(ostler_conn_shutdown_write(c), -EPERM);
    ck_assert_int_eq(ostler_conn_close(c), -EPERM);
    ck_assert_int_eq(ostler_conn_abort(c), -EPERM);
    ck_assert_uint_eq(ostler_conn_id(c).serial, 0);
    ck_assert(harness_say(client, "still fine") && harness_expect(client, "still fine"));
    ck_assert_int_eq(harness_count(&seen.closed), 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(null_is_refused)
{
    struct ostler_conn *c = NULL;

    ck_assert_int_eq(ostler_conn_write(NULL, "x", 1), -EINVAL);
    ck_assert_int_eq(ostler_conn_pause(NULL), -EINVAL);
    ck_assert_int_eq(ostler_conn_resume(NULL), -EINVAL);
    ck_assert_int_eq(ostler_conn_set_marks(NULL, 1, 2), -EINVAL);
    ck_assert_int_eq(ostler_conn_set_timer(NULL, 1), -EINVAL);
    ck_assert_int_eq(ostler_conn_set_timeout(NULL, 1), -EINVAL);
    ck_assert_int_eq(ostler_conn_set_deadline(NULL, 1), -EINVAL);
    ck_assert_int_eq(ostler_conn_shutdown_write(NULL), -EINVAL);
    ck_assert_int_eq(ostler_conn_close(NULL), -EINVAL);
    ck_assert_int_eq(ostler_conn_abort(NULL), -EINVAL);
    ck_assert_uint_eq(ostler_conn_queued(NULL), 0);
    ck_assert(!ostler_conn_is_full(NULL));
    ck_assert_ptr_null(ostler_conn_server(NULL));
    ck_assert_ptr_null(ostler_conn_peer(NULL));
    ck_assert_int_eq(ostler_conn_connect(&c, NULL, "tcp:127.0.0.1:1", &caller), -EINVAL);
    ck_assert_ptr_null(c);
}
END_TEST

static void dial_with_nulls(void *server)
{
    struct ostler_conn *c;

    seen.result += ostler_conn_connect(NULL, server, "tcp:127.0.0.1:1", &caller) != -EINVAL;
    seen.result += ostler_conn_connect(&c, server, NULL, &caller) != -EINVAL;
    seen.result += ostler_conn_connect(&c, server, "tcp:127.0.0.1:1", NULL) != -EINVAL;
}

START_TEST(connect_refuses_null_in_each_place)
{
    static const struct ostler_conn_handler nobody = { 0 };
    struct harness_server h;

    start(&h, &nobody);
    ck_assert(harness_call(ostler_server_reactor(h.server), dial_with_nulls, h.server));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
}
END_TEST

/* ---- When the server stops ---- */

static int answer_at_eof(struct ostler_conn *c)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "%zu bytes\n", seen.length);

    note_eof(c);
    ostler_conn_write(c, text, (size_t)n);
    return ostler_conn_close(c);
}

START_TEST(a_stop_ends_the_input_and_the_answer_still_leaves)
{
    static const struct ostler_conn_handler handler = { .on_open = note_open, .on_data = note_data,
                                                        .on_eof = answer_at_eof, .on_close = note_close };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_say(client, "hello"));
    ck_assert(harness_wait(&seen.data, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert(harness_expect(client, "5 bytes\n"));
    ck_assert(harness_expect_end(client));
    ck_assert_str_eq(seen.trace, "odec");
    ck_assert_int_eq(seen.reason, OSTLER_CLOSE_DONE);
    close(client);
}
END_TEST

static void stop_and_resume(struct ostler_conn *c, void *arg)
{
    (void)arg;
    ostler_server_stop(ostler_conn_server(c));
    ostler_conn_resume(c);
}

START_TEST(what_had_arrived_before_the_stop_is_delivered)
{
    static const struct ostler_conn_handler handler = { .on_open = open_paused, .on_data = note_data,
                                                        .on_eof = answer_at_eof, .on_close = note_close };
    struct harness_server h;
    int client;

    start(&h, &handler);
    client = client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    ck_assert(harness_say(client, "hello")); /* on loopback it is there at once */
    on_conn(stop_and_resume, NULL);
    harness_say(client, "too late");
    ck_assert(harness_expect(client, "5 bytes\n"));
    close(client);
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
    ck_assert_mem_eq(seen.input, "hello", 6);
}
END_TEST

START_TEST(what_does_not_leave_by_itself_is_cut_off)
{
    static const struct ostler_conn_handler handler = { .on_open = open_paused, .on_data = note_data,
                                                        .on_eof = note_eof, .on_close = note_close };
    struct harness_server h;
    int client;

    start_with(&h, &handler, (struct ostler_server_options){ .stop_timeout_ms = 30 });
    client = client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    ostler_server_shutdown(h.server);
    ck_assert_int_eq(harness_join(&h), 0);
    check_closed(OSTLER_CLOSE_STOPPED, -ECANCELED);
    ck_assert_str_eq(seen.trace, "oc");
    ck_assert(harness_log_has(&h.log, "warning"));
    harness_free(&h);
    ck_assert(harness_receive_once(client, seen.input, 1) <= 0);
    close(client);
}
END_TEST

START_TEST(an_abort_cuts_off_at_once)
{
    static const struct ostler_conn_handler handler = { .on_open = note_open, .on_eof = note_eof,
                                                        .on_close = note_close };
    struct harness_server h;
    int client;

    start_with(&h, &handler, (struct ostler_server_options){ .stop_timeout_ms = OSTLER_NEVER });
    client = client_of(&h);
    ck_assert(harness_wait(&seen.opened, 1));
    ck_assert_int_eq(ostler_reactor_abort(ostler_server_reactor(h.server)), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    check_closed(OSTLER_CLOSE_STOPPED, -ECANCELED);
    harness_free(&h);
    close(client);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conn");
    TCase *tc = harness_case(suite, "input");

    tcase_add_test(tc, open_comes_first_then_data_then_eof_then_close);
    tcase_add_test(tc, each_connection_has_state_of_its_own_that_begins_as_zero);
    tcase_add_test(tc, what_is_left_comes_again_at_once_when_some_was_used);
    tcase_add_test(tc, what_is_left_comes_together_with_more_when_nothing_was_used);
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
    tc = harness_case(suite, "output");
    tcase_add_test(tc, over_the_high_mark_it_stops_reading_until_the_low_mark);
    tcase_add_test(tc, below_the_high_mark_on_drain_is_not_called);
    tcase_add_test(tc, a_connection_may_have_marks_of_its_own);
    tcase_add_test(tc, over_max_output_nothing_is_queued_and_it_closes);
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
    tc = harness_case(suite, "closing");
    tcase_add_test(tc, close_delivers_what_is_queued);
    tcase_add_test(tc, input_that_nobody_has_read_does_not_reset_the_answer);
    tcase_add_test(tc, abort_resets_and_drops_what_is_queued);
    tcase_add_test(tc, abort_after_close_does_not_wait_for_the_output);
    tcase_add_test(tc, a_reset_by_the_peer_is_told_as_one);
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
    tc = harness_case(suite, "time");
    tcase_add_test(tc, the_timer_fires_once_when_it_is_time);
    tcase_add_test(tc, the_timer_is_set_anew_and_cleared);
    tcase_add_test(tc, on_timeout_may_set_the_timer_again);
    tcase_add_test(tc, silence_for_the_timeout_closes);
    tcase_add_test(tc, the_servers_timeout_is_where_it_starts);
    tcase_add_test(tc, a_connection_may_do_without_the_servers_timeout);
    tcase_add_test(tc, a_peer_that_takes_nothing_times_out);
    tcase_add_test(tc, the_deadline_closes_however_busy_it_is);
    tcase_add_test(tc, the_servers_deadline_counts_from_the_start);
    tcase_add_test(tc, a_deadline_may_be_lifted);
    tcase_add_test(tc, the_timer_does_not_count_as_progress);
    tcase_add_test(tc, a_timer_without_on_timeout_does_nothing);
    tc = harness_case(suite, "outgoing connections");
    tcase_add_test(tc, an_outgoing_connection_opens_later_and_talks);
    tcase_add_test(tc, a_refused_connection_is_told_by_on_close_alone);
    tcase_add_test(tc, written_and_closed_before_it_is_open_it_still_delivers);
    tcase_add_test(tc, a_lot_written_before_it_is_open_is_queued);
    tcase_add_test(tc, half_closed_before_it_is_open_it_still_hears_the_answer);
    tcase_add_loop_test(tc, a_connection_that_is_not_there_yet_is_given_up, 0, GIVING_UP);
    tcase_add_test(tc, the_timer_runs_while_it_connects);
    tcase_add_test(tc, when_connect_itself_fails_nothing_is_called);
    tcase_add_test(tc, a_server_that_stops_connects_nowhere);
    tcase_add_test(tc, outgoing_connections_do_not_count_for_max_requests);
    tcase_add_test(tc, a_proxy_carries_megabytes_both_ways_and_half_closes);
    tc = harness_case(suite, "refs and posts");
    tcase_add_test(tc, a_post_reaches_the_connection_on_the_reactors_thread);
    tcase_add_test(tc, a_post_to_one_that_has_gone_is_only_released);
    tcase_add_test(tc, a_wrong_post_calls_nothing);
    tcase_add_test(tc, posts_that_outlive_the_run_are_released_with_the_reactor);
    tcase_add_test(tc, a_connection_has_one_name);
    tcase_add_test(tc, threads_write_through_posts_while_the_peer_comes_and_goes);
    tc = harness_case(suite, "threads and null");
    tcase_add_test(tc, another_thread_is_turned_away);
    tcase_add_test(tc, null_is_refused);
    tcase_add_test(tc, connect_refuses_null_in_each_place);
    tc = harness_case(suite, "when the server stops");
    tcase_add_test(tc, a_stop_ends_the_input_and_the_answer_still_leaves);
    tcase_add_test(tc, what_had_arrived_before_the_stop_is_delivered);
    tcase_add_test(tc, what_does_not_leave_by_itself_is_cut_off);
    tcase_add_test(tc, an_abort_cuts_off_at_once);
    return harness_main(suite);
}
