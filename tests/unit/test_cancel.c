/* ostler_request_cancel(): one request is ended from outside, whatever it waits for. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ostler/sys/mixin.h>

#include "support/actor.h"

enum { AGES_MS = 60000 };

static const char cancelled_text[] = "closed: cancelled";

/* ---- Whatever a handler waits for ---- */

static int wait_for_the_peer(struct actor *self)
{
    char byte;

    harness_raise(&self->noted);
    return (int)ostler_stream_read(self->stream, &byte, 1);
}

static int wait_for_a_line(struct actor *self)
{
    char line[32];

    harness_raise(&self->noted);
    return (int)ostler_stream_read_line(self->stream, line, sizeof(line));
}

static int wait_for_room_to_send(struct actor *self)
{
    static const char data[65536];
    int error;

    harness_raise(&self->noted);
    while ((error = ostler_stream_write(self->stream, data, sizeof(data))) == 0)
        continue;
    return error;
}

static int wait_for_time(struct actor *self)
{
    harness_raise(&self->noted);
    return ostler_sleep_ms(AGES_MS);
}

static int wait_for_any(struct actor *self)
{
    int *ends = self->arg;
    struct ostler_wait wait = { .fd = ends[0], .events = OSTLER_READ };

    harness_raise(&self->noted);
    return ostler_wait_any(&wait, 1, OSTLER_NEVER);
}

static int wait_for_a_message(struct actor *self)
{
    struct ostler_mailbox *m;
    char byte;
    int n;

    if (ostler_mailbox_new(&m, NULL) < 0) /* one of its own, so that a child has it, too */
        return -ENOMEM;
    harness_raise(&self->noted);
    n = (int)ostler_mailbox_receive(m, &byte, 1, OSTLER_NEVER);
    ostler_mailbox_free(m);
    return n;
}

static int (*const waits[])(struct actor *self) = {
    wait_for_the_peer, wait_for_a_line, wait_for_room_to_send, wait_for_time, wait_for_any, wait_for_a_message,
};

enum { WAITS = sizeof(waits) / sizeof(waits[0]) };

/* The handler's own -ECANCELED is no news. */
static void check_log(struct stage *stage)
{
    ck_assert(harness_log_wait(&stage->h.log, cancelled_text));
    ck_assert(!harness_log_has(&stage->h.log, "error "));
    ck_assert(!harness_log_has(&stage->h.log, "was killed"));
}

