/* What the suites of evented connections share.
 *
 * Callbacks run on the server's thread and write down what happens in `seen`; the
 * test's thread looks at it after an event that was raised later, or after the stop. */
#ifndef OSTLER_TESTS_CONNS_H
#define OSTLER_TESTS_CONNS_H

#include "support/harness.h"

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

static struct seen {
    struct ostler_conn *conn; /* the last one that was opened */
    struct ostler_request_ref ref;
    char trace[256]; /* a letter for each callback */
    char input[INPUT];
    size_t length;
    enum ostler_close_reason reason;
    int error, result, handle_errors, handled_error;
    size_t number;
    struct harness_event opened, data, drained, eof, fired, closed, done;
} seen;

static inline void see_afresh(void)
{
    struct harness_event *events[] = { &seen.opened, &seen.data, &seen.drained, &seen.eof,
                                       &seen.fired,  &seen.closed, &seen.done };

    memset(&seen, 0, offsetof(struct seen, opened));
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        harness_event_init(events[i]);
}

static inline void trace(char letter)
{
    size_t n = strlen(seen.trace);

    if (n + 1 < sizeof(seen.trace))
        seen.trace[n] = letter;
}

/* ---- Callbacks that only take notes ---- */

static inline int note_open(struct ostler_conn *c)
{
    trace('o');
    seen.conn = c;
    seen.ref = ostler_conn_id(c);
    harness_raise(&seen.opened);
    return 0;
}

static inline ssize_t note_data(struct ostler_conn *c, const void *data, size_t n)
{
    (void)c;
    trace('d');
    if (seen.length + n <= INPUT)
        memcpy(seen.input + seen.length, data, n);
    seen.length += n;
    harness_raise(&seen.data);
    return (ssize_t)n;
}

static inline int note_drain(struct ostler_conn *c)
{
    (void)c;
    trace('w');
    harness_raise(&seen.drained);
    return 0;
}

static inline int note_eof(struct ostler_conn *c)
{
    (void)c;
    trace('e');
    harness_raise(&seen.eof);
    return 0;
}

static inline int close_at_eof(struct ostler_conn *c)
{
    note_eof(c);
    return ostler_conn_close(c);
}

static inline int note_timeout(struct ostler_conn *c)
{
    (void)c;
    trace('t');
    harness_raise(&seen.fired);
    return 0;
}

static inline void note_close(struct ostler_conn *c, enum ostler_close_reason reason, int error)
{
    (void)c;
    trace('c');
    seen.reason = reason;
    seen.error = error;
    harness_raise(&seen.closed);
}

static inline ssize_t echo(struct ostler_conn *c, const void *data, size_t n)
{
    int r = ostler_conn_write(c, data, n);

    return r < 0 ? r : (ssize_t)n;
}

/* ---- Servers and clients ---- */

static inline void start_with(struct harness_server *h, const struct ostler_conn_handler *handler,
                       struct ostler_server_options options)
{
    see_afresh();
    if (!options.address)
        options.address = harness_address();
    options.conn = handler;
    harness_start(h, &options);
}

static inline void start(struct harness_server *h, const struct ostler_conn_handler *handler)
{
    start_with(h, handler, (struct ostler_server_options){ .name = "tested" });
}

static inline int client_of(const struct harness_server *h)
{
    int fd = harness_connect(h->server);

    ck_assert_int_ge(fd, 0);
    return fd;
}

/* One whose kernel takes in little. */
static inline int slow_client_of(const struct harness_server *h)
{
    int fd = harness_connect_to(ostler_server_address(h->server, 0), 4096);

    ck_assert_int_ge(fd, 0);
    return fd;
}

/* Let the kernel take little of what this connection sends. */
static inline void send_little(struct ostler_conn *c)
{
    int size = 4096;

    setsockopt(ostler_request_fd(c->request), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static inline void raise_done(void *arg)
{
    (void)arg;
    harness_raise(&seen.done);
}

/* Run function on the connection that was opened last, and wait for it. */
static inline void on_conn(void (*function)(struct ostler_conn *c, void *arg), void *arg)
{
    int before = harness_count(&seen.done);

    ck_assert(harness_wait(&seen.opened, 1));
    ck_assert_int_eq(ostler_post_to(seen.ref, function, arg, raise_done), 0);
    ck_assert(harness_wait(&seen.done, before + 1));
}

/* Wait for on_close. */
static inline void check_closed(enum ostler_close_reason reason, int error)
{
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_str_eq(ostler_close_reason_text(seen.reason), ostler_close_reason_text(reason));
    ck_assert_int_eq(seen.error, error);
}

/* A text that is easily checked: the i-th byte of a long stream. */
static inline char pattern(size_t i)
{
    return (char)('a' + (i * 7 + i / 251) % 26);
}

static inline char *new_pattern(size_t n)
{
    char *text = malloc(n);

    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < n; i++)
        text[i] = pattern(i);
    return text;
}

static inline void expect_pattern(int fd, size_t n)
{
    char *got = malloc(n);
    size_t i = 0;

    ck_assert_int_eq(harness_receive(fd, got, n), (ssize_t)n);
    while (i < n && got[i] == pattern(i))
        i++;
    ck_assert_uint_eq(i, n);
    free(got);
}

/* ---- What several suites use ---- */

static inline ssize_t answer_data(struct ostler_conn *c, const void *data, size_t n)
{
    note_data(c, data, n);
    return echo(c, data, n);
}

enum { LOT = 600000 };

static char *lot;

static inline int open_with_a_lot(struct ostler_conn *c)
{
    send_little(c);
    note_open(c);
    return ostler_conn_write(c, lot, LOT);
}

static inline int open_paused(struct ostler_conn *c)
{
    note_open(c);
    return ostler_conn_pause(c);
}

static inline void write_text(struct ostler_conn *c, void *text)
{
    seen.result = ostler_conn_write(c, text, strlen(text));
}

static inline int write_a_lot_and_close(struct ostler_conn *c)
{
    open_with_a_lot(c);
    seen.result += ostler_conn_close(c) != 0;
    seen.result += ostler_conn_write(c, "x", 1) != -EPIPE;
    seen.result += ostler_conn_close(c) != 0; /* twice is fine */
    return 0;
}

static inline void abort_it(struct ostler_conn *c, void *arg)
{
    (void)arg;
    seen.result += ostler_conn_abort(c) != 0;
}

static const struct ostler_conn_handler caller = {
    .on_open = note_open, .on_data = note_data, .on_eof = close_at_eof, .on_timeout = note_timeout, .on_close = note_close
};

#endif
