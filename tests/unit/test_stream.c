/* The behaviour of stream handlers, under every mix-in: they are interchangeable, or
 * this is red. Each test runs once for each row of mixins[]. */
#include "support/harness.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct {
    const char *name;
    const struct ostler_mixin *mixin;
} mixins[] = {
    { "inline", NULL },
    { "threading", &ostler_threading },
    { "forking", &ostler_forking },
    { "fibers", &ostler_fibers },
};

enum { MIXINS = sizeof(mixins) / sizeof(mixins[0]), RESULTS = 8 };

/* What a test lets its handler do, and what the handler saw, perhaps in a child. */
struct script {
    int (*setup)(struct ostler_stream *s, struct script *script);
    int (*handle)(struct ostler_stream *s, struct script *script);
    int (*finish)(struct ostler_stream *s, struct script *script);
    ssize_t result[RESULTS];
    char text[64];
    uint64_t took_ms;
    int error;                    /* what handle_error was given */
    struct harness_event began, ended, failed, go;
};

static struct script *shared;

/* The script of this test, in memory that children share. */
static struct script *new_script(struct script script)
{
    *shared = script;
    return shared;
}

static struct script *script_of(struct ostler_stream *s)
{
    return ostler_server_user(ostler_stream_server(s));
}

static int on_setup(struct ostler_stream *s)
{
    return script_of(s)->setup ? script_of(s)->setup(s, script_of(s)) : 0;
}

static int on_handle(struct ostler_stream *s)
{
    struct script *script = script_of(s);
    int result;

    harness_raise(&script->began);
    result = script->handle(s, script);
    harness_raise(&script->ended);
    return result;
}

static int on_finish(struct ostler_stream *s)
{
    return script_of(s)->finish ? script_of(s)->finish(s, script_of(s)) : 0;
}

static void on_error(struct ostler_server *server, struct ostler_request *request, int error)
{
    struct script *script = ostler_server_user(server);

    script->error = error;
    ostler_tcp_server.handle_error(server, request, error);
    harness_raise(&script->failed);
}

static const struct ostler_stream_handler scripted = { .setup = on_setup, .handle = on_handle, .finish = on_finish };
static const struct ostler_server_class reporting = { .handle_error = on_error };

/* A child cannot stop its parent's server: see test_forking.c. */
static bool is_in_a_child(int i)
{
    return mixins[i].mixin == &ostler_forking;
}

/* A server that plays script under mix-in i; more options may be given. */
static void play_with(struct harness_server *h, int i, struct script *script, struct ostler_server_options options)
{
    harness_event_init(&script->began);
    harness_event_init(&script->ended);
    harness_event_init(&script->failed);
    harness_event_init(&script->go);
    options.name = "scripted";
    options.address = harness_address();
    options.server_class = &reporting;
    options.stream = options.stream ? options.stream : &scripted;
    options.mixin = mixins[i].mixin;
    options.user = script;
    harness_start(h, &options);
}

static void play(struct harness_server *h, int i, struct script *script)
{
    play_with(h, i, script, (struct ostler_server_options){ 0 });
}

/* ---- handlers ---- */

static int echo(struct ostler_stream *s, struct script *script)
{
    char buf[4096];
    ssize_t n;

    (void)script;
    while ((n = ostler_stream_read(s, buf, sizeof(buf))) > 0) {
        int r = ostler_stream_write(s, buf, (size_t)n);
        if (r < 0)
            return r;
    }
    return (int)n;
}

static int read_past_the_end(struct ostler_stream *s, struct script *script)
{
    char buf[16];

    for (int i = 0; i < 4; i++)
        script->result[i] = ostler_stream_read(s, buf, sizeof(buf));
    return 0;
}

static int read_ten(struct ostler_stream *s, struct script *script)
{
    script->result[0] = ostler_stream_read_exactly(s, script->text, 10);
    script->result[1] = ostler_stream_read_exactly(s, script->text + 10, 10);
    return 0;
}

/* Lines into a small buffer; each is answered with its length and text. */
static int read_lines(struct ostler_stream *s, struct script *script)
{
    char line[8];
    ssize_t n;

    (void)script;
    while ((n = ostler_stream_read_line(s, line, sizeof(line))) > 0) {
        int r = ostler_stream_printf(s, "%zd%s:", n, line[n] == '\0' ? "" : "?");
        r = r < 0 ? r : ostler_stream_write(s, line, (size_t)n);
        r = r < 0 ? r : ostler_stream_printf(s, ";");
        if (r < 0)
            return r;
    }
    return (int)n;
}

static int read_line_then_bytes(struct ostler_stream *s, struct script *script)
{
    char line[32];

    script->result[0] = ostler_stream_read_line(s, line, sizeof(line));
    script->result[1] = ostler_stream_read_exactly(s, script->text, 5);
    return 0;
}

enum { HUGE = 8 * 1024 * 1024 };

static int write_huge(struct ostler_stream *s, struct script *script)
{
    char *data = malloc(HUGE);

    for (size_t i = 0; i < HUGE; i++)
        data[i] = (char)(i * 31 >> 8);
    script->result[0] = ostler_stream_write(s, data, HUGE);
    free(data);
    return 0;
}

