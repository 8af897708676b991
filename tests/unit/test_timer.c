/* reactor.h, conn.h, server.h: times that are weeks ahead, or over for weeks; and pauses. The clock that the
 * library reads on the reactor's thread is put forward (linker, --wrap). */
#include "support/harness.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <ostler/sys/mixin.h>

enum { DAY = 86400, TIMERS = 5 };

static _Thread_local long ahead; /* ms */
static _Thread_local const struct timespec *standing; /* the time, while it stands still */

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);

    if (standing)
        *now = *standing;
    now->tv_sec += ahead / 1000;
    now->tv_nsec += ahead % 1000 * 1000000;
    if (now->tv_nsec >= 1000000000) {
        now->tv_nsec -= 1000000000;
        now->tv_sec++;
    }
    return result;
}

struct bell {
    struct ostler_reactor *reactor;
    struct ostler_timer *timer;
    struct harness_event rung;
    long ms;
};

static void on_bell(void *arg)
{
    struct bell *bell = arg;

    harness_raise(&bell->rung);
}

static void put_forward(void *arg)
{
    struct bell *bell = arg;

    ostler_timer_new(&bell->timer, bell->reactor, on_bell, bell);
    ostler_timer_start(bell->timer, 0); /* first: how long the loop sleeps goes by the true clock */
    ahead += bell->ms;
}

static void free_bell(void *arg)
{
    struct bell *bell = arg;

    ostler_timer_free(bell->timer);
}

static void do_nothing(void *arg)
{
    (void)arg;
}

/* Let so much time go by, and all that is due then happen. */
static void pass_ms(struct ostler_reactor *reactor, long ms)
{
    struct bell bell = { .reactor = reactor, .ms = ms };

    harness_event_init(&bell.rung);
    ck_assert(harness_call(reactor, put_forward, &bell));
    ck_assert(harness_wait(&bell.rung, 1));
    ck_assert(harness_call(reactor, free_bell, &bell)); /* the round that rang it is over */
}

