/* The forking mix-in: what is its own. How handlers behave under it, test_stream.c says; and what it does when
 * there is no process or descriptor to be had, test_lack.c. */
#include "support/harness.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a test lets its handler do, and what that notes; children share it. */
struct notes {
    int (*handle)(struct ostler_stream *s, struct notes *notes);
    struct harness_event began, go, failed, closed;
    pid_t failed_in; /* where handle_error ran */
    int error;       /* … and what it was given */
    int seen[8];
    atomic_int prepared, continued, born; /* atfork handlers' calls */
};

static struct notes *notes;

static int on_handle(struct ostler_stream *s)
{
    harness_raise(&notes->began);
    return notes->handle(s, notes);
}

static void on_error(struct ostler_server *server, struct ostler_request *request, int error)
{
    notes->failed_in = getpid();
    notes->error = error;
    ostler_tcp_server.handle_error(server, request, error);
    harness_raise(&notes->failed);
}

static void on_close(struct ostler_server *server, struct ostler_request *request)
{
    ostler_tcp_server.close_request(server, request);
    harness_raise(&notes->closed);
}

static const struct ostler_stream_handler noting = { .handle = on_handle };
static const struct ostler_server_class reporting = {
    .super = &ostler_tcp_server,
    .handle_error = on_error,
    .close_request = on_close,
};

static struct ostler_server_options options_for(int (*handle)(struct ostler_stream *s, struct notes *n))
{
    memset(notes, 0, sizeof(*notes));
    notes->handle = handle;
    harness_event_init(&notes->began);
    harness_event_init(&notes->go);
    harness_event_init(&notes->failed);
    harness_event_init(&notes->closed);
    return (struct ostler_server_options){
        .name = "forker",
        .address = "tcp:127.0.0.1:0",
        .server_class = &reporting,
        .stream = &noting,
        .mixin = &ostler_forking,
    };
}

static void play(struct harness_server *h, int (*handle)(struct ostler_stream *s, struct notes *n))
{
    struct ostler_server_options options = options_for(handle);

    harness_start(h, &options);
}

/* ---- pidfd_open(2), which a test may let fail ---- */

static atomic_int pidfd_error;

int __real_pidfd_open(pid_t pid, unsigned flags);
int __wrap_pidfd_open(pid_t pid, unsigned flags);

int __wrap_pidfd_open(pid_t pid, unsigned flags)
{
    if (atomic_load(&pidfd_error) == 0)
        return __real_pidfd_open(pid, flags);
    errno = atomic_load(&pidfd_error);
    return -1;
}

/* ---- processes ---- */

/* Is process name one of our children? */
static bool is_child(const char *name)
{
    char path[300];
    int parent = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%s/stat", name);
    file = fopen(path, "re");
    if (!file)
        return false;
    if (fscanf(file, "%*d (%*[^)]) %*c %d", &parent) != 1)
        parent = 0;
    fclose(file);
    return parent == getpid();
}

/* How many children this process has, zombies included. */
static int children(void)
{
    DIR *directory = opendir("/proc");
    int n = 0;

    for (struct dirent *d; directory && (d = readdir(directory));)
        n += d->d_name[0] >= '1' && d->d_name[0] <= '9' && is_child(d->d_name);
    if (directory)
        closedir(directory);
    return n;
}

/* ---- handlers ---- */

static int say_pid(struct ostler_stream *s, struct notes *n)
{
    (void)n;
    return ostler_stream_printf(s, "%d %d\n", (int)getpid(), (int)getppid());
}

static int say_hello(struct ostler_stream *s, struct notes *n)
{
    (void)n;
    return ostler_stream_printf(s, "hello");
}

/* A byte decides: '.' is answered; others are ways to die. */
static int obey(struct ostler_stream *s, struct notes *n)
{
    char c = 0;
    ssize_t got = ostler_stream_read(s, &c, 1);

    (void)n;
    if (got <= 0)
        return (int)got;
    if (c == 'k')
        raise(SIGKILL);
    if (c == 'a')
        abort();
    if (c == '3')
        _exit(3);
    if (c == '0')
        _exit(0);
    if (c == 'e')
        return -EIO;
    return ostler_stream_printf(s, "served");
}

static int echo(struct ostler_stream *s, struct notes *n)
{
    char block[512];
    ssize_t got;

    (void)n;
    while ((got = ostler_stream_read(s, block, sizeof(block))) > 0)
        if (ostler_stream_write(s, block, (size_t)got) < 0)
            return -EPIPE;
    return (int)got;
}

