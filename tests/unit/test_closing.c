/* server_close(): whom it waits for, how long, and what becomes of those that it does not wait
 * for. And shutdown() at awkward moments. */
#include "support/matrix.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* Answer when the test says so; whatever is cut off or told meanwhile. */
static int answer_late(struct ostler_stream *s)
{
    struct matrix_notes *notes = matrix_seen();

    harness_raise(&notes->handled);
    if (!harness_wait(&notes->go, 1))
        return -ETIMEDOUT;
    harness_raise(&notes->finished);
    return ostler_stream_write(s, "late\n", 5);
}

static const struct ostler_stream_handler late = { .handle = answer_late };

/* The mix-ins whose handlers can outlast handle_request(), on connections and datagrams. */
static const struct {
    const char *address;
    const struct ostler_mixin *mixin;
} apart[] = {
    { "tcp:127.0.0.1:0", &ostler_threading },
    { "tcp:127.0.0.1:0", &ostler_forking },
    { "udp:127.0.0.1:0", &ostler_threading },
    { "udp:127.0.0.1:0", &ostler_forking },
};

enum { APART = sizeof(apart) / sizeof(apart[0]) };

/* Each test has a log of its own, for ever: nothing tells when what nobody waits for has
 * written its last line. */
static struct harness_log logs[2 * KINDS * MIXINS], *lines = logs;

static struct ostler_server_options options_of(int index)
{
    matrix_enter();
    harness_log_init(++lines);
    return (struct ostler_server_options){
        .name = "closing",
        .address = apart[index].address,
        .stream = &late,
        .mixin = apart[index].mixin,
        .log = &lines->log,
    };
}

/* A server with one request that runs; its client. */
static int begin(struct ostler_server **out, const struct ostler_server_options *options)
{
    int client;

    ck_assert_int_eq(ostler_server_new(out, options, NULL), 0);
    client = matrix_connect(*out);
    ck_assert(harness_say(client, "?\n"));
    ck_assert_int_eq(ostler_server_handle_request(*out), 1);
    ck_assert(harness_wait(&matrix_seen()->handled, 1));
    return client;
}

static void leave(int client)
{
    close(client);
    ck_assert(harness_settle(0));
    ck_assert(matrix_leave());
}

START_TEST(closing_waits_until_its_deadline_and_says_who_still_holds)
{
    struct ostler_server_options options = options_of(_i);
    struct ostler_server *server;
    uint64_t began;
    int client = begin(&server, &options);

    began = harness_now_ms();
    ck_assert_int_eq(ostler_server_close(server, 60), -ETIMEDOUT);
    ck_assert_uint_ge(harness_now_ms() - began, 60);
    ck_assert_uint_eq(ostler_server_active(server), 1);
    ck_assert_int_eq(harness_log_count(lines, "error closing: "), 1);
    ck_assert(harness_log_has(lines, ": its handler still runs\n"));
    ck_assert_int_eq(ostler_server_close(server, 0), -ETIMEDOUT);
    harness_raise(&matrix_seen()->go);
    ck_assert_int_eq(ostler_server_close(server, OSTLER_NEVER), 0);
    ck_assert_uint_eq(ostler_server_active(server), 0);
    ck_assert(harness_expect(client, "late\n")); /* nobody was cut off */
    ck_assert_int_eq(ostler_server_close(server, 0), 0);
    ostler_server_free(server);
    leave(client);
}
END_TEST

struct listing {
    int count;
    long child;
    char peer[OSTLER_ADDRESS_TEXT];
};

static bool list(const struct ostler_request_info *info, void *arg)
{
    struct listing *listing = arg;

    listing->count++;
    listing->child = info->child;
    ostler_address_text(info->peer, listing->peer, sizeof(listing->peer));
    return true;
}

START_TEST(active_children_are_counted_and_listed)
{
    struct ostler_server_options options = options_of(_i);
    struct listing listing = { 0 };
    struct ostler_server *server;
    int client = begin(&server, &options);

    ck_assert_int_eq(ostler_server_close(server, 0), -ETIMEDOUT);
    ck_assert_uint_eq(ostler_server_active(server), 1);
    ck_assert_int_eq(ostler_server_requests(server, list, &listing), 0);
    ck_assert_int_eq(listing.count, 1);
    ck_assert_msg(strncmp(listing.peer, apart[_i].address, 14) == 0, "%s", listing.peer);
    ck_assert_int_eq(listing.child > 0, apart[_i].mixin == &ostler_forking);
    ck_assert_int_eq(listing.child > 0 ? kill((pid_t)listing.child, 0) : 0, 0);
    harness_raise(&matrix_seen()->go);
    ck_assert_int_eq(ostler_server_close(server, harness_deadline_ms()), 0);
    listing.count = 0;
    ck_assert_int_eq(ostler_server_requests(server, list, &listing), 0);
    ck_assert_int_eq(listing.count, 0);
    ostler_server_free(server);
    leave(client);
}
END_TEST

