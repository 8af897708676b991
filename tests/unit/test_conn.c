/* conn.h: evented connections seen from outside: posts to them, other threads, the stop of their server. */
#include "support/conns.h"

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
    TCase *tc = harness_case(suite, "refs and posts");

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