/* Not even heed the end of file. */
static int insist(struct ostler_stream *s, struct notes *n)
{
    ssize_t got;
    char c;

    (void)n;
    do
        got = ostler_stream_read(s, &c, 1);
    while (got >= 0);
    return (int)got;
}

static int hang(struct ostler_stream *s, struct notes *n)
{
    (void)s;
    (void)n;
    while (pause() < 0)
        continue;
    return 0;
}

/* ---- tests ---- */

START_TEST(each_request_has_a_child_of_its_own)
{
    struct harness_server h;
    int last = getpid();

    play(&h, say_pid);
    for (int i = 0; i < 3; i++) {
        int client = harness_connect(h.server), pid, parent;
        char text[64] = "";

        ck_assert_int_gt(harness_receive(client, text, sizeof(text) - 1), 0);
        ck_assert_int_eq(sscanf(text, "%d %d\n", &pid, &parent), 2);
        ck_assert_int_ne(pid, last);
        ck_assert_int_eq(parent, getpid());
        last = pid;
        close(client);
    }
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(three_hundred_requests_leave_no_process_behind)
{
    struct harness_server h;

    play(&h, say_hello);
    for (int i = 0; i < 300; i++) {
        int client = harness_connect(h.server);

        ck_assert(harness_expect(client, "hello"));
        ck_assert(harness_expect_end(client));
        close(client);
        ck_assert(harness_wait(&notes->closed, i + 1));
        ck_assert_int_eq(children(), 0);
    }
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(children(), 0);
}
END_TEST

static void crowd(int max_requests, int places, int clients)
{
    struct ostler_server_options options = options_for(obey);
    int client[64];
    struct harness_server h;

    options.max_requests = max_requests;
    harness_start(&h, &options);
    for (int i = 0; i < clients; i++)
        client[i] = harness_connect(h.server);
    ck_assert(harness_wait(&notes->began, places));
    ck_assert(harness_is_silent(client[clients - 1]));
    ck_assert_int_eq(children(), places);
    for (int i = 0; i < clients; i++) {
        ck_assert(harness_say(client[i], "."));
        ck_assert(harness_expect(client[i], "served"));
        ck_assert_int_le(children(), places);
        close(client[i]);
    }
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(children(), 0);
    ck_assert_int_eq(harness_count(&notes->began), clients);
}

START_TEST(there_are_never_more_children_than_places)
{
    crowd(5, 5, 40);
}
END_TEST

START_TEST(forty_places_are_the_default)
{
    crowd(0, 40, 42);
}
END_TEST

/* A child of the program's own, which ends with status 7 once it is told. */
struct own_child {
    pid_t pid;
    int told;
};

static void fork_own_child(void *arg)
{
    struct own_child *own = arg;
    int ends[2];
    char c;

    if (pipe(ends) < 0)
        return;
    own->pid = fork();
    if (own->pid == 0) {
        close(ends[1]);
        _exit(read(ends[0], &c, 1) == 1 ? 7 : 8);
    }
    close(ends[0]);
    own->told = ends[1];
}

START_TEST(a_child_of_the_programs_own_is_left_alone)
{
    struct own_child own = { 0 };
    struct harness_server h;
    siginfo_t how = { 0 };

    play(&h, say_hello);
    /* On the thread whose children all others are: who waits for any finds it first. */
    ck_assert(harness_call(ostler_server_reactor(h.server), fork_own_child, &own));
    ck_assert_int_gt(own.pid, 0);
    for (int i = 0; i < 10; i++) {
        int client = harness_connect(h.server);

        ck_assert(harness_expect(client, "hello"));
        ck_assert(harness_expect_end(client));
        close(client);
        if (i == 5)
            ck_assert_int_eq(write(own.told, "x", 1), 1);
        if (i == 5) /* from here on it is a zombie */
            ck_assert_int_eq(waitid(P_PID, (id_t)own.pid, &how, WEXITED | WNOWAIT), 0);
    }
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(waitid(P_PID, (id_t)own.pid, &how, WEXITED), 0);
    ck_assert_int_eq(how.si_status, 7);
    close(own.told);
}
END_TEST

static void *wait_for_any_child(void *arg)
{
    atomic_bool *over = arg;

    while (!atomic_load(over))
        if (waitpid(-1, NULL, 0) < 0)
            poll(NULL, 0, 1);
    return NULL;
}

START_TEST(a_program_that_waits_for_any_child_does_no_harm)
{
    atomic_bool over = false;
    struct harness_server h;
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_any_child, &over), 0);
    play(&h, obey);
    for (int i = 0; i < 30; i++) {
        int client = harness_connect(h.server);

        ck_assert(harness_say(client, "."));
        ck_assert(harness_expect(client, "served"));
        ck_assert(harness_expect_end(client));
        close(client);
    }
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&notes->failed), 0);
    atomic_store(&over, true);
    pthread_join(thread, NULL);
}
END_TEST

