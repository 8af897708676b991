/* Connections that wait on the reactor: defer, and handlers that return OSTLER_PARK. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ostler/sys/mixin.h>

#include "support/harness.h"

static const struct {
    const char *name;
    const struct ostler_mixin *mixin;
} ways[] = {
    { "inline", NULL },
    { "threading", &ostler_threading },
    { "fibers", &ostler_fibers },
    { "forking", &ostler_forking },
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

/* What the handlers below did, in all. */
struct deeds {
    struct harness_event setups, handles, finishes;
    atomic_int last; /* what handle returned or read last */
};

/* In memory that children share; one for all tests, which come one after another. */
static struct deeds *new_deeds(void)
{
    static struct deeds *d;

    if (!d)
        d = harness_share(sizeof(*d));
    ck_assert_ptr_nonnull(d);
    harness_event_init(&d->setups);
    harness_event_init(&d->handles);
    harness_event_init(&d->finishes);
    atomic_store(&d->last, 0);
    return d;
}

/* Answers one line a call, with how many there were on this connection. */
struct counter {
    struct ostler_stream base;
    int lines;
};

static struct deeds *deeds_of(struct ostler_stream *s)
{
    return ostler_server_user(ostler_stream_server(s));
}

static int counter_setup(struct ostler_stream *s)
{
    harness_raise(&deeds_of(s)->setups);
    return 0;
}

static int counter_handle(struct ostler_stream *s)
{
    struct counter *self = OSTLER_SELF(s, struct counter, base);
    char line[128];
    ssize_t n = ostler_stream_read_line(s, line, sizeof(line));
    int r;

    atomic_store(&deeds_of(s)->last, (int)n);
    harness_raise(&deeds_of(s)->handles);
    if (n <= 0)
        return (int)n;
    r = ostler_stream_printf(s, "%d %s", ++self->lines, line);
    return r < 0 ? r : OSTLER_PARK;
}

static int counter_finish(struct ostler_stream *s)
{
    harness_raise(&deeds_of(s)->finishes);
    return ostler_stream_write(s, "bye\n", 4);
}

static const struct ostler_stream_handler counter = {
    .size = OSTLER_SIZE(struct counter, base),
    .setup = counter_setup,
    .handle = counter_handle,
    .finish = counter_finish,
};

/* Gives its socket a twin, parks, and says on the next call what the kernel's time-out is. */
static int twin_handle(struct ostler_stream *s)
{
    struct counter *self = OSTLER_SELF(s, struct counter, base);
    struct ostler_socket *own = NULL, *twin = NULL;
    struct timeval limit = { .tv_sec = 1 };
    size_t size = sizeof(limit);
    char line[16];

    if (ostler_stream_read_line(s, line, sizeof(line)) <= 0 || ostler_stream_socket(&own, s) < 0)
        return 0;
    if (self->lines == 0 && ostler_socket_dup(&twin, own) < 0)
        return -EPROTO;
    ostler_socket_free(twin);
    ostler_socket_getsockopt_buffer(own, SOL_SOCKET, SO_RCVTIMEO, &limit, &size);
    ostler_stream_printf(s, "%d: %ld.%06ld\n", ++self->lines, (long)limit.tv_sec, (long)limit.tv_usec);
    return OSTLER_PARK;
}

static const struct ostler_stream_handler twin = { .size = OSTLER_SIZE(struct counter, base), .handle = twin_handle };

static struct ostler_server_options options_for(int way, struct deeds *deeds)
{
    return (struct ostler_server_options){
        .address = harness_address(), .stream = &counter, .mixin = ways[way].mixin, .user = deeds
    };
}

START_TEST(a_parked_streams_twin_has_no_time_out_of_its_reads)
{
    struct ostler_server_options options = options_for(_i, new_deeds());
    struct harness_server h;
    int client;

    options.stream = &twin;
    options.timeout_ms = 60000;
    harness_start(&h, &options);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "one\n"));
    ck_assert(harness_expect(client, "1: 0.000000\n"));
    ck_assert(harness_say(client, "two\n"));
    ck_assert(harness_expect(client, "2: 0.000000\n"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_parked_connection_is_handled_again_when_it_speaks)
{
    struct deeds *deeds = new_deeds();
    struct ostler_server_options options = options_for(_i, deeds);
    struct harness_server h;
    int client;

    harness_start(&h, &options);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "one\n"));
    ck_assert(harness_expect(client, "1 one\n"));
    ck_assert(harness_say(client, "two\n"));
    ck_assert(harness_expect(client, "2 two\n"));
    shutdown(client, SHUT_WR);
    ck_assert(harness_expect(client, "bye\n"));
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&deeds->setups), 1);
    ck_assert_int_eq(harness_count(&deeds->finishes), 1);
    ck_assert_int_eq(harness_count(&deeds->handles), 3);
}
END_TEST

