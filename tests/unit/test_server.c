/* server.h and sys/mixin.h: options, classes, serving, stopping, freeing.
 *
 * The slots and handlers below run on other threads and write down what they see in
 * `seen`, under its lock where several threads may. */
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

static void see_afresh(void)
{
    struct harness_event *events[] = { &seen.tried, &seen.handled,   &seen.failed,    &seen.closed,  &seen.acted,
                                       &seen.timed_out, &seen.activated, &seen.returned, &seen.release };

    memset(&seen, 0, offsetof(struct seen, tried));
    pthread_mutex_init(&seen.lock, NULL);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        harness_event_init(events[i]);
}

static void trace(char letter)
{
    size_t n;

    pthread_mutex_lock(&seen.lock);
    n = strlen(seen.trace);
    if (n + 1 < sizeof(seen.trace))
        seen.trace[n] = letter;
    pthread_mutex_unlock(&seen.lock);
}

/* ---- Handlers ---- */

static int greet_handle(struct ostler_stream *s)
{
    trace('h');
    return ostler_stream_printf(s, "hello\n");
}

static const struct ostler_stream_handler greet = { .handle = greet_handle };

static int echo_handle(struct ostler_stream *s)
{
    char buffer[4096];
    ssize_t n;

    while ((n = ostler_stream_read(s, buffer, sizeof(buffer))) > 0) {
        int r = ostler_stream_write(s, buffer, (size_t)n);

        if (r < 0)
            return r;
    }
    return (int)n;
}

static const struct ostler_stream_handler echo = { .handle = echo_handle };

static ssize_t echo_on_data(struct ostler_conn *c, const void *data, size_t n)
{
    int r = ostler_conn_write(c, data, n);

    return r < 0 ? r : (ssize_t)n;
}

static const struct ostler_conn_handler echo_conn = { .on_data = echo_on_data };

/* Say who is there. */
static int peer_handle(struct ostler_stream *s)
{
    char text[OSTLER_ADDRESS_TEXT];

    ostler_address_text(ostler_stream_peer(s), text, sizeof(text));
    return ostler_stream_printf(s, "%s\n", text);
}

static const struct ostler_stream_handler tell_peer = { .handle = peer_handle };

static int fail_handle(struct ostler_stream *s)
{
    char byte;

    ostler_stream_read(s, &byte, 1);
    return -EXDEV;
}

static const struct ostler_stream_handler failing = { .handle = fail_handle };

static const char anywhere[] = "tcp:127.0.0.1:0";

static const struct ostler_mixin *const mixins[] = { NULL, &ostler_threading, &ostler_fibers };

enum { MIXINS = sizeof(mixins) / sizeof(mixins[0]) };

static int client_of(const struct ostler_server *server)
{
    int fd = harness_connect(server);

    ck_assert_int_ge(fd, 0);
    return fd;
}

static void check_greeting(const struct ostler_server *server)
{
    int client = client_of(server);

    ck_assert(harness_expect(client, "hello\n"));
    ck_assert(harness_expect_end(client));
    close(client);
}

static void check_echo(int client, const char *text)
{
    ck_assert(harness_say(client, text));
    ck_assert(harness_expect(client, text));
}

/* ---- Options ---- */

static const char *const no_addresses[] = { NULL };
static const struct ostler_stream_handler without_handle = { .setup = greet_handle };
static const struct ostler_stream_handler too_small = { .size = 1, .handle = greet_handle };
static const struct ostler_conn_handler too_small_conn = { .size = 1 };

static const struct ostler_datagram_handler no_datagram = { 0 };
static const struct ostler_server_class for_tcp = { .super = &ostler_tcp_server };

static int ignore_datagram(struct ostler_datagram *d)
{
    (void)d;
    return 0;
}

static const struct ostler_datagram_handler some_datagram = { .on_datagram = ignore_datagram };

static const struct {
    struct ostler_server_options options;
    const char *sentence; /* a part of it */
} wrong[] = {
    { { .address = anywhere }, ".stream, or .conn" },
    { { .address = anywhere, .stream = &greet, .conn = &echo_conn }, ".stream handler, or .conn" },
    { { .address = anywhere, .stream = &greet, .datagram = &no_datagram }, ".stream handler, or .conn" },
    { { .address = anywhere, .datagram = &no_datagram }, ".on_datagram" },
    { { .address = anywhere, .conn = &echo_conn, .defer = true }, ".defer" },
    { { .address = "udp:127.0.0.1:0", .conn = &echo_conn }, "no .datagram handler" },
    { { .address = anywhere, .datagram = &some_datagram }, "no .conn handler" },
    { { .address = anywhere, .stream = &greet, .server_class = &ostler_udp_server }, "another kind" },
    { { .address = "unix:@x", .stream = &greet, .server_class = &for_tcp }, "another kind" },
    { { .address = "fd:-1", .stream = &greet }, "number of an open descriptor" },
    { { .address = "unix:", .stream = &greet }, "path is missing" },
    { { .address = anywhere, .stream = &greet, .max_parked = -1 }, "max_parked" },
    { { .address = anywhere, .stream = &greet, .queue = -1 }, "queue" },
    { { .address = anywhere, .stream = &greet, .max_packet = 65536 }, "max_packet" },
    { { .address = anywhere, .stream = &greet, .socket_mode = 01000 }, "socket_mode" },
    { { .address = anywhere, .conn = &echo_conn, .mixin = &ostler_threading }, ".mixin" },
    { { .address = anywhere, .conn = &echo_conn, .mixin = &ostler_fibers }, ".mixin" },
    { { .address = anywhere, .stream = &without_handle }, ".handle" },
    { { .address = anywhere, .stream = &too_small }, "OSTLER_SIZE" },
    { { .address = anywhere, .conn = &too_small_conn }, "OSTLER_SIZE" },
    { { .stream = &greet }, ".address" },
    { { .stream = &greet, .addresses = no_addresses }, ".address" },
    { { .stream = &greet, .address = "" }, "scheme" },
    { { .stream = &greet, .address = "localhost:7" }, "scheme" },
    { { .stream = &greet, .address = "tcp:localhost:7" }, "host" },
    { { .stream = &greet, .address = "tcp:127.0.0.1:65536" }, "port" },
    { { .address = anywhere, .stream = &greet, .max_requests = -1 }, "max_requests" },
    { { .address = anywhere, .stream = &greet, .backlog = -1 }, "backlog" },
    { { .address = anywhere, .stream = &greet, .stack_size = 16383 }, "stack_size" },
    { { .address = anywhere, .stream = &greet, .stack_size = SIZE_MAX }, "size" },
    { { .address = anywhere, .stream = &greet, .timeout_ms = -2 }, "time" },
    { { .address = anywhere, .stream = &greet, .deadline_ms = -2 }, "time" },
    { { .address = anywhere, .stream = &greet, .stop_timeout_ms = -2 }, "time" },
    { { .address = anywhere, .stream = &greet, .request_timeout_ms = -2 }, "time" },
    { { .address = anywhere, .stream = &greet, .actions_interval_ms = -2 }, "time" },
    { { .address = anywhere, .conn = &echo_conn, .max_input = SIZE_MAX }, "size" },
    { { .address = anywhere, .conn = &echo_conn, .max_output = SIZE_MAX }, "size" },
    { { .address = anywhere, .conn = &echo_conn, .output_low = 2, .output_high = 1 }, "output_low" },
    { { .address = anywhere, .conn = &echo_conn, .output_high = 2, .max_output = 1 }, "output_high" },
    { { .address = anywhere, .conn = &echo_conn, .output_high = 2 << 20 }, "output_high" },
};

enum { WRONG = sizeof(wrong) / sizeof(wrong[0]) };

START_TEST(wrong_options_are_refused_with_a_sentence)
{
    struct ostler_server_options options = wrong[_i].options;
    struct ostler_server *server = NULL;
    struct harness_log log;

    harness_log_init(&log);
    options.log = &log.log;
    options.name = "misled";
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), -EINVAL);
    ck_assert_ptr_null(server);
    ck_assert_int_eq(harness_log_count(&log, "\n"), 1);
    ck_assert(harness_log_has(&log, "error misled: "));
    ck_assert_msg(harness_log_has(&log, wrong[_i].sentence), "%s", log.text);
    harness_log_fini(&log);
}
END_TEST

START_TEST(wrong_options_are_told_to_the_reactors_log)
{
    struct ostler_server *server = NULL;
    struct harness_reactor h;

    harness_reactor_init(&h);
    ck_assert_int_eq(ostler_server_new(&server, &wrong[0].options, h.reactor), -EINVAL);
    ck_assert_ptr_null(server);
    ck_assert(harness_log_has(&h.log, wrong[0].sentence));
    harness_reactor_fini(&h);
}
END_TEST

