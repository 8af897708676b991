/* A process that the program itself forks, as daemon(3) does: what it does with the reactor and the servers that it
 * has inherited works there, and leaves the parent's as they were. */
#include "support/faults.h"
#include "support/servers.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <ostler/sys/balance.h>

enum { RIGHT = 7, WRONG = 8 };

/* ---- Children ---- */

/* What function(arg) returns in a child; below 0: the signal that has ended it, as one that hangs is. */
static int in_child(int (*function)(void *arg), void *arg)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        signal(SIGALRM, SIG_DFL); /* Check has a handler */
        alarm((unsigned)(harness_deadline_ms() / 1000));
        _exit(function(arg));
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void do_nothing(void *arg)
{
    (void)arg;
}

static void stop_reactor(void *reactor)
{
    ostler_reactor_stop(reactor);
}

static void post_the_stop(void *reactor)
{
    ostler_reactor_post(reactor, stop_reactor, reactor);
}

static int run_reactor(void *reactor)
{
    return ostler_reactor_run(reactor) == 0 ? RIGHT : WRONG;
}

static int post_and_run(void *reactor)
{
    return ostler_reactor_post(reactor, post_the_stop, reactor) == 0 ? run_reactor(reactor) : WRONG;
}

/* ---- What was posted ---- */

START_TEST(what_was_posted_before_the_fork_runs_in_both)
{
    struct ostler_reactor *reactor;

    ck_assert_int_eq(ostler_reactor_new(&reactor, NULL), 0);
    ck_assert_int_eq(ostler_reactor_post(reactor, post_the_stop, reactor), 0);
    ck_assert_int_eq(in_child(run_reactor, reactor), RIGHT);
    ck_assert_int_eq(run_reactor(reactor), RIGHT);
    ostler_reactor_free(reactor);
}
END_TEST

START_TEST(what_a_child_posts_before_it_runs_is_run)
{
    struct ostler_reactor *reactor;

    ck_assert_int_eq(ostler_reactor_new(&reactor, NULL), 0);
    ck_assert_int_eq(in_child(post_and_run, reactor), RIGHT);
    ck_assert_int_eq(post_and_run(reactor), RIGHT);
    ostler_reactor_free(reactor);
}
END_TEST

static void *shut_down(void *server)
{
    ostler_server_shutdown(server);
    return NULL;
}

static int be_shut_down(void *server)
{
    pthread_t thread;

    if (ostler_server_start(server) < 0 || pthread_create(&thread, NULL, shut_down, server) != 0)
        return WRONG;
    if (ostler_server_serve_forever(server) != 0)
        return WRONG;
    return pthread_join(thread, NULL) == 0 ? RIGHT : WRONG;
}

START_TEST(a_thread_of_the_childs_shuts_its_server_down)
{
    struct ostler_server *server = new_server((struct ostler_server_options){ .stream = &greet });

    ck_assert_int_eq(ostler_reactor_post(ostler_server_reactor(server), do_nothing, NULL), 0);
    ck_assert_int_eq(in_child(be_shut_down, server), RIGHT);
    ostler_server_free(server);
}
END_TEST

/* ---- What is closed ---- */

static int close_server(void *server)
{
    return ostler_server_close(server, 0) == 0 ? RIGHT : WRONG;
}

static int stop_server(void *server)
{
    return ostler_server_stop(server) == 0 ? RIGHT : WRONG;
}

static int abort_server(void *server)
{
    return ostler_server_abort(server) == 0 ? RIGHT : WRONG;
}

static int free_server(void *server)
{
    ostler_server_free(server);
    return RIGHT;
}

static int (*const ends[])(void *server) = { stop_server, abort_server, free_server, close_server };

enum { ENDS = sizeof(ends) / sizeof(ends[0]), ENDS_WHILE_IT_RUNS = 3 };

static void *serve(void *server)
{
    seen.result = ostler_server_serve_forever(server);
    return NULL;
}