START_TEST(ignored_sigchld_does_no_harm)
{
    struct harness_server h;
    int client;

    signal(SIGCHLD, SIG_IGN);
    play(&h, obey);
    for (int i = 0; i < 30; i++) {
        client = harness_connect(h.server);
        ck_assert(harness_say(client, "."));
        ck_assert(harness_expect(client, "served"));
        ck_assert(harness_expect_end(client));
        close(client);
    }
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "k"));
    ck_assert(harness_expect_end(client));
    ck_assert(harness_log_wait(&h.log, "request failed: its child ended before the handler had returned"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    signal(SIGCHLD, SIG_DFL);
    ck_assert_int_eq(harness_count(&notes->failed), 1);
    ck_assert_int_eq(children(), 0);
}
END_TEST

static const struct {
    const char *order, *line;
} deaths[] = {
    { "k", "request failed: its child was killed by signal 9" },
    { "a", "request failed: its child was killed by signal 6" },
};

enum { BETWEEN = 127 }; /* children, after which one has what the first one told by */

/* A byte decides: 'f' leaves a process behind, which fails when go was raised; 'w' waits until that was done twice. */
static int leave_one_behind(struct ostler_stream *s, struct notes *n)
{
    char c = 0;

    if (ostler_stream_read(s, &c, 1) != 1)
        return -EPROTO;
    if (c == 'f' && fork() == 0) {
        harness_wait(&n->go, 1);
        return -EXDEV;
    }
    if (c == 'w') {
        harness_raise(&n->failed);
        harness_wait(&n->go, 2);
    }
    if (c == 'w' && n->seen[0])
        raise(SIGKILL);
    return 0;
}

static int ask(const struct harness_server *h, const char *order)
{
    int client = harness_connect(h->server);

    ck_assert(harness_say(client, order));
    return client;
}

START_TEST(who_outlives_a_child_disturbs_no_later_one)
{
    struct harness_server h;
    uint64_t begin;
    int ends[2], client;
    char byte;

    ck_assert_int_eq(pipe(ends), 0);
    play(&h, leave_one_behind);
    notes->seen[0] = _i;
    for (int i = 0; i <= BETWEEN; i++) {
        client = ask(&h, i == 0 ? "f" : ".");
        ck_assert(harness_expect_end(client));
        close(client);
        if (i == 0)
            close(ends[1]); /* from now on it is the only one that has it */
    }
    client = ask(&h, "w");
    ck_assert(harness_wait(&notes->failed, 1));
    harness_raise(&notes->go);
    ck_assert_int_eq(read(ends[0], &byte, 1), 0); /* it has ended */
    begin = harness_now_ms();
    harness_raise(&notes->go);
    ck_assert(harness_expect_end(client));
    ck_assert_uint_lt(harness_now_ms() - begin, 1500);
    ck_assert(_i == 0 || harness_log_wait(&h.log, "killed by signal 9"));
    close(client);
    close(ends[0]);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_child_that_dies_fails_its_request_alone)
{
    struct harness_server h;
    int client, other;

    play(&h, obey);
    other = harness_connect(h.server);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, deaths[_i].order));
    ck_assert(harness_expect_end(client));
    ck_assert(harness_log_wait(&h.log, deaths[_i].line));
    ck_assert(harness_log_wait(&h.log, "closed: handler failed"));
    ck_assert_int_eq(harness_log_count(&h.log, "error forker: tcp:127.0.0.1:"), 1);
    ck_assert(harness_wait(&notes->failed, 1));
    ck_assert_int_eq(notes->error, -EOWNERDEAD);
    ck_assert_int_eq(notes->failed_in, getpid());
    ck_assert(harness_say(other, "."));
    ck_assert(harness_expect(other, "served"));
    close(client);
    close(other);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(children(), 0);
}
END_TEST

