/* create_connection() and create_server(). A name is a list of numbers here, "127.0.0.2,127.0.0.1":
 * the resolver's answer has all of them. What connects is run in a thread of its own right, and
 * in a handler under every mix-in. */
#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/harness.h"

enum { PLAIN, PLACES = 5, BACKLOG_FILLERS = 4 };

/* A resolver that hangs in one place; each has its own, for nothing tells when it has ended. */
static struct harness_event gates[PLACES] = { HARNESS_EVENT, HARNESS_EVENT, HARNESS_EVENT, HARNESS_EVENT,
                                              HARNESS_EVENT };
static atomic_int place;

int __real_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out);

static int resolve_list(const char *list, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    char copy[256], *rest = copy, *number;

    strncpy(copy, list, sizeof(copy) - 1);
    copy[sizeof(copy) - 1] = '\0';
    for (; (number = strtok_r(rest, ",", &rest)); out = &(*out)->ai_next) {
        int code = __real_getaddrinfo(number, service, hints, out);

        if (code != 0)
            return code;
    }
    return 0;
}

int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    if (!host || (hints->ai_flags & AI_NUMERICHOST))
        return __real_getaddrinfo(host, service, hints, out);
    if (strcmp(host, "hang") == 0) {
        harness_wait(&gates[atomic_load(&place)], 1);
        return EAI_AGAIN;
    }
    if (strcmp(host, "here") == 0)
        host = hints->ai_family == AF_INET6 ? "::1" : "127.0.0.1";
    return strchr(host, '.') || strchr(host, ':') ? resolve_list(host, service, hints, out) : EAI_NONAME;
}

/* ---- Where it runs ---- */

static const struct ostler_mixin *const mixins[] = { NULL, NULL, &ostler_threading, &ostler_fibers, &ostler_forking };

static int (*task)(void); /* 0, or the line that has failed */

#define EXPECT(condition)    \
    do {                     \
        if (!(condition))    \
            return __LINE__; \
    } while (0)

static int handle_task(struct ostler_stream *s)
{
    return ostler_stream_printf(s, "%d\n", task());
}

static const struct ostler_stream_handler tasks = { .handle = handle_task };

static void run_in(int where, int (*function)(void))
{
    const struct ostler_server_options options = {
        .address = "tcp:127.0.0.1:0", .stream = &tasks, .mixin = mixins[where],
    };
    struct harness_server h;
    int client;

    atomic_store(&place, where);
    if (where == PLAIN) {
        ck_assert_int_eq(function(), 0);
        return;
    }
    task = function;
    harness_start(&h, &options);
    client = harness_connect(h.server);
    ck_assert(harness_expect(client, "0\n"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}

/* ---- Listeners ---- */

static int port; /* where they listen */

/* A listener at host and port; 0: of the kernel's choice, which becomes port. */
static int listen_at(const char *host, int backlog)
{
    struct ostler_socket *s;
    struct ostler_address *address;
    int fd;

    ck_assert_int_eq(ostler_create_server(&s, host, port, &(struct ostler_create_server_options){ .backlog = backlog }),
                     0);
    ck_assert_int_eq(ostler_address_new(&address), 0);
    ck_assert_int_eq(ostler_socket_getsockname(s, address), 0);
    port = ostler_address_port(address);
    ostler_address_free(address);
    fd = ostler_socket_detach(s);
    ostler_socket_free(s);
    return fd;
}

/* One that no longer answers: its queue is full. */
struct hole {
    int listener, fillers[BACKLOG_FILLERS];
};

static void open_hole(struct hole *hole, const char *host)
{
    struct sockaddr_in to;
    socklen_t length = sizeof(to);

    hole->listener = listen_at(host, 1);
    ck_assert_int_eq(getsockname(hole->listener, (struct sockaddr *)&to, &length), 0);
    for (int i = 0; i < BACKLOG_FILLERS; i++) {
        hole->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(hole->fillers[i], (struct sockaddr *)&to, length) < 0)
            ck_assert_int_eq(errno, EINPROGRESS);
    }
}

static void close_hole(const struct hole *hole)
{
    for (int i = 0; i < BACKLOG_FILLERS; i++)
        close(hole->fillers[i]);
    close(hole->listener);
}

static void forget_port(void)
{
    port = 0;
}

/* Connect, to see whether that works. */
static int try(const char *host, double timeout)
{
    struct ostler_socket *s;
    int error = ostler_create_connection(&s, host, port, timeout, NULL);

    if (error == 0)
        ostler_socket_free(s);
    return error;
}

/* ---- create_connection ---- */

static int greet_each_other(void)
{
    struct ostler_socket *s;
    char text[8];

    EXPECT(ostler_create_connection(&s, "127.0.0.1,127.0.0.2", port, 4.5, NULL) == 0); /* half of it each */
    EXPECT(fabs(ostler_socket_gettimeout(s) - 4.5) < 1e-9);
    EXPECT(ostler_socket_recv(s, text, sizeof(text), 0) == 5);
    EXPECT(memcmp(text, "hello", 5) == 0);
    EXPECT(ostler_socket_recv(s, text, sizeof(text), 0) == 0);
    ostler_socket_free(s);
    EXPECT(ostler_create_connection(&s, "127.0.0.1", port, OSTLER_NEVER, NULL) == 0);
    EXPECT(ostler_socket_gettimeout(s) == OSTLER_NEVER);
    EXPECT(ostler_socket_getblocking(s));
    ostler_socket_free(s);
    return 0;
}

static void *greet_one(void *listener)
{
    int fd = accept(*(int *)listener, NULL, NULL);

    harness_say(fd, "hello");
    close(fd);
    return NULL;
}

START_TEST(a_connection_has_the_timeout_that_it_was_made_with)
{
    int listener = listen_at("127.0.0.1", 0);
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, greet_one, &listener), 0);
    run_in(_i, greet_each_other);
    pthread_join(thread, NULL);
    close(listener);
}
END_TEST

