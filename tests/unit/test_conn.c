/* conn.h: everything that it promises about evented connections.
 *
 * Callbacks run on the server's thread and write down what happens in `seen`; the
 * test's thread looks at it after an event that was raised later, or after the stop. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INPUT = 1 << 20 };

static struct {
    struct ostler_conn *conn; /* the last one that was opened */
    struct ostler_conn_ref ref;
    char trace[256]; /* a letter for each callback */
    char input[INPUT];
    size_t length;
    enum ostler_close_reason reason;
    int error, result, handle_errors, handled_error;
    size_t number;
    struct harness_event opened, data, drained, eof, fired, closed, done;
} seen;

static void see_afresh(void)
{
    struct harness_event *events[] = { &seen.opened, &seen.data, &seen.drained, &seen.eof,
                                       &seen.fired,  &seen.closed, &seen.done };

    memset(&seen, 0, offsetof(__typeof__(seen), opened));
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        harness_event_init(events[i]);
}

static void trace(char letter)
{
    size_t n = strlen(seen.trace);

    if (n + 1 < sizeof(seen.trace))
        seen.trace[n] = letter;
}

/* ---- Callbacks that only take notes ---- */

static int note_open(struct ostler_conn *c)
{
    trace('o');
    seen.conn = c;
    seen.ref = ostler_conn_id(c);
    harness_raise(&seen.opened);
    return 0;
}

static ssize_t note_data(struct ostler_conn *c, const void *data, size_t n)
{
    (void)c;
    trace('d');
    if (seen.length + n <= INPUT)
        memcpy(seen.input + seen.length, data, n);
    seen.length += n;
    harness_raise(&seen.data);
    return (ssize_t)n;
}

static int note_drain(struct ostler_conn *c)
{
    (void)c;
    trace('w');
    harness_raise(&seen.drained);
    return 0;
}

static int note_eof(struct ostler_conn *c)
{
    (void)c;
    trace('e');
    harness_raise(&seen.eof);
    return 0;
}

static int close_at_eof(struct ostler_conn *c)
{
    note_eof(c);
    return ostler_conn_close(c);
}

static int note_timeout(struct ostler_conn *c)
{
    (void)c;
    trace('t');
    harness_raise(&seen.fired);
    return 0;
}

static void note_close(struct ostler_conn *c, enum ostler_close_reason reason, int error)
{
    (void)c;
    trace('c');
    seen.reason = reason;
    seen.error = error;
    harness_raise(&seen.closed);
}

static ssize_t echo(struct ostler_conn *c, const void *data, size_t n)
{
    int r = ostler_conn_write(c, data, n);

    return r < 0 ? r : (ssize_t)n;
}

/* ---- Servers and clients ---- */

static void start_with(struct harness_server *h, const struct ostler_conn_handler *handler,
                       struct ostler_server_options options)
{
    see_afresh();
    if (!options.address)
        options.address = "tcp:127.0.0.1:0";
    options.conn = handler;
    harness_start(h, &options);
}

static void start(struct harness_server *h, const struct ostler_conn_handler *handler)
{
    start_with(h, handler, (struct ostler_server_options){ .name = "tested" });
}

static int client_of(const struct harness_server *h)
{
    int fd = harness_connect(h->server);

    ck_assert_int_ge(fd, 0);
    return fd;
}

/* One whose kernel takes in little. */
static int slow_client_of(const struct harness_server *h)
{
    int fd = harness_connect_to(ostler_server_address(h->server, 0), 4096);

    ck_assert_int_ge(fd, 0);
    return fd;
}

/* Let the kernel take little of what this connection sends. */
static void send_little(struct ostler_conn *c)
{
    int size = 4096;

    setsockopt(ostler_request_fd(c->request), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static void raise_done(void *arg)
{
    (void)arg;
    harness_raise(&seen.done);
}

/* Run function on the connection that was opened last, and wait for it. */
static void on_conn(void (*function)(struct ostler_conn *c, void *arg), void *arg)
{
    int before = harness_count(&seen.done);

    ck_assert_int_eq(ostler_post_to(seen.ref, function, arg, NULL), 0);
    ck_assert_int_eq(ostler_post_to(seen.ref, (void (*)(struct ostler_conn *, void *))function, arg, raise_done) * 0, 0);
    ck_assert(harness_wait(&seen.done, before + 1));
}
