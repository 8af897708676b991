/* ostler_wait_any() and ostler_sleep_ms(): the same for handlers under every mix-in and for
 * threads of the program. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ostler/sys/mixin.h>

#include "support/actor.h"

enum { SOON_MS = 50, AGES_MS = 60000 };

/* Does it come true that took ms: at least, and not much more? */
static bool took(uint64_t since, long ms)
{
    long passed = (long)(harness_now_ms() - since);

    return passed >= ms && passed <= ms + 500 * harness_slow();
}

static int check(bool as_it_should_be)
{
    return as_it_should_be ? 0 : -EBADMSG;
}

/* Let play run on a stage of its own, and do what the test's side has to do. */
static int perform(int way, const struct ostler_server_options *more, int (*play)(struct actor *self), void *arg,
                   void (*meanwhile)(struct actor *a))
{
    struct stage stage;
    struct actor *a;
    int result;

    stage_open(&stage, way, more);
    a = actor_start(&stage, play, arg);
    ck_assert_ptr_nonnull(a);
    if (meanwhile)
        meanwhile(a);
    result = actor_join(a);
    ck_assert_int_eq(stage_close(&stage), 0);
    return result;
}

/* ---- A stream ---- */

/* The line behind the first one came with it; and the answer leaves before the wait. */
static int read_two_lines(struct actor *self)
{
    struct ostler_wait wait = { .stream = self->stream, .events = OSTLER_READ };
    char line[16];

    ostler_stream_set_output_buffer(self->stream, 64);
    if (ostler_stream_read_line(self->stream, line, sizeof(line)) != 4)
        return -EBADMSG;
    if (ostler_wait_any(&wait, 1, OSTLER_NEVER) != 1 || wait.ready != OSTLER_READ)
        return -EBADMSG;
    if (ostler_stream_read_line(self->stream, line, sizeof(line)) != 4)
        return -EBADMSG;
    ostler_stream_printf(self->stream, "well?\n");
    if (ostler_wait_any(&wait, 1, OSTLER_NEVER) != 1 || wait.ready != OSTLER_READ)
        return -EBADMSG;
    return check(ostler_stream_read(self->stream, line, sizeof(line)) == 0);
}

static void say_two_lines(struct actor *a)
{
    ck_assert(harness_say(a->client, "one\ntwo\n"));
    ck_assert(harness_expect(a->client, "well?\n"));
    ck_assert(harness_is_silent(a->client));
    shutdown(a->client, SHUT_WR);
}

START_TEST(a_stream_is_ready_when_a_read_would_not_wait)
{
    ck_assert_int_eq(perform(_i, NULL, read_two_lines, NULL, say_two_lines), 0);
}
END_TEST

/* Two lines that came together are answered together; but who waits for room says what he has. */
static int answer_two_lines(struct actor *self)
{
    struct ostler_wait wait = { .stream = self->stream, .events = OSTLER_READ };
    char line[16];

    ostler_stream_set_output_buffer(self->stream, 64);
    if (ostler_stream_read_line(self->stream, line, sizeof(line)) != 4)
        return -EBADMSG;
    ostler_stream_printf(self->stream, "%s", line);
    if (ostler_wait_any(&wait, 1, OSTLER_NEVER) != 1 || !harness_is_silent(self->client))
        return -EBADMSG;
    wait.events = OSTLER_WRITE;
    if (ostler_wait_any(&wait, 1, OSTLER_NEVER) != 1 || harness_is_silent(self->client))
        return -EBADMSG;
    harness_raise(&self->noted);
    if (ostler_stream_read_line(self->stream, line, sizeof(line)) != 4)
        return -EBADMSG;
    ostler_stream_printf(self->stream, "%s", line);
    wait.events = OSTLER_READ;
    return check(ostler_wait_any(&wait, 1, OSTLER_NEVER) == 1);
}

static void hear_two_lines(struct actor *a)
{
    ck_assert(harness_say(a->client, "one\ntwo\n"));
    ck_assert(harness_wait(&a->noted, 1)); /* until then it is the handler that listens here */
    ck_assert(harness_expect(a->client, "one\ntwo\n"));
    shutdown(a->client, SHUT_WR);
}

START_TEST(what_is_gathered_stays_while_there_is_more_to_read)
{
    ck_assert_int_eq(perform(_i, NULL, answer_two_lines, NULL, hear_two_lines), 0);
}
END_TEST

