#include "support/sockets.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct socket_kind socket_kinds[SOCKET_KINDS] = {
    { AF_INET, SOCK_STREAM, IPPROTO_TCP, "tcp:127.0.0.1:0" },
    { AF_INET6, SOCK_STREAM, IPPROTO_TCP, "tcp:[::1]:0" },
    { AF_UNIX, SOCK_STREAM, 0, "unix:@ostler-socket" },
    { AF_INET, SOCK_DGRAM, IPPROTO_UDP, "udp:127.0.0.1:0" },
    { AF_INET6, SOCK_DGRAM, IPPROTO_UDP, "udp:[::1]:0" },
    { AF_UNIX, SOCK_DGRAM, 0, "unixgram:@ostler-socket" },
};

struct ostler_socket *make_socket(int family, int type)
{
    struct ostler_socket *s = NULL;

    ck_assert_int_eq(ostler_socket_new(&s, family, type, 0), 0);
    ck_assert_int_eq(ostler_socket_settimeout(s, (double)harness_deadline_ms() / 1000), 0);
    return s;
}

struct ostler_address *parse_address(const char *text)
{
    struct ostler_address *address = NULL;

    ck_assert_int_eq(ostler_address_parse(&address, text), 0);
    return address;
}

struct ostler_address *blank_address(void)
{
    struct ostler_address *address = NULL;

    ck_assert_int_eq(ostler_address_new(&address), 0);
    return address;
}

const char *text_of(const struct ostler_address *address)
{
    static char text[OSTLER_ADDRESS_TEXT];

    ck_assert_int_gt(ostler_address_text(address, text, sizeof(text)), 0);
    return text;
}

struct ostler_socket *make_bound(int kind, struct ostler_address **address)
{
    struct ostler_socket *s = make_socket(socket_kinds[kind].family, socket_kinds[kind].type);
    struct ostler_address *local;
    char text[64];

    if (socket_kinds[kind].family == AF_UNIX)
        snprintf(text, sizeof(text), "%s-%d-%d", socket_kinds[kind].address, (int)getpid(), ostler_socket_fileno(s));
    else
        snprintf(text, sizeof(text), "%s", socket_kinds[kind].address);
    local = parse_address(text);
    ck_assert_int_eq(ostler_socket_bind(s, local), 0);
    ck_assert_int_eq(ostler_socket_getsockname(s, local), 0);
    if (address)
        *address = local;
    else
        ostler_address_free(local);
    return s;
}

struct ostler_socket *make_listener(int kind, struct ostler_address **address)
{
    struct ostler_socket *s = make_bound(kind, address);

    ck_assert_int_eq(ostler_socket_listen(s, OSTLER_BACKLOG), 0);
    return s;
}

struct pair make_pair(int type)
{
    struct pair p = { NULL, NULL };

    ck_assert_int_eq(ostler_socketpair(&p.a, &p.b, type), 0);
    ck_assert_int_eq(ostler_socket_settimeout(p.a, (double)harness_deadline_ms() / 1000), 0);
    ck_assert_int_eq(ostler_socket_settimeout(p.b, (double)harness_deadline_ms() / 1000), 0);
    return p;
}

struct pair make_connected(int kind)
{
    struct ostler_address *address;
    struct ostler_socket *listener = make_listener(kind, &address);
    struct pair p = { make_socket(socket_kinds[kind].family, SOCK_STREAM), NULL };

    ck_assert_int_eq(ostler_socket_connect(p.a, address), 0);
    ck_assert_int_eq(ostler_socket_accept(listener, &p.b, NULL), 0);
    ostler_socket_free(listener);
    ostler_address_free(address);
    return p;
}

void free_pair(struct pair p)
{
    ostler_socket_free(p.a);
    ostler_socket_free(p.b);
}

bool receives(struct ostler_socket *s, const char *text)
{
    char buffer[256];
    size_t n = strlen(text);

    return ostler_socket_recv(s, buffer, n, MSG_WAITALL) == (ssize_t)n && memcmp(buffer, text, n) == 0;
}

bool is_close_on_exec(int fd)
{
    return fcntl(fd, F_GETFD) == FD_CLOEXEC;
}

bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}
