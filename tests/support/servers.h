/* What the suites of servers share.
 *
 * The slots and handlers below run on other threads and write down what they see in
 * `seen`, under its lock where several threads may. */
#ifndef OSTLER_TESTS_SERVERS_H
#define OSTLER_TESTS_SERVERS_H

#include "support/echo.h"
#include "support/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ostler/sys/mixin.h>

static struct seen {
    pthread_mutex_t lock;
    char trace[512]; /* a letter a slot */
    int handled_error;
    uint64_t times[64]; /* when get_request failed */
    int fds[16];
    int result;
    struct ostler_server *server;
    struct harness_event tried, handled, failed, closed, acted, timed_out, activated, returned, release;
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER };

static inline void see_afresh(void)
{
    struct harness_event *events[] = { &seen.tried, &seen.handled,   &seen.failed,    &seen.closed,  &seen.acted,
                                       &seen.timed_out, &seen.activated, &seen.returned, &seen.release };

    memset(&seen, 0, offsetof(struct seen, tried));
    pthread_mutex_init(&seen.lock, NULL);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        harness_event_init(events[i]);
}

static inline void trace(char letter)
{
    size_t n;

    pthread_mutex_lock(&seen.lock);
    n = strlen(seen.trace);
    if (n + 1 < sizeof(seen.trace))
        seen.trace[n] = letter;
    pthread_mutex_unlock(&seen.lock);
}

/* ---- Handlers ---- */

static inline int greet_handle(struct ostler_stream *s)
{
    trace('h');
    return ostler_stream_printf(s, "hello\n");
}

static const struct ostler_stream_handler greet = { .handle = greet_handle };

static inline ssize_t echo_on_data(struct ostler_conn *c, const void *data, size_t n)
{
    int r = ostler_conn_write(c, data, n);

    return r < 0 ? r : (ssize_t)n;
}

static const struct ostler_conn_handler echo_conn = { .on_data = echo_on_data };

/* Say who is there. */
static inline int peer_handle(struct ostler_stream *s)
{
    char text[OSTLER_ADDRESS_TEXT];

    ostler_address_text(ostler_stream_peer(s), text, sizeof(text));
    return ostler_stream_printf(s, "%s\n", text);
}

static const struct ostler_stream_handler tell_peer = { .handle = peer_handle };

static inline int fail_handle(struct ostler_stream *s)
{
    char byte;

    ostler_stream_read(s, &byte, 1);
    return -EXDEV;
}

static const struct ostler_stream_handler failing = { .handle = fail_handle };

static const char anywhere[] = "tcp:127.0.0.1:0";

static const struct ostler_mixin *const mixins[] = { NULL, &ostler_threading, &ostler_fibers };

enum { MIXINS = sizeof(mixins) / sizeof(mixins[0]) };

static inline int client_of(const struct ostler_server *server)
{
    int fd = harness_connect(server);

    ck_assert_int_ge(fd, 0);
    return fd;
}

static inline void check_greeting(const struct ostler_server *server)
{
    int client = client_of(server);

    ck_assert(harness_expect(client, "hello\n"));
    ck_assert(harness_expect_end(client));
    close(client);
}

static inline void check_echo(int client, const char *text)
{
    ck_assert(harness_say(client, text));
    ck_assert(harness_expect(client, text));
}

/* ---- What several suites use ---- */

static inline int trace_bind(struct ostler_server *s)
{
    trace('B');
    return ostler_tcp_server.bind(s);
}

static inline int trace_activate(struct ostler_server *s)
{
    trace('A');
    return ostler_tcp_server.activate(s);
}

static inline int trace_get(struct ostler_server *s, int listener, struct ostler_address *peer)
{
    int fd = ostler_tcp_server.get_request(s, listener, peer);

    if (fd >= 0)
        trace('G');
    return fd;
}

static inline bool trace_verify(struct ostler_server *s, const struct ostler_request *r)
{
    trace('V');
    return ostler_tcp_server.verify_request(s, r);
}

static inline int trace_process(struct ostler_server *s, struct ostler_request *r)
{
    trace('P');
    return ostler_tcp_server.process_request(s, r);
}

static inline int trace_finish(struct ostler_server *s, struct ostler_request *r)
{
    trace('F');
    return ostler_tcp_server.finish_request(s, r);
}

static inline void trace_error(struct ostler_server *s, struct ostler_request *r, int error)
{
    (void)s;
    (void)r;
    trace('E');
    seen.handled_error = error;
    harness_raise(&seen.failed);
}

static inline void trace_shutdown(struct ostler_server *s, struct ostler_request *r)
{
    trace('S');
    ostler_tcp_server.shutdown_request(s, r);
}

static inline void trace_close_request(struct ostler_server *s, struct ostler_request *r)
{
    trace('C');
    ostler_tcp_server.close_request(s, r);
    harness_raise(&seen.closed);
}

static inline void trace_close(struct ostler_server *s)
{
    trace('X');
    ostler_tcp_server.close(s);
}

static const struct ostler_server_class traced = {
    .name = "traced",
    .bind = trace_bind,
    .activate = trace_activate,
    .get_request = trace_get,
    .verify_request = trace_verify,
    .process_request = trace_process,
    .finish_request = trace_finish,
    .handle_error = trace_error,
    .shutdown_request = trace_shutdown,
    .close_request = trace_close_request,
    .close = trace_close,
};

static inline bool refuse(struct ostler_server *s, const struct ostler_request *r)
{
    (void)s;
    (void)r;
    trace('V');
    return false;
}

static inline void note_time_out(struct ostler_server *s)
{
    (void)s;
    harness_raise(&seen.timed_out);
}

static const struct ostler_server_class patient = { .super = &traced, .handle_timeout = note_time_out };

static inline struct ostler_server *new_server(struct ostler_server_options options)
{
    struct ostler_server *server;

    see_afresh();
    options.address = anywhere;
    if (!options.server_class)
        options.server_class = &patient;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    return server;
}

static inline int stream_shuts_down(struct ostler_stream *s)
{
    seen.result = ostler_server_shutdown(ostler_stream_server(s));
    return ostler_stream_printf(s, "bye\n");
}

#endif