static int ask_and_wait_at_its_socket(struct actor *self)
{
    struct ostler_wait wait = { .events = OSTLER_READ };
    char text[16];

    ostler_stream_set_output_buffer(self->stream, 64);
    ostler_stream_printf(self->stream, "well?\n");
    if (ostler_stream_socket(&wait.socket, self->stream) < 0)
        return -EBADMSG;
    if (ostler_wait_any(&wait, 1, OSTLER_NEVER) != 1 || wait.ready != OSTLER_READ)
        return -EBADMSG;
    return check(ostler_socket_recv(wait.socket, text, sizeof(text), 0) == 5);
}

static void answer_it(struct actor *a)
{
    ck_assert(harness_expect(a->client, "well?\n"));
    ck_assert(harness_say(a->client, "well\n"));
}

START_TEST(what_is_gathered_leaves_before_a_wait_at_the_streams_socket)
{
    ck_assert_int_eq(perform(_i, NULL, ask_and_wait_at_its_socket, NULL, answer_it), 0);
}
END_TEST

static int see_a_silent_peer(struct actor *self)
{
    struct ostler_wait wait = { .stream = self->stream, .events = OSTLER_READ, .ready = 77 };
    uint64_t before = harness_now_ms();

    ostler_stream_set_timeout(self->stream, SOON_MS);
    if (ostler_wait_any(&wait, 1, AGES_MS) != -ETIMEDOUT || !took(before, SOON_MS) || wait.ready != 77)
        return -EBADMSG;
    before = harness_now_ms();
    if (ostler_wait_any(&wait, 1, SOON_MS / 2) != 0 || !took(before, SOON_MS / 2) || wait.ready != 0)
        return -EBADMSG;
    before = harness_now_ms();
    ostler_stream_set_deadline(self->stream, SOON_MS);
    wait.events = 0;
    if (ostler_wait_any(&wait, 1, AGES_MS) != -ETIMEDOUT || !took(before, SOON_MS))
        return -EBADMSG;
    return check(ostler_wait_any(&wait, 1, 0) == -ETIMEDOUT && ostler_sleep_ms(1) == -ETIMEDOUT);
}

START_TEST(time_out_and_deadline_of_the_stream_count)
{
    ck_assert_int_eq(perform(_i, NULL, see_a_silent_peer, NULL, NULL), 0);
}
END_TEST

static int see_the_stop(struct actor *self)
{
    struct ostler_wait wait = { .stream = self->stream, .events = OSTLER_READ };
    char byte;

    harness_raise(&self->noted);
    if (ostler_wait_any(&wait, 1, OSTLER_NEVER) != 1 || wait.ready != OSTLER_READ)
        return -EBADMSG;
    if (ostler_wait_any(&wait, 1, OSTLER_NEVER) != 1 || ostler_stream_read(self->stream, &byte, 1) != 0)
        return -EBADMSG;
    wait.ready = 0;
    return check(ostler_wait_any(&wait, 1, 0) == 1 && wait.ready == OSTLER_READ);
}

START_TEST(a_graceful_stop_ends_the_input)
{
    struct stage stage;
    struct actor *a;

    stage_open(&stage, _i, NULL);
    a = actor_start(&stage, see_the_stop, NULL);
    ck_assert_ptr_nonnull(a);
    ck_assert(harness_wait(&a->noted, 1));
    ostler_server_shutdown(stage.h.server);
    ck_assert_int_eq(actor_join(a), 0);
    ck_assert_int_eq(stage_close(&stage), 0);
}
END_TEST

/* ---- A peer that falls silent or goes, however that is seen, is no error of the server's ---- */

static int read_lines(struct actor *self)
{
    char line[16];
    ssize_t n;

    ostler_stream_set_timeout(self->stream, SOON_MS);
    do
        n = ostler_stream_read_line(self->stream, line, sizeof(line));
    while (n > 0);
    return (int)n;
}

static int wait_for_its_peer(struct actor *self)
{
    struct ostler_wait wait = { .stream = self->stream, .events = OSTLER_READ };
    char line[16];
    int n;

    ostler_stream_set_timeout(self->stream, SOON_MS);
    while ((n = ostler_wait_any(&wait, 1, AGES_MS)) > 0)
        ostler_stream_read_line(self->stream, line, sizeof(line));
    return n;
}

