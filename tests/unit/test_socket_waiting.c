/* How socket objects wait: their time-outs, and that others go on meanwhile. Each experiment runs
 * in a plain thread and in a handler of each mix-in, and answers with what went wrong. */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "support/sockets.h"

static const struct {
    const char *name;
    const struct ostler_mixin *mixin;
} modes[] = {
    { "plain thread", NULL },          { "inline", NULL },           { "threading", &ostler_threading },
    { "forking", &ostler_forking }, { "fibers", &ostler_fibers },
};

enum { PLAIN, INLINE, THREADING, FORKING, FIBERS, MODES, SERVED = INLINE, LARGE = 64 << 20 };

/* What an experiment finds out: the first thing that is not as it should be. */
struct trial {
    struct ostler_stream *stream; /* of the handler, if it runs in one */
    const char *wrong;
};

static void note(struct trial *trial, bool holds, const char *what)
{
    if (!holds && !trial->wrong)
        trial->wrong = what;
}

#define CHECK(condition) note(trial, (condition), #condition)

static double patience(void)
{
    return (double)harness_deadline_ms() / 1000;
}

/* ---- Experiments in handlers ---- */

static void (*experiment)(struct trial *trial);

static int on_handle(struct ostler_stream *s)
{
    struct trial trial = { .stream = s };
    char line[8];
    ssize_t n = ostler_stream_read_line(s, line, sizeof(line));

    if (n <= 0)
        return (int)n;
    experiment(&trial);
    return ostler_stream_printf(s, "%s\n", trial.wrong ? trial.wrong : "ok");
}

static const struct ostler_stream_handler handler = { .handle = on_handle };

static void start(struct harness_server *h, int mode, void (*run)(struct trial *trial))
{
    experiment = run;
    harness_start(h, &(struct ostler_server_options){
                         .address = harness_address(), .stream = &handler, .mixin = modes[mode].mixin });
}

static int ask(struct harness_server *h)
{
    int client = harness_connect(h->server);

    ck_assert_int_ge(client, 0);
    ck_assert(harness_say(client, "go\n"));
    return client;
}

static void expect_ok(int client)
{
    char text[256] = "";
    ssize_t n = harness_receive(client, text, sizeof(text) - 1);

    ck_assert_int_gt(n, 0);
    ck_assert_str_eq(text, "ok\n");
    close(client);
}

/* Run it in that mode, and expect nothing wrong. */
static void run(int mode, void (*function)(struct trial *trial))
{
    struct trial trial = { .wrong = NULL };
    struct harness_server h;
    if (mode == PLAIN) {
        function(&trial);
        ck_assert_msg(!trial.wrong, "%s", trial.wrong);
        return;
    }
    start(&h, mode, function);
    expect_ok(ask(&h));
    ck_assert_int_eq(harness_stop(&h), 0);
}

/* ---- What there is to wait for, made before a server is, since children have it too ---- */

static struct pair stream, datagram; /* .b is silent, and never reads */
static struct ostler_socket *listener, *crowded[2]; /* nobody comes; full backlogs, of TCP and of Unix */
static struct ostler_address *crowd[2], *busy; /* busy: a datagram socket whose queue is full */
static struct ostler_socket *mute, *fillers[2][4];
static int content;

static void fill(struct ostler_socket *s)
{
    static const char block[4096];

    while (ostler_socket_send(s, block, sizeof(block), MSG_DONTWAIT) > 0)
        continue;
    while (ostler_socket_send(s, block, 1, MSG_DONTWAIT) > 0)
        continue;
}

static void make_crowd(int i)
{
    int kind = i ? STREAM_KINDS - 1 : 0;

    crowded[i] = make_bound(kind, &crowd[i]);
    ck_assert_int_eq(ostler_socket_listen(crowded[i], 0), 0);
    for (int k = 0; k < 4; k++) {
        fillers[i][k] = make_socket(socket_kinds[kind].family, SOCK_STREAM);
        ck_assert_int_eq(ostler_socket_settimeout(fillers[i][k], 0), 0);
        ostler_socket_connect(fillers[i][k], crowd[i]);
    }
}