START_TEST(null_is_refused)
{
    struct ostler_server_options options = { .address = anywhere, .stream = &greet };
    struct ostler_server *server = NULL;

    ck_assert_int_eq(ostler_server_new(NULL, &options, NULL), -EINVAL);
    ck_assert_int_eq(ostler_server_new(&server, NULL, NULL), -EINVAL);
    ck_assert_ptr_null(server);
    ck_assert_int_eq(ostler_serve_forever(NULL), -EINVAL);
    ck_assert_int_eq(ostler_server_start(NULL), -EINVAL);
    ck_assert_int_eq(ostler_server_stop(NULL), -EINVAL);
    ck_assert_int_eq(ostler_server_abort(NULL), -EINVAL);
    ck_assert_int_eq(ostler_server_serve_forever(NULL), -EINVAL);
    ck_assert_int_eq(ostler_server_handle_request(NULL), -EINVAL);
    ck_assert_int_eq(ostler_server_shutdown(NULL), -EINVAL);
    ck_assert_ptr_null(ostler_server_user(NULL));
    ck_assert_ptr_null(ostler_server_name(NULL));
    ck_assert_ptr_null(ostler_server_reactor(NULL));
    ck_assert_ptr_null(ostler_server_log(NULL));
    ck_assert_int_eq(ostler_server_fd(NULL, 0), -EINVAL);
    ck_assert_ptr_null(ostler_server_address(NULL, 0));
    ck_assert_uint_eq(ostler_server_active(NULL), 0);
    ck_assert_uint_eq(ostler_server_accepted(NULL), 0);
    ostler_server_free(NULL);
}
END_TEST

START_TEST(what_was_given_is_told_and_copied)
{
    char name[] = "gate", address[] = "tcp:127.0.0.1:0";
    struct ostler_server_options options = { .name = name, .address = address, .stream = &greet, .user = &options };
    struct ostler_server *server;
    struct harness_log log;

    harness_log_init(&log);
    options.log = &log.log;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    ck_assert_ptr_eq(ostler_server_user(server), &options);
    memset(name, 'x', sizeof(name) - 1);
    memset(address, 'x', sizeof(address) - 1);
    memset(&options, 0x55, sizeof(options));
    ck_assert_str_eq(ostler_server_name(server), "gate");
    ck_assert_ptr_eq(ostler_server_log(server), &log.log);
    ck_assert_ptr_nonnull(ostler_server_reactor(server));
    ck_assert(ostler_reactor_is_current(ostler_server_reactor(server)));
    ck_assert_uint_eq(ostler_server_active(server), 0);
    ck_assert_uint_eq(ostler_server_accepted(server), 0);
    ostler_server_free(server);
    harness_log_fini(&log);
}
END_TEST

START_TEST(its_name_is_its_address_unless_it_is_said)
{
    static const char *const addresses[] = { anywhere, NULL };
    struct ostler_server_options options = { .addresses = addresses, .stream = &greet };
    struct ostler_server *server;

    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    ck_assert_str_eq(ostler_server_name(server), anywhere);
    ostler_server_free(server);
}
END_TEST

/* ---- Addresses ---- */

static int port_of(int fd)
{
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } a;
    socklen_t size = sizeof(a);

    ck_assert_int_eq(getsockname(fd, &a.sa, &size), 0);
    return ntohs(a.sa.sa_family == AF_INET ? a.in.sin_port : a.in6.sin6_port);
}

START_TEST(port_zero_reports_the_real_port)
{
    static const char *const addresses[] = { "tcp:127.0.0.1:0", "tcp:[::1]:0", "tcp:[::]:0" };

    for (size_t i = 0; i < 3; i++) {
        struct ostler_server_options options = { .address = addresses[i], .stream = &greet };
        struct ostler_server *server;
        int port;

        ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
        port = ostler_address_port(ostler_server_address(server, 0));
        ck_assert_int_gt(port, 0);
        ck_assert_int_eq(port_of(ostler_server_fd(server, 0)), port);
        ck_assert_int_eq(ostler_server_fd(server, 1), -EINVAL);
        ck_assert_ptr_null(ostler_server_address(server, 1));
        ck_assert_int_eq(ostler_server_fd(server, SIZE_MAX), -EINVAL);
        ostler_server_free(server);
    }
}
END_TEST

START_TEST(a_star_gives_two_sockets_with_one_port)
{
    struct harness_server h;
    char text[OSTLER_ADDRESS_TEXT];
    int port, only = 0, fd;
    socklen_t size = sizeof(only);

    harness_start(&h, &(struct ostler_server_options){ .address = "tcp:*:0", .stream = &tell_peer });
    port = ostler_address_port(ostler_server_address(h.server, 0));
    ck_assert_int_gt(port, 0);
    ck_assert_int_eq(ostler_address_port(ostler_server_address(h.server, 1)), port);
    ck_assert_ptr_null(ostler_server_address(h.server, 2));
    ck_assert_int_eq(ostler_server_fd(h.server, 2), -EINVAL);
    ck_assert_int_eq(port_of(ostler_server_fd(h.server, 0)), port);
    ck_assert_int_eq(port_of(ostler_server_fd(h.server, 1)), port);
    ck_assert_int_ne(ostler_server_fd(h.server, 0), ostler_server_fd(h.server, 1));
    getsockopt(ostler_server_fd(h.server, 0), IPPROTO_IPV6, IPV6_V6ONLY, &only, &size);
    ck_assert_int_eq(only, 1);
    for (size_t i = 0; i < 2; i++) {
        fd = harness_connect_to(ostler_server_address(h.server, i), 0);
        ck_assert_int_ge(fd, 0);
        snprintf(text, sizeof(text), i == 0 ? "tcp:[::1]:%d\n" : "tcp:127.0.0.1:%d\n", port_of(fd));
        ck_assert(harness_expect(fd, text));
        close(fd);
    }
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(an_ipv4_peer_of_a_dual_stack_socket_is_written_as_ipv4)
{
    struct harness_server h;
    struct ostler_address *ipv4;
    char text[OSTLER_ADDRESS_TEXT];
    int fd;

    harness_start(&h, &(struct ostler_server_options){ .address = "tcp:[::]:0", .stream = &tell_peer });
    snprintf(text, sizeof(text), "tcp:127.0.0.1:%d", ostler_address_port(ostler_server_address(h.server, 0)));
    ck_assert_int_eq(ostler_address_parse(&ipv4, text), 0);
    fd = harness_connect_to(ipv4, 0);
    ck_assert_int_ge(fd, 0);
    snprintf(text, sizeof(text), "tcp:127.0.0.1:%d\n", port_of(fd));
    ck_assert(harness_expect(fd, text));
    close(fd);
    fd = client_of(h.server);
    snprintf(text, sizeof(text), "tcp:[::1]:%d\n", port_of(fd));
    ck_assert(harness_expect(fd, text));
    close(fd);
    ostler_address_free(ipv4);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(one_server_serves_several_addresses)
{
    static const char *const more[] = { "tcp:[::1]:0", "tcp:127.0.0.2:0", NULL };
    struct harness_server h;

    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .addresses = more, .stream = &greet });
    check_greeting(h.server);
    for (size_t i = 1; i < 2; i++) {
        int fd = harness_connect_to(ostler_server_address(h.server, i), 0);

        ck_assert_int_ge(fd, 0);
        ck_assert(harness_expect(fd, "hello\n"));
        close(fd);
    }
    ck_assert_int_ge(ostler_server_fd(h.server, 2), 0);
    ck_assert_int_eq(ostler_server_fd(h.server, 3), -EINVAL);
    ck_assert_int_eq(harness_log_count(&h.log, "listening on"), 3);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static const char missing[] = "tcp:198.51.100.77:0"; /* RFC 5737: nobody's */

START_TEST(an_address_this_machine_lacks_is_an_error)
{
    static const char *const more[] = { missing, NULL };
    struct ostler_server_options options = { .address = anywhere, .addresses = more, .stream = &greet };
    struct ostler_server *server = NULL;
    struct harness_log log;

    harness_log_init(&log);
    options.log = &log.log;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), -EADDRNOTAVAIL);
    ck_assert_ptr_null(server);
    ck_assert(harness_log_has(&log, missing));
    harness_log_fini(&log);
}
END_TEST

START_TEST(it_is_a_warning_if_it_may_be_skipped_and_another_is_there)
{
    static const char *const more[] = { anywhere, missing, NULL };
    struct harness_server h;

    harness_start(&h, &(struct ostler_server_options){
                          .address = missing, .addresses = more, .stream = &greet, .skip_missing = true });
    ck_assert_int_eq(harness_log_count(&h.log, "warning"), 2);
    ck_assert_ptr_null(ostler_server_address(h.server, 1));
    check_greeting(h.server);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(one_address_at_least_must_be_there)
{
    struct ostler_server_options options = { .address = missing, .stream = &greet, .skip_missing = true };
    struct ostler_server *server = NULL;
    struct harness_log log;

    harness_log_init(&log);
    options.log = &log.log;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), -EADDRNOTAVAIL);
    ck_assert_ptr_null(server);
    ck_assert(harness_log_has(&log, "error"));
    harness_log_fini(&log);
}
END_TEST

