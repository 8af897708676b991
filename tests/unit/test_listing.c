/* The list of live requests: what ostler_server_requests() tells of each, under each mix-in, and
 * what ostler_reactor_log_requests() writes. */
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/harness.h"

enum { MOST = 16, TEXT = 160, LOT = 4 * 1024 * 1024, THOUSANDS = 10000, PARTS = 10 };

static char own_address[64];

/* ---- What a visit has seen ---- */

struct seen {
    struct ostler_server *server;
    int count, most, result;
    struct ostler_request_info infos[MOST];
    char places[MOST][TEXT], services[MOST][TEXT];
    const char *wanted; /* for await() */
    bool is_all;
};

static bool note(const struct ostler_request_info *info, void *arg)
{
    struct seen *seen = arg;

    if (seen->count == MOST)
        return false;
    seen->infos[seen->count] = *info;
    snprintf(seen->places[seen->count], TEXT, "%s", info->place ? info->place : "none");
    snprintf(seen->services[seen->count], TEXT, "%s", info->service);
    seen->count++;
    return seen->count != seen->most;
}

static void visit(void *arg)
{
    struct seen *seen = arg;

    seen->count = 0;
    seen->result = ostler_server_requests(seen->server, note, seen);
}

static void look(struct seen *seen, struct ostler_server *server)
{
    seen->server = server;
    ck_assert(harness_call(ostler_server_reactor(server), visit, seen));
    ck_assert_int_eq(seen->result, 0);
}

/* Look until there are count requests that are all in that state. */
static void await(struct seen *seen, struct ostler_server *server, int count, const char *state)
{
    uint64_t end = harness_now_ms() + (uint64_t)harness_deadline_ms();
    int fit = -1;

    while ((fit != count || seen->count != count) && harness_now_ms() < end) {
        look(seen, server);
        fit = 0;
        for (int i = 0; i < seen->count; i++)
            fit += strcmp(seen->infos[i].state, state) == 0;
    }
    if (fit != count || seen->count != count)
        ck_abort_msg("there are %d requests, the first one %s; %d should: %s", seen->count,
                     seen->count ? seen->infos[0].state : "-", count, state);
}

static void count_waiting(void *arg)
{
    struct seen *seen = arg;

    seen->count = (int)ostler_server_waiting(seen->server);
}

/* ---- Straight-line handlers, under each mix-in ---- */

static atomic_int line_of_call;

/* The handler is about to make a call in that line. */
static bool is_at(int line)
{
    line_of_call = line;
    return true;
}
static struct harness_event *computing;
static atomic_bool *go_on;

static int obey(struct ostler_stream *s)
{
    char line[32] = "";
    ssize_t n;

    while (is_at(__LINE__) && (n = ostler_stream_read_line(s, line, sizeof(line))) > 0) {
        if (strcmp(line, "compute\n") == 0) {
            harness_raise(computing);
            while (!atomic_load(go_on))
                continue;
        }
        if (strcmp(line, "park\n") == 0)
            return OSTLER_PARK;
        n = ostler_stream_write(s, line, (size_t)n);
        if (n < 0)
            break;
    }
    return (int)n;
}

static const struct ostler_stream_handler obedient = { .handle = obey };
static const struct ostler_mixin *const mixins[] = { NULL, &ostler_threading, &ostler_fibers, &ostler_forking };

enum { INLINE, THREADING, FIBERS, FORKING, MIXINS };

static void set_up(void)
{
    computing = harness_share(sizeof(*computing));
    go_on = harness_share(sizeof(*go_on));
    harness_event_init(computing);
}

static void tear_down(void)
{
    harness_unshare(computing, sizeof(*computing));
    harness_unshare(go_on, sizeof(*go_on));
}

static void start(struct harness_server *h, int mixin, int max_requests)
{
    harness_start(h, &(struct ostler_server_options){ .name = "lister", .address = "tcp:127.0.0.1:0",
                                                      .stream = &obedient, .mixin = mixins[mixin],
                                                      .max_requests = max_requests, .stall_warn_ms = OSTLER_NEVER });
}

/* "FILE:LINE" of the call in which obedient waits. In a child the line is not known here. */
static void assert_place(const char *place, int mixin)
{
    char expected[TEXT];

    snprintf(expected, TEXT, "%s:%d", __FILE__, line_of_call);
    if (mixin != FORKING)
        ck_assert_str_eq(place, expected);
    ck_assert_ptr_nonnull(strstr(place, "test_listing.c:"));
}