static void make_all(void)
{
    struct ostler_socket *filler = make_socket(AF_UNIX, SOCK_DGRAM);

    stream = make_pair(SOCK_STREAM);
    datagram = make_pair(SOCK_DGRAM);
    fill(stream.a);
    listener = make_listener(0, NULL);
    make_crowd(0);
    make_crowd(1);
    mute = make_bound(SOCKET_KINDS - 1, &busy);
    while (ostler_socket_sendto(filler, "x", 1, MSG_DONTWAIT, busy) > 0)
        continue;
    ostler_socket_free(filler);
    content = memfd_create("content", MFD_CLOEXEC);
    ck_assert_int_eq(ftruncate(content, LARGE), 0);
}

static void free_all(void)
{
    free_pair(stream);
    free_pair(datagram);
    ostler_socket_free(listener);
    ostler_socket_free(mute);
    ostler_address_free(busy);
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 4; k++)
            ostler_socket_free(fillers[i][k]);
        ostler_socket_free(crowded[i]);
        ostler_address_free(crowd[i]);
    }
    close(content);
}

/* ---- Time-outs ---- */

static ssize_t do_recv(double t)
{
    ostler_socket_settimeout(stream.a, t);
    return ostler_socket_recv(stream.a, &(char){ 0 }, 1, 0);
}

static ssize_t do_recv_all(double t)
{
    ostler_socket_settimeout(datagram.a, t);
    return ostler_socket_recv(datagram.a, &(char){ 0 }, 1, MSG_WAITALL);
}

static ssize_t do_recvfrom(double t)
{
    ostler_socket_settimeout(mute, t);
    ostler_socket_settimeout(datagram.a, t);
    return ostler_socket_recvfrom(datagram.a, &(char){ 0 }, 1, 0, NULL);
}

static ssize_t do_recv_fds(double t)
{
    size_t count = 0;

    ostler_socket_settimeout(stream.a, t);
    return ostler_socket_recv_fds(stream.a, &(char){ 0 }, 1, NULL, &count);
}

static ssize_t do_send(double t)
{
    ostler_socket_settimeout(stream.a, t);
    return ostler_socket_send(stream.a, "x", 1, 0);
}

static ssize_t do_sendall(double t)
{
    ostler_socket_settimeout(stream.a, t);
    return ostler_socket_sendall(stream.a, "xyz", 3, 0);
}

static ssize_t do_sendto(double t)
{
    struct ostler_socket *s = NULL;
    ssize_t n = ostler_socket_new(&s, AF_UNIX, SOCK_DGRAM, 0);

    ostler_socket_settimeout(s, t);
    n = n < 0 ? n : ostler_socket_sendto(s, "x", 1, 0, busy);
    ostler_socket_free(s);
    return n;
}

static ssize_t do_sendfile(double t)
{
    ostler_socket_settimeout(stream.a, t);
    return ostler_socket_sendfile(stream.a, content, 0, 0);
}

static ssize_t do_accept(double t)
{
    struct ostler_socket *out = NULL;

    ostler_socket_settimeout(listener, t);
    return ostler_socket_accept(listener, &out, NULL);
}

static ssize_t do_connect(int i, double t)
{
    struct ostler_socket *s = NULL;
    ssize_t n = ostler_socket_new(&s, i ? AF_UNIX : AF_INET, SOCK_STREAM, 0);

    ostler_socket_settimeout(s, t);
    n = n < 0 ? n : ostler_socket_connect(s, crowd[i]);
    ostler_socket_free(s);
    return n == -EINPROGRESS ? -EAGAIN : n;
}

static ssize_t do_connect_tcp(double t)
{
    return do_connect(0, t);
}

static ssize_t do_connect_unix(double t)
{
    return do_connect(1, t);
}