START_TEST(an_abort_after_it_ends_children_and_names_threads)
{
    struct ostler_server_options options = options_of(_i);
    bool in_child = options.mixin == &ostler_forking;
    struct ostler_server *server;
    int client = begin(&server, &options);

    ck_assert_int_eq(ostler_server_close(server, 0), -ETIMEDOUT);
    ck_assert_int_eq(ostler_server_abort(server), 0);
    ck_assert_int_eq(ostler_server_close(server, in_child ? harness_deadline_ms() / 2 : 300), in_child ? 0 : -ETIMEDOUT);
    ck_assert_int_eq(harness_log_count(lines, "although it was cut off"), 1);
    ck_assert_int_eq(harness_log_has(lines, "and was killed"), in_child);
    harness_raise(&matrix_seen()->go);
    ck_assert_int_eq(ostler_server_close(server, harness_deadline_ms()), 0);
    ostler_server_free(server);
    leave(client);
}
END_TEST

START_TEST(a_stop_after_it_has_its_time_limit)
{
    struct ostler_server_options options = options_of(_i);
    bool in_child = options.mixin == &ostler_forking;
    struct ostler_server *server;
    int client;

    options.stop_timeout_ms = 50;
    client = begin(&server, &options);
    ck_assert_int_eq(ostler_server_close(server, 100), -ETIMEDOUT);
    ck_assert(!harness_log_has(lines, "cutting off"));
    ck_assert_int_eq(ostler_reactor_stop(ostler_server_reactor(server)), 0);
    ck_assert_int_eq(ostler_reactor_run(ostler_server_reactor(server)), in_child ? 0 : -ETIMEDOUT);
    ck_assert_int_eq(harness_log_count(lines, "cutting off 1 requests after 50 ms"), 1);
    harness_raise(&matrix_seen()->go);
    ck_assert_int_eq(ostler_server_close(server, harness_deadline_ms()), 0);
    ostler_server_free(server);
    leave(client);
}
END_TEST

/* The server is freed at once, its handler answers later. */
static void free_at_once(const struct ostler_server_options *options)
{
    struct ostler_server *server;
    uint64_t began;
    int client = begin(&server, options);

    began = harness_now_ms();
    ostler_server_free(server);
    ck_assert_uint_lt(harness_now_ms() - began, 1000 * (uint64_t)harness_slow());
    ck_assert_int_eq(harness_count(&matrix_seen()->finished), 0);
    harness_raise(&matrix_seen()->go);
    ck_assert(harness_expect(client, "late\n"));
    if (options->address[0] == 't')
        ck_assert(harness_expect_end(client));
    leave(client);
}

START_TEST(without_block_on_close_handlers_go_on_by_themselves)
{
    struct ostler_server_options options = options_of(_i);

    options.no_block_on_close = true;
    free_at_once(&options);
}
END_TEST

START_TEST(daemon_threads_are_not_waited_for)
{
    struct ostler_server_options options = options_of(_i * 2);

    options.daemon_threads = true;
    free_at_once(&options);
}
END_TEST

START_TEST(a_shutdown_does_not_wait_for_daemon_threads)
{
    struct ostler_server_options options = options_of(_i * 2);
    struct harness_server h;
    int client;

    options.daemon_threads = true;
    options.stop_timeout_ms = OSTLER_NEVER;
    harness_start(&h, &options);
    client = matrix_connect(h.server);
    ck_assert(harness_say(client, "?\n"));
    ck_assert(harness_wait(&matrix_seen()->handled, 1));
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_uint_eq(ostler_server_active(h.server), 1);
    harness_raise(&matrix_seen()->go);
    ck_assert_int_eq(ostler_server_close(h.server, harness_deadline_ms()), 0);
    ck_assert(harness_expect(client, "late\n"));
    harness_free(&h);
    leave(client);
}
END_TEST