static int wait_past_its_deadline(struct actor *self)
{
    struct ostler_wait wait = { .fd = -1 };

    ostler_stream_set_deadline(self->stream, SOON_MS);
    return ostler_wait_any(&wait, 1, AGES_MS);
}

static int sleep_past_its_deadline(struct actor *self)
{
    ostler_stream_set_deadline(self->stream, SOON_MS);
    return ostler_sleep_ms(AGES_MS);
}

static int receive_by_its_socket(struct actor *self)
{
    struct ostler_socket *s;
    char line[16];
    ssize_t n = ostler_stream_socket(&s, self->stream);

    ostler_socket_settimeout(s, SOON_MS / 1000.0);
    do
        n = n < 0 ? n : ostler_socket_recv(s, line, sizeof(line), 0);
    while (n > 0);
    return (int)n;
}

static int (*const silences[])(struct actor *self) = {
    read_lines, wait_for_its_peer, wait_past_its_deadline, sleep_past_its_deadline, receive_by_its_socket,
};

static void greet(struct actor *a)
{
    ck_assert(harness_say(a->client, "hello\n"));
}

/* Under each mix-in play fails with error, and that is told once, at level debug. */
static void expect_for_debugging(int (*play)(struct actor *self), void (*meanwhile)(struct actor *a), int error)
{
    static const int ways[] = { INLINE, FIBERS, THREADING, FORKING };

    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct stage stage;
        struct actor *a;

        stage_open(&stage, ways[i], &(struct ostler_server_options){ .name = "tested" });
        a = actor_start(&stage, play, NULL);
        ck_assert_ptr_nonnull(a);
        if (meanwhile)
            meanwhile(a);
        ck_assert_int_eq(actor_join(a), error);
        ck_assert(harness_log_wait(&stage.h.log, "request failed"));
        ck_assert_int_eq(harness_log_count(&stage.h.log, "request failed"), 1);
        if (!harness_log_has(&stage.h.log, "debug tested: ") || harness_log_has(&stage.h.log, "error tested: "))
            ck_abort_msg("way %d: %s", ways[i], stage.h.log.text);
        ck_assert_int_eq(stage_close(&stage), 0);
    }
}

START_TEST(a_silent_peer_is_a_line_for_debugging)
{
    expect_for_debugging(silences[_i], greet, -ETIMEDOUT);
}
END_TEST

/* The peer resets the connection, whoever else has its descriptor. */
static void reset_by_peer(const struct actor *self)
{
    const struct sockaddr nobody = { .sa_family = AF_UNSPEC };

    connect(self->client, &nobody, sizeof(nobody));
}

static int write_to_its_stream(struct actor *self)
{
    reset_by_peer(self);
    return ostler_stream_write(self->stream, "x", 1);
}

static int send_by_its_socket(struct actor *self)
{
    struct ostler_socket *s;
    int error = ostler_stream_socket(&s, self->stream);

    reset_by_peer(self);
    return error < 0 ? error : ostler_socket_sendall(s, "x", 1, 0);
}

static int send_file_by_its_socket(struct actor *self)
{
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct ostler_socket *s;
    off_t sent = ostler_stream_socket(&s, self->stream);

    reset_by_peer(self);
    if (sent == 0)
        sent = ostler_socket_sendfile(s, file, 0, 0);
    close(file);
    return (int)sent;
}

enum { PARTINGS = 3 };

static int (*const partings[PARTINGS])(struct actor *self) = {
    write_to_its_stream, send_by_its_socket, send_file_by_its_socket,
};

START_TEST(a_peer_that_has_gone_is_a_line_for_debugging)
{
    expect_for_debugging(partings[_i], NULL, -ECONNRESET);
}
END_TEST

/* ---- Parking in between ---- */

static int wait_and_park(struct ostler_stream *s)
{
    struct ostler_wait wait = { .mailbox = ostler_server_user(ostler_stream_server(s)), .events = OSTLER_READ };
    char byte;
    int n = ostler_wait_any(&wait, 1, 1); /* makes whatever it needs to be woken */

    if (n >= 0)
        n = (int)ostler_stream_read(s, &byte, 1);
    if (n > 0)
        n = ostler_stream_write(s, &byte, 1) < 0 ? -EPIPE : OSTLER_PARK;
    return n;
}