START_TEST(a_handler_that_exits_is_not_reported)
{
    struct harness_server h;
    int client;

    play(&h, obey);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "3"));
    ck_assert(harness_expect_end(client));
    ck_assert(harness_log_wait(&h.log, "warning forker: tcp:127.0.0.1:"));
    ck_assert(harness_log_has(&h.log, "its child exited with status 3 before the handler had returned"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&notes->failed), 0);
    ck_assert_int_eq(children(), 0);
}
END_TEST

START_TEST(a_child_that_exits_well_is_no_failure)
{
    struct harness_server h;
    int client;

    play(&h, obey);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "0"));
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(harness_log_count(&h.log, "failed"), 0);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(children(), 0);
}
END_TEST

START_TEST(a_handler_that_fails_is_reported_by_its_child)
{
    struct harness_server h;
    int client;

    play(&h, obey);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "e"));
    ck_assert(harness_expect_end(client));
    ck_assert(harness_log_wait(&h.log, "closed: handler failed, 1 bytes in, 0 out"));
    ck_assert_int_eq(notes->error, -EIO);
    ck_assert_int_ne(notes->failed_in, getpid());
    ck_assert_int_eq(harness_log_count(&h.log, "request failed: Input/output error"), 1);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(what_a_child_moved_is_known_to_its_parent)
{
    struct harness_server h;
    int client;

    play(&h, echo);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "hello"));
    ck_assert(harness_expect(client, "hello"));
    shutdown(client, SHUT_WR);
    ck_assert(harness_expect_end(client));
    ck_assert(harness_log_wait(&h.log, "closed: end of input, 5 bytes in, 5 out"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- descriptors ---- */

static int port_of(int fd)
{
    struct sockaddr_in in = { 0 };
    socklen_t size = sizeof(in);

    return getsockname(fd, (struct sockaddr *)&in, &size) == 0 ? ntohs(in.sin_port) : 0;
}

/* Count the descriptors of this process: sockets on ports seen[0] and seen[1], which are
 * the servers', in seen[2]; those of processes and events in seen[3]. */
static int count_descriptors(struct ostler_stream *s, struct notes *n)
{
    DIR *directory = opendir("/proc/self/fd");
    char path[300], target[64];

    for (struct dirent *d; directory && (d = readdir(directory));) {
        int port = port_of(atoi(d->d_name));
        ssize_t length;

        n->seen[2] += port != 0 && (port == n->seen[0] || port == n->seen[1]);
        snprintf(path, sizeof(path), "/proc/self/fd/%s", d->d_name);
        length = readlink(path, target, sizeof(target) - 1);
        target[length > 0 ? length : 0] = '\0';
        n->seen[3] += strstr(target, "pidfd") || strstr(target, "eventfd");
    }
    if (directory)
        closedir(directory);
    n->seen[4] = port_of(ostler_request_fd(s->request));
    return ostler_stream_printf(s, "counted");
}

static int count_or_obey(struct ostler_stream *s, struct notes *n)
{
    return harness_count(&n->began) == 1 ? obey(s, n) : count_descriptors(s, n);
}

static ssize_t use_all(struct ostler_conn *c, const void *data, size_t n)
{
    int error = ostler_conn_write(c, data, n);

    return error < 0 ? error : (ssize_t)n;
}

static const struct ostler_conn_handler evented = { .on_data = use_all };

START_TEST(a_child_has_no_other_requests_descriptor)
{
    struct ostler_server_options options = options_for(count_or_obey);
    struct ostler_server *server, *neighbour;
    struct harness_reactor r;
    int waiting, guest, client;

    harness_reactor_init(&r);
    ck_assert_int_eq(ostler_server_new(&server, &options, r.reactor), 0);
    options = (struct ostler_server_options){ .address = "tcp:127.0.0.1:0", .conn = &evented };
    ck_assert_int_eq(ostler_server_new(&neighbour, &options, r.reactor), 0);
    notes->seen[0] = ostler_address_port(ostler_server_address(server, 0));
    notes->seen[1] = ostler_address_port(ostler_server_address(neighbour, 0));
    ck_assert_int_eq(ostler_server_start(server), 0);
    ck_assert_int_eq(ostler_server_start(neighbour), 0);
    harness_reactor_start(&r);
    guest = harness_connect(neighbour);
    ck_assert(harness_say(guest, "hi"));
    ck_assert(harness_expect(guest, "hi"));
    waiting = harness_connect(server);
    ck_assert(harness_wait(&notes->began, 1));
    client = harness_connect(server);
    ck_assert(harness_expect(client, "counted"));
    ck_assert_int_eq(notes->seen[2], 1); /* the child's own */
    ck_assert_int_eq(notes->seen[3], 0);
    ck_assert_int_eq(notes->seen[4], notes->seen[0]);
    ck_assert(harness_say(guest, "still here"));
    ck_assert(harness_expect(guest, "still here"));
    close(client);
    close(waiting);
    close(guest);
    ostler_reactor_stop(r.reactor);
    ck_assert_int_eq(harness_reactor_join(&r), 0);
    ostler_server_free(neighbour);
    ostler_server_free(server);
    harness_reactor_fini(&r);
}
END_TEST

START_TEST(a_connection_ends_although_other_children_live)
{
    struct harness_server h;
    int early, client, late;

    play(&h, obey);
    early = harness_connect(h.server);
    ck_assert(harness_wait(&notes->began, 1));
    client = harness_connect(h.server);
    ck_assert(harness_wait(&notes->began, 2));
    late = harness_connect(h.server);
    ck_assert(harness_wait(&notes->began, 3));
    ck_assert(harness_say(client, "."));
    ck_assert(harness_expect(client, "served"));
    ck_assert(harness_expect_end(client));
    close(client);
    close(early);
    close(late);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- stopping ---- */

/* Answer lines; say at the end why there are no more. */
static int answer_lines(struct ostler_stream *s, struct notes *n)
{
    char line[32];
    ssize_t got;

    if (ostler_stream_read_line(s, line, sizeof(line)) != 6)
        return -EPROTO;
    harness_raise(&n->began);
    harness_wait(&n->go, 1);
    while ((got = ostler_stream_read_line(s, line, sizeof(line))) > 0)
        if (ostler_stream_printf(s, "got %s", line) < 0)
            return -EPIPE;
    if (got < 0)
        return (int)got;
    return ostler_stream_printf(s, ostler_server_is_stopping(ostler_stream_server(s)) ? "stopped" : "ended");
}

static void do_nothing(void *arg)
{
    (void)arg;
}

START_TEST(what_arrived_before_a_stop_is_answered_after_it)
{
    struct harness_server h;
    int client;

    play(&h, answer_lines);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "first\n"));
    ck_assert(harness_wait(&notes->began, 2));
    ck_assert(harness_say(client, "one\ntwo\n"));
    ck_assert_int_eq(ostler_reactor_stop(ostler_server_reactor(h.server)), 0);
    for (int i = 0; i < 2; i++) /* after the second one the stop was heeded */
        ck_assert(harness_call(ostler_server_reactor(h.server), do_nothing, NULL));
    ck_assert(harness_say(client, "late\n"));
    harness_raise(&notes->go);
    ck_assert(harness_expect(client, "got one\ngot two\nstopped"));
    ck_assert(harness_expect_end(client));
    ck_assert_int_eq(harness_join(&h), 0);
    close(client);
    harness_free(&h);
}
END_TEST

static int read_all(struct ostler_stream *s, struct notes *n)
{
    char block[1000];
    ssize_t got;

    (void)n;
    while ((got = ostler_stream_read(s, block, sizeof(block))) > 0)
        continue;
    return got < 0 ? (int)got : ostler_stream_printf(s, "enough");
}

static void *send_on(void *arg)
{
    char block[5000] = { 0 };

    while (send(*(int *)arg, block, sizeof(block), MSG_NOSIGNAL) > 0)
        continue;
    return NULL;
}

START_TEST(a_peer_that_keeps_sending_does_not_hold_up_a_stop)
{
    struct harness_server h;
    pthread_t thread;
    int client;

    play(&h, read_all);
    client = harness_connect(h.server);
    ck_assert(harness_wait(&notes->began, 1));
    ck_assert_int_eq(pthread_create(&thread, NULL, send_on, &client), 0);
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    pthread_join(thread, NULL);
    ck_assert(!harness_log_has(&h.log, "cutting off"));
    ck_assert_int_eq(harness_count(&notes->failed), 0);
    close(client);
    harness_free(&h);
}
END_TEST

START_TEST(a_child_that_does_not_end_is_killed)
{
    struct ostler_server_options options = options_for(hang);
    struct harness_server h;
    uint64_t began;
    int client;

    options.stop_timeout_ms = 100;
    harness_start(&h, &options);
    client = harness_connect(h.server);
    ck_assert(harness_wait(&notes->began, 1));
    began = harness_now_ms();
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_uint_le(harness_now_ms() - began, (uint64_t)(600 * harness_slow()));
    ck_assert_int_eq(children(), 0);
    ck_assert_int_eq(harness_log_count(&h.log, "its handler still ran although it was cut off, and was killed"), 1);
    ck_assert(harness_log_has(&h.log, "closed: server stopped"));
    ck_assert_int_eq(notes->error, -ECANCELED);
    ck_assert_int_eq(harness_log_count(&h.log, "error forker"), 0);
    ck_assert(harness_expect_end(client));
    close(client);
    harness_free(&h);
}
END_TEST

/* Send n datagrams to server. */
static bool send_datagrams(const struct ostler_server *server, int n)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool sent = fd >= 0;

    to.sin_port = htons((uint16_t)ostler_address_port(ostler_server_address(server, 0)));
    for (int i = 0; i < n; i++)
        sent = sent && sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1;
    if (fd >= 0)
        close(fd);
    return sent;
}