START_TEST(whatever_it_waits_for)
{
    static const int ways[] = { INLINE, FIBERS, THREADING, FORKING };
    struct stage stage;
    struct actor *a;
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    stage_open(&stage, ways[_i / WAITS], NULL);
    a = actor_start(&stage, waits[_i % WAITS], ends);
    ck_assert_ptr_nonnull(a);
    ck_assert(harness_wait(&a->noted, 1));
    ck_assert_int_eq(ostler_request_cancel(a->id), 0);
    ck_assert_int_eq(ostler_request_cancel(a->id), 0);
    ck_assert_int_eq(actor_join(a), -ECANCELED);
    check_log(&stage);
    ck_assert_int_eq(stage_close(&stage), 0);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

/* ---- What it does from then on ---- */

static int try_everything(struct actor *self)
{
    struct ostler_wait wait = { .stream = self->stream, .events = OSTLER_READ };
    struct ostler_socket *socket;
    char byte;

    if (ostler_sleep_ms(AGES_MS) != -ECANCELED || ostler_sleep_ms(0) != -ECANCELED)
        return -EBADMSG;
    if (ostler_stream_read(self->stream, &byte, 1) != -ECANCELED ||
        ostler_stream_write(self->stream, "x", 1) != -ECANCELED || ostler_wait_any(&wait, 1, 0) != -ECANCELED)
        return -EBADMSG;
    if (ostler_stream_socket(&socket, self->stream) != 0 || ostler_socket_recv(socket, &byte, 1, 0) != -ECANCELED ||
        ostler_socket_send(socket, "x", 1, 0) != -ECANCELED)
        return -EBADMSG;
    if (self->stage->way == FORKING)
        return 0;
    if (ostler_mailbox_send(self->arg, "x", 1, 1) != -ECANCELED ||
        ostler_mailbox_receive(self->arg, &byte, 1, OSTLER_NEVER) != -ECANCELED)
        return -EBADMSG;
    return ostler_mailbox_send(self->arg, "x", 1, 0); /* to say good-bye */
}

START_TEST(nothing_works_from_then_on)
{
    struct ostler_mailbox *m;
    struct stage stage;
    struct actor *a, *after;

    ck_assert_int_eq(ostler_mailbox_new(&m, NULL), 0);
    stage_open(&stage, _i, NULL);
    a = actor_start(&stage, try_everything, m);
    ck_assert_ptr_nonnull(a);
    ck_assert(harness_wait(&a->began, 1));
    ck_assert_int_eq(ostler_request_cancel(a->id), 0);
    ck_assert_int_eq(actor_join(a), 0);
    ck_assert(harness_log_wait(&stage.h.log, cancelled_text)); /* also if it returns 0 */
    after = actor_start(&stage, wait_for_the_peer, NULL);
    ck_assert_ptr_nonnull(after);
    ck_assert(harness_wait(&after->began, 1));
    ck_assert_int_eq(ostler_request_cancel(after->id), 0);
    ck_assert_int_eq(actor_join(after), -ECANCELED);
    ck_assert_int_eq(stage_close(&stage), 0);
    ostler_mailbox_free(m);
}
END_TEST

static int cancel_oneself(struct actor *self)
{
    int error = ostler_request_cancel(self->id);

    if (self->stage->way == FORKING)
        return error;
    return error < 0 ? error : ostler_sleep_ms(AGES_MS);
}

START_TEST(from_inside_the_handler)
{
    struct stage stage;
    struct actor *a;

    stage_open(&stage, _i, NULL);
    a = actor_start(&stage, cancel_oneself, NULL);
    ck_assert_ptr_nonnull(a);
    ck_assert_int_eq(actor_join(a), _i == FORKING ? -EPERM : -ECANCELED);
    ck_assert_int_eq(stage_close(&stage), 0);
}
END_TEST

/* ---- Names ---- */

static int answer_and_leave(struct actor *self)
{
    harness_raise(&self->noted);
    return ostler_stream_write(self->stream, "x", 1);
}

START_TEST(a_name_that_is_old_names_nothing)
{
    struct stage stage;
    struct actor *first, *second;
    struct ostler_request_ref old;

    stage_open(&stage, _i, NULL);
    first = actor_start(&stage, answer_and_leave, NULL);
    ck_assert_ptr_nonnull(first);
    ck_assert(harness_expect(first->client, "x"));
    ck_assert(harness_expect_end(first->client));
    old = first->id;
    ck_assert_int_eq(actor_join(first), 0);
    second = actor_start(&stage, wait_for_the_peer, NULL);
    ck_assert_ptr_nonnull(second);
    ck_assert(harness_wait(&second->noted, 1));
    ck_assert_uint_eq((uint32_t)old.serial, (uint32_t)second->id.serial);
    ck_assert_int_eq(ostler_request_cancel(old), 0);
    ck_assert(harness_say(second->client, "x"));
    ck_assert_int_eq(actor_join(second), 1);
    ck_assert_int_eq(ostler_request_cancel((struct ostler_request_ref){ NULL, 1 }), -EINVAL);
    ck_assert_int_eq(ostler_request_cancel((struct ostler_request_ref){ old.reactor, 0 }), -EINVAL);
    ck_assert_uint_eq(ostler_request_id(NULL).serial, 0);
    ck_assert(!harness_log_has(&stage.h.log, cancelled_text));
    ck_assert_int_eq(stage_close(&stage), 0);
}
END_TEST

/* ---- A child that does not heed it ---- */

static int ignore_all(struct actor *self)
{
    harness_raise(&self->noted);
    while (pause() < 0)
        continue;
    return 0;
}

START_TEST(a_child_that_does_not_heed_it_is_killed)
{
    struct stage stage;
    struct actor *a;
    uint64_t before;

    stage_open(&stage, FORKING, NULL);
    a = actor_start(&stage, ignore_all, NULL);
    ck_assert_ptr_nonnull(a);
    ck_assert(harness_wait(&a->noted, 1));
    before = harness_now_ms();
    ck_assert_int_eq(ostler_request_cancel(a->id), 0);
    ck_assert(harness_log_wait(&stage.h.log, cancelled_text));
    ck_assert_uint_ge(harness_now_ms() - before, 249);
    ck_assert(harness_log_has(&stage.h.log, "was killed"));
    ck_assert(!harness_log_has(&stage.h.log, "error "));
    close(a->client);
    harness_unshare(a, sizeof(*a));
    ck_assert_int_eq(stage_close(&stage), 0);
}
END_TEST

/* Cancelled in each turn until it is gone. */
START_TEST(cancelling_a_child_again_does_not_put_that_off)
{
    uint64_t limit = harness_now_ms() + (uint64_t)harness_deadline_ms();
    struct stage stage;
    struct actor *a;

    stage_open(&stage, FORKING, NULL);
    a = actor_start(&stage, ignore_all, NULL);
    ck_assert_ptr_nonnull(a);
    ck_assert(harness_wait(&a->noted, 1));
    while (!harness_log_has(&stage.h.log, "was killed") && harness_now_ms() < limit) {
        ck_assert_int_eq(ostler_request_cancel(a->id), 0);
        poll(NULL, 0, 10);
    }
    ck_assert(harness_log_has(&stage.h.log, "was killed"));
    close(a->client);
    harness_unshare(a, sizeof(*a));
    ck_assert_int_eq(stage_close(&stage), 0);
}
END_TEST

/* ---- Those that do not run ---- */

static atomic_int handled, finished;
static _Atomic uint64_t serial;
static struct harness_event verified = HARNESS_EVENT;

static int park_after_a_line(struct ostler_stream *s)
{
    char line[32];
    ssize_t n = ostler_stream_read_line(s, line, sizeof(line));

    atomic_fetch_add(&handled, 1);
    atomic_store(&serial, ostler_request_id(s->request).serial);
    if (n <= 0)
        return (int)n;
    return ostler_stream_write(s, line, (size_t)n) < 0 ? -EPIPE : OSTLER_PARK;
}

static int count_finish(struct ostler_stream *s)
{
    (void)s;
    atomic_fetch_add(&finished, 1);
    return 0;
}

static const struct ostler_stream_handler parks = { .handle = park_after_a_line, .finish = count_finish };

static bool note_serial(struct ostler_server *s, const struct ostler_request *r)
{
    (void)s;
    atomic_store(&serial, ostler_request_id((struct ostler_request *)(uintptr_t)r).serial);
    harness_raise(&verified);
    return true;
}

static const struct ostler_mixin *const mixins[] = { NULL, &ostler_fibers, &ostler_threading };

static void start_parking(struct harness_server *h, int way, struct ostler_server_options options)
{
    static struct ostler_server_class class;

    class = ostler_tcp_server;
    class.verify_request = note_serial;
    atomic_store(&handled, 0);
    atomic_store(&finished, 0);
    verified = (struct harness_event)HARNESS_EVENT;
    options.address = "tcp:127.0.0.1:0";
    options.server_class = &class;
    options.mixin = mixins[way];
    harness_start(h, &options);
}

static int cancel(struct harness_server *h)
{
    return ostler_request_cancel(
        (struct ostler_request_ref){ ostler_server_reactor(h->server), atomic_load(&serial) });
}

START_TEST(one_that_is_parked)
{
    struct harness_server h;
    int client;

    start_parking(&h, _i, (struct ostler_server_options){ .stream = &parks });
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "hello\n"));
    ck_assert(harness_expect(client, "hello\n"));
    ck_assert_int_eq(cancel(&h), 0);
    ck_assert(harness_expect_end(client));
    ck_assert(harness_log_wait(&h.log, cancelled_text));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(atomic_load(&handled), 1);
    ck_assert_int_eq(atomic_load(&finished), 1);
}
END_TEST