START_TEST(lines_that_came_together_are_all_handled)
{
    struct deeds *deeds = new_deeds();
    struct ostler_server_options options = options_for(_i, deeds);
    struct harness_server h;
    int client;

    harness_start(&h, &options);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "a\nb\nc\nd"));
    ck_assert(harness_expect(client, "1 a\n2 b\n3 c\n"));
    ck_assert(harness_say(client, "e\n"));
    ck_assert(harness_expect(client, "4 de\n"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* Reads two lines a call, and answers the second one. */
static int pair_handle(struct ostler_stream *s)
{
    char line[128];
    ssize_t n = ostler_stream_read_line(s, line, sizeof(line));

    if (n > 0)
        n = ostler_stream_read_line(s, line, sizeof(line));
    if (n <= 0)
        return (int)n;
    n = ostler_stream_printf(s, "and %s", line);
    return n < 0 ? (int)n : OSTLER_PARK;
}

static const struct ostler_stream_handler pair = { .handle = pair_handle };

START_TEST(a_handler_that_is_called_again_may_wait_again)
{
    struct ostler_server_options options = options_for(_i, new_deeds());
    struct harness_server h;
    int client;

    options.stream = &pair;
    harness_start(&h, &options);
    client = harness_connect(h.server);
    for (int i = 0; i < 3; i++) {
        ck_assert(harness_say(client, "one\n"));
        ck_assert(harness_is_silent(client));
        ck_assert(harness_say(client, "two\n"));
        ck_assert(harness_expect(client, "and two\n"));
    }
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* Leaves unread what has arrived; or, on the second line, what was received with the first. */
static int idle_handle(struct ostler_stream *s)
{
    harness_raise(&deeds_of(s)->handles);
    return OSTLER_PARK;
}

static int idle_setup(struct ostler_stream *s)
{
    char line[128];

    return ostler_stream_read_line(s, line, sizeof(line)) > 0 ? 0 : -EPROTO;
}

static const struct ostler_stream_handler idle[] = {
    { .handle = idle_handle, .finish = counter_finish },
    { .setup = idle_setup, .handle = idle_handle, .finish = counter_finish },
};

START_TEST(who_parks_without_reading_is_cut_off_at_a_stop)
{
    struct deeds *deeds = new_deeds();
    struct ostler_server_options options = options_for(_i / 2, deeds);
    struct harness_server h;
    int client;

    options.stream = &idle[_i % 2];
    options.stop_timeout_ms = 100;
    harness_start(&h, &options);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "one\ntwo\n"));
    ck_assert(harness_wait(&deeds->handles, 2));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&deeds->finishes), 1);
    close(client);
}
END_TEST

enum { MANY = 200 };

START_TEST(a_few_places_serve_many_kept_alive_connections)
{
    struct deeds *deeds = new_deeds();
    struct ostler_server_options options = options_for(_i, deeds);
    struct harness_server h;
    static int clients[MANY];
    char line[32];

    options.max_requests = 4;
    harness_start(&h, &options);
    for (int i = 0; i < MANY; i++) {
        clients[i] = harness_connect(h.server);
        ck_assert_int_ge(clients[i], 0);
        ck_assert(harness_say(clients[i], "x\n"));
        ck_assert(harness_expect(clients[i], "1 x\n"));
    }
    for (int round = 2; round < 4; round++) {
        for (int i = 0; i < MANY; i++)
            ck_assert(harness_say(clients[i], "y\n"));
        snprintf(line, sizeof(line), "%d y\n", round);
        for (int i = 0; i < MANY; i++)
            ck_assert(harness_expect(clients[i], line));
    }
    for (int i = 0; i < MANY; i++)
        close(clients[i]);
    ck_assert(harness_wait(&deeds->finishes, MANY));
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(silence_ends_a_parked_connection_and_it_is_finished)
{
    struct deeds *deeds = new_deeds();
    struct ostler_server_options options = options_for(_i, deeds);
    struct harness_server h;
    int client;

    options.timeout_ms = 50;
    harness_start(&h, &options);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "one\n"));
    ck_assert(harness_expect(client, "1 one\nbye\n"));
    ck_assert(harness_expect_end(client));
    close(client);
    ostler_server_shutdown(h.server);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(harness_log_count(&h.log, "request failed"), 1);
    ck_assert_int_eq(harness_log_count(&h.log, "error "), 0); /* it is the peer's doing */
    ck_assert(harness_log_has(&h.log, "closed: timed out"));
    harness_free(&h);
    ck_assert_int_eq(harness_count(&deeds->handles), 1);
}
END_TEST

