/* Datagrams: both faces, over each kind of address. */
#include <errno.h>
#include <limits.h>
#include <linux/sock_diag.h>
#include <malloc.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/datagrams.h"

/* ---- Calls that fail when a test says so ---- */

static atomic_int taken_ports; /* so many bind() to an IPv4 address find the port taken */
static atomic_size_t lacking;  /* no piece of memory of that size is to be had */

int __real_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags);
int __real_recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *timeout);
int __wrap_recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *timeout);
int __real_bind(int fd, const struct sockaddr *address, socklen_t length);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t length);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

static atomic_bool to_group;   /* what comes over IPv6 has been sent to a group, by its interface 1 */
static atomic_int by_link;     /* so many replies name that interface */

/* One less of them, if there are any. */
static bool count_down(atomic_int *left)
{
    return atomic_load(left) > 0 && atomic_fetch_sub(left, 1) > 0;
}

static struct in6_pktinfo *ipv6_info(struct msghdr *h)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c))
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
            return (struct in6_pktinfo *)(void *)CMSG_DATA(c);
    return NULL;
}

int __wrap_recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *timeout)
{
    int got = __real_recvmmsg(fd, messages, n, flags, timeout);

    for (int i = 0; i < got && atomic_load(&to_group); i++) {
        struct in6_pktinfo *info = ipv6_info(&messages[i].msg_hdr);

        if (info)
            *info = (struct in6_pktinfo){ { { { 0xff, 0x02, [15] = 1 } } }, 1 };
    }
    return got;
}

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
    for (unsigned i = 0; i < n; i++) {
        const struct in6_pktinfo *info = ipv6_info(&messages[i].msg_hdr);

        if (info && info->ipi6_ifindex == 1)
            atomic_fetch_add(&by_link, 1);
    }
    return __real_sendmmsg(fd, messages, n, flags);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    if (address->sa_family != AF_INET || !count_down(&taken_ports))
        return __real_bind(fd, address, length);
    errno = EADDRINUSE;
    return -1;
}

void *__wrap_malloc(size_t size)
{
    return size > 0 && size == atomic_load(&lacking) ? NULL : __real_malloc(size);
}

/* ---- Addresses and clients ---- */

static const char *const kinds[] = { "udp:127.0.0.1:0", "udp:[::1]:0", "udp:[::]:0", "udp:*:0",
                                     "unixgram:./test_datagram.sock", "unixgram:@ostler-test-datagram" };

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* The address, with a name in the abstract namespace made this process's own; one of the last
 * four that were made. */
static const char *own(const char *address)
{
    static char texts[4][OSTLER_ADDRESS_TEXT];
    static unsigned next;
    char *text = texts[next++ % 4];

    if (!strchr(address, '@'))
        return address;
    snprintf(text, sizeof(texts[0]), "%s-%d", address, (int)getpid());
    return text;
}

/* recvfrom(2) of one byte, which a child's end does not interrupt. */
static ssize_t receive_from(int fd, char *byte, struct sockaddr_in *from, socklen_t *length)
{
    ssize_t n;

    do
        n = recvfrom(fd, byte, 1, 0, (struct sockaddr *)from, length);
    while (n < 0 && errno == EINTR);
    return n;
}

/* Is what comes back the n bytes that were sent? */
static bool comes_back(int fd, const char *data, size_t n)
{
    static char back[70000];

    if (send(fd, data, n, 0) != (ssize_t)n)
        return false;
    return harness_receive_once(fd, back, sizeof(back)) == (ssize_t)n && memcmp(back, data, n) == 0;
}

static const char *bytes(void)
{
    static char data[65535];

    if (data[1])
        return data;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7 + i / 251);
    return data;
}

/* ---- Each kind, each way ---- */

/* Over IPv6, of which udp:* has a socket too, and on a Unix socket there is a little more. */
static size_t largest(const char *kind)
{
    if (strncmp(kind, "unixgram:", 9) == 0)
        return 65535;
    return strncmp(kind, "udp:[", 5) == 0 ? 65527 : 65507;
}

