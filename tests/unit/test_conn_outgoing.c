/* conn.h: connections that an evented server opens itself. */
#include "support/conns.h"

/* A listening socket of the test's own, and its address. */
static int listen_at(char *address, size_t size, int backlog)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, length), 0);
    if (backlog >= 0)
        ck_assert_int_eq(listen(fd, backlog), 0);
    getsockname(fd, (struct sockaddr *)&in, &length);
    snprintf(address, size, "tcp:127.0.0.1:%d", ntohs(in.sin_port));
    return fd;
}

/* A call of ostler_conn_connect() on the reactor's thread. */
struct dial {
    struct ostler_server *server;
    char address[OSTLER_ADDRESS_TEXT];
    const struct ostler_conn_handler *handler;
    void (*then)(struct ostler_conn *c, void *arg);
    void *arg;
    struct ostler_conn *conn;
    int result, opened_inside;
};

static void dial(void *arg)
{
    struct dial *d = arg;

    d->result = ostler_conn_connect(&d->conn, d->server, d->address, d->handler);
    d->opened_inside = harness_count(&seen.opened) + harness_count(&seen.closed);
    if (d->result == 0)
        seen.ref = ostler_conn_id(d->conn);
    if (d->result == 0 && d->then)
        d->then(d->conn, d->arg);
}

static void start_and_dial(struct harness_server *h, struct dial *d)
{
    static const struct ostler_conn_handler nobody = { 0 };

    start_with(h, &nobody, (struct ostler_server_options){ .stop_timeout_ms = 60000 });
    d->server = h->server;
    ck_assert(harness_call(ostler_server_reactor(h->server), dial, d));
    ck_assert_int_eq(d->opened_inside, 0);
}

START_TEST(an_outgoing_connection_opens_later_and_talks)
{
    struct dial d = { .handler = &caller, .then = write_text, .arg = "early " };
    struct harness_server h;
    char text[OSTLER_ADDRESS_TEXT];
    int listener = listen_at(d.address, sizeof(d.address), 5), peer;

    start_and_dial(&h, &d);
    ck_assert_int_eq(d.result, 0);
    ck_assert_int_eq(seen.result, 0);
    peer = accept(listener, NULL, NULL);
    ck_assert(harness_wait(&seen.opened, 1));
    ck_assert_ptr_eq(seen.conn, d.conn);
    ostler_address_text(ostler_conn_peer(d.conn), text, sizeof(text));
    ck_assert_str_eq(text, d.address);
    ck_assert(harness_expect(peer, "early "));
    on_conn(write_text, "late");
    ck_assert(harness_expect(peer, "late"));
    ck_assert(harness_say(peer, "answer"));
    close(peer);
    check_closed(OSTLER_CLOSE_DONE, 0);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "odec");
    ck_assert_mem_eq(seen.input, "answer", 6);
    close(listener);
}
END_TEST

START_TEST(a_refused_connection_is_told_by_on_close_alone)
{
    struct dial d = { .handler = &caller, .then = write_text, .arg = "for nobody" };
    struct harness_server h;
    int bound = listen_at(d.address, sizeof(d.address), -1); /* nobody listens there */

    start_and_dial(&h, &d);
    ck_assert_int_eq(d.result, 0);
    check_closed(OSTLER_CLOSE_CONNECT, -ECONNREFUSED);
    ck_assert_str_eq(seen.trace, "c");
    ck_assert_int_eq(harness_stop(&h), 0);
    close(bound);
}
END_TEST

static void write_and_close(struct ostler_conn *c, void *text)
{
    seen.result += ostler_conn_write(c, text, strlen(text)) != 0;
    seen.result += ostler_conn_close(c) != 0;
}

START_TEST(written_and_closed_before_it_is_open_it_still_delivers)
{
    struct dial d = { .handler = &caller, .then = write_and_close, .arg = "hello" };
    struct harness_server h;
    int listener = listen_at(d.address, sizeof(d.address), 5), peer;

    start_and_dial(&h, &d);
    peer = accept(listener, NULL, NULL);
    ck_assert(harness_expect(peer, "hello"));
    ck_assert(harness_expect_end(peer));
    close(peer);
    check_closed(OSTLER_CLOSE_DONE, 0);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
    close(listener);
}
END_TEST