static int new_on_port(struct ostler_server **out, const struct ostler_server *taken, struct harness_log *log,
                       struct ostler_server_options options)
{
    char text[OSTLER_ADDRESS_TEXT];

    ostler_address_text(ostler_server_address(taken, 0), text, sizeof(text));
    options.address = text;
    options.stream = &greet;
    options.log = &log->log;
    return ostler_server_new(out, &options, NULL);
}

START_TEST(an_address_in_use_is_told)
{
    struct ostler_server *first, *second = NULL;
    struct harness_log log;
    struct ostler_server_options options = { .address = anywhere, .stream = &greet };

    harness_log_init(&log);
    ck_assert_int_eq(ostler_server_new(&first, &options, NULL), 0);
    ck_assert_int_eq(new_on_port(&second, first, &log, (struct ostler_server_options){ 0 }), -EADDRINUSE);
    ck_assert_ptr_null(second);
    ck_assert_int_eq(new_on_port(&second, first, &log, (struct ostler_server_options){ .reuse_port = true }),
                     -EADDRINUSE);
    ck_assert_int_eq(harness_log_count(&log, "in use"), 2);
    ck_assert_int_eq(harness_log_count(&log, "tcp:127.0.0.1:"), 4); /* its name is its address */
    ostler_server_free(first);
    harness_log_fini(&log);
}
END_TEST

START_TEST(two_servers_share_a_port_if_both_allow_it)
{
    struct ostler_server *first, *second;
    struct harness_log log;
    struct ostler_server_options options = { .address = anywhere, .stream = &greet, .reuse_port = true };

    harness_log_init(&log);
    ck_assert_int_eq(ostler_server_new(&first, &options, NULL), 0);
    ck_assert_int_eq(new_on_port(&second, first, &log, (struct ostler_server_options){ .reuse_port = true }), 0);
    ostler_server_free(second);
    ostler_server_free(first);
    harness_log_fini(&log);
}
END_TEST

static int option_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);

    getsockopt(fd, level, name, &value, &size);
    return value;
}

START_TEST(the_listening_socket_has_the_options_asked_for)
{
    struct ostler_server *server;
    struct ostler_server_options options = { .address = anywhere, .stream = &greet };

    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    ck_assert_int_eq(option_of(ostler_server_fd(server, 0), SOL_SOCKET, SO_REUSEADDR), 1);
    ck_assert_int_eq(option_of(ostler_server_fd(server, 0), SOL_SOCKET, SO_REUSEPORT), 0);
    ck_assert_int_eq(option_of(ostler_server_fd(server, 0), SOL_SOCKET, SO_ACCEPTCONN), 1);
    ck_assert_int_ne(fcntl(ostler_server_fd(server, 0), F_GETFD) & FD_CLOEXEC, 0);
    ostler_server_free(server);
    options.no_reuse_address = true;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    ck_assert_int_eq(option_of(ostler_server_fd(server, 0), SOL_SOCKET, SO_REUSEADDR), 0);
    ostler_server_free(server);
}
END_TEST

static int look_at_socket(struct ostler_stream *s)
{
    int fd = ostler_request_fd(s->request);

    return ostler_stream_printf(s, "nodelay %d, cloexec %d\n", option_of(fd, IPPROTO_TCP, TCP_NODELAY) != 0,
                                (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

START_TEST(an_accepted_socket_has_the_options_asked_for)
{
    static const struct ostler_stream_handler look = { .handle = look_at_socket };

    for (int i = 0; i < 2; i++) {
        struct harness_server h;
        int client;

        harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &look, .disable_nagle = i });
        client = client_of(h.server);
        ck_assert(harness_expect(client, i ? "nodelay 1, cloexec 1\n" : "nodelay 0, cloexec 1\n"));
        close(client);
        ck_assert_int_eq(harness_stop(&h), 0);
    }
}
END_TEST

START_TEST(a_thousand_failing_constructors_leak_no_descriptor)
{
    struct ostler_server *taken, *server = NULL;
    struct harness_log log;
    struct ostler_server_options options = { .address = anywhere, .stream = &greet };
    size_t before;

    harness_log_init(&log);
    ck_assert_int_eq(ostler_server_new(&taken, &options, NULL), 0);
    before = harness_descriptors();
    for (int i = 0; i < 1024; i++)
        ck_assert_int_eq(new_on_port(&server, taken, &log, (struct ostler_server_options){ .mixin = mixins[i % 3] }),
                         -EADDRINUSE);
    ck_assert_uint_eq(harness_descriptors(), before);
    ck_assert_ptr_null(server);
    ostler_server_free(taken);
    harness_log_fini(&log);
}
END_TEST

START_TEST(without_descriptors_it_fails_with_a_sentence)
{
    struct ostler_server_options options = { .address = anywhere, .stream = &greet };
    struct ostler_server *server = NULL;
    struct rlimit before, few;
    struct harness_log log;
    int result = 0;

    harness_log_init(&log);
    options.log = &log.log;
    getrlimit(RLIMIT_NOFILE, &before);
    few = before;
    for (rlim_t extra = 0; extra < 16; extra++) { /* more each time: each step fails once */
        few.rlim_cur = harness_descriptors() + extra;
        setrlimit(RLIMIT_NOFILE, &few);
        harness_log_fini(&log);
        harness_log_init(&log);
        result = ostler_server_new(&server, &options, NULL);
        setrlimit(RLIMIT_NOFILE, &before);
        if (result == 0)
            break;
        ck_assert_int_eq(result, -EMFILE);
        ck_assert_msg(harness_log_count(&log, "error") >= 1, "no sentence with %d descriptors more", (int)extra);
    }
    ck_assert_int_eq(result, 0);
    ostler_server_free(server);
    harness_log_fini(&log);
}
END_TEST

/* ---- Classes ---- */

static int trace_bind(struct ostler_server *s)
{
    trace('B');
    return ostler_tcp_server.bind(s);
}

static int trace_activate(struct ostler_server *s)
{
    trace('A');
    return ostler_tcp_server.activate(s);
}

static int trace_get(struct ostler_server *s, int listener, struct ostler_address *peer)
{
    int fd = ostler_tcp_server.get_request(s, listener, peer);

    if (fd >= 0)
        trace('G');
    return fd;
}

static bool trace_verify(struct ostler_server *s, const struct ostler_request *r)
{
    trace('V');
    return ostler_tcp_server.verify_request(s, r);
}

static int trace_process(struct ostler_server *s, struct ostler_request *r)
{
    trace('P');
    return ostler_tcp_server.process_request(s, r);
}

static int trace_finish(struct ostler_server *s, struct ostler_request *r)
{
    trace('F');
    return ostler_tcp_server.finish_request(s, r);
}

static void trace_error(struct ostler_server *s, struct ostler_request *r, int error)
{
    (void)s;
    (void)r;
    trace('E');
    seen.handled_error = error;
    harness_raise(&seen.failed);
}

static void trace_shutdown(struct ostler_server *s, struct ostler_request *r)
{
    trace('S');
    ostler_tcp_server.shutdown_request(s, r);
}

static void trace_close_request(struct ostler_server *s, struct ostler_request *r)
{
    trace('C');
    ostler_tcp_server.close_request(s, r);
    harness_raise(&seen.closed);
}

static void trace_close(struct ostler_server *s)
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

/* Serve one greeting. */
static void greet_once(struct ostler_server_options options)
{
    struct harness_server h;

    see_afresh();
    options.address = anywhere;
    harness_start(&h, &options);
    check_greeting(h.server);
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
}

START_TEST(each_slot_is_called_once_in_the_order_of_the_table)
{
    greet_once((struct ostler_server_options){ .server_class = &traced, .stream = &greet, .mixin = mixins[_i] });
    ck_assert_str_eq(seen.trace, "BAGVPFhSCX");
}
END_TEST

START_TEST(a_conn_is_not_finished_by_finish_request)
{
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){
                          .address = anywhere, .server_class = &traced, .conn = &echo_conn });
    client = client_of(h.server);
    check_echo(client, "x");
    shutdown(client, SHUT_WR);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "BAGVPSCX");
}
END_TEST

static int get_without_peer(struct ostler_server *s, int listener, struct ostler_address *peer)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)s;
    (void)peer;
    return fd < 0 ? -errno : fd;
}

static int open_and_tell_peer(struct ostler_conn *c)
{
    const struct ostler_address *peer = ostler_conn_peer(c);
    char text[OSTLER_ADDRESS_TEXT] = "";

    ostler_address_text(peer, text, sizeof(text));
    if (ostler_address_sockaddr(peer, NULL) || ostler_address_is_loopback(peer))
        return ostler_conn_write(c, "somebody", 8);
    return ostler_conn_write(c, text, strlen(text));
}

static const struct ostler_server_class peerless[] = {
    { .super = &ostler_tcp_server, .get_request = get_without_peer },
    { .super = &ostler_unix_stream_server, .get_request = get_without_peer },
};

