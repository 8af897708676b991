/* Connections, spread over those who accept from the same socket: here they are reactors of one process,
 * each with descriptors of its own, as workers that have inherited them. */
#include "support/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ostler/sys/balance.h>

enum { WORKERS = 2, CLIENTS = 10, FDS = 1 + WORKERS };

struct worker {
    struct harness_reactor h;
    struct ostler_server *server;
    struct ostler_balance *balance;
    struct harness_event held, released;
    const char *name;
};

static struct harness_reactor parent;
static struct ostler_server *bound; /* the parent's, which never starts */
static struct ostler_balance *balance;
static struct worker workers[WORKERS];
static bool mixed;        /* the server has a UDP address, too */
static atomic_bool lacks; /* the next datagram cannot be received */

static int say_name(struct ostler_conn *c)
{
    return ostler_conn_write(c, ostler_server_user(ostler_conn_server(c)), 1);
}

static ssize_t use_all(struct ostler_conn *c, const void *data, size_t n)
{
    (void)c;
    (void)data;
    return (ssize_t)n;
}

static int use_datagram(struct ostler_datagram *d)
{
    (void)d;
    return 0;
}

static const struct ostler_conn_handler handler = { .on_open = say_name, .on_data = use_all };
static const struct ostler_datagram_handler datagrams = { .on_datagram = use_datagram };

static int lacking_get(struct ostler_server *s, int fd, struct ostler_address *peer)
{
    if (!ostler_address_is_datagram(peer))
        return ostler_tcp_server.get_request(s, fd, peer);
    return atomic_exchange(&lacks, false) ? -ENOMEM : ostler_udp_server.get_request(s, fd, peer);
}

static const struct ostler_server_class lacking = { .get_request = lacking_get };

/* ---- Setting up ---- */

static void bind_parent(void)
{
    const char *const addresses[] = { mixed ? "tcp:127.0.0.1:0" : harness_address(), mixed ? "udp:127.0.0.1:0" : NULL,
                                      NULL };
    struct ostler_server_options options = { .addresses = addresses, .conn = &handler, .datagram = &datagrams };

    harness_reactor_init(&parent);
    ck_assert_int_eq(ostler_server_new(&bound, &options, parent.reactor), 0);
    ck_assert_int_eq(ostler_balance_new(&balance, parent.reactor, WORKERS, 1), 0);
    ck_assert_int_eq(ostler_balance_add(balance, bound), 0);
}

static int inherit(int fd)
{
    int copy = fcntl(fd, F_DUPFD, 3); /* as after an execve(2) */

    ck_assert_int_ge(copy, 0);
    return copy;
}

static void inherit_balance(int fds[FDS])
{
    for (int i = 0; i < FDS; i++)
        fds[i] = inherit(ostler_balance_fd(balance, (size_t)i));
}