static int print_long(struct ostler_stream *s, struct script *script)
{
    script->result[0] = ostler_stream_printf(s, "%s %d %2000d\n", "short", 7, 42);
    return 0;
}

static int read_once(struct ostler_stream *s, struct script *script)
{
    uint64_t began = harness_now_ms();
    char c;

    script->result[0] = ostler_stream_read(s, &c, 1);
    script->took_ms = harness_now_ms() - began;
    return (int)(script->result[0] < 0 ? script->result[0] : 0);
}

static int read_with_timeout(struct ostler_stream *s, struct script *script)
{
    ostler_stream_set_timeout(s, 100);
    return read_once(s, script);
}

enum { DEADLINE_MS = 200, DRIP_MS = 10 };

static int read_until_deadline(struct ostler_stream *s, struct script *script)
{
    uint64_t began = harness_now_ms();
    ssize_t n;
    char c;

    ostler_stream_set_deadline(s, DEADLINE_MS * harness_slow());
    harness_raise(&script->go);
    while ((n = ostler_stream_read(s, &c, 1)) > 0)
        script->result[1]++;
    script->took_ms = harness_now_ms() - began;
    script->result[0] = n;
    return 0;
}

static int write_until_timeout(struct ostler_stream *s, struct script *script)
{
    char block[65536] = { 0 };
    uint64_t began;
    int r;

    ostler_stream_set_timeout(s, 100);
    do {
        began = harness_now_ms();
        r = ostler_stream_write(s, block, sizeof(block));
    } while (r == 0);
    script->took_ms = harness_now_ms() - began;
    script->result[0] = r;
    return 0;
}

static int half_close(struct ostler_stream *s, struct script *script)
{
    script->result[0] = ostler_stream_printf(s, "last words");
    script->result[1] = ostler_stream_shutdown_write(s);
    script->result[2] = ostler_stream_write(s, "x", 1);
    script->result[3] = ostler_stream_read_exactly(s, script->text, 5);
    return 0;
}

static int buffered(struct ostler_stream *s, struct script *script)
{
    char c;

    ostler_stream_set_output_buffer(s, 64);
    ostler_stream_printf(s, "one ");
    ostler_stream_printf(s, "two");
    harness_raise(&script->began);
    script->result[0] = ostler_stream_read(s, &c, 1); /* what is gathered leaves before the wait */
    ostler_stream_printf(s, "three");
    ostler_stream_flush(s);
    script->result[1] = ostler_stream_read(s, &c, 1);
    ostler_stream_printf(s, "four");
    return 0;
}

static int overflow_the_buffer(struct ostler_stream *s, struct script *script)
{
    ostler_stream_set_output_buffer(s, 8);
    for (int i = 0; i < 10; i++)
        script->result[0] |= ostler_stream_printf(s, "%05d|", i);
    script->result[0] |= ostler_stream_printf(s, "%s", "longer than the buffer");
    return 0;
}

static int fail_with_eio(struct ostler_stream *s, struct script *script)
{
    (void)s;
    (void)script;
    return -EIO;
}

static int say_goodbye(struct ostler_stream *s, struct script *script)
{
    (void)script;
    return ostler_stream_printf(s, "goodbye");
}

static int misuse(struct ostler_stream *s, struct script *script)
{
    char c[2];

    script->result[0] = ostler_stream_read(NULL, c, 1);
    script->result[1] = ostler_stream_read(s, NULL, 1);
    script->result[2] = ostler_stream_read_line(s, c, 1);
    script->result[3] = ostler_stream_write(s, NULL, 1);
    script->result[4] = ostler_stream_set_timeout(s, 0);
    script->result[5] = ostler_stream_set_deadline(s, -2);
    script->result[6] = ostler_stream_flush(NULL);
    script->result[7] = ostler_stream_write(s, NULL, 0);
    return ostler_stream_printf(s, "fine");
}

static int answer_after_stop(struct ostler_stream *s, struct script *script)
{
    char line[32];
    ssize_t n;

    while ((n = ostler_stream_read_line(s, line, sizeof(line))) > 0) {
        script->result[0]++;
        if (ostler_stream_printf(s, "got %s", line) < 0)
            return -EPIPE;
    }
    script->result[1] = n;
    return (int)n;
}

static int never_stop_reading(struct ostler_stream *s, struct script *script)
{
    char c;
    ssize_t n;

    do
        n = ostler_stream_read(s, &c, 1);
    while (n >= 0); /* it does not heed the end of file */
    script->result[0] = n;
    script->result[1] = ostler_stream_write(s, "x", 1);
    return (int)n;
}

static int shut_down_the_server(struct ostler_stream *s, struct script *script)
{
    script->result[0] = ostler_server_shutdown(ostler_stream_server(s));
    return ostler_stream_printf(s, "stopping");
}