static ssize_t do_getc(double t)
{
    FILE *file = NULL;
    ssize_t n = ostler_socket_settimeout(stream.a, t);

    if (n == 0)
        n = ostler_socket_makefile(stream.a, &file, "r");
    if (n < 0)
        return n;
    n = fgetc(file) == EOF ? -errno : 1;
    fclose(file);
    return n;
}

static ssize_t (*const calls[])(double t) = {
    do_recv, do_recv_all, do_recvfrom, do_recv_fds, do_send, do_sendall, do_sendto,
    do_sendfile, do_accept, do_connect_tcp, do_connect_unix, do_getc,
};

enum { CALLS = sizeof(calls) / sizeof(calls[0]), SAMPLES = 2 };

static int call; /* which of them */

/* How much longer than ms it took, at the least of a few times: what the machine adds is not ours. */
static long excess(struct trial *trial, ssize_t (*function)(double t), long ms)
{
    long least = LONG_MAX;

    for (int i = 0; i < SAMPLES; i++) {
        uint64_t begin = harness_now_ms();
        long took;

        CHECK(function((double)ms / 1000) == -ETIMEDOUT);
        took = (long)(harness_now_ms() - begin) - ms;
        least = took < least ? took : least;
    }
    return least;
}

static void expect_timeouts(struct trial *trial)
{
    const long in_time = 20 * harness_slow();

    for (long ms = 10; ms <= 160; ms *= 4) {
        long late = excess(trial, calls[call], ms);

        CHECK(late >= -1); /* of a whole millisecond that had begun */
        CHECK(late <= in_time);
    }
    CHECK(calls[call](0) == -EAGAIN);
}

START_TEST(each_call_times_out_in_time_and_never_waits_with_0)
{
    call = _i / MODES;
    make_all();
    run(_i % MODES, expect_timeouts);
    free_all();
}
END_TEST

/* A peer that takes a little every 10 ms. */
struct dripper {
    struct ostler_socket *s;
    int stop;
};

static void *drip(void *arg)
{
    static char buffer[4096];
    struct dripper *d = arg;
    struct pollfd stop = { .fd = d->stop, .events = POLLIN };

    while (poll(&stop, 1, 10) == 0)
        ostler_socket_recv(d->s, buffer, sizeof(buffer), MSG_DONTWAIT);
    return NULL;
}

static ssize_t send_large(double t)
{
    static const char data[LARGE / 4];

    ostler_socket_settimeout(stream.a, t);
    return ostler_socket_sendall(stream.a, data, sizeof(data), 0);
}

static void expect_one_deadline(struct trial *trial)
{
    CHECK(excess(trial, send_large, 150) <= 20 * harness_slow());
    CHECK(excess(trial, do_sendfile, 150) <= 20 * harness_slow());
}

START_TEST(a_whole_sendall_or_sendfile_has_one_time_out)
{
    struct dripper d = { .stop = eventfd(0, EFD_CLOEXEC) };
    pthread_t thread;

    make_all();
    d.s = stream.b;
    ck_assert_int_eq(pthread_create(&thread, NULL, drip, &d), 0);
    run(_i, expect_one_deadline);
    eventfd_write(d.stop, 1);
    pthread_join(thread, NULL);
    close(d.stop);
    free_all();
}
END_TEST

/* ---- Signals ---- */

static void on_signal(int number)
{
    (void)number;
}

/* SIGUSR1 to the calling thread every 2 ms; not before the object's own calls are under way. */
static timer_t start_storm(void)
{
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
    struct itimerspec every = { .it_interval.tv_nsec = 2000000, .it_value.tv_nsec = 2000000 };
    struct sigaction action = { .sa_handler = on_signal }; /* no SA_RESTART */
    timer_t timer;

    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    sigaction(SIGUSR1, &action, NULL);
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    timer_settime(timer, 0, &every, NULL);
    return timer;
}

static void expect_no_EINTR(struct trial *trial)
{
    timer_t timer = start_storm();

    for (int i = 0; i < CALLS; i++)
        CHECK(excess(trial, calls[i], 30) <= 20 * harness_slow());
    timer_delete(timer);
}