static int reach_the_second(void)
{
    struct ostler_socket *s;
    struct ostler_address *peer;
    char text[OSTLER_ADDRESS_TEXT];

    EXPECT(ostler_create_connection(&s, "127.0.0.2,127.0.0.1", port, 10, NULL) == 0);
    EXPECT(ostler_address_new(&peer) == 0);
    EXPECT(ostler_socket_getpeername(s, peer) == 0);
    ostler_address_text(peer, text, sizeof(text));
    EXPECT(strncmp(text, "tcp:127.0.0.1:", 14) == 0);
    ostler_address_free(peer);
    ostler_socket_free(s);
    EXPECT(try("127.0.0.2,127.0.0.1", OSTLER_NEVER) == 0);
    return 0;
}

START_TEST(each_address_is_tried_in_turn)
{
    int listener = listen_at("127.0.0.1", 0);

    run_in(_i, reach_the_second);
    close(listener);
}
END_TEST

static int be_refused(void)
{
    EXPECT(try("127.0.0.2,127.0.0.3", 10) == -ECONNREFUSED);
    EXPECT(try("127.0.0.2", OSTLER_NEVER) == -ECONNREFUSED);
    EXPECT(try("nowhere", 10) == -ENOENT);
    return 0;
}

START_TEST(the_error_is_the_last_address_s)
{
    int listener = listen_at("127.0.0.1", 0); /* nobody is at the others */

    run_in(_i, be_refused);
    close(listener);
}
END_TEST

static int wait_for_holes(void)
{
    uint64_t least = UINT64_MAX, most = 0;

    for (int i = 0; i < 3; i++) {
        uint64_t begin = harness_now_ms(), took;

        EXPECT(try("127.0.0.2,127.0.0.3,127.0.0.4", 0.6) == -ETIMEDOUT);
        took = harness_now_ms() - begin;
        least = took < least ? took : least;
        most = took > most ? took : most;
    }
    EXPECT(least >= 590 && least <= 630); /* 5 % */
    EXPECT(most < (uint64_t)harness_deadline_ms());
    return 0;
}

START_TEST(one_deadline_holds_for_all_addresses)
{
    struct hole holes[3];

    open_hole(&holes[0], "127.0.0.2");
    open_hole(&holes[1], "127.0.0.3");
    open_hole(&holes[2], "127.0.0.4");
    run_in(_i, wait_for_holes);
    for (int i = 0; i < 3; i++)
        close_hole(&holes[i]);
}
END_TEST

static int get_past_a_hole(void)
{
    uint64_t begin = harness_now_ms();

    EXPECT(try("127.0.0.2,127.0.0.1", 1) == 0);
    EXPECT(harness_now_ms() - begin >= 490);
    return 0;
}

START_TEST(an_address_that_does_not_answer_leaves_time_for_the_next)
{
    struct hole hole;
    int listener;

    open_hole(&hole, "127.0.0.2");
    listener = listen_at("127.0.0.1", 0);
    run_in(_i, get_past_a_hole);
    close_hole(&hole);
    close(listener);
}
END_TEST

static int wait_for_the_resolver(void)
{
    uint64_t begin = harness_now_ms();

    EXPECT(try("hang", 0.3) == -ETIMEDOUT);
    EXPECT(harness_now_ms() - begin >= 300);
    EXPECT(harness_now_ms() - begin < (uint64_t)harness_deadline_ms());
    return 0;
}

START_TEST(the_resolver_s_time_counts)
{
    run_in(_i, wait_for_the_resolver);
    harness_raise(&gates[_i]);
}
END_TEST

