/* There is a place for a request, and no process, thread or descriptor: whoever can wait waits, in order. */
#include "support/harness.h"

#include <errno.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROW = 16, ANSWER = 100000, STACK = 16384, FRAME = 12000 };

/* Children share it. */
struct notes {
    struct harness_event began, go;
    char seen[64]; /* what each handler was told, in the order in which they began */
    atomic_int served;
    pid_t parent;
    int client; /* a descriptor of the parent's */
};

static struct notes *notes;

/* ---- what a test lets fail ---- */

static atomic_int permits = INT32_MAX; /* so many children and threads can still be made */
static atomic_int pidfd_error;

int __real_pidfd_open(pid_t pid, unsigned flags);
int __wrap_pidfd_open(pid_t pid, unsigned flags);
pid_t __real_fork(void);
pid_t __wrap_fork(void);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);

static bool take_permit(void)
{
    int left = atomic_load(&permits);

    while (left > 0 && !atomic_compare_exchange_weak(&permits, &left, left - 1))
        continue;
    return left > 0;
}

int __wrap_pidfd_open(pid_t pid, unsigned flags)
{
    if (atomic_load(&pidfd_error) == 0)
        return __real_pidfd_open(pid, flags);
    errno = atomic_load(&pidfd_error);
    return -1;
}

pid_t __wrap_fork(void)
{
    if (take_permit())
        return __real_fork();
    errno = EAGAIN;
    return -1;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    return take_permit() ? __real_pthread_create(thread, attributes, run, arg) : EAGAIN;
}

/* Of the time that a thread waits for work a hundredth goes by. */
int __real_sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until);
int __wrap_sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until);

int __wrap_sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until)
{
    struct timespec soon;
    long ms;

    clock_gettime(clock, &soon);
    ms = (until->tv_sec - soon.tv_sec) * 10;
    soon.tv_sec += ms / 1000;
    soon.tv_nsec += ms % 1000 * 1000000;
    if (soon.tv_nsec >= 1000000000) {
        soon.tv_nsec -= 1000000000;
        soon.tv_sec++;
    }
    return __real_sem_clockwait(semaphore, clock, &soon);
}

/* ---- handlers ---- */

/* Answer a byte with itself; after an 'h' stay. */
static int answer(struct ostler_stream *s)
{
    char c = 0;
    ssize_t n = ostler_stream_read(s, &c, 1);

    if (n < 1)
        return (int)n;
    notes->seen[atomic_fetch_add(&notes->served, 1) % (int)sizeof(notes->seen)] = c;
    harness_raise(&notes->began);
    if (c == 'h')
        harness_wait(&notes->go, 1);
    return ostler_stream_write(s, &c, 1);
}

static int hang(struct ostler_stream *s)
{
    (void)s;
    harness_raise(&notes->began);
    for (;;)
        pause();
    return 0;
}

/* The first one waits, the others have much to say. */
static int talk(struct ostler_stream *s)
{
    static const char block[ANSWER];
    char c;

    if (ostler_stream_read(s, &c, 1) != 1)
        return -EPROTO;
    harness_raise(&notes->began);
    if (c == 'w')
        harness_wait(&notes->go, 1);
    setsockopt(ostler_request_fd(s->request), SOL_SOCKET, SO_SNDBUF, &(int){ 2 * ANSWER }, sizeof(int));
    return c == 'w' ? 0 : ostler_stream_write(s, block, sizeof(block));
}

static int use_stack(struct ostler_stream *s)
{
    volatile char frame[FRAME];

    for (size_t i = 0; i < sizeof(frame); i++)
        frame[i] = 'x';
    return ostler_stream_printf(s, "%c", frame[FRAME / 2]);
}

/* A reply to somebody who has gone. */
static int reply_late(struct ostler_stream *s)
{
    harness_raise(&notes->began);
    harness_wait(&notes->go, 1);
    if (getpid() != notes->parent) /* it has inherited that */
        close(notes->client);
    return ostler_stream_printf(s, "late");
}

static const struct ostler_stream_handler answering = { .handle = answer }, hanging = { .handle = hang },
                                          talking = { .handle = talk }, deep = { .handle = use_stack },
                                          late = { .handle = reply_late };

static struct ostler_server_options options_for(const struct ostler_mixin *mixin,
                                                const struct ostler_stream_handler *handler)
{
    memset(notes, 0, sizeof(*notes));
    notes->parent = getpid();
    harness_event_init(&notes->began);
    harness_event_init(&notes->go);
    return (struct ostler_server_options){
        .name = "poor", .address = "tcp:127.0.0.1:0", .stream = handler, .mixin = mixin
    };
}