static void write_lot(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_conn_write(c, lot, LOT) != 0;
    seen.number = ostler_conn_queued(c);
}

START_TEST(a_lot_written_before_it_is_open_is_queued)
{
    struct dial d = { .handler = &caller, .then = write_lot };
    struct harness_server h;
    int listener = listen_at(d.address, sizeof(d.address), 5), peer;

    lot = new_pattern(LOT);
    start_and_dial(&h, &d);
    ck_assert_uint_eq(seen.number, LOT);
    peer = accept(listener, NULL, NULL);
    expect_pattern(peer, LOT);
    close(peer);
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
    close(listener);
    free(lot);
}
END_TEST

static void shut_after_hello(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_conn_write(c, "hello", 5) != 0;
    seen.result += ostler_conn_shutdown_write(c) != 0;
}

START_TEST(half_closed_before_it_is_open_it_still_hears_the_answer)
{
    struct dial d = { .handler = &caller, .then = shut_after_hello };
    struct harness_server h;
    int listener = listen_at(d.address, sizeof(d.address), 5), peer;

    start_and_dial(&h, &d);
    peer = accept(listener, NULL, NULL);
    ck_assert(harness_expect(peer, "hello"));
    ck_assert(harness_expect_end(peer));
    ck_assert(harness_say(peer, "answer"));
    close(peer);
    check_closed(OSTLER_CLOSE_DONE, 0);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_mem_eq(seen.input, "answer", 6);
    close(listener);
}
END_TEST

/* Connections to a listener that has no room stay half-open. */
static void fill_up(const char *address, int fillers[2])
{
    struct ostler_address *a;

    ck_assert_int_eq(ostler_address_parse(&a, address), 0);
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

        in.sin_port = htons((uint16_t)ostler_address_port(a));
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(fillers[i], (struct sockaddr *)&in, sizeof(in));
    }
    ostler_address_free(a);
}

/* What may be done to a connection that is not there yet, and why it closes then. */
static void close_it(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_conn_close(c) != 0;
}

static void let_it_time_out(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_conn_set_timeout(c, 20) != 0;
}

static void let_the_deadline_pass(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_conn_set_deadline(c, 20) != 0;
}

static void stop_its_server(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_server_stop(ostler_conn_server(c)) != 0;
}

static void abort_its_server(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_server_abort(ostler_conn_server(c)) != 0;
}

static const struct {
    void (*then)(struct ostler_conn *c, void *arg);
    enum ostler_close_reason reason;
    int error;
} giving_up[] = {
    { close_it, OSTLER_CLOSE_DONE, 0 },
    { abort_it, OSTLER_CLOSE_ABORTED, 0 },
    { let_it_time_out, OSTLER_CLOSE_CONNECT, -ETIMEDOUT },
    { let_the_deadline_pass, OSTLER_CLOSE_DEADLINE, -ETIMEDOUT },
    { stop_its_server, OSTLER_CLOSE_STOPPED, -ECANCELED },
    { abort_its_server, OSTLER_CLOSE_STOPPED, -ECANCELED },
};

enum { GIVING_UP = sizeof(giving_up) / sizeof(giving_up[0]) };

START_TEST(a_connection_that_is_not_there_yet_is_given_up)
{
    struct dial d = { .handler = &caller, .then = giving_up[_i].then };
    struct harness_server h;
    int listener = listen_at(d.address, sizeof(d.address), 0), fillers[2];

    fill_up(d.address, fillers);
    start_and_dial(&h, &d);
    ck_assert_int_eq(d.result, 0);
    check_closed(giving_up[_i].reason, giving_up[_i].error);
    ck_assert_str_eq(seen.trace, "c");
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(seen.result, 0);
    close(listener);
    close(fillers[0]);
    close(fillers[1]);
}
END_TEST

static void start_timer_now(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_conn_set_timer(c, 5) != 0;
}