static int wait_for_a_byte(struct ostler_stream *s, struct script *script)
{
    char c;
    ssize_t n = ostler_stream_read(s, &c, 1);

    (void)script;
    return n > 0 ? ostler_stream_printf(s, "served") : (int)n;
}

/* ---- tests ---- */

START_TEST(what_is_written_comes_back)
{
    struct script *script = new_script((struct script){ .handle = echo });
    struct harness_server h;
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    for (int i = 0; i < 100; i++) {
        ck_assert(harness_say(client, "hello, world"));
        ck_assert(harness_expect(client, "hello, world"));
    }
    shutdown(client, SHUT_WR);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(the_end_of_file_latches)
{
    struct script *script = new_script((struct script){ .handle = read_past_the_end });
    struct harness_server h;
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "abc"));
    ck_assert(harness_wait(&script->began, 1));
    shutdown(client, SHUT_WR);
    ck_assert(harness_wait(&script->ended, 1));
    ck_assert_int_eq(script->result[0], 3);
    for (int i = 1; i < 4; i++)
        ck_assert_int_eq(script->result[i], 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(read_exactly_waits_for_all_and_stops_at_the_end)
{
    struct script *script = new_script((struct script){ .handle = read_ten });
    struct harness_server h;
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "01234"));
    ck_assert(harness_wait(&script->began, 1));
    ck_assert(harness_say(client, "56789abc"));
    shutdown(client, SHUT_WR);
    ck_assert(harness_wait(&script->ended, 1));
    ck_assert_int_eq(script->result[0], 10);
    ck_assert_int_eq(script->result[1], 3);
    ck_assert_mem_eq(script->text, "0123456789abc", 13);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* Send, half-close, and expect all of the answer. */
static void converse(int i, struct script *script, const char *sent, size_t n, const char *answer)
{
    struct harness_server h;
    int client;

    play(&h, i, script);
    client = harness_connect(h.server);
    ck_assert(harness_send(client, sent, n));
    shutdown(client, SHUT_WR);
    ck_assert(harness_expect(client, answer));
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}

START_TEST(a_line_keeps_its_newline_and_is_ended_by_nul)
{
    struct script *script = new_script((struct script){ .handle = read_lines });

    converse(_i, script, "ab\n\ncd\n", 7, "3:ab\n;1:\n;3:cd\n;");
}
END_TEST

START_TEST(a_long_line_comes_in_pieces)
{
    struct script *script = new_script((struct script){ .handle = read_lines });

    converse(_i, script, "0123456789\nx\n", 13, "7:0123456;4:789\n;2:x\n;");
}
END_TEST

START_TEST(a_line_that_just_fits_is_one_piece)
{
    struct script *script = new_script((struct script){ .handle = read_lines });

    converse(_i, script, "012345\n0123456\n", 15, "7:012345\n;7:0123456;1:\n;");
}
END_TEST

START_TEST(a_last_line_needs_no_newline)
{
    struct script *script = new_script((struct script){ .handle = read_lines });

    converse(_i, script, "a\nlast", 6, "2:a\n;4:last;");
}
END_TEST

