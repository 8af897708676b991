/* A file to a socket object, without a detour through the program. */
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/socket.h"
#include "socket/call.h"

/* Bytes at a time: where others are to have a turn in between, and elsewhere, where a sum with the
 * offset must not overflow. */
enum { TURN = 262144, MOST = 1 << 30 };

struct send_file {
    struct ost_call call;
    int file;
    off_t *offset;
    size_t n;
};

static ssize_t send_part(const struct ostler_socket *s, const struct send_file *f, size_t most)
{
    return ost_socket_send_file(s->fd, f->file, f->offset, f->n < most ? f->n : most);
}

/* Whoever else uses the descriptor meanwhile waits elsewhere when a call of his comes back. */
static ssize_t send_now(struct ostler_socket *s, const struct send_file *f)
{
    ssize_t sent = ost_socket_set_blocking(s->fd, false);
    int error;

    if (sent < 0)
        return sent;
    sent = send_part(s, f, TURN);
    error = ost_socket_set_blocking(s->fd, s->request || s->timeout_ms != 0);
    return sent >= 0 && error < 0 ? error : sent;
}

/* An error may be the file's, and then the connection is still a good one. */
static bool concerns_connection(ssize_t sent)
{
    return sent >= 0 || ost_request_reason((int)sent) != OSTLER_CLOSE_ERROR;
}

static ssize_t send_once(struct ostler_socket *s, const struct ost_call *call, int flags)
{
    const struct send_file *f = OST_CONTAINER(call, const struct send_file, call);
    ssize_t sent = flags & MSG_DONTWAIT ? send_now(s, f) : send_part(s, f, MOST);

    return s->request && concerns_connection(sent) ? ost_request_sent(s->request, sent) : sent;
}

/* 0, or what is wrong with the call. */
static int check(const struct ostler_socket *s, int file, off_t offset, size_t count)
{
    struct stat about;
    int error = ost_object_check(s);

    if (error < 0)
        return error;
    if (s->type != SOCK_STREAM || offset < 0 || count > SSIZE_MAX)
        return -EINVAL;
    if (fstat(file, &about) < 0)
        return -errno;
    return S_ISREG(about.st_mode) ? 0 : -EINVAL;
}

off_t ostler_socket_sendfile(struct ostler_socket *s, int file, off_t offset, size_t count)
{
    off_t at = offset;
    struct send_file f = { { send_once, OST_WRITE, 0 }, file, &at, count > 0 ? count : SSIZE_MAX };
    int error = check(s, file, offset, count);
    uint64_t due = error < 0 ? 0 : ost_object_due(s);
    ssize_t sent = 1;

    if (error < 0)
        return error;
    while (sent > 0 && f.n > 0) {
        sent = ost_call_until(s, &f.call, due);
        if (sent > 0)
            f.n -= (size_t)sent;
    }
    if (sent < 0)
        lseek(file, at, SEEK_SET);
    return sent < 0 ? sent : at - offset;
}