START_TEST(every_size_comes_back_whole)
{
    size_t sizes[] = { 0, 1, 1400, 9000, 65507, largest(kinds[_i / WAYS]) };
    struct ostler_server_options options = options_for(_i % WAYS, &echo, &echo_datagram);
    struct harness_server h;

    options.address = own(kinds[_i / WAYS]);
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
    ck_assert_int_eq(receive_from(client, &byte, &from, &length), 1);
    ck_assert_int_eq(byte, '?');
    ck_assert_uint_eq(from.sin_addr.s_addr, to.sin_addr.s_addr);
    ck_assert_uint_eq(from.sin_port, to.sin_port);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* To a broadcast or a group answers the address of the interface it came to. */
START_TEST(a_broadcast_is_answered)
{
    static const char *const wildcards[] = { "udp:0.0.0.0:0", "udp:[::]:0", "udp:*:0" };
    struct ostler_server_options options = options_for(_i % WAYS, &echo, &echo_datagram);
    struct sockaddr_in to = { .sin_family = AF_INET }, from;
    socklen_t length = sizeof(from);
    struct harness_server h;
    size_t last = 0;
    char byte = 0;
    int client;

    options.address = wildcards[_i / WAYS];
    harness_start(&h, &options);
    client = client_for(AF_INET);
    while (ostler_server_address(h.server, last + 1))
        last++;
    to.sin_addr.s_addr = htonl(0x7fffffff); /* 127.255.255.255 */
    to.sin_port = htons((uint16_t)ostler_address_port(ostler_server_address(h.server, last)));
    ck_assert_int_eq(setsockopt(client, SOL_SOCKET, SO_BROADCAST, &(int){ 1 }, sizeof(int)), 0);
    ck_assert_int_eq(sendto(client, "?", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
    ck_assert_int_eq(receive_from(client, &byte, &from, &length), 1);
    ck_assert_uint_eq(from.sin_port, to.sin_port);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* An inherited socket may tell more than where a datagram came to. */
START_TEST(what_else_an_inherited_socket_tells_is_ignored)
{
    struct ostler_server_options options = options_for(_i % WAYS, &echo, &echo_datagram);
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    struct sockaddr_in in = { .sin_family = AF_INET };
    bool is_unix = _i / WAYS;
    int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), client;
    struct harness_server h;
    char address[32];

    if (is_unix)
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof(sa_family_t)), 0);
    else
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &(int){ 1 }, sizeof(int));
    setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &(int){ 1 }, sizeof(int));
    snprintf(address, sizeof(address), "fd:%d", fd);
    options.address = address;
    harness_start(&h, &options);
    client = connected(h.server, 0);
    ck_assert(comes_back(client, "x", 1));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* An inherited socket that queues errors (IP_RECVERR, ip(7)) is readable as long as nobody takes them. */
START_TEST(queued_errors_keep_nobody_busy)
{
    struct ostler_server_options options = options_for(0, &echo, &echo_datagram);
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), client;
    struct ostler_server *server;
    char address[32];

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    setsockopt(fd, IPPROTO_IP, IP_RECVERR, &(int){ 1 }, sizeof(int));
    snprintf(address, sizeof(address), "fd:%d", fd);
    options.address = address;
    options.request_timeout_ms = 100;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    client = connected(server, 0);
    ck_assert_int_eq(send(client, "?", 1, 0), 1);
    close(client); /* so that the reply is refused by ICMP */
    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert_int_eq(recv(fd, address, sizeof(address), MSG_DONTWAIT | MSG_ERRQUEUE), -1);
    ostler_server_free(server);
}
END_TEST

static int aligned_on_datagram(struct ostler_datagram *d)
{
    return (uintptr_t)ostler_datagram_data(d) % alignof(max_align_t) ? -EPROTO : echo_on_datagram(d);
}

static const struct ostler_datagram_handler aligned = { .on_datagram = aligned_on_datagram };

START_TEST(data_is_aligned_for_whatever_it_holds)
{
    struct ostler_server_options options = { .address = "udp:127.0.0.1:0", .datagram = &aligned };
    struct ostler_server *server;
    int client;
    char byte;

    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    client = connected(server, 0);
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_eq(send(client, "x", 1, 0), 1);
    ck_assert_int_eq(ostler_server_start(server), 0);
    ck_assert_int_eq(ostler_server_stop(server), 0);
    ck_assert_int_eq(ostler_server_serve_forever(server), 0);
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_eq(harness_receive_once(client, &byte, 1), 1);
    ostler_server_free(server);
    close(client);
}
END_TEST

/* ---- What a stream handler can do with a datagram ---- */

static int lines_handle(struct ostler_stream *s)
{
    char line[64];
    int lines = 0, r = 0;

    while (r == 0 && ostler_stream_read_line(s, line, sizeof(line)) > 0)
        r = ostler_stream_printf(s, "%d:%s", ++lines, line);
    if (r == 0)
        r = ostler_stream_shutdown_write(s);
    return r < 0 ? r : ostler_stream_write(s, "late", 4) == -EPIPE ? OSTLER_PARK : -EPROTO;
}

static const struct ostler_stream_handler lines_handler = { .handle = lines_handle, .output_buffer = 8 };