/* What a handler sets in its first call. */
static int set_timeout(struct ostler_stream *s)
{
    return ostler_stream_set_timeout(s, 50);
}

static int set_deadline(struct ostler_stream *s)
{
    return ostler_stream_set_deadline(s, 50);
}

static int set_output_buffer(struct ostler_stream *s)
{
    return ostler_stream_set_output_buffer(s, 64);
}

static int (*set_first)(struct ostler_stream *s);

/* In the second one it writes, and goes on when finishes is raised. */
static int setting_handle(struct ostler_stream *s)
{
    struct counter *self = OSTLER_SELF(s, struct counter, base);
    char line[128];
    ssize_t n = ostler_stream_read_line(s, line, sizeof(line));

    if (n <= 0)
        return (int)n;
    if (self->lines++ == 0) {
        n = set_first(s);
        harness_raise(&deeds_of(s)->handles);
        return n < 0 ? -EPROTO : OSTLER_PARK;
    }
    atomic_store(&deeds_of(s)->last, ostler_stream_write(s, line, (size_t)n));
    harness_raise(&deeds_of(s)->handles);
    harness_wait(&deeds_of(s)->finishes, 1);
    return 0;
}

static const struct ostler_stream_handler setting = {
    .size = OSTLER_SIZE(struct counter, base), .handle = setting_handle
};

/* Start it; the client whose handler was called once. */
static int start_setting(struct harness_server *h, int way, struct deeds *deeds, int (*set)(struct ostler_stream *s))
{
    struct ostler_server_options options = options_for(way, deeds);
    int client;

    set_first = set;
    options.stream = &setting;
    harness_start(h, &options);
    client = harness_connect(h->server);
    ck_assert(harness_say(client, "one\n"));
    ck_assert(harness_wait(&deeds->handles, 1));
    return client;
}

START_TEST(its_own_time_limits_hold_while_it_is_parked)
{
    struct deeds *deeds = new_deeds();
    struct harness_server h;
    int client = start_setting(&h, _i / 2, deeds, _i % 2 ? set_deadline : set_timeout);

    ck_assert(harness_expect_end(client));
    ck_assert(harness_log_wait(&h.log, _i % 2 ? "closed: deadline passed" : "closed: timed out"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&deeds->handles), 1);
}
END_TEST

