/* The socket object, method by method: the rows of what Python's socket.socket offers, in a
 * plain thread. Makers, addresses, peers and bytes; the rest is in test_socket_ends.c, files are in
 * test_socket_files.c, waiting in test_socket_waiting.c, failures in test_socket_faults.c. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/sockets.h"

/* ---- socket() ---- */

START_TEST(a_socket_knows_its_family_type_and_protocol_and_is_close_on_exec)
{
    struct ostler_socket *s = make_socket(socket_kinds[_i].family, socket_kinds[_i].type);

    ck_assert_int_eq(ostler_socket_family(s), socket_kinds[_i].family);
    ck_assert_int_eq(ostler_socket_type(s), socket_kinds[_i].type);
    ck_assert_int_eq(ostler_socket_proto(s), socket_kinds[_i].protocol);
    ck_assert(is_close_on_exec(ostler_socket_fileno(s)));
    ostler_socket_free(s);
}
END_TEST

START_TEST(a_socket_of_another_family_or_type_is_refused)
{
    struct ostler_socket *s = NULL;

    ck_assert_int_eq(ostler_socket_new(&s, AF_NETLINK, SOCK_DGRAM, 0), -EAFNOSUPPORT);
    ck_assert_int_eq(ostler_socket_new(&s, AF_INET, SOCK_RAW, 0), -EPROTONOSUPPORT);
    ck_assert_int_eq(ostler_socket_new(&s, AF_INET, SOCK_STREAM, IPPROTO_UDP), -EPROTONOSUPPORT);
    ck_assert_int_eq(ostler_socket_new(NULL, AF_INET, SOCK_STREAM, 0), -EINVAL);
    ck_assert_int_eq(ostler_socketpair(&s, &s, SOCK_RAW), -EPROTONOSUPPORT);
    ck_assert_int_eq(ostler_socketpair(&s, NULL, SOCK_STREAM), -EINVAL);
    ck_assert_ptr_null(s);
}
END_TEST

START_TEST(from_fd_takes_over_a_socket_with_its_blocking_mode)
{
    struct pair p = make_pair(SOCK_STREAM);
    struct ostler_socket *s = NULL;
    int fd, nul = open("/dev/null", O_RDONLY | O_CLOEXEC);

    ck_assert_int_eq(ostler_socket_setblocking(p.a, _i), 0);
    fd = ostler_socket_detach(p.a);
    ck_assert_int_eq(ostler_socket_from_fd(&s, fd), 0);
    ck_assert_int_eq(ostler_socket_fileno(s), fd);
    ck_assert_int_eq(ostler_socket_family(s), AF_UNIX);
    ck_assert_int_eq(ostler_socket_getblocking(s), _i);
    ostler_socket_free(s);
    ck_assert(!is_open(fd));
    ck_assert_int_eq(ostler_socket_from_fd(&s, fd), -EBADF);
    ck_assert_int_eq(ostler_socket_from_fd(&s, -1), -EBADF);
    ck_assert_int_eq(ostler_socket_from_fd(&s, nul), -ENOTSOCK);
    ck_assert(is_open(nul));
    close(nul);
    free_pair(p);
}
END_TEST

START_TEST(dup_is_a_second_object_with_a_time_out_of_its_own)
{
    struct pair p = make_pair(SOCK_STREAM);
    struct ostler_socket *twin = NULL;

    ck_assert_int_eq(ostler_socket_settimeout(p.a, 1.5), 0);
    ck_assert_int_eq(ostler_socket_dup(&twin, p.a), 0);
    ck_assert_double_eq(ostler_socket_gettimeout(twin), 1.5);
    ck_assert(is_close_on_exec(ostler_socket_fileno(twin)));
    ck_assert_int_eq(ostler_socket_settimeout(twin, 0), 0); /* the mode is one that both share … */
    ck_assert_int_eq(ostler_socket_settimeout(p.a, OSTLER_NEVER), 0);
    ck_assert_int_eq(ostler_socket_send(p.b, TEXT("both"), 0), 4);
    ck_assert(receives(p.a, "bo"));
    ostler_socket_free(p.a);
    p.a = twin;
    ck_assert(receives(twin, "th"));
    ck_assert_int_eq(ostler_socket_recv(twin, &(char){ 0 }, 1, 0), -EAGAIN); /* … the time-out is not */
    free_pair(p);
}
END_TEST