START_TEST(a_peer_that_get_request_leaves_alone_is_nobody)
{
    static const struct ostler_conn_handler handler = { .on_open = open_and_tell_peer };
    struct harness_server h;
    char name[64];
    int client;

    snprintf(name, sizeof(name), "unix:@ostler-silent-%d", (int)getpid());
    harness_start(&h, &(struct ostler_server_options){
                          .address = _i ? name : anywhere, .server_class = &peerless[_i], .conn = &handler });
    client = client_of(h.server);
    ck_assert(harness_expect(client, _i ? "unix:(unnamed)" : "tcp:[::]:0"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static bool parent_verify(struct ostler_server *s, const struct ostler_request *r)
{
    (void)s;
    (void)r;
    trace('1');
    return true;
}

static void parent_close_request(struct ostler_server *s, struct ostler_request *r)
{
    trace('2');
    ostler_tcp_server.close_request(s, r);
    harness_raise(&seen.closed);
}

static int child_bind(struct ostler_server *s)
{
    trace('3');
    return ostler_tcp_server.bind(s);
}

static bool child_verify(struct ostler_server *s, const struct ostler_request *r)
{
    trace('4');
    return parent_verify(s, r);
}

START_TEST(slots_are_inherited_over_two_levels)
{
    static const struct ostler_server_class parent = { .super = &ostler_tcp_server,
                                                       .verify_request = parent_verify,
                                                       .close_request = parent_close_request };
    static const struct ostler_server_class child = { .super = &parent, .bind = child_bind,
                                                      .verify_request = child_verify };
    static const struct ostler_server_class orphan = { .verify_request = child_verify,
                                                       .close_request = parent_close_request };

    greet_once((struct ostler_server_options){ .server_class = &child, .stream = &greet });
    ck_assert_str_eq(seen.trace, "341h2");
    greet_once((struct ostler_server_options){ .server_class = &orphan, .stream = &greet });
    ck_assert_str_eq(seen.trace, "41h2");
}
END_TEST

START_TEST(a_class_that_is_its_own_ancestor_is_refused_with_a_sentence)
{
    struct ostler_server_class a = { .name = "a" }, b = { .name = "b", .super = &a };
    struct ostler_server_options options = { .address = anywhere, .stream = &greet, .server_class = &b };
    struct ostler_server *server = NULL;
    struct harness_log log;

    a.super = &b;
    harness_log_init(&log);
    options.log = &log.log;
    ck_assert_int_lt(ostler_server_new(&server, &options, NULL), 0);
    ck_assert_ptr_null(server);
    ck_assert_int_ge(harness_log_count(&log, "error"), 1);
    harness_log_fini(&log);
}
END_TEST

static int fail_with_exdev(struct ostler_server *s)
{
    (void)s;
    trace('!');
    return -EXDEV;
}

START_TEST(a_bind_or_activate_that_fails_closes_what_is_open)
{
    static const struct ostler_server_class no_bind = { .super = &traced, .bind = fail_with_exdev };
    static const struct ostler_server_class no_activate = { .super = &traced, .activate = fail_with_exdev };
    struct ostler_server_options options = { .address = "tcp:*:0", .stream = &greet, .server_class = &no_bind };
    struct ostler_server *server = NULL;

    see_afresh();
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), -EXDEV);
    ck_assert_str_eq(seen.trace, "!X");
    see_afresh();
    options.server_class = &no_activate;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), -EXDEV);
    ck_assert_str_eq(seen.trace, "B!X");
    ck_assert_ptr_null(server);
}
END_TEST

static bool refuse(struct ostler_server *s, const struct ostler_request *r)
{
    (void)s;
    (void)r;
    trace('V');
    return false;
}

START_TEST(a_rejected_request_is_shut_down_and_closed_once)
{
    static const struct ostler_server_class choosy = { .super = &traced, .verify_request = refuse };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &choosy,
                                                       .stream = &greet, .mixin = mixins[_i] });
    client = client_of(h.server);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "BAGVSCX");
    ck_assert_int_eq(harness_count(&seen.closed), 1);
}
END_TEST

static void note_conn_close(struct ostler_conn *c, enum ostler_close_reason reason, int error)
{
    (void)c;
    (void)reason;
    (void)error;
    trace('c');
}

START_TEST(a_rejected_conn_never_meets_its_handler)
{
    static const struct ostler_server_class choosy = { .super = &traced, .verify_request = refuse };
    static const struct ostler_conn_handler handler = { .on_data = echo_on_data, .on_close = note_conn_close };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &choosy,
                                                       .conn = &handler });
    client = client_of(h.server);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "BAGVSCX");
}
END_TEST

static int process_the_second(struct ostler_server *s, struct ostler_request *r)
{
    trace('P');
    return ostler_server_accepted(s) == 1 ? -EXDEV : ostler_tcp_server.process_request(s, r);
}

START_TEST(process_request_failing_is_reported_once_and_the_server_goes_on)
{
    static const struct ostler_server_class broken = { .super = &traced, .process_request = process_the_second };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &broken,
                                                       .stream = &greet, .mixin = mixins[_i] });
    client = client_of(h.server);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert(harness_wait(&seen.closed, 1));
    check_greeting(h.server);
    ck_assert(harness_wait(&seen.closed, 2));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "BAGVPESCGVPFhSCX");
    ck_assert_int_eq(seen.handled_error, -EXDEV);
}
END_TEST

static int finish_none(struct ostler_server *s, struct ostler_request *r)
{
    (void)s;
    (void)r;
    trace('F');
    return -EXDEV;
}

START_TEST(finish_request_failing_is_reported_once)
{
    static const struct ostler_server_class broken = { .super = &traced, .finish_request = finish_none };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &broken,
                                                       .stream = &greet, .mixin = mixins[_i] });
    client = client_of(h.server);
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert(harness_wait(&seen.closed, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "BAGVPFESCX");
    ck_assert_int_eq(seen.handled_error, -EXDEV);
}
END_TEST

START_TEST(a_failing_handler_is_logged_once_and_the_server_survives)
{
    struct harness_server h;

    harness_start(&h, &(struct ostler_server_options){ .name = "tested", .address = anywhere, .stream = &failing,
                                                       .mixin = mixins[_i] });
    for (int i = 1; i <= 3; i++) {
        int client = client_of(h.server);

        ck_assert(harness_say(client, "x"));
        ck_assert(harness_expect_end(client));
        close(client);
        ck_assert_int_eq(harness_log_count(&h.log, "error tested: tcp:127.0.0.1:"), i);
    }
    ck_assert_int_eq(harness_log_count(&h.log, ostler_strerror(-EXDEV)), 3);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_flood_of_failures_is_a_few_lines)
{
    struct harness_server h;
    uint64_t begin = harness_now_ms();
    int lines;

    harness_start(&h, &(struct ostler_server_options){ .name = "tested", .address = anywhere, .stream = &failing });
    for (int i = 0; i < 300; i++) {
        int client = client_of(h.server);

        ck_assert(harness_say(client, "x"));
        ck_assert(harness_expect_end(client));
        close(client);
    }
    lines = harness_log_count(&h.log, "error tested");
    ck_assert_int_ge(lines, 1);
    ck_assert_int_le(lines, 20 + 5 * (int)((harness_now_ms() - begin) / 1000));
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- get_request that fails ---- */

static int failures, failure; /* how many are left; which */

static int fail_a_few_times(struct ostler_server *s, int listener, struct ostler_address *peer)
{
    int n = harness_count(&seen.tried);

    if (failures > 0) {
        failures--;
        if (n < 64)
            seen.times[n] = harness_now_ms();
        harness_raise(&seen.tried);
        return failure;
    }
    return ostler_tcp_server.get_request(s, listener, peer);
}

static const struct ostler_server_class starved = { .get_request = fail_a_few_times };

START_TEST(out_of_something_it_pauses_longer_and_longer_and_then_serves)
{
    static const int lacks[] = { -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM };
    struct harness_server h;

    see_afresh();
    failures = 4;
    failure = lacks[_i];
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &starved,
                                                       .stream = &greet });
    check_greeting(h.server);
    ck_assert_int_eq(harness_log_count(&h.log, "cannot accept"), 1);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&seen.tried), 4);
    ck_assert_uint_ge(seen.times[1] - seen.times[0] + 1, 10);
    ck_assert_uint_ge(seen.times[2] - seen.times[1] + 1, 20);
    ck_assert_uint_ge(seen.times[3] - seen.times[2] + 1, 40);
}
END_TEST