START_TEST(its_output_is_gathered_when_it_is_called_again)
{
    struct deeds *deeds = new_deeds();
    struct harness_server h;
    int client = start_setting(&h, _i, deeds, set_output_buffer);

    ck_assert(harness_say(client, "two\n"));
    ck_assert(harness_wait(&deeds->handles, 2));
    ck_assert(harness_is_silent(client));
    harness_raise(&deeds->finishes);
    ck_assert(harness_expect(client, "two\n"));
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(what_it_has_half_closed_stays_so_when_it_is_called_again)
{
    struct deeds *deeds = new_deeds();
    struct harness_server h;
    int client = start_setting(&h, _i, deeds, ostler_stream_shutdown_write);

    ck_assert(harness_expect_end(client));
    ck_assert(harness_say(client, "two\n"));
    ck_assert(harness_wait(&deeds->handles, 2));
    ck_assert_int_eq(atomic_load(&deeds->last), -EPIPE);
    harness_raise(&deeds->finishes);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_stop_lets_parked_connections_see_the_end)
{
    struct deeds *deeds = new_deeds();
    struct ostler_server_options options = options_for(_i, deeds);
    struct harness_server h;
    int clients[20];

    options.max_requests = 2;
    harness_start(&h, &options);
    for (int i = 0; i < 20; i++) {
        clients[i] = harness_connect(h.server);
        ck_assert(harness_say(clients[i], "one\n"));
        ck_assert(harness_expect(clients[i], "1 one\n"));
    }
    ck_assert_int_eq(harness_stop(&h), 0);
    for (int i = 0; i < 20; i++) {
        ck_assert(harness_expect(clients[i], "bye\n"));
        ck_assert(harness_expect_end(clients[i]));
        close(clients[i]);
    }
    ck_assert_int_eq(harness_count(&deeds->finishes), 20);
    ck_assert_int_eq(atomic_load(&deeds->last), 0);
}
END_TEST

START_TEST(a_server_is_freed_with_connections_parked)
{
    struct deeds *deeds = new_deeds();
    struct ostler_server_options options = options_for(_i, deeds);
    struct ostler_server *server;
    int client;

    options.request_timeout_ms = harness_deadline_ms();
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    client = harness_connect(server);
    ck_assert(harness_say(client, "one\n"));
    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert(harness_expect(client, "1 one\n"));
    ostler_server_free(server);
    /* What a child has parked cannot be finished in this process. */
    ck_assert_int_eq(harness_count(&deeds->finishes), ways[_i].mixin != &ostler_forking);
    close(client);
}
END_TEST

START_TEST(with_defer_silent_clients_hold_no_place)
{
    struct deeds *deeds = new_deeds();
    struct ostler_server_options options = options_for(_i, deeds);
    struct harness_server h;
    int silent[50], client;

    options.max_requests = 1;
    options.defer = true;
    harness_start(&h, &options);
    for (int i = 0; i < 50; i++)
        silent[i] = harness_connect(h.server);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "one\n"));
    ck_assert(harness_expect(client, "1 one\n"));
    ck_assert_int_eq(harness_count(&deeds->setups), 1);
    close(silent[0]); /* without a word: its handler never begins */
    ck_assert(harness_say(silent[1], "late\n"));
    ck_assert(harness_expect(silent[1], "1 late\n"));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&deeds->setups), 2);
    for (int i = 1; i < 50; i++)
        close(silent[i]);
    close(client);
}
END_TEST

START_TEST(max_parked_stops_accepting)
{
    struct deeds *deeds = new_deeds();
    struct ostler_server_options options = options_for(_i, deeds);
    struct harness_server h;
    int first, second;

    options.max_parked = 1;
    options.defer = true;
    harness_start(&h, &options);
    first = harness_connect(h.server);
    second = harness_connect(h.server);
    ck_assert(harness_say(second, "two\n"));
    ck_assert(harness_is_silent(second));
    close(first);
    ck_assert(harness_expect(second, "1 two\n"));
    close(second);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* As counter, but whoever says "hold" holds its place until setups is raised. */
static int holding_handle(struct ostler_stream *s)
{
    struct counter *self = OSTLER_SELF(s, struct counter, base);
    char line[128];
    ssize_t n = ostler_stream_read_line(s, line, sizeof(line));
    int r;

    harness_raise(&deeds_of(s)->handles);
    if (n > 0 && strcmp(line, "hold\n") == 0)
        harness_wait(&deeds_of(s)->setups, 1);
    if (n <= 0)
        return (int)n;
    r = ostler_stream_printf(s, "%d %s", ++self->lines, line);
    return r < 0 ? r : OSTLER_PARK;
}

static const struct ostler_stream_handler holding = {
    .size = OSTLER_SIZE(struct counter, base), .handle = holding_handle, .finish = counter_finish
};

static void do_nothing(void *arg)
{
    (void)arg;
}

START_TEST(what_comes_after_a_stop_is_not_handled_however_often_it_parks)
{
    struct deeds *deeds = new_deeds();
    struct ostler_server_options options = options_for(_i, deeds);
    struct harness_server h;
    int holder, client;

    options.stream = &holding;
    options.max_requests = 1;
    harness_start(&h, &options);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "one\n"));
    ck_assert(harness_expect(client, "1 one\n"));
    holder = harness_connect(h.server);
    ck_assert(harness_say(holder, "hold\n"));
    ck_assert(harness_wait(&deeds->handles, 2));
    ck_assert(harness_say(client, "two\nthree\n"));
    ck_assert_int_eq(ostler_reactor_stop(ostler_server_reactor(h.server)), 0);
    for (int i = 0; i < 2; i++) /* after the second one the stop was heeded */
        ck_assert(harness_call(ostler_server_reactor(h.server), do_nothing, NULL));
    ck_assert(harness_say(client, "four\nfive\n") || harness_is_unix()); /* there it may be told of the end */
    harness_raise(&deeds->setups);
    ck_assert(harness_expect(client, "2 two\n3 three\nbye\n"));
    ck_assert(harness_expect_end(client));
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
    close(client);
    close(holder);
}
END_TEST

