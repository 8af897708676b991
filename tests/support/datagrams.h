/* What the suites of datagrams share: echo handlers of both faces, every way to run them, and clients. */
#ifndef OSTLER_TESTS_DATAGRAMS_H
#define OSTLER_TESTS_DATAGRAMS_H

#include "support/echo.h"
#include "support/harness.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

/* ---- Handlers ---- */

static inline int echo_on_datagram(struct ostler_datagram *d)
{
    return ostler_datagram_reply(d, ostler_datagram_data(d), ostler_datagram_length(d));
}

static const struct ostler_datagram_handler echo_datagram = { .on_datagram = echo_on_datagram };

/* ---- Handlers that wait until the test lets them go; children too ---- */

static struct harness_event *begun, *go;

static inline void share_events(void)
{
    static struct harness_event *shared;

    if (!shared)
        shared = harness_share(2 * sizeof(*shared));
    ck_assert_ptr_nonnull(shared);
    begun = shared;
    go = shared + 1;
    harness_event_init(begun);
    harness_event_init(go);
}

static inline int waiting_handle(struct ostler_stream *s)
{
    harness_raise(begun);
    return harness_wait(go, 1) ? echo_handle(s) : -ETIMEDOUT;
}

static const struct ostler_stream_handler waiting = { .handle = waiting_handle };

static const struct ostler_mixin *const blocking[] = { &ostler_threading, &ostler_forking };

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
    { "forking", &ostler_forking, false },
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static inline struct ostler_server_options options_for(int way, const struct ostler_stream_handler *stream,
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
static inline socklen_t address_of(const struct ostler_server *server, size_t index, struct sockaddr_storage *out)
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
static inline int client_for(int family)
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
static inline int connected(const struct ostler_server *server, size_t index)
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

enum { CROWD = 50 }; /* more than a batch */

#endif