static const struct ostler_mixin *mixin_at(int i)
{
    return i % 2 ? &ostler_threading : &ostler_forking;
}

/* ---- places ---- */

static const char lack_line[] = "cannot run another request: Resource temporarily unavailable";

static int client_who_says(const struct harness_server *h, char c)
{
    int fd = harness_connect(h->server);

    ck_assert(harness_send(fd, &c, 1));
    return fd;
}

/* Nobody of those who were there before ends, and lets others have what he had. */
START_TEST(who_cannot_be_run_waits_until_he_can)
{
    struct ostler_server_options options = options_for(mixin_at(_i), &answering);
    int client[10], held;
    struct harness_server h;

    options.defer = _i / 2;
    harness_start(&h, &options);
    held = client_who_says(&h, 'h');
    ck_assert(harness_wait(&notes->began, 1));
    atomic_store(&permits, 0);
    for (int i = 0; i < 10; i++)
        client[i] = client_who_says(&h, (char)('A' + i));
    ck_assert(harness_log_wait(&h.log, lack_line));
    ck_assert(harness_is_silent(client[9]));
    ck_assert_int_eq(harness_log_count(&h.log, "cannot run another request"), 1);
    atomic_store(&permits, INT32_MAX);
    for (int i = 0; i < 10; i++) {
        ck_assert(harness_expect(client[i], (char[]){ (char)('A' + i), '\0' }));
        ck_assert(harness_expect_end(client[i]));
        close(client[i]);
    }
    ck_assert(!harness_log_has(&h.log, "request failed"));
    harness_raise(&notes->go);
    close(held);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static void hold_loop(void *arg)
{
    struct harness_event *held = arg;

    harness_raise(&held[0]);
    harness_wait(&held[1], 1);
}

/* All come while the loop is held: in one row, of which nobody, and then one at a time can be run. */
START_TEST(those_who_wait_keep_their_order)
{
    struct ostler_server_options options = options_for(&ostler_forking, &answering);
    struct harness_event held[2];
    struct harness_server h;
    int client[ROW];

    harness_event_init(&held[0]);
    harness_event_init(&held[1]);
    harness_start(&h, &options);
    ck_assert_int_eq(ostler_reactor_post(ostler_server_reactor(h.server), hold_loop, held), 0);
    ck_assert(harness_wait(&held[0], 1));
    atomic_store(&permits, 1);
    for (int i = 0; i < ROW; i++)
        client[i] = client_who_says(&h, (char)('A' + i));
    harness_raise(&held[1]);
    ck_assert(harness_log_wait(&h.log, lack_line));
    for (int i = 0; i < ROW; i++) {
        ck_assert(harness_wait(&notes->began, i + 1));
        ck_assert_int_eq(notes->seen[i], 'A' + i);
        atomic_store(&permits, 1);
    }
    atomic_store(&permits, INT32_MAX);
    for (int i = 0; i < ROW; i++)
        close(client[i]);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* A socket that sends to server, without a name of its own. */
static int datagram_client(const struct ostler_server *server)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    to.sin_port = htons((uint16_t)ostler_address_port(ostler_server_address(server, 0)));
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

START_TEST(datagrams_wait_too)
{
    struct ostler_server_options options = options_for(mixin_at(_i), &answering);
    struct harness_server h;
    int client;

    options.address = "udp:127.0.0.1:0";
    harness_start(&h, &options);
    client = datagram_client(h.server);
    atomic_store(&permits, 0);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(send(client, "d", 1, 0), 1);
    ck_assert(harness_log_wait(&h.log, lack_line));
    ck_assert(harness_is_silent(client));
    atomic_store(&permits, INT32_MAX);
    ck_assert(harness_wait(&notes->began, 20));
    ck_assert(!harness_log_has(&h.log, "request failed"));
    ck_assert_uint_eq(ostler_server_dropped(h.server), 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* A stop waits for what is lacking, but no longer than for anything else. */
START_TEST(who_waits_when_the_stops_time_is_up_is_refused)
{
    struct ostler_server_options options = options_for(mixin_at(_i), &answering);
    struct harness_server h;
    int client[3];

    options.stop_timeout_ms = 100;
    harness_start(&h, &options);
    atomic_store(&permits, 0);
    for (int i = 0; i < 3; i++)
        client[i] = client_who_says(&h, 'a');
    ck_assert(harness_log_wait(&h.log, lack_line));
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    atomic_store(&permits, INT32_MAX);
    for (int i = 0; i < 3; i++)
        close(client[i]);
    ck_assert_int_eq(harness_count(&notes->began), 0);
    harness_free(&h);
}
END_TEST

START_TEST(who_comes_for_handle_request_is_refused)
{
    struct ostler_server_options options = options_for(mixin_at(_i), &answering);
    struct ostler_server *server;
    struct harness_log log;
    int client;

    harness_log_init(&log);
    options.log = &log.log;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    client = harness_connect(server);
    atomic_store(&permits, 0);
    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    atomic_store(&permits, INT32_MAX);
    ck_assert(harness_expect_end(client));
    ck_assert_int_eq(harness_log_count(&log, "request failed: "), 1);
    ck_assert_int_eq(harness_log_has(&log, "cannot make a child for it: "), _i == 0);
    ck_assert_int_eq(harness_log_count(&log, "closed: refused"), 1);
    close(client);
    ostler_server_free(server);
    harness_log_fini(&log);
}
END_TEST

/* ---- children whose pidfd cannot be had ---- */

static const int pidfd_errors[] = { EMFILE, ENFILE, ENOMEM };

START_TEST(children_without_pidfds_are_none_the_worse)
{
    struct ostler_server_options options = options_for(&ostler_forking, &answering);
    struct harness_event held[2];
    struct harness_server h;
    int client[ROW];

    harness_event_init(&held[0]);
    harness_event_init(&held[1]);
    harness_start(&h, &options);
    ck_assert_int_eq(ostler_reactor_post(ostler_server_reactor(h.server), hold_loop, held), 0);
    ck_assert(harness_wait(&held[0], 1));
    for (int i = 0; i < ROW; i++)
        client[i] = client_who_says(&h, (char)('A' + i));
    atomic_store(&pidfd_error, pidfd_errors[_i]);
    harness_raise(&held[1]);
    for (int i = 0; i < ROW; i++) {
        ck_assert(harness_expect(client[i], (char[]){ (char)('A' + i), '\0' }));
        ck_assert(harness_expect_end(client[i]));
        close(client[i]);
    }
    ck_assert_int_eq(harness_stop(&h), 0);
    atomic_store(&pidfd_error, 0);
    ck_assert_int_eq(harness_count(&notes->began), ROW);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* there is none */
}
END_TEST

START_TEST(a_child_without_a_pidfd_that_hangs_is_killed)
{
    struct ostler_server_options options = options_for(&ostler_forking, &hanging);
    struct harness_server h;
    int client;

    options.stop_timeout_ms = 100;
    atomic_store(&pidfd_error, EMFILE);
    harness_start(&h, &options);
    client = harness_connect(h.server);
    ck_assert(harness_wait(&notes->began, 1));
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    atomic_store(&pidfd_error, 0);
    ck_assert_int_eq(harness_log_count(&h.log, "its handler still ran although it was cut off, and was killed"), 1);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    close(client);
    harness_free(&h);
}
END_TEST

/* ---- what else children did worse than threads ---- */

static void do_nothing(void *arg)
{
    (void)arg;
}

struct look {
    struct ostler_server *server;
    bool seen;
};

static bool see(const struct ostler_request_info *info, void *arg)
{
    struct look *look = arg;

    look->seen = look->seen || strcmp(info->state, "waits for a place") == 0;
    return true;
}

static void look_at_requests(void *arg)
{
    struct look *look = arg;

    ostler_server_requests(look->server, see, look);
}

/* Does anybody? */
static bool comes_to_wait_for_a_place(struct harness_server *h)
{
    uint64_t end = harness_now_ms() + (uint64_t)harness_deadline_ms();
    struct look look = { .server = h->server };

    while (!look.seen && harness_now_ms() < end)
        if (!harness_call(ostler_server_reactor(h->server), look_at_requests, &look))
            return false;
    return look.seen;
}

/* He takes his time, and says something more meanwhile. */
START_TEST(who_waits_for_a_place_when_the_server_stops_gets_all_of_his_answer)
{
    struct ostler_server_options options = options_for(mixin_at(_i), &talking);
    static char got[ANSWER + 1];
    struct harness_server h;
    int first, second;

    options.max_requests = 1;
    options.defer = true;
    harness_start(&h, &options);
    first = client_who_says(&h, 'w');
    ck_assert(harness_wait(&notes->began, 1));
    second = harness_connect_to(ostler_server_address(h.server, 0), 4096);
    ck_assert(harness_say(second, "q"));
    ck_assert(comes_to_wait_for_a_place(&h));
    ck_assert_int_eq(ostler_reactor_stop(ostler_server_reactor(h.server)), 0);
    for (int i = 0; i < 2; i++) /* after the second one the stop was heeded */
        ck_assert(harness_call(ostler_server_reactor(h.server), do_nothing, NULL));
    harness_raise(&notes->go);
    ck_assert(harness_log_wait(&h.log, ", 1 bytes in, 100000 out"));
    ck_assert(harness_say(second, "y"));
    ck_assert_int_eq(harness_receive(second, got, sizeof(got)), ANSWER);
    close(first);
    close(second);
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
}
END_TEST

static socklen_t name_socket(struct sockaddr_un *un, const char *name)
{
    int n = snprintf(un->sun_path + 1, sizeof(un->sun_path) - 1, "ostler-lack-%s-%d", name, (int)getpid());

    un->sun_family = AF_UNIX;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

START_TEST(a_reply_that_cannot_be_sent_is_counted)
{
    struct ostler_server_options options = options_for(mixin_at(_i), &late);
    struct sockaddr_un un = { 0 };
    struct harness_server h;
    char address[64];
    int client;

    snprintf(address, sizeof(address), "unixgram:@ostler-lack-server-%d", (int)getpid());
    options.address = address;
    harness_start(&h, &options);
    client = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(client, (struct sockaddr *)&un, name_socket(&un, "client")), 0);
    memset(&un, 0, sizeof(un));
    ck_assert_int_eq(sendto(client, "x", 1, 0, (struct sockaddr *)&un, name_socket(&un, "server")), 1);
    ck_assert(harness_wait(&notes->began, 1));
    notes->client = client;
    close(client);
    harness_raise(&notes->go);
    ck_assert(harness_log_wait(&h.log, "closed: "));
    ck_assert_uint_eq(ostler_server_dropped(h.server), 1);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* A sanitizer has frames of its own there. */
START_TEST(a_threads_handler_has_the_stack_that_was_asked_for)
{
    struct ostler_server_options options = options_for(&ostler_threading, &deep);
    struct harness_server h;
    int client;

    options.stack_size = getenv("OSTLER_SANITIZED") ? 0 : STACK;
    harness_start(&h, &options);
    client = harness_connect(h.server);
    ck_assert(harness_expect(client, "x"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(threads_without_work_end)
{
    struct ostler_server_options options = options_for(&ostler_threading, &answering);
    size_t before = harness_threads();
    struct harness_server h;
    int client[4];

    harness_start(&h, &options);
    for (int i = 0; i < 4; i++)
        client[i] = client_who_says(&h, 'h');
    ck_assert(harness_wait(&notes->began, 4));
    ck_assert_uint_ge(harness_threads(), before + 5);
    harness_raise(&notes->go);
    for (int i = 0; i < 4; i++) {
        ck_assert(harness_expect(client[i], "h"));
        close(client[i]);
    }
    client[0] = harness_connect(h.server);
    for (int i = 0; i < 100 && harness_threads() > before + 2; i++)
        ck_assert(harness_is_silent(client[0]));
    ck_assert_uint_le(harness_threads(), before + 2); /* the loop's, and who waits for this client */
    close(client[0]);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lack");
    TCase *tc = harness_case(suite, "places");

    notes = harness_share(sizeof(*notes));
    if (!notes)
        return EXIT_FAILURE;
    tcase_add_loop_test(tc, who_cannot_be_run_waits_until_he_can, 0, 4);
    tcase_add_test(tc, those_who_wait_keep_their_order);
    tcase_add_loop_test(tc, datagrams_wait_too, 0, 2);
    tcase_add_loop_test(tc, who_waits_when_the_stops_time_is_up_is_refused, 0, 2);
    tcase_add_loop_test(tc, who_comes_for_handle_request_is_refused, 0, 2);

    tc = harness_case(suite, "children");
    tcase_add_loop_test(tc, children_without_pidfds_are_none_the_worse, 0,
                        sizeof(pidfd_errors) / sizeof(pidfd_errors[0]));
    tcase_add_test(tc, a_child_without_a_pidfd_that_hangs_is_killed);
    tcase_add_loop_test(tc, who_waits_for_a_place_when_the_server_stops_gets_all_of_his_answer, 0, 2);
    tcase_add_loop_test(tc, a_reply_that_cannot_be_sent_is_counted, 0, 2);

    tc = harness_case(suite, "threads");
    tcase_add_test(tc, a_threads_handler_has_the_stack_that_was_asked_for);
    tcase_add_test(tc, threads_without_work_end);
    return harness_main(suite);
}
