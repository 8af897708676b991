/* Datagrams: both faces, over each kind of address. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/harness.h"

/* ---- Handlers ---- */

static int echo_handle(struct ostler_stream *s)
{
    char buf[4096];
    ssize_t n;

    while ((n = ostler_stream_read(s, buf, sizeof(buf))) > 0) {
        int r = ostler_stream_write(s, buf, (size_t)n);

        if (r < 0)
            return r;
    }
    return (int)n;
}

static int echo_on_datagram(struct ostler_datagram *d)
{
    return ostler_datagram_reply(d, ostler_datagram_data(d), ostler_datagram_length(d));
}

static const struct ostler_stream_handler echo = { .handle = echo_handle };
static const struct ostler_datagram_handler echo_datagram = { .on_datagram = echo_on_datagram };

/* ---- Where it runs, and on what ---- */

static const struct {
    const char *name;
    const struct ostler_mixin *mixin;
    bool evented;
} ways[] = {
    { "evented", NULL, true },
    { "inline", NULL, false },
    { "threading", &ostler_threading, false },
    { "fibers", &ostler_fibers, false },
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static const char *const kinds[] = { "udp:127.0.0.1:0", "udp:[::1]:0", "udp:[::]:0", "udp:*:0",
                                     "unixgram:./test_datagram.sock", "unixgram:@ostler-test-datagram" };

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static struct ostler_server_options options_for(int way, const struct ostler_stream_handler *stream,
                                                const struct ostler_datagram_handler *datagram)
{
    struct ostler_server_options o = { .address = "udp:127.0.0.1:0", .mixin = ways[way].mixin };

    if (ways[way].evented)
        o.datagram = datagram;
    else
        o.stream = stream;
    return o;
}

/* ---- Clients ---- */

/* The index-th address of server, in the kernel's form. */
static socklen_t address_of(const struct ostler_server *server, size_t index, struct sockaddr_storage *out)
{
    char text[OSTLER_ADDRESS_TEXT];
    struct sockaddr_un *un = (struct sockaddr_un *)out;
    socklen_t length = sizeof(*out);

    ck_assert_int_gt(ostler_address_text(ostler_server_address(server, index), text, sizeof(text)), 0);
    memset(out, 0, sizeof(*out));
    if (strncmp(text, "unixgram:", 9) != 0) {
        ck_assert_int_eq(getsockname(ostler_server_fd(server, index), (struct sockaddr *)out, &length), 0);
        return length;
    }
    un->sun_family = AF_UNIX;
    strcpy(un->sun_path, text + 9);
    length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(text + 9) + 1);
    if (un->sun_path[0] == '@') {
        un->sun_path[0] = '\0';
        length--;
    }
    return length;
}

/* A client of its own address (autobind, for a Unix one), which waits a while at most. */
static int client_for(int family)
{
    struct timeval while_ = { .tv_sec = harness_deadline_ms() / 1000 };
    struct sockaddr_un nobody = { .sun_family = AF_UNIX };
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &while_, sizeof(while_));
    if (family == AF_UNIX)
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&nobody, sizeof(sa_family_t)), 0);
    return fd;
}

/* A client that is connected to the index-th address: it takes nothing from elsewhere. */
static int connected(const struct ostler_server *server, size_t index)
{
    struct sockaddr_storage to;
    socklen_t length = address_of(server, index, &to);
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&to;
    int fd = client_for(to.ss_family);

    if (to.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr))
        in6->sin6_addr = in6addr_loopback;
    if (to.ss_family == AF_INET && ((struct sockaddr_in *)&to)->sin_addr.s_addr == 0)
        ((struct sockaddr_in *)&to)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, length), 0);
    return fd;
}

/* Is what comes back the n bytes that were sent? */
static bool comes_back(int fd, const char *data, size_t n)
{
    static char back[70000];

    if (send(fd, data, n, 0) != (ssize_t)n)
        return false;
    return recv(fd, back, sizeof(back), 0) == (ssize_t)n && memcmp(back, data, n) == 0;
}

static const char *bytes(void)
{
    static char data[65507];

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7 + i / 251);
    return data;
}

/* ---- Each kind, each way ---- */

START_TEST(every_size_comes_back_whole)
{
    static const size_t sizes[] = { 0, 1, 1400, 9000, 65507 };
    struct ostler_server_options options = options_for(_i % WAYS, &echo, &echo_datagram);
    struct harness_server h;

    options.address = kinds[_i / WAYS];
    harness_start(&h, &options);
    for (size_t i = 0; ostler_server_address(h.server, i); i++) {
        int client = connected(h.server, i);

        for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++)
            ck_assert_msg(comes_back(client, bytes(), sizes[k]), "%s, %s, %zu bytes", ways[_i % WAYS].name,
                          options.address, sizes[k]);
        close(client);
    }
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_ne(access("test_datagram.sock", F_OK), 0);
}
END_TEST

/* ---- Where replies come from ---- */

START_TEST(a_reply_leaves_from_the_address_that_was_asked)
{
    static const char *const wildcards[] = { "udp:0.0.0.0:0", "udp:[::]:0", "udp:*:0", "udp:127.0.0.2:0" };
    struct ostler_server_options options = options_for(_i % WAYS, &echo, &echo_datagram);
    struct sockaddr_in to = { .sin_family = AF_INET }, from;
    socklen_t length = sizeof(from);
    struct harness_server h;
    char byte = 0;
    int client;

    options.address = wildcards[_i / WAYS];
    harness_start(&h, &options);
    client = client_for(AF_INET);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1); /* 127.0.0.2 */
    to.sin_port = htons((uint16_t)ostler_address_port(ostler_server_address(h.server, 0)));
    ck_assert_int_eq(sendto(client, "?", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
    ck_assert_int_eq(recvfrom(client, &byte, 1, 0, (struct sockaddr *)&from, &length), 1);
    ck_assert_int_eq(byte, '?');
    ck_assert_uint_eq(from.sin_addr.s_addr, to.sin_addr.s_addr);
    ck_assert_uint_eq(from.sin_port, to.sin_port);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("datagram");
    TCase *tc = harness_case(suite, "echo");

    tcase_add_loop_test(tc, every_size_comes_back_whole, 0, WAYS * KINDS);
    tc = harness_case(suite, "origin");
    tcase_add_loop_test(tc, a_reply_leaves_from_the_address_that_was_asked, 0, WAYS * 4);
    return harness_main(suite);
}