/* Keeps its place full until setups was raised; notes the most that wait. */
static int greedy_handle(struct ostler_stream *s)
{
    struct deeds *deeds = deeds_of(s);
    int waiting = (int)ostler_server_waiting(ostler_stream_server(s));
    char line[128];
    ssize_t n = ostler_stream_read_line(s, line, sizeof(line));

    harness_wait(&deeds->setups, 1);
    if (waiting > atomic_load(&deeds->last))
        atomic_store(&deeds->last, waiting);
    if (n <= 0)
        return (int)n;
    n = ostler_stream_write(s, ".", 1);
    return n < 0 ? (int)n : OSTLER_PARK;
}

enum { GREEDY = 8, LINES = 150 }; /* the answers fit into any socket */

START_TEST(new_connections_between_those_that_wait_heed_max_parked)
{
    struct deeds *deeds = new_deeds();
    struct ostler_server_options options = options_for(0, deeds);
    char lines[2 * LINES];
    struct harness_server h;
    int clients[GREEDY];

    for (int i = 0; i < LINES; i++)
        memcpy(lines + 2 * i, "x\n", 2);
    options.stream = &(struct ostler_stream_handler){ .handle = greedy_handle };
    options.max_parked = 3;
    harness_start(&h, &options);
    for (int i = 0; i < GREEDY; i++) {
        clients[i] = harness_connect(h.server);
        ck_assert(harness_send(clients[i], lines, sizeof(lines)));
        shutdown(clients[i], SHUT_WR);
    }
    harness_raise(&deeds->setups);
    for (int i = 0; i < GREEDY; i++) {
        ck_assert_int_eq(harness_receive(clients[i], lines, sizeof(lines)), LINES);
        close(clients[i]);
    }
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_le(atomic_load(&deeds->last), 3);
    ck_assert_int_gt(atomic_load(&deeds->last), 0);
}
END_TEST

/* ---- A mix-in of one's own: one thread, and room for one request that it has not taken ---- */

struct worker {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    struct ostler_request *next;
    bool closing;
};

static atomic_int overfull;