START_TEST(one_whose_handler_has_not_begun)
{
    struct harness_server h;
    int client;

    start_parking(&h, _i, (struct ostler_server_options){ .stream = &parks, .defer = true });
    client = harness_connect(h.server);
    ck_assert(harness_wait(&verified, 1));
    ck_assert_int_eq(cancel(&h), 0);
    ck_assert(harness_expect_end(client));
    ck_assert(harness_log_wait(&h.log, cancelled_text));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(atomic_load(&handled), 0);
    ck_assert_int_eq(atomic_load(&finished), 0);
}
END_TEST

static int park(struct ostler_stream *s)
{
    char byte;
    ssize_t n = ostler_stream_read(s, &byte, 1);

    if (n <= 0)
        return (int)n;
    return ostler_stream_write(s, &byte, 1) < 0 ? -EPIPE : OSTLER_PARK;
}

static int never_finish(struct ostler_stream *s)
{
    (void)s;
    while (pause() < 0)
        continue;
    return 0;
}

static const struct ostler_stream_handler never_finishes = { .handle = park, .finish = never_finish };

/* The child that is to finish it is made after it was cancelled. */
START_TEST(a_later_child_that_does_not_heed_it_is_killed)
{
    static struct ostler_server_class class;
    struct harness_server h;
    int client;

    class = ostler_tcp_server;
    class.verify_request = note_serial;
    harness_start(&h, &(struct ostler_server_options){ .address = "tcp:127.0.0.1:0", .stream = &never_finishes,
                                                       .server_class = &class, .mixin = &ostler_forking });
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "x"));
    ck_assert(harness_expect(client, "x"));
    ck_assert_int_eq(cancel(&h), 0);
    ck_assert(harness_log_wait(&h.log, cancelled_text));
    ck_assert(harness_log_has(&h.log, "was killed"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* Answers datagrams, but "hold" only when it is told to go on. */
static int answer_datagram(struct ostler_stream *s)
{
    struct ostler_mailbox *gate = ostler_server_user(ostler_stream_server(s));
    char data[16] = "";
    ssize_t n = ostler_stream_read(s, data, sizeof(data) - 1);

    atomic_fetch_add(&handled, 1);
    if (n == 4 && memcmp(data, "hold", 4) == 0)
        ostler_mailbox_receive(gate, NULL, 0, OSTLER_NEVER);
    return n < 0 ? (int)n : ostler_stream_write(s, data, (size_t)n);
}

static const struct ostler_stream_handler datagrams = { .handle = answer_datagram };

static void start_datagrams(struct harness_server *h, int way, struct ostler_mailbox *gate)
{
    static struct ostler_server_class class;

    class = ostler_udp_server;
    class.verify_request = note_serial;
    atomic_store(&handled, 0);
    verified = (struct harness_event)HARNESS_EVENT;
    harness_start(h, &(struct ostler_server_options){ .address = "udp:127.0.0.1:0", .stream = &datagrams,
                                                      .server_class = &class, .mixin = mixins[way],
                                                      .max_requests = 1, .user = gate });
}

/* A UDP client of server, which waits a while at most. */
static int connect_datagrams(const struct ostler_server *server)
{
    struct timeval limit = { .tv_sec = harness_deadline_ms() / 1000 };
    struct sockaddr_in to;
    socklen_t size = sizeof(to);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (getsockname(ostler_server_fd(server, 0), (struct sockaddr *)&to, &size) == 0)
        connect(fd, (struct sockaddr *)&to, size);
    return fd;
}

START_TEST(a_datagram_that_waits_for_a_place)
{
    struct ostler_mailbox *gate;
    struct harness_server h;
    char answer[16];
    int client;

    ck_assert_int_eq(ostler_mailbox_new(&gate, NULL), 0);
    start_datagrams(&h, _i, gate);
    client = connect_datagrams(h.server);
    ck_assert(harness_say(client, "hold"));
    ck_assert(harness_wait(&verified, 1));
    ck_assert(harness_say(client, "never"));
    ck_assert(harness_wait(&verified, 2));
    ck_assert_int_eq(cancel(&h), 0);
    ck_assert(harness_say(client, "last"));
    ck_assert_int_eq(ostler_mailbox_send(gate, NULL, 0, OSTLER_NEVER), 0);
    ck_assert_int_eq(harness_receive_once(client, answer, sizeof(answer)), 4);
    ck_assert_mem_eq(answer, "hold", 4);
    ck_assert_int_eq(harness_receive_once(client, answer, sizeof(answer)), 4);
    ck_assert_mem_eq(answer, "last", 4);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(atomic_load(&handled), 2);
    ostler_mailbox_free(gate);
}
END_TEST

START_TEST(a_datagram_whose_handler_waits)
{
    struct ostler_mailbox *gate;
    struct harness_server h;
    char answer[16];
    int client;

    ck_assert_int_eq(ostler_mailbox_new(&gate, NULL), 0);
    start_datagrams(&h, _i, gate);
    client = connect_datagrams(h.server);
    ck_assert(harness_say(client, "hold"));
    ck_assert(harness_wait(&verified, 1));
    ck_assert_int_eq(cancel(&h), 0);
    ck_assert(harness_say(client, "last"));
    ck_assert_int_eq(harness_receive_once(client, answer, sizeof(answer)), 4);
    ck_assert_mem_eq(answer, "last", 4);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ostler_mailbox_free(gate);
}
END_TEST

/* ---- Evented connections ---- */

static struct ostler_request_ref conn_id;
static struct harness_event opened = HARNESS_EVENT, closed = HARNESS_EVENT;
static int close_reason, close_error, cancel_result;

static int on_open(struct ostler_conn *c)
{
    static const char data[4 << 20];

    conn_id = ostler_request_id(c->request);
    if (ostler_server_user(ostler_request_server(c->request)))
        ostler_conn_write(c, data, sizeof(data)); /* more than the kernel takes */
    harness_raise(&opened);
    return 0;
}

static void on_close(struct ostler_conn *c, enum ostler_close_reason reason, int error)
{
    (void)c;
    close_reason = (int)reason;
    close_error = error;
    harness_raise(&closed);
}

static const struct ostler_conn_handler evented = { .on_open = on_open, .on_close = on_close };

START_TEST(an_evented_one)
{
    struct harness_server h;
    char buffer[4096];
    ssize_t n;
    int client;

    opened = closed = (struct harness_event)HARNESS_EVENT;
    harness_start(&h, &(struct ostler_server_options){ .address = "tcp:127.0.0.1:0", .conn = &evented,
                                                       .max_output = 64 << 20, .user = _i ? &h : NULL });
    client = harness_connect_to(ostler_server_address(h.server, 0), 4096);
    ck_assert(harness_wait(&opened, 1));
    ck_assert_int_eq(ostler_request_cancel(conn_id), 0);
    ck_assert_int_eq(ostler_request_cancel(conn_id), 0);
    ck_assert(harness_wait(&closed, 1));
    ck_assert_int_eq(close_reason, OSTLER_CLOSE_CANCELLED);
    ck_assert_int_eq(close_error, -ECANCELED);
    while ((n = harness_receive_once(client, buffer, sizeof(buffer))) > 0)
        continue;
    ck_assert_int_eq(n, _i ? -ECONNRESET : 0);
    ck_assert(harness_log_wait(&h.log, cancelled_text));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&closed), 1);
}
END_TEST

