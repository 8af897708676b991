/* Datagrams for straight-line handlers: what a stream promises holds for them, too. */
#include "support/matrix.h"

#include <errno.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Every mix-in, on UDP and on Unix datagrams. */
enum { DATAGRAMS = 2 * MIXINS };

static void note_error(struct ostler_server *s, struct ostler_request *r, int error)
{
    (void)s;
    (void)r;
    matrix_seen()->error = error;
    harness_raise(&matrix_seen()->failed);
}

static const struct ostler_server_class noting = { .handle_error = note_error };

static struct ostler_server_options options_for(int index, const struct ostler_stream_handler *handler)
{
    struct matrix_row row = matrix_row_at(index % MIXINS + (index < MIXINS ? 1 : 3) * MIXINS);

    return (struct ostler_server_options){
        .name = row.word,
        .address = row.address,
        .stream = handler,
        .mixin = row.mixin,
        .server_class = &noting,
    };
}

/* A server, and a client of it. */
static int begin(struct harness_server *h, const struct ostler_server_options *options)
{
    int client;

    matrix_enter();
    harness_start(h, options);
    client = matrix_connect(h->server);
    ck_assert_int_ge(client, 0);
    return client;
}

static void end(struct harness_server *h, int client)
{
    close(client);
    ck_assert_int_eq(harness_stop(h), 0);
    ck_assert(matrix_leave());
}

/* ---- The reply ---- */

enum { LARGE = 128 << 10 };

static const char block[10000];
static char received[65536];

/* 10,000 bytes at a time until there is an error, which is told at the end. */
static int write_all(struct ostler_stream *s)
{
    int error = 0;

    for (int i = 0; error == 0 && i < 10; i++)
        error = ostler_stream_write(s, block, sizeof(block));
    return error;
}

static int gather_all(struct ostler_stream *s)
{
    int error = ostler_stream_set_output_buffer(s, LARGE);

    return error < 0 ? error : write_all(s);
}

static const struct ostler_stream_handler gatherers[] = {
    { .handle = write_all },
    { .handle = write_all, .output_buffer = 4096 },
    { .handle = write_all, .output_buffer = LARGE },
    { .handle = gather_all },
};

enum { GATHERERS = sizeof(gatherers) / sizeof(gatherers[0]) };

START_TEST(a_write_that_is_too_long_says_so_whatever_is_gathered)
{
    struct ostler_server_options options = options_for(_i / GATHERERS, &gatherers[_i % GATHERERS]);
    struct harness_server h;
    int client = begin(&h, &options);

    ck_assert(harness_say(client, "?"));
    ck_assert_int_eq(harness_receive_once(client, received, sizeof(received)), 60000); /* what did fit */
    ck_assert(harness_wait(&matrix_seen()->failed, 1));
    ck_assert_int_eq(matrix_seen()->error, -EMSGSIZE);
    end(&h, client);
}
END_TEST

/* ---- The deadline ---- */

/* All of it is late. */
static int try_late(struct ostler_stream *s)
{
    char byte, line[8];
    int error = ostler_stream_set_deadline(s, 0);

    if (error == 0 && ostler_stream_read(s, &byte, 1) == -ETIMEDOUT &&
        ostler_stream_read_line(s, line, sizeof(line)) == -ETIMEDOUT)
        error = ostler_stream_write(s, "late", 4);
    return error;
}

/* All but the reply's leaving is in time. */
static int finish_late(struct ostler_stream *s)
{
    int error = ostler_stream_write(s, "late", 4);

    return error < 0 ? error : ostler_stream_set_deadline(s, 0);
}

static const struct ostler_stream_handler late[] = { { .handle = try_late }, { .handle = finish_late } };