START_TEST(the_timer_runs_while_it_connects)
{
    struct dial d = { .handler = &caller, .then = start_timer_now };
    struct harness_server h;
    int listener = listen_at(d.address, sizeof(d.address), 0), fillers[2];

    fill_up(d.address, fillers);
    start_and_dial(&h, &d);
    ck_assert(harness_wait(&seen.fired, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "tc");
    close(listener);
    close(fillers[0]);
    close(fillers[1]);
}
END_TEST

static void dial_without_descriptors(void *arg)
{
    struct rlimit before, none;

    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    dial(arg);
    setrlimit(RLIMIT_NOFILE, &before);
}

START_TEST(when_connect_itself_fails_nothing_is_called)
{
    static const struct ostler_conn_handler nobody = { 0 };
    static const char *const wrong[] = { "", "tcp:localhost:7", "tcp:127.0.0.1", "nonsense",
                                         "udp:127.0.0.1:7", "unixgram:@x", "fd:0", "tcp:*:7" };
    struct dial d = { .handler = &caller };
    struct harness_server h;
    int listener = listen_at(d.address, sizeof(d.address), 5);

    start_with(&h, &nobody, (struct ostler_server_options){ 0 });
    d.server = h.server;
    ck_assert(harness_call(ostler_server_reactor(h.server), dial_without_descriptors, &d));
    ck_assert_int_eq(d.result, -EMFILE);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(d.address, sizeof(d.address), "%s", wrong[i]);
        ck_assert(harness_call(ostler_server_reactor(h.server), dial, &d));
        ck_assert_int_eq(d.result, -EINVAL);
    }
    snprintf(d.address, sizeof(d.address), "tcp:[fe80::1%%nowhere]:7");
    ck_assert(harness_call(ostler_server_reactor(h.server), dial, &d));
    ck_assert_int_eq(d.result, -ENODEV);
    ck_assert_ptr_null(d.conn);
    ck_assert_int_eq(ostler_conn_connect(&d.conn, h.server, "tcp:127.0.0.1:1", &caller), -EPERM);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "");
    close(listener);
}
END_TEST

static void stop_then_dial(void *arg)
{
    struct dial *d = arg;

    ostler_server_stop(d->server);
    dial(d);
}

START_TEST(a_server_that_stops_connects_nowhere)
{
    struct dial d = { .handler = &caller };
    struct harness_server h;
    int listener = listen_at(d.address, sizeof(d.address), 5);
    static const struct ostler_conn_handler nobody = { 0 };

    start_with(&h, &nobody, (struct ostler_server_options){ 0 });
    d.server = h.server;
    ck_assert(harness_call(ostler_server_reactor(h.server), stop_then_dial, &d));
    ck_assert_int_eq(d.result, -ESHUTDOWN);
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
    close(listener);
}
END_TEST

static void look_at_active(void *arg)
{
    struct dial *d = arg;

    seen.number = ostler_server_active(d->server);
}

/* A server that only connects, and is never started. */
static void start_reactor_and_dial(struct harness_reactor *h, struct dial *d)
{
    struct ostler_server_options options = { .address = harness_address(), .conn = &caller, .stop_timeout_ms = 60000 };

    see_afresh();
    harness_reactor_init(h);
    ck_assert_int_eq(ostler_server_new(&d->server, &options, h->reactor), 0);
    harness_reactor_start(h);
    ck_assert(harness_call(h->reactor, dial, d));
    ck_assert_int_eq(d->result, 0);
}

START_TEST(a_stop_of_the_reactor_lets_what_only_connects_end)
{
    static const struct ostler_conn_handler handler = { .on_open = write_a_lot_and_close, .on_close = note_close };
    struct dial d = { .handler = &handler };
    struct harness_reactor h;
    int listener = listen_at(d.address, sizeof(d.address), 5), peer;

    lot = new_pattern(LOT);
    start_reactor_and_dial(&h, &d);
    peer = accept(listener, NULL, NULL);
    ck_assert(harness_wait(&seen.opened, 1));
    ck_assert_int_eq(ostler_reactor_stop(h.reactor), 0);
    expect_pattern(peer, LOT);
    ck_assert(harness_expect_end(peer));
    close(peer);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    check_closed(OSTLER_CLOSE_DONE, 0);
    ostler_server_free(d.server);
    harness_reactor_fini(&h);
    close(listener);
    free(lot);
}
END_TEST