static int write_and_close(struct ostler_conn *c)
{
    static const char data[4 << 20];

    ostler_conn_write(c, data, sizeof(data));
    ostler_conn_close(c);
    harness_raise(&opened);
    return 0;
}

static bool cancel_it(const struct ostler_request_info *info, void *arg)
{
    (void)arg;
    cancel_result = ostler_request_cancel(info->id);
    return false;
}

static void name_and_cancel(void *arg)
{
    ostler_server_requests(arg, cancel_it, NULL);
}

START_TEST(an_evented_one_that_waits_for_its_output_to_leave)
{
    static const struct ostler_conn_handler handler = { .on_open = write_and_close, .on_close = on_close };
    struct harness_server h;
    int client;

    opened = closed = (struct harness_event)HARNESS_EVENT;
    harness_start(&h, &(struct ostler_server_options){ .address = "tcp:127.0.0.1:0", .conn = &handler,
                                                       .max_output = 64 << 20 });
    client = harness_connect_to(ostler_server_address(h.server, 0), 4096);
    ck_assert(harness_wait(&opened, 1));
    ck_assert(harness_call(ostler_server_reactor(h.server), name_and_cancel, h.server));
    ck_assert_int_eq(cancel_result, 0);
    ck_assert(harness_wait(&closed, 1));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- Races with the end ---- */

enum { ROUNDS = 300, AIMS = 64, SHOTS = 8 };

static struct aim {
    pthread_mutex_t lock;
    struct ostler_request_ref ids[AIMS];
    unsigned next;
    bool over;
    struct harness_event more;
} aim = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = HARNESS_EVENT };