START_TEST(it_resumes_at_once_when_one_of_ours_closes)
{
    struct harness_server h;
    uint64_t begin;
    int held, client;

    see_afresh();
    failures = 0;
    failure = -EMFILE;
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &starved,
                                                       .conn = &echo_conn });
    held = client_of(h.server);
    check_echo(held, "x");
    failures = 8; /* the last pause is over a second, if it is waited for */
    client = client_of(h.server);
    ck_assert(harness_wait(&seen.tried, 8));
    begin = harness_now_ms();
    close(held);
    check_echo(client, "served");
    ck_assert_uint_lt(harness_now_ms() - begin, 600);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_connection_that_has_gone_is_passed_over)
{
    static const int passing[] = { -ECONNABORTED, -EINTR, -EPROTO, -ENETDOWN, -EAGAIN };
    struct harness_server h;

    see_afresh();
    failures = 5;
    failure = passing[_i];
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &starved,
                                                       .stream = &greet });
    check_greeting(h.server);
    ck_assert(!harness_log_has(&h.log, "cannot accept"));
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static void lower_descriptor_limit(void *arg)
{
    struct rlimit *limit = arg;

    setrlimit(RLIMIT_NOFILE, limit);
}

/* valgrind accepts a connection over the limit and closes it, which no kernel does. */
static bool is_under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");

    return preload && strstr(preload, "vgpreload");
}

START_TEST(at_the_real_limit_of_descriptors_clients_wait_and_are_served)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct harness_server h;
    struct rlimit before, low;
    int held, waiting;
    bool lowered, connected, told, served, silent;

    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .conn = &echo_conn });
    held = client_of(h.server);
    check_echo(held, "x");
    waiting = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    in.sin_port = htons((uint16_t)ostler_address_port(ostler_server_address(h.server, 0)));
    getrlimit(RLIMIT_NOFILE, &before);
    low = before;
    low.rlim_cur = 1;
    lowered = harness_call(ostler_server_reactor(h.server), lower_descriptor_limit, &low);
    connected = connect(waiting, (struct sockaddr *)&in, sizeof(in)) == 0 && harness_say(waiting, "patience");
    told = harness_log_wait(&h.log, "cannot accept");
    served = harness_say(held, "still served") && harness_expect(held, "still served");
    silent = harness_is_silent(waiting);
    setrlimit(RLIMIT_NOFILE, &before); /* Check itself needs descriptors to report a failure */
    ck_assert(lowered && connected && told && served && silent);
    close(held);
    ck_assert(harness_expect(waiting, "patience"));
    close(waiting);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- service_actions ---- */

static void act(struct ostler_server *s)
{
    (void)s;
    harness_raise(&seen.acted);
}

static const struct ostler_server_class active = { .service_actions = act };

START_TEST(service_actions_run_after_each_round)
{
    struct harness_server h;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &active,
                                                       .stream = &greet });
    for (int i = 0; i < 5; i++) {
        int before = harness_count(&seen.acted);

        check_greeting(h.server);
        ck_assert(harness_wait(&seen.acted, before + 1));
    }
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(service_actions_run_by_the_clock_if_it_is_said)
{
    struct harness_server h;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .server_class = &active,
                                                       .stream = &greet, .actions_interval_ms = 5 });
    ck_assert(harness_wait(&seen.acted, 10));
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- handle_request ---- */

static void note_time_out(struct ostler_server *s)
{
    (void)s;
    harness_raise(&seen.timed_out);
}

static const struct ostler_server_class patient = { .super = &traced, .handle_timeout = note_time_out };

static struct ostler_server *new_server(struct ostler_server_options options)
{
    struct ostler_server *server;

    see_afresh();
    options.address = anywhere;
    if (!options.server_class)
        options.server_class = &patient;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    return server;
}

START_TEST(handle_request_handles_one_and_leaves_the_rest)
{
    struct ostler_server *server =
        new_server((struct ostler_server_options){ .stream = &greet, .mixin = mixins[_i], .request_timeout_ms = 60000 });
    int a = client_of(server), b = client_of(server);

    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert_uint_eq(ostler_server_accepted(server), 1);
    ck_assert(harness_expect(a, "hello\n"));
    ck_assert(harness_is_silent(b));
    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert_uint_eq(ostler_server_accepted(server), 2);
    ck_assert(harness_expect(b, "hello\n"));
    close(a);
    close(b);
    ck_assert_int_eq(harness_count(&seen.timed_out), 0);
    ostler_server_free(server);
}
END_TEST

START_TEST(handle_request_finishes_a_conn_too)
{
    struct ostler_server *server =
        new_server((struct ostler_server_options){ .conn = &echo_conn, .request_timeout_ms = 60000 });
    int client = client_of(server);

    ck_assert(harness_say(client, "hello"));
    shutdown(client, SHUT_WR);
    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert(harness_expect(client, "hello"));
    ck_assert(harness_expect_end(client));
    ck_assert_uint_eq(ostler_server_active(server), 0);
    close(client);
    ostler_server_free(server);
}
END_TEST

START_TEST(handle_request_calls_handle_timeout_when_nobody_comes)
{
    struct ostler_server *server =
        new_server((struct ostler_server_options){ .stream = &greet, .request_timeout_ms = 20 });
    uint64_t begin = harness_now_ms();

    ck_assert_int_eq(ostler_server_handle_request(server), 0);
    ck_assert_uint_ge(harness_now_ms() - begin, 20);
    ck_assert_int_eq(harness_count(&seen.timed_out), 1);
    ck_assert_int_eq(ostler_server_handle_request(server), 0);
    ck_assert_int_eq(harness_count(&seen.timed_out), 2);
    ostler_server_free(server);
}
END_TEST

START_TEST(the_request_timeout_does_not_cut_a_request_short)
{
    struct ostler_server *server =
        new_server((struct ostler_server_options){ .conn = &echo_conn, .timeout_ms = 100, .request_timeout_ms = 20 });
    int client = client_of(server);

    ck_assert_int_eq(ostler_server_handle_request(server), 1); /* ends by its own timeout */
    ck_assert_int_eq(harness_count(&seen.timed_out), 0);
    ck_assert(harness_expect_end(client));
    close(client);
    ostler_server_free(server);
}
END_TEST

START_TEST(a_request_that_is_refused_counts_as_handled)
{
    static const struct ostler_server_class choosy = { .super = &patient, .verify_request = refuse };
    struct ostler_server *server = new_server(
        (struct ostler_server_options){ .stream = &greet, .server_class = &choosy, .request_timeout_ms = 60000 });
    int client = client_of(server);

    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert(harness_expect_end(client));
    close(client);
    ostler_server_free(server);
}
END_TEST

static void *stop_reactor(void *server)
{
    ostler_reactor_stop(ostler_server_reactor(server));
    return NULL;
}

START_TEST(a_stop_of_the_reactor_ends_handle_request)
{
    struct ostler_server *server = new_server((struct ostler_server_options){ .stream = &greet });
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, stop_reactor, server), 0);
    ck_assert_int_eq(ostler_server_handle_request(server), -ESHUTDOWN);
    pthread_join(thread, NULL);
    ck_assert_int_eq(harness_count(&seen.timed_out), 0);
    ostler_server_free(server);
}
END_TEST

START_TEST(handle_request_after_a_shutdown_says_so_each_time)
{
    struct ostler_server *server = new_server((struct ostler_server_options){ .stream = &greet });

    ck_assert_int_eq(ostler_server_shutdown(server), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(ostler_server_handle_request(server), -ESHUTDOWN);
    ostler_server_free(server);
}
END_TEST

static int stop_reactor_from_a_thread(struct ostler_stream *s)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, stop_reactor, ostler_stream_server(s)) != 0)
        return -EAGAIN;
    return -pthread_join(thread, NULL);
}

START_TEST(a_stop_of_the_reactor_while_a_handler_computes_is_not_lost)
{
    static const struct ostler_stream_handler stops = { .handle = stop_reactor_from_a_thread };
    struct ostler_server *server = new_server((struct ostler_server_options){ .stream = &stops });
    int client = harness_connect(server);

    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert_int_eq(ostler_server_handle_request(server), -ESHUTDOWN);
    close(client);
    ostler_server_free(server);
}
END_TEST

START_TEST(after_handle_request_it_can_still_serve_for_ever)
{
    struct ostler_server *server = new_server((struct ostler_server_options){ .stream = &greet });
    int client = client_of(server);

    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert(harness_expect(client, "hello\n"));
    close(client);
    ck_assert_int_eq(ostler_server_shutdown(server), 0);
    ck_assert_int_eq(ostler_server_serve_forever(server), 0);
    ostler_server_free(server);
}
END_TEST

/* ---- Shutdown ---- */

START_TEST(shutdown_from_another_thread_waits_until_serve_forever_has_left)
{
    struct harness_server h;

    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &greet, .mixin = mixins[_i] });
    check_greeting(h.server);
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(ostler_server_fd(h.server, 0), -EBADF);
    ck_assert_ptr_nonnull(ostler_server_address(h.server, 0));
    ck_assert_int_gt(ostler_address_port(ostler_server_address(h.server, 0)), 0);
    ck_assert_int_eq(harness_connect(h.server), -ECONNREFUSED);
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0); /* again: nothing to wait for */
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
}
END_TEST