START_TEST(a_handler_that_waits_is_seen_where_it_waits)
{
    struct harness_server h;
    struct seen seen = { 0 };
    uint64_t begin = harness_now_ms();
    int client;

    start(&h, _i, 0);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "hello\n"));
    ck_assert(harness_expect(client, "hello\n"));
    await(&seen, h.server, 1, "waits");
    while (harness_now_ms() < begin + 60)
        ck_assert(harness_is_silent(client));
    await(&seen, h.server, 1, "waits");
    assert_place(seen.places[0], _i);
    ck_assert_str_eq(seen.services[0], "lister");
    ck_assert_uint_eq(seen.infos[0].bytes_in, 6);
    ck_assert_uint_eq(seen.infos[0].bytes_out, 6);
    ck_assert_int_ge(seen.infos[0].state_ms, 40);
    ck_assert_int_ge(seen.infos[0].age_ms, seen.infos[0].state_ms);
    ck_assert_int_le(seen.infos[0].age_ms, (long)(harness_now_ms() - begin));
    ck_assert_int_eq(seen.infos[0].child > 0, _i == FORKING);
    ck_assert_uint_ne(seen.infos[0].id.serial, 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* On the loop itself it cannot be asked meanwhile. */
static const int elsewhere[] = { THREADING, FORKING };

START_TEST(a_handler_that_computes_runs)
{
    struct harness_server h;
    struct seen seen = { 0 };
    int client, mixin = elsewhere[_i];

    start(&h, mixin, 0);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "compute\n"));
    ck_assert(harness_wait(computing, 1));
    await(&seen, h.server, 1, "runs");
    assert_place(seen.places[0], mixin);
    ck_assert_int_eq(seen.infos[0].state_ms, -1);
    atomic_store(go_on, true);
    ck_assert(harness_expect(client, "compute\n"));
    await(&seen, h.server, 1, "waits");
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(one_that_is_parked_waits_for_input)
{
    struct harness_server h;
    struct seen seen = { 0 };
    int client;

    start(&h, _i, 0);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "park\n"));
    await(&seen, h.server, 1, "waits for input");
    ck_assert_str_eq(seen.places[0], "none");
    ck_assert_int_ge(seen.infos[0].state_ms, 0);
    ck_assert_int_eq(seen.infos[0].child, 0);
    ck_assert_uint_eq(seen.infos[0].bytes_in, 5);
    ck_assert(harness_say(client, "hello\n"));
    ck_assert(harness_expect(client, "hello\n"));
    await(&seen, h.server, 1, "waits");
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(one_that_was_parked_waits_for_a_place)
{
    struct harness_server h;
    struct seen seen = { 0 };
    int parked, other;

    start(&h, _i, 1);
    parked = harness_connect(h.server);
    ck_assert(harness_say(parked, "park\n"));
    await(&seen, h.server, 1, "waits for input");
    other = harness_connect(h.server);
    ck_assert(harness_say(other, "hello\n"));
    ck_assert(harness_expect(other, "hello\n"));
    ck_assert(harness_say(parked, "again\n"));
    do {
        look(&seen, h.server);
        ck_assert_int_eq(seen.count, 2);
    } while (strcmp(seen.infos[0].state, "waits for input") == 0);
    ck_assert_str_eq(seen.infos[0].state, "waits for a place");
    ck_assert_int_ge(seen.infos[0].state_ms, 0);
    ck_assert_int_ge(seen.infos[0].age_ms, seen.infos[1].age_ms); /* the oldest first */
    ck_assert_int_eq(shutdown(other, SHUT_WR), 0); /* a child has a copy of it */
    ck_assert(harness_expect_end(other));
    close(other);
    ck_assert(harness_expect(parked, "again\n"));
    close(parked);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* Datagrams, of which the first keeps the only place. */
static void start_datagrams(struct harness_server *h, const struct ostler_log *log)
{
    snprintf(own_address, sizeof(own_address), "unixgram:@ostler-test-listing-%ld", (long)getpid());
    harness_start(h, &(struct ostler_server_options){ .name = "lister", .address = own_address, .stream = &obedient,
                                                      .mixin = &ostler_threading, .max_requests = 1,
                                                      .queue = 2 * THOUSANDS, .log = log });
}

/* A sender who has a name of his own, and waits while the kernel holds as many as it may. */
static int connect_datagrams(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), n;

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    n = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%s", own_address + sizeof("unixgram:@") - 1);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, (socklen_t)(sizeof(sa_family_t) + 1 + (size_t)n)), 0);
    return fd;
}