START_TEST(what_its_child_ends_goes_on_in_the_parent)
{
    struct ostler_server *server = new_server((struct ostler_server_options){ .conn = &echo_conn });
    pthread_t thread;
    int client;

    ck_assert_int_eq(ostler_server_start(server), 0);
    ck_assert_int_eq(in_child(ends[_i], server), RIGHT);
    ck_assert_int_eq(pthread_create(&thread, NULL, serve, server), 0);
    client = client_of(server);
    check_echo(client, "hello\n");
    close(client);
    ck_assert_int_eq(ostler_server_shutdown(server), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(seen.result, 0);
    ostler_server_free(server);
}
END_TEST

static int (*end)(void *server);

static void end_in_child(void *server)
{
    seen.result = in_child(end, server);
}

START_TEST(what_its_child_ends_while_it_runs_goes_on_in_the_parent)
{
    struct harness_server h;
    int client;

    see_afresh();
    end = ends[_i];
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .conn = &echo_conn });
    ck_assert(harness_call(ostler_server_reactor(h.server), end_in_child, h.server));
    ck_assert_int_eq(seen.result, RIGHT);
    client = client_of(h.server);
    check_echo(client, "hello\n");
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_child_serves_with_what_it_has_inherited_and_so_does_the_parent)
{
    struct ostler_server *server = new_server((struct ostler_server_options){ .stream = &greet });
    int client = client_of(server), status = -1;
    pid_t child = fork();

    if (child == 0)
        _exit(ostler_server_handle_request(server) == 1 ? 7 : 1);
    ck_assert(harness_expect(client, "hello\n"));
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 7);
    close(client);
    client = client_of(server);
    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert(harness_expect(client, "hello\n"));
    close(client);
    ostler_server_free(server);
}
END_TEST

/* ---- What is watched ---- */

/* How many descriptors the epoll sets watch that the process has. */
static int watched(void)
{
    DIR *directory = opendir("/proc/self/fdinfo");
    char path[300], line[256];
    int count = 0;

    for (struct dirent *d; directory && (d = readdir(directory));) {
        FILE *info;

        snprintf(path, sizeof(path), "/proc/self/fdinfo/%s", d->d_name);
        info = fopen(path, "re");
        while (info && fgets(line, sizeof(line), info))
            count += strncmp(line, "tfd:", 4) == 0;
        if (info)
            fclose(info);
    }
    if (directory)
        closedir(directory);
    return count;
}

enum { FDS = 2 }; /* of a balance with one worker */

static struct stable {
    struct ostler_reactor *reactor;
    struct ostler_server *server;
    struct ostler_balance *balance, *seat;
    struct ostler_signal *signal;
    int copies[FDS]; /* of the balance's descriptors, for one who takes a seat */
} stable;

static void copy_fds(int *fds)
{
    for (int i = 0; i < FDS; i++)
        fds[i] = fcntl(ostler_balance_fd(stable.balance, (size_t)i), F_DUPFD_CLOEXEC, 3);
}

static void open_stable(void)
{
    struct ostler_server_options options = { .address = anywhere, .stream = &greet, .mixin = &ostler_fibers };
    sigset_t usr2;
    int fds[FDS];

    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &usr2, NULL);
    ck_assert_int_eq(ostler_reactor_new(&stable.reactor, NULL), 0);
    ck_assert_int_eq(ostler_server_new(&stable.server, &options, stable.reactor), 0);
    ck_assert_int_eq(ostler_signal_new(&stable.signal, stable.reactor, SIGUSR2, do_nothing, NULL), 0);
    ck_assert_int_eq(ostler_balance_new(&stable.balance, stable.reactor, FDS - 1, 1), 0);
    copy_fds(fds);
    copy_fds(stable.copies);
    ck_assert_int_eq(ostler_balance_open(&stable.seat, stable.reactor, fds, FDS, 0), 0);
}

static void close_stable(void)
{
    for (int i = 0; i < FDS; i++)
        close(stable.copies[i]);
    ostler_signal_free(stable.signal);
    ostler_server_free(stable.server);
    ostler_balance_free(stable.seat);
    ostler_balance_free(stable.balance);
    ostler_reactor_free(stable.reactor);
}

static int free_signal(void *arg)
{
    (void)arg;
    ostler_signal_free(stable.signal);
    return RIGHT;
}

static int new_signal(void *arg)
{
    struct ostler_signal *signal;

    (void)arg;
    return ostler_signal_new(&signal, stable.reactor, SIGUSR1, do_nothing, NULL) == 0 ? RIGHT : WRONG;
}

static int open_seat(void *arg)
{
    struct ostler_balance *seat;

    (void)arg;
    return ostler_balance_open(&seat, stable.reactor, stable.copies, FDS, 0) == 0 ? RIGHT : WRONG;
}

static int free_seat(void *arg)
{
    (void)arg;
    ostler_balance_free(stable.seat);
    return RIGHT;
}

static int add_server(void *arg)
{
    (void)arg;
    return ostler_balance_add(stable.balance, stable.server) == 0 ? RIGHT : WRONG;
}

