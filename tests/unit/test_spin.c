/* reactor.h: busy polling. */
#include "support/harness.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/event.h>

#include <ostler/sys/libevent.h>

enum { SPIN_US = 200000 }; /* far longer than anything here takes: a spin that does not end shows */

static int echo(struct ostler_stream *s)
{
    char buffer[64];
    ssize_t n;

    while ((n = ostler_stream_read(s, buffer, sizeof(buffer))) > 0)
        if (ostler_stream_write(s, buffer, (size_t)n) < 0)
            break;
    return (int)n;
}

static ssize_t on_data(struct ostler_conn *c, const void *data, size_t n)
{
    int error = ostler_conn_write(c, data, n);

    return error < 0 ? error : (ssize_t)n;
}

static const struct ostler_stream_handler stream_echo = { .handle = echo };
static const struct ostler_conn_handler conn_echo = { .on_data = on_data };

static void spin(void *reactor)
{
    ostler_reactor_set_busy_poll(reactor, SPIN_US);
}

START_TEST(what_is_no_time_is_refused)
{
    struct ostler_reactor *r;

    ck_assert_int_eq(ostler_reactor_new(&r, NULL), 0);
    ck_assert_int_eq(ostler_reactor_set_busy_poll(NULL, 50), -EINVAL);
    ck_assert_int_eq(ostler_reactor_set_busy_poll(r, -1), -EINVAL);
    ck_assert_int_eq(ostler_reactor_set_busy_poll(r, 1000001), -EINVAL);
    ck_assert_int_eq(ostler_reactor_set_busy_poll(r, 50), 0);
    ck_assert_int_eq(ostler_reactor_set_busy_poll(r, 0), 0);
    ostler_reactor_free(r);
}
END_TEST

static const struct ostler_server_options kinds[] = {
    { .address = "tcp:127.0.0.1:0", .conn = &conn_echo },
    { .address = "tcp:127.0.0.1:0", .stream = &stream_echo },
    { .address = "tcp:127.0.0.1:0", .stream = &stream_echo, .mixin = &ostler_fibers },
    { .address = "tcp:127.0.0.1:0", .stream = &stream_echo, .mixin = &ostler_threading },
};

/* A burst makes it spin; and the loop must see readiness, posts and stops all the same. */
START_TEST(a_loop_that_spins_serves_and_stops)
{
    struct harness_server h;
    int client;

    harness_start(&h, &kinds[_i]);
    ck_assert(harness_call(ostler_server_reactor(h.server), spin, ostler_server_reactor(h.server)));
    client = harness_connect(h.server);
    for (int i = 0; i < 200; i++) {
        ck_assert(harness_say(client, "ping"));
        ck_assert(harness_expect(client, "ping"));
    }
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* A connection, and the program's own events, which libevent calls. */
static struct own {
    struct event_base *base;
    struct ostler_conn *conn;
    size_t queued;
    struct harness_event over;
} own;

static int note_conn(struct ostler_conn *c)
{
    own.conn = c;
    return 0;
}

/* In a turn to come: what takes no time at all libevent does in this one. */
static void later(event_callback_fn function)
{
    event_base_once(own.base, -1, EV_TIMEOUT, function, NULL, &(struct timeval){ .tv_usec = 1000 });
}

static void look_at_output(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    own.queued = ostler_conn_queued(own.conn);
    harness_raise(&own.over);
}

static void write_to_conn(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    ostler_conn_write(own.conn, "pong", 4);
    later(look_at_output);
}

static void begin_own(void *reactor)
{
    own.base = ostler_reactor_event_base(reactor);
    later(write_to_conn);
}

/* What an event of the program's own has left to do is not kept until the spin is over. */
START_TEST(what_the_programs_own_events_write_leaves_although_it_spins)
{
    static const struct ostler_conn_handler handler = { .on_open = note_conn, .on_data = on_data };
    struct harness_server h;
    int client;

    harness_event_init(&own.over);
    harness_start(&h, &(struct ostler_server_options){ .address = "tcp:127.0.0.1:0", .conn = &handler });
    ck_assert(harness_call(ostler_server_reactor(h.server), spin, ostler_server_reactor(h.server)));
    client = harness_connect(h.server);
    for (int i = 0; i < 200; i++) {
        ck_assert(harness_say(client, "ping"));
        ck_assert(harness_expect(client, "ping"));
    }
    ck_assert(harness_call(ostler_server_reactor(h.server), begin_own, ostler_server_reactor(h.server)));
    ck_assert(harness_wait(&own.over, 1));
    ck_assert_uint_eq(own.queued, 0);
    ck_assert(harness_expect(client, "pong"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

struct ticker {
    struct ostler_reactor *reactor;
    struct ostler_timer *timer;
    int left, ms;
};

static void on_tick(void *arg)
{
    struct ticker *t = arg;

    if (t->left-- > 0)
        ostler_timer_start(t->timer, t->ms);
    else
        ostler_reactor_stop(t->reactor);
}

static long used_ms(void)
{
    struct rusage u;

    getrusage(RUSAGE_THREAD, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

/* Readiness that comes every 20 ms is none that a spin of 100 us should wait for: at most once
 * in a while it is tried. */
START_TEST(a_loop_with_little_to_do_sleeps)
{
    struct ticker t = { .left = 20, .ms = 20 };
    long before;

    ck_assert_int_eq(ostler_reactor_new(&t.reactor, NULL), 0);
    ck_assert_int_eq(ostler_reactor_set_busy_poll(t.reactor, 100), 0);
    ck_assert_int_eq(ostler_timer_new(&t.timer, t.reactor, on_tick, &t), 0);
    ck_assert_int_eq(ostler_timer_start(t.timer, 0), 0);
    before = used_ms();
    ck_assert_int_eq(ostler_reactor_run(t.reactor), 0);
    ck_assert_int_le(used_ms() - before, 20 * harness_slow()); /* of 400 */
    ostler_timer_free(t.timer);
    ostler_reactor_free(t.reactor);
}
END_TEST

/* Ticks that come soon enough to make it try, and too late for it to be right: it must give up. */
START_TEST(a_spin_that_does_not_pay_is_given_up)
{
    struct ticker t = { .left = 200, .ms = 3 };
    long before;

    ck_assert_int_eq(ostler_reactor_new(&t.reactor, NULL), 0);
    ck_assert_int_eq(ostler_reactor_set_busy_poll(t.reactor, 1000), 0);
    ck_assert_int_eq(ostler_timer_new(&t.timer, t.reactor, on_tick, &t), 0);
    ck_assert_int_eq(ostler_timer_start(t.timer, 0), 0);
    before = used_ms();
    ck_assert_int_eq(ostler_reactor_run(t.reactor), 0);
    ck_assert_int_le(used_ms() - before, 60 * harness_slow()); /* all spins: 200 */
    ostler_timer_free(t.timer);
    ostler_reactor_free(t.reactor);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spin");
    TCase *tc = harness_case(suite, "busy polling");

    tcase_add_test(tc, what_is_no_time_is_refused);
    tcase_add_loop_test(tc, a_loop_that_spins_serves_and_stops, 0, (int)(sizeof(kinds) / sizeof(kinds[0])));
    tcase_add_test(tc, what_the_programs_own_events_write_leaves_although_it_spins);
    tcase_add_test(tc, a_loop_with_little_to_do_sleeps);
    tcase_add_test(tc, a_spin_that_does_not_pay_is_given_up);
    return harness_main(suite);
}