/* ---- Addresses ---- */

START_TEST(bind_takes_the_address_of_each_kind)
{
    struct ostler_address *address;
    struct ostler_socket *s = make_bound(_i, &address);

    ck_assert_int_eq(strncmp(text_of(address), socket_kinds[_i].address, strlen(socket_kinds[_i].address) - 1), 0);
    if (socket_kinds[_i].family != AF_UNIX)
        ck_assert_int_gt(ostler_address_port(address), 0);
    ostler_socket_free(s);
    ostler_address_free(address);
}
END_TEST

START_TEST(bind_takes_a_path)
{
    char directory[] = "/tmp/ostler-socket-XXXXXX", text[64];
    struct ostler_socket *s = make_socket(AF_UNIX, SOCK_DGRAM);
    struct ostler_address *address;

    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(text, sizeof(text), "unixgram:%s/s", directory);
    address = parse_address(text);
    ck_assert_int_eq(ostler_socket_bind(s, address), 0);
    ck_assert_int_eq(ostler_socket_bind(s, address), -EADDRINUSE);
    ck_assert_int_eq(ostler_socket_getsockname(s, address), 0);
    ck_assert_str_eq(text_of(address), text);
    ck_assert_int_eq(unlink(strchr(text, '/')), 0);
    ck_assert_int_eq(rmdir(directory), 0);
    ostler_socket_free(s);
    ostler_address_free(address);
}
END_TEST

START_TEST(an_address_of_another_family_or_kind_is_refused)
{
    struct ostler_socket *s = make_socket(socket_kinds[_i].family, socket_kinds[_i].type);
    struct ostler_address *none = blank_address(), *inherited = parse_address("fd:0");

    for (int other = 0; other < SOCKET_KINDS; other++) {
        struct ostler_address *address = parse_address(socket_kinds[other].address);

        if (other != _i) {
            ck_assert_int_eq(ostler_socket_bind(s, address), -EAFNOSUPPORT);
            ck_assert_int_eq(ostler_socket_connect(s, address), -EAFNOSUPPORT);
            ck_assert_int_eq(ostler_socket_connect_ex(s, address), EAFNOSUPPORT);
            ck_assert_int_eq(ostler_socket_sendto(s, "x", 1, 0, address), -EAFNOSUPPORT);
        }
        ostler_address_free(address);
    }
    ck_assert_int_eq(ostler_socket_bind(s, none), -EAFNOSUPPORT);
    ck_assert_int_eq(ostler_socket_bind(s, inherited), -EAFNOSUPPORT);
    ck_assert_int_eq(ostler_socket_connect(s, NULL), -EINVAL);
    ostler_address_free(none);
    ostler_address_free(inherited);
    ostler_socket_free(s);
}
END_TEST

START_TEST(an_interface_that_is_missing_is_told)
{
    struct ostler_socket *s = make_socket(AF_INET6, SOCK_DGRAM);
    struct ostler_address *address = parse_address("udp:[::1%nope0]:7");

    ck_assert_int_eq(ostler_socket_bind(s, address), -ENODEV);
    ck_assert_int_eq(ostler_socket_sendto(s, "x", 1, 0, address), -ENODEV);
    ck_assert_int_eq(ostler_socket_connect(s, address), -ENODEV);
    ostler_address_free(address);
    ostler_socket_free(s);
}
END_TEST

START_TEST(a_wildcard_is_that_of_the_sockets_family)
{
    struct ostler_socket *s = make_socket(_i ? AF_INET6 : AF_INET, SOCK_STREAM);
    struct ostler_address *address = parse_address("tcp:*:0");

    ck_assert_int_eq(ostler_socket_bind(s, address), 0);
    ck_assert_int_eq(ostler_socket_getsockname(s, address), 0);
    ck_assert_int_eq(strncmp(text_of(address), _i ? "tcp:[::]:" : "tcp:0.0.0.0:", 9), 0);
    ostler_socket_free(s);
    ostler_address_free(address);
}
END_TEST

