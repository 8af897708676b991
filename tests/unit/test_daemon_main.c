/* daemon.h: ostler_daemon_main() with services of the program's own. Each daemon runs in
 * a child process, as its documentation says: on the main thread, once. */
#include "support/harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ostler/daemon.h>

enum { TEXT_SIZE = 8192 };

/* ---- A daemon in a child ---- */

struct running {
    pid_t pid;
    char file[32];
    char ready[TEXT_SIZE]; /* what it wrote to --ready-fd */
    int output;            /* its standard output and standard error */
    char said[TEXT_SIZE];  /* what it wrote there, once it has ended */
};

static void write_file(char path[32], const char *text)
{
    int fd;

    snprintf(path, 32, "/tmp/ostler-test-XXXXXX");
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void read_to_end(int fd, char text[TEXT_SIZE])
{
    ssize_t n = harness_receive(fd, text, TEXT_SIZE - 1);

    text[n > 0 ? n : 0] = '\0';
    close(fd);
}

/* The child: never returns. exit(), so that a sanitizer looks for leaks. */
static void become_daemon(const struct ostler_service *services, const char *flag, char *file, int ready, int said)
{
    char ready_flag[32];
    char *argv[] = { "testd", "-c", file, ready_flag, NULL };
    char *listing[] = { "testd", (char *)(uintptr_t)flag, NULL };

    snprintf(ready_flag, sizeof(ready_flag), "--ready-fd=%d", ready);
    dup2(said, STDOUT_FILENO);
    dup2(said, STDERR_FILENO);
    close(said);
    exit(flag ? ostler_daemon_main(2, listing, services) : ostler_daemon_main(4, argv, services));
}

/* Start the daemon on a file with this text, or with nothing but flag. Return when it is
 * ready, or has ended. */
static void start(struct running *r, const struct ostler_service *services, const char *text, const char *flag)
{
    int ready[2], said[2];

    write_file(r->file, text);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ready), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, said), 0);
    fflush(NULL);
    r->pid = fork();
    ck_assert_int_ge(r->pid, 0);
    if (r->pid == 0) {
        close(ready[0]);
        close(said[0]);
        become_daemon(services, flag, r->file, ready[1], said[1]);
    }
    close(ready[1]);
    close(said[1]);
    read_to_end(ready[0], r->ready);
    r->output = said[0];
}