/* What those wait for that wait without a time-out, after a while in which signals come. */
static void *feed(void *arg)
{
    struct pollfd nothing = { .fd = -1 };
    struct ostler_socket *out = NULL;

    poll(&nothing, 1, 30);
    for (int i = 0; i < 2; i++) /* one made way for the other */
        if (ostler_socket_accept(crowded[0], &out, NULL) == 0)
            ostler_socket_free(out);
    if (ostler_socket_accept(crowded[1], &out, NULL) == 0)
        ostler_socket_free(out);
    ostler_socket_send(datagram.b, "x", 1, 0);
    return arg;
}

static void expect_patience(struct trial *trial)
{
    timer_t timer = start_storm();
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, feed, NULL) == 0);
    CHECK(do_connect_tcp(OSTLER_NEVER) == 0);
    CHECK(do_connect_unix(OSTLER_NEVER) == 0);
    ostler_socket_settimeout(datagram.a, OSTLER_NEVER);
    CHECK(ostler_socket_recv(datagram.a, &(char){ 0 }, 1, 0) == 1);
    timer_delete(timer);
    pthread_join(thread, NULL);
}

static double processor_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What is in the queue of errors makes a socket ready until somebody takes it (IP_RECVERR, ip(7)). */
static void leave_errors(struct trial *trial)
{
    struct ostler_socket *gone = make_socket(AF_INET, SOCK_DGRAM), *s = make_socket(AF_INET, SOCK_DGRAM);
    struct ostler_address *address = parse_address("udp:127.0.0.1:0");
    double before;
    char byte;

    CHECK(ostler_socket_bind(gone, address) == 0 && ostler_socket_getsockname(gone, address) == 0);
    CHECK(ostler_socket_setsockopt(s, IPPROTO_IP, IP_RECVERR, 1) == 0);
    CHECK(ostler_socket_connect(s, address) == 0);
    ostler_socket_free(gone);
    ostler_address_free(address);
    CHECK(ostler_socket_send(s, "?", 1, 0) == 1);
    CHECK(ostler_socket_recv(s, &byte, 1, 0) == -ECONNREFUSED);
    ostler_socket_settimeout(s, 0.3);
    before = processor_seconds();
    CHECK(ostler_socket_recv(s, &byte, 1, 0) == -ETIMEDOUT);
    CHECK(processor_seconds() - before < 0.1);
    CHECK(ostler_socket_recv(s, &byte, 1, MSG_ERRQUEUE) >= 0);
    ostler_socket_free(s);
}

START_TEST(errors_that_nobody_takes_keep_nobody_busy)
{
    run(_i, leave_errors);
}
END_TEST

START_TEST(signals_neither_end_nor_prolong_a_wait)
{
    make_all();
    run(_i, expect_no_EINTR);
    free_all();
}
END_TEST

START_TEST(signals_end_no_wait_without_a_time_out)
{
    make_all();
    run(_i, expect_patience);
    free_all();
}
END_TEST

/* ---- Others meanwhile ---- */

static atomic_int *turn; /* shared with children */

static void meet(struct trial *trial)
{
    char byte;

    if (atomic_fetch_add(turn, 1) == 0) {
        CHECK(ostler_socket_recv(stream.a, &byte, 1, 0) == 1);
        CHECK(byte == 'm');
    } else {
        CHECK(ostler_socket_send(stream.b, "m", 1, 0) == 1);
    }
}

/* Two handlers, the second of which does what the first waits for. */
static void run_two(int mode, void (*function)(struct trial *trial))
{
    struct harness_server h;
    int first, second;

    stream = make_pair(SOCK_STREAM);
    turn = harness_share(sizeof(*turn));
    start(&h, mode, function);
    first = ask(&h);
    second = ask(&h);
    expect_ok(second);
    expect_ok(first);
    ck_assert_int_eq(harness_stop(&h), 0);
    harness_unshare((void *)turn, sizeof(*turn));
    free_pair(stream);
}

START_TEST(a_handler_that_waits_holds_up_no_other)
{
    run_two(_i, meet);
}
END_TEST