START_TEST(datagrams_that_wait_for_a_place_of_a_killed_child_are_dropped)
{
    struct ostler_server_options options = options_for(hang);
    struct harness_server h;

    options.address = "udp:127.0.0.1:0";
    options.server_class = NULL;
    options.max_requests = 2;
    options.stop_timeout_ms = 100;
    harness_start(&h, &options);
    ck_assert(send_datagrams(h.server, 5));
    ck_assert(harness_wait(&notes->began, 2));
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(harness_count(&notes->began), 2);
    ck_assert_int_eq(harness_log_count(&h.log, "and was killed"), 2);
    ck_assert_uint_eq(ostler_server_dropped(h.server), 3);
    ck_assert_int_eq(children(), 0);
    harness_free(&h);
}
END_TEST

/* One whose reads fail ends by itself; one that hangs is killed. */
START_TEST(freeing_a_server_ends_its_children)
{
    struct ostler_server_options options = options_for(_i ? hang : insist);
    struct ostler_server *server;
    struct harness_log log;
    int client;

    harness_log_init(&log);
    options.log = &log.log;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    client = harness_connect(server);
    ck_assert_int_eq(ostler_server_handle_request(server), 1); /* which does not wait for the child */
    ck_assert(harness_wait(&notes->began, 1));
    ck_assert_int_eq(children(), 1);
    ostler_server_free(server);
    ck_assert_int_eq(children(), 0);
    ck_assert_int_eq(harness_count(&notes->failed), 1);
    ck_assert_int_eq(notes->error, -ECANCELED);
    ck_assert_int_eq(notes->failed_in == getpid(), _i);
    ck_assert(harness_expect_end(client));
    close(client);
    harness_log_fini(&log);
}
END_TEST