static int end_of(struct running *r)
{
    int status;

    read_to_end(r->output, r->said);
    ck_assert_int_eq(waitpid(r->pid, &status, 0), r->pid);
    unlink(r->file);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void stop(struct running *r)
{
    int status;

    kill(r->pid, SIGTERM);
    status = end_of(r);
    ck_assert_msg(status == 0, "the daemon ended with status %d and said: %.3000s", status, r->said);
}

/* Connect to the service called name. */
static int connect_to(const struct running *r, const char *name)
{
    char text[OSTLER_ADDRESS_TEXT] = "", line[OSTLER_ADDRESS_TEXT];
    struct ostler_address *address;
    const char *found;
    int fd;

    snprintf(line, sizeof(line), "%s tcp:", name);
    found = strstr(r->ready, line);
    ck_assert_ptr_nonnull(found);
    found += strlen(name) + 1;
    memcpy(text, found, strcspn(found, "\n"));
    ck_assert_int_eq(ostler_address_parse(&address, text), 0);
    fd = harness_connect_to(address, 0);
    ostler_address_free(address);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* ---- Its services ---- */

struct tale {
    const char *words;
    long times;
    double ratio;
    bool loud;
    bool shy;
};

static const struct ostler_setting tale_settings[] = {
    OSTLER_SETTING_STRING(struct tale, words, NULL),
    OSTLER_SETTING_LONG(struct tale, times, -3),
    OSTLER_SETTING_DOUBLE(struct tale, ratio, 0.25),
    OSTLER_SETTING_BOOL(struct tale, loud, true),
    OSTLER_SETTING_BOOL(struct tale, shy, false),
    { 0 },
};

static int tell(struct ostler_stream *s)
{
    const struct tale *t = ostler_server_user(ostler_stream_server(s));

    return ostler_stream_printf(s, "%s %ld %g %d %d", t->words ? t->words : "-", t->times, t->ratio, t->loud, t->shy);
}

static int give_name(struct ostler_conn *c)
{
    struct ostler_server *server = ostler_conn_server(c);
    const char *name = ostler_server_name(server);
    int r = ostler_conn_write(c, name, strlen(name));

    return r < 0 ? r : ostler_conn_close(c);
}

static int ignore(struct ostler_datagram *d)
{
    (void)d;
    return 0;
}

static int say_nothing(struct ostler_stream *s)
{
    return ostler_server_user(ostler_stream_server(s)) ? ostler_stream_printf(s, "something") : 0;
}

static bool refuse_all(struct ostler_server *server, const struct ostler_request *request)
{
    (void)server;
    (void)request;
    return false;
}

static const struct ostler_server_class closed_server = { .super = &ostler_tcp_server, .verify_request = refuse_all };

static const struct ostler_stream_handler tell_stream = { .handle = tell };
static const struct ostler_stream_handler nothing_stream = { .handle = say_nothing };
static const struct ostler_conn_handler name_conn = { .on_open = give_name };
static const struct ostler_datagram_handler deaf_datagram = { .on_datagram = ignore };

static const struct ostler_service services[] = {
    { .name = "tale", .stream = &tell_stream, .user_size = sizeof(struct tale), .settings = tale_settings },
    { .name = "both", .stream = &nothing_stream, .conn = &name_conn },
    { .name = "all", .stream = &nothing_stream, .conn = &name_conn, .datagram = &deaf_datagram },
    { .name = "closed", .stream = &tell_stream, .server_class = &closed_server, .user_size = sizeof(struct tale) },
    { 0 },
};

#define SERVICES(text) "services = { " text " }"
#define LISTEN " listen = \"tcp:127.0.0.1:0\" "

/* ---- Tests ---- */

static void check_answer(const char *text, const char *answer)
{
    struct running r;
    int client;

    start(&r, services, text, NULL);
    client = connect_to(&r, "one");
    ck_assert(harness_expect(client, answer));
    ck_assert(harness_expect_end(client));
    close(client);
    stop(&r);
}

START_TEST(settings_that_the_file_lacks_have_the_tables_defaults)
{
    check_answer(SERVICES("one = { handler = \"tale\"" LISTEN "}"), "- -3 0.25 1 0");
}
END_TEST

START_TEST(settings_of_the_file_reach_the_members_of_their_type)
{
    check_answer(SERVICES("one = { handler = \"tale\"" LISTEN
                          "words = \"once\" times = 5000000000L ratio = 1e3 loud = false shy = true }"),
                 "once 5000000000 1000 0 1");
}
END_TEST

START_TEST(a_handler_with_both_faces_is_evented_unless_the_file_says_otherwise)
{
    check_answer(SERVICES("one = { handler = \"both\"" LISTEN "}"), "one");
    check_answer(SERVICES("one = { handler = \"both\" mixin = \"evented\"" LISTEN "}"), "one");
    check_answer(SERVICES("one = { handler = \"both\" mixin = \"inline\"" LISTEN "}"), "");
    check_answer(SERVICES("one = { handler = \"both\" mixin = \"fibers\"" LISTEN "}"), "");
}
END_TEST

#define WITH_UDP " listen = [\"tcp:127.0.0.1:0\", \"udp:127.0.0.1:0\"] "

START_TEST(a_handler_that_cannot_be_evented_at_all_its_addresses_runs_in_threads)
{
    check_answer(SERVICES("one = { handler = \"both\"" WITH_UDP "}"), "");
    check_answer(SERVICES("one = { handler = \"all\"" WITH_UDP "}"), "one");
    check_answer(SERVICES("one = { handler = \"all\" mixin = \"threading\"" WITH_UDP "}"), "");
}
END_TEST

START_TEST(a_program_that_is_no_daemon_owns_no_address)
{
    static const char *const texts[] = { "unixgram:/s", "unixgram:@s", "udp:127.0.0.1:7" };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct ostler_address *address;

        ck_assert_int_eq(ostler_address_parse(&address, texts[i]), 0);
        ck_assert(!ostler_daemon_owns_unix_name(address));
        ostler_address_free(address);
    }
    ck_assert(!ostler_daemon_owns_unix_name(NULL));
    ck_assert(!ostler_daemon_owns_udp_port(-1));
    ck_assert(!ostler_daemon_owns_udp_port(0));
    ck_assert(!ostler_daemon_owns_udp_port(7));
    ck_assert(!ostler_daemon_owns_udp_port(65535));
    ck_assert(!ostler_daemon_owns_udp_port(65536));
}
END_TEST

START_TEST(a_service_without_user_size_has_no_user_data)
{
    check_answer(SERVICES("one = { handler = \"both\" mixin = \"threading\"" LISTEN "}"), "");
}
END_TEST

START_TEST(the_server_class_of_a_service_is_used)
{
    check_answer(SERVICES("one = { handler = \"closed\"" LISTEN "}"), "");
}
END_TEST

START_TEST(services_that_share_a_handler_do_not_share_their_settings)
{
    struct running r;
    int one, two;

    start(&r, services,
          SERVICES("one = { handler = \"tale\"" LISTEN "times = 1 } two = { handler = \"tale\"" LISTEN "times = 2 }"),
          NULL);
    one = connect_to(&r, "one");
    two = connect_to(&r, "two");
    ck_assert(harness_expect(two, "- 2 0.25 1 0"));
    ck_assert(harness_expect(one, "- 1 0.25 1 0"));
    close(one);
    close(two);
    stop(&r);
}
END_TEST

/* ---- Tables that are wrong ---- */

static void check_table(const struct ostler_service *table, const char *words)
{
    struct running r;

    start(&r, table, "", "-l");
    ck_assert_int_eq(end_of(&r), 1);
    ck_assert_msg(strstr(r.said, words), "%s", r.said);
}

START_TEST(a_table_without_services_is_refused)
{
    static const struct ostler_service empty[] = { { 0 } };

    check_table(empty, "empty");
    check_table(NULL, "empty");
}
END_TEST

START_TEST(a_service_without_a_face_is_refused)
{
    static const struct ostler_service table[] = { { .name = "nothing" }, { 0 } };

    check_table(table, "handler nothing in the program's table of services has neither");
}
END_TEST

START_TEST(a_name_that_stands_twice_is_refused)
{
    static const struct ostler_service table[] = {
        { .name = "one", .stream = &tell_stream },
        { .name = "one", .conn = &name_conn },
        { 0 },
    };
    static const struct ostler_setting twice[] = {
        OSTLER_SETTING_LONG(struct tale, times, 1),
        OSTLER_SETTING_LONG(struct tale, times, 2),
        { 0 },
    };
    const struct ostler_service with_settings[] = {
        { .name = "one", .stream = &tell_stream, .user_size = sizeof(struct tale), .settings = twice },
        { 0 },
    };

    check_table(table, "handler one in the program's table of services stands twice");
    check_table(with_settings, "setting times of handler one in the program's table of services stands twice");
}
END_TEST

START_TEST(a_setting_that_lies_outside_of_user_size_is_refused)
{
    const struct ostler_service table[] = {
        { .name = "one", .stream = &tell_stream, .user_size = sizeof(struct tale) - sizeof(double),
          .settings = tale_settings },
        { 0 },
    };

    check_table(table, " of handler one in the program's table of services lies outside of user_size");
}
END_TEST

START_TEST(a_setting_with_the_name_of_one_that_all_services_have_is_refused)
{
    struct timed {
        double timeout;
    };
    static const struct ostler_setting settings[] = { OSTLER_SETTING_DOUBLE(struct timed, timeout, 1.0), { 0 } };
    const struct ostler_service table[] = {
        { .name = "one", .stream = &tell_stream, .user_size = sizeof(struct timed), .settings = settings },
        { 0 },
    };

    check_table(table, "setting timeout of handler one in the program's table of services has a name that every");
}
END_TEST

START_TEST(a_program_without_a_name_still_gets_its_usage)
{
    struct running r;
    char *argv[] = { NULL };
    int status;

    fflush(NULL);
    r.pid = fork();
    ck_assert_int_ge(r.pid, 0);
    if (r.pid == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        dup2(null, STDERR_FILENO);
        close(null);
        exit(ostler_daemon_main(0, argv, services));
    }
    ck_assert_int_eq(waitpid(r.pid, &status, 0), r.pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("daemon");
    TCase *tc = harness_case(suite, "own services");

    tcase_add_test(tc, settings_that_the_file_lacks_have_the_tables_defaults);
    tcase_add_test(tc, settings_of_the_file_reach_the_members_of_their_type);
    tcase_add_test(tc, a_handler_with_both_faces_is_evented_unless_the_file_says_otherwise);
    tcase_add_test(tc, a_handler_that_cannot_be_evented_at_all_its_addresses_runs_in_threads);
    tcase_add_test(tc, a_program_that_is_no_daemon_owns_no_address);
    tcase_add_test(tc, a_service_without_user_size_has_no_user_data);
    tcase_add_test(tc, the_server_class_of_a_service_is_used);
    tcase_add_test(tc, services_that_share_a_handler_do_not_share_their_settings);
    tc = harness_case(suite, "wrong tables");
    tcase_add_test(tc, a_table_without_services_is_refused);
    tcase_add_test(tc, a_service_without_a_face_is_refused);
    tcase_add_test(tc, a_name_that_stands_twice_is_refused);
    tcase_add_test(tc, a_setting_that_lies_outside_of_user_size_is_refused);
    tcase_add_test(tc, a_setting_with_the_name_of_one_that_all_services_have_is_refused);
    tcase_add_test(tc, a_program_without_a_name_still_gets_its_usage);
    return harness_main(suite);
}
