/* The socket object when the system fails it: each system call and each allocation on each path
 * fails once, in turn. The error is handed on, no output is written, no descriptor is left. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/faults.h"
#include "support/sockets.h"

/* ---- More of the system ---- */

WRAP(int, socketpair, (int a, int b, int c, int d[2]), (a, b, c, d), ENFILE, -1)
WRAP(int, accept4, (int a, struct sockaddr *b, socklen_t *c, int d), (a, b, c, d), ECONNABORTED, -1)
WRAP(int, shutdown, (int a, int b), (a, b), ENOTCONN, -1)
WRAP(int, getpeername, (int a, struct sockaddr *b, socklen_t *c), (a, b, c), ENOBUFS, -1)
WRAP(ssize_t, recvmsg, (int a, struct msghdr *b, int c), (a, b, c), ENOBUFS, -1)
WRAP(ssize_t, sendfile, (int a, int b, off_t *c, size_t d), (a, b, c, d), EIO, -1)
WRAP(int, fstat, (int a, struct stat *b), (a, b), EOVERFLOW, -1)
WRAP(int, poll, (struct pollfd * a, nfds_t b, int c), (a, b, c), ENOMEM, -1)
WRAP(FILE *, fopencookie, (void *a, const char *b, cookie_io_functions_t c), (a, b, c), ENOMEM, NULL)

/* ---- Paths ---- */

static struct pair pair;
static struct ostler_socket *socket_, *listener;
static struct ostler_address *address, *name;
static int content;

static struct ostler_socket *made; /* what a path has for an output: it must not change on failure */
static FILE *file;

static int path_new(void)
{
    return ostler_socket_new(&made, AF_INET, SOCK_STREAM, 0);
}

static int path_from_fd(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), error;

    dup2(ostler_socket_fileno(pair.a), fd);
    error = ostler_socket_from_fd(&made, fd);
    if (error < 0)
        close(fd); /* still the caller's */
    return error;
}

static int path_dup(void)
{
    return ostler_socket_dup(&made, pair.a);
}

static int path_pair(void)
{
    struct ostler_socket *other = NULL;
    int error = ostler_socketpair(&made, &other, SOCK_STREAM);

    if (error < 0 && other)
        return -EDOTDOT;
    ostler_socket_free(other);
    return error;
}

static int path_bind(void)
{
    return ostler_socket_bind(socket_, name);
}

static int path_listen(void)
{
    return ostler_socket_listen(listener, 7);
}

static int path_accept(void)
{
    return ostler_socket_accept(listener, &made, NULL);
}

static int path_connect(void)
{
    return ostler_socket_connect(socket_, address);
}

static int path_connect_untimed(void)
{
    int error = ostler_socket_setblocking(socket_, true);

    return error < 0 ? error : ostler_socket_connect(socket_, address);
}

static int path_names(void)
{
    int error = ostler_socket_getsockname(pair.a, name);

    return error < 0 ? error : ostler_socket_getpeername(pair.a, name);
}

static int path_options(void)
{
    int value = 0, error = ostler_socket_setsockopt(pair.a, SOL_SOCKET, SO_KEEPALIVE, 1);

    if (error == 0)
        error = ostler_socket_getsockopt(pair.a, SOL_SOCKET, SO_KEEPALIVE, &value);
    if (error == 0)
        error = ostler_socket_proto(pair.a);
    return error < 0 ? error : ostler_socket_setblocking(pair.a, false);
}

static int path_bytes(void)
{
    char buffer[4];
    ssize_t n = ostler_socket_sendall(pair.a, "abc", 3, 0);

    n = n < 0 ? n : ostler_socket_recv(pair.b, buffer, 3, MSG_WAITALL);
    n = n < 0 ? n : ostler_socket_shutdown(pair.a, SHUT_WR);
    return n < 0 ? (int)n : 0;
}

/* Waits in vain, which is no failure of the system. */
static int path_wait(void)
{
    ssize_t n = ostler_socket_recv(pair.a, &(char){ 0 }, 1, 0);

    return n == -ETIMEDOUT ? 0 : (int)n;
}

static int path_descriptors(void)
{
    int fds[2] = { content, content };
    size_t count = 2;
    char byte;
    ssize_t n = ostler_socket_send_fds(pair.a, "x", 1, fds, 2);

    n = n < 0 ? n : ostler_socket_recv_fds(pair.b, &byte, 1, fds, &count);
    if (n < 0)
        return (int)n;
    close(fds[0]);
    close(fds[1]);
    return 0;
}

static int path_sendfile(void)
{
    off_t n = ostler_socket_sendfile(pair.a, content, 0, 0);

    return n < 0 ? (int)n : 0;
}

static int path_makefile(void)
{
    return ostler_socket_makefile(pair.a, &file, "rw");
}

static int path_detach(void)
{
    int fd = ostler_socket_detach(pair.a);

    if (fd < 0)
        return ostler_socket_fileno(pair.a) >= 0 ? fd : -EDOTDOT;
    close(fd);
    return 0;
}