static void start_worker(int number, int max_requests)
{
    struct worker *w = &workers[number];
    char texts[2][16];
    const char *addresses[3] = { 0 };
    int fds[FDS];

    *w = (struct worker){ .name = number == 0 ? "0" : "1" };
    harness_event_init(&w->held);
    harness_event_init(&w->released);
    harness_reactor_init(&w->h);
    for (size_t i = 0; ostler_server_fd(bound, i) >= 0; i++) {
        snprintf(texts[i], sizeof(texts[i]), "fd:%d", inherit(ostler_server_fd(bound, i)));
        addresses[i] = texts[i];
    }
    ck_assert_int_eq(ostler_server_new(&w->server,
                                       &(struct ostler_server_options){ .addresses = addresses,
                                                                        .server_class = mixed ? &lacking : NULL,
                                                                        .conn = &handler,
                                                                        .datagram = &datagrams,
                                                                        .max_requests = max_requests,
                                                                        .user = (void *)w->name },
                                       w->h.reactor),
                     0);
    inherit_balance(fds);
    ck_assert_int_eq(ostler_balance_open(&w->balance, w->h.reactor, fds, FDS, number), 0);
    for (int i = 0; i < FDS; i++)
        ck_assert_int_eq(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(ostler_balance_add(w->balance, w->server), 0);
    ck_assert_int_eq(ostler_server_start(w->server), 0);
    harness_reactor_start(&w->h);
}

static void stop_worker(int number)
{
    struct worker *w = &workers[number];

    ostler_reactor_abort(w->h.reactor);
    harness_reactor_join(&w->h);
    ostler_server_free(w->server);
    ostler_balance_free(w->balance);
    harness_reactor_fini(&w->h);
}

static void free_parent(void)
{
    ostler_server_free(bound);
    ostler_balance_free(balance);
    harness_reactor_fini(&parent);
}

static void set_up(int max_requests)
{
    bind_parent();
    for (int i = 0; i < WORKERS; i++)
        start_worker(i, max_requests);
    harness_reactor_start(&parent);
}

static void tear_down(void)
{
    for (int i = 0; i < WORKERS; i++)
        stop_worker(i);
    ostler_reactor_stop(parent.reactor);
    harness_reactor_join(&parent);
    free_parent();
}

/* ---- Clients ---- */

/* Connect; who has answered. */
static int connect_one(int *fd)
{
    char name = 0;

    *fd = harness_connect(bound);
    ck_assert_int_ge(*fd, 0);
    ck_assert_int_eq((int)harness_receive(*fd, &name, 1), 1);
    return name - '0';
}

/* Connect all; how many each has answered. */
static void connect_all(int fds[CLIENTS], int homes[CLIENTS], int counts[WORKERS])
{
    memset(counts, 0, WORKERS * sizeof(*counts));
    for (int i = 0; i < CLIENTS; i++) {
        homes[i] = connect_one(&fds[i]);
        counts[homes[i]]++;
    }
}

static void close_all(const int *fds, int count)
{
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

static void hold(void *arg)
{
    struct worker *w = arg;

    harness_raise(&w->held);
    harness_wait(&w->released, 1);
}

static void hold_loop(struct worker *w)
{
    ck_assert_int_eq(ostler_reactor_post(w->h.reactor, hold, w), 0);
    ck_assert(harness_wait(&w->held, 1));
}

/* ---- Tests ---- */

START_TEST(connections_are_halved)
{
    int fds[CLIENTS], homes[CLIENTS], counts[WORKERS];

    set_up(0);
    connect_all(fds, homes, counts);
    ck_assert_int_eq(counts[0], CLIENTS / 2);
    close_all(fds, CLIENTS);
    tear_down();
}
END_TEST

struct question {
    struct ostler_server *server;
    size_t active;
};

static void look(void *arg)
{
    struct question *q = arg;

    q->active = ostler_server_active(q->server);
}

static bool has_active(void *server, size_t count)
{
    struct question q = { .server = server };
    uint64_t limit = harness_now_ms() + (uint64_t)harness_deadline_ms();

    do
        harness_call(ostler_server_reactor(server), look, &q);
    while (q.active != count && harness_now_ms() < limit);
    return q.active == count;
}

START_TEST(new_ones_go_where_others_have_left)
{
    int fds[CLIENTS], homes[CLIENTS], counts[WORKERS], more[CLIENTS];

    set_up(0);
    connect_all(fds, homes, counts);
    for (int i = 0; i < CLIENTS; i++)
        if (homes[i] == 0)
            close(fds[i]);
    ck_assert(has_active(workers[0].server, 0));
    for (int i = 0; i < counts[0]; i++)
        ck_assert_int_eq(connect_one(&more[i]), 0);
    close_all(more, counts[0]);
    for (int i = 0; i < CLIENTS; i++)
        if (homes[i] == 1)
            close(fds[i]);
    tear_down();
}
END_TEST

START_TEST(one_that_is_full_is_passed_over)
{
    int fds[CLIENTS], homes[CLIENTS], counts[WORKERS], one, another;

    set_up(CLIENTS / 2 + 1);
    connect_all(fds, homes, counts);
    for (int i = 0; i < WORKERS; i++)
        connect_one(i == 0 ? &one : &another);
    close_all(fds, CLIENTS);
    close(one);
    close(another);
    tear_down();
}
END_TEST

START_TEST(one_whose_loop_is_held_is_passed_over_until_it_is_back)
{
    int fds[CLIENTS], count = 0;

    set_up(0);
    hold_loop(&workers[0]);
    for (; count < CLIENTS - 1; count++)
        ck_assert_int_eq(connect_one(&fds[count]), 1);
    harness_raise(&workers[0].released);
    for (int turn = 0; turn < 2; turn++) /* after the second all that came meanwhile has been seen */
        ck_assert(has_active(workers[0].server, 0));
    ck_assert_int_eq(connect_one(&fds[count++]), 0);
    close_all(fds, count);
    tear_down();
}
END_TEST

/* Here nobody is suspected: the parent's loop does not run. */
START_TEST(one_that_is_forgotten_is_passed_over)
{
    int first, second, third;

    bind_parent();
    for (int i = 0; i < WORKERS; i++)
        start_worker(i, 0);
    hold_loop(&workers[0]);
    ck_assert_int_eq(connect_one(&first), 1); /* both have none */
    second = harness_connect(bound);
    ck_assert(harness_is_silent(second));
    ck_assert_int_eq(ostler_balance_forget(balance, 0), 0);
    ck_assert(harness_expect(second, "1"));
    ck_assert_int_eq(connect_one(&third), 1);
    harness_raise(&workers[0].released);
    close(first);
    close(second);
    close(third);
    for (int i = 0; i < WORKERS; i++)
        stop_worker(i);
    free_parent();
}
END_TEST

static void send_datagram(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to;
    socklen_t size = sizeof(to);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(getsockname(ostler_server_fd(bound, 1), (struct sockaddr *)&to, &size), 0);
    ck_assert_int_eq((int)sendto(fd, "x", 1, 0, (struct sockaddr *)&to, size), 1);
    close(fd);
}

/* One of its listeners waits for its turn when another one pauses, and goes on. */
START_TEST(who_lacked_something_accepts_at_all_its_addresses_again)
{
    int first, second;

    mixed = true;
    atomic_store(&lacks, true);
    bind_parent();
    for (int i = 0; i < WORKERS; i++)
        start_worker(i, 0);
    hold_loop(&workers[0]);
    ck_assert_int_eq(connect_one(&first), 1);
    second = harness_connect(bound);
    ck_assert(harness_is_silent(second)); /* it is for the other one */
    send_datagram();
    ck_assert(harness_log_wait(&workers[1].h.log, "cannot receive: Cannot allocate memory"));
    ck_assert_int_eq(ostler_balance_forget(balance, 0), 0);
    ck_assert(harness_expect(second, "1"));
    harness_raise(&workers[0].released);
    close(first);
    close(second);
    for (int i = 0; i < WORKERS; i++)
        stop_worker(i);
    free_parent();
    mixed = false;
}
END_TEST

START_TEST(nonsense_is_refused)
{
    struct ostler_balance *b = NULL;
    struct ostler_reactor *r;
    int fds[FDS], wrong[FDS];

    bind_parent();
    r = parent.reactor;
    inherit_balance(fds);
    memcpy(wrong, fds, sizeof(fds));
    wrong[0] = fds[1];
    ck_assert_int_eq(ostler_balance_new(NULL, r, 2, 1), -EINVAL);
    ck_assert_int_eq(ostler_balance_new(&b, NULL, 2, 1), -EINVAL);
    ck_assert_int_eq(ostler_balance_new(&b, r, 0, 1), -EINVAL);
    ck_assert_int_eq(ostler_balance_new(&b, r, 2, 0), -EINVAL);
    ck_assert_int_eq(ostler_balance_fd(balance, FDS), -EINVAL);
    ck_assert_int_eq(ostler_balance_fd(NULL, 0), -EINVAL);
    ck_assert_int_eq(ostler_balance_open(&b, r, NULL, FDS, 0), -EINVAL);
    ck_assert_int_eq(ostler_balance_open(&b, r, fds, 1, 0), -EINVAL);
    ck_assert_int_eq(ostler_balance_open(&b, r, fds, FDS, -1), -EINVAL);
    ck_assert_int_eq(ostler_balance_open(&b, r, fds, FDS, WORKERS), -EINVAL);
    ck_assert_int_eq(ostler_balance_open(&b, r, wrong, FDS, 0), -EINVAL);
    ck_assert_int_eq(ostler_balance_add(balance, bound), -EINVAL); /* it is there */
    ck_assert_int_eq(ostler_balance_add(NULL, bound), -EINVAL);
    ck_assert_int_eq(ostler_balance_add(balance, NULL), -EINVAL);
    ck_assert_int_eq(ostler_balance_forget(balance, -1), -EINVAL);
    ck_assert_int_eq(ostler_balance_forget(balance, WORKERS), -EINVAL);
    ck_assert_int_eq(ostler_balance_forget(NULL, 0), -EINVAL);
    ostler_balance_free(NULL);
    ck_assert_ptr_null(b);
    ck_assert_int_eq(ftruncate(fds[0], 0), -1); /* whoever has it cannot take it from under the others */
    for (int i = 0; i < FDS; i++)
        ck_assert_int_ge(fcntl(fds[i], F_GETFD), 0); /* they are still ours */
    close_all(fds, FDS);
    free_parent();
}
END_TEST

START_TEST(more_servers_than_were_announced_are_refused)
{
    struct ostler_server_options options = { .address = "tcp:127.0.0.1:0", .conn = &handler };
    struct ostler_server *servers[3];
    struct ostler_balance *b;
    struct harness_reactor h;

    harness_reactor_init(&h);
    ck_assert_int_eq(ostler_balance_new(&b, h.reactor, 1, 2), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(ostler_server_new(&servers[i], &options, h.reactor), 0);
        ck_assert_int_eq(ostler_balance_add(b, servers[i]), i < 2 ? 0 : -ENOSPC);
    }
    for (int i = 0; i < 3; i++)
        ostler_server_free(servers[i]);
    ostler_balance_free(b);
    harness_reactor_fini(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("balance");
    TCase *tc = harness_case(suite, "balance");

    tcase_add_test(tc, connections_are_halved);
    tcase_add_test(tc, new_ones_go_where_others_have_left);
    tcase_add_test(tc, one_that_is_full_is_passed_over);
    tcase_add_test(tc, one_whose_loop_is_held_is_passed_over_until_it_is_back);
    tcase_add_test(tc, one_that_is_forgotten_is_passed_over);
    tcase_add_test(tc, who_lacked_something_accepts_at_all_its_addresses_again);
    tcase_add_test(tc, nonsense_is_refused);
    tcase_add_test(tc, more_servers_than_were_announced_are_refused);
    return harness_main(suite);
}