/* Let the first one compute, and n wait behind it. */
static void send_datagrams(int client, struct ostler_server *server, int n)
{
    struct seen seen = { .server = server };

    ck_assert(harness_say(client, "compute\n"));
    ck_assert(harness_wait(computing, 1));
    for (int i = 0; i < n; i++)
        ck_assert(harness_say(client, "next\n"));
    do
        ck_assert(harness_call(ostler_server_reactor(server), count_waiting, &seen));
    while (seen.count < n);
}

START_TEST(datagrams_wait_for_a_place)
{
    struct harness_server h;
    struct seen seen = { 0 };
    int client;

    start_datagrams(&h, NULL);
    client = connect_datagrams();
    send_datagrams(client, h.server, 1);
    look(&seen, h.server);
    ck_assert_int_eq(seen.count, 2);
    ck_assert_str_eq(seen.infos[0].state, "runs");
    ck_assert_str_eq(seen.infos[1].state, "waits for a place");
    ck_assert_int_ge(seen.infos[1].state_ms, 0);
    ck_assert_uint_eq(seen.infos[1].bytes_in, 5);
    atomic_store(go_on, true);
    ck_assert(harness_expect(client, "compute\n"));
    ck_assert(harness_expect(client, "next\n"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- Evented connections ---- */

static struct seen in_callback;
static struct harness_event asked = HARNESS_EVENT;
static char full_address[32];

/* More than a kernel takes, that is told to take little. */
static int write_lot(struct ostler_conn *c)
{
    static const char lot[LOT];
    int little = 4096;

    setsockopt(ostler_request_fd(c->request), SOL_SOCKET, SO_SNDBUF, &little, sizeof(little));
    return ostler_conn_write(c, lot, sizeof(lot));
}

static ssize_t on_data(struct ostler_conn *c, const void *data, size_t n)
{
    const char *order = data;

    if (*order == 'l') {
        visit(&in_callback);
        harness_raise(&asked);
    }
    if (*order == 'p')
        ostler_conn_pause(c);
    if (*order == 'w')
        write_lot(c);
    if (*order == 'x' && write_lot(c) == 0)
        ostler_conn_close(c);
    return (ssize_t)n;
}

static const struct ostler_conn_handler evented = { .on_data = on_data };

static void start_evented(struct harness_server *h)
{
    harness_start(h, &(struct ostler_server_options){ .name = "lister", .address = "tcp:127.0.0.1:0",
                                                      .conn = &evented, .max_output = 2 * LOT });
}

static const struct {
    const char *order, *state;
} orders[] = {
    { "", "waits for input" },
    { "pause", "is paused" },
    { "write", "waits for output to drain" },
    { "xit", "is closing" },
};

START_TEST(an_evented_connection_is_in_a_state)
{
    struct harness_server h;
    struct seen seen = { 0 };
    int client;

    start_evented(&h);
    client = harness_connect_to(ostler_server_address(h.server, 0), 4096);
    ck_assert(harness_say(client, orders[_i].order));
    await(&seen, h.server, 1, orders[_i].state);
    ck_assert_str_eq(seen.places[0], "none");
    ck_assert_int_ge(seen.infos[0].state_ms, 0);
    ck_assert_uint_eq(seen.infos[0].bytes_in, strlen(orders[_i].order));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_callback_that_asks_runs_itself)
{
    struct harness_server h;
    int client;

    start_evented(&h);
    in_callback = (struct seen){ .server = h.server };
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "look"));
    ck_assert(harness_wait(&asked, 1));
    ck_assert_int_eq(in_callback.count, 1);
    ck_assert_str_eq(in_callback.infos[0].state, "runs");
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* A listener whose backlog is full: whoever connects waits. */
static int full_listener(int fillers[2])
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, length), 0);
    ck_assert_int_eq(listen(fd, 0), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    for (int i = 0; i < 2; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(fillers[i], (struct sockaddr *)&address, length);
    }
    snprintf(full_address, sizeof(full_address), "tcp:127.0.0.1:%d", ntohs(address.sin_port));
    return fd;
}

static void connect_out(void *arg)
{
    struct seen *seen = arg;
    struct ostler_conn *conn;

    seen->result = ostler_conn_connect(&conn, seen->server, full_address, &evented);
}

START_TEST(an_outgoing_one_is_connecting)
{
    struct harness_server h;
    struct seen seen = { 0 };
    int fillers[2], listener = full_listener(fillers);

    start_evented(&h);
    seen.server = h.server;
    ck_assert(harness_call(ostler_server_reactor(h.server), connect_out, &seen));
    ck_assert_int_eq(seen.result, 0);
    await(&seen, h.server, 1, "is connecting");
    ck_assert_int_eq(harness_stop(&h), 0);
    close(fillers[0]);
    close(fillers[1]);
    close(listener);
}
END_TEST