START_TEST(a_shutdown_before_the_start_wins)
{
    struct ostler_server *server = new_server((struct ostler_server_options){ .stream = &greet, .mixin = mixins[_i] });

    ck_assert_int_eq(ostler_server_shutdown(server), 0);
    ck_assert_int_eq(ostler_server_serve_forever(server), 0);
    ck_assert_str_eq(seen.trace, "BA");
    ostler_server_free(server);
    ck_assert_str_eq(seen.trace, "BAX");
}
END_TEST

static int stream_shuts_down(struct ostler_stream *s)
{
    seen.result = ostler_server_shutdown(ostler_stream_server(s));
    return ostler_stream_printf(s, "bye\n");
}

START_TEST(a_handler_shuts_its_own_server_down)
{
    static const struct ostler_stream_handler handler = { .handle = stream_shuts_down };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &handler, .mixin = mixins[_i] });
    client = client_of(h.server);
    ck_assert(harness_expect(client, "bye\n"));
    ck_assert(harness_expect_end(client));
    close(client);
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
    ck_assert_int_eq(seen.result, 0);
}
END_TEST

static ssize_t conn_shuts_down(struct ostler_conn *c, const void *data, size_t n)
{
    seen.result = ostler_server_shutdown(ostler_conn_server(c));
    return echo_on_data(c, data, n);
}

START_TEST(a_callback_shuts_its_own_server_down)
{
    static const struct ostler_conn_handler handler = { .on_data = conn_shuts_down };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .conn = &handler });
    client = client_of(h.server);
    check_echo(client, "bye");
    close(client);
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
    ck_assert_int_eq(seen.result, 0);
}
END_TEST

START_TEST(twenty_servers_shut_down_while_starting_all_leave)
{
    for (int i = 0; i < 20; i++) {
        struct harness_server h;

        harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &greet, .mixin = mixins[_i] });
        ck_assert_int_eq(harness_stop(&h), 0);
    }
}
END_TEST

static void *shut_down(void *server)
{
    ostler_server_shutdown(server);
    harness_raise(&seen.returned);
    return NULL;
}

START_TEST(many_threads_may_shut_it_down_at_once)
{
    struct harness_server h;
    pthread_t threads[8];

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &greet });
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, shut_down, h.server), 0);
    ck_assert(harness_wait(&seen.returned, 8));
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(harness_join(&h), 0);
    harness_free(&h);
}
END_TEST

START_TEST(a_threading_server_that_never_served_is_freed)
{
    ostler_server_free(new_server((struct ostler_server_options){ .stream = &greet, .mixin = mixins[_i] }));
    ck_assert_str_eq(seen.trace, "BAX");
}
END_TEST

START_TEST(stop_and_abort_are_for_the_reactors_thread)
{
    struct harness_server h;

    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &greet });
    check_greeting(h.server);
    ck_assert_int_eq(ostler_server_stop(h.server), -EPERM);
    ck_assert_int_eq(ostler_server_abort(h.server), -EPERM);
    check_greeting(h.server);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- Stopping with requests that run ---- */

static int read_then_report(struct ostler_stream *s)
{
    char buffer[64];
    ssize_t n;
    size_t total = 0;

    harness_raise(&seen.handled);
    while ((n = ostler_stream_read(s, buffer, sizeof(buffer))) > 0)
        total += (size_t)n;
    return n < 0 ? (int)n : ostler_stream_printf(s, "%zu bytes\n", total);
}

START_TEST(a_stop_lets_handlers_answer_what_was_received)
{
    static const struct ostler_stream_handler handler = { .handle = read_then_report };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &handler, .mixin = mixins[_i],
                                                       .stop_timeout_ms = 60000 });
    client = client_of(h.server);
    ck_assert(harness_wait(&seen.handled, 1));
    ck_assert(harness_say(client, "12345"));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert(harness_expect(client, "5 bytes\n"));
    ck_assert(harness_expect_end(client));
    close(client);
}
END_TEST

static int write_for_ever(struct ostler_stream *s)
{
    static const char block[65536];
    int r;

    harness_raise(&seen.handled);
    do
        r = ostler_stream_write(s, block, sizeof(block));
    while (r == 0);
    seen.result = r;
    return r;
}

START_TEST(what_is_left_after_the_stop_timeout_is_cut_off)
{
    static const struct ostler_stream_handler handler = { .handle = write_for_ever };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &handler, .mixin = mixins[_i],
                                                       .stop_timeout_ms = 30 });
    client = client_of(h.server); /* which reads nothing */
    ck_assert(harness_wait(&seen.handled, 1));
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert(harness_log_has(&h.log, "warning"));
    ck_assert_int_eq(seen.result, -ECANCELED);
    harness_free(&h);
    close(client);
}
END_TEST

static int hold_out(struct ostler_stream *s)
{
    (void)s;
    harness_raise(&seen.handled);
    harness_wait(&seen.release, 1);
    return 0;
}

START_TEST(a_handler_that_does_not_end_is_named_and_the_stop_gives_up)
{
    static const struct ostler_stream_handler handler = { .handle = hold_out };
    struct harness_server h;
    int client;

    see_afresh();
    harness_start(&h, &(struct ostler_server_options){ .name = "tested", .address = anywhere, .stream = &handler,
                                                       .mixin = &ostler_threading, .stop_timeout_ms = 20 });
    client = client_of(h.server);
    ck_assert(harness_wait(&seen.handled, 1));
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), -ETIMEDOUT);
    ck_assert_int_eq(harness_log_count(&h.log, "error tested: tcp:127.0.0.1:"), 1);
    harness_raise(&seen.release);
    harness_free(&h);
    close(client);
}
END_TEST

/* A call on the reactor's thread that has to do with a server. */
struct order {
    struct ostler_server *server;
    struct ostler_reactor *reactor;
    const struct ostler_server_options *options;
    int result;
};

static void make_and_start(void *arg)
{
    struct order *o = arg;

    o->result = ostler_server_new(&o->server, o->options, o->reactor);
    if (o->result == 0)
        o->result = ostler_server_start(o->server);
}

static void stop_server(void *arg)
{
    struct order *o = arg;

    o->result = ostler_server_stop(o->server);
}

static void free_server(void *arg)
{
    struct order *o = arg;

    ostler_server_free(o->server);
}

static void serve_inside(void *arg)
{
    struct order *o = arg;

    o->result = ostler_server_serve_forever(o->server);
}

static void count_active(void *arg)
{
    struct order *o = arg;

    o->result = (int)ostler_server_active(o->server);
}

static void order(struct order *o, void (*function)(void *))
{
    ck_assert(harness_call(o->reactor, function, o));
}

static int read_until_the_end(struct ostler_stream *s)
{
    char byte;
    ssize_t n;

    harness_raise(&seen.handled);
    do
        n = ostler_stream_read(s, &byte, 1);
    while (n > 0);
    trace(n == -ECANCELED || n == 0 ? 'k' : '?');
    return (int)n;
}

/* Answers a byte; at the end of its input nothing is worth waiting for. */
static int answer_or_abort(struct ostler_stream *s)
{
    char byte;
    ssize_t n = ostler_stream_read(s, &byte, 1);

    if (n == 0)
        return ostler_server_abort(ostler_stream_server(s));
    return n < 0 ? (int)n : ostler_stream_write(s, "done", 4);
}

START_TEST(a_fiber_that_a_stop_wakes_may_abort)
{
    static const struct ostler_stream_handler handler = { .handle = answer_or_abort };
    struct harness_server h;
    int clients[6];

    harness_start(&h, &(struct ostler_server_options){
                          .address = anywhere, .stream = &handler, .mixin = &ostler_fibers });
    for (int i = 0; i < 6; i++) {
        clients[i] = harness_connect(h.server);
        ck_assert_int_ge(clients[i], 0);
        if (i % 3 == 0)
            continue; /* it waits; the others linger */
        ck_assert(harness_say(clients[i], "x"));
        ck_assert(harness_expect(clients[i], "done"));
    }
    ck_assert_int_eq(harness_stop(&h), 0);
    for (int i = 0; i < 6; i++)
        close(clients[i]);
}
END_TEST

START_TEST(a_server_is_freed_while_connections_are_open_and_handlers_run)
{
    static const struct ostler_stream_handler handler = { .handle = read_until_the_end };
    struct ostler_server_options options = { .address = anywhere, .stream = &handler, .mixin = mixins[_i] };
    struct harness_reactor h;
    struct order o = { .options = &options };
    int clients[5];

    see_afresh();
    harness_reactor_init(&h);
    harness_reactor_start(&h);
    o.reactor = h.reactor;
    order(&o, make_and_start);
    ck_assert_int_eq(o.result, 0);
    for (int i = 0; i < 5; i++)
        clients[i] = client_of(o.server);
    ck_assert(harness_wait(&seen.handled, 5));
    order(&o, free_server);
    ck_assert_str_eq(seen.trace, "kkkkk");
    for (int i = 0; i < 5; i++) {
        char byte;

        ck_assert_int_le(harness_receive_once(clients[i], &byte, 1), 0);
        close(clients[i]);
    }
    ostler_reactor_stop(h.reactor);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    harness_reactor_fini(&h);
}
END_TEST