START_TEST(past_its_deadline_everything_fails)
{
    struct ostler_server_options options = options_for(_i / 2, &late[_i % 2]);
    struct harness_server h;
    int client = begin(&h, &options);

    ck_assert(harness_say(client, "?\n"));
    ck_assert(harness_wait(&matrix_seen()->failed, 1));
    ck_assert_int_eq(matrix_seen()->error, -ETIMEDOUT);
    ck_assert(harness_is_silent(client));
    ck_assert_uint_eq(ostler_server_dropped(h.server), 0);
    end(&h, client);
}
END_TEST

static int silent_handle(struct ostler_stream *s)
{
    int error = ostler_stream_no_reply(s);

    if (error == 0)
        error = ostler_stream_set_deadline(s, 0);
    harness_raise(&matrix_seen()->handled);
    return error;
}

static const struct ostler_stream_handler silent = { .handle = silent_handle };

START_TEST(who_owes_no_reply_is_not_late)
{
    struct ostler_server_options options = options_for(_i, &silent);
    struct harness_server h;
    int client = begin(&h, &options);

    ck_assert(harness_say(client, "?"));
    ck_assert(harness_wait(&matrix_seen()->handled, 1));
    ostler_server_shutdown(h.server);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(harness_count(&matrix_seen()->failed), 0);
    harness_free(&h);
    close(client);
    ck_assert(matrix_leave());
}
END_TEST

/* What comes now has waited past its deadline by the time that it has a place. */
static bool verify_slowly(struct ostler_server *s, const struct ostler_request *r)
{
    uint64_t until = harness_now_ms() + (uint64_t)ostler_server_options_of(s)->deadline_ms + 1;

    (void)r;
    while (harness_now_ms() < until)
        continue;
    return true;
}

static const struct ostler_server_class slow = { .verify_request = verify_slowly, .handle_error = note_error };

static int note_handle(struct ostler_stream *s)
{
    (void)s;
    harness_raise(&matrix_seen()->handled);
    return 0;
}

static int note_setup(struct ostler_stream *s)
{
    (void)s;
    harness_raise(&matrix_seen()->set_up);
    return 0;
}

static const struct ostler_stream_handler noted = { .setup = note_setup, .handle = note_handle };

START_TEST(one_that_waited_past_its_deadline_is_not_begun)
{
    struct ostler_server_options options = options_for(_i, &noted);
    struct harness_server h;
    int client;

    options.server_class = &slow;
    options.deadline_ms = 2;
    client = begin(&h, &options);
    ck_assert(harness_say(client, "?"));
    ck_assert(harness_wait(&matrix_seen()->failed, 1));
    ck_assert_int_eq(matrix_seen()->error, -ETIMEDOUT);
    ck_assert_int_eq(harness_count(&matrix_seen()->handled) + harness_count(&matrix_seen()->set_up), 0);
    ck_assert(harness_is_silent(client));
    end(&h, client);
}
END_TEST

/* ---- Its bytes ---- */

static bool is_hello(const struct ostler_request *r)
{
    size_t n = 0;
    const char *data = ostler_request_data(r, &n);

    return data && n == 6 && memcmp(data, "hello\n", n) == 0;
}

static void look(struct harness_event *event, const struct ostler_request *r)
{
    if (is_hello(r))
        harness_raise(event);
}

static bool look_at_first(struct ostler_server *s, const struct ostler_request *r)
{
    (void)s;
    look(&matrix_seen()->verified, r);
    return true;
}

static void look_at_error(struct ostler_server *s, struct ostler_request *r, int error)
{
    (void)s;
    (void)error;
    look(&matrix_seen()->failed, r);
}

static void look_at_shutdown(struct ostler_server *s, struct ostler_request *r)
{
    (void)s;
    look(&matrix_seen()->shut, r);
}

static void look_at_close(struct ostler_server *s, struct ostler_request *r)
{
    (void)s;
    look(&matrix_seen()->closed, r);
}

static const struct ostler_server_class looking = {
    .verify_request = look_at_first,
    .handle_error = look_at_error,
    .shutdown_request = look_at_shutdown,
    .close_request = look_at_close,
};