START_TEST(an_abort_of_the_reactor_cuts_off_what_only_connects)
{
    struct dial d = { .handler = &caller };
    struct harness_reactor h;
    int listener = listen_at(d.address, sizeof(d.address), 5), peer;

    start_reactor_and_dial(&h, &d);
    peer = accept(listener, NULL, NULL);
    ck_assert(harness_wait(&seen.opened, 1));
    ck_assert_int_eq(ostler_reactor_abort(h.reactor), 0);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    ck_assert_int_eq(harness_count(&seen.closed), 1);
    close(peer);
    ostler_server_free(d.server);
    harness_reactor_fini(&h);
    close(listener);
}
END_TEST

START_TEST(a_stop_of_the_reactor_leaves_alone_what_has_not_begun)
{
    struct dial d = { .handler = &caller };
    struct harness_reactor h;
    int listener = listen_at(d.address, sizeof(d.address), 5);

    start_reactor_and_dial(&h, &d);
    close(accept(listener, NULL, NULL));
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(ostler_reactor_stop(h.reactor), 0);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    ck_assert_int_eq(ostler_server_start(d.server), 0);
    ostler_server_free(d.server);
    harness_reactor_fini(&h);
    close(listener);
}
END_TEST

START_TEST(outgoing_connections_do_not_count_for_max_requests)
{
    static const struct ostler_conn_handler echoes = { .on_data = echo };
    struct dial d = { .handler = &caller };
    struct harness_server h;
    int listener = listen_at(d.address, sizeof(d.address), 5), peer, client;

    start_with(&h, &echoes, (struct ostler_server_options){ .max_requests = 1 });
    d.server = h.server;
    ck_assert(harness_call(ostler_server_reactor(h.server), dial, &d));
    peer = accept(listener, NULL, NULL);
    ck_assert(harness_wait(&seen.opened, 1));
    client = client_of(&h);
    ck_assert(harness_say(client, "served") && harness_expect(client, "served"));
    ck_assert(harness_call(ostler_server_reactor(h.server), look_at_active, &d));
    ck_assert_uint_eq(seen.number, 1);
    close(peer);
    check_closed(OSTLER_CLOSE_DONE, 0);
    close(client);
    client = client_of(&h); /* the place is the same one as before */
    ck_assert(harness_say(client, "again") && harness_expect(client, "again"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    close(listener);
}
END_TEST

/* A proxy: each connection and the one it opens hold each other. */
struct half {
    struct ostler_conn base;
    struct half *other;
};

static char upstream_address[OSTLER_ADDRESS_TEXT];

static ssize_t proxy_data(struct ostler_conn *c, const void *data, size_t n)
{
    struct half *self = OSTLER_SELF(c, struct half, base);

    if (!self->other)
        return (ssize_t)n;
    if (ostler_conn_is_full(&self->other->base)) {
        ostler_conn_pause(c);
        return 0;
    }
    return echo(&self->other->base, data, n);
}

static int proxy_drain(struct ostler_conn *c)
{
    struct half *self = OSTLER_SELF(c, struct half, base);

    return self->other ? ostler_conn_resume(&self->other->base) : 0;
}

static int proxy_eof(struct ostler_conn *c)
{
    struct half *self = OSTLER_SELF(c, struct half, base);

    return self->other ? ostler_conn_shutdown_write(&self->other->base) : 0;
}

static void proxy_close(struct ostler_conn *c, enum ostler_close_reason reason, int error)
{
    struct half *self = OSTLER_SELF(c, struct half, base);

    if (self->other) {
        self->other->other = NULL;
        ostler_conn_close(&self->other->base);
    }
    note_close(c, reason, error);
}

static const struct ostler_conn_handler proxy_upstream = {
    .size = OSTLER_SIZE(struct half, base),
    .on_data = proxy_data,
    .on_drain = proxy_drain,
    .on_eof = proxy_eof,
    .on_close = proxy_close,
};

static int proxy_open(struct ostler_conn *c)
{
    struct half *self = OSTLER_SELF(c, struct half, base);
    struct ostler_conn *upstream;
    int r = ostler_conn_connect(&upstream, ostler_conn_server(c), upstream_address, &proxy_upstream);

    if (r < 0)
        return r;
    self->other = OSTLER_SELF(upstream, struct half, base);
    self->other->other = self;
    return 0;
}

static const struct ostler_conn_handler proxy = {
    .size = OSTLER_SIZE(struct half, base),
    .on_open = proxy_open,
    .on_data = proxy_data,
    .on_drain = proxy_drain,
    .on_eof = proxy_eof,
    .on_close = proxy_close,
};

START_TEST(a_proxy_carries_megabytes_both_ways_and_half_closes)
{
    enum { MEGABYTES = 4 << 20 };
    struct harness_server h;
    char *text = new_pattern(MEGABYTES), *back = malloc(MEGABYTES);
    size_t sent = 0, got = 0;
    int listener = listen_at(upstream_address, sizeof(upstream_address), 5), client, peer;

    start(&h, &proxy);
    client = client_of(&h);
    peer = accept(listener, NULL, NULL);
    fcntl(client, F_SETFL, O_NONBLOCK);
    while (got < MEGABYTES) {
        ssize_t n = sent < MEGABYTES ? send(client, text + sent, MEGABYTES - sent, MSG_NOSIGNAL) : -1;

        sent += n > 0 ? (size_t)n : 0;
        if (n > 0)
            continue;
        n = harness_receive_once(peer, back + got, MEGABYTES - got);
        ck_assert_int_gt(n, 0);
        got += (size_t)n;
    }
    ck_assert_mem_eq(text, back, MEGABYTES);
    shutdown(client, SHUT_WR);
    ck_assert(harness_expect_end(peer));
    ck_assert(harness_say(peer, "the answer"));
    ck_assert(harness_expect(client, "the answer"));
    close(peer);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&seen.closed), 2);
    free(text);
    free(back);
    close(listener);
}
END_TEST

