/* reactor.h, conn.h: times that are weeks ahead, or over for weeks. The clock that the library reads on
 * the reactor's thread is put forward (linker, --wrap). */
#include "support/harness.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

enum { DAY = 86400, TIMERS = 5 };

static _Thread_local long ahead; /* seconds */

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);

    now->tv_sec += ahead;
    return result;
}

struct bell {
    struct ostler_timer *timer;
    struct harness_event rung;
    int days;
};

static void on_bell(void *arg)
{
    struct bell *bell = arg;

    harness_raise(&bell->rung);
}

static void put_forward(void *arg)
{
    struct bell *bell = arg;

    ostler_timer_start(bell->timer, 0); /* first: how long the loop sleeps goes by the true clock */
    ahead += (long)bell->days * DAY;
}

static void do_nothing(void *arg)
{
    (void)arg;
}

/* Let so many days go by, and all that is due then happen. */
static void pass(struct ostler_reactor *reactor, int days)
{
    struct bell bell = { .days = days };

    harness_event_init(&bell.rung);
    ck_assert_int_eq(ostler_timer_new(&bell.timer, reactor, on_bell, &bell), 0);
    ck_assert(harness_call(reactor, put_forward, &bell));
    ck_assert(harness_wait(&bell.rung, 1));
    ck_assert(harness_call(reactor, do_nothing, NULL)); /* the round that rang it is over */
    ostler_timer_free(bell.timer);
}

static const int days_of[TIMERS] = { 1, 13, 26, 40, 60 };

struct alarm {
    struct ostler_timer *timer;
    int days, fired;
};

static void on_alarm(void *arg)
{
    struct alarm *alarm = arg;

    alarm->fired++;
}

static void start_alarm(void *arg)
{
    struct alarm *alarm = arg;

    ostler_timer_start(alarm->timer, alarm->days * 1000L * DAY);
}

START_TEST(a_timer_of_weeks_fires_on_its_day)
{
    struct harness_reactor h;
    struct alarm alarms[TIMERS];

    harness_reactor_init(&h);
    harness_reactor_start(&h);
    for (int i = TIMERS - 1; i >= 0; i--) {
        alarms[i] = (struct alarm){ .days = days_of[i] };
        ck_assert_int_eq(ostler_timer_new(&alarms[i].timer, h.reactor, on_alarm, &alarms[i]), 0);
        ck_assert(harness_call(h.reactor, start_alarm, &alarms[i]));
    }
    for (int day = 1; day <= days_of[TIMERS - 1]; day++) {
        pass(h.reactor, 1);
        for (int i = 0; i < TIMERS; i++)
            ck_assert_int_eq(alarms[i].fired, day >= days_of[i]);
    }
    ostler_reactor_stop(h.reactor);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    for (int i = 0; i < TIMERS; i++)
        ostler_timer_free(alarms[i].timer);
    harness_reactor_fini(&h);
}
END_TEST

/* Turns are counted by a job that posts itself: it runs once in each, somewhere within. */
enum { ROUNDS = 20, IDLE = 50 };

static struct {
    struct ostler_reactor *reactor;
    struct ostler_timer *again, *other, *brief;
    int fired, of_again, of_other, most;
} turns;

static void note_most(int *fired)
{
    if (*fired > turns.most)
        turns.most = *fired;
    *fired = 0;
}

static void next_turn(void *arg)
{
    (void)arg;
    note_most(&turns.of_again);
    note_most(&turns.of_other);
    if (turns.fired < ROUNDS)
        ostler_reactor_post(turns.reactor, next_turn, NULL);
    else
        ostler_reactor_stop(turns.reactor);
}

/* Set, stopped, freed and made while timers fire. */
static void on_again(void *arg)
{
    (void)arg;
    turns.fired++;
    turns.of_again++;
    ostler_timer_start(turns.again, 0);
    ostler_timer_stop(turns.other);
    ostler_timer_free(turns.brief);
    ostler_timer_new(&turns.brief, turns.reactor, do_nothing, NULL);
    ostler_timer_start(turns.brief, 0);
    ostler_timer_start(turns.other, 0);
}

