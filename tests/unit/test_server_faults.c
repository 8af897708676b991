/* Servers when the system fails them: each system call and each allocation of the library fails
 * once, in turn: while a server is made, and while it serves. What fails is told, the next
 * request is served, and no descriptor is left. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/faults.h"
#include "support/harness.h"

/* ---- More of the system ---- */

WRAP(int, accept4, (int a, struct sockaddr *b, socklen_t *c, int d), (a, b, c, d), EMFILE, -1)
WRAP(int, recvmmsg, (int a, struct mmsghdr *b, unsigned c, int d, struct timespec *e), (a, b, c, d, e), ENOMEM, -1)
WRAP(int, sendmmsg, (int a, struct mmsghdr *b, unsigned c, int d), (a, b, c, d), ENOBUFS, -1)
WRAP(void *, realloc, (void *a, size_t b), (a, b), ENOMEM, NULL)
WRAP(char *, strdup, (const char *a), (a), ENOMEM, NULL)
WRAP(void *, mmap, (void *a, size_t b, int c, int d, int e, off_t f), (a, b, c, d, e, f), ENOMEM, MAP_FAILED)
WRAP(pid_t, fork, (void), (), EAGAIN, -1)
WRAP(int, pthread_create, (pthread_t * a, const pthread_attr_t *b, void *(*c)(void *), void *d), (a, b, c, d), EAGAIN,
     EAGAIN)
WRAP(struct event_config *, event_config_new, (void), (), ENOMEM, NULL)
WRAP(struct event_base *, event_base_new_with_config, (const struct event_config *a), (a), ENOMEM, NULL)

/* ---- Servers ---- */

enum { MOST_CALLS = 200 };

static int say(struct ostler_stream *s)
{
    char line[16];
    ssize_t n = ostler_stream_read_line(s, line, sizeof(line));

    return n < 0 ? (int)n : ostler_stream_printf(s, "%s", n > 0 ? line : "");
}

static ssize_t on_data(struct ostler_conn *c, const void *data, size_t n)
{
    int error = ostler_conn_write(c, data, n);

    return error < 0 ? error : (ssize_t)n;
}

static int on_datagram(struct ostler_datagram *d)
{
    return ostler_datagram_reply(d, ostler_datagram_data(d), ostler_datagram_length(d));
}

static const struct ostler_stream_handler stream = { .handle = say };
static const struct ostler_conn_handler conn = { .on_data = on_data };
static const struct ostler_datagram_handler datagram = { .on_datagram = on_datagram };

static const struct {
    const struct ostler_stream_handler *stream;
    const struct ostler_mixin *mixin;
} ways[] = {
    { NULL, NULL }, { &stream, NULL }, { &stream, &ostler_threading }, { &stream, &ostler_forking },
    { &stream, &ostler_fibers },
};

static const char *const addresses[] = { "tcp:127.0.0.1:0", "udp:127.0.0.1:0", "unix:/tmp/ostler-faults",
                                         "unixgram:/tmp/ostler-faults", "tcp:*:0" };

enum { WAYS = sizeof(ways) / sizeof(ways[0]), ADDRESSES = sizeof(addresses) / sizeof(addresses[0]) };

static struct harness_log log_;

static struct ostler_server_options options_of(int i)
{
    struct ostler_server_options o = {
        .address = addresses[i % ADDRESSES], .stream = ways[i / ADDRESSES].stream, .mixin = ways[i / ADDRESSES].mixin,
        .request_timeout_ms = 300, .log = &log_.log,
    };

    if (!o.stream) {
        o.conn = &conn;
        o.datagram = &datagram;
    }
    return o;
}

/* As often as something fails, the error is told, and nothing is left; in the end nothing does. */
START_TEST(a_server_that_cannot_be_made_leaves_nothing)
{
    struct ostler_server_options o = options_of(_i);
    int count = 0;

    harness_log_init(&log_);
    for (int error = -1; error < 0; count++) {
        struct ostler_server *s = NULL;
        size_t before = harness_descriptors();

        ck_assert_int_lt(count, MOST_CALLS);
        failed = 0;
        left = count + 1;
        error = ostler_server_new(&s, &o, NULL);
        left = 0;
        ck_assert_msg(error < 0 ? failed && !s : s != NULL, "call %d: %d", count + 1, error);
        if (error == 0 && failed)
            error = -EAGAIN; /* one that it could do without: on */
        ostler_server_free(s);
        ck_assert_uint_eq(harness_descriptors(), before);
        ck_assert_int_ne(access("/tmp/ostler-faults", F_OK), 0);
    }
    ck_assert_int_gt(count, 5);
    harness_log_fini(&log_);
}
END_TEST

static void ask(int client)
{
    ck_assert(harness_say(client, "hello\n"));
    shutdown(client, SHUT_WR); /* an evented connection ends by that */
}

/* One request, of which the n-th call fails, and one of which none does. Return whether there was an
 * n-th call. */
static bool serve_two(const struct ostler_server_options *o, int n)
{
    struct ostler_server *s;
    int client, result;

    ck_assert_int_eq(ostler_server_new(&s, o, NULL), 0);
    client = harness_connect(s);
    ck_assert_int_ge(client, 0);
    ask(client);
    failed = 0;
    left = n;
    result = ostler_server_handle_request(s);
    left = 0;
    /* It is seen to, unless there was no memory for it. */
    ck_assert_msg(result == 1 || failed == ENOMEM, "call %d: %d", n, result);
    close(client);
    client = harness_connect(s);
    ask(client);
    do /* the first one may be there still */
        result = ostler_server_handle_request(s);
    while (result == 1 && !harness_expect(client, "hello\n"));
    ck_assert_msg(result == 1, "after call %d: %d", n, result);
    close(client);
    ostler_server_free(s);
    return failed != 0;
}

START_TEST(a_request_that_fails_leaves_the_server_as_it_was)
{
    struct ostler_server_options o = options_of(_i * ADDRESSES); /* TCP */
    size_t before = harness_descriptors();
    int n = 1;

    harness_log_init(&log_);
    for (n = 1; serve_two(&o, n); n++)
        ck_assert_int_lt(n, MOST_CALLS);
    ck_assert_int_gt(n, 3);
    harness_log_fini(&log_);
    ck_assert_uint_eq(harness_descriptors(), before);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server faults");
    TCase *tc = harness_case(suite, "making");

    tcase_add_loop_test(tc, a_server_that_cannot_be_made_leaves_nothing, 0, WAYS * ADDRESSES);
    tc = harness_case(suite, "serving");
    tcase_add_loop_test(tc, a_request_that_fails_leaves_the_server_as_it_was, 0, WAYS);
    return harness_main(suite);
}
