/* Unix sockets and their files; inherited descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/harness.h"

static int greet_handle(struct ostler_stream *s)
{
    return ostler_stream_write(s, "hello\n", 6);
}

static const struct ostler_stream_handler greet = { .handle = greet_handle };

/* A new directory, to be the working directory; and its end, with nothing left in it. */
static char folder[64];

static void enter_folder(void)
{
    strcpy(folder, "/tmp/ostler-unix-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

static void leave_folder(void)
{
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_msg(rmdir(folder) == 0, "%s: %s", folder, strerror(errno));
}

static const struct {
    const char *address, *path;
    int type;
} kinds[] = {
    { "unix:s", "s", SOCK_STREAM },
    { "unixgram:s", "s", SOCK_DGRAM },
};

/* Make a server that listens on address: 0 or what ostler_server_new() says. */
static int make(struct ostler_server **out, const char *address, unsigned mode, struct harness_log *log)
{
    struct ostler_server_options options = { .address = address, .stream = &greet, .socket_mode = mode };

    options.name = "unix";
    options.log = log ? &log->log : NULL;
    return ostler_server_new(out, &options, NULL);
}

/* A socket of ours bound to path; listening if it can. */
static int bound(int type, const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    strcpy(un.sun_path, path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    if (type == SOCK_STREAM)
        ck_assert_int_eq(listen(fd, 5), 0);
    return fd;
}

static mode_t mode_of(const char *path)
{
    struct stat there;

    ck_assert_int_eq(lstat(path, &there), 0);
    return there.st_mode & 0777;
}

/* bind(2), after which a test looks at the file that it has made (linker, --wrap). */
static mode_t mode_at_bind;

int __real_bind(int fd, const struct sockaddr *address, socklen_t length);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t length);

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    int r = __real_bind(fd, address, length);
    struct stat made;

    if (r == 0 && address->sa_family == AF_UNIX && lstat("s", &made) == 0)
        mode_at_bind = made.st_mode & 0777;
    return r;
}

START_TEST(the_file_has_the_mode_that_was_asked_for)
{
    struct ostler_server *server;
    mode_t before = umask(077);

    enter_folder();
    ck_assert_int_eq(make(&server, kinds[_i].address, 0666, NULL), 0);
    ck_assert_uint_eq(mode_of("s"), 0666);
    ostler_server_free(server);
    umask(027);
    ck_assert_int_eq(make(&server, kinds[_i].address, 0, NULL), 0);
    ck_assert_uint_eq(mode_of("s"), 0750);
    ostler_server_free(server);
    umask(before);
    leave_folder();
}
END_TEST

/* Datagrams may come from then on. */
START_TEST(the_file_lets_in_no_more_than_that_from_the_beginning)
{
    struct ostler_server *server;
    mode_t before = umask(0);

    enter_folder();
    ck_assert_int_eq(make(&server, kinds[_i].address, 0600, NULL), 0);
    ck_assert_uint_eq(mode_at_bind, 0600);
    ostler_server_free(server);
    umask(before);
    leave_folder();
}
END_TEST

START_TEST(the_file_of_a_dead_socket_is_replaced)
{
    struct ostler_server *server;

    enter_folder();
    close(bound(kinds[_i].type, "s"));
    ck_assert_int_eq(make(&server, kinds[_i].address, 0, NULL), 0);
    ostler_server_free(server);
    leave_folder();
}
END_TEST

/* What stands in the way is as it was afterwards. */
static void refused(const char *address, int error, const char *sentence)
{
    struct ostler_server *server = NULL;
    struct stat before, after;
    struct harness_log log;

    harness_log_init(&log);
    ck_assert_int_eq(lstat("s", &before), 0);
    ck_assert_int_eq(make(&server, address, 0, &log), error);
    ck_assert_ptr_null(server);
    ck_assert(harness_log_has(&log, sentence));
    ck_assert_int_eq(lstat("s", &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    ck_assert_uint_eq(before.st_mode, after.st_mode);
    unlink("s");
    harness_log_fini(&log);
}

/* What ostler_server_new() says when the process may open so many descriptors more. */
static int make_with(struct ostler_server **out, const struct ostler_server_options *options,
                     struct ostler_reactor *reactor, int more)
{
    int next = dup(0), error;
    struct rlimit limit, before;

    close(next);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = (struct rlimit){ .rlim_cur = (rlim_t)(next + more), .rlim_max = before.rlim_max };
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    error = ostler_server_new(out, options, reactor);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    return error;
}

START_TEST(a_lack_of_descriptors_is_not_taken_for_a_living_socket)
{
    struct ostler_server_options options = { .address = kinds[_i].address, .stream = &greet };
    struct harness_log log;
    struct ostler_reactor *reactor;
    struct ostler_server *server;
    int error = -EMFILE, more = 0;

    enter_folder();
    harness_log_init(&log);
    close(bound(kinds[_i].type, "s"));
    ck_assert_int_eq(ostler_reactor_new(&reactor, &log.log), 0);
    while (error == -EMFILE)
        error = make_with(&server, &options, reactor, more++);
    ck_assert_int_eq(error, 0);
    ck_assert_int_gt(more, 3);
    ostler_server_free(server);
    ostler_reactor_free(reactor);
    harness_log_fini(&log);
    leave_folder();
}
END_TEST

START_TEST(a_living_socket_is_left_alone)
{
    int live, types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };

    enter_folder();
    live = bound(types[_i / 2], "s");
    refused(kinds[_i % 2].address, -EADDRINUSE, "Address already in use");
    if (types[_i / 2] == SOCK_STREAM) { /* nor did it see anything of it */
        ck_assert_int_eq(fcntl(live, F_SETFL, O_NONBLOCK), 0);
        ck_assert_int_lt(accept(live, NULL, NULL), 0);
        ck_assert_int_eq(errno, EAGAIN);
    }
    close(live);
    leave_folder();
}
END_TEST

START_TEST(what_is_no_socket_is_left_alone)
{
    enter_folder();
    close(open("s", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    refused(kinds[_i].address, -EEXIST, "no socket");
    ck_assert_int_eq(symlink("elsewhere", "s"), 0);
    refused(kinds[_i].address, -EEXIST, "no socket");
    close(bound(SOCK_STREAM, "dead"));
    ck_assert_int_eq(symlink("dead", "s"), 0);
    refused(kinds[_i].address, -EEXIST, "no socket");
    unlink("dead");
    leave_folder();
}
END_TEST

START_TEST(the_file_is_removed_only_if_it_is_ours)
{
    struct ostler_server *server;

    enter_folder();
    ck_assert_int_eq(make(&server, kinds[_i].address, 0, NULL), 0);
    ck_assert_int_eq(rename("s", "t"), 0);
    close(open("s", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    ostler_server_free(server);
    ck_assert_int_eq(access("s", F_OK), 0);
    unlink("s");
    unlink("t");
    leave_folder();
}
END_TEST

START_TEST(the_file_is_removed_wherever_the_program_is_by_then)
{
    struct ostler_server *server;

    enter_folder();
    ck_assert_int_eq(make(&server, kinds[_i].address, 0, NULL), 0);
    ck_assert_int_eq(chdir("/"), 0);
    ostler_server_free(server);
    ck_assert_int_eq(chdir(folder), 0);
    leave_folder();
}
END_TEST

START_TEST(another_process_does_not_remove_the_file)
{
    struct ostler_server *server;
    pid_t pid;
    int status;

    enter_folder();
    ck_assert_int_eq(make(&server, kinds[_i].address, 0, NULL), 0);
    pid = fork();
    if (pid == 0) {
        ostler_server_free(server);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(access("s", F_OK), 0);
    ostler_server_free(server);
    leave_folder();
}
END_TEST

START_TEST(a_path_of_any_length_that_fits_can_be_bound)
{
    char address[256], name[108];
    struct ostler_server *server;
    size_t n;

    enter_folder();
    n = 107 - strlen(folder) - 1;
    memset(name, 'x', n);
    name[n] = '\0';
    snprintf(address, sizeof(address), "%s%s/%s", _i ? "unixgram:" : "unix:", folder, name);
    ck_assert_int_eq(make(&server, address, 0600, NULL), 0);
    ck_assert_int_eq(access(name, F_OK), 0);
    ostler_server_free(server);
    /* … also in a directory whose path leaves no room for a temporary name */
    ck_assert_int_eq(mkdir(name, 0700), 0);
    name[n - 2] = '\0';
    ck_assert_int_eq(mkdir(name, 0700), 0);
    snprintf(address, sizeof(address), "%s%s/%s/s", _i ? "unixgram:" : "unix:", folder, name);
    ck_assert_int_eq(make(&server, address, 0600, NULL), 0);
    ostler_server_free(server);
    ck_assert_int_eq(rmdir(name), 0);
    name[n - 2] = 'x';
    ck_assert_int_eq(rmdir(name), 0);
    leave_folder();
}
END_TEST

START_TEST(a_dead_socket_with_the_longest_path_is_replaced)
{
    char address[256], name[108];
    struct ostler_server *server;
    size_t n;

    enter_folder();
    n = 107 - strlen(folder) - 1;
    memset(name, 'x', n);
    name[n] = '\0';
    close(bound(kinds[_i].type, name));
    snprintf(address, sizeof(address), "%s%s/%s", _i ? "unixgram:" : "unix:", folder, name);
    ck_assert_int_eq(make(&server, address, 0600, NULL), 0);
    ostler_server_free(server);
    leave_folder();
}
END_TEST

START_TEST(its_address_is_what_getsockname_tells)
{
    struct sockaddr_un un = { 0 };
    socklen_t length = sizeof(un);
    struct ostler_server *server;
    char text[OSTLER_ADDRESS_TEXT];

    enter_folder();
    ck_assert_int_eq(make(&server, kinds[_i].address, 0, NULL), 0);
    ck_assert_int_eq(getsockname(ostler_server_fd(server, 0), (struct sockaddr *)&un, &length), 0);
    ostler_address_text(ostler_server_address(server, 0), text, sizeof(text));
    ck_assert_str_eq(text, kinds[_i].address);
    ck_assert_str_eq(un.sun_path, kinds[_i].path);
    ostler_server_free(server);
    leave_folder();
}
END_TEST

enum { RACES = 200 };

struct racer {
    pthread_barrier_t *start;
    const char *address;
    struct ostler_server *server;
    int result;
};

static void *race(void *arg)
{
    struct racer *r = arg;

    pthread_barrier_wait(r->start);
    r->result = make(&r->server, r->address, 0, NULL);
    return NULL;
}

START_TEST(of_two_servers_that_race_for_a_name_one_gets_it)
{
    const struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "s" };
    struct racer racers[2];
    pthread_barrier_t start;
    pthread_t thread;

    enter_folder();
    pthread_barrier_init(&start, NULL, 2);
    for (int i = 0; i < RACES; i++) {
        int winner, probe;

        if (i % 2)
            close(bound(kinds[_i].type, "s")); /* they find a dead one */
        racers[0] = racers[1] = (struct racer){ .start = &start, .address = kinds[_i].address };
        ck_assert_int_eq(pthread_create(&thread, NULL, race, &racers[1]), 0);
        race(&racers[0]);
        pthread_join(thread, NULL);
        winner = racers[0].result == 0 ? 0 : 1;
        ck_assert_int_eq(racers[winner].result, 0);
        ck_assert_int_eq(racers[!winner].result, -EADDRINUSE);
        probe = socket(AF_UNIX, kinds[_i].type | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(connect(probe, (const struct sockaddr *)&un, sizeof(un)), 0);
        close(probe);
        ostler_server_free(racers[winner].server);
    }
    pthread_barrier_destroy(&start);
    leave_folder();
}
END_TEST

/* What one that looks whether a file's socket is dead does to the file, when it finds that it lives. */
static void *move_about(void *arg)
{
    atomic_bool *done = arg;

    while (!atomic_load(done))
        if (rename("s", ".s") == 0)
            renameat2(AT_FDCWD, ".s", AT_FDCWD, "s", RENAME_NOREPLACE);
    return NULL;
}

START_TEST(a_file_that_another_looks_at_meanwhile_is_no_failure)
{
    atomic_bool done = false;
    pthread_t other;

    enter_folder();
    ck_assert_int_eq(pthread_create(&other, NULL, move_about, &done), 0);
    for (int i = 0; i < RACES * 10; i++) {
        struct ostler_server *server;
        int error = make(&server, kinds[_i].address, 0, NULL);

        ck_assert_msg(error == 0 || error == -EADDRINUSE, "%d", error);
        if (error == 0)
            ostler_server_free(server);
        unlink("s");
    }
    atomic_store(&done, true);
    pthread_join(other, NULL);
    unlink("s");
    unlink(".s");
    leave_folder();
}
END_TEST

START_TEST(a_failure_leaves_nothing_behind)
{
    struct ostler_server_options options = { .stream = &greet };
    const char *addresses[] = { kinds[_i].address, "unix:none/s", NULL };
    struct ostler_server *server = NULL;
    struct harness_log log;

    enter_folder();
    harness_log_init(&log);
    options.log = &log.log;
    options.addresses = addresses;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), -ENOENT);
    ck_assert(harness_log_has(&log, "cannot bind unix:none/s"));
    harness_log_fini(&log);
    leave_folder();
}
END_TEST

START_TEST(a_stopped_server_has_no_file)
{
    struct ostler_server_options options = { .address = kinds[_i].address, .stream = &greet };
    struct harness_server h;
    char text[OSTLER_ADDRESS_TEXT];

    enter_folder();
    harness_start(&h, &options);
    ostler_address_text(ostler_server_address(h.server, 0), text, sizeof(text));
    ck_assert_str_eq(text, kinds[_i].address);
    ck_assert_int_eq(access("s", F_OK), 0);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_ne(access("s", F_OK), 0);
    leave_folder();
}
END_TEST

/* ---- Inherited descriptors ---- */

static int inherit(struct ostler_server **out, int fd, struct harness_log *log)
{
    char address[32];

    snprintf(address, sizeof(address), "fd:%d", fd);
    return make(out, address, 0, log);
}

START_TEST(an_inherited_socket_is_served_and_closed)
{
    struct ostler_server_options options = { .stream = &greet };
    struct harness_server h;
    char address[32], text[OSTLER_ADDRESS_TEXT];
    int fd, client;

    enter_folder();
    fd = bound(SOCK_STREAM, "s");
    snprintf(address, sizeof(address), "fd:%d", fd);
    options.address = address;
    harness_start(&h, &options);
    ostler_address_text(ostler_server_address(h.server, 0), text, sizeof(text));
    ck_assert_str_eq(text, "unix:s");
    client = harness_connect(h.server);
    ck_assert(harness_expect(client, "hello\n"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
    ck_assert_int_eq(unlink("s"), 0); /* it is not the server's to remove */
    leave_folder();
}
END_TEST

START_TEST(a_socket_of_ours_is_inherited_with_its_name)
{
    struct ostler_server *first, *second;
    char text[OSTLER_ADDRESS_TEXT];

    enter_folder();
    ck_assert_int_eq(make(&first, "unix:./a.sock", 0, NULL), 0);
    ck_assert_int_eq(inherit(&second, dup(ostler_server_fd(first, 0)), NULL), 0);
    ostler_address_text(ostler_server_address(second, 0), text, sizeof(text));
    ck_assert_str_eq(text, "unix:./a.sock");
    ostler_server_free(second);
    ck_assert_int_eq(access("a.sock", F_OK), 0);
    ostler_server_free(first);
    leave_folder();
}
END_TEST

START_TEST(what_cannot_be_inherited_stays_the_callers)
{
    struct ostler_server *server;
    struct harness_log log;
    int pair[2], fds[2], unbound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    harness_log_init(&log);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    ck_assert_int_eq(inherit(&server, 9999, &log), -EBADF);
    ck_assert_int_eq(inherit(&server, fds[0], &log), -ENOTSOCK);
    ck_assert_int_eq(inherit(&server, pair[0], &log), -EISCONN);
    ck_assert_int_eq(inherit(&server, unbound, &log), -EDESTADDRREQ);
    ck_assert(harness_log_has(&log, "fd:9999: it is not open"));
    ck_assert(harness_log_has(&log, "it is no socket"));
    ck_assert(harness_log_has(&log, "it is a connection"));
    ck_assert(harness_log_has(&log, "it is not bound"));
    ck_assert_int_eq(close(unbound) + close(fds[0]) + close(fds[1]) + close(pair[0]) + close(pair[1]), 0);
    harness_log_fini(&log);
}
END_TEST

START_TEST(a_descriptor_is_given_once)
{
    struct ostler_server_options options = { .stream = &greet };
    struct ostler_server *server;
    struct harness_log log;
    char address[32];
    const char *addresses[] = { address, address, NULL };
    int fd;

    enter_folder();
    harness_log_init(&log);
    fd = bound(SOCK_STREAM, "s");
    snprintf(address, sizeof(address), "fd:%d", fd);
    options.addresses = addresses;
    options.log = &log.log;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), -EALREADY);
    ck_assert(harness_log_has(&log, "it is given twice"));
    ck_assert_int_eq(close(fd), 0);
    unlink("s");
    harness_log_fini(&log);
    leave_folder();
}
END_TEST

START_TEST(a_socket_is_still_the_callers_after_a_failure)
{
    struct ostler_server_options options = { .stream = &greet };
    struct ostler_server *server;
    struct harness_log log;
    char address[32];
    const char *addresses[] = { address, "unix:/none/s", NULL };
    int fd;

    enter_folder();
    harness_log_init(&log);
    fd = bound(SOCK_STREAM, "s");
    snprintf(address, sizeof(address), "fd:%d", fd);
    options.addresses = addresses;
    options.log = &log.log;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), -ENOENT);
    ck_assert_int_eq(close(fd), 0);
    unlink("s");
    harness_log_fini(&log);
    leave_folder();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unix");
    TCase *tc = harness_case(suite, "file");

    tcase_add_loop_test(tc, the_file_has_the_mode_that_was_asked_for, 0, 2);
    tcase_add_loop_test(tc, the_file_lets_in_no_more_than_that_from_the_beginning, 0, 2);
    tcase_add_loop_test(tc, the_file_of_a_dead_socket_is_replaced, 0, 2);
    tcase_add_loop_test(tc, a_lack_of_descriptors_is_not_taken_for_a_living_socket, 0, 2);
    tcase_add_loop_test(tc, a_living_socket_is_left_alone, 0, 6);
    tcase_add_loop_test(tc, what_is_no_socket_is_left_alone, 0, 2);
    tcase_add_loop_test(tc, the_file_is_removed_only_if_it_is_ours, 0, 2);
    tcase_add_loop_test(tc, the_file_is_removed_wherever_the_program_is_by_then, 0, 2);
    tcase_add_loop_test(tc, another_process_does_not_remove_the_file, 0, 2);
    tcase_add_loop_test(tc, a_path_of_any_length_that_fits_can_be_bound, 0, 2);
    tcase_add_loop_test(tc, a_dead_socket_with_the_longest_path_is_replaced, 0, 2);
    tcase_add_loop_test(tc, its_address_is_what_getsockname_tells, 0, 2);
    tcase_add_loop_test(tc, of_two_servers_that_race_for_a_name_one_gets_it, 0, 2);
    tcase_add_loop_test(tc, a_file_that_another_looks_at_meanwhile_is_no_failure, 0, 2);
    tcase_add_loop_test(tc, a_failure_leaves_nothing_behind, 0, 2);
    tcase_add_loop_test(tc, a_stopped_server_has_no_file, 0, 2);
    tc = harness_case(suite, "inherited");
    tcase_add_test(tc, an_inherited_socket_is_served_and_closed);
    tcase_add_test(tc, a_socket_of_ours_is_inherited_with_its_name);
    tcase_add_test(tc, what_cannot_be_inherited_stays_the_callers);
    tcase_add_test(tc, a_descriptor_is_given_once);
    tcase_add_test(tc, a_socket_is_still_the_callers_after_a_failure);
    return harness_main(suite);
}