static void pass(struct ostler_reactor *reactor, int days)
{
    pass_ms(reactor, days * 1000L * DAY);
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

/* In a heap: 10, below it 40 and 20, below the 40 70 and 50, and below the 20 60 and 30. When the 70 goes, the last one
 * takes its place: the 30, below the 40. */
static const long heap_ms[] = { 30, 40, 20, 70, 50, 60, 10 };

enum { HEAP = sizeof(heap_ms) / sizeof(heap_ms[0]) };

static struct {
    struct ostler_reactor *reactor;
    struct ostler_timer *timers[HEAP];
    long order[HEAP];
    int fired;
} heap;

static void on_heap(void *ms)
{
    heap.order[heap.fired++] = *(const long *)ms;
    if (heap.fired == HEAP - 1)
        ostler_reactor_stop(heap.reactor);
}

START_TEST(timers_keep_their_order_when_one_of_them_is_freed)
{
    static const long order[] = { 10, 20, 30, 40, 50, 60 };
    static struct timespec begin;

    heap.fired = 0;
    ck_assert_int_eq(ostler_reactor_new(&heap.reactor, NULL), 0);
    ck_assert_int_eq(__real_clock_gettime(CLOCK_MONOTONIC, &begin), 0);
    standing = &begin; /* however long it takes to start them */
    for (int i = 0; i < HEAP; i++) {
        ck_assert_int_eq(ostler_timer_new(&heap.timers[i], heap.reactor, on_heap, (void *)&heap_ms[i]), 0);
        ck_assert_int_eq(ostler_timer_start(heap.timers[i], heap_ms[i]), 0);
    }
    standing = NULL;
    ostler_timer_free(heap.timers[3]);
    heap.timers[3] = NULL;
    ck_assert_int_eq(ostler_reactor_run(heap.reactor), 0);
    ck_assert_mem_eq(heap.order, order, sizeof(order));
    for (int i = 0; i < HEAP; i++)
        ostler_timer_free(heap.timers[i]);
    ostler_reactor_free(heap.reactor);
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
    ostler_conn_set_timeout(conn, 1000L * DAY); /* counted from the last byte */
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

/* ---- Who lacks something: nothing but the clock tells when he tries again ---- */

static struct {
    atomic_int left; /* so many tries fail */
    long every_ms;   /* that go by before each */
    struct harness_event tried;
} lack;

static bool is_lacking(void)
{
    if (atomic_load(&lack.left) == 0)
        return false;
    atomic_fetch_sub(&lack.left, 1);
    ahead += lack.every_ms;
    harness_raise(&lack.tried);
    return true;
}

static int lacking_get(struct ostler_server *s, int listener, struct ostler_address *peer)
{
    if (is_lacking())
        return -ENOMEM;
    return (ostler_address_is_datagram(peer) ? &ostler_udp_server : &ostler_tcp_server)->get_request(s, listener, peer);
}

static int lacking_process(void *state, struct ostler_request *r)
{
    (void)state;
    if (is_lacking())
        return -EAGAIN;
    ostler_request_run(r);
    return 0;
}

static int open_mixin(void *state, const struct ostler_server_options *options, struct ostler_reactor *reactor)
{
    (void)state;
    (void)options;
    (void)reactor;
    return 1;
}

static void close_mixin(void *state)
{
    (void)state;
}

static int greet(struct ostler_stream *s)
{
    return ostler_stream_write(s, "hello\n", 6);
}

static const struct ostler_stream_handler greeter = { .handle = greet };
static const struct ostler_server_class lacking_class = { .get_request = lacking_get };
static const struct ostler_mixin lacking_mixin = {
    .name = "lacking", .open = open_mixin, .process = lacking_process, .close = close_mixin
};

static const struct {
    const char *address;
    const struct ostler_server_class *class;
    const struct ostler_mixin *mixin;
    const char *line;
} lacks[] = {
    { "tcp:127.0.0.1:0", &lacking_class, NULL, "cannot accept: " },
    { "udp:127.0.0.1:0", &lacking_class, NULL, "cannot receive: " },
    { "tcp:127.0.0.1:0", NULL, &lacking_mixin, "cannot run another request: " },
};

enum { LACKS = sizeof(lacks) / sizeof(lacks[0]) };

static void start_lacking(struct harness_server *h, int i)
{
    harness_event_init(&lack.tried);
    lack.every_ms = 0;
    harness_start(h, &(struct ostler_server_options){ .address = lacks[i].address, .server_class = lacks[i].class,
                                                      .stream = &greeter, .mixin = lacks[i].mixin });
}

/* A client who comes when so many tries are to fail. */
static int client_in_lack(const struct harness_server *h, int tries)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    bool is_datagram = ostler_address_is_datagram(ostler_server_address(h->server, 0));
    int fd = socket(AF_INET, (is_datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);

    atomic_store(&lack.left, tries);
    to.sin_port = htons((uint16_t)ostler_address_port(ostler_server_address(h->server, 0)));
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    ck_assert(harness_say(fd, "x"));
    return fd;
}

static void check_served(int client)
{
    ck_assert(harness_expect(client, "hello\n"));
    close(client);
}

/* Let so much time go by: does it try again? */
static bool tries_within(const struct harness_server *h, long ms)
{
    struct ostler_reactor *reactor = ostler_server_reactor(h->server);
    int before = harness_count(&lack.tried);

    pass_ms(reactor, ms);
    ck_assert(harness_call(reactor, do_nothing, NULL)); /* what the timer has let be watched is ready */
    ck_assert(harness_call(reactor, do_nothing, NULL));
    return harness_count(&lack.tried) > before;
}

START_TEST(a_lack_is_told_once_however_long_it_lasts)
{
    struct harness_server h;

    start_lacking(&h, _i);
    lack.every_ms = 4000;
    check_served(client_in_lack(&h, 5));
    ck_assert_int_eq(harness_log_count(&h.log, lacks[_i].line), 1);
    lack.every_ms = 0;
    check_served(client_in_lack(&h, 1));
    ck_assert_int_eq(harness_log_count(&h.log, lacks[_i].line), 1);
    pass_ms(ostler_server_reactor(h.server), 11000);
    check_served(client_in_lack(&h, 1));
    ck_assert_int_eq(harness_log_count(&h.log, lacks[_i].line), 2);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_lack_pauses_for_a_second_at_most_and_the_next_one_briefly_again)
{
    struct harness_server h;
    int client, tries;

    start_lacking(&h, _i);
    client = client_in_lack(&h, INT_MAX);
    ck_assert(harness_wait(&lack.tried, 1));
    while (harness_count(&lack.tried) < 12)
        ck_assert(tries_within(&h, 1000));
    atomic_store(&lack.left, 0);
    pass_ms(ostler_server_reactor(h.server), 1000);
    check_served(client);
    tries = harness_count(&lack.tried);
    client = client_in_lack(&h, INT_MAX);
    ck_assert(harness_wait(&lack.tried, tries + 1));
    ck_assert(tries_within(&h, 10) || harness_count(&lack.tried) > tries + 1);
    atomic_store(&lack.left, 0);
    pass_ms(ostler_server_reactor(h.server), 1000);
    check_served(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- Lines of the log that anybody may cause ---- */

static int fail_at_once(struct ostler_stream *s)
{
    (void)s;
    return -EXDEV;
}

static const struct ostler_stream_handler failing = { .handle = fail_at_once };

static void fail_once(const struct harness_server *h)
{
    int client = harness_connect(h->server);

    ck_assert(harness_expect_end(client));
    close(client);
}

/* Of all places where what stands before a number in the log: the sum of those numbers. */
static unsigned long sum_in_log(const struct harness_log *log, const char *before)
{
    unsigned long sum = 0;

    for (const char *at = log->text; (at = strstr(at, before));) {
        at += strlen(before);
        sum += strtoul(at, NULL, 10);
    }
    return sum;
}

START_TEST(of_a_flood_of_failures_ten_are_told_then_one_a_second_and_all_are_counted)
{
    struct harness_server h;
    uint64_t begin;
    int told;

    harness_start(&h, &(struct ostler_server_options){ .address = "tcp:127.0.0.1:0", .stream = &failing });
    begin = harness_now_ms();
    for (int i = 0; i < 30; i++)
        fail_once(&h);
    told = harness_log_count(&h.log, "request failed: ");
    ck_assert_int_ge(told, 10);
    ck_assert_int_le(told, 10 + (int)((harness_now_ms() - begin) / 1000));
    for (int i = 0; i < 3; i++) {
        pass_ms(ostler_server_reactor(h.server), 1000);
        told = harness_log_count(&h.log, "request failed: ");
        fail_once(&h);
        ck_assert_int_eq(harness_log_count(&h.log, "request failed: "), told + 1);
        for (int k = 0; k < 5; k++)
            fail_once(&h);
    }
    pass_ms(ostler_server_reactor(h.server), 1000);
    fail_once(&h);
    told = harness_log_count(&h.log, "request failed: ");
    ck_assert_uint_eq((unsigned long)told + sum_in_log(&h.log, " (and "), 30 + 3 * 6 + 1);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* What it does takes so many ms. */
static void take_time(void *ms)
{
    ahead += *(long *)ms;
}

START_TEST(who_holds_the_loop_is_told_again_after_a_second)
{
    static const char line[] = "a posted function held the loop for ";
    struct harness_reactor h;
    long brief = 200, second = 1000;

    harness_reactor_init(&h);
    harness_reactor_start(&h);
    for (int i = 0; i < 2; i++) {
        ck_assert(harness_call(h.reactor, take_time, &brief));
        ck_assert(harness_call(h.reactor, do_nothing, NULL));
        ck_assert_int_eq(harness_log_count(&h.log, line), 1);
    }
    ck_assert(harness_call(h.reactor, take_time, &second));
    ck_assert(harness_call(h.reactor, do_nothing, NULL));
    ck_assert_int_eq(harness_log_count(&h.log, line), 2);
    ostler_reactor_stop(h.reactor);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    harness_reactor_fini(&h);
}
END_TEST

static struct {
    atomic_int awaited; /* who says this holds the loop, once */
    struct harness_event held, released;
} taking;

static int hold_or_drop(struct ostler_datagram *d)
{
    int said = *(const char *)ostler_datagram_data(d);

    if (atomic_compare_exchange_strong(&taking.awaited, &said, 0)) {
        harness_raise(&taking.held);
        harness_wait(&taking.released, harness_count(&taking.held));
    }
    return 0;
}

static const struct ostler_datagram_handler holder = { .on_datagram = hold_or_drop };

/* Send until the loop is held: it has taken what came before. Nothing that was said for an earlier hold does that. */
static void hold_loop(int client)
{
    int before = harness_count(&taking.held);
    char word[] = { (char)('1' + before), 0 };

    atomic_store(&taking.awaited, word[0]);
    do /* the kernel may drop it */
        ck_assert(harness_say(client, word));
    while (harness_is_silent(client) && harness_count(&taking.held) == before);
}

static void flood(int client)
{
    for (int i = 0; i < 2000; i++)
        send(client, "x", 1, 0);
}

static void release_loop(void)
{
    while (harness_count(&taking.released) < harness_count(&taking.held))
        harness_raise(&taking.released);
}

START_TEST(what_the_kernel_drops_is_told_now_and_then_and_at_the_end)
{
    static const char line[] = " datagrams dropped: ";
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct harness_server h;

    harness_event_init(&taking.held);
    harness_event_init(&taking.released);
    harness_start(&h, &(struct ostler_server_options){ .name = "sink", .address = "udp:127.0.0.1:0",
                                                       .datagram = &holder });
    to.sin_port = htons((uint16_t)ostler_address_port(ostler_server_address(h.server, 0)));
    ck_assert_int_eq(connect(client, (struct sockaddr *)&to, sizeof(to)), 0);
    for (int i = 0; i < 3; i++) {
        hold_loop(client);
        ck_assert_int_eq(harness_log_count(&h.log, line), i > 0);
        flood(client);
        release_loop();
        ck_assert(harness_log_wait(&h.log, line));
    }
    hold_loop(client);
    release_loop();
    ck_assert_int_eq(harness_log_count(&h.log, line), 1);
    pass_ms(ostler_server_reactor(h.server), 11000);
    ck_assert_int_eq(harness_log_count(&h.log, line), 2);
    hold_loop(client);
    flood(client);
    release_loop();
    hold_loop(client);
    release_loop();
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(harness_log_count(&h.log, line), 3);
    ck_assert_uint_eq(sum_in_log(&h.log, "warning sink: "), ostler_server_dropped(h.server));
    harness_free(&h);
    close(client);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timer");
    TCase *tc = harness_case(suite, "weeks");

    tcase_add_test(tc, a_timer_of_weeks_fires_on_its_day);
    tcase_add_test(tc, who_was_silent_for_a_month_before_there_was_a_timeout_is_closed_at_once);
    tc = harness_case(suite, "lack");
    tcase_add_loop_test(tc, a_lack_is_told_once_however_long_it_lasts, 0, LACKS);
    tcase_add_loop_test(tc, a_lack_pauses_for_a_second_at_most_and_the_next_one_briefly_again, 0, LACKS);
    tc = harness_case(suite, "log");
    tcase_add_test(tc, of_a_flood_of_failures_ten_are_told_then_one_a_second_and_all_are_counted);
    tcase_add_test(tc, who_holds_the_loop_is_told_again_after_a_second);
    tcase_add_test(tc, what_the_kernel_drops_is_told_now_and_then_and_at_the_end);
    tc = harness_case(suite, "turns");
    tcase_add_test(tc, a_timer_set_by_one_that_fires_waits_for_the_next_turn);
    tcase_add_test(tc, timers_keep_their_order_when_one_of_them_is_freed);
    return harness_main(suite);
}
