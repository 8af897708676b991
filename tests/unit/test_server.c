/* server.h: options, addresses, servers that do everything in one call. */
#include "support/servers.h"

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
    { { .address = anywhere, .stream = &greet, .socket_mode = 0060 }, "0200" },
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

START_TEST(a_link_local_address_without_its_interface_is_told)
{
    struct ostler_server_options options = { .address = "tcp:[fe80::1]:0", .stream = &greet };
    struct ostler_server *server = NULL;
    struct harness_log log;

    harness_log_init(&log);
    options.log = &log.log;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), -EINVAL);
    ck_assert(harness_log_has(&log, "tcp:[fe80::1]:0: a link-local address needs its interface, as in [fe80::1%eth0]"));
    harness_log_fini(&log);
}
END_TEST

/* A kernel without IPv6 (linker, --wrap). */
static bool lacks_ipv6;

int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);

int __wrap_socket(int family, int type, int protocol)
{
    if (!lacks_ipv6 || family != AF_INET6)
        return __real_socket(family, type, protocol);
    errno = EAFNOSUPPORT;
    return -1;
}

START_TEST(without_ipv6_a_star_is_ipv4_alone)
{
    struct harness_server h;

    lacks_ipv6 = true;
    harness_start(&h, &(struct ostler_server_options){ .address = "tcp:*:0", .stream = &greet });
    lacks_ipv6 = false;
    ck_assert_int_eq(harness_log_count(&h.log, "warning"), 1);
    ck_assert_ptr_null(ostler_server_address(h.server, 1));
    check_greeting(h.server);
    ck_assert_int_eq(harness_stop(&h), 0);
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

/* What it says of its descriptor, into text of size bytes; its length. */
static int tell_options(const struct ostler_request *r, char *text, size_t size)
{
    int fd = ostler_request_fd(r);

    return snprintf(text, size, "nodelay %d, cloexec %d\n", option_of(fd, IPPROTO_TCP, TCP_NODELAY) > 0,
                    (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

static int look_at_socket(struct ostler_stream *s)
{
    char text[64];

    return ostler_stream_write(s, text, (size_t)tell_options(s->request, text, sizeof(text)));
}

static int look_at_conn(struct ostler_conn *c)
{
    char text[64];
    int error = ostler_conn_write(c, text, (size_t)tell_options(c->request, text, sizeof(text)));

    return error < 0 ? error : ostler_conn_close(c);
}

START_TEST(an_accepted_socket_has_the_options_asked_for)
{
    static const struct ostler_stream_handler look = { .handle = look_at_socket },
                                              prompt = { .handle = look_at_socket, .disable_nagle = true };
    static const struct ostler_conn_handler prompt_conn = { .on_open = look_at_conn, .disable_nagle = true };
    const struct {
        struct ostler_server_options options;
        const char *answer;
    } cases[] = {
        { { .address = anywhere, .stream = &look }, "nodelay 0, cloexec 1\n" },
        { { .address = anywhere, .stream = &look, .disable_nagle = true }, "nodelay 1, cloexec 1\n" },
        { { .address = anywhere, .stream = &prompt }, "nodelay 1, cloexec 1\n" },
        { { .address = anywhere, .conn = &prompt_conn }, "nodelay 1, cloexec 1\n" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct harness_server h;
        int client;

        harness_start(&h, &cases[i].options);
        client = client_of(h.server);
        ck_assert_msg(harness_expect(client, cases[i].answer), "case %zu", i);
        close(client);
        ck_assert_int_eq(harness_stop(&h), 0);
    }
}
END_TEST

/* The one whose coming has started the service, and a later one. */
START_TEST(who_waits_at_an_inherited_socket_gets_the_options_too)
{
    static const struct ostler_stream_handler look = { .handle = look_at_socket, .disable_nagle = true };
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), early = socket(AF_INET, SOCK_STREAM, 0), later;
    socklen_t size = sizeof(any);
    struct harness_server h;
    char address[16];

    ck_assert_int_eq(bind(listener, (struct sockaddr *)&any, size), 0);
    ck_assert_int_eq(listen(listener, 5), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&any, &size), 0);
    ck_assert_int_eq(connect(early, (struct sockaddr *)&any, size), 0);
    snprintf(address, sizeof(address), "fd:%d", listener);
    harness_start(&h, &(struct ostler_server_options){ .address = address, .stream = &look });
    later = client_of(h.server);
    ck_assert(harness_expect(early, "nodelay 1, cloexec 1\n"));
    ck_assert(harness_expect(later, "nodelay 1, cloexec 1\n"));
    close(early);
    close(later);
    ck_assert_int_eq(harness_stop(&h), 0);
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
    tcase_add_test(tc, a_link_local_address_without_its_interface_is_told);
    tcase_add_test(tc, without_ipv6_a_star_is_ipv4_alone);
    tcase_add_test(tc, it_is_a_warning_if_it_may_be_skipped_and_another_is_there);
    tcase_add_test(tc, one_address_at_least_must_be_there);
    tcase_add_test(tc, an_address_in_use_is_told);
    tcase_add_test(tc, two_servers_share_a_port_if_both_allow_it);
    tcase_add_test(tc, the_listening_socket_has_the_options_asked_for);
    tcase_add_test(tc, an_accepted_socket_has_the_options_asked_for);
    tcase_add_test(tc, who_waits_at_an_inherited_socket_gets_the_options_too);
    tcase_add_test(tc, a_thousand_failing_constructors_leak_no_descriptor);
    tcase_add_test(tc, without_descriptors_it_fails_with_a_sentence);
    tc = harness_case(suite, "all in one");
    tcase_add_test(tc, serve_forever_makes_serves_and_frees);
    tcase_add_test(tc, serve_forever_tells_what_new_says);
    return harness_main(suite);
}