static int read_and_fail(struct ostler_stream *s)
{
    char line[16];
    ssize_t n = ostler_stream_read_line(s, line, 4); /* a part, */

    if (n > 0)
        n = ostler_stream_read_line(s, line, sizeof(line)); /* the rest, */
    if (n > 0)
        n = ostler_stream_read_line(s, line, sizeof(line)); /* and the end */
    look(&matrix_seen()->handled, s->request);
    return n < 0 ? (int)n : -EXDEV;
}

static const struct ostler_stream_handler reading = { .handle = read_and_fail };

START_TEST(its_bytes_are_there_for_every_slot)
{
    struct ostler_server_options options = options_for(_i, &reading);
    struct matrix_notes *notes;
    struct harness_server h;
    int client;

    options.server_class = &looking;
    client = begin(&h, &options);
    notes = matrix_seen();
    ck_assert(harness_say(client, "hello\n"));
    ck_assert(harness_wait(&notes->verified, 1));
    ck_assert(harness_wait(&notes->handled, 1));
    ck_assert(harness_wait(&notes->failed, 1));
    ck_assert(harness_wait(&notes->shut, 1));
    ck_assert(harness_wait(&notes->closed, 1));
    end(&h, client);
}
END_TEST

/* ---- Who cannot be answered ---- */

static int answer(struct ostler_stream *s)
{
    return ostler_stream_write(s, "x", 1);
}

static int answer_datagram(struct ostler_datagram *d)
{
    return ostler_datagram_reply(d, "x", 1);
}

static const struct ostler_stream_handler answering = { .handle = answer };
static const struct ostler_datagram_handler answering_datagram = { .on_datagram = answer_datagram };

/* Each mix-in, and evented. */
START_TEST(a_peer_without_a_name_is_an_error_and_no_loss)
{
    struct ostler_server_options options = options_for(MIXINS + _i % MIXINS, &answering);
    int nameless = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), client;
    const struct sockaddr *to;
    struct harness_server h;
    socklen_t length;

    if (_i == MIXINS) {
        options.stream = NULL;
        options.mixin = NULL;
        options.datagram = &answering_datagram;
    }
    client = begin(&h, &options);
    to = ostler_address_sockaddr(ostler_server_address(h.server, 0), &length);
    ck_assert_int_eq(sendto(nameless, "?", 1, 0, to, length), 1);
    ck_assert(harness_wait(&matrix_seen()->failed, 1));
    ck_assert_int_eq(matrix_seen()->error, -EDESTADDRREQ);
    ck_assert(matrix_ask(client, "?", "x"));
    ostler_server_shutdown(h.server);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_uint_eq(ostler_server_dropped(h.server), 0);
    harness_free(&h);
    close(nameless);
    close(client);
    ck_assert(matrix_leave());
}
END_TEST

/* ---- Sockets that have had an owner ---- */

static int echo(struct ostler_stream *s)
{
    char bytes[1000];
    ssize_t n = ostler_stream_read(s, bytes, sizeof(bytes));

    return n > 0 ? ostler_stream_write(s, bytes, (size_t)n) : (int)n;
}

static const struct ostler_stream_handler echoing = { .handle = echo };

/* A UDP socket, and its address. */
static int own_socket(struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t length = sizeof(*address);

    *address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    ck_assert_int_eq(bind(fd, (struct sockaddr *)address, length), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)address, &length), 0);
    return fd;
}

static int set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value));
}

static struct ostler_server_options inherit(int index, int fd)
{
    static char text[16];
    struct ostler_server_options options = options_for(index, &echoing);

    snprintf(text, sizeof(text), "fd:%d", fd);
    options.address = text;
    return options;
}

