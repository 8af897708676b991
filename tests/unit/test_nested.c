/* Servers inside of handlers: who runs or frees another one is himself again afterwards, and what runs meanwhile
 * does not pass for him. */
#include "support/servers.h"

/* Does the calling handler know itself, and its deadline hold? */
static void note_self(struct ostler_stream *s)
{
    bool is_mine = ostler_request_current() == s->request;

    ostler_stream_set_deadline(s, 1);
    seen.result = is_mine ? ostler_sleep_ms(harness_deadline_ms()) : -ESRCH;
    harness_raise(&seen.handled);
}

/* ---- Running one ---- */

static bool passed; /* a callback passed for a handler */

static ssize_t answer_as_nobody(struct ostler_conn *c, const void *data, size_t n)
{
    passed = ostler_request_current() || ostler_sleep_ms(1) != -EDEADLK;
    ostler_conn_write(c, data, n);
    return ostler_conn_close(c) < 0 ? -EBADF : (ssize_t)n;
}

static const struct ostler_conn_handler nobody = { .on_data = answer_as_nobody };

static const struct ostler_server_options inner[] = {
    { .address = anywhere, .stream = &greet },
    { .address = anywhere, .stream = &greet, .mixin = &ostler_fibers },
    { .address = anywhere, .conn = &nobody },
};

enum { INNER = sizeof(inner) / sizeof(inner[0]) };

/* Of a server of one's own, as for an FTP's data. */
static int serve_one(const struct ostler_server_options *options)
{
    struct ostler_server *server;
    int client, result = ostler_server_new(&server, options, NULL);

    if (result < 0)
        return result;
    client = harness_connect(server);
    result = harness_say(client, "hello\n") ? ostler_server_handle_request(server) : client;
    if (result == 1 && !harness_expect(client, "hello\n"))
        result = -ENOMSG;
    close(client);
    ostler_server_free(server);
    return result;
}

static int serve_one_inside(struct ostler_stream *s)
{
    int result = serve_one(ostler_server_user(ostler_stream_server(s)));

    if (result == 1)
        note_self(s);
    else
        harness_raise(&seen.handled);
    return 0;
}

START_TEST(who_runs_another_server_is_himself_afterwards)
{
    static const struct ostler_stream_handler handler = { .handle = serve_one_inside };
    struct ostler_server_options options = { .address = anywhere, .stream = &handler, .mixin = mixins[_i / INNER] };
    struct harness_server h;
    int client;

    see_afresh();
    passed = false;
    options.user = (void *)&inner[_i % INNER];
    harness_start(&h, &options);
    client = client_of(h.server);
    ck_assert(harness_wait(&seen.handled, 1));
    ck_assert(!passed);
    ck_assert_int_eq(seen.result, -ETIMEDOUT);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- Freeing one ---- */

static int finish_one(struct ostler_stream *s)
{
    (void)s;
    harness_raise(&seen.closed);
    return 0;
}

static int answer_and_park(struct ostler_stream *s)
{
    char byte;

    if (ostler_stream_read(s, &byte, 1) < 1 || ostler_stream_write(s, &byte, 1) < 0)
        return -EPIPE;
    return OSTLER_PARK;
}

static int free_another(struct ostler_stream *s)
{
    ostler_server_free(seen.server);
    note_self(s);
    return 0;
}

static void start_another(void *server)
{
    seen.result = ostler_server_start(server);
}

START_TEST(who_frees_another_server_is_himself_afterwards)
{
    static const struct ostler_stream_handler handler = { .handle = free_another };
    static const struct ostler_stream_handler parking = { .handle = answer_and_park, .finish = finish_one };
    struct harness_server h;
    int parked, client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &handler, .mixin = mixins[_i] });
    ck_assert_int_eq(ostler_server_new(&seen.server, &(struct ostler_server_options){ .address = anywhere,
                                                                                       .stream = &parking },
                                       ostler_server_reactor(h.server)), 0);
    ck_assert(harness_call(ostler_server_reactor(h.server), start_another, seen.server));
    ck_assert_int_eq(seen.result, 0);
    parked = client_of(seen.server);
    check_echo(parked, "x");
    client = client_of(h.server);
    ck_assert(harness_wait(&seen.handled, 1));
    ck_assert_int_eq(harness_count(&seen.closed), 1);
    ck_assert_int_eq(seen.result, -ETIMEDOUT);
    close(client);
    close(parked);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nested");
    TCase *tc = harness_case(suite, "servers in handlers");

    tcase_add_loop_test(tc, who_runs_another_server_is_himself_afterwards, 0, MIXINS * INNER);
    tcase_add_test(tc, who_frees_another_server_is_himself_afterwards);
    tcase_add_loop_test(tc, who_frees_another_server_is_himself_afterwards, 2, MIXINS);
    return harness_main(suite);
}