START_TEST(what_was_written_leaves_as_one_datagram)
{
    struct ostler_server_options options = options_for(_i, &lines_handler, NULL);
    struct harness_server h;
    char answer[64] = "";
    int client;

    harness_start(&h, &options);
    client = connected(h.server, 0);
    ck_assert_int_eq(send(client, "a\nb\nc", 5, 0), 5);
    ck_assert_int_eq(harness_receive_once(client, answer, sizeof(answer) - 1), 11);
    ck_assert_str_eq(answer, "1:a\n2:b\n3:c");
    ck_assert_int_eq(send(client, "", 0, 0), 0);
    ck_assert_int_eq(harness_receive_once(client, answer, sizeof(answer)), 0); /* an empty one, since nothing was written */
    close(client);
    ck_assert(harness_log_wait(&h.log, ", 5 bytes in, 11 out"));
    ck_assert_int_eq(harness_log_count(&h.log, "failed"), 0);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static int silent_handle(struct ostler_stream *s)
{
    char first = 0;
    ssize_t n = ostler_stream_read(s, &first, 1);
    int r = n > 0 && first == 's' ? ostler_stream_no_reply(s) : 0;

    return r < 0 ? r : ostler_stream_printf(s, "%d", ostler_request_was_cut(s->request));
}

static const struct ostler_stream_handler silent = { .handle = silent_handle };

START_TEST(no_reply_is_none)
{
    struct ostler_server_options options = options_for(_i, &silent, NULL);
    struct harness_server h;
    char answer[8];
    int client;

    harness_start(&h, &options);
    client = connected(h.server, 0);
    ck_assert_int_eq(send(client, "s", 1, 0), 1);
    ck_assert_int_eq(send(client, "t", 1, 0), 1);
    ck_assert_int_eq(harness_receive_once(client, answer, sizeof(answer)), 1);
    ck_assert(harness_is_silent(client)); /* there was one answer */
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static int cut_on_datagram(struct ostler_datagram *d)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "%zu %d", ostler_datagram_length(d), ostler_datagram_was_cut(d));

    return ostler_datagram_reply(d, text, (size_t)n);
}

static int cut_handle(struct ostler_stream *s)
{
    char buf[64];
    ssize_t n = ostler_stream_read_exactly(s, buf, sizeof(buf));

    return n < 0 ? (int)n : ostler_stream_printf(s, "%zd %d", n, ostler_request_was_cut(s->request));
}

static const struct ostler_stream_handler cut = { .handle = cut_handle };
static const struct ostler_datagram_handler cut_datagram = { .on_datagram = cut_on_datagram };

