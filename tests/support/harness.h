/* What the unit suites share: a server on a thread of its own, a client with deadlines,
 * a log that can be read, events to wait for, and the count of descriptors and threads
 * around each test.
 *
 *    START_TEST(a_greeting_arrives)
 *    {
 *        struct harness_server h;
 *        int client;
 *
 *        harness_start(&h, &(struct ostler_server_options){ .address = "tcp:127.0.0.1:0", .stream = &greet });
 *        client = harness_connect(h.server);
 *        ck_assert(harness_expect(client, "hello\n"));
 *        close(client);
 *        ck_assert_int_eq(harness_stop(&h), 0);
 *    }
 *    END_TEST
 *
 *    int main(void)
 *    {
 *        Suite *suite = suite_create("greet");
 *        TCase *tc = harness_case(suite, "greeting");
 *
 *        tcase_add_test(tc, a_greeting_arrives);
 *        return harness_main(suite);
 *    }
 *
 * Only harness_start(), _reactor_start() and the fixture of harness_case() assert. All
 * else tells what happened and leaves the ck_assert() to the test, so it may be used on
 * any thread; Check's own assertions work on the test's thread only: callbacks write
 * down what they see and the test asserts it.
 *
 * Every wait ends after harness_deadline_ms(), with false or -ETIMEDOUT. */
#ifndef OSTLER_TESTS_HARNESS_H
#define OSTLER_TESTS_HARNESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <check.h>

#include <ostler/ostler.h>

/* 5 seconds, times OSTLER_SLOW from the environment (a whole number) if it is set. */
long harness_deadline_ms(void);
long harness_slow(void);

/* CLOCK_MONOTONIC in milliseconds. */
uint64_t harness_now_ms(void);

/* How many descriptors and threads this process has. */
size_t harness_descriptors(void);
size_t harness_threads(void);

/* ---- Suites ---- */

/* A test case in suite with the checked fixture: after each test descriptors and
 * threads are as many as before it, or come to be so before the deadline. */
TCase *harness_case(Suite *suite, const char *name);

/* Until there are as many threads as before the test, and so many descriptors more than then:
 * for what ends by itself. */
bool harness_settle(size_t descriptors_more);

/* That fixture alone, for one that begins with another: it ends before it. */
void harness_fixture(TCase *tc);

/* Run suite; the value for main() to return. Frees suite. */
int harness_main(Suite *suite);

/* ---- Memory that the process shares with the children it forks from then on ---- */

/* size zeroed bytes, or NULL; to be freed by harness_unshare(). */
void *harness_share(size_t size);
void harness_unshare(void *memory, size_t size);

/* ---- Events: a count that any thread raises and any thread waits for ----
 *
 * One that stands in shared memory and was initialised by harness_event_init() works
 * between processes, too. */

struct harness_event {
    pthread_mutex_t lock;
    pthread_cond_t raised;
    int count;
};

#define HARNESS_EVENT { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 }

void harness_event_init(struct harness_event *event);
void harness_raise(struct harness_event *event);
int harness_count(struct harness_event *event);
bool harness_wait(struct harness_event *event, int count); /* until it was raised count times in all */

/* ---- The log: all lines of all levels, kept; children's too ---- */

struct harness_lines;

struct harness_log {
    struct ostler_log log; /* give &log.log to the library */
    struct harness_lines *lines; /* shared */
    const char *text; /* "level line\n" after "level line\n" */
};

void harness_log_init(struct harness_log *log);
void harness_log_fini(struct harness_log *log);
int harness_log_count(struct harness_log *log, const char *part); /* how often part occurs in it */
bool harness_log_has(struct harness_log *log, const char *part);
bool harness_log_wait(struct harness_log *log, const char *part); /* until it does */

/* ---- A server, served forever by a thread of its own ---- */

struct harness_server {
    struct ostler_server *server;
    struct harness_log log; /* unless the options name one */
    pthread_t thread;
    int result; /* of ostler_server_serve_forever() */
};

/* Where suites that run on several kinds of sockets listen: TCP, or with OSTLER_KIND=unix in
 * the environment a name of its own in the abstract namespace. */
const char *harness_address(void);
bool harness_is_unix(void);

/* Make it, on a reactor of its own, on the calling thread; serve it on another. */
void harness_start(struct harness_server *h, const struct ostler_server_options *options);

/* Shut it down, join the thread, free it (on the calling thread). Return what
 * serve_forever had returned. */
int harness_stop(struct harness_server *h);

/* The same in two steps, to look at the log or the server in between, or for a
 * server that was told to stop already. */
int harness_join(struct harness_server *h);
void harness_free(struct harness_server *h);

/* Run function(arg) on the reactor's thread and wait until it has run. */
bool harness_call(struct ostler_reactor *reactor, void (*function)(void *arg), void *arg);

/* ---- A reactor, run by a thread of its own ---- */

struct harness_reactor {
    struct ostler_reactor *reactor;
    struct harness_log log;
    pthread_t thread;
    int result; /* of ostler_reactor_run() */
};

void harness_reactor_init(struct harness_reactor *h);  /* make it */
void harness_reactor_start(struct harness_reactor *h); /* run it */
int harness_reactor_join(struct harness_reactor *h);   /* wait for the end of the run: its result */
void harness_reactor_fini(struct harness_reactor *h);  /* free it */

/* ---- A client ---- */

/* Connect to server's first address (a wildcard by 127.0.0.1 or ::1). A blocking
 * socket, or -errno. */
int harness_connect(const struct ostler_server *server);

/* The same to any address; receive_buffer: SO_RCVBUF, 0: the kernel's. */
int harness_connect_to(const struct ostler_address *address, int receive_buffer);

/* Send all. */
bool harness_send(int fd, const void *data, size_t n);
bool harness_say(int fd, const char *text);

/* Receive n bytes, or what comes before the end of file: the count, or -errno. */
ssize_t harness_receive(int fd, void *buffer, size_t n);

/* Receive once: the count, 0 at the end of file, or -errno. */
ssize_t harness_receive_once(int fd, void *buffer, size_t n);

/* Is text what arrives next? Is it the end of file, or a reset? */
bool harness_expect(int fd, const char *text);
bool harness_expect_end(int fd);
bool harness_expect_reset(int fd);

/* Does nothing arrive for a moment (50 ms)? For what must not happen; never needed to
 * wait for what must. */
bool harness_is_silent(int fd);

#endif