START_TEST(an_address_goes_to_the_kernels_form_and_back)
{
    struct ostler_address *address = parse_address(socket_kinds[_i].address), *copy = blank_address();
    char text[OSTLER_ADDRESS_TEXT];
    socklen_t length = 0;
    const struct sockaddr *sa = ostler_address_sockaddr(address, &length);

    ck_assert_ptr_nonnull(sa);
    ck_assert_ptr_null(ostler_address_sockaddr(copy, &length));
    snprintf(text, sizeof(text), "%s", text_of(address));
    ck_assert_int_eq(ostler_address_set(copy, sa, length, socket_kinds[_i].type), 0);
    ck_assert_str_eq(text_of(copy), text);
    ck_assert_int_eq(ostler_address_set(copy, sa, 1, socket_kinds[_i].type), -EINVAL);
    ck_assert_int_eq(ostler_address_set(copy, sa, (socklen_t)-1, socket_kinds[_i].type), -EINVAL);
    ck_assert_int_eq(ostler_address_set(copy, sa, length, SOCK_RAW), -EINVAL);
    ck_assert_int_eq(ostler_address_set(copy, NULL, length, SOCK_STREAM), -EINVAL);
    ck_assert_int_eq(ostler_address_set(NULL, sa, length, SOCK_STREAM), -EINVAL);
    ck_assert_int_eq(ostler_address_set(copy, &(struct sockaddr){ .sa_family = AF_NETLINK }, sizeof(*sa), SOCK_DGRAM),
                     -EAFNOSUPPORT);
    ck_assert_str_eq(text_of(copy), text);
    ostler_address_free(address);
    ostler_address_free(copy);
}
END_TEST

START_TEST(an_over_long_path_is_refused)
{
    struct {
        struct sockaddr_un un;
        char more[64];
    } large = { .un.sun_family = AF_UNIX };
    struct ostler_address *address = blank_address();
    char text[] = "unix:/over-long";

    memset(large.un.sun_path, 'p', sizeof(large.un.sun_path));
    memset(large.more, 'p', sizeof(large.more));
    ck_assert_int_eq(ostler_address_set(address, (struct sockaddr *)&large.un, sizeof(large), SOCK_STREAM), -EINVAL);
    ck_assert_str_eq(text_of(address), "unix:(unnamed)");
    memcpy(large.un.sun_path, strchr(text, '/'), strlen(strchr(text, '/')) + 1);
    ck_assert_int_eq(ostler_address_set(address, (struct sockaddr *)&large.un, sizeof(large.un), SOCK_STREAM), 0);
    ck_assert_str_eq(text_of(address), text);
    ostler_address_free(address);
}
END_TEST

/* ---- listen, accept, connect ---- */

START_TEST(listen_takes_a_backlog_of_0_and_no_negative_one)
{
    struct ostler_address *address;
    struct ostler_socket *listener = make_bound(_i, &address), *client = make_socket(socket_kinds[_i].family, SOCK_STREAM);

    ck_assert_int_eq(ostler_socket_listen(listener, -1), -EINVAL);
    ck_assert_int_eq(ostler_socket_connect(client, address), -ECONNREFUSED);
    ck_assert_int_eq(ostler_socket_connect_ex(client, address), ECONNREFUSED);
    ck_assert_int_eq(ostler_socket_listen(listener, 0), 0);
    ostler_socket_free(client);
    client = make_socket(socket_kinds[_i].family, SOCK_STREAM);
    ck_assert_int_eq(ostler_socket_connect(client, address), 0);
    ostler_socket_free(client);
    ostler_socket_free(listener);
    ostler_address_free(address);
}
END_TEST

START_TEST(accept_gives_a_new_socket_and_its_peer)
{
    struct ostler_address *address, *peer = blank_address(), *name = blank_address();
    struct ostler_socket *listener = make_listener(_i, &address), *client = make_bound(_i, NULL), *accepted = NULL;
    char text[OSTLER_ADDRESS_TEXT];

    ck_assert_int_eq(ostler_socket_connect(client, address), 0);
    ck_assert_int_eq(ostler_socket_accept(listener, &accepted, peer), 0);
    ck_assert(is_close_on_exec(ostler_socket_fileno(accepted)));
    ck_assert_double_eq(ostler_socket_gettimeout(accepted), OSTLER_NEVER);
    ck_assert_int_eq(ostler_socket_getsockname(client, name), 0);
    snprintf(text, sizeof(text), "%s", text_of(peer));
    ck_assert_str_eq(text_of(name), text);
    ck_assert_int_eq(ostler_socket_getpeername(accepted, name), 0);
    ck_assert_str_eq(text_of(name), text);
    ck_assert_int_eq(ostler_socket_getpeername(listener, name), -ENOTCONN);
    ck_assert_str_eq(text_of(name), text);
    ck_assert_int_eq(ostler_socket_sendall(client, TEXT("hello"), 0), 0);
    ck_assert(receives(accepted, "hello"));
    ck_assert_int_eq(ostler_socket_accept(client, &accepted, peer), -EINVAL); /* the kernel's: it does not listen */
    ostler_socket_free(accepted);
    ostler_socket_free(client);
    ostler_socket_free(listener);
    ostler_address_free(address);
    ostler_address_free(peer);
    ostler_address_free(name);
}
END_TEST