START_TEST(a_hundred_servers_are_freed_while_their_threads_begin)
{
    struct ostler_server_options options = options_of(0);
    int clients[100];

    options.daemon_threads = true;
    harness_raise(&matrix_seen()->go);
    for (int i = 0; i < 100; i++) {
        struct ostler_server *server;

        ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
        clients[i] = matrix_connect(server);
        ck_assert_int_eq(ostler_server_handle_request(server), 1);
        ostler_server_free(server);
    }
    for (int i = 0; i < 100; i++) {
        ck_assert(harness_expect(clients[i], "late\n"));
        ck_assert(harness_expect_end(clients[i]));
        close(clients[i]);
    }
    leave(-1);
}
END_TEST

static atomic_uint verified;

static bool count_verified(struct ostler_server *s, const struct ostler_request *r)
{
    (void)s;
    (void)r;
    atomic_fetch_add(&verified, 1);
    return true;
}

/* What stands in the kernel's buffer when the server is freed, and comes later, is nobody's. */
START_TEST(who_is_left_alone_takes_no_more_datagrams)
{
    static const struct ostler_server_class class = { .verify_request = count_verified };
    struct ostler_server_options options = options_of(2 + _i);
    struct ostler_server *server;
    unsigned before;
    int client;

    options.no_block_on_close = true;
    options.max_requests = 1;
    options.queue = 4;
    options.server_class = &class;
    client = begin(&server, &options);
    for (int i = 0; i < 40; i++)
        ck_assert(harness_say(client, "waits in the kernel\n"));
    ck_assert_int_eq(ostler_server_start(server), 0);
    ck_assert_int_eq(ostler_server_close(server, 60), -ETIMEDOUT);
    ostler_server_free(server);
    before = atomic_load(&verified);
    ck_assert(harness_say(client, "too late\n"));
    harness_raise(&matrix_seen()->go);
    ck_assert(harness_wait(&matrix_seen()->finished, options.mixin == &ostler_threading ? (int)before : 1));
    ck_assert(harness_settle(1)); /* the server is gone */
    ck_assert_uint_eq(atomic_exchange(&verified, 0), before);
    leave(client);
}
END_TEST

static pthread_t forker; /* the thread that forked last */

static void note_forker(void)
{
    forker = pthread_self();
}

START_TEST(no_child_is_forked_beside_the_program)
{
    struct ostler_server_options options = options_of(3);
    struct ostler_server *server;
    int clients[2];

    options.no_block_on_close = true;
    options.max_requests = 1;
    pthread_atfork(note_forker, NULL, NULL);
    clients[0] = begin(&server, &options);
    clients[1] = matrix_connect(server);
    ck_assert(harness_say(clients[1], "waits for a place\n"));
    ck_assert_int_eq(ostler_server_start(server), 0);
    ck_assert_int_eq(ostler_server_close(server, 60), -ETIMEDOUT);
    ck_assert_uint_eq(ostler_server_waiting(server), 1);
    ostler_server_free(server);
    harness_raise(&matrix_seen()->go);
    ck_assert(harness_expect(clients[0], "late\n"));
    close(clients[1]);
    close(clients[0]);
    ck_assert(harness_settle(0)); /* the server is gone */
    ck_assert_int_eq(harness_count(&matrix_seen()->handled), 1);
    ck_assert(pthread_equal(forker, pthread_self()));
    ck_assert(matrix_leave());
}
END_TEST

START_TEST(not_to_wait_is_for_mixins_that_can_and_a_reactor_of_ones_own)
{
    struct ostler_server_options options = options_of(1);
    struct ostler_reactor *reactor;
    struct ostler_server *server;

    options.daemon_threads = true;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), -EINVAL);
    ck_assert(harness_log_has(lines, ".daemon_threads is for the mix-in threading"));
    options.daemon_threads = false;
    options.no_block_on_close = true;
    options.mixin = &ostler_fibers;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), -EINVAL);
    ck_assert(harness_log_has(lines, ".no_block_on_close is for the mix-ins threading and forking"));
    options.mixin = &ostler_threading;
    ck_assert_int_eq(ostler_reactor_new(&reactor, &lines->log), 0);
    ck_assert_int_eq(ostler_server_new(&server, &options, reactor), -EINVAL);
    ck_assert(harness_log_has(lines, "are for servers with a reactor of their own"));
    ostler_reactor_free(reactor);
    leave(-1);
}
END_TEST

/* ---- shutdown() ---- */

static int greet(struct ostler_stream *s)
{
    return ostler_stream_write(s, "hello\n", 6);
}

static const struct ostler_stream_handler greeting = { .handle = greet };