static const struct ostler_stream_handler waits_and_parks = { .handle = wait_and_park };

/* What else there is of descriptors must have gone before the two can be compared: the answer has come,
 * and the handler's end is seen when the server says that none runs. */
static void count_active(void *arg)
{
    struct { struct ostler_server *server; size_t active; } *count = arg;

    count->active = ostler_server_active(count->server);
}

static void await_none_active(struct ostler_server *server)
{
    struct { struct ostler_server *server; size_t active; } count = { server, 1 };
    uint64_t until = harness_now_ms() + (uint64_t)harness_deadline_ms();

    while (count.active > 0 && harness_now_ms() < until)
        ck_assert(harness_call(ostler_server_reactor(server), count_active, &count));
    ck_assert_uint_eq(count.active, 0);
}

START_TEST(who_parks_holds_no_descriptor_but_its_own)
{
    static const struct ostler_mixin *const mixins[] = { NULL, &ostler_fibers, &ostler_threading };
    struct harness_server h;
    struct ostler_mailbox *m;
    size_t before;
    int client;

    ck_assert_int_eq(ostler_mailbox_new(&m, NULL), 0);
    harness_start(&h, &(struct ostler_server_options){
                          .address = harness_address(), .stream = &waits_and_parks, .mixin = mixins[_i], .user = m });
    before = harness_descriptors();
    client = harness_connect(h.server);
    for (int i = 0; i < 3; i++) {
        ck_assert(harness_say(client, "x"));
        ck_assert(harness_expect(client, "x"));
    }
    await_none_active(h.server);
    ck_assert_uint_eq(harness_descriptors(), before + 2);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ostler_mailbox_free(m);
}
END_TEST

/* ---- A file that cannot be read ---- */

enum { APOLOGY = 500000 }; /* more than the client's kernel takes, as long as it does not read */

static int apologise(struct actor *self)
{
    static const char sorry[APOLOGY] = "sorry";
    struct ostler_wait wait = { .stream = self->stream, .events = OSTLER_READ };
    char path[] = "/tmp/ostler-test-XXXXXX";
    struct ostler_socket *s;
    int made = mkstemp(path), file = open(path, O_WRONLY | O_CLOEXEC);
    off_t sent = ostler_stream_socket(&s, self->stream);

    unlink(path);
    close(made);
    if (sent == 0 && ostler_wait_any(&wait, 1, OSTLER_NEVER) == 1) /* for what is never read */
        sent = ostler_socket_sendfile(s, file, 0, 1);
    close(file);
    return sent == -EBADF ? ostler_stream_write(self->stream, sorry, sizeof(sorry)) : -EBADMSG;
}

static void hear_all(struct actor *a)
{
    static char text[APOLOGY];

    greet(a);
    ck_assert(harness_wait(&a->ended, 1));
    await_none_active(a->stage->h.server);
    ck_assert_int_eq(harness_receive(a->client, text, sizeof(text)), APOLOGY);
    ck_assert(harness_expect_end(a->client));
}

START_TEST(an_error_of_the_file_leaves_the_connection_a_good_one)
{
    ck_assert_int_eq(perform(_i, NULL, apologise, NULL, hear_all), 0);
}
END_TEST

/* ---- Descriptors ---- */

enum { PIPES = 20 };

struct pipes {
    int ends[PIPES][2];
};

static void open_pipes(struct pipes *p)
{
    for (int i = 0; i < PIPES; i++)
        ck_assert_int_eq(pipe(p->ends[i]), 0);
}

static void close_pipes(struct pipes *p)
{
    for (int i = 0; i < PIPES; i++) {
        close(p->ends[i][0]);
        close(p->ends[i][1]);
    }
}

static int wait_for_pipes(struct actor *self)
{
    struct pipes *p = self->arg;
    struct ostler_wait waits[PIPES + 1] = { 0 }; /* the last one is of an end that was waited for already */
    char byte;
    int n;

    for (int i = 0; i <= PIPES; i++)
        waits[i] = (struct ostler_wait){ .fd = p->ends[i % PIPES][0], .events = OSTLER_READ };
    waits[3].events = 0;
    waits[4] = (struct ostler_wait){ .fd = -1 };
    harness_raise(&self->noted);
    for (int k = 0; k < 2; k++) {
        int at = k == 0 ? PIPES - 1 : 0, expected = k == 0 ? 1 : 2; /* one of the two is told, or both */

        n = ostler_wait_any(waits, PIPES + 1, OSTLER_NEVER);
        if (n < 1 || n > expected || (waits[at].ready | waits[at == 0 ? PIPES : at].ready) != OSTLER_READ ||
            read(waits[at].fd, &byte, 1) != 1)
            return -EBADMSG;
        harness_raise(&self->noted);
    }
    return check(ostler_wait_any(waits, PIPES + 1, 0) == 0 && waits[0].ready == 0);
}