static int call_the_parents(struct ostler_stream *s, struct notes *n)
{
    struct ostler_server *server = ostler_stream_server(s);
    struct ostler_reactor *reactor = ostler_server_reactor(server);

    n->seen[0] = ostler_reactor_is_current(reactor);
    n->seen[1] = ostler_reactor_post(reactor, do_nothing, NULL);
    n->seen[2] = ostler_reactor_stop(reactor);
    n->seen[3] = ostler_reactor_abort(reactor);
    n->seen[4] = ostler_server_shutdown(server);
    n->seen[5] = ostler_server_stop(server);
    n->seen[6] = ostler_server_is_stopping(server);
    n->seen[7] = ostler_server_fd(server, 0);
    return ostler_stream_printf(s, "%s", ostler_server_name(server));
}

START_TEST(in_a_child_the_reactor_is_somebody_elses)
{
    struct harness_server h;
    int client;

    play(&h, call_the_parents);
    client = harness_connect(h.server);
    ck_assert(harness_expect(client, "forker"));
    ck_assert(harness_expect_end(client));
    ck_assert_int_eq(notes->seen[0], false);
    for (int i = 1; i < 6; i++)
        ck_assert_int_eq(notes->seen[i], -EPERM);
    ck_assert_int_eq(notes->seen[6], false);
    ck_assert_int_eq(notes->seen[7], -EBADF);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- failures ---- */

/* A row: all have come while the loop was held. */
struct row {
    struct harness_event held, go;
};

static void hold_loop(void *arg)
{
    struct row *row = arg;

    harness_raise(&row->held);
    harness_wait(&row->go, 1);
}

static void connect_row(struct harness_server *h, struct row *row, int *client, int n)
{
    harness_event_init(&row->held);
    harness_event_init(&row->go);
    ck_assert_int_eq(ostler_reactor_post(ostler_server_reactor(h->server), hold_loop, row), 0);
    ck_assert(harness_wait(&row->held, 1));
    for (int i = 0; i < n; i++) {
        client[i] = harness_connect(h->server);
        ck_assert(harness_say(client[i], "."));
    }
}

static atomic_int verified;

static bool abort_at_third(struct ostler_server *s, const struct ostler_request *r)
{
    (void)r;
    if (atomic_fetch_add(&verified, 1) == 2)
        ostler_server_abort(s);
    return true;
}

static const struct ostler_server_class aborting = { .verify_request = abort_at_third };

START_TEST(an_abort_between_accept_and_fork_ends_all)
{
    struct ostler_server_options options = options_for(hang);
    struct harness_server h;
    struct row row;
    int client[6];

    options.server_class = &aborting;
    harness_start(&h, &options);
    connect_row(&h, &row, client, 6);
    harness_raise(&row.go);
    for (int i = 0; i < 6; i++)
        close(client[i]);
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
    ck_assert_int_eq(children(), 0);
}
END_TEST

/* As under valgrind, or where a filter forbids it. */
START_TEST(without_pidfds_a_pipe_tells_of_a_childs_end)
{
    struct harness_server h;
    int client;

    atomic_store(&pidfd_error, _i ? EPERM : ENOSYS);
    play(&h, obey);
    for (int i = 0; i < 20; i++) {
        client = harness_connect(h.server);
        ck_assert(harness_say(client, "."));
        ck_assert(harness_expect(client, "served"));
        ck_assert(harness_expect_end(client));
        close(client);
    }
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "k"));
    ck_assert(harness_expect_end(client));
    ck_assert(harness_log_wait(&h.log, deaths[0].line));
    close(client);
    client = harness_connect(h.server); /* it waits when the server stops */
    ck_assert(harness_wait(&notes->began, 22));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(children(), 0);
    atomic_store(&pidfd_error, 0);
}
END_TEST