static int be_short(struct ostler_stream *s)
{
    char byte;
    ssize_t n;

    pthread_mutex_lock(&aim.lock);
    aim.ids[aim.next++ % AIMS] = ostler_request_id(s->request);
    pthread_mutex_unlock(&aim.lock);
    harness_raise(&aim.more);
    n = ostler_stream_read(s, &byte, 1);
    if (n > 0)
        n = ostler_sleep_ms(byte & 1);
    return n < 0 ? (int)n : byte & 3 ? ostler_stream_write(s, &byte, 1) : OSTLER_PARK;
}

static const struct ostler_stream_handler is_short = { .handle = be_short };

/* One of the last few, of which most have ended. False: the test is over. */
static bool take_aim(struct ostler_request_ref *out, unsigned *seed)
{
    bool more;

    pthread_mutex_lock(&aim.lock);
    *out = aim.ids[rand_r(seed) % AIMS];
    more = !aim.over;
    pthread_mutex_unlock(&aim.lock);
    return more;
}

/* Some shots for each that comes, so that the reactor is not kept from all else. */
static void *cancel_all(void *arg)
{
    struct ostler_request_ref id;
    unsigned seed = 1;

    (void)arg;
    for (int shot = 0; harness_wait(&aim.more, shot / SHOTS) && take_aim(&id, &seed); shot++)
        ostler_request_cancel(id);
    return NULL;
}