static void on_other(void *arg)
{
    (void)arg;
    turns.of_other++;
}

START_TEST(a_timer_set_by_one_that_fires_waits_for_the_next_turn)
{
    struct alarm idle[IDLE] = { 0 };

    ck_assert_int_eq(ostler_reactor_new(&turns.reactor, NULL), 0);
    for (int i = 0; i < IDLE; i++) {
        ck_assert_int_eq(ostler_timer_new(&idle[i].timer, turns.reactor, on_alarm, &idle[i]), 0);
        ck_assert_int_eq(ostler_timer_start(idle[i].timer, 1000L * DAY), 0);
    }
    ck_assert_int_eq(ostler_timer_new(&turns.again, turns.reactor, on_again, NULL), 0);
    ck_assert_int_eq(ostler_timer_new(&turns.other, turns.reactor, on_other, NULL), 0);
    ck_assert_int_eq(ostler_timer_start(turns.again, 0), 0);
    ck_assert_int_eq(ostler_reactor_post(turns.reactor, next_turn, NULL), 0);
    ck_assert_int_eq(ostler_reactor_run(turns.reactor), 0);
    ck_assert_int_ge(turns.fired, ROUNDS);
    ck_assert_int_ge(turns.most, 1);
    ck_assert_int_le(turns.most, 2); /* the end of a turn, and the beginning of the next */
    for (int i = 0; i < IDLE; i++) {
        ck_assert_int_eq(idle[i].fired, 0);
        ostler_timer_free(idle[i].timer);
    }
    ostler_timer_free(turns.again);
    ostler_timer_free(turns.other);
    ostler_timer_free(turns.brief);
    ostler_reactor_free(turns.reactor);
}
END_TEST

static struct seen {
    struct ostler_conn *conn;
    enum ostler_close_reason reason;
    struct harness_event opened, closed;
} seen;

static int note_open(struct ostler_conn *c)
{
    seen.conn = c;
    harness_raise(&seen.opened);
    return 0;
}

static void note_close(struct ostler_conn *c, enum ostler_close_reason reason, int error)
{
    (void)c;
    (void)error;
    seen.reason = reason;
    harness_raise(&seen.closed);
}

static void lose_patience(void *conn)
{
    ostler_conn_set_timeout(conn, 10);
}

START_TEST(who_was_silent_for_a_month_before_there_was_a_timeout_is_closed_at_once)
{
    static const struct ostler_conn_handler handler = { .on_open = note_open, .on_close = note_close };
    struct harness_server h;
    int client;

    harness_event_init(&seen.opened);
    harness_event_init(&seen.closed);
    harness_start(&h, &(struct ostler_server_options){ .address = harness_address(), .conn = &handler,
                                                       .timeout_ms = OSTLER_NEVER });
    client = harness_connect(h.server);
    ck_assert(harness_wait(&seen.opened, 1));
    for (int day = 0; day < 30; day += 10)
        pass(ostler_server_reactor(h.server), 10);
    ck_assert_int_eq(harness_count(&seen.closed), 0);
    ck_assert(harness_call(ostler_server_reactor(h.server), lose_patience, seen.conn));
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(seen.reason, OSTLER_CLOSE_TIMEOUT);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timer");
    TCase *tc = harness_case(suite, "weeks");

    tcase_add_test(tc, a_timer_of_weeks_fires_on_its_day);
    tcase_add_test(tc, who_was_silent_for_a_month_before_there_was_a_timeout_is_closed_at_once);
    tc = harness_case(suite, "turns");
    tcase_add_test(tc, a_timer_set_by_one_that_fires_waits_for_the_next_turn);
    return harness_main(suite);
}