static int note_conn_open(struct ostler_conn *c)
{
    (void)c;
    harness_raise(&seen.handled);
    return 0;
}

static void note_stopped(struct ostler_conn *c, enum ostler_close_reason reason, int error)
{
    (void)c;
    trace(reason == OSTLER_CLOSE_STOPPED && error == -ECANCELED ? 'k' : '?');
}

static int ignore_eof(struct ostler_conn *c)
{
    (void)c;
    return 0;
}

START_TEST(every_conn_hears_of_it_when_its_server_is_freed)
{
    static const struct ostler_conn_handler handler = { .on_open = note_conn_open, .on_eof = ignore_eof,
                                                        .on_close = note_stopped };
    struct ostler_server_options options = { .address = anywhere, .conn = &handler };
    struct harness_reactor h;
    struct order o = { .options = &options };
    int clients[5];

    see_afresh();
    harness_reactor_init(&h);
    harness_reactor_start(&h);
    o.reactor = h.reactor;
    order(&o, make_and_start);
    for (int i = 0; i < 5; i++)
        clients[i] = client_of(o.server);
    ck_assert(harness_wait(&seen.handled, 5));
    order(&o, free_server);
    ck_assert_str_eq(seen.trace, "kkkkk");
    for (int i = 0; i < 5; i++)
        close(clients[i]);
    ostler_reactor_stop(h.reactor);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    harness_reactor_fini(&h);
}
END_TEST

START_TEST(two_servers_live_on_one_reactor_and_stop_one_by_one)
{
    struct ostler_server_options echoes = { .address = anywhere, .conn = &echo_conn };
    struct ostler_server_options greets = { .address = anywhere, .stream = &greet, .mixin = &ostler_fibers };
    struct harness_reactor h;
    struct order a = { .options = &echoes }, b = { .options = &greets };
    int client;

    see_afresh();
    harness_reactor_init(&h);
    a.reactor = b.reactor = h.reactor;
    ck_assert_int_eq(ostler_server_new(&a.server, &echoes, h.reactor), 0);
    ck_assert_int_eq(ostler_server_start(a.server), 0);
    harness_reactor_start(&h);
    order(&b, make_and_start);
    ck_assert_int_eq(b.result, 0);
    client = client_of(a.server);
    check_echo(client, "x");
    check_greeting(b.server);
    close(client);
    order(&a, stop_server);
    ck_assert_int_eq(a.result, 0);
    check_greeting(b.server); /* the reactor runs on for it */
    ck_assert_int_eq(ostler_server_fd(a.server, 0), -EBADF);
    order(&a, free_server);
    order(&b, serve_inside);
    ck_assert_int_eq(b.result, -EBUSY);
    check_greeting(b.server);
    ostler_reactor_stop(h.reactor);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    ck_assert_int_eq(ostler_server_fd(b.server, 0), -EBADF);
    ostler_server_free(b.server);
    harness_reactor_fini(&h);
}
END_TEST

START_TEST(the_reactors_run_tells_that_a_server_gave_up)
{
    static const struct ostler_stream_handler handler = { .handle = hold_out };
    struct ostler_server_options options = { .address = anywhere, .stream = &handler, .mixin = &ostler_threading,
                                             .stop_timeout_ms = 20 };
    struct harness_reactor h;
    struct ostler_server *server;
    int client;

    see_afresh();
    harness_reactor_init(&h);
    ck_assert_int_eq(ostler_server_new(&server, &options, h.reactor), 0);
    ck_assert_int_eq(ostler_server_start(server), 0);
    harness_reactor_start(&h);
    client = client_of(server);
    ck_assert(harness_wait(&seen.handled, 1));
    ostler_reactor_stop(h.reactor);
    ck_assert_int_eq(harness_reactor_join(&h), -ETIMEDOUT);
    harness_raise(&seen.release);
    ostler_server_free(server);
    harness_reactor_fini(&h);
    close(client);
}
END_TEST

/* ---- Limits ---- */

START_TEST(a_full_house_lets_clients_wait)
{
    struct harness_server h;
    struct order o = { 0 };
    int a, b, c;

    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .conn = &echo_conn, .max_requests = 2 });
    o.server = h.server;
    o.reactor = ostler_server_reactor(h.server);
    a = client_of(h.server);
    b = client_of(h.server);
    check_echo(a, "a");
    check_echo(b, "b");
    c = client_of(h.server);
    ck_assert(harness_say(c, "patience"));
    ck_assert(harness_is_silent(c));
    check_echo(a, "still served");
    order(&o, count_active);
    ck_assert_int_eq(o.result, 2);
    close(a);
    ck_assert(harness_expect(c, "patience"));
    check_echo(b, "me too");
    close(b);
    close(c);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_full_house_of_streams_lets_clients_wait_too)
{
    struct harness_server h;
    int a, b;

    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &echo, .mixin = mixins[_i],
                                                       .max_requests = 1 });
    a = client_of(h.server);
    check_echo(a, "a");
    b = client_of(h.server);
    ck_assert(harness_say(b, "patience"));
    ck_assert(harness_is_silent(b));
    close(a);
    ck_assert(harness_expect(b, "patience"));
    close(b);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

enum { CROWD = 200 };

START_TEST(hundreds_of_connections_are_served_side_by_side)
{
    struct harness_server h;
    struct order o = { 0 };
    int clients[CROWD];

    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .conn = &echo_conn });
    for (int i = 0; i < CROWD; i++)
        clients[i] = client_of(h.server);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CROWD; i++)
            ck_assert(harness_say(clients[i], "ping"));
        for (int i = CROWD; i-- > 0;)
            ck_assert(harness_expect(clients[i], "ping"));
    }
    o.server = h.server;
    o.reactor = ostler_server_reactor(h.server);
    order(&o, count_active);
    ck_assert_int_eq(o.result, CROWD);
    for (int i = 0; i < CROWD; i++)
        close(clients[i]);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- All in one ---- */

static int note_activate(struct ostler_server *s)
{
    int error = ostler_tcp_server.activate(s);

    seen.server = s;
    harness_raise(&seen.activated);
    return error;
}

static void *serve_all_in_one(void *options)
{
    seen.handled_error = ostler_serve_forever(options);
    return NULL;
}

START_TEST(serve_forever_makes_serves_and_frees)
{
    static const struct ostler_server_class noted = { .activate = note_activate };
    static const struct ostler_stream_handler handler = { .handle = stream_shuts_down };
    struct ostler_server_options options = { .address = anywhere, .stream = &handler, .server_class = &noted };
    struct harness_log log;
    pthread_t thread;
    int client;

    see_afresh();
    harness_log_init(&log);
    options.log = &log.log;
    ck_assert_int_eq(pthread_create(&thread, NULL, serve_all_in_one, &options), 0);
    ck_assert(harness_wait(&seen.activated, 1));
    client = client_of(seen.server);
    ck_assert(harness_expect(client, "bye\n"));
    close(client);
    pthread_join(thread, NULL);
    ck_assert_int_eq(seen.handled_error, 0);
    harness_log_fini(&log);
}
END_TEST

START_TEST(serve_forever_tells_what_new_says)
{
    struct ostler_server_options options = wrong[0].options;
    struct harness_log log;

    harness_log_init(&log);
    options.log = &log.log;
    ck_assert_int_eq(ostler_serve_forever(&options), -EINVAL);
    harness_log_fini(&log);
}
END_TEST

/* ---- Mix-ins of one's own ---- */

/* What a mix-in's open may answer. */
static int capacity;

static int open_with_capacity(void *state, const struct ostler_server_options *options, struct ostler_reactor *reactor)
{
    trace(state && options->stack_size > 0 && options->timeout_ms > 0 && reactor ? 'O' : '?');
    for (int i = 0; i < 64; i++)
        if (((char *)state)[i])
            trace('?');
    return capacity;
}

static int run_at_once(void *state, struct ostler_request *request)
{
    (void)state;
    trace('R');
    ostler_request_run(request);
    return 0;
}

static void close_mixin(void *state)
{
    (void)state;
    trace('Z');
}

static const struct ostler_mixin own_mixin = {
    .name = "own", .size = 64, .open = open_with_capacity, .process = run_at_once, .close = close_mixin
};

START_TEST(a_mixin_of_ones_own_runs_requests)
{
    struct harness_server h;

    see_afresh();
    capacity = 1;
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &greet, .mixin = &own_mixin });
    check_greeting(h.server);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "ORhZ");
}
END_TEST