static void *work(void *arg)
{
    struct worker *w = arg;
    struct ostler_request *request;

    pthread_mutex_lock(&w->lock);
    while (w->next || !w->closing) {
        request = w->next;
        w->next = NULL;
        pthread_mutex_unlock(&w->lock);
        if (request)
            ostler_request_run(request);
        pthread_mutex_lock(&w->lock);
        while (!w->next && !w->closing)
            pthread_cond_wait(&w->changed, &w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static int open_worker(void *state, const struct ostler_server_options *options, struct ostler_reactor *reactor)
{
    struct worker *w = state;

    (void)options;
    (void)reactor;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    return pthread_create(&w->thread, NULL, work, w) == 0 ? 1 : -EAGAIN;
}

static int hand_over(void *state, struct ostler_request *request)
{
    struct worker *w = state;
    bool taken;

    pthread_mutex_lock(&w->lock);
    taken = w->next != NULL;
    if (!taken)
        w->next = request;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    atomic_fetch_add(&overfull, taken);
    return taken ? -EBUSY : 0;
}

static void close_worker(void *state)
{
    struct worker *w = state;

    pthread_mutex_lock(&w->lock);
    w->closing = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
}

static const struct ostler_mixin one_worker = {
    .name = "worker", .size = sizeof(struct worker), .open = open_worker, .process = hand_over, .close = close_worker
};

/* At a stop, and when all is cut off at once. */
START_TEST(a_mixin_never_gets_more_than_its_capacity)
{
    struct deeds *deeds = new_deeds();
    struct ostler_server_options options = options_for(0, deeds);
    static int clients[MANY];
    struct harness_server h;

    atomic_store(&overfull, 0);
    options.mixin = &one_worker;
    harness_start(&h, &options);
    for (int i = 0; i < MANY; i++) {
        clients[i] = harness_connect(h.server);
        ck_assert(harness_say(clients[i], "x\n"));
        ck_assert(harness_expect(clients[i], "1 x\n"));
    }
    ck_assert_int_eq(_i ? ostler_reactor_abort(ostler_server_reactor(h.server)) : ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
    ck_assert_int_eq(atomic_load(&overfull), 0);
    ck_assert_int_eq(harness_count(&deeds->setups), MANY);
    ck_assert_int_eq(harness_count(&deeds->finishes), MANY);
    for (int i = 0; i < MANY; i++)
        close(clients[i]);
}
END_TEST

/* ---- Many, on eight threads ---- */

enum { CROWD = 5000, SILENT = 300, LINGERING = 1024, THREADS = 8, PROMPT_MS = 100 };

static void raise_limit(void)
{
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_uint_gt(limit.rlim_cur, 2 * CROWD + 100);
}

/* A second signal, while all wait: each is finished, and none is taken for one that hangs. */
START_TEST(an_abort_finishes_thousands_of_parked_connections)
{
    struct deeds *deeds = new_deeds();
    struct ostler_server_options options = options_for(_i, deeds);
    int many = ways[_i].mixin == &ostler_forking ? CROWD / 4 : CROWD; /* a fork each, twice */
    static int clients[CROWD];
    struct harness_server h;

    raise_limit();
    options.max_requests = THREADS;
    harness_start(&h, &options);
    for (int i = 0; i < many; i++) {
        clients[i] = harness_connect(h.server);
        ck_assert_int_ge(clients[i], 0);
        ck_assert(harness_say(clients[i], "x\n"));
        ck_assert(harness_expect(clients[i], "1 x\n"));
    }
    ck_assert_int_eq(ostler_reactor_abort(ostler_server_reactor(h.server)), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(harness_count(&deeds->setups), many);
    ck_assert_int_eq(harness_count(&deeds->finishes), many);
    ck_assert_int_eq(harness_log_count(&h.log, "its handler still r"), 0);
    for (int i = 0; i < many; i++)
        close(clients[i]);
    harness_free(&h);
}
END_TEST

static int answer_once(struct ostler_stream *s)
{
    char byte;
    ssize_t n = ostler_stream_read(s, &byte, 1);

    return n <= 0 ? (int)n : ostler_stream_write(s, "done", 4);
}

/* At a stop silent clients are closed, each as one more that lingers. */
START_TEST(a_stop_with_many_lingering_ends_deferred_clients)
{
    struct deeds *deeds = new_deeds();
    struct ostler_server_options options = options_for(_i, deeds);
    static int lingering[LINGERING];
    struct harness_server h;
    int silent[3];

    raise_limit();
    options.stream = &(struct ostler_stream_handler){ .handle = answer_once };
    options.defer = true;
    harness_start(&h, &options);
    for (int i = 0; i < 3; i++)
        silent[i] = harness_connect(h.server);
    for (int i = 0; i < LINGERING; i++) {
        lingering[i] = harness_connect(h.server);
        ck_assert(harness_say(lingering[i], "x"));
    }
    for (int i = 0; i < LINGERING; i++)
        ck_assert(harness_expect(lingering[i], "done"));
    ck_assert_int_eq(harness_stop(&h), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert(harness_expect_end(silent[i]));
        close(silent[i]);
    }
    for (int i = 0; i < LINGERING; i++)
        close(lingering[i]);
}
END_TEST

/* How long an answer takes, in milliseconds, or -1. */
static long answer_time(int client, const char *answer)
{
    uint64_t begun = harness_now_ms();

    if (!harness_say(client, "x\n") || !harness_expect(client, answer))
        return -1;
    return (long)(harness_now_ms() - begun);
}

START_TEST(each_of_five_thousand_idle_connections_is_answered_promptly)
{
    struct deeds *deeds = new_deeds();
    struct ostler_server_options options = options_for(1, deeds);
    static int clients[CROWD];
    struct harness_server h;

    raise_limit();
    options.max_requests = THREADS;
    harness_start(&h, &options);
    for (int i = 0; i < CROWD; i++) {
        clients[i] = harness_connect(h.server);
        ck_assert_int_ge(clients[i], 0);
        ck_assert_int_ge(answer_time(clients[i], "1 x\n"), 0);
    }
    ck_assert_uint_le(harness_threads(), THREADS + 4);
    for (int i = 0; i < CROWD; i += 7) {
        long ms = answer_time(clients[i * 31 % CROWD], "2 x\n");

        ck_assert_int_ge(ms, 0);
        ck_assert_int_le(ms, PROMPT_MS * harness_slow());
    }
    for (int i = 0; i < CROWD; i++)
        close(clients[i]);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(three_hundred_silent_clients_hold_up_nobody)
{
    struct deeds *deeds = new_deeds();
    struct ostler_server_options options = options_for(1, deeds);
    static int silent[SILENT];
    struct harness_server h;

    options.max_requests = THREADS;
    options.defer = true;
    harness_start(&h, &options);
    for (int i = 0; i < SILENT; i++)
        silent[i] = harness_connect(h.server);
    for (int i = 0; i < 50; i++) {
        int client = harness_connect(h.server);
        long ms = answer_time(client, "1 x\n");

        ck_assert_int_ge(ms, 0);
        ck_assert_int_le(ms, PROMPT_MS * harness_slow());
        close(client);
    }
    for (int i = 0; i < SILENT; i++)
        close(silent[i]);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("park");
    TCase *tc = harness_case(suite, "park");

    tcase_add_loop_test(tc, a_parked_connection_is_handled_again_when_it_speaks, 0, WAYS);
    tcase_add_loop_test(tc, a_parked_streams_twin_has_no_time_out_of_its_reads, 0, WAYS);
    tcase_add_loop_test(tc, lines_that_came_together_are_all_handled, 0, WAYS);
    tcase_add_loop_test(tc, a_handler_that_is_called_again_may_wait_again, 0, WAYS);
    tcase_add_loop_test(tc, who_parks_without_reading_is_cut_off_at_a_stop, 0, 2 * WAYS);
    tcase_add_loop_test(tc, a_few_places_serve_many_kept_alive_connections, 0, WAYS);
    tcase_add_loop_test(tc, silence_ends_a_parked_connection_and_it_is_finished, 0, WAYS);
    tcase_add_loop_test(tc, its_own_time_limits_hold_while_it_is_parked, 0, 2 * WAYS);
    tcase_add_loop_test(tc, its_output_is_gathered_when_it_is_called_again, 0, WAYS);
    tcase_add_loop_test(tc, what_it_has_half_closed_stays_so_when_it_is_called_again, 0, WAYS);
    tcase_add_loop_test(tc, a_stop_lets_parked_connections_see_the_end, 0, WAYS);
    tcase_add_loop_test(tc, what_comes_after_a_stop_is_not_handled_however_often_it_parks, 1, 2);
    tcase_add_loop_test(tc, what_comes_after_a_stop_is_not_handled_however_often_it_parks, 3, WAYS);
    tcase_add_loop_test(tc, a_server_is_freed_with_connections_parked, 0, WAYS);
    tc = harness_case(suite, "defer");
    tcase_add_loop_test(tc, with_defer_silent_clients_hold_no_place, 0, WAYS);
    tcase_add_loop_test(tc, max_parked_stops_accepting, 0, WAYS);
    tcase_add_test(tc, new_connections_between_those_that_wait_heed_max_parked);
    tc = harness_case(suite, "a mix-in of one's own");
    tcase_add_loop_test(tc, a_mixin_never_gets_more_than_its_capacity, 0, 2);
    tc = harness_case(suite, "crowd");
    tcase_add_test(tc, each_of_five_thousand_idle_connections_is_answered_promptly);
    tcase_add_loop_test(tc, an_abort_finishes_thousands_of_parked_connections, 0, WAYS);
    tcase_add_loop_test(tc, a_stop_with_many_lingering_ends_deferred_clients, 1, WAYS - 1);
    tcase_add_test(tc, three_hundred_silent_clients_hold_up_nobody);
    return harness_main(suite);
}