static void write_to_pipes(struct actor *a)
{
    struct pipes *p = a->arg;

    ck_assert(harness_wait(&a->noted, 1));
    ck_assert_int_eq(write(p->ends[3][1], "x", 1), 1);
    ck_assert_int_eq(write(p->ends[PIPES - 1][1], "x", 1), 1);
    ck_assert(harness_wait(&a->noted, 2));
    ck_assert_int_eq(write(p->ends[0][1], "x", 1), 1);
}

START_TEST(any_of_many_descriptors_ends_the_wait)
{
    struct pipes p;

    open_pipes(&p);
    ck_assert_int_eq(perform(_i, NULL, wait_for_pipes, &p, write_to_pipes), 0);
    close_pipes(&p);
}
END_TEST

/* A file is as poll(2) says, and what is no descriptor any more is an error; the same for all. */
static int wait_for_strange_things(struct actor *self)
{
    char path[] = "/tmp/ostler-test-XXXXXX";
    int file = mkstemp(path), closed = dup(file);
    struct ostler_wait waits[2] = { { .fd = file, .events = OSTLER_READ }, { .fd = closed, .events = OSTLER_READ } };
    int of_file, of_closed, of_none;

    (void)self;
    unlink(path);
    close(closed);
    of_file = ostler_wait_any(waits, 1, OSTLER_NEVER);
    if (of_file != 1 || waits[0].ready != OSTLER_READ)
        return -EBADMSG;
    waits[0].ready = waits[1].ready = 77;
    of_closed = ostler_wait_any(waits, 2, AGES_MS);
    close(file);
    waits[1].fd = -1;
    of_none = ostler_wait_any(waits + 1, 1, 0);
    return check(of_closed == -EBADF && of_none == -EBADF && waits[0].ready == 77 && waits[1].ready == 77);
}

START_TEST(a_file_is_always_ready_and_a_closed_one_an_error)
{
    ck_assert_int_eq(perform(_i, NULL, wait_for_strange_things, NULL, NULL), 0);
}
END_TEST

static int wait_for_hangup(struct actor *self)
{
    int *ends = self->arg;
    struct ostler_wait waits[2] = { { .fd = ends[0], .events = OSTLER_READ }, { .fd = ends[0], .events = OSTLER_WRITE } };

    harness_raise(&self->noted);
    return check(ostler_wait_any(waits, 1, OSTLER_NEVER) == 1 && waits[0].ready == OSTLER_READ);
}

static void hang_up(struct actor *a)
{
    int *ends = a->arg;

    ck_assert(harness_wait(&a->noted, 1));
    close(ends[1]);
}

START_TEST(a_hangup_is_something_to_read)
{
    int ends[2];

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_eq(perform(_i, NULL, wait_for_hangup, ends, hang_up), 0);
    close(ends[0]);
}
END_TEST

static int read_a_byte(struct actor *self)
{
    struct ostler_wait wait = { .fd = *(int *)self->arg, .events = OSTLER_READ };
    char byte;
    int n;

    harness_raise(&self->noted);
    while ((n = ostler_wait_any(&wait, 1, OSTLER_NEVER)) == 1)
        if (read(wait.fd, &byte, 1) == 1)
            return byte - '0';
    return n < 0 ? n : -EBADMSG;
}