START_TEST(a_datagram_that_was_cut_says_so)
{
    struct ostler_server_options options = options_for(_i, &cut, &cut_datagram);
    struct harness_server h;
    char answer[32] = "";
    int client;

    options.max_packet = 10;
    harness_start(&h, &options);
    client = connected(h.server, 0);
    ck_assert_int_eq(send(client, bytes(), 10, 0), 10);
    ck_assert_int_eq(harness_receive_once(client, answer, sizeof(answer) - 1), 4);
    ck_assert_str_eq(answer, "10 0");
    ck_assert_int_eq(send(client, bytes(), 11, 0), 11);
    ck_assert_int_eq(harness_receive_once(client, answer, sizeof(answer) - 1), 4);
    ck_assert_str_eq(answer, "10 1");
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static int deaf_handle(struct ostler_stream *s)
{
    return ostler_stream_printf(s, "heard");
}

static const struct ostler_stream_handler deaf = { .handle = deaf_handle };

START_TEST(a_datagram_need_not_be_read)
{
    static const size_t sizes[] = { 1, 4096, 4097, 65507 };
    struct ostler_server_options options = options_for(_i, &deaf, NULL);
    struct harness_server h;
    char answer[8];
    int client;

    harness_start(&h, &options);
    client = connected(h.server, 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        ck_assert_int_eq(send(client, bytes(), sizes[i], 0), (ssize_t)sizes[i]);
        ck_assert_int_eq(harness_receive_once(client, answer, sizeof(answer)), 5);
    }
    close(client);
    ostler_server_shutdown(h.server);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert_int_eq(harness_log_count(&h.log, "failed"), 0);
    harness_free(&h);
}
END_TEST

static int large_handle(struct ostler_stream *s)
{
    int fits = ostler_stream_write(s, bytes(), 65507), more = ostler_stream_write(s, "x", 1);

    return fits == 0 && more == -EMSGSIZE ? 0 : -EPROTO;
}

static int large_on_datagram(struct ostler_datagram *d)
{
    int more = ostler_datagram_reply(d, bytes(), 65508);

    return more == -EMSGSIZE ? ostler_datagram_reply(d, bytes(), 65507) : -EPROTO;
}

static const struct ostler_stream_handler large = { .handle = large_handle };
static const struct ostler_datagram_handler large_datagram = { .on_datagram = large_on_datagram };

START_TEST(a_reply_has_a_largest_size)
{
    struct ostler_server_options options = options_for(_i, &large, &large_datagram);
    struct harness_server h;
    static char answer[70000];
    int client;

    harness_start(&h, &options);
    client = connected(h.server, 0);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(send(client, "?", 1, 0), 1);
        ck_assert_int_eq(harness_receive_once(client, answer, sizeof(answer)), 65507);
    }
    close(client);
    ck_assert_int_eq(harness_log_count(&h.log, "failed"), 0);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static int three_on_datagram(struct ostler_datagram *d)
{
    int r = 0;

    for (int i = 0; i < 40 && r == 0; i++) /* more than a batch has room for */
        r = ostler_datagram_reply(d, &(char){ (char)('a' + i % 26) }, 1);
    return r;
}

static const struct ostler_datagram_handler three = { .on_datagram = three_on_datagram };

START_TEST(a_datagram_may_have_several_replies)
{
    struct ostler_server_options options = { .address = "udp:127.0.0.1:0", .datagram = &three };
    struct harness_server h;
    char byte;
    int client;

    harness_start(&h, &options);
    client = connected(h.server, 0);
    ck_assert_int_eq(send(client, "?", 1, 0), 1);
    for (int i = 0; i < 40; i++) {
        ck_assert_int_eq(harness_receive_once(client, &byte, 1), 1);
        ck_assert_int_eq(byte, 'a' + i % 26);
    }
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* A group's own address is nobody's to answer from: only the interface says the way. */
START_TEST(each_reply_to_a_group_leaves_by_the_interface_it_came_by)
{
    struct ostler_server_options options = { .address = "udp:[::1]:0", .datagram = &three };
    struct harness_server h;
    char byte;
    int client;

    atomic_store(&to_group, true);
    harness_start(&h, &options);
    client = connected(h.server, 0);
    ck_assert_int_eq(send(client, "?", 1, 0), 1);
    for (int i = 0; i < 40; i++)
        ck_assert_int_eq(harness_receive_once(client, &byte, 1), 1);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    atomic_store(&to_group, false);
    ck_assert_int_eq(atomic_exchange(&by_link, 0), 40);
}
END_TEST

/* ---- Slots ---- */

static bool refuse_x(struct ostler_server *s, const struct ostler_request *r)
{
    (void)s;
    return ostler_request_is_datagram(r) && ostler_request_bytes_in(r) != 1;
}

static const struct ostler_server_class picky = { .super = &ostler_udp_server, .verify_request = refuse_x };

START_TEST(a_refused_datagram_gets_no_answer)
{
    struct ostler_server_options options = options_for(_i, &echo, &echo_datagram);
    struct harness_server h;
    char answer[8];
    int client;

    options.server_class = &picky;
    harness_start(&h, &options);
    client = connected(h.server, 0);
    ck_assert_int_eq(send(client, "x", 1, 0), 1);
    ck_assert_int_eq(send(client, "yy", 2, 0), 2);
    ck_assert_int_eq(harness_receive_once(client, answer, sizeof(answer)), 2);
    ck_assert(harness_is_silent(client));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_uint_eq(ostler_server_dropped(NULL), 0);
}
END_TEST

static int failing_handle(struct ostler_stream *s)
{
    (void)s;
    return -EIO;
}

static int failing_on_datagram(struct ostler_datagram *d)
{
    (void)d;
    return -EIO;
}

static const struct ostler_stream_handler failing = { .handle = failing_handle };
static const struct ostler_datagram_handler failing_datagram = { .on_datagram = failing_on_datagram };

START_TEST(a_handler_that_fails_is_reported_with_its_peer)
{
    struct ostler_server_options options = options_for(_i, &failing, &failing_datagram);
    struct harness_server h;
    int client;

    options.name = "failing";
    harness_start(&h, &options);
    client = connected(h.server, 0);
    ck_assert_int_eq(send(client, "x", 1, 0), 1);
    ck_assert(harness_log_wait(&h.log, "failing: udp:127.0.0.1:"));
    ck_assert(harness_log_wait(&h.log, "Input/output error"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* A class for all kinds may extend what is the connections' own. */
static void extended_shutdown(struct ostler_server *s, struct ostler_request *r)
{
    ostler_tcp_server.shutdown_request(s, r);
}

static void extended_close(struct ostler_server *s, struct ostler_request *r)
{
    ostler_tcp_server.close_request(s, r);
}

static const struct ostler_server_class extended = {
    .shutdown_request = extended_shutdown, .close_request = extended_close
};

START_TEST(a_connections_end_is_none_of_the_socket)
{
    struct ostler_server_options options = options_for(_i, &echo, &echo_datagram);
    struct harness_server h;
    int client;

    options.server_class = &extended;
    harness_start(&h, &options);
    client = connected(h.server, 0);
    for (int i = 0; i < 3; i++)
        ck_assert(comes_back(client, "again", 5));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static atomic_int lacks;

static int lacking_get(struct ostler_server *s, int fd, struct ostler_address *peer)
{
    return count_down(&lacks) ? -ENOMEM : ostler_udp_server.get_request(s, fd, peer);
}

static const struct ostler_server_class lacking_class = { .super = &ostler_udp_server, .get_request = lacking_get };

START_TEST(a_lack_pauses_receiving)
{
    struct ostler_server_options options = options_for(_i, &echo, &echo_datagram);
    uint64_t before = harness_now_ms();
    struct harness_server h;
    int client;

    options.server_class = &lacking_class;
    atomic_store(&lacks, 4);
    harness_start(&h, &options);
    client = connected(h.server, 0);
    ck_assert(comes_back(client, "at last", 7));
    ck_assert_uint_ge(harness_now_ms() - before, 10 + 20 + 40);
    ck_assert_int_eq(harness_log_count(&h.log, "cannot receive: Cannot allocate memory"), 1);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- Full ---- */

enum { BURST = 10000 };

/* How many datagrams wait in the kernel, and how many it has dropped, are its own; together
 * with those that were begun they are all that were sent. */
START_TEST(a_burst_is_bounded_by_the_queue_and_counted)
{
    struct ostler_server_options options = {
        .address = "udp:127.0.0.1:0", .stream = &waiting, .mixin = blocking[_i], .max_requests = 2, .queue = 16
    };
    struct harness_server h;
    unsigned long long dropped;
    int client;

    share_events();
    harness_start(&h, &options);
    client = connected(h.server, 0);
    for (int i = 0; i < BURST; i++)
        ck_assert_int_eq(send(client, bytes(), 1000, 0), 1000);
    ck_assert(harness_wait(begun, 2));
    dropped = ostler_server_dropped(h.server);
    ck_assert_uint_gt(dropped, 0);
    ck_assert_uint_lt(dropped, BURST);
    harness_raise(go);
    ck_assert(harness_wait(begun, (int)(BURST - dropped)));
    ck_assert(harness_log_wait(&h.log, "datagrams dropped"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(begun), (int)(BURST - dropped));
}
END_TEST

static struct {
    struct ostler_server *server;
    size_t most, handled;
} held;

/* The first one finds all that were received at once. */
static int look_at_queue(struct ostler_stream *s)
{
    size_t queued = ostler_server_waiting(held.server);

    (void)s;
    if (queued > held.most)
        held.most = queued;
    if (++held.handled == CROWD)
        ostler_server_shutdown(held.server);
    return 0;
}

static const struct ostler_stream_handler looks_at_queue = { .handle = look_at_queue };

/* Less than a batch, and a little more. */
START_TEST(no_more_wait_than_the_queue_takes)
{
    static const int queues[] = { 1, 5, 31, 33 };
    struct ostler_server_options options = {
        .address = "udp:127.0.0.1:0", .stream = &looks_at_queue, .queue = queues[_i]
    };
    int client;

    memset(&held, 0, sizeof(held));
    ck_assert_int_eq(ostler_server_new(&held.server, &options, NULL), 0);
    client = connected(held.server, 0);
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_eq(send(client, "x", 1, 0), 1);
    ck_assert_int_eq(ostler_server_serve_forever(held.server), 0);
    ck_assert_uint_eq(held.handled, CROWD);
    ck_assert_int_eq((int)held.most, queues[_i]);
    ostler_server_free(held.server);
    close(client);
}
END_TEST

START_TEST(a_burst_harms_nobody)
{
    struct ostler_server_options options = options_for(_i % WAYS, &echo, &echo_datagram);
    struct harness_server h;
    char answer[1024];
    int flooder, client;

    options.address = _i / WAYS ? own("unixgram:@ostler-test-burst") : "udp:127.0.0.1:0";
    harness_start(&h, &options);
    flooder = connected(h.server, 0);
    client = connected(h.server, 0); /* now: later it could get the port of the other one, and its answers */
    for (int i = 0; i < BURST; i++)
        send(flooder, bytes(), 100, _i / WAYS ? MSG_DONTWAIT : 0);
    close(flooder);
    do /* as long as the kernel's buffer is full it drops this one too */
        ck_assert_int_eq(send(client, "again", 5, 0), 5);
    while (harness_is_silent(client));
    ck_assert_int_eq(harness_receive_once(client, answer, sizeof(answer)), 5);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static struct {
    int fd;
    atomic_bool over;
} endless;

/* Another one comes for each. */
static int send_another(struct ostler_datagram *d)
{
    if (!atomic_load(&endless.over))
        send(endless.fd, ostler_datagram_data(d), ostler_datagram_length(d), MSG_DONTWAIT);
    return 0;
}

static const struct ostler_datagram_handler sends_another = { .on_datagram = send_another };

static void do_nothing(void *arg)
{
    (void)arg;
}

START_TEST(datagrams_that_never_end_leave_the_loop_to_others)
{
    struct ostler_server_options options = { .address = "udp:127.0.0.1:0", .datagram = &sends_another };
    struct harness_server h;
    bool ran;

    atomic_store(&endless.over, false);
    harness_start(&h, &options);
    endless.fd = connected(h.server, 0);
    for (int i = 0; i < 2 * CROWD; i++)
        ck_assert_int_eq(send(endless.fd, "x", 1, 0), 1);
    ran = harness_call(ostler_server_reactor(h.server), do_nothing, NULL);
    atomic_store(&endless.over, true);
    ck_assert(ran);
    ck_assert_int_eq(harness_stop(&h), 0);
    close(endless.fd);
}
END_TEST

START_TEST(handle_request_handles_one_datagram)
{
    struct ostler_server_options options = options_for(_i, &echo, &echo_datagram);
    struct ostler_server *server;
    char answer[8];
    int client;

    options.request_timeout_ms = harness_deadline_ms();
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    client = connected(server, 0);
    ck_assert_int_eq(send(client, "a", 1, 0), 1);
    ck_assert_int_eq(send(client, "bb", 2, 0), 2);
    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert_int_eq(harness_receive_once(client, answer, sizeof(answer)), 1);
    ck_assert_uint_eq(ostler_server_accepted(server), 1);
    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert_int_eq(harness_receive_once(client, answer, sizeof(answer)), 2);
    ostler_server_free(server);
    close(client);
}
END_TEST

/* ---- Lack ---- */

START_TEST(a_lack_of_memory_costs_one_datagram)
{
    struct ostler_server_options options = options_for(_i, &echo, &echo_datagram);
    struct harness_server h;
    int client;

    harness_start(&h, &options);
    client = connected(h.server, 0);
    atomic_store(&lacking, 4999);
    ck_assert_int_eq(send(client, bytes(), 4999, 0), 4999);
    ck_assert(comes_back(client, "after it", 8));
    atomic_store(&lacking, 0);
    ck_assert_int_eq((ostler_reactor_stop(ostler_server_reactor(h.server)), harness_join(&h)), 0);
    ck_assert_uint_eq(ostler_server_dropped(h.server), 1);
    ck_assert_int_eq(ostler_server_fd(h.server, 0), -EBADF); /* nobody holds it */
    harness_free(&h);
    close(client);
}
END_TEST

START_TEST(a_taken_port_is_named_as_it_was_asked_for)
{
    struct ostler_server_options options = options_for(0, &echo, &echo_datagram);
    struct ostler_server *server;
    struct harness_log log;

    harness_log_init(&log);
    options.address = "udp:*:0";
    options.log = &log.log;
    atomic_store(&taken_ports, INT_MAX);
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), -EADDRINUSE);
    atomic_store(&taken_ports, 0);
    ck_assert(harness_log_has(&log, "cannot bind udp:*:0: "));
    harness_log_fini(&log);
}
END_TEST

START_TEST(a_second_try_for_a_port_leaks_nothing)
{
    struct ostler_server_options options = options_for(0, &echo, &echo_datagram);
    struct ostler_server *server;
    size_t pieces = mallinfo2().hblks; /* a batch is one */

    options.address = "udp:*:0";
    atomic_store(&taken_ports, 2);
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    ck_assert_int_eq(atomic_load(&taken_ports), 0);
    ostler_server_free(server);
    ck_assert_uint_eq(mallinfo2().hblks, pieces);
}
END_TEST

/* ---- Several kinds on one server ---- */

static ssize_t echo_on_data(struct ostler_conn *c, const void *data, size_t n)
{
    int r = ostler_conn_write(c, data, n);

    return r < 0 ? r : (ssize_t)n;
}

static const struct ostler_conn_handler echo_conn = { .on_data = echo_on_data };

START_TEST(one_server_serves_all_kinds)
{
    const char *const addresses[] = { "udp:127.0.0.1:0", "tcp:127.0.0.1:0", own("unix:@ostler-test-all"),
                                      own("unixgram:@ostler-test-all"), NULL };
    struct ostler_server_options options = options_for(_i, &echo, &echo_datagram);
    struct harness_server h;
    int client;

    options.address = NULL;
    options.addresses = addresses;
    if (options.datagram)
        options.conn = &echo_conn;
    harness_start(&h, &options);
    for (size_t i = 0; i < 4; i += 3) {
        client = connected(h.server, i);
        ck_assert(comes_back(client, "datagram", 8));
        close(client);
    }
    for (size_t i = 1; i < 3; i++) {
        client = harness_connect_to(ostler_server_address(h.server, i), 0);
        ck_assert(harness_say(client, "stream"));
        shutdown(client, SHUT_WR);
        ck_assert(harness_expect(client, "stream"));
        ck_assert(harness_expect_end(client));
        close(client);
    }
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- Unix peers ---- */

START_TEST(a_unix_reply_comes_from_the_path_that_was_asked)
{
    struct ostler_server_options options = options_for(_i, &echo, &echo_datagram);
    struct sockaddr_un from = { 0 };
    struct sockaddr_storage to;
    socklen_t length, from_length = sizeof(from);
    struct harness_server h;
    char byte = 0;
    int client;

    options.address = "unixgram:./test_datagram.sock";
    options.socket_mode = 0600;
    harness_start(&h, &options);
    client = client_for(AF_UNIX);
    length = address_of(h.server, 0, &to);
    ck_assert_int_eq(sendto(client, "?", 1, 0, (struct sockaddr *)&to, length), 1);
    ck_assert_int_eq(receive_from(client, &byte, (struct sockaddr_in *)(void *)&from, &from_length), 1);
    ck_assert_str_eq(from.sun_path, "./test_datagram.sock");
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_peer_without_a_name_is_no_error_of_the_server)
{
    struct ostler_server_options options = options_for(_i, &echo, &echo_datagram);
    struct sockaddr_storage to;
    struct harness_server h;
    int nameless = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), client;
    socklen_t length;

    options.address = own("unixgram:@ostler-test-nameless");
    harness_start(&h, &options);
    length = address_of(h.server, 0, &to);
    ck_assert_int_eq(sendto(nameless, "?", 1, 0, (struct sockaddr *)&to, length), 1);
    client = connected(h.server, 0);
    ck_assert(comes_back(client, "after it", 8));
    ck_assert_int_eq(harness_log_count(&h.log, "error "), 0);
    close(client);
    close(nameless);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* Descriptors that a peer sends along are nobody's: they must not pile up in the server. */
START_TEST(descriptors_are_not_taken_in)
{
    struct ostler_server_options options = options_for(_i, &echo, &echo_datagram);
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec data = { .iov_base = "x", .iov_len = 1 };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes,
                              .msg_controllen = sizeof(control.bytes) };
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    struct harness_server h;
    char byte;
    int client, fds[2];

    options.address = own("unixgram:@ostler-test-rights");
    harness_start(&h, &options);
    client = connected(h.server, 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    *rights = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(rights), &fds[1], sizeof(int));
    ck_assert_int_eq(sendmsg(client, &message, 0), 1);
    ck_assert_int_eq(harness_receive_once(client, &byte, 1), 1);
    close(fds[1]);
    ck_assert_int_eq(harness_receive_once(fds[0], &byte, 1), 0); /* nobody else has the end */
    close(fds[0]);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* A path may fill sun_path, without a NUL (unix(7)). */
START_TEST(the_longest_path_of_a_peer_is_answered)
{
    struct ostler_server_options options = options_for(_i, &echo, &echo_datagram);
    struct sockaddr_un from = { .sun_family = AF_UNIX };
    struct sockaddr_storage to;
    struct harness_server h;
    char path[sizeof(from.sun_path) + 1] = "";
    int client = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), before;
    socklen_t length;

    options.address = own("unixgram:@ostler-test-longest");
    memset(from.sun_path, 'p', sizeof(from.sun_path));
    memcpy(path, from.sun_path, sizeof(from.sun_path));
    unlink(path);
    ck_assert_int_eq(bind(client, (struct sockaddr *)&from, sizeof(from)), 0);
    harness_start(&h, &options);
    before = connected(h.server, 0); /* its name is a short one */
    ck_assert(comes_back(before, "x", 1));
    close(before);
    length = address_of(h.server, 0, &to);
    ck_assert_int_eq(connect(client, (struct sockaddr *)&to, length), 0);
    ck_assert(comes_back(client, "x", 1));
    ck_assert_int_eq(unlink(path), 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_unix_peer_that_takes_no_replies_holds_up_nobody)
{
    struct ostler_server_options options = options_for(_i, &echo, &echo_datagram);
    struct timeval while_ = { .tv_sec = harness_deadline_ms() / 1000 };
    struct sockaddr_storage to;
    struct harness_server h;
    uint64_t end = harness_now_ms() + (uint64_t)harness_deadline_ms();
    int full = client_for(AF_UNIX), client;
    socklen_t length;

    options.address = own("unixgram:@ostler-test-full");
    harness_start(&h, &options);
    length = address_of(h.server, 0, &to);
    client = connected(h.server, 0);
    setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &while_, sizeof(while_));
    setsockopt(full, SOL_SOCKET, SO_SNDTIMEO, &while_, sizeof(while_));
    /* For one that is connected the limit would be what the server may have on its way. */
    while (ostler_server_dropped(h.server) == 0 && harness_now_ms() < end)
        sendto(full, "x", 1, 0, (struct sockaddr *)&to, length); /* waits until the server has room for it */
    ck_assert(comes_back(client, "y", 1));
    ck_assert_uint_gt(ostler_server_dropped(h.server), 0);
    close(full);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

static uint32_t kernel_drops(int fd)
{
    uint32_t info[SK_MEMINFO_VARS] = { 0 };
    socklen_t length = sizeof(info);

    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &length), 0);
    return info[SK_MEMINFO_DROPS];
}

START_TEST(what_was_dropped_before_a_socket_was_inherited_is_not_told)
{
    struct ostler_server_options options = options_for(_i, &echo, &echo_datagram);
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), client = client_for(AF_INET);
    socklen_t length = sizeof(in);
    struct harness_server h;
    char address[32], byte;

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &length), 0);
    ck_assert_int_eq(connect(client, (struct sockaddr *)&in, sizeof(in)), 0);
    for (int i = 0; i < BURST; i++)
        send(client, "x", 1, 0);
    ck_assert_uint_gt(kernel_drops(fd), 0);
    snprintf(address, sizeof(address), "fd:%d", fd);
    options.address = address;
    harness_start(&h, &options);
    for (int i = 0; i < 4 * CROWD; i++)
        ck_assert_int_eq(harness_receive_once(client, &byte, 1), 1);
    close(client);
    ck_assert_int_eq(ostler_server_shutdown(h.server), 0);
    ck_assert_int_eq(harness_join(&h), 0);
    ck_assert(!harness_log_has(&h.log, "datagrams dropped"));
    ck_assert_uint_eq(ostler_server_dropped(h.server), 0);
    harness_free(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("datagram");
    TCase *tc = harness_case(suite, "echo");

    tcase_add_loop_test(tc, every_size_comes_back_whole, 0, WAYS * KINDS);
    tcase_add_loop_test(tc, one_server_serves_all_kinds, 0, WAYS);
    tc = harness_case(suite, "origin");
    tcase_add_loop_test(tc, a_reply_leaves_from_the_address_that_was_asked, 0, WAYS * 4);
    tcase_add_loop_test(tc, a_unix_reply_comes_from_the_path_that_was_asked, 0, WAYS);
    tcase_add_loop_test(tc, a_peer_without_a_name_is_no_error_of_the_server, 0, WAYS);
    tcase_add_loop_test(tc, a_broadcast_is_answered, 0, WAYS * 3);
    tcase_add_loop_test(tc, what_else_an_inherited_socket_tells_is_ignored, 0, WAYS * 2);
    tcase_add_loop_test(tc, what_was_dropped_before_a_socket_was_inherited_is_not_told, 0, 1);
    tcase_add_test(tc, queued_errors_keep_nobody_busy);
    tcase_add_test(tc, data_is_aligned_for_whatever_it_holds);
    tcase_add_loop_test(tc, descriptors_are_not_taken_in, 0, WAYS);
    tcase_add_loop_test(tc, the_longest_path_of_a_peer_is_answered, 0, WAYS);
    tcase_add_loop_test(tc, a_unix_peer_that_takes_no_replies_holds_up_nobody, 0, WAYS - 1);
    tc = harness_case(suite, "handlers");
    tcase_add_loop_test(tc, what_was_written_leaves_as_one_datagram, 1, WAYS);
    tcase_add_loop_test(tc, no_reply_is_none, 1, WAYS);
    tcase_add_loop_test(tc, a_datagram_that_was_cut_says_so, 0, WAYS);
    tcase_add_loop_test(tc, a_datagram_need_not_be_read, 1, WAYS);
    tcase_add_loop_test(tc, a_reply_has_a_largest_size, 0, WAYS);
    tcase_add_test(tc, a_datagram_may_have_several_replies);
    tcase_add_test(tc, each_reply_to_a_group_leaves_by_the_interface_it_came_by);
    tc = harness_case(suite, "slots");
    tcase_add_loop_test(tc, a_refused_datagram_gets_no_answer, 0, WAYS);
    tcase_add_loop_test(tc, a_handler_that_fails_is_reported_with_its_peer, 0, WAYS);
    tcase_add_loop_test(tc, handle_request_handles_one_datagram, 0, WAYS);
    tcase_add_loop_test(tc, a_connections_end_is_none_of_the_socket, 0, WAYS);
    tcase_add_loop_test(tc, a_lack_pauses_receiving, 0, WAYS);
    tc = harness_case(suite, "many");
    tcase_add_loop_test(tc, a_burst_is_bounded_by_the_queue_and_counted, 0, 2);
    tcase_add_loop_test(tc, no_more_wait_than_the_queue_takes, 0, 4);
    tcase_add_loop_test(tc, a_burst_harms_nobody, 0, WAYS * 2);
    tcase_add_test(tc, datagrams_that_never_end_leave_the_loop_to_others);
    tc = harness_case(suite, "lack");
    tcase_add_loop_test(tc, a_lack_of_memory_costs_one_datagram, 1, WAYS);
    tcase_add_test(tc, a_taken_port_is_named_as_it_was_asked_for);
    tcase_add_test(tc, a_second_try_for_a_port_leaks_nothing);
    return harness_main(suite);
}
