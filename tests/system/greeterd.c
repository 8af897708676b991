/* A daemon of one's own, for tests: the greeter of the README, with settings of all four
 * types, and handlers with few faces, or that behave badly.
 *
 *   greet    says what its settings are, and ends
 *   hold     evented: never returns to the reactor once a byte has come
 *   spin     straight-line: the same, without a system call, and with little of 16 KiB of stack left
 *   deaf     straight-line: does not notice that it is cut off
 *   orphan   straight-line: leaves a process behind that nobody waits for
 *   late     straight-line: answers each line, after the seconds that it asks for
 *   ring     datagrams: answers with what ostler_daemon_owns_udp_port() says of a port
 *   half     the same straight-line, with a conn face that says "conn"
 *   whole    and with all three faces
 *
 * With GREETERD_THREAD in the environment it has a second thread before it is a daemon, as
 * a library may start one; with GREETERD_HELPER a worker has a process that holds all its descriptors, as
 * popen(3) may start one; and where GREETERD_FAILS names a file that exists, a worker ends at once. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ostler/daemon.h>
#include <ostler/ostler.h>

struct greeter { /* one per service in the file */
    const char *greeting;
    long limit;
    double pause;
    bool loud;
};

static const struct ostler_setting greeter_settings[] = {
    OSTLER_SETTING_STRING(struct greeter, greeting, "hello"),
    OSTLER_SETTING_LONG(struct greeter, limit, 10),
    OSTLER_SETTING_DOUBLE(struct greeter, pause, 0.5),
    OSTLER_SETTING_BOOL(struct greeter, loud, false),
    { 0 },
};

static int greet_handle(struct ostler_stream *s)
{
    const struct greeter *self = ostler_server_user(ostler_stream_server(s));

    return ostler_stream_printf(s, "%s %ld %g %s\n", self->greeting, self->limit, self->pause,
                                self->loud ? "loud" : "low");
}

static void wait_for_ever(void)
{
    for (;;)
        poll(NULL, 0, -1);
}

static ssize_t hold_on_data(struct ostler_conn *c, const void *data, size_t n)
{
    (void)data;
    ostler_log_write(ostler_server_log(ostler_conn_server(c)), OSTLER_LOG_INFO, "holding the loop");
    wait_for_ever();
    return (ssize_t)n;
}

/* Asking for the time is no system call, but ThreadSanitizer delivers signals then. */
static void spin_for_ever(void)
{
    volatile char full[10 * 1024] = { 0 };

    while (full[time(NULL) % (time_t)sizeof(full)] == 0)
        continue;
}

static int spin_handle(struct ostler_stream *s)
{
    char byte;
    ssize_t n = ostler_stream_read(s, &byte, 1);

    ostler_log_write(ostler_server_log(ostler_stream_server(s)), OSTLER_LOG_INFO, "spinning");
    spin_for_ever();
    return (int)n;
}

static int deaf_handle(struct ostler_stream *s)
{
    int r = ostler_stream_write(s, "deaf\n", 5);

    wait_for_ever();
    return r;
}

static int orphan_handle(struct ostler_stream *s)
{
    return system("true &") == 0 ? ostler_stream_write(s, "left\n", 5) : -ECHILD;
}

/* A line of the form "NUMBER WORD": the answer's second half comes NUMBER ms after the first. */
static int answer_late(struct ostler_stream *s, const char *line)
{
    char *word;
    long ms = strtol(line, &word, 10);
    int r = ostler_stream_printf(s, "%ld ", (long)getpid());

    poll(NULL, 0, (int)ms);
    return r < 0 ? r : ostler_stream_write(s, word, strlen(word));
}

static int late_handle(struct ostler_stream *s)
{
    char line[128];
    ssize_t n;
    int r = 0;

    while (r == 0 && (n = ostler_stream_read_line(s, line, sizeof(line))) > 0)
        r = answer_late(s, line);
    return r;
}

static const char *word_of(const char *port, size_t n)
{
    char text[8] = "";

    memcpy(text, port, n < sizeof(text) ? n : sizeof(text) - 1);
    return ostler_daemon_owns_udp_port((int)strtol(text, NULL, 10)) ? "ours" : "others";
}

static int ring_on_datagram(struct ostler_datagram *d)
{
    const char *word = word_of(ostler_datagram_data(d), ostler_datagram_length(d));

    return ostler_datagram_reply(d, word, strlen(word));
}

static int ring_handle(struct ostler_stream *s)
{
    char port[8];
    ssize_t n = ostler_stream_read(s, port, sizeof(port) - 1);
    const char *word;

    if (n < 0)
        return (int)n;
    word = word_of(port, (size_t)n);
    return ostler_stream_write(s, word, strlen(word));
}

static int conn_on_open(struct ostler_conn *c)
{
    int r = ostler_conn_write(c, "conn", 4);

    return r < 0 ? r : ostler_conn_close(c);
}

static const struct ostler_stream_handler greet = { .handle = greet_handle };
static const struct ostler_stream_handler late = { .handle = late_handle };
static const struct ostler_stream_handler ring_stream = { .handle = ring_handle };
static const struct ostler_datagram_handler ring = { .on_datagram = ring_on_datagram };
static const struct ostler_conn_handler conn = { .on_open = conn_on_open };
static const struct ostler_conn_handler hold = { .on_data = hold_on_data };
static const struct ostler_stream_handler spin = { .handle = spin_handle };
static const struct ostler_stream_handler deaf = { .handle = deaf_handle };
static const struct ostler_stream_handler orphan = { .handle = orphan_handle };

#define WHOLE { .name = "whole", .stream = &ring_stream, .conn = &conn, .datagram = &ring }

static const struct ostler_service single_service[] = { WHOLE, { 0 } };

static const struct ostler_service services[] = {
    { .name = "greet",
      .summary = "says what its settings are",
      .stream = &greet,
      .user_size = sizeof(struct greeter),
      .settings = greeter_settings },
    { .name = "hold", .conn = &hold },
    { .name = "spin", .stream = &spin },
    { .name = "deaf", .stream = &deaf },
    { .name = "orphan", .stream = &orphan },
    { .name = "late", .stream = &late },
    { .name = "ring", .datagram = &ring },
    { .name = "half", .stream = &ring_stream, .conn = &conn },
    WHOLE,
    { 0 },
};

static void *idle(void *arg)
{
    wait_for_ever();
    return arg;
}

static int start_thread(void)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, idle, NULL);

    return error == 0 ? pthread_detach(thread) : error;
}

static bool is_worker(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--worker=", 9) == 0)
            return true;
    return false;
}

/* It ends when it is killed, or after a minute. */
static void start_helper(void)
{
    if (fork() == 0) {
        alarm(60);
        wait_for_ever();
    }
}

/* What a worker does before it is one: can it be? */
static bool prepare_worker(void)
{
    const char *fails = getenv("GREETERD_FAILS");

    if (getenv("GREETERD_HELPER"))
        start_helper();
    return !fails || access(fails, F_OK) < 0;
}

/* Called as "wholed", it offers one service, and so takes addresses as arguments. */
int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    bool single = strcmp(slash ? slash + 1 : argv[0], "wholed") == 0;

    if (getenv("GREETERD_THREAD") && start_thread() != 0)
        return 1;
    if (is_worker(argc, argv) && !prepare_worker())
        return 1;
    return ostler_daemon_main(argc, argv, single ? single_service : services);
}