/* The first exchanges bytes that are always there, until the second has had a turn. */
static void spin(struct trial *trial)
{
    uint64_t end = harness_now_ms() + (uint64_t)harness_deadline_ms();
    char byte;

    if (atomic_fetch_add(turn, 1) == 0)
        while (atomic_load(turn) == 1 && harness_now_ms() < end) {
            CHECK(ostler_socket_send(stream.a, "x", 1, 0) == 1);
            CHECK(ostler_socket_recv(stream.b, &byte, 1, 0) == 1);
        }
    CHECK(atomic_load(turn) == 2);
}

START_TEST(a_handler_whose_peer_is_fast_gives_others_a_turn)
{
    run_two(FIBERS, spin);
}
END_TEST

static void take_one(struct trial *trial)
{
    struct ostler_socket *out = NULL;
    int error = ostler_socket_accept(listener, &out, NULL);

    CHECK(error == 0 || error == -ETIMEDOUT);
    if (error == 0)
        atomic_fetch_add(turn, 1);
    ostler_socket_free(out);
}

enum { ACCEPTORS = 4 };

START_TEST(several_may_accept_on_one_listener_and_none_is_stuck)
{
    struct ostler_address *address;
    struct ostler_socket *client = make_socket(AF_INET, SOCK_STREAM);
    struct harness_server h;
    int clients[ACCEPTORS];

    listener = make_listener(0, &address);
    turn = harness_share(sizeof(*turn));
    ostler_socket_settimeout(listener, 0.3 * (double)harness_slow());
    start(&h, _i, take_one);
    for (int i = 0; i < ACCEPTORS; i++)
        clients[i] = ask(&h);
    ck_assert_int_eq(ostler_socket_connect(client, address), 0);
    for (int i = 0; i < ACCEPTORS; i++)
        expect_ok(clients[i]);
    ck_assert_int_eq(atomic_load(turn), 1);
    ck_assert_int_eq(harness_stop(&h), 0);
    harness_unshare((void *)turn, sizeof(*turn));
    ostler_socket_free(client);
    ostler_socket_free(listener);
    ostler_address_free(address);
}
END_TEST

/* ---- The end of a wait ---- */

static void close_it(struct trial *trial)
{
    if (atomic_fetch_add(turn, 1) == 0)
        CHECK(ostler_socket_recv(stream.a, &(char){ 0 }, 1, 0) == -EBADF);
    else
        CHECK(ostler_socket_close(stream.a) == 0);
}

START_TEST(a_close_wakes_who_waits_on_the_reactor)
{
    run_two(FIBERS, close_it);
}
END_TEST

static struct harness_event *waits;

/* Through the stream's own socket: three bytes, one of them seen before, then the end that a stop makes. */
static void use_own(struct trial *trial)
{
    struct ostler_socket *own = NULL;
    struct iovec iov = { .iov_base = &(char){ 0 }, .iov_len = 1 };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
    char bytes[4] = "";

    harness_raise(waits); /* the line was read by itself */
    CHECK(ostler_stream_socket(&own, trial->stream) == 0);
    CHECK(ostler_socket_recv(own, bytes, 1, MSG_PEEK) == 1 && bytes[0] == 'a');
    CHECK(ostler_socket_recvmsg(own, &m, 0) == 1);
    CHECK(ostler_socket_recvfrom(own, bytes, 2, MSG_WAITALL, NULL) == 2);
    CHECK(memcmp(bytes, "bc", 2) == 0);
    CHECK(ostler_request_bytes_in(trial->stream->request) == 6);
    CHECK(ostler_stream_printf(trial->stream, "1") == 0);
    CHECK(ostler_socket_sendall(own, "2", 1, 0) == 0);
    CHECK(ostler_request_bytes_out(trial->stream->request) == 2);
    CHECK(ostler_socket_close(own) == -EPERM && ostler_socket_detach(own) == -EPERM);
    harness_raise(waits);
    CHECK(ostler_socket_recv(own, bytes, 1, MSG_PEEK) == 0);
    CHECK(ostler_socket_recvmsg(own, &m, 0) == 0);
    CHECK(ostler_socket_recv(own, bytes, 1, 0) == 0);
}