static int (*const deeds[])(void *arg) = { free_signal, new_signal, open_seat, free_seat, add_server };

enum { DEEDS = sizeof(deeds) / sizeof(deeds[0]) };

START_TEST(what_a_child_does_changes_nothing_that_the_parent_watches)
{
    int before;

    open_stable();
    before = watched();
    ck_assert_int_gt(before, 0);
    ck_assert_int_eq(in_child(deeds[_i], NULL), RIGHT);
    ck_assert_int_eq(watched(), before);
    close_stable();
}
END_TEST

/* ---- Threads, which are the parent's ---- */

static struct ostler_server *new_threading(void)
{
    return new_server((struct ostler_server_options){ .stream = &echo, .mixin = &ostler_threading, .max_requests = 1 });
}

/* Let one in, whose handler runs in a thread and waits for more; -1: it is not answered. */
static int let_in(struct ostler_server *server)
{
    int client = harness_connect(server);

    if (harness_say(client, "hello\n") && ostler_server_handle_request(server) == 1 &&
        harness_expect(client, "hello\n"))
        return client;
    close(client);
    return -1;
}

static int stop_and_run(void *server)
{
    if (ostler_server_stop(server) < 0 || ostler_reactor_stop(ostler_server_reactor(server)) < 0)
        return WRONG;
    return run_reactor(ostler_server_reactor(server));
}

static int serve_and_free(void *server)
{
    int client = let_in(server);

    close(client);
    return client < 0 ? WRONG : free_server(server);
}

static int (*const uses[])(void *server) = { free_server, serve_and_free, stop_and_run };

enum { USES = sizeof(uses) / sizeof(uses[0]) };

static bool late; /* a thread that is started comes too late for all that follows */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    if (!late)
        return __real_pthread_create(thread, attributes, run, arg);
    *thread = pthread_self();
    return 0;
}

static int (*use)(void *server);

static int fork_before_the_thread_comes(void *server)
{
    int client = harness_connect(server);

    late = true;
    if (!harness_say(client, "hello\n") || ostler_server_handle_request(server) != 1)
        return WRONG;
    late = false;
    return in_child(use, server);
}

START_TEST(what_no_thread_has_come_for_is_the_parents_too)
{
    struct ostler_server *server = new_server((struct ostler_server_options){ .stream = &echo,
                                                                              .mixin = &ostler_threading });

    use = uses[_i];
    ck_assert_int_eq(in_child(fork_before_the_thread_comes, server), RIGHT);
    ostler_server_free(server);
}
END_TEST

START_TEST(a_child_does_not_wait_for_an_idle_thread_of_the_parents)
{
    struct harness_server h;
    int client;

    see_afresh();
    end = free_server;
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &echo, .server_class = &traced,
                                                       .mixin = &ostler_threading });
    client = client_of(h.server);
    check_echo(client, "hello\n");
    close(client);
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert(harness_call(ostler_server_reactor(h.server), end_in_child, h.server));
    ck_assert_int_eq(seen.result, RIGHT);
    client = client_of(h.server);
    check_echo(client, "hello\n");
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(what_a_thread_of_the_parents_does_goes_on_there)
{
    struct ostler_server *server = new_threading();
    int client = let_in(server);

    ck_assert_int_ge(client, 0);
    ck_assert_int_eq(in_child(uses[_i], server), RIGHT);
    check_echo(client, "still there\n");
    close(client);
    ostler_server_free(server);
}
END_TEST

static int stay_until_let_go(struct ostler_stream *s)
{
    char byte;

    if (ostler_stream_write(s, "here\n", 5) < 0 || ostler_stream_read(s, &byte, 1) != 0)
        return -EPROTO;
    harness_raise(&seen.handled);
    return harness_wait(&seen.release, 1) ? 0 : -ETIMEDOUT;
}

START_TEST(a_child_does_not_wait_for_who_waits_in_the_parent)
{
    static const struct ostler_stream_handler stay = { .handle = stay_until_let_go };
    struct harness_server h;
    pthread_t thread;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &stay, .mixin = &ostler_threading });
    client = client_of(h.server);
    ck_assert(harness_expect(client, "here\n"));
    ck_assert_int_eq(pthread_create(&thread, NULL, shut_down, h.server), 0);
    ck_assert(harness_wait(&seen.handled, 1)); /* it is told of the stop */
    ck_assert_int_eq(in_child(free_server, h.server), RIGHT);
    harness_raise(&seen.release);
    pthread_join(thread, NULL);
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
    close(client);
}
END_TEST