/* ---- Asking ---- */

static bool cancel_first(const struct ostler_request_info *info, void *arg)
{
    *(int *)arg = ostler_request_cancel(info->id);
    return false;
}

static void cancel_visited(void *arg)
{
    struct seen *seen = arg;

    seen->result = ostler_server_requests(seen->server, cancel_first, &seen->count);
}

START_TEST(a_visit_ends_when_it_says_so_and_may_cancel)
{
    struct harness_server h;
    struct seen seen = { .most = 2 };
    int clients[3];

    start(&h, FIBERS, 0);
    for (int i = 0; i < 3; i++) {
        clients[i] = harness_connect(h.server);
        ck_assert(harness_say(clients[i], "hello\n"));
        ck_assert(harness_expect(clients[i], "hello\n"));
    }
    look(&seen, h.server);
    ck_assert_int_eq(seen.count, 2);
    ck_assert(harness_call(ostler_server_reactor(h.server), cancel_visited, &seen));
    ck_assert_int_eq(seen.count, 0);
    ck_assert(harness_expect_end(clients[0]));
    ck_assert(harness_say(clients[1], "still\n"));
    ck_assert(harness_expect(clients[1], "still\n"));
    for (int i = 0; i < 3; i++)
        close(clients[i]);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- A visit that waits ---- */

struct visit {
    struct ostler_stream *stream;
    char order[16];
    int count, changed;
    bool has_waited;
};

/* At the first one it waits for a word, and sees that what it was told of it holds. */
static bool wait_at_first(const struct ostler_request_info *info, void *arg)
{
    struct visit *v = arg;
    char before[OSTLER_ADDRESS_TEXT] = "", after[OSTLER_ADDRESS_TEXT] = "";

    ostler_address_text(info->peer, before, sizeof(before));
    if (!v->has_waited) {
        v->has_waited = true;
        harness_raise(computing);
        ostler_stream_read_line(v->stream, v->order, sizeof(v->order));
    }
    ostler_address_text(info->peer, after, sizeof(after));
    v->changed += strcmp(before, after) != 0 || strcmp(info->service, "lister") != 0 || !info->state[0];
    v->count++;
    return true;
}

static int list_if_asked(struct ostler_stream *s)
{
    struct visit v = { .stream = s };
    ssize_t n;

    while ((n = ostler_stream_read_line(s, v.order, sizeof(v.order))) > 0) {
        v.count = v.changed = 0;
        v.has_waited = false;
        if (v.order[0] == 'l' && ostler_server_requests(ostler_stream_server(s), wait_at_first, &v) < 0)
            return -EBADMSG;
        ostler_stream_printf(s, "%d, %d changed\n", v.count, v.changed);
    }
    return (int)n;
}

static const struct ostler_stream_handler lists = { .handle = list_if_asked };

/* The two that ask wait at the oldest, which ends, as do the next one and one behind them. */
START_TEST(requests_may_end_while_a_visit_waits)
{
    static const bool ends[] = { true, true, false, true, false, false };
    enum { CLIENTS = 6, FIRST = 2, SECOND = 4 };
    struct harness_server h;
    struct seen seen = { 0 };
    int clients[CLIENTS];

    harness_start(&h, &(struct ostler_server_options){ .name = "lister", .address = "tcp:127.0.0.1:0",
                                                       .stream = &lists, .mixin = &ostler_fibers });
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = harness_connect(h.server);
        ck_assert(harness_say(clients[i], "hello\n"));
        ck_assert(harness_expect(clients[i], "0, 0 changed\n"));
    }
    ck_assert(harness_say(clients[FIRST], "list\n"));
    ck_assert(harness_wait(computing, 1));
    ck_assert(harness_say(clients[SECOND], "list\n"));
    ck_assert(harness_wait(computing, 2));
    for (int i = 0; i < CLIENTS; i++)
        if (ends[i])
            close(clients[i]);
    await(&seen, h.server, 3, "waits");
    ck_assert(harness_say(clients[FIRST], "go on\n"));
    ck_assert(harness_expect(clients[FIRST], "4, 0 changed\n")); /* the first, which is gone, and three */
    ck_assert(harness_say(clients[SECOND], "go on\n"));
    ck_assert(harness_expect(clients[SECOND], "4, 0 changed\n"));
    for (int i = 0; i < CLIENTS; i++)
        if (!ends[i])
            close(clients[i]);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(who_asks_wrongly_is_told)
{
    struct harness_server h;
    struct seen seen = { 0 };

    start_evented(&h);
    look(&seen, h.server); /* it runs */
    ck_assert_int_eq(ostler_server_requests(h.server, note, &seen), -EPERM);
    ck_assert_int_eq(ostler_server_requests(NULL, note, &seen), -EINVAL);
    ck_assert_int_eq(ostler_server_requests(h.server, NULL, &seen), -EINVAL);
    ck_assert_int_eq(ostler_reactor_log_requests(NULL), -EINVAL);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- The log ---- */

START_TEST(the_log_has_a_line_for_each)
{
    struct harness_server h;
    int clients[3];
    char line[TEXT];

    start(&h, _i, 0);
    for (int i = 0; i < (_i == INLINE ? 1 : 3); i++) {
        clients[i] = harness_connect(h.server);
        ck_assert(harness_say(clients[i], "hello\n"));
        ck_assert(harness_expect(clients[i], "hello\n"));
    }
    ck_assert_int_eq(ostler_reactor_log_requests(ostler_server_reactor(h.server)), 0);
    snprintf(line, TEXT, "info lister: %s (%s)\n", _i == INLINE ? "1 live request" : "3 live requests",
             mixins[_i] ? (const char *[]){ "", "threading", "fibers", "forking" }[_i] : "inline");
    ck_assert(harness_log_wait(&h.log, line));
    ck_assert(harness_log_wait(&h.log, " s old, 6 bytes in, 6 out"));
    ck_assert(harness_log_has(&h.log, "info lister: tcp:127.0.0.1:"));
    for (int i = 0; i < (_i == INLINE ? 1 : 3); i++)
        close(clients[i]);
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(harness_log_count(&h.log, " s old, "), _i == INLINE ? 1 : 3);
    ck_assert_int_eq(harness_log_count(&h.log, ", child "), _i == FORKING ? 3 : 0);
    harness_free(&h);
}
END_TEST

/* ---- Thousands ---- */

static struct {
    atomic_int lines;
    struct harness_event head;
} thousands;

static void count_line(void *user, int level, const char *line)
{
    (void)user;
    (void)level;
    if (strstr(line, " live requests (threading)"))
        harness_raise(&thousands.head);
    if (strstr(line, " s old, "))
        atomic_fetch_add(&thousands.lines, 1);
}

/* They begin to be answered while the list is written, if _i: it goes on with those who wait. */
START_TEST(a_list_of_thousands_holds_nobody_up_and_loses_nobody)
{
    struct ostler_log log = { .write = count_line };
    struct harness_server h;
    struct seen seen = { 0 };
    int looks = 0, client;

    memset(&thousands, 0, sizeof(thousands));
    harness_event_init(&thousands.head);
    start_datagrams(&h, &log);
    client = connect_datagrams();
    send_datagrams(client, h.server, THOUSANDS);
    ck_assert_int_eq(ostler_reactor_log_requests(ostler_server_reactor(h.server)), 0);
    ck_assert(harness_wait(&thousands.head, 1));
    atomic_store(go_on, _i);
    for (; !_i && thousands.lines <= THOUSANDS; looks++)
        look(&seen, h.server);
    ck_assert(_i || looks >= PARTS); /* in one piece, there would be one at most */
    atomic_store(go_on, true);
    do
        ck_assert(harness_call(ostler_server_reactor(h.server), count_waiting, &seen));
    while (seen.count > 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert(_i || thousands.lines == THOUSANDS + 1);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("listing");
    TCase *tc = harness_case(suite, "listing");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, a_handler_that_waits_is_seen_where_it_waits, 0, MIXINS);
    tcase_add_loop_test(tc, a_handler_that_computes_runs, 0, 2);
    tcase_add_loop_test(tc, one_that_is_parked_waits_for_input, 0, MIXINS);
    tcase_add_loop_test(tc, one_that_was_parked_waits_for_a_place, 0, MIXINS);
    tcase_add_test(tc, datagrams_wait_for_a_place);
    tcase_add_loop_test(tc, an_evented_connection_is_in_a_state, 0, sizeof(orders) / sizeof(orders[0]));
    tcase_add_test(tc, a_callback_that_asks_runs_itself);
    tcase_add_test(tc, an_outgoing_one_is_connecting);
    tcase_add_test(tc, a_visit_ends_when_it_says_so_and_may_cancel);
    tcase_add_test(tc, requests_may_end_while_a_visit_waits);
    tcase_add_test(tc, who_asks_wrongly_is_told);
    tcase_add_loop_test(tc, the_log_has_a_line_for_each, 0, MIXINS);
    tcase_add_loop_test(tc, a_list_of_thousands_holds_nobody_up_and_loses_nobody, 0, 2);
    return suite;
}

int main(void)
{
    return harness_main(make_suite());
}