static int close_all(struct ostler_stream *s, struct notes *n)
{
    for (int fd = 3; fd < 100; fd++)
        close(fd);
    return hang(s, n);
}

START_TEST(without_pidfds_who_closes_the_pipe_and_hangs_is_killed)
{
    struct ostler_server_options options = options_for(close_all);
    struct harness_server h;
    int client;

    atomic_store(&pidfd_error, ENOSYS);
    options.stop_timeout_ms = 100;
    harness_start(&h, &options);
    client = harness_connect(h.server);
    ck_assert(harness_wait(&notes->began, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
    close(client);
    ck_assert_int_eq(children(), 0);
    atomic_store(&pidfd_error, 0);
}
END_TEST

static void open_and_be_refused(const struct ostler_mixin *first, const struct ostler_mixin *second, const char *why)
{
    struct ostler_server_options options = options_for(say_hello);
    struct ostler_server *one, *two = NULL, *three;
    struct harness_log log;

    harness_log_init(&log);
    options.log = &log.log;
    options.mixin = first;
    ck_assert_int_eq(ostler_server_new(&one, &options, NULL), 0);
    ck_assert_int_eq(ostler_server_new(&three, &options, NULL), 0);
    options.mixin = second;
    ck_assert_int_eq(ostler_server_new(&two, &options, NULL), -EBUSY);
    ck_assert_ptr_null(two);
    ck_assert(harness_log_has(&log, why));
    ostler_server_free(one);
    ck_assert_int_eq(ostler_server_new(&two, &options, NULL), -EBUSY);
    ostler_server_free(three);
    ck_assert_int_eq(ostler_server_new(&two, &options, NULL), 0);
    ostler_server_free(two);
    harness_log_fini(&log);
}

START_TEST(threads_and_children_do_not_go_together)
{
    open_and_be_refused(&ostler_threading, &ostler_forking,
                        "forker: a forking server does not open while a threading one is open in the process");
    open_and_be_refused(&ostler_forking, &ostler_threading,
                        "forker: a threading server does not open while a forking one is open in the process");
}
END_TEST

/* ---- what a child begins with ---- */

static void on_signal(int number)
{
    (void)number;
}

/* The dispositions of SIGUSR1 and SIGUSR2, and whether these and SIGTERM are blocked. */
static int look_at_signals(struct ostler_stream *s, struct notes *n)
{
    struct sigaction action;
    sigset_t mask;

    sigaction(SIGUSR1, NULL, &action);
    n->seen[0] = action.sa_handler == SIG_DFL;
    sigaction(SIGUSR2, NULL, &action);
    n->seen[1] = action.sa_handler == SIG_IGN;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    n->seen[2] = sigismember(&mask, SIGTERM);
    n->seen[3] = sigismember(&mask, SIGUSR1);
    n->seen[4] = sigismember(&mask, SIGUSR2);
    return ostler_stream_printf(s, "seen");
}

START_TEST(caught_signals_have_their_default_action_and_the_mask_is_the_threads)
{
    struct harness_server h;
    sigset_t term, before;
    int client;

    signal(SIGUSR1, on_signal);
    signal(SIGUSR2, SIG_IGN);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, &before);
    play(&h, look_at_signals);
    client = harness_connect(h.server);
    ck_assert(harness_expect(client, "seen"));
    ck_assert_int_eq(notes->seen[0], true);
    ck_assert_int_eq(notes->seen[1], true);
    ck_assert_int_eq(notes->seen[2], 1);
    ck_assert_int_eq(notes->seen[3], 0);
    ck_assert_int_eq(notes->seen[4], 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    signal(SIGUSR1, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
}
END_TEST

static void on_prepare(void)
{
    atomic_fetch_add(&notes->prepared, 1);
}

static void on_parent(void)
{
    atomic_fetch_add(&notes->continued, 1);
}

static void on_child(void)
{
    atomic_fetch_add(&notes->born, 1);
}

START_TEST(atfork_handlers_run)
{
    struct harness_server h;
    int client;

    ck_assert_int_eq(pthread_atfork(on_prepare, on_parent, on_child), 0);
    play(&h, say_hello);
    client = harness_connect(h.server);
    ck_assert(harness_expect(client, "hello"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(atomic_load(&notes->prepared), 1);
    ck_assert_int_eq(atomic_load(&notes->continued), 1);
    ck_assert_int_eq(atomic_load(&notes->born), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("forking");
    TCase *tc = harness_case(suite, "children");

    notes = harness_share(sizeof(*notes));
    if (!notes)
        return EXIT_FAILURE;
    tcase_add_test(tc, each_request_has_a_child_of_its_own);
    tcase_add_test(tc, three_hundred_requests_leave_no_process_behind);
    tcase_add_test(tc, there_are_never_more_children_than_places);
    tcase_add_test(tc, forty_places_are_the_default);
    tcase_add_test(tc, a_child_of_the_programs_own_is_left_alone);
    tcase_add_test(tc, a_program_that_waits_for_any_child_does_no_harm);
    tcase_add_test(tc, ignored_sigchld_does_no_harm);
    tcase_add_loop_test(tc, who_outlives_a_child_disturbs_no_later_one, 0, 2);
    tcase_add_loop_test(tc, a_child_that_dies_fails_its_request_alone, 0, sizeof(deaths) / sizeof(deaths[0]));
    tcase_add_test(tc, a_handler_that_exits_is_not_reported);
    tcase_add_test(tc, a_child_that_exits_well_is_no_failure);
    tcase_add_test(tc, a_handler_that_fails_is_reported_by_its_child);
    tcase_add_test(tc, what_a_child_moved_is_known_to_its_parent);

    tc = harness_case(suite, "descriptors");
    tcase_add_test(tc, a_child_has_no_other_requests_descriptor);
    tcase_add_test(tc, a_connection_ends_although_other_children_live);

    tc = harness_case(suite, "stop");
    tcase_add_test(tc, what_arrived_before_a_stop_is_answered_after_it);
    tcase_add_test(tc, a_peer_that_keeps_sending_does_not_hold_up_a_stop);
    tcase_add_test(tc, a_child_that_does_not_end_is_killed);
    tcase_add_test(tc, datagrams_that_wait_for_a_place_of_a_killed_child_are_dropped);
    tcase_add_loop_test(tc, freeing_a_server_ends_its_children, 0, 2);
    tcase_add_test(tc, in_a_child_the_reactor_is_somebody_elses);

    tc = harness_case(suite, "failures");
    tcase_add_test(tc, an_abort_between_accept_and_fork_ends_all);
    tcase_add_loop_test(tc, without_pidfds_a_pipe_tells_of_a_childs_end, 0, 2);
    tcase_add_test(tc, without_pidfds_who_closes_the_pipe_and_hangs_is_killed);
    tcase_add_test(tc, threads_and_children_do_not_go_together);

    tc = harness_case(suite, "begin");
    tcase_add_test(tc, caught_signals_have_their_default_action_and_the_mask_is_the_threads);
    tcase_add_test(tc, atfork_handlers_run);
    return harness_main(suite);
}