/* ---- Lacks ---- */

enum { MOST_CALLS = 60, ALL_WELL = 9, FEW = 64 };

static int failing_call;

/* A call fails, of those that a run makes first; the next run finds all it needs. */
static int run_twice(void *reactor)
{
    int error;

    left = failing_call;
    error = ostler_reactor_run(reactor);
    left = 0;
    if ((error < 0) != (failed != 0))
        return WRONG;
    if (error < 0 && ostler_reactor_run(reactor) != 0)
        return WRONG;
    ostler_reactor_free(reactor);
    return failed ? RIGHT : ALL_WELL;
}

/* … of those that freeing makes, once without the first and once after a run has failed by it. */
static int free_after_a_lack(void *reactor)
{
    left = failing_call;
    if (failing_call % 2)
        ostler_reactor_run(reactor);
    ostler_reactor_free(reactor);
    return failed ? RIGHT : ALL_WELL;
}

static int (*const lacking[])(void *reactor) = { run_twice, free_after_a_lack };

static int run_without_descriptors(void *reactor)
{
    const struct rlimit few = { .rlim_cur = FEW, .rlim_max = FEW }; /* else there may be a billion to take */

    if (setrlimit(RLIMIT_NOFILE, &few) < 0)
        return WRONG;
    while (fcntl(0, F_DUPFD_CLOEXEC, 3) >= 0)
        continue;
    return errno == EMFILE ? run_reactor(reactor) : WRONG;
}

START_TEST(a_child_needs_no_more_descriptors_than_the_parent)
{
    struct ostler_reactor *reactor;

    ck_assert_int_eq(ostler_reactor_new(&reactor, NULL), 0);
    ck_assert_int_eq(ostler_reactor_post(reactor, stop_reactor, reactor), 0);
    ck_assert_int_eq(in_child(run_without_descriptors, reactor), RIGHT);
    ck_assert_int_eq(run_reactor(reactor), RIGHT);
    ostler_reactor_free(reactor);
}
END_TEST

START_TEST(what_a_child_lacks_at_first_it_may_have_later)
{
    struct ostler_reactor *reactor;
    int result = RIGHT;

    ck_assert_int_eq(ostler_reactor_new(&reactor, NULL), 0);
    ck_assert_int_eq(ostler_reactor_post(reactor, stop_reactor, reactor), 0);
    for (failing_call = 1; result == RIGHT; failing_call++) {
        ck_assert_int_le(failing_call, MOST_CALLS);
        result = in_child(lacking[_i], reactor);
    }
    ck_assert_int_eq(result, ALL_WELL);
    ck_assert_int_gt(failing_call, 3);
    ck_assert_int_eq(run_reactor(reactor), RIGHT);
    ostler_reactor_free(reactor);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fork");
    TCase *tc = harness_case(suite, "what was posted");

    tcase_add_test(tc, what_was_posted_before_the_fork_runs_in_both);
    tcase_add_test(tc, what_a_child_posts_before_it_runs_is_run);
    tcase_add_test(tc, a_thread_of_the_childs_shuts_its_server_down);
    tc = harness_case(suite, "what is the parent's");
    tcase_add_loop_test(tc, what_its_child_ends_goes_on_in_the_parent, 0, ENDS);
    tcase_add_loop_test(tc, what_its_child_ends_while_it_runs_goes_on_in_the_parent, 0, ENDS_WHILE_IT_RUNS);
    tcase_add_loop_test(tc, what_a_child_does_changes_nothing_that_the_parent_watches, 0, DEEDS);
    tcase_add_test(tc, a_child_serves_with_what_it_has_inherited_and_so_does_the_parent);
    tc = harness_case(suite, "threads");
    tcase_add_test(tc, a_child_does_not_wait_for_an_idle_thread_of_the_parents);
    tcase_add_loop_test(tc, what_a_thread_of_the_parents_does_goes_on_there, 0, USES);
    tcase_add_loop_test(tc, what_no_thread_has_come_for_is_the_parents_too, 0, USES);
    tcase_add_test(tc, a_child_does_not_wait_for_who_waits_in_the_parent);
    tc = harness_case(suite, "lacks");
    tcase_add_test(tc, a_child_needs_no_more_descriptors_than_the_parent);
    tcase_add_loop_test(tc, what_a_child_lacks_at_first_it_may_have_later, 0, 2);
    return harness_main(suite);
}