START_TEST(a_stop_lets_a_proxy_get_the_answer)
{
    struct harness_server h;
    int listener = listen_at(upstream_address, sizeof(upstream_address), 5), client, peer;

    start(&h, &proxy);
    client = client_of(&h);
    peer = accept(listener, NULL, NULL);
    ck_assert(harness_say(client, "the question"));
    ck_assert(harness_expect(peer, "the question"));
    ck_assert_int_eq(ostler_reactor_stop(ostler_server_reactor(h.server)), 0);
    ck_assert(harness_expect_end(peer)); /* of the client's input */
    ck_assert(harness_say(peer, "the answer"));
    ck_assert(harness_expect(client, "the answer"));
    close(peer);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
    close(listener);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conn_outgoing");
    TCase *tc = harness_case(suite, "outgoing connections");

    tcase_add_test(tc, an_outgoing_connection_opens_later_and_talks);
    tcase_add_test(tc, a_refused_connection_is_told_by_on_close_alone);
    tcase_add_test(tc, written_and_closed_before_it_is_open_it_still_delivers);
    tcase_add_test(tc, a_lot_written_before_it_is_open_is_queued);
    tcase_add_test(tc, half_closed_before_it_is_open_it_still_hears_the_answer);
    tcase_add_loop_test(tc, a_connection_that_is_not_there_yet_is_given_up, 0, GIVING_UP);
    tcase_add_test(tc, the_timer_runs_while_it_connects);
    tcase_add_test(tc, when_connect_itself_fails_nothing_is_called);
    tcase_add_test(tc, a_server_that_stops_connects_nowhere);
    tcase_add_test(tc, a_stop_of_the_reactor_lets_what_only_connects_end);
    tcase_add_test(tc, an_abort_of_the_reactor_cuts_off_what_only_connects);
    tcase_add_test(tc, a_stop_of_the_reactor_leaves_alone_what_has_not_begun);
    tcase_add_test(tc, outgoing_connections_do_not_count_for_max_requests);
    tcase_add_test(tc, a_proxy_carries_megabytes_both_ways_and_half_closes);
    tcase_add_test(tc, a_stop_lets_a_proxy_get_the_answer);
    return harness_main(suite);
}