START_TEST(connect_without_a_time_out_waits_in_the_call)
{
    struct ostler_address *address;
    struct ostler_socket *listener = make_listener(_i, &address), *client = make_socket(socket_kinds[_i].family, SOCK_STREAM);

    ck_assert_int_eq(ostler_socket_settimeout(client, OSTLER_NEVER), 0);
    ck_assert_int_eq(ostler_socket_connect(client, address), 0);
    ck_assert_int_eq(ostler_socket_connect(client, address), -EISCONN);
    ck_assert_int_eq(ostler_socket_connect_ex(client, address), EISCONN);
    ck_assert(!(fcntl(ostler_socket_fileno(client), F_GETFL) & O_NONBLOCK));
    ostler_socket_free(client);
    ostler_socket_free(listener);
    ostler_address_free(address);
}
END_TEST

START_TEST(connect_of_a_datagram_socket_sets_the_peer)
{
    struct ostler_address *address;
    struct ostler_socket *s = make_bound(STREAM_KINDS + _i, &address), *client = make_socket(socket_kinds[STREAM_KINDS + _i].family, SOCK_DGRAM);
    char buffer[8];

    ck_assert_int_eq(ostler_socket_connect(client, address), 0);
    ck_assert_int_eq(ostler_socket_send(client, TEXT("one"), 0), 3);
    ck_assert_int_eq(ostler_socket_sendall(client, TEXT("two"), 0), 0);
    ck_assert_int_eq(ostler_socket_recv(s, buffer, sizeof(buffer), 0), 3);
    ck_assert_int_eq(ostler_socket_recv(s, buffer, sizeof(buffer), 0), 3);
    ck_assert_mem_eq(buffer, "two", 3);
    ostler_socket_free(client);
    ostler_socket_free(s);
    ostler_address_free(address);
}
END_TEST

/* ---- Bytes ---- */

START_TEST(recv_gives_what_is_there_and_0_at_the_end)
{
    struct pair p = make_connected(_i);
    char buffer[16];

    ck_assert_int_eq(ostler_socket_send(p.a, TEXT("abc"), 0), 3);
    ck_assert_int_eq(ostler_socket_recv(p.b, buffer, 0, 0), 0);
    ck_assert_int_eq(ostler_socket_recv(p.b, buffer, 2, MSG_PEEK), 2);
    ck_assert_int_eq(ostler_socket_recv(p.b, buffer, sizeof(buffer), MSG_PEEK | MSG_WAITALL), 3);
    ck_assert_int_eq(ostler_socket_recv(p.b, buffer, sizeof(buffer), 0), 3);
    ck_assert_mem_eq(buffer, "abc", 3);
    ck_assert_int_eq(ostler_socket_recv(p.b, buffer, sizeof(buffer), MSG_DONTWAIT), -EAGAIN);
    ck_assert_int_eq(ostler_socket_settimeout(p.b, 0.05), 0);
    ck_assert_int_eq(ostler_socket_send(p.a, TEXT("de"), 0), 2);
    ck_assert_int_eq(ostler_socket_recv(p.b, buffer, 3, MSG_WAITALL), 2);
    ck_assert_mem_eq(buffer, "de", 2);
    ck_assert_int_eq(ostler_socket_recv(p.b, buffer, 3, MSG_WAITALL), -ETIMEDOUT);
    ck_assert_int_eq(ostler_socket_settimeout(p.b, OSTLER_NEVER), 0);
    ck_assert_int_eq(ostler_socket_send(p.a, TEXT("de"), 0), 2);
    ck_assert_int_eq(ostler_socket_shutdown(p.a, SHUT_WR), 0);
    ck_assert_int_eq(ostler_socket_recv(p.b, buffer, 3, MSG_WAITALL), 2);
    ck_assert_int_eq(ostler_socket_recv(p.b, buffer, sizeof(buffer), 0), 0);
    ck_assert_int_eq(ostler_socket_recv(p.b, buffer, SIZE_MAX, 0), -EINVAL);
    ck_assert_int_eq(ostler_socket_recv(p.b, NULL, 1, 0), -EINVAL);
    ck_assert_int_eq(ostler_socket_send(p.b, NULL, 1, 0), -EINVAL);
    ck_assert_int_eq(ostler_socket_shutdown(p.a, 77), -EINVAL);
    free_pair(p);
}
END_TEST

