/* The socket object: how it ends, what it says once it is closed, options and the time-out. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "support/sockets.h"

/* ---- Ends ---- */

START_TEST(socketpair_is_two_connected_sockets)
{
    struct pair p = make_pair(_i ? SOCK_DGRAM : SOCK_STREAM);

    ck_assert(is_close_on_exec(ostler_socket_fileno(p.a)) && is_close_on_exec(ostler_socket_fileno(p.b)));
    ck_assert_int_eq(ostler_socket_type(p.b), _i ? SOCK_DGRAM : SOCK_STREAM);
    ck_assert_int_eq(ostler_socket_send(p.a, TEXT("there"), 0), 5);
    ck_assert_int_eq(ostler_socket_send(p.b, TEXT("back"), 0), 4);
    ck_assert(receives(p.b, "there") && receives(p.a, "back"));
    free_pair(p);
}
END_TEST

START_TEST(shutdown_tells_the_peer_of_the_end)
{
    struct pair p = make_connected(_i);

    ck_assert_int_eq(ostler_socket_shutdown(p.a, SHUT_WR), 0);
    ck_assert_int_eq(ostler_socket_recv(p.b, &(char){ 0 }, 1, 0), 0);
    ck_assert_int_eq(ostler_socket_send(p.a, "x", 1, 0), -EPIPE);
    ck_assert_int_eq(ostler_socket_send(p.b, "x", 1, 0), 1);
    ck_assert(receives(p.a, "x"));
    free_pair(p);
}
END_TEST

START_TEST(detach_gives_the_descriptor_away)
{
    struct pair p = make_pair(SOCK_STREAM);
    int fd = ostler_socket_fileno(p.a);

    ck_assert_int_eq(ostler_socket_setblocking(p.a, _i), 0);
    ck_assert_int_eq(ostler_socket_detach(p.a), fd);
    ck_assert_int_eq(!(fcntl(fd, F_GETFL) & O_NONBLOCK), _i);
    ck_assert_int_eq(ostler_socket_detach(p.a), -EBADF);
    ck_assert_int_eq(ostler_socket_close(p.a), 0);
    ck_assert(is_open(fd));
    close(fd);
    free_pair(p);
}
END_TEST

/* All that a socket can be told, but to close. */
static void refuses_everything(struct ostler_socket *s, int error)
{
    struct ostler_address *address = parse_address("unix:@ostler-nobody");
    struct ostler_socket *out = NULL;
    struct msghdr message = { .msg_flags = 0 };
    FILE *file = NULL;
    char buffer[4] = "old";
    int number = 7, fds[1] = { 7 };
    size_t size = sizeof(number), count = 1;

    ck_assert_int_eq(ostler_socket_dup(&out, s), error);
    ck_assert_int_eq(ostler_socket_detach(s), error);
    ck_assert_int_eq(ostler_socket_shutdown(s, SHUT_RD), error);
    ck_assert_int_eq(ostler_socket_fileno(s), error);
    ck_assert_int_eq(ostler_socket_family(s), error);
    ck_assert_int_eq(ostler_socket_type(s), error);
    ck_assert_int_eq(ostler_socket_proto(s), error);
    ck_assert_int_eq(ostler_socket_bind(s, address), error);
    ck_assert_int_eq(ostler_socket_listen(s, 1), error);
    ck_assert_int_eq(ostler_socket_accept(s, &out, address), error);
    ck_assert_int_eq(ostler_socket_connect(s, address), error);
    ck_assert_int_eq(ostler_socket_connect_ex(s, address), -error);
    ck_assert_int_eq(ostler_socket_recv(s, buffer, 4, 0), error);
    ck_assert_int_eq(ostler_socket_recv(s, buffer, 0, 0), error);
    ck_assert_int_eq(ostler_socket_recvfrom(s, buffer, 4, 0, address), error);
    ck_assert_int_eq(ostler_socket_send(s, buffer, 4, 0), error);
    ck_assert_int_eq(ostler_socket_sendall(s, buffer, 0, 0), error);
    ck_assert_int_eq(ostler_socket_sendto(s, buffer, 4, 0, address), error);
    ck_assert_int_eq(ostler_socket_recvmsg(s, &message, 0), error);
    ck_assert_int_eq(ostler_socket_sendmsg(s, &message, 0), error);
    ck_assert_int_eq(ostler_socket_sendfile(s, 0, 0, 1), error);
    ck_assert_int_eq(ostler_socket_send_fds(s, buffer, 4, fds, 1), error);
    ck_assert_int_eq(ostler_socket_recv_fds(s, buffer, 4, fds, &count), error);
    ck_assert_int_eq(ostler_socket_getpeername(s, address), error);
    ck_assert_int_eq(ostler_socket_getsockname(s, address), error);
    ck_assert_int_eq(ostler_socket_setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, 1), error);
    ck_assert_int_eq(ostler_socket_getsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &number), error);
    ck_assert_int_eq(ostler_socket_setsockopt_buffer(s, SOL_SOCKET, SO_KEEPALIVE, &number, size), error);
    ck_assert_int_eq(ostler_socket_getsockopt_buffer(s, SOL_SOCKET, SO_KEEPALIVE, &number, &size), error);
    ck_assert_int_eq(ostler_socket_settimeout(s, 1), error);
    ck_assert_int_eq(ostler_socket_setblocking(s, true), error);
    ck_assert_int_eq(ostler_socket_makefile(s, &file, "r"), error);
    ck_assert(!out && !file && number == 7 && fds[0] == 7 && size == sizeof(number) && count == 1);
    ck_assert_str_eq(buffer, "old");
    ck_assert_str_eq(text_of(address), "unix:@ostler-nobody");
    ostler_address_free(address);
}