START_TEST(a_streams_own_socket_counts_its_bytes_and_ends_with_its_server)
{
    struct harness_server h;
    int client;

    waits = harness_share(sizeof(*waits));
    harness_event_init(waits);
    start(&h, _i, use_own);
    client = ask(&h);
    ck_assert(harness_wait(waits, 1));
    ck_assert(harness_say(client, "abc"));
    ck_assert(harness_wait(waits, 2));
    ck_assert(harness_expect(client, "12"));
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    expect_ok(client);
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
    harness_unshare(waits, sizeof(*waits));
}
END_TEST

/* The time-out of the stream holds on, and is not the kernel's for whoever has a second socket. */
static void use_twin(struct trial *trial)
{
    struct ostler_socket *own = NULL, *twin = NULL;
    struct timeval limit = { .tv_sec = 1 };
    size_t size = sizeof(limit);
    char byte;

    CHECK(ostler_stream_set_timeout(trial->stream, 20) == 0);
    CHECK(ostler_stream_read(trial->stream, &byte, 1) == -ETIMEDOUT);
    CHECK(ostler_stream_socket(&own, trial->stream) == 0);
    CHECK(ostler_socket_dup(&twin, own) == 0);
    CHECK(ostler_stream_read(trial->stream, &byte, 1) == -ETIMEDOUT);
    CHECK(ostler_socket_getsockopt_buffer(twin, SOL_SOCKET, SO_RCVTIMEO, &limit, &size) == 0);
    CHECK(limit.tv_sec == 0 && limit.tv_usec == 0);
    ostler_socket_free(twin);
}

START_TEST(a_twin_of_a_streams_socket_does_not_inherit_the_streams_time_out)
{
    run(_i, use_twin);
}
END_TEST

/* ---- Reactors ---- */

static void on_reactor(void *arg)
{
    struct trial *trial = arg;
    struct ostler_socket *out = NULL;

    ostler_socket_settimeout(stream.b, patience());
    CHECK(ostler_socket_recv(stream.b, &(char){ 0 }, 1, MSG_DONTWAIT) == 1);
    CHECK(do_accept(patience()) == -EDEADLK);
    CHECK(do_recvfrom(OSTLER_NEVER) == -EDEADLK);
    CHECK(do_connect_tcp(patience()) == -EDEADLK);
    CHECK(do_connect_unix(patience()) == -EDEADLK);
    for (int i = 0; i < CALLS; i++)
        CHECK(calls[i](0) == -EAGAIN);
    CHECK(!out);
}

START_TEST(a_callback_on_the_reactor_gets_EDEADLK_instead_of_waiting)
{
    struct harness_reactor h;
    struct trial trial = { .wrong = NULL };

    make_all();
    harness_reactor_init(&h);
    harness_reactor_start(&h);
    ck_assert(harness_call(h.reactor, on_reactor, &trial));
    ck_assert_msg(!trial.wrong, "%s", trial.wrong);
    ostler_reactor_stop(h.reactor);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    harness_reactor_fini(&h);
    free_all();
}
END_TEST

static void wait_a_little(struct trial *trial)
{
    CHECK(do_recv(0.001) == -ETIMEDOUT);
}

/* How such a socket ends: before its reactor, which has not come to that; after it; given away. */
enum { CLOSED_FIRST, FREED_LAST, DETACHED, ENDS };

START_TEST(a_socket_and_the_reactor_it_was_waited_for_on_end_in_any_order)
{
    struct harness_server h;
    int fd = -1;

    make_all();
    start(&h, _i / ENDS ? FIBERS : INLINE, wait_a_little);
    expect_ok(ask(&h));
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    if (_i % ENDS == CLOSED_FIRST)
        ck_assert_int_eq(ostler_socket_close(stream.a), 0);
    if (_i % ENDS == DETACHED)
        fd = ostler_socket_detach(stream.a);
    harness_free(&h);
    if (_i % ENDS == FREED_LAST)
        ck_assert_int_eq(do_recv(0.001), -ETIMEDOUT);
    if (_i % ENDS == DETACHED) {
        ck_assert(is_open(fd) && is_close_on_exec(fd));
        close(fd);
    }
    free_all();
}
END_TEST