START_TEST(recvfrom_on_a_connection_names_no_sender)
{
    struct pair p = make_connected(_i);
    struct ostler_address *from = parse_address("tcp:127.0.0.1:9");
    char buffer[8];

    ck_assert_int_eq(ostler_socket_sendall(p.a, TEXT("abcd"), 0), 0);
    ck_assert_int_eq(ostler_socket_recvfrom(p.b, buffer, 2, 0, from), 2);
    ck_assert_str_eq(text_of(from), "unix:(unnamed)");
    ck_assert_int_eq(ostler_socket_recvfrom(p.b, buffer, 2, MSG_WAITALL, NULL), 2);
    ck_assert_mem_eq(buffer, "cd", 2);
    ostler_address_free(from);
    free_pair(p);
}
END_TEST

enum { HUGE = 4 << 20 };

static void *receive_all(void *arg)
{
    static char buffer[65536];
    size_t sum = 0;
    ssize_t n;

    while ((n = ostler_socket_recv(arg, buffer, sizeof(buffer), 0)) > 0)
        sum += (size_t)n;
    return n < 0 ? NULL : (void *)sum;
}

START_TEST(sendall_sends_everything)
{
    struct pair p = make_connected(_i);
    char *data = calloc(1, HUGE);
    pthread_t thread;
    void *sum;

    ck_assert_int_eq(pthread_create(&thread, NULL, receive_all, p.b), 0);
    ck_assert_int_eq(ostler_socket_sendall(p.a, data, HUGE, 0), 0);
    ck_assert_int_eq(ostler_socket_settimeout(p.a, OSTLER_NEVER), 0);
    ck_assert_int_eq(ostler_socket_sendall(p.a, data, HUGE, 0), 0);
    ck_assert_int_eq(ostler_socket_shutdown(p.a, SHUT_WR), 0);
    pthread_join(thread, &sum);
    ck_assert_uint_eq((size_t)sum, 2 * (size_t)HUGE);
    free(data);
    free_pair(p);
}
END_TEST

START_TEST(nobody_gets_a_sigpipe)
{
    struct pair p = make_pair(SOCK_STREAM);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    ostler_socket_free(p.b);
    p.b = NULL;
    ck_assert_int_eq(ostler_socket_send(p.a, "x", 1, 0), -EPIPE);
    ck_assert_int_eq(ostler_socket_sendall(p.a, "x", 1, 0), -EPIPE);
    ck_assert_int_eq(ostler_socket_sendmsg(p.a, &(struct msghdr){ .msg_flags = 0 }, 0), -EPIPE);
    ck_assert_int_eq(ostler_socket_sendfile(p.a, file, 0, 0), -EPIPE);
    close(file);
    free_pair(p);
}
END_TEST