static int path_address(void)
{
    struct ostler_address *out = NULL;
    int error = ostler_address_new(&out);

    if (error < 0 && out)
        return -EDOTDOT;
    ostler_address_free(out);
    return error;
}

static int (*const paths[])(void) = {
    path_new,    path_from_fd, path_dup,     path_pair,     path_bind, path_listen,      path_accept,   path_connect,
    path_names,  path_options, path_bytes,   path_wait,     path_connect_untimed,        path_descriptors,
    path_sendfile, path_makefile, path_detach, path_address,
};

enum { PATHS = sizeof(paths) / sizeof(paths[0]) };

/* ---- Each failure in turn ---- */

static void make_all(void)
{
    pair = make_pair(SOCK_STREAM);
    listener = make_listener(0, &address);
    socket_ = make_socket(AF_INET, SOCK_STREAM);
    name = parse_address("tcp:127.0.0.1:0");
    content = memfd_create("content", MFD_CLOEXEC);
    ck_assert_int_eq(write(content, "content", 7), 7);
    ck_assert_int_eq(ostler_socket_settimeout(pair.a, 0.001), 0);
}

static void free_all(void)
{
    free_pair(pair);
    ostler_socket_free(listener);
    ostler_socket_free(socket_);
    ostler_socket_free(made);
    made = NULL;
    if (file)
        fclose(file);
    file = NULL;
    ostler_address_free(address);
    ostler_address_free(name);
    close(content);
}

/* The k-th call fails; false: there was none. */
static bool fail_once(int (*path)(void), int k)
{
    struct ostler_socket *client = NULL;
    char text[OSTLER_ADDRESS_TEXT];
    size_t before;
    int result;

    make_all();
    if (path == path_accept) {
        client = make_socket(AF_INET, SOCK_STREAM);
        ck_assert_int_eq(ostler_socket_connect(client, address), 0);
    }
    snprintf(text, sizeof(text), "%s", text_of(name));
    before = harness_descriptors();
    failed = 0;
    left = k;
    result = path();
    left = 0;
    ck_assert_msg(result == -failed, "call %d: %s, but the path says %s", k, strerror(failed), strerror(-result));
    if (failed) {
        ck_assert(!made && !file);
        ck_assert(path == path_names || strcmp(text_of(name), text) == 0);
        ck_assert_uint_eq(harness_descriptors(), before);
    }
    ostler_socket_free(client);
    free_all();
    return failed != 0;
}

START_TEST(each_call_on_a_path_that_fails_is_told_and_leaves_nothing)
{
    int k = 1;

    while (fail_once(paths[_i], k))
        k++;
    ck_assert_int_gt(k, 1); /* something was there to fail */
}
END_TEST

/* ---- The same on a reactor, where a wait makes a watch ---- */

/* "over": a timer that could not be set was seen to at the next turn. */
static const char *outcome(int result)
{
    if (failed && result == -failed)
        return "told";
    if (result == -ETIMEDOUT)
        return failed ? "over" : "none";
    return "wrong";
}

static int on_handle(struct ostler_stream *s)
{
    struct pair p = { NULL, NULL };
    char line[8];
    ssize_t n = ostler_stream_read_line(s, line, sizeof(line));
    int error = ostler_socketpair(&p.a, &p.b, SOCK_STREAM);

    if (n <= 0 || error < 0)
        return error;
    ostler_socket_settimeout(p.a, 0.001);
    failed = 0;
    left = atoi(line);
    n = ostler_socket_recv(p.a, &(char){ 0 }, 1, 0);
    left = 0;
    ostler_socket_free(p.a);
    ostler_socket_free(p.b);
    return ostler_stream_printf(s, "%s\n", outcome((int)n));
}

static const struct ostler_stream_handler handler = { .handle = on_handle };

START_TEST(a_wait_on_the_reactor_that_fails_is_told_and_leaves_nothing)
{
    struct harness_server h;
    int told = 0;

    harness_start(&h, &(struct ostler_server_options){ .address = harness_address(), .stream = &handler,
                                                       .mixin = _i ? &ostler_fibers : NULL });
    for (int k = 1;; k++) {
        int client = harness_connect(h.server);
        char text[16] = "";

        snprintf(text, sizeof(text), "%d\n", k);
        ck_assert(harness_say(client, text));
        memset(text, 0, sizeof(text));
        ck_assert_int_eq(harness_receive(client, text, 5), 5);
        close(client);
        if (strncmp(text, "none\n", 5) == 0)
            break;
        ck_assert_msg(strcmp(text, "told\n") == 0 || strcmp(text, "over\n") == 0, "call %d: %s", k, text);
        told += text[0] == 't';
    }
    ck_assert_int_ge(told, 3); /* recv, the station, and that its event is added */
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("socket faults");
    TCase *tc = harness_case(suite, "faults");

    tcase_add_loop_test(tc, each_call_on_a_path_that_fails_is_told_and_leaves_nothing, 0, PATHS);
    tcase_add_loop_test(tc, a_wait_on_the_reactor_that_fails_is_told_and_leaves_nothing, 0, 2);
    return harness_main(suite);
}