/* A socket that a reactor watches, closed by another thread while that runs. */
START_TEST(a_socket_may_be_closed_on_another_thread_than_it_was_waited_for_on)
{
    struct harness_server h;

    make_all();
    start(&h, _i ? FIBERS : INLINE, wait_a_little);
    expect_ok(ask(&h));
    ck_assert_int_eq(ostler_socket_close(stream.a), 0);
    ck_assert_int_eq(ostler_socket_settimeout(stream.b, patience()), 0);
    while (ostler_socket_recv(stream.b, (char[4096]){ 0 }, 4096, 0) > 0) /* to the end, which the reactor makes */
        continue;
    ck_assert_int_eq(harness_stop(&h), 0);
    free_all();
}
END_TEST

/* A socket that has moved from one reactor to another. */
START_TEST(a_close_wakes_who_waits_on_another_reactor_than_the_first)
{
    struct harness_server first, second;
    int clients[2];

    make_all();
    turn = harness_share(sizeof(*turn));
    start(&first, FIBERS, wait_a_little);
    expect_ok(ask(&first));
    ck_assert_int_eq(ostler_socket_settimeout(stream.a, OSTLER_NEVER), 0);
    start(&second, FIBERS, close_it);
    for (int i = 0; i < 2; i++)
        clients[i] = ask(&second);
    for (int i = 0; i < 2; i++)
        expect_ok(clients[i]);
    ck_assert_int_eq(harness_stop(&second), 0);
    ck_assert_int_eq(harness_stop(&first), 0);
    harness_unshare((void *)turn, sizeof(*turn));
    free_all();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("socket waiting");
    TCase *tc = harness_case(suite, "time-outs");

    tcase_add_loop_test(tc, each_call_times_out_in_time_and_never_waits_with_0, 0, CALLS * MODES);
    tcase_add_loop_test(tc, a_whole_sendall_or_sendfile_has_one_time_out, 0, MODES);
    tcase_add_loop_test(tc, errors_that_nobody_takes_keep_nobody_busy, 0, MODES);
    tcase_add_loop_test(tc, signals_neither_end_nor_prolong_a_wait, 0, MODES);
    tcase_add_loop_test(tc, signals_end_no_wait_without_a_time_out, 0, MODES);
    tc = harness_case(suite, "others");
    tcase_add_loop_test(tc, a_handler_that_waits_holds_up_no_other, THREADING, MODES); /* inline: by design */
    tcase_add_test(tc, a_handler_whose_peer_is_fast_gives_others_a_turn);
    tcase_add_loop_test(tc, several_may_accept_on_one_listener_and_none_is_stuck, SERVED, MODES);
    tc = harness_case(suite, "ends");
    tcase_add_test(tc, a_close_wakes_who_waits_on_the_reactor);
    tcase_add_loop_test(tc, a_streams_own_socket_counts_its_bytes_and_ends_with_its_server, SERVED, MODES);
    tcase_add_loop_test(tc, a_twin_of_a_streams_socket_does_not_inherit_the_streams_time_out, SERVED, MODES);
    tcase_add_test(tc, a_callback_on_the_reactor_gets_EDEADLK_instead_of_waiting);
    tcase_add_loop_test(tc, a_socket_and_the_reactor_it_was_waited_for_on_end_in_any_order, 0, 2 * ENDS);
    tcase_add_loop_test(tc, a_socket_may_be_closed_on_another_thread_than_it_was_waited_for_on, 0, 2);
    tcase_add_test(tc, a_close_wakes_who_waits_on_another_reactor_than_the_first);
    return harness_main(suite);
}