START_TEST(a_source_address_is_bound)
{
    int listener = listen_at("127.0.0.1", 0), fd;
    struct sockaddr_in peer;
    socklen_t length = sizeof(peer);
    struct ostler_address *source;
    struct ostler_socket *s;

    ck_assert_int_eq(ostler_address_parse(&source, "tcp:127.0.0.9:0"), 0);
    ck_assert_int_eq(ostler_create_connection(&s, "here", port, 10, source), 0);
    fd = accept(listener, (struct sockaddr *)&peer, &length);
    ck_assert_uint_eq(ntohl(peer.sin_addr.s_addr), 0x7f000009);
    close(fd);
    ostler_socket_free(s);
    ostler_address_free(source);
    ck_assert_int_eq(ostler_address_parse(&source, "udp:127.0.0.9:0"), 0);
    ck_assert_int_eq(ostler_create_connection(&s, "127.0.0.1", port, 10, source), -EAFNOSUPPORT);
    ostler_address_free(source);
    ck_assert_int_eq(ostler_address_parse(&source, "tcp:192.0.2.1:0"), 0); /* RFC 5737: not ours */
    ck_assert_int_eq(ostler_create_connection(&s, "127.0.0.1", port, 10, source), -EADDRNOTAVAIL);
    ostler_address_free(source);
    close(listener);
}
END_TEST

START_TEST(a_connection_that_makes_no_sense_is_refused)
{
    struct ostler_socket *s = NULL;

    ck_assert_int_eq(ostler_create_connection(NULL, "127.0.0.1", 80, 1, NULL), -EINVAL);
    ck_assert_int_eq(ostler_create_connection(&s, NULL, 80, 1, NULL), -EINVAL);
    ck_assert_int_eq(ostler_create_connection(&s, "127.0.0.1", -1, 1, NULL), -EINVAL);
    ck_assert_int_eq(ostler_create_connection(&s, "127.0.0.1", 65536, 1, NULL), -EINVAL);
    ck_assert_int_eq(ostler_create_connection(&s, "127.0.0.1", 80, -2, NULL), -EINVAL);
    ck_assert_int_eq(ostler_create_connection(&s, "127.0.0.1", 80, (double)NAN, NULL), -EINVAL);
    ck_assert_int_eq(ostler_create_connection(&s, "", 80, 1, NULL), -ENOENT);
    ck_assert_ptr_null(s);
}
END_TEST

START_TEST(without_time_nothing_is_waited_for)
{
    int listener = listen_at("127.0.0.1", 0);

    ck_assert_int_eq(try("127.0.0.1", 0), -EINPROGRESS);
    ck_assert_int_eq(try("here", 0), -ETIMEDOUT);
    close(listener);
}
END_TEST

START_TEST(without_descriptors_there_is_no_connection_and_no_server)
{
    struct rlimit few, before;
    struct ostler_socket *s;
    int error, server_error;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){ .rlim_cur = 3, .rlim_max = before.rlim_max };
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    error = try("127.0.0.1", 1);
    server_error = ostler_create_server(&s, "127.0.0.1", 0, NULL);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_int_eq(error, -EMFILE);
    ck_assert_int_eq(server_error, -EMFILE);
}
END_TEST

/* ---- create_server ---- */

/* Its address as text. */
static const char *name_of(const struct ostler_socket *s)
{
    static char text[OSTLER_ADDRESS_TEXT];
    struct ostler_address *address;

    ck_assert_int_eq(ostler_address_new(&address), 0);
    ck_assert_int_eq(ostler_socket_getsockname(s, address), 0);
    ck_assert_int_gt(ostler_address_text(address, text, sizeof(text)), 0);
    port = ostler_address_port(address);
    ostler_address_free(address);
    return text;
}

static bool has_ipv6(void)
{
    struct ostler_socket *s;

    if (ostler_create_server(&s, "::1", 0, &(struct ostler_create_server_options){ .family = AF_INET6 }) < 0)
        return false;
    ostler_socket_free(s);
    return true;
}

START_TEST(a_server_listens_everywhere_unless_told_where)
{
    static const char *const hosts[] = { NULL, "", "127.0.0.1", "here" };
    struct ostler_socket *s;
    int on;

    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(ostler_create_server(&s, hosts[i], 0, NULL), 0);
        ck_assert_int_eq(strncmp(name_of(s), i < 2 ? "tcp:0.0.0.0:" : "tcp:127.0.0.1:", i < 2 ? 12 : 14), 0);
        ck_assert_int_gt(port, 0);
        ck_assert_int_eq(ostler_socket_getsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on), 0);
        ck_assert_int_ne(on, 0);
        ck_assert_int_eq(ostler_socket_getsockopt(s, SOL_SOCKET, SO_REUSEPORT, &on), 0);
        ck_assert_int_eq(on, 0);
        ck_assert(ostler_socket_gettimeout(s) == OSTLER_NEVER);
        ck_assert_int_eq(try("127.0.0.1", 10), 0);
        ostler_socket_free(s);
    }
}
END_TEST