START_TEST(a_closed_socket_is_EBADF_everywhere_and_can_be_closed_again)
{
    struct ostler_socket *s = make_socket(AF_UNIX, SOCK_STREAM);
    int fd = ostler_socket_fileno(s);

    ck_assert_int_eq(ostler_socket_close(s), 0);
    ck_assert(!is_open(fd));
    refuses_everything(s, -EBADF);
    ck_assert_int_eq(ostler_socket_close(s), 0);
    ostler_socket_free(s);
}
END_TEST

START_TEST(NULL_is_EINVAL_everywhere)
{
    refuses_everything(NULL, -EINVAL);
    ck_assert_int_eq(ostler_socket_close(NULL), -EINVAL);
    ck_assert_double_eq(ostler_socket_gettimeout(NULL), OSTLER_NEVER);
    ck_assert(!ostler_socket_getblocking(NULL));
    ck_assert_int_eq(ostler_address_new(NULL), -EINVAL);
    ostler_socket_free(NULL);
}
END_TEST

START_TEST(a_NULL_output_is_EINVAL)
{
    struct pair p = make_pair(SOCK_STREAM);

    ck_assert_int_eq(ostler_socket_from_fd(NULL, 0), -EINVAL);
    ck_assert_int_eq(ostler_socket_dup(NULL, p.a), -EINVAL);
    ck_assert_int_eq(ostler_socket_accept(p.a, NULL, NULL), -EINVAL);
    ck_assert_int_eq(ostler_socket_recvmsg(p.a, NULL, 0), -EINVAL);
    ck_assert_int_eq(ostler_socket_sendmsg(p.a, NULL, 0), -EINVAL);
    ck_assert_int_eq(ostler_socket_getpeername(p.a, NULL), -EINVAL);
    ck_assert_int_eq(ostler_socket_getsockname(p.a, NULL), -EINVAL);
    ck_assert_int_eq(ostler_socket_getsockopt(p.a, SOL_SOCKET, SO_TYPE, NULL), -EINVAL);
    ck_assert_int_eq(ostler_socket_getsockopt_buffer(p.a, SOL_SOCKET, SO_TYPE, NULL, NULL), -EINVAL);
    ck_assert_int_eq(ostler_socket_setsockopt_buffer(p.a, SOL_SOCKET, SO_KEEPALIVE, NULL, 4), -EINVAL);
    ck_assert_int_eq(ostler_socket_makefile(p.a, NULL, "r"), -EINVAL);
    free_pair(p);
}
END_TEST