START_TEST(datagrams_are_neither_joined_nor_cut_nor_kept)
{
    struct sockaddr_in address;
    int fd = own_socket(&address), client;
    struct ostler_server_options options = inherit(_i, fd);
    struct harness_server h;

    ck_assert_int_eq(set(fd, IPPROTO_UDP, UDP_GRO, 1), 0);
    ck_assert_int_eq(set(fd, IPPROTO_UDP, UDP_SEGMENT, 70), 0);
    ck_assert_int_eq(set(fd, IPPROTO_UDP, UDP_CORK, 1), 0);
    client = begin(&h, &options);
    ck_assert_int_eq(set(client, IPPROTO_UDP, UDP_SEGMENT, 100), 0);
    ck_assert_int_eq(send(client, block, 500, 0), 500); /* which are five */
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(harness_receive_once(client, received, sizeof(received)), 100);
    end(&h, client);
}
END_TEST

/* Is something in the queue that makes a socket readable until it is taken (MSG_ERRQUEUE, recv(2))? */
static bool has_errors(int fd)
{
    return recv(fd, received, sizeof(received), MSG_DONTWAIT | MSG_ERRQUEUE) >= 0;
}

START_TEST(times_of_sending_are_not_kept)
{
    int flags = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_SOFTWARE;
    struct sockaddr_in address;
    int fd = own_socket(&address), client;
    struct ostler_server_options options = inherit(_i, fd);
    struct harness_server h;

    ck_assert_int_eq(set(fd, SOL_SOCKET, SO_TIMESTAMPING, flags), 0);
    ck_assert_int_eq(sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof(address)), 1);
    ck_assert_int_eq(recv(fd, received, sizeof(received), 0), 1); /* its former owner has left its time behind */
    client = begin(&h, &options);
    ck_assert(matrix_ask(client, "?", "?"));
    ck_assert(!has_errors(fd));
    end(&h, client);
}
END_TEST

START_TEST(what_its_former_owner_lost_is_not_counted)
{
    struct sockaddr_in address;
    int fd = own_socket(&address), sender = own_socket(&(struct sockaddr_in){ 0 }), client;
    struct ostler_server_options options = inherit(_i, fd);
    struct harness_server h;

    ck_assert_int_eq(set(fd, SOL_SOCKET, SO_RCVBUF, 1), 0); /* the least */
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(sendto(sender, block, 1000, 0, (struct sockaddr *)&address, sizeof(address)), 1000);
    while (recv(fd, received, sizeof(received), MSG_DONTWAIT) >= 0)
        continue;
    close(sender);
    client = begin(&h, &options);
    ck_assert(matrix_ask(client, "?", "?"));
    ck_assert_uint_eq(ostler_server_dropped(h.server), 0);
    ostler_server_shutdown(h.server);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_uint_eq(ostler_server_dropped(h.server), 0);
    harness_free(&h);
    close(client);
    ck_assert(matrix_leave());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("packet");
    TCase *tc = harness_case(suite, "packet");

    tcase_add_loop_test(tc, a_write_that_is_too_long_says_so_whatever_is_gathered, 0, DATAGRAMS * GATHERERS);
    tcase_add_loop_test(tc, past_its_deadline_everything_fails, 0, DATAGRAMS * 2);
    tcase_add_loop_test(tc, who_owes_no_reply_is_not_late, 0, DATAGRAMS);
    tcase_add_loop_test(tc, one_that_waited_past_its_deadline_is_not_begun, 0, DATAGRAMS);
    tcase_add_loop_test(tc, its_bytes_are_there_for_every_slot, 0, DATAGRAMS);
    tcase_add_loop_test(tc, a_peer_without_a_name_is_an_error_and_no_loss, 0, MIXINS + 1);
    tc = harness_case(suite, "inherited");
    tcase_add_loop_test(tc, datagrams_are_neither_joined_nor_cut_nor_kept, 0, MIXINS);
    tcase_add_loop_test(tc, times_of_sending_are_not_kept, 0, MIXINS);
    tcase_add_loop_test(tc, what_its_former_owner_lost_is_not_counted, 0, MIXINS);
    return harness_main(suite);
}