START_TEST(a_nul_byte_in_a_line_is_a_byte)
{
    struct script *script = new_script((struct script){ .handle = read_lines });
    struct harness_server h;
    char answer[8];
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert(harness_send(client, "a\0b\n", 4));
    ck_assert_int_eq(harness_receive(client, answer, 7), 7);
    ck_assert_mem_eq(answer, "4:a\0b\n;", 7);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_line_that_arrives_byte_by_byte_is_one)
{
    struct script *script = new_script((struct script){ .handle = read_lines });
    struct harness_server h;
    int client;

    if (harness_is_unix())
        return; /* it is about TCP */
    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert_int_eq(setsockopt(client, 6, 1, &(int){ 1 }, sizeof(int)), 0); /* TCP_NODELAY */
    for (const char *c = "abcd\n"; *c; c++)
        ck_assert(harness_send(client, c, 1));
    ck_assert(harness_expect(client, "5:abcd\n;"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(bytes_after_a_line_are_not_lost)
{
    struct script *script = new_script((struct script){ .handle = read_line_then_bytes });
    struct harness_server h;
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "line\n12345"));
    ck_assert(harness_wait(&script->ended, 1));
    ck_assert_int_eq(script->result[0], 5);
    ck_assert_int_eq(script->result[1], 5);
    ck_assert_mem_eq(script->text, "12345", 5);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_huge_write_is_not_cut)
{
    struct script *script = new_script((struct script){ .handle = write_huge });
    struct harness_server h;
    char *got = malloc(HUGE);
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert_int_eq(harness_receive(client, got, HUGE), HUGE);
    for (size_t i = 0; i < HUGE; i++)
        if (got[i] != (char)(i * 31 >> 8))
            ck_abort_msg("byte %zu differs", i);
    ck_assert(harness_expect_end(client));
    ck_assert(harness_wait(&script->ended, 1));
    ck_assert_int_eq(script->result[0], 0);
    free(got);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(printf_formats_short_and_long)
{
    struct script *script = new_script((struct script){ .handle = print_long });
    struct harness_server h;
    char got[2009];
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert_int_eq(harness_receive(client, got, sizeof(got)), 2009);
    ck_assert_mem_eq(got, "short 7 ", 8);
    ck_assert_mem_eq(got + 2009 - 4, " 42\n", 4);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_silent_peer_times_out)
{
    struct script *script = new_script((struct script){ .handle = read_once });
    struct harness_server h;
    int client;

    play_with(&h, _i, script, (struct ostler_server_options){ .timeout_ms = 100 });
    client = harness_connect(h.server);
    ck_assert(harness_wait(&script->ended, 1));
    ck_assert_int_eq(script->result[0], -ETIMEDOUT);
    ck_assert_uint_ge(script->took_ms, 99);
    ck_assert_uint_le(script->took_ms, (uint64_t)(120 * harness_slow()));
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* The end of the line comes after the second time-out. */
static int read_line_in_spite_of_time_outs(struct ostler_stream *s, struct script *script)
{
    char line[8192], whole[8192] = "";
    size_t count = 0;

    ostler_stream_read_line(s, line, sizeof(line));
    ostler_stream_set_timeout(s, 50);
    while (count == 0 || whole[count - 1] != '\n') {
        ssize_t n = ostler_stream_read_line(s, line, sizeof(line) - count);

        if (n == -ETIMEDOUT && ++script->result[0] <= 2)
            harness_raise(&script->go);
        if (n <= 0 && n != -ETIMEDOUT)
            return -EBADMSG;
        memcpy(whole + count, line, n > 0 ? (size_t)n : 0);
        count += n > 0 ? (size_t)n : 0;
    }
    script->result[1] = (ssize_t)count;
    script->result[2] = (ssize_t)strspn(whole, "x");
    snprintf(script->text, sizeof(script->text), "%s", whole + strspn(whole, "x"));
    return 0;
}

static const size_t beginnings[] = { 1, 100, 4096, 4097, 8000 };

START_TEST(a_time_out_in_the_middle_of_a_line_loses_nothing_of_it)
{
    struct script *script = new_script((struct script){ .handle = read_line_in_spite_of_time_outs });
    size_t n = beginnings[_i % 5];
    struct harness_server h;
    char text[8192];
    int client;

    play(&h, _i / 5, script);
    client = harness_connect(h.server);
    memset(text, 'x', sizeof(text));
    memcpy(text, "begin\n", 6);
    ck_assert(harness_send(client, text, 6 + n));
    ck_assert(harness_wait(&script->go, 2));
    ck_assert(harness_say(client, "end\n"));
    ck_assert(harness_wait(&script->ended, 1));
    ck_assert_int_eq(script->result[1], (ssize_t)n + 4);
    ck_assert_int_eq(script->result[2], (ssize_t)n);
    ck_assert_str_eq(script->text, "end\n");
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_handler_sets_its_own_timeout)
{
    struct script *script = new_script((struct script){ .handle = read_with_timeout });
    struct harness_server h;
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert(harness_wait(&script->ended, 1));
    ck_assert_int_eq(script->result[0], -ETIMEDOUT);
    ck_assert_uint_ge(script->took_ms, 99);
    ck_assert_uint_le(script->took_ms, (uint64_t)(120 * harness_slow()));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_dripping_peer_meets_the_deadline)
{
    struct script *script = new_script((struct script){ .handle = read_until_deadline });
    struct harness_server h;
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    harness_say(client, ".");
    ck_assert(harness_wait(&script->go, 1)); /* its time runs */
    while (harness_count(&script->ended) == 0 &&
           poll(&(struct pollfd){ .fd = client, .events = POLLIN }, 1, (int)(DRIP_MS * harness_slow())) == 0)
        harness_say(client, ".");
    ck_assert(harness_wait(&script->ended, 1));
    ck_assert_int_eq(script->result[0], -ETIMEDOUT);
    ck_assert_int_ge(script->result[1], 1);
    ck_assert_uint_ge(script->took_ms, (uint64_t)(DEADLINE_MS * harness_slow() - 1));
    ck_assert_int_le(script->result[1], 1 + DEADLINE_MS / DRIP_MS); /* whatever the machine does meanwhile */
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_peer_that_never_reads_times_out)
{
    struct script *script = new_script((struct script){ .handle = write_until_timeout });
    struct harness_server h;
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert(harness_wait(&script->ended, 1));
    ck_assert_int_eq(script->result[0], -ETIMEDOUT);
    ck_assert_uint_ge(script->took_ms, 99);
    ck_assert_uint_le(script->took_ms, (uint64_t)(140 * harness_slow()));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(after_a_half_close_reading_goes_on)
{
    struct script *script = new_script((struct script){ .handle = half_close });
    struct harness_server h;
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert(harness_expect(client, "last words"));
    ck_assert(harness_expect_end(client));
    ck_assert(harness_say(client, "reply"));
    ck_assert(harness_wait(&script->ended, 1));
    ck_assert_int_eq(script->result[0], 0);
    ck_assert_int_eq(script->result[1], 0);
    ck_assert_int_eq(script->result[2], -EPIPE);
    ck_assert_int_eq(script->result[3], 5);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(gathered_output_leaves_before_a_wait_at_a_flush_and_at_the_end)
{
    struct script *script = new_script((struct script){ .handle = buffered });
    struct harness_server h;
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert(harness_expect(client, "one two"));
    ck_assert(harness_say(client, "."));
    ck_assert(harness_expect(client, "three"));
    ck_assert(harness_say(client, "."));
    ck_assert(harness_expect(client, "four"));
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(more_output_than_the_buffer_keeps_its_order)
{
    struct script *script = new_script((struct script){ .handle = overflow_the_buffer });
    struct harness_server h;
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert(harness_expect(client, "00000|00001|00002|00003|00004|00005|00006|00007|00008|00009|"
                                     "longer than the buffer"));
    ck_assert(harness_expect_end(client));
    ck_assert(harness_wait(&script->ended, 1));
    ck_assert_int_eq(script->result[0], 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(when_setup_fails_neither_handle_nor_finish_is_called)
{
    struct script *script = new_script((struct script){ .setup = fail_with_eio, .handle = say_goodbye, .finish = say_goodbye });
    struct harness_server h;
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert(harness_expect_end(client));
    ck_assert(harness_wait(&script->failed, 1));
    ck_assert_int_eq(script->error, -EIO);
    ck_assert_int_eq(harness_count(&script->began), 0);
    ck_assert(harness_log_wait(&h.log, harness_is_unix() ? "scripted: unix:" : "scripted: tcp:127.0.0.1:"));
    ck_assert(harness_log_has(&h.log, "Input/output error"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static int gather_and_fail(struct ostler_stream *s, struct script *script)
{
    (void)script;
    ostler_stream_set_output_buffer(s, 64);
    ostler_stream_printf(s, "go away");
    return -EACCES;
}

START_TEST(what_was_gathered_leaves_whichever_step_fails)
{
    struct script *script = new_script((struct script){ .handle = say_goodbye });
    struct harness_server h;
    int client;

    *(_i < MIXINS ? &script->setup : &script->handle) = gather_and_fail;
    play(&h, _i % MIXINS, script);
    client = harness_connect(h.server);
    ck_assert(harness_expect(client, "go away"));
    ck_assert(harness_expect_end(client));
    ck_assert(harness_wait(&script->failed, 1));
    ck_assert_int_eq(script->error, -EACCES);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(when_handle_fails_finish_is_called_and_the_server_lives)
{
    struct script *script = new_script((struct script){ .handle = fail_with_eio, .finish = say_goodbye });
    struct harness_server h;

    play(&h, _i, script);
    for (int i = 1; i <= 3; i++) {
        int client = harness_connect(h.server);

        ck_assert(harness_expect(client, "goodbye"));
        ck_assert(harness_expect_end(client));
        ck_assert(harness_wait(&script->failed, i));
        ck_assert_int_eq(harness_count(&script->failed), i);
        ck_assert_int_eq(script->error, -EIO);
        close(client);
    }
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(when_finish_fails_it_is_reported)
{
    struct script *script = new_script((struct script){ .handle = say_goodbye, .finish = fail_with_eio });
    struct harness_server h;
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert(harness_expect(client, "goodbye"));
    ck_assert(harness_wait(&script->failed, 1));
    ck_assert_int_eq(script->error, -EIO);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_flood_of_failures_is_not_a_flood_of_lines)
{
    struct script *script = new_script((struct script){ .handle = fail_with_eio });
    struct harness_server h;

    play(&h, _i, script);
    for (int i = 1; i <= 300; i++) {
        int client = harness_connect(h.server);

        ck_assert(harness_wait(&script->failed, i));
        close(client);
    }
    ck_assert_int_ge(harness_log_count(&h.log, "request failed"), 1);
    ck_assert_int_le(harness_log_count(&h.log, "request failed"), 20 + 2 * (int)harness_slow());
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* A client resets the connection while its handler reads, which then fails. */
static void reset_a_reader(int index, struct script *script)
{
    struct harness_server h;
    struct sockaddr nobody = { .sa_family = AF_UNSPEC };
    int client;

    play(&h, index, script);
    client = harness_connect(h.server);
    ck_assert(harness_wait(&script->began, 1));
    ck_assert_int_eq(connect(client, &nobody, sizeof(nobody)), 0); /* a reset, whoever else has the descriptor */
    ck_assert(harness_wait(&script->failed, 1));
    ck_assert_int_eq(script->error, -ECONNRESET);
    ck_assert(!harness_log_has(&h.log, "error scripted"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}

START_TEST(a_peer_that_resets_is_no_error_of_the_server)
{
    if (harness_is_unix())
        return; /* it is about TCP */
    reset_a_reader(_i, new_script((struct script){ .handle = read_once }));
}
END_TEST

static int read_and_take_leave(struct ostler_stream *s, struct script *script)
{
    ssize_t n;

    harness_raise(&script->began);
    ostler_stream_set_output_buffer(s, 64);
    n = ostler_stream_read(s, &(char){ 0 }, 1);
    ostler_stream_printf(s, "goodbye");
    return (int)n;
}

START_TEST(nor_is_a_peer_that_its_farewell_does_not_reach)
{
    struct script *script = new_script((struct script){ .handle = say_goodbye });

    if (harness_is_unix())
        return; /* it is about TCP */
    *(_i < MIXINS ? &script->setup : &script->handle) = read_and_take_leave;
    reset_a_reader(_i % MIXINS, script);
}
END_TEST

/* What a back end of the handler's did, say. */
static int fail_as_told(struct ostler_stream *s, struct script *script)
{
    (void)s;
    return (int)script->result[0];
}

static const int own_errors[] = { -ECONNRESET, -EPIPE, -ETIMEDOUT, -ECANCELED };

enum { OWN_ERRORS = sizeof(own_errors) / sizeof(own_errors[0]) };

START_TEST(a_handlers_own_error_is_one_although_peers_cause_such_too)
{
    struct script *script = new_script((struct script){ .handle = fail_as_told });
    struct harness_server h;
    int client;

    script->result[0] = own_errors[_i % OWN_ERRORS];
    play(&h, _i / OWN_ERRORS, script);
    client = harness_connect(h.server);
    ck_assert(harness_wait(&script->failed, 1));
    ck_assert(harness_log_has(&h.log, "error scripted"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_late_byte_does_not_reset_the_answer)
{
    struct script *script = new_script((struct script){ .handle = write_huge });
    struct harness_server h;
    char *got = malloc(HUGE);
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "this is never read"));
    ck_assert_int_eq(harness_receive(client, got, HUGE / 2), HUGE / 2);
    harness_say(client, "nor this");
    ck_assert_int_eq(harness_receive(client, got, HUGE / 2), HUGE / 2);
    ck_assert(harness_expect_end(client));
    free(got);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(wrong_arguments_are_einval_and_change_nothing)
{
    struct script *script = new_script((struct script){ .handle = misuse });
    struct harness_server h;
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert(harness_expect(client, "fine"));
    ck_assert(harness_expect_end(client));
    for (int i = 0; i < 7; i++)
        ck_assert_int_eq(script->result[i], -EINVAL);
    ck_assert_int_eq(script->result[7], 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* A handler with state of its own. */
struct counting {
    struct ostler_stream base;
    int calls;
    char zeroed[100];
};

static int counting_setup(struct ostler_stream *s)
{
    OSTLER_SELF(s, struct counting, base)->calls++;
    return 0;
}

static int counting_handle(struct ostler_stream *s)
{
    struct counting *self = OSTLER_SELF(s, struct counting, base);
    char sum = 0;

    for (size_t i = 0; i < sizeof(self->zeroed); i++)
        sum |= self->zeroed[i];
    memset(self->zeroed, 'x', sizeof(self->zeroed));
    return ostler_stream_printf(s, "%d %d", ++self->calls, sum);
}

static const struct ostler_stream_handler counting = {
    .size = OSTLER_SIZE(struct counting, base), .setup = counting_setup, .handle = counting_handle,
};

START_TEST(each_connection_has_an_instance_that_begins_zeroed)
{
    struct script *script = new_script((struct script){ 0 });
    struct harness_server h;

    play_with(&h, _i, script, (struct ostler_server_options){ .stream = &counting });
    for (int i = 0; i < 20; i++) {
        int client = harness_connect(h.server);

        ck_assert(harness_expect(client, "2 0"));
        close(client);
    }
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_stop_lets_what_was_received_be_answered)
{
    struct script *script = new_script((struct script){ .handle = answer_after_stop });
    struct harness_server h;
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "one\n"));
    ck_assert(harness_expect(client, "got one\n"));
    ck_assert_int_eq(harness_stop(&h), 0); /* the handler waits for more, and sees the end */
    ck_assert(harness_expect_end(client));
    ck_assert_int_eq(script->result[0], 1);
    ck_assert_int_eq(script->result[1], 0);
    close(client);
}
END_TEST

/* Wait before reading, until the server stops. */
static int stop_then_answer(struct ostler_stream *s, struct script *script)
{
    char line[32];
    ssize_t n = ostler_stream_read_line(s, line, sizeof(line));

    if (n <= 0)
        return (int)n;
    ostler_server_shutdown(ostler_stream_server(s));
    return answer_after_stop(s, script);
}

START_TEST(lines_received_before_a_stop_are_answered_after_it)
{
    struct script *script = new_script((struct script){ .handle = stop_then_answer });
    struct harness_server h;
    int client;

    if (is_in_a_child(_i))
        return;
    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "stop\none\ntwo\nthree\n"));
    ck_assert(harness_expect(client, "got one\ngot two\ngot three\n"));
    ck_assert(harness_expect_end(client));
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(script->result[1], 0);
    close(client);
    harness_free(&h);
}
END_TEST

enum { ARRIVED = 30000, READERS = 20 };

/* Count what comes, in small reads, once all are ready to be stopped. */
static int count_bytes(struct ostler_stream *s, struct script *script)
{
    char block[50];
    size_t count = 0;
    ssize_t n = 1;

    (void)script;
    while (n > 0) {
        n = ostler_stream_read(s, block, sizeof(block));
        count += n > 0 ? (size_t)n : 0;
    }
    return n < 0 ? (int)n : ostler_stream_printf(s, "%zu", count);
}

START_TEST(a_stop_in_the_middle_of_reading_loses_nothing_that_had_arrived)
{
    struct script *script = new_script((struct script){ .handle = count_bytes });
    int readers = mixins[_i].mixin ? READERS : 1, clients[READERS];
    char data[ARRIVED] = { 0 };
    struct harness_server h;

    play(&h, _i, script);
    for (int i = 0; i < readers; i++) {
        clients[i] = harness_connect(h.server);
        ck_assert(harness_send(clients[i], data, sizeof(data)));
    }
    ck_assert(harness_wait(&script->began, readers));
    ck_assert_int_eq(harness_stop(&h), 0);
    for (int i = 0; i < readers; i++) {
        ck_assert(harness_expect(clients[i], "30000"));
        close(clients[i]);
    }
}
END_TEST

static void stop_serving(void *server)
{
    ostler_server_stop(server);
}

START_TEST(an_answer_that_is_on_its_way_when_the_server_stops_arrives)
{
    struct script *script = new_script((struct script){ .handle = write_huge });
    struct harness_server h;
    char *got = malloc(HUGE);
    int client;

    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert(harness_receive(client, got, 1) == 1); /* and the rest does not fit into the kernel's buffers */
    ck_assert(harness_call(ostler_server_reactor(h.server), stop_serving, h.server));
    ck_assert_int_eq(harness_receive(client, got, HUGE - 1), HUGE - 1);
    ck_assert(harness_expect_end(client));
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(script->result[0], 0);
    free(got);
    close(client);
    harness_free(&h);
}
END_TEST

START_TEST(who_does_not_end_is_cut_off)
{
    struct script *script = new_script((struct script){ .handle = never_stop_reading });
    struct harness_server h;
    uint64_t began;
    int client;

    play_with(&h, _i, script, (struct ostler_server_options){ .stop_timeout_ms = 100 });
    client = harness_connect(h.server);
    ck_assert(harness_wait(&script->began, 1));
    began = harness_now_ms();
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_uint_ge(harness_now_ms() - began, 99);
    ck_assert_int_eq(script->result[0], -ECANCELED);
    ck_assert_int_eq(script->result[1], -ECANCELED);
    close(client);
}
END_TEST

START_TEST(a_handler_may_shut_its_server_down)
{
    struct script *script = new_script((struct script){ .handle = shut_down_the_server });
    struct harness_server h;
    int client;

    if (is_in_a_child(_i))
        return;
    play(&h, _i, script);
    client = harness_connect(h.server);
    ck_assert(harness_expect(client, "stopping"));
    ck_assert(harness_expect_end(client));
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(script->result[0], 0);
    close(client);
    harness_free(&h);
}
END_TEST

START_TEST(a_full_server_lets_clients_wait)
{
    struct script *script = new_script((struct script){ .handle = wait_for_a_byte });
    int most = mixins[_i].mixin ? 3 : 1, clients[5];
    struct harness_server h;

    play_with(&h, _i, script, (struct ostler_server_options){ .max_requests = 3 });
    for (int i = 0; i < 5; i++)
        clients[i] = harness_connect(h.server);
    ck_assert(harness_wait(&script->began, most));
    ck_assert(harness_is_silent(clients[4]));
    ck_assert_int_eq(harness_count(&script->began), most);
    for (int i = 0; i < 5; i++) {
        ck_assert(harness_say(clients[i], "."));
        ck_assert(harness_expect(clients[i], "served"));
        close(clients[i]);
    }
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_thousand_requests_leave_nothing_behind)
{
    struct script *script = new_script((struct script){ .handle = say_goodbye });
    struct harness_server h;
    size_t descriptors;

    play(&h, _i, script);
    descriptors = harness_descriptors();
    for (int i = 0; i < 1000; i++) {
        int client = harness_connect(h.server);

        ck_assert(harness_expect(client, "goodbye"));
        ck_assert(harness_expect_end(client));
        close(client);
    }
    ck_assert_uint_le(harness_descriptors(), descriptors + 100); /* the last ones may be closing */
    ck_assert_uint_le(harness_threads(), 2 + 8);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* All at once, each its own lines. */
START_TEST(connections_do_not_mix)
{
    enum { CLIENTS = 50, ROUNDS = 20 };
    struct script *script = new_script((struct script){ .handle = echo });
    struct harness_server h;
    int clients[CLIENTS];

    if (!mixins[_i].mixin)
        return; /* inline serves one at a time */
    play_with(&h, _i, script, (struct ostler_server_options){ .max_requests = CLIENTS });
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = harness_connect(h.server);
    for (int round = 0; round < ROUNDS; round++) {
        char text[32];

        for (int i = 0; i < CLIENTS; i++) {
            snprintf(text, sizeof(text), "client %d round %d\n", i, round);
            ck_assert(harness_say(clients[i], text));
        }
        for (int i = CLIENTS - 1; i >= 0; i--) {
            snprintf(text, sizeof(text), "client %d round %d\n", i, round);
            ck_assert(harness_expect(clients[i], text));
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream");
    TCase *tc = harness_case(suite, "behaviour");

    shared = harness_share(sizeof(*shared));
    if (!shared)
        return EXIT_FAILURE;

    tcase_add_loop_test(tc, what_is_written_comes_back, 0, MIXINS);
    tcase_add_loop_test(tc, the_end_of_file_latches, 0, MIXINS);
    tcase_add_loop_test(tc, read_exactly_waits_for_all_and_stops_at_the_end, 0, MIXINS);
    tcase_add_loop_test(tc, a_line_keeps_its_newline_and_is_ended_by_nul, 0, MIXINS);
    tcase_add_loop_test(tc, a_long_line_comes_in_pieces, 0, MIXINS);
    tcase_add_loop_test(tc, a_line_that_just_fits_is_one_piece, 0, MIXINS);
    tcase_add_loop_test(tc, a_last_line_needs_no_newline, 0, MIXINS);
    tcase_add_loop_test(tc, a_nul_byte_in_a_line_is_a_byte, 0, MIXINS);
    tcase_add_loop_test(tc, a_line_that_arrives_byte_by_byte_is_one, 0, MIXINS);
    tcase_add_loop_test(tc, bytes_after_a_line_are_not_lost, 0, MIXINS);
    tcase_add_loop_test(tc, a_huge_write_is_not_cut, 0, MIXINS);
    tcase_add_loop_test(tc, printf_formats_short_and_long, 0, MIXINS);
    tcase_add_loop_test(tc, a_silent_peer_times_out, 0, MIXINS);
    tcase_add_loop_test(tc, a_time_out_in_the_middle_of_a_line_loses_nothing_of_it, 0, 5 * MIXINS);
    tcase_add_loop_test(tc, a_handler_sets_its_own_timeout, 0, MIXINS);
    tcase_add_loop_test(tc, a_dripping_peer_meets_the_deadline, 0, MIXINS);
    tcase_add_loop_test(tc, a_peer_that_never_reads_times_out, 0, MIXINS);
    tcase_add_loop_test(tc, after_a_half_close_reading_goes_on, 0, MIXINS);
    tcase_add_loop_test(tc, gathered_output_leaves_before_a_wait_at_a_flush_and_at_the_end, 0, MIXINS);
    tcase_add_loop_test(tc, more_output_than_the_buffer_keeps_its_order, 0, MIXINS);
    tcase_add_loop_test(tc, when_setup_fails_neither_handle_nor_finish_is_called, 0, MIXINS);
    tcase_add_loop_test(tc, what_was_gathered_leaves_whichever_step_fails, 0, 2 * MIXINS);
    tcase_add_loop_test(tc, when_handle_fails_finish_is_called_and_the_server_lives, 0, MIXINS);
    tcase_add_loop_test(tc, when_finish_fails_it_is_reported, 0, MIXINS);
    tcase_add_loop_test(tc, a_flood_of_failures_is_not_a_flood_of_lines, 0, MIXINS);
    tcase_add_loop_test(tc, a_peer_that_resets_is_no_error_of_the_server, 0, MIXINS);
    tcase_add_loop_test(tc, nor_is_a_peer_that_its_farewell_does_not_reach, 0, 2 * MIXINS);
    tcase_add_loop_test(tc, a_handlers_own_error_is_one_although_peers_cause_such_too, 0, MIXINS * OWN_ERRORS);
    tcase_add_loop_test(tc, a_late_byte_does_not_reset_the_answer, 0, MIXINS);
    tcase_add_loop_test(tc, wrong_arguments_are_einval_and_change_nothing, 0, MIXINS);
    tcase_add_loop_test(tc, each_connection_has_an_instance_that_begins_zeroed, 0, MIXINS);
    tcase_add_loop_test(tc, a_stop_lets_what_was_received_be_answered, 0, MIXINS);
    tcase_add_loop_test(tc, lines_received_before_a_stop_are_answered_after_it, 0, MIXINS);
    tcase_add_loop_test(tc, a_stop_in_the_middle_of_reading_loses_nothing_that_had_arrived, 0, MIXINS);
    tcase_add_loop_test(tc, an_answer_that_is_on_its_way_when_the_server_stops_arrives, 0, MIXINS);
    tcase_add_loop_test(tc, who_does_not_end_is_cut_off, 0, MIXINS);
    tcase_add_loop_test(tc, a_handler_may_shut_its_server_down, 0, MIXINS);
    tcase_add_loop_test(tc, a_full_server_lets_clients_wait, 0, MIXINS);
    tcase_add_loop_test(tc, a_thousand_requests_leave_nothing_behind, 0, MIXINS);
    tcase_add_loop_test(tc, connections_do_not_mix, 0, MIXINS);
    return harness_main(suite);
}