START_TEST(a_mixin_that_does_not_open_fails_the_server_with_a_sentence)
{
    static const int answers[] = { -ENOMEM, -EXDEV, 0 };
    struct ostler_server_options options = { .address = anywhere, .stream = &greet, .mixin = &own_mixin };

    for (size_t i = 0; i < 3; i++) {
        struct ostler_server *server = NULL;
        struct harness_log log;

        see_afresh();
        harness_log_init(&log);
        options.log = &log.log;
        capacity = answers[i];
        ck_assert_int_eq(ostler_server_new(&server, &options, NULL), capacity ? capacity : -EINVAL);
        ck_assert_ptr_null(server);
        ck_assert_str_eq(seen.trace, "O"); /* what was not opened is not closed */
        ck_assert_int_ge(harness_log_count(&log, "error"), 1);
        harness_log_fini(&log);
    }
}
END_TEST

START_TEST(the_capacity_of_the_mixin_is_the_servers_limit)
{
    struct harness_server h;
    int a, b;

    see_afresh();
    capacity = 1;
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &echo, .mixin = &own_mixin });
    a = client_of(h.server);
    check_echo(a, "a");
    b = client_of(h.server);
    ck_assert(harness_say(b, "patience"));
    ck_assert(harness_is_silent(b));
    close(a);
    ck_assert(harness_expect(b, "patience"));
    close(b);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static int process_fails(void *state, struct ostler_request *request)
{
    (void)state;
    (void)request;
    return -EXDEV;
}

START_TEST(a_request_that_the_mixin_does_not_take_is_reported_and_closed)
{
    static const struct ostler_mixin lazy = {
        .name = "lazy", .size = 64, .open = open_with_capacity, .process = process_fails, .close = close_mixin
    };
    struct harness_server h;
    int client;

    see_afresh();
    capacity = 1;
    harness_start(&h, &(struct ostler_server_options){ .address = anywhere, .stream = &greet, .mixin = &lazy,
                                                       .server_class = &traced });
    for (int i = 1; i <= 3; i++) {
        client = client_of(h.server);
        ck_assert(harness_expect_end(client));
        close(client);
        ck_assert(harness_wait(&seen.closed, i));
    }
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_str_eq(seen.trace, "OBAGVPESCGVPESCGVPESCXZ");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server");
    TCase *tc = harness_case(suite, "options");

    tcase_add_loop_test(tc, wrong_options_are_refused_with_a_sentence, 0, WRONG);
    tcase_add_test(tc, wrong_options_are_told_to_the_reactors_log);
    tcase_add_test(tc, null_is_refused);
    tcase_add_test(tc, what_was_given_is_told_and_copied);
    tcase_add_test(tc, its_name_is_its_address_unless_it_is_said);
    tc = harness_case(suite, "addresses");
    tcase_add_test(tc, port_zero_reports_the_real_port);
    tcase_add_test(tc, a_star_gives_two_sockets_with_one_port);
    tcase_add_test(tc, an_ipv4_peer_of_a_dual_stack_socket_is_written_as_ipv4);
    tcase_add_test(tc, one_server_serves_several_addresses);
    tcase_add_test(tc, an_address_this_machine_lacks_is_an_error);
    tcase_add_test(tc, it_is_a_warning_if_it_may_be_skipped_and_another_is_there);
    tcase_add_test(tc, one_address_at_least_must_be_there);
    tcase_add_test(tc, an_address_in_use_is_told);
    tcase_add_test(tc, two_servers_share_a_port_if_both_allow_it);
    tcase_add_test(tc, the_listening_socket_has_the_options_asked_for);
    tcase_add_test(tc, an_accepted_socket_has_the_options_asked_for);
    tcase_add_test(tc, a_thousand_failing_constructors_leak_no_descriptor);
    tcase_add_test(tc, without_descriptors_it_fails_with_a_sentence);
    tc = harness_case(suite, "classes");
    tcase_add_loop_test(tc, each_slot_is_called_once_in_the_order_of_the_table, 0, MIXINS);
    tcase_add_test(tc, a_conn_is_not_finished_by_finish_request);
    tcase_add_test(tc, slots_are_inherited_over_two_levels);
    tcase_add_loop_test(tc, a_peer_that_get_request_leaves_alone_is_nobody, 0, 2);
    tcase_add_test(tc, a_class_that_is_its_own_ancestor_is_refused_with_a_sentence);
    tcase_add_test(tc, a_bind_or_activate_that_fails_closes_what_is_open);
    tcase_add_loop_test(tc, a_rejected_request_is_shut_down_and_closed_once, 0, MIXINS);
    tcase_add_test(tc, a_rejected_conn_never_meets_its_handler);
    tcase_add_loop_test(tc, process_request_failing_is_reported_once_and_the_server_goes_on, 0, MIXINS);
    tcase_add_loop_test(tc, finish_request_failing_is_reported_once, 0, MIXINS);
    tcase_add_loop_test(tc, a_failing_handler_is_logged_once_and_the_server_survives, 0, MIXINS);
    tcase_add_test(tc, a_flood_of_failures_is_a_few_lines);
    tc = harness_case(suite, "get_request that fails");
    tcase_add_loop_test(tc, out_of_something_it_pauses_longer_and_longer_and_then_serves, 0, 4);
    tcase_add_test(tc, it_resumes_at_once_when_one_of_ours_closes);
    tcase_add_loop_test(tc, a_connection_that_has_gone_is_passed_over, 0, 5);
    if (!is_under_valgrind())
        tcase_add_test(tc, at_the_real_limit_of_descriptors_clients_wait_and_are_served);
    tc = harness_case(suite, "service_actions");
    tcase_add_test(tc, service_actions_run_after_each_round);
    tcase_add_test(tc, service_actions_run_by_the_clock_if_it_is_said);
    tc = harness_case(suite, "handle_request");
    tcase_add_loop_test(tc, handle_request_handles_one_and_leaves_the_rest, 0, MIXINS);
    tcase_add_test(tc, handle_request_finishes_a_conn_too);
    tcase_add_test(tc, handle_request_calls_handle_timeout_when_nobody_comes);
    tcase_add_test(tc, the_request_timeout_does_not_cut_a_request_short);
    tcase_add_test(tc, a_request_that_is_refused_counts_as_handled);
    tcase_add_test(tc, a_stop_of_the_reactor_ends_handle_request);
    tcase_add_test(tc, handle_request_after_a_shutdown_says_so_each_time);
    tcase_add_test(tc, a_stop_of_the_reactor_while_a_handler_computes_is_not_lost);
    tcase_add_test(tc, after_handle_request_it_can_still_serve_for_ever);
    tc = harness_case(suite, "shutdown");
    tcase_add_loop_test(tc, shutdown_from_another_thread_waits_until_serve_forever_has_left, 0, MIXINS);
    tcase_add_loop_test(tc, a_shutdown_before_the_start_wins, 0, MIXINS);
    tcase_add_loop_test(tc, a_handler_shuts_its_own_server_down, 0, MIXINS);
    tcase_add_test(tc, a_callback_shuts_its_own_server_down);
    tcase_add_loop_test(tc, twenty_servers_shut_down_while_starting_all_leave, 0, MIXINS);
    tcase_add_test(tc, many_threads_may_shut_it_down_at_once);
    tcase_add_loop_test(tc, a_threading_server_that_never_served_is_freed, 0, MIXINS);
    tcase_add_test(tc, stop_and_abort_are_for_the_reactors_thread);
    tc = harness_case(suite, "stopping with requests that run");
    tcase_add_loop_test(tc, a_stop_lets_handlers_answer_what_was_received, 0, MIXINS);
    tcase_add_loop_test(tc, what_is_left_after_the_stop_timeout_is_cut_off, 0, MIXINS);
    tcase_add_test(tc, a_handler_that_does_not_end_is_named_and_the_stop_gives_up);
    tcase_add_loop_test(tc, a_server_is_freed_while_connections_are_open_and_handlers_run, 1, MIXINS);
    tcase_add_test(tc, a_fiber_that_a_stop_wakes_may_abort);
    tcase_add_test(tc, every_conn_hears_of_it_when_its_server_is_freed);
    tcase_add_test(tc, two_servers_live_on_one_reactor_and_stop_one_by_one);
    tcase_add_test(tc, the_reactors_run_tells_that_a_server_gave_up);
    tc = harness_case(suite, "limits");
    tcase_add_test(tc, a_full_house_lets_clients_wait);
    tcase_add_loop_test(tc, a_full_house_of_streams_lets_clients_wait_too, 0, MIXINS);
    tcase_add_test(tc, hundreds_of_connections_are_served_side_by_side);
    tc = harness_case(suite, "all in one");
    tcase_add_test(tc, serve_forever_makes_serves_and_frees);
    tcase_add_test(tc, serve_forever_tells_what_new_says);
    tc = harness_case(suite, "mix-ins of one's own");
    tcase_add_test(tc, a_mixin_of_ones_own_runs_requests);
    tcase_add_test(tc, a_mixin_that_does_not_open_fails_the_server_with_a_sentence);
    tcase_add_test(tc, the_capacity_of_the_mixin_is_the_servers_limit);
    tcase_add_test(tc, a_request_that_the_mixin_does_not_take_is_reported_and_closed);
    return harness_main(suite);
}
