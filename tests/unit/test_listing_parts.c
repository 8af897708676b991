/* The list of live requests in the log, of several servers on one reactor: it is written a part at a time, however
 * many they are, since who reads the log may take no more at once. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <ostler/sys/balance.h>

#include "support/harness.h"

enum { SERVERS = 4, CLIENTS = 50, LINES = SERVERS * (1 + CLIENTS), PART = 40, WORKERS = 4 };

static int open_one(struct ostler_conn *c)
{
    (void)c;
    return 0;
}

static const struct ostler_conn_handler idle = { .on_open = open_one };

/* The reactor's thread's. */
static struct {
    int lines, most; /* in a row, between two turns of the loop at least */
    struct harness_event line;
} told;

static void count_line(void *user, int level, const char *line)
{
    (void)user;
    (void)level;
    if (!strstr(line, " s old, ") && !strstr(line, " live request"))
        return;
    told.lines++;
    if (told.lines > told.most)
        told.most = told.lines;
    harness_raise(&told.line);
}

struct listing {
    struct harness_reactor r;
    struct ostler_server *servers[SERVERS];
    struct ostler_timer *tick;
    struct harness_reactor parent; /* of a balance with other workers, who are not there; if is_worker */
    struct ostler_balance *all, *balance;
    bool is_worker;
    int clients[SERVERS][CLIENTS];
};

static void on_tick(void *user)
{
    struct listing *l = user;

    told.lines = 0;
    ostler_timer_start(l->tick, 1);
}

static void begin(void *user)
{
    struct listing *l = user;

    ck_assert_int_eq(ostler_timer_new(&l->tick, l->r.reactor, on_tick, l), 0);
    on_tick(l);
}

static void end(void *user)
{
    struct listing *l = user;

    ostler_timer_free(l->tick);
    for (int i = 0; i < SERVERS; i++)
        ostler_server_free(l->servers[i]);
    ostler_balance_free(l->balance);
    ostler_reactor_stop(l->r.reactor);
}

static void join_balance(struct listing *l)
{
    int fds[WORKERS + 1];

    harness_reactor_init(&l->parent);
    ck_assert_int_eq(ostler_balance_new(&l->all, l->parent.reactor, WORKERS, SERVERS), 0);
    for (size_t i = 0; i <= WORKERS; i++)
        fds[i] = fcntl(ostler_balance_fd(l->all, i), F_DUPFD_CLOEXEC, 3);
    ck_assert_int_eq(ostler_balance_open(&l->balance, l->r.reactor, fds, WORKERS + 1, 0), 0);
}

static void leave_balance(struct listing *l)
{
    ostler_balance_free(l->all);
    harness_reactor_fini(&l->parent);
}

static void start(struct listing *l, bool is_worker)
{
    struct ostler_server_options options = { .name = "idle", .address = "tcp:127.0.0.1:0", .conn = &idle };

    *l = (struct listing){ .is_worker = is_worker };
    told.lines = told.most = 0;
    harness_event_init(&told.line);
    harness_reactor_init(&l->r);
    l->r.log.log.write = count_line;
    if (is_worker)
        join_balance(l);
    for (int i = 0; i < SERVERS; i++) {
        ck_assert_int_eq(ostler_server_new(&l->servers[i], &options, l->r.reactor), 0);
        if (is_worker)
            ck_assert_int_eq(ostler_balance_add(l->balance, l->servers[i]), 0);
        ck_assert_int_eq(ostler_server_start(l->servers[i]), 0);
    }
    harness_reactor_start(&l->r);
    ck_assert(harness_call(l->r.reactor, begin, l));
}

struct count {
    struct listing *listing;
    int live;
};

static bool count_one(const struct ostler_request_info *info, void *arg)
{
    struct count *count = arg;

    count->live += info != NULL;
    return true;
}

static void count_live(void *arg)
{
    struct count *count = arg;

    count->live = 0;
    for (int i = 0; i < SERVERS; i++)
        ck_assert_int_eq(ostler_server_requests(count->listing->servers[i], count_one, count), 0);
}

static void connect_all(struct listing *l)
{
    struct count count = { .listing = l };

    for (int i = 0; i < SERVERS * CLIENTS; i++) {
        l->clients[i / CLIENTS][i % CLIENTS] = harness_connect(l->servers[i / CLIENTS]);
        ck_assert_int_ge(l->clients[i / CLIENTS][i % CLIENTS], 0);
    }
    do
        ck_assert(harness_call(l->r.reactor, count_live, &count));
    while (count.live < SERVERS * CLIENTS);
}

static void stop(struct listing *l)
{
    for (int i = 0; i < SERVERS * CLIENTS; i++)
        close(l->clients[i / CLIENTS][i % CLIENTS]);
    ck_assert(harness_call(l->r.reactor, end, l));
    ck_assert_int_eq(harness_reactor_join(&l->r), 0);
    harness_reactor_fini(&l->r);
    if (l->is_worker)
        leave_balance(l);
}

START_TEST(servers_are_listed_one_after_the_other)
{
    struct listing l;

    start(&l, false);
    connect_all(&l);
    ck_assert_int_eq(ostler_reactor_log_requests(l.r.reactor), 0);
    ck_assert(harness_wait(&told.line, LINES));
    stop(&l);
    ck_assert_int_le(told.most, PART);
    ck_assert_int_eq(harness_count(&told.line), LINES);
}
END_TEST

START_TEST(workers_have_smaller_parts_since_they_share_the_log)
{
    struct listing l;

    start(&l, true);
    connect_all(&l);
    ck_assert_int_eq(ostler_reactor_log_requests(l.r.reactor), 0);
    ck_assert(harness_wait(&told.line, LINES));
    stop(&l);
    ck_assert_int_le(told.most, PART / WORKERS);
}
END_TEST

static void free_first(void *user)
{
    struct listing *l = user;

    ostler_server_free(l->servers[0]);
    l->servers[0] = NULL;
}

START_TEST(a_server_that_goes_meanwhile_does_not_keep_the_others_from_being_listed)
{
    struct listing l;

    start(&l, false);
    connect_all(&l);
    ck_assert_int_eq(ostler_reactor_log_requests(l.r.reactor), 0);
    ck_assert(harness_wait(&told.line, 1));
    ck_assert(harness_call(l.r.reactor, free_first, &l));
    ck_assert(harness_wait(&told.line, 1 + LINES / SERVERS * (SERVERS - 1)));
    stop(&l);
}
END_TEST

START_TEST(a_second_list_is_begun_when_the_first_has_ended)
{
    struct listing l;

    start(&l, false);
    connect_all(&l);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(ostler_reactor_log_requests(l.r.reactor), 0);
    ck_assert(harness_wait(&told.line, LINES));
    ck_assert_int_eq(ostler_reactor_log_requests(l.r.reactor), 0);
    ck_assert(harness_wait(&told.line, 2 * LINES));
    stop(&l);
    ck_assert_int_eq(harness_count(&told.line), 2 * LINES);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("listing_parts");
    TCase *tc = harness_case(suite, "parts");

    tcase_add_test(tc, servers_are_listed_one_after_the_other);
    tcase_add_test(tc, workers_have_smaller_parts_since_they_share_the_log);
    tcase_add_test(tc, a_server_that_goes_meanwhile_does_not_keep_the_others_from_being_listed);
    tcase_add_test(tc, a_second_list_is_begun_when_the_first_has_ended);
    return suite;
}

int main(void)
{
    return harness_main(make_suite());
}