START_TEST(a_shutdown_before_the_start_wins)
{
    struct matrix_row row = matrix_row_at(_i);
    struct ostler_server_options options = { .address = row.address, .stream = &greeting, .mixin = row.mixin };
    struct ostler_server *server;

    matrix_enter();
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    ck_assert_int_eq(ostler_server_shutdown(server), 0);
    ck_assert_int_eq(ostler_server_serve_forever(server), 0);
    ck_assert_uint_eq(ostler_server_accepted(server), 0);
    ostler_server_free(server);
    ck_assert(matrix_leave());
}
END_TEST

static void shut_down_here(struct ostler_server *server)
{
    ostler_server_shutdown(server);
    harness_raise(&matrix_seen()->shut);
}

static const struct ostler_server_class impatient = { .service_actions = shut_down_here };

START_TEST(a_shutdown_on_the_serving_thread_does_not_wait_for_itself)
{
    struct matrix_row row = matrix_row_at(_i);
    struct ostler_server_options options = { .address = row.address, .stream = &greeting, .mixin = row.mixin };
    struct harness_server h;

    matrix_enter();
    options.server_class = &impatient;
    options.actions_interval_ms = 5;
    harness_start(&h, &options);
    ck_assert(harness_wait(&matrix_seen()->shut, 1));
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
    ck_assert(matrix_leave());
}
END_TEST

enum { CROWD = 50 };

/* With a crowd before the door: shut down. */
static void shut_down_before_a_crowd(struct ostler_server *server)
{
    static int crowd[CROWD];

    if (harness_count(&matrix_seen()->shut) > 0)
        return;
    for (int i = 0; i < CROWD; i++)
        crowd[i] = matrix_connect(server);
    ostler_server_shutdown(server);
    for (int i = 0; i < CROWD; i++)
        close(crowd[i]);
    harness_raise(&matrix_seen()->shut);
}

static const struct ostler_server_class crowded = { .service_actions = shut_down_before_a_crowd };

START_TEST(nothing_is_accepted_once_shutdown_was_asked_for)
{
    struct matrix_row row = matrix_row_at(_i);
    struct ostler_server_options options = { .address = row.address, .stream = &greeting, .mixin = row.mixin };
    struct harness_server h;

    matrix_enter();
    options.server_class = &crowded;
    options.actions_interval_ms = 5;
    harness_start(&h, &options);
    ck_assert(harness_wait(&matrix_seen()->shut, 1));
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_uint_eq(ostler_server_accepted(h.server), 0);
    harness_free(&h);
    ck_assert(matrix_leave());
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
    struct ostler_server_options options = { .address = "tcp:127.0.0.1:0", .stream = &greeting };
    struct ostler_server *server;

    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    ck_assert_int_eq(ostler_server_close(NULL, 0), -EINVAL);
    ck_assert_int_eq(ostler_server_close(server, -2), -EINVAL);
    ck_assert_int_ge(ostler_server_fd(server, 0), 0); /* it is still open */
    ostler_server_free(server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("closing");
    TCase *tc = harness_case(suite, "close");

    tcase_add_loop_test(tc, closing_waits_until_its_deadline_and_says_who_still_holds, 0, APART);
    tcase_add_loop_test(tc, an_abort_after_it_ends_children_and_names_threads, 0, APART);
    tcase_add_loop_test(tc, a_stop_after_it_has_its_time_limit, 0, APART);
    tcase_add_loop_test(tc, active_children_are_counted_and_listed, 0, APART);
    tcase_add_loop_test(tc, without_block_on_close_handlers_go_on_by_themselves, 0, APART);
    tcase_add_loop_test(tc, daemon_threads_are_not_waited_for, 0, 2);
    tcase_add_loop_test(tc, who_is_left_alone_takes_no_more_datagrams, 0, 2);
    tcase_add_loop_test(tc, a_shutdown_does_not_wait_for_daemon_threads, 0, 2);
    tcase_add_test(tc, a_hundred_servers_are_freed_while_their_threads_begin);
    tcase_add_test(tc, no_child_is_forked_beside_the_program);
    tcase_add_test(tc, not_to_wait_is_for_mixins_that_can_and_a_reactor_of_ones_own);
    tcase_add_test(tc, bad_arguments_are_refused);
    tc = harness_case(suite, "shutdown");
    tcase_add_loop_test(tc, a_shutdown_before_the_start_wins, 0, MATRIX);
    tcase_add_loop_test(tc, nothing_is_accepted_once_shutdown_was_asked_for, 0, MATRIX);
    tcase_add_loop_test(tc, a_shutdown_on_the_serving_thread_does_not_wait_for_itself, 0, MATRIX);
    return harness_main(suite);
}