START_TEST(recvfrom_and_sendto_carry_datagrams_with_their_senders_address)
{
    int kind = STREAM_KINDS + _i;
    struct ostler_address *address, *from = blank_address();
    struct ostler_socket *s = make_bound(kind, &address), *client = make_socket(socket_kinds[kind].family, SOCK_DGRAM);
    char buffer[8];

    ck_assert_int_eq(ostler_socket_sendto(client, TEXT("hello, world"), 0, address), 12);
    ck_assert_int_eq(ostler_socket_sendto(client, NULL, 0, 0, address), 0);
    ck_assert_int_eq(ostler_socket_sendto(client, TEXT("end"), 0, address), 3);
    ck_assert_int_eq(ostler_socket_sendto(client, "x", 1, 0, NULL), -EINVAL);
    ck_assert_int_eq(ostler_socket_recv(s, buffer, 0, 0), 0);                        /* takes none */
    ck_assert_int_eq(ostler_socket_recv(s, buffer, 5, MSG_PEEK | MSG_TRUNC), 12);
    ck_assert_int_eq(ostler_socket_recvfrom(s, buffer, 5, MSG_WAITALL, from), 5); /* the rest is lost */
    ck_assert_mem_eq(buffer, "hello", 5);
    if (socket_kinds[kind].family == AF_UNIX)
        ck_assert_str_eq(text_of(from), "unixgram:(unnamed)");
    else
        ck_assert_int_eq(ostler_socket_sendto(s, TEXT("back"), 0, from), 4);
    ck_assert_int_eq(ostler_socket_recv(s, buffer, sizeof(buffer), 0), 0);
    ck_assert_int_eq(ostler_socket_recvfrom(s, buffer, sizeof(buffer), 0, NULL), 3);
    ck_assert_int_eq(ostler_socket_recvfrom(s, buffer, sizeof(buffer), MSG_DONTWAIT, from), -EAGAIN);
    if (socket_kinds[kind].family != AF_UNIX) {
        ck_assert_int_eq(ostler_socket_recvfrom(client, buffer, sizeof(buffer), 0, from), 4);
        ck_assert_int_eq(ostler_address_port(from), ostler_address_port(address));
    }
    ostler_socket_free(client);
    ostler_socket_free(s);
    ostler_address_free(address);
    ostler_address_free(from);
}
END_TEST

static void add_makers(Suite *suite)
{
    TCase *tc = harness_case(suite, "makers");

    tcase_add_loop_test(tc, a_socket_knows_its_family_type_and_protocol_and_is_close_on_exec, 0, SOCKET_KINDS);
    tcase_add_test(tc, a_socket_of_another_family_or_type_is_refused);
    tcase_add_loop_test(tc, from_fd_takes_over_a_socket_with_its_blocking_mode, 0, 2);
    tcase_add_test(tc, dup_is_a_second_object_with_a_time_out_of_its_own);
    tcase_add_loop_test(tc, bind_takes_the_address_of_each_kind, 0, SOCKET_KINDS);
    tcase_add_test(tc, an_interface_that_is_missing_is_told);
    tcase_add_test(tc, bind_takes_a_path);
    tcase_add_loop_test(tc, an_address_of_another_family_or_kind_is_refused, 0, SOCKET_KINDS);
    tcase_add_loop_test(tc, a_wildcard_is_that_of_the_sockets_family, 0, 2);
    tcase_add_loop_test(tc, an_address_goes_to_the_kernels_form_and_back, 0, SOCKET_KINDS);
    tcase_add_test(tc, an_over_long_path_is_refused);
}

static void add_peers(Suite *suite)
{
    TCase *tc = harness_case(suite, "peers");

    tcase_add_loop_test(tc, listen_takes_a_backlog_of_0_and_no_negative_one, 0, STREAM_KINDS);
    tcase_add_loop_test(tc, accept_gives_a_new_socket_and_its_peer, 0, STREAM_KINDS);
    tcase_add_loop_test(tc, connect_without_a_time_out_waits_in_the_call, 0, STREAM_KINDS);
    tcase_add_loop_test(tc, connect_of_a_datagram_socket_sets_the_peer, 0, SOCKET_KINDS - STREAM_KINDS);
    tcase_add_loop_test(tc, recv_gives_what_is_there_and_0_at_the_end, 0, STREAM_KINDS);
    tcase_add_loop_test(tc, recvfrom_on_a_connection_names_no_sender, 0, STREAM_KINDS - 1);
    tcase_add_loop_test(tc, sendall_sends_everything, 0, STREAM_KINDS);
    tcase_add_test(tc, nobody_gets_a_sigpipe);
    tcase_add_loop_test(tc, recvfrom_and_sendto_carry_datagrams_with_their_senders_address, 0, SOCKET_KINDS - STREAM_KINDS);
}

int main(void)
{
    Suite *suite = suite_create("socket");

    add_makers(suite);
    add_peers(suite);
    return harness_main(suite);
}