START_TEST(it_may_end_at_the_same_moment)
{
    struct harness_server h;
    pthread_t threads[2];
    char byte;

    memset(aim.ids, 0, sizeof(aim.ids));
    aim.over = false;
    aim.more = (struct harness_event)HARNESS_EVENT;
    harness_start(&h, &(struct ostler_server_options){
                          .address = "tcp:127.0.0.1:0", .stream = &is_short, .mixin = mixins[_i] });
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, cancel_all, NULL), 0);
    for (int i = 0; i < ROUNDS; i++) {
        int client = harness_connect(h.server);

        ck_assert_int_ge(client, 0);
        byte = (char)i;
        harness_send(client, &byte, 1);
        shutdown(client, i % 3 ? SHUT_WR : 0);
        if (i % 3)
            ck_assert_int_ne(harness_receive_once(client, &byte, 1), -ETIMEDOUT);
        close(client);
    }
    pthread_mutex_lock(&aim.lock);
    aim.over = true;
    pthread_mutex_unlock(&aim.lock);
    for (int i = 0; i < ROUNDS; i++) /* those that never began are not to be waited for */
        harness_raise(&aim.more);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    ostler_server_shutdown(h.server);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_msg(!harness_log_has(&h.log, "error "), "%.200s", strstr(h.log.text, "error "));
    harness_free(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cancel");
    TCase *running = harness_case(suite, "running"), *rest = harness_case(suite, "not running");
    TCase *races = harness_case(suite, "races");

    tcase_add_loop_test(running, whatever_it_waits_for, 0, 4 * WAITS);
    for (int way = INLINE; way < WAYS; way++)
        if (way != THREAD)
            tcase_add_loop_test(running, nothing_works_from_then_on, way, way + 1);
    for (int way = INLINE; way < WAYS; way++)
        if (way != THREAD)
            tcase_add_loop_test(running, from_inside_the_handler, way, way + 1);
    tcase_add_loop_test(running, a_name_that_is_old_names_nothing, INLINE, THREAD);
    tcase_add_test(running, a_child_that_does_not_heed_it_is_killed);
    tcase_add_test(running, cancelling_a_child_again_does_not_put_that_off);
    tcase_add_loop_test(rest, one_that_is_parked, 0, 3);
    tcase_add_loop_test(rest, one_whose_handler_has_not_begun, 0, 3);
    tcase_add_test(rest, a_later_child_that_does_not_heed_it_is_killed);
    tcase_add_loop_test(rest, a_datagram_that_waits_for_a_place, 0, 3);
    tcase_add_loop_test(rest, a_datagram_whose_handler_waits, 0, 3);
    tcase_add_loop_test(rest, an_evented_one, 0, 2);
    tcase_add_test(rest, an_evented_one_that_waits_for_its_output_to_leave);
    tcase_add_loop_test(races, it_may_end_at_the_same_moment, 0, 3);
    return harness_main(suite);
}
