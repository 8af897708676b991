#include "support/matrix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const struct {
    const char *word;
    const struct ostler_mixin *mixin;
} mixins[MIXINS] = {
    { "inline", NULL },
    { "threading", &ostler_threading },
    { "forking", &ostler_forking },
    { "fibers", &ostler_fibers },
};

static const struct {
    const struct ostler_server_class *server_class;
    const char *address;
    int family, type;
} kinds[KINDS] = {
    { &ostler_tcp_server, "tcp:127.0.0.1:0", AF_INET, SOCK_STREAM },
    { &ostler_udp_server, "udp:127.0.0.1:0", AF_INET, SOCK_DGRAM },
    { &ostler_unix_stream_server, "unix:./s", AF_UNIX, SOCK_STREAM },
    { &ostler_unix_datagram_server, "unixgram:./s", AF_UNIX, SOCK_DGRAM },
};

static char folder[64];
static struct matrix_notes *notes;

struct matrix_row matrix_row_at(int index)
{
    int mixin = index % MIXINS, kind = index / MIXINS;

    return (struct matrix_row){
        .word = mixins[mixin].word,
        .mixin = mixins[mixin].mixin,
        .server_class = kinds[kind].server_class,
        .address = kinds[kind].address,
        .family = kinds[kind].family,
        .type = kinds[kind].type,
    };
}

struct matrix_notes *matrix_seen(void)
{
    return notes;
}

void matrix_enter(void)
{
    struct harness_event *events;

    strcpy(folder, "/tmp/ostler-matrix-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
    notes = harness_share(sizeof(*notes));
    ck_assert_ptr_nonnull(notes);
    events = (struct harness_event *)notes;
    for (size_t i = 0; i < offsetof(struct matrix_notes, error) / sizeof(*events); i++)
        harness_event_init(&events[i]);
}

bool matrix_leave(void)
{
    harness_unshare(notes, sizeof(*notes));
    notes = NULL;
    return chdir("/") == 0 && rmdir(folder) == 0;
}

int matrix_connect(const struct ostler_server *server)
{
    struct sockaddr_storage to, name = { .ss_family = AF_UNIX };
    socklen_t length = sizeof(to), n = sizeof(int);
    int listener = ostler_server_fd(server, 0), type = SOCK_STREAM, fd;

    if (getsockname(listener, (struct sockaddr *)&to, &length) < 0 ||
        getsockopt(listener, SOL_SOCKET, SO_TYPE, &type, &n) < 0)
        return -errno;
    fd = socket(to.ss_family, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* Bound to no more than its family, it gets a name in the abstract namespace (unix(7)). */
    if ((to.ss_family == AF_UNIX && type == SOCK_DGRAM &&
         bind(fd, (struct sockaddr *)&name, sizeof(sa_family_t)) < 0) ||
        connect(fd, (struct sockaddr *)&to, length) < 0) {
        close(fd);
        return -errno;
    }
    return fd;
}

bool matrix_ask(int fd, const char *question, const char *answer)
{
    return harness_say(fd, question) && harness_expect(fd, answer);
}