START_TEST(several_may_wait_for_one_descriptor)
{
    struct stage stage;
    struct actor *a[5];
    int ends[2], sum = 0;

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    stage_open(&stage, _i, NULL);
    for (int i = 0; i < 5; i++) {
        a[i] = actor_start(&stage, read_a_byte, ends);
        ck_assert_ptr_nonnull(a[i]);
        ck_assert(harness_wait(&a[i]->noted, 1));
    }
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(write(ends[1], &"12345"[i], 1), 1);
    for (int i = 0; i < 5; i++)
        sum += actor_join(a[i]);
    ck_assert_int_eq(sum, 15);
    ck_assert_int_eq(stage_close(&stage), 0);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

/* ---- A socket that is closed meanwhile ---- */

static int wait_for_a_socket(struct actor *self)
{
    struct ostler_wait waits[2] = { { .socket = self->arg, .events = OSTLER_READ, .ready = 77 }, { .events = 0 } };

    harness_raise(&self->noted);
    return ostler_wait_any(waits, 2, OSTLER_NEVER) == -EBADF && waits[0].ready == 77 ? -EBADF : -EBADMSG;
}

static int close_a_socket(struct actor *self)
{
    return ostler_socket_close(self->arg);
}

START_TEST(a_fiber_is_told_of_a_socket_that_another_one_closes)
{
    struct ostler_socket *ends[2];
    struct actor *waiting[2], *closing;
    struct stage stage;

    ck_assert_int_eq(ostler_socketpair(&ends[0], &ends[1], SOCK_STREAM), 0);
    stage_open(&stage, FIBERS, NULL);
    for (int i = 0; i < 2; i++) {
        waiting[i] = actor_start(&stage, wait_for_a_socket, ends[0]);
        ck_assert_ptr_nonnull(waiting[i]);
        ck_assert(harness_wait(&waiting[i]->noted, 1));
    }
    closing = actor_start(&stage, close_a_socket, ends[0]);
    ck_assert_ptr_nonnull(closing);
    ck_assert_int_eq(actor_join(closing), 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(actor_join(waiting[i]), -EBADF);
    ostler_socket_free(ends[0]); /* before the reactor, which must know no more of it */
    ck_assert_int_eq(stage_close(&stage), 0);
    ostler_socket_free(ends[1]);
}
END_TEST

/* ---- Several kinds ---- */

struct kinds {
    struct ostler_mailbox *mailbox, *full;
    struct ostler_socket *socket;
    int peer, pipe[2];
};

/* What is ready, a bit each; or -errno. */
static int wait_for_kinds(const struct kinds *k, struct ostler_stream *stream, long timeout_ms)
{
    struct ostler_wait waits[] = {
        { .mailbox = k->mailbox, .events = OSTLER_READ },
        { .socket = k->socket, .events = OSTLER_READ },
        { .fd = k->pipe[0], .events = OSTLER_READ },
        { .mailbox = k->full, .events = OSTLER_WRITE },
        { .stream = stream, .events = stream ? OSTLER_READ : 0, .fd = -1 },
    };
    int n = ostler_wait_any(waits, 5, timeout_ms), bits = 0;

    for (int i = 0; i < 5 && n >= 0; i++)
        bits |= waits[i].ready ? 1 << i : 0;
    return n < 0 ? n : bits;
}

static int wait_for_each_kind(struct actor *self)
{
    const struct kinds *k = self->arg;
    char bytes[2];

    for (int i = 0; i < (self->stream ? 5 : 4); i++) {
        harness_raise(&self->noted);
        if (wait_for_kinds(k, self->stream, OSTLER_NEVER) != 1 << i)
            return -EBADMSG;
        if (i == 0)
            ostler_mailbox_receive(k->mailbox, bytes, 2, 0);
        if (i == 1)
            ostler_socket_recv(k->socket, bytes, 2, 0);
        if (i == 2 && read(k->pipe[0], bytes, 2) != 1)
            return -EBADMSG;
        if (i == 3)
            ostler_mailbox_send(k->full, "x", 1, 0);
    }
    return check(wait_for_kinds(k, NULL, 0) == 0);
}

static void give_each_kind(struct actor *a)
{
    struct kinds *k = a->arg;
    char byte;

    for (int i = 0; i < (a->client < 0 ? 4 : 5); i++) {
        ck_assert(harness_wait(&a->noted, i + 1));
        if (i == 0)
            ck_assert_int_eq(ostler_mailbox_send(k->mailbox, "x", 1, 0), 0);
        if (i == 1)
            ck_assert_int_eq(send(k->peer, "x", 1, 0), 1);
        if (i == 2)
            ck_assert_int_eq(write(k->pipe[1], "x", 1), 1);
        if (i == 3)
            ck_assert_int_eq(ostler_mailbox_receive(k->full, &byte, 1, 0), 1);
        if (i == 4)
            ck_assert(harness_say(a->client, "x"));
    }
}

static void open_kinds(struct kinds *k)
{
    int ends[2];

    ck_assert_int_eq(ostler_mailbox_new(&k->mailbox, NULL), 0);
    ck_assert_int_eq(ostler_mailbox_new(&k->full, &(struct ostler_mailbox_options){ .capacity = 1 }), 0);
    ck_assert_int_eq(ostler_mailbox_send(k->full, "x", 1, 0), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ck_assert_int_eq(ostler_socket_from_fd(&k->socket, ends[0]), 0);
    k->peer = ends[1];
    ck_assert_int_eq(pipe2(k->pipe, O_CLOEXEC), 0);
}

static void close_kinds(struct kinds *k)
{
    close(k->pipe[0]);
    close(k->pipe[1]);
    ostler_socket_free(k->socket);
    close(k->peer);
    ostler_mailbox_free(k->mailbox);
    ostler_mailbox_free(k->full);
}

START_TEST(each_kind_of_thing_ends_the_wait)
{
    struct kinds k;

    open_kinds(&k);
    ck_assert_int_eq(perform(_i, NULL, wait_for_each_kind, &k, give_each_kind), 0);
    close_kinds(&k);
}
END_TEST

static int ask_wrongly(struct actor *self)
{
    struct ostler_wait none = { .fd = 0 }, bad = { .fd = 0, .events = 4 };
    struct ostler_wait foreign = { .stream = (struct ostler_stream *)(void *)&self, .events = OSTLER_READ };
    struct ostler_request *nothing = NULL;

    if (ostler_wait_any(NULL, 1, 0) != -EINVAL || ostler_wait_any(&bad, 1, 0) != -EINVAL ||
        ostler_wait_any(&none, 1, -2) != -EINVAL || ostler_wait_any(&none, 1, OSTLER_NEVER) != -EINVAL ||
        ostler_wait_any(NULL, 0, OSTLER_NEVER) != -EINVAL || ostler_sleep_ms(-1) != -EINVAL)
        return -EBADMSG;
    foreign.stream = &(struct ostler_stream){ .request = nothing };
    if (self->stream && ostler_wait_any(&foreign, 1, 0) != -EINVAL)
        return -EBADMSG;
    return check(ostler_wait_any(NULL, 0, 1) == 0 && ostler_wait_any(&none, 1, 0) == 0);
}

START_TEST(wrong_questions_get_no_answer)
{
    ck_assert_int_eq(perform(_i, NULL, ask_wrongly, NULL, NULL), 0);
}
END_TEST

static int in_callback[3];

static void wait_in_callback(void *arg)
{
    const struct kinds *k = arg;

    in_callback[0] = wait_for_kinds(k, NULL, 0);
    in_callback[1] = wait_for_kinds(k, NULL, 1);
    in_callback[2] = ostler_sleep_ms(1);
}

START_TEST(a_callback_may_only_look)
{
    struct stage stage;
    struct kinds k;

    open_kinds(&k);
    stage_open(&stage, FIBERS, NULL);
    ck_assert_int_eq(ostler_mailbox_send(k.mailbox, "x", 1, 0), 0);
    ck_assert(harness_call(ostler_server_reactor(stage.h.server), wait_in_callback, &k));
    ck_assert_int_eq(in_callback[0], 1);
    ck_assert_int_eq(in_callback[1], -EDEADLK);
    ck_assert_int_eq(in_callback[2], -EDEADLK);
    ck_assert_int_eq(stage_close(&stage), 0);
    close_kinds(&k);
}
END_TEST

/* ---- Sleep ---- */

static int sleep_a_while(struct actor *self)
{
    uint64_t before = harness_now_ms();

    (void)self;
    return check(ostler_sleep_ms(0) == 0 && ostler_sleep_ms(SOON_MS) == 0 && took(before, SOON_MS));
}

START_TEST(sleep_lasts_as_long_as_it_should)
{
    ck_assert_int_eq(perform(_i, NULL, sleep_a_while, NULL, NULL), 0);
}
END_TEST

/* A message that comes just when the wait for it is given up is not to end the next sleep. */
static int sleep_between(struct actor *self)
{
    char byte;

    for (int i = 0; i < 200; i++) {
        uint64_t before;

        ostler_mailbox_receive(self->arg, &byte, 1, 1);
        before = harness_now_ms();
        if (ostler_sleep_ms(2) < 0 || harness_now_ms() - before < 2)
            return -EBADMSG;
    }
    ostler_mailbox_close(self->arg);
    return 0;
}

static void knock(struct actor *a)
{
    while (ostler_mailbox_send(a->arg, "x", 1, 0) == 0)
        ostler_sleep_ms(1);
}

START_TEST(a_late_message_ends_no_sleep)
{
    struct ostler_mailbox *m;

    ck_assert_int_eq(ostler_mailbox_new(&m, &(struct ostler_mailbox_options){
                                                .capacity = 1, .full = OSTLER_FULL_DROP_OLDEST }), 0);
    ck_assert_int_eq(perform(_i, NULL, sleep_between, m, knock), 0);
    ostler_mailbox_free(m);
}
END_TEST

/* ---- A handler that makes others go on is still itself afterwards ---- */

static int wait_for_the_stop(struct actor *self)
{
    char byte;

    return (int)ostler_stream_read(self->stream, &byte, 1);
}

static int stop_the_others(struct actor *self)
{
    int error = ostler_server_stop(ostler_stream_server(self->stream));

    if (error < 0)
        return error;
    return ostler_request_current() == self->stream->request ? ostler_sleep_ms(1) : -EBADMSG;
}

START_TEST(who_stops_others_goes_on_as_itself)
{
    struct stage stage;
    struct actor *others[3], *stopper;

    stage_open(&stage, FIBERS, NULL);
    for (int i = 0; i < 3; i++) {
        others[i] = actor_start(&stage, wait_for_the_stop, NULL);
        ck_assert_ptr_nonnull(others[i]);
    }
    stopper = actor_start(&stage, stop_the_others, NULL);
    ck_assert_ptr_nonnull(stopper);
    ck_assert_int_eq(actor_join(stopper), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(actor_join(others[i]), 0);
    ck_assert_int_eq(stage_close(&stage), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wait");
    TCase *stream = harness_case(suite, "a stream"), *things = harness_case(suite, "things");
    TCase *time = harness_case(suite, "sleep");

    for (int way = INLINE; way < WAYS; way++) {
        if (way != THREAD) {
            tcase_add_loop_test(stream, a_stream_is_ready_when_a_read_would_not_wait, way, way + 1);
            tcase_add_loop_test(stream, what_is_gathered_stays_while_there_is_more_to_read, way, way + 1);
            tcase_add_loop_test(stream, what_is_gathered_leaves_before_a_wait_at_the_streams_socket, way, way + 1);
            tcase_add_loop_test(stream, an_error_of_the_file_leaves_the_connection_a_good_one, way, way + 1);
            tcase_add_loop_test(stream, time_out_and_deadline_of_the_stream_count, way, way + 1);
            tcase_add_loop_test(stream, a_graceful_stop_ends_the_input, way, way + 1);
        }
    }
    tcase_add_loop_test(stream, a_silent_peer_is_a_line_for_debugging, 0, sizeof(silences) / sizeof(silences[0]));
    tcase_add_loop_test(stream, a_peer_that_has_gone_is_a_line_for_debugging, 0, PARTINGS);
    tcase_add_loop_test(stream, who_parks_holds_no_descriptor_but_its_own, 0, 3);
    tcase_add_test(stream, who_stops_others_goes_on_as_itself);
    tcase_add_loop_test(things, any_of_many_descriptors_ends_the_wait, INLINE, WAYS);
    tcase_add_loop_test(things, a_file_is_always_ready_and_a_closed_one_an_error, INLINE, WAYS);
    tcase_add_loop_test(things, a_hangup_is_something_to_read, INLINE, FORKING);
    tcase_add_loop_test(things, several_may_wait_for_one_descriptor, FIBERS, WAYS);
    tcase_add_test(things, a_fiber_is_told_of_a_socket_that_another_one_closes);
    tcase_add_loop_test(things, each_kind_of_thing_ends_the_wait, INLINE, FORKING);
    tcase_add_loop_test(things, wrong_questions_get_no_answer, INLINE, WAYS);
    tcase_add_test(things, a_callback_may_only_look);
    tcase_add_loop_test(time, sleep_lasts_as_long_as_it_should, INLINE, WAYS);
    tcase_add_loop_test(time, a_late_message_ends_no_sleep, INLINE, FORKING);
    return harness_main(suite);
}