START_TEST(a_port_is_shared_only_if_both_ask_for_it)
{
    const struct ostler_create_server_options shared = { .reuse_port = true };
    struct ostler_socket *first, *second = NULL;

    ck_assert_int_eq(ostler_create_server(&first, "127.0.0.1", 0, &shared), 0);
    name_of(first);
    ck_assert_int_eq(ostler_create_server(&second, "127.0.0.1", port, NULL), -EADDRINUSE);
    ck_assert_ptr_null(second);
    ck_assert_int_eq(ostler_create_server(&second, "127.0.0.1", port, &shared), 0);
    ostler_socket_free(second);
    ostler_socket_free(first);
}
END_TEST

START_TEST(a_server_for_ipv6_takes_ipv4_if_it_is_asked_to)
{
    struct ostler_create_server_options options = { .family = AF_INET6 };
    struct ostler_socket *s;

    if (!has_ipv6())
        return;
    ck_assert(ostler_has_dualstack_ipv6());
    ck_assert_int_eq(ostler_create_server(&s, NULL, 0, &options), 0);
    name_of(s);
    ck_assert_int_eq(try("::1", 10), 0);
    ck_assert_int_eq(try("127.0.0.1", 10), -ECONNREFUSED);
    ostler_socket_free(s);
    options.dualstack_ipv6 = true;
    ck_assert_int_eq(ostler_create_server(&s, NULL, 0, &options), 0);
    name_of(s);
    ck_assert_int_eq(try("::1", 10), 0);
    ck_assert_int_eq(try("127.0.0.1", 10), 0);
    ck_assert_int_eq(try("127.0.0.1,::1", 10), 0);
    ostler_socket_free(s);
}
END_TEST

START_TEST(a_server_that_makes_no_sense_is_refused)
{
    struct ostler_socket *s = NULL;

    ck_assert_int_eq(ostler_create_server(NULL, NULL, 0, NULL), -EINVAL);
    ck_assert_int_eq(ostler_create_server(&s, NULL, -1, NULL), -EINVAL);
    ck_assert_int_eq(ostler_create_server(&s, NULL, 65536, NULL), -EINVAL);
    ck_assert_int_eq(ostler_create_server(&s, NULL, 0, &(struct ostler_create_server_options){ .backlog = -1 }),
                     -EINVAL);
    ck_assert_int_eq(
        ostler_create_server(&s, NULL, 0, &(struct ostler_create_server_options){ .dualstack_ipv6 = true }), -EINVAL);
    ck_assert_int_eq(ostler_create_server(&s, NULL, 0, &(struct ostler_create_server_options){ .family = AF_UNIX }),
                     -EAFNOSUPPORT);
    ck_assert_int_eq(ostler_create_server(&s, "nowhere", 0, NULL), -ENOENT);
    ck_assert_int_eq(ostler_create_server(&s, "::1", 0, NULL), -ENOENT);
    ck_assert_int_eq(ostler_create_server(&s, "192.0.2.1", 0, NULL), -EADDRNOTAVAIL);
    ck_assert_ptr_null(s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("connection");
    TCase *tc = harness_case(suite, "create_connection");

    tcase_add_checked_fixture(tc, forget_port, NULL);
    tcase_add_loop_test(tc, a_connection_has_the_timeout_that_it_was_made_with, 0, PLACES);
    tcase_add_loop_test(tc, each_address_is_tried_in_turn, 0, PLACES);
    tcase_add_loop_test(tc, the_error_is_the_last_address_s, 0, PLACES);
    tcase_add_loop_test(tc, one_deadline_holds_for_all_addresses, 0, PLACES);
    tcase_add_loop_test(tc, an_address_that_does_not_answer_leaves_time_for_the_next, 0, PLACES);
    tcase_add_loop_test(tc, the_resolver_s_time_counts, 0, PLACES);
    tcase_add_test(tc, a_source_address_is_bound);
    tcase_add_test(tc, a_connection_that_makes_no_sense_is_refused);
    tcase_add_test(tc, without_time_nothing_is_waited_for);
    tcase_add_test(tc, without_descriptors_there_is_no_connection_and_no_server);
    tc = harness_case(suite, "create_server");
    tcase_add_checked_fixture(tc, forget_port, NULL);
    tcase_add_test(tc, a_server_listens_everywhere_unless_told_where);
    tcase_add_test(tc, a_port_is_shared_only_if_both_ask_for_it);
    tcase_add_test(tc, a_server_for_ipv6_takes_ipv4_if_it_is_asked_to);
    tcase_add_test(tc, a_server_that_makes_no_sense_is_refused);
    return harness_main(suite);
}