/* ---- Options and the time-out ---- */

START_TEST(options_are_set_and_read_as_integers_and_as_buffers)
{
    struct ostler_socket *s = make_socket(AF_INET, SOCK_STREAM);
    struct linger linger = { .l_onoff = 1, .l_linger = 7 }, back = { 0 };
    size_t size = sizeof(back);
    int value = 0;

    ck_assert_int_eq(ostler_socket_setsockopt(s, SOL_SOCKET, SO_REUSEADDR, 1), 0);
    ck_assert_int_eq(ostler_socket_getsockopt(s, SOL_SOCKET, SO_REUSEADDR, &value), 0);
    ck_assert_int_eq(value, 1);
    ck_assert_int_eq(ostler_socket_setsockopt_buffer(s, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    ck_assert_int_eq(ostler_socket_getsockopt_buffer(s, SOL_SOCKET, SO_LINGER, &back, &size), 0);
    ck_assert_uint_eq(size, sizeof(back));
    ck_assert_int_eq(back.l_linger, 7);
    size = 1;
    ck_assert_int_eq(ostler_socket_getsockopt_buffer(s, SOL_SOCKET, SO_LINGER, &back, &size), 0);
    ck_assert_uint_eq(size, 1);
    ck_assert_int_eq(ostler_socket_setsockopt(s, SOL_SOCKET, 77777, 1), -ENOPROTOOPT);
    ck_assert_int_eq(ostler_socket_getsockopt(s, SOL_SOCKET, 77777, &value), -ENOPROTOOPT);
    ck_assert_int_eq(value, 1);
    ostler_socket_free(s);
}
END_TEST

START_TEST(settimeout_takes_none_0_and_fractions_of_a_second)
{
    struct ostler_socket *s = NULL;

    ck_assert_int_eq(ostler_socket_new(&s, AF_INET, SOCK_DGRAM, 0), 0);
    ck_assert_double_eq(ostler_socket_gettimeout(s), OSTLER_NEVER);
    ck_assert(ostler_socket_getblocking(s));
    ck_assert_int_eq(ostler_socket_settimeout(s, 0.25), 0);
    ck_assert_double_eq(ostler_socket_gettimeout(s), 0.25);
    ck_assert_int_eq(ostler_socket_settimeout(s, 0.0001), 0); /* not 0 */
    ck_assert_double_eq(ostler_socket_gettimeout(s), 0.001);
    ck_assert(ostler_socket_getblocking(s));
    ck_assert_int_eq(ostler_socket_settimeout(s, 0), 0);
    ck_assert(!ostler_socket_getblocking(s));
    ck_assert(fcntl(ostler_socket_fileno(s), F_GETFL) & O_NONBLOCK);
    ck_assert_int_eq(ostler_socket_settimeout(s, -2), -EINVAL);
    ck_assert_int_eq(ostler_socket_settimeout(s, 0.0 / 0.0), -EINVAL);
    ck_assert_int_eq(ostler_socket_settimeout(s, 1e300), -EINVAL);
    ck_assert_double_eq(ostler_socket_gettimeout(s), 0);
    ck_assert_int_eq(ostler_socket_setblocking(s, true), 0);
    ck_assert_double_eq(ostler_socket_gettimeout(s), OSTLER_NEVER);
    ck_assert(!(fcntl(ostler_socket_fileno(s), F_GETFL) & O_NONBLOCK));
    ck_assert_int_eq(ostler_socket_setblocking(s, false), 0);
    ck_assert_double_eq(ostler_socket_gettimeout(s), 0);
    ostler_socket_free(s);
}
END_TEST

START_TEST(with_a_time_out_of_0_nothing_waits)
{
    struct ostler_address *address;
    struct ostler_socket *listener = make_listener(0, &address), *client = make_socket(AF_INET, SOCK_STREAM), *out = NULL;
    int first, again;

    ck_assert_int_eq(ostler_socket_settimeout(listener, 0), 0);
    ck_assert_int_eq(ostler_socket_settimeout(client, 0), 0);
    ck_assert_int_eq(ostler_socket_accept(listener, &out, NULL), -EAGAIN);
    first = ostler_socket_connect(client, address);
    ck_assert_int_eq(first, -EINPROGRESS);
    again = ostler_socket_connect(client, address);
    ck_assert(again == -EALREADY || again == -EISCONN || again == 0); /* the handshake may be over */
    ck_assert_int_eq(ostler_socket_settimeout(listener, (double)harness_deadline_ms() / 1000), 0);
    ck_assert_int_eq(ostler_socket_accept(listener, &out, NULL), 0);
    ck_assert_int_eq(ostler_socket_recv(client, &(char){ 0 }, 1, 0), -EAGAIN);
    ck_assert_int_eq(ostler_socket_recvfrom(client, &(char){ 0 }, 1, 0, NULL), -EAGAIN);
    ck_assert_ptr_nonnull(out);
    ostler_socket_free(out);
    ostler_socket_free(client);
    ostler_socket_free(listener);
    ostler_address_free(address);
}
END_TEST

static void limit_in_kernel(struct ostler_socket *s, int name)
{
    const struct timeval limit = { .tv_usec = 30000 };

    ck_assert_int_eq(ostler_socket_setsockopt_buffer(s, SOL_SOCKET, name, &limit, sizeof(limit)), 0);
    ck_assert_int_eq(ostler_socket_settimeout(s, OSTLER_NEVER), 0);
}

START_TEST(without_a_time_out_the_kernels_own_ones_hold)
{
    struct pair p = make_pair(_i ? SOCK_DGRAM : SOCK_STREAM);
    struct ostler_socket *listener = make_listener(_i, NULL), *out = NULL;
    static char data[1 << 20];

    limit_in_kernel(p.a, SO_RCVTIMEO);
    limit_in_kernel(p.a, SO_SNDTIMEO);
    limit_in_kernel(listener, SO_RCVTIMEO);
    ck_assert_int_eq(ostler_socket_recv(p.a, data, 1, 0), -EAGAIN);
    ck_assert_int_eq(ostler_socket_recvfrom(p.a, data, 1, 0, NULL), -EAGAIN);
    ck_assert_int_eq(ostler_socket_accept(listener, &out, NULL), -EAGAIN);
    ck_assert_ptr_null(out);
    if (_i == 0)
        ck_assert_int_eq(ostler_socket_sendall(p.a, data, sizeof(data), 0), -EAGAIN);
    ostler_socket_free(listener);
    free_pair(p);
}
END_TEST

START_TEST(the_error_queue_is_never_waited_for)
{
    struct pair p = make_pair(_i ? SOCK_DGRAM : SOCK_STREAM);
    char byte;

    ck_assert_int_eq(ostler_socket_settimeout(p.a, OSTLER_NEVER), 0);
    ck_assert_int_eq(ostler_socket_recv(p.a, &byte, 1, MSG_ERRQUEUE), -EAGAIN);
    free_pair(p);
}
END_TEST

static void add_ends(Suite *suite)
{
    TCase *tc = harness_case(suite, "ends and options");

    tcase_add_loop_test(tc, socketpair_is_two_connected_sockets, 0, 2);
    tcase_add_loop_test(tc, shutdown_tells_the_peer_of_the_end, 0, STREAM_KINDS);
    tcase_add_loop_test(tc, detach_gives_the_descriptor_away, 0, 2);
    tcase_add_test(tc, a_closed_socket_is_EBADF_everywhere_and_can_be_closed_again);
    tcase_add_test(tc, NULL_is_EINVAL_everywhere);
    tcase_add_test(tc, a_NULL_output_is_EINVAL);
    tcase_add_test(tc, options_are_set_and_read_as_integers_and_as_buffers);
    tcase_add_test(tc, settimeout_takes_none_0_and_fractions_of_a_second);
    tcase_add_test(tc, with_a_time_out_of_0_nothing_waits);
    tcase_add_loop_test(tc, without_a_time_out_the_kernels_own_ones_hold, 0, 2);
    tcase_add_loop_test(tc, the_error_queue_is_never_waited_for, 0, 2);
}

int main(void)
{
    Suite *suite = suite_create("socket ends");

    add_ends(suite);
    return harness_main(suite);
}
