/* A stdio stream over a socket object.
 *
 * One that both reads and writes has one buffer in stdio, which holds either input or output. To go
 * over from input that was not used up to output, glibc seeks back by the rest, once there is
 * something to be written. So there is a second buffer here: it keeps what stdio was given last,
 * and such a seek gives that back, to be read again afterwards. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "socket/object.h"

enum { INPUT = 8192 };

struct file {
    struct ostler_socket *socket;
    size_t used, count; /* of input */
    char input[];       /* INPUT bytes, if it also writes */
};

static ssize_t tell(ssize_t result)
{
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

static ssize_t read_through(void *cookie, char *buffer, size_t n)
{
    const struct file *f = cookie;

    return tell(ostler_socket_recv(f->socket, buffer, n, 0));
}

static ssize_t fill(struct file *f)
{
    ssize_t got = ostler_socket_recv(f->socket, f->input, INPUT, 0);

    if (got > 0) {
        f->used = 0;
        f->count = (size_t)got;
    }
    return got;
}

static ssize_t read_kept(void *cookie, char *buffer, size_t n)
{
    struct file *f = cookie;
    ssize_t got = f->used == f->count ? fill(f) : 1;

    if (got <= 0)
        return tell(got);
    n = n < f->count - f->used ? n : f->count - f->used;
    memcpy(buffer, f->input + f->used, n);
    f->used += n;
    return (ssize_t)n;
}

/* To seek back by what was not used, or to where it is; there are no positions. */
static int give_back(void *cookie, off64_t *offset, int whence)
{
    struct file *f = cookie;

    if (whence != SEEK_CUR || *offset > 0 || -*offset > (off64_t)f->used) {
        errno = ESPIPE;
        return -1;
    }
    f->used -= (size_t)-*offset;
    *offset = 0;
    return 0;
}

/* All or nothing: what did not leave is lost, and stdio makes an error of the 0. */
static ssize_t write_through(void *cookie, const char *data, size_t n)
{
    const struct file *f = cookie;
    int error = ostler_socket_sendall(f->socket, data, n, 0);

    return tell(error) < 0 ? 0 : (ssize_t)n;
}

static int close_file(void *cookie)
{
    free(cookie);
    return 0;
}

/* "r" and "w" in any order, and perhaps "b". */
static bool is_mode(const char *mode)
{
    size_t n = strlen(mode);

    if (n > 3 || strspn(mode, "rwb") != n || !strpbrk(mode, "rw"))
        return false;
    for (size_t i = 0; i < n; i++)
        if (strchr(mode + i + 1, mode[i]))
            return false;
    return true;
}

static int open_file(struct ostler_socket *s, FILE **out, bool reads, bool writes)
{
    cookie_io_functions_t functions = {
        .read = reads && writes ? read_kept : read_through,
        .write = write_through,
        .seek = reads && writes ? give_back : NULL,
        .close = close_file,
    };
    struct file *f = malloc(sizeof(*f) + (reads && writes ? INPUT : 0));
    FILE *file;

    if (!f)
        return -ENOMEM;
    *f = (struct file){ .socket = s };
    file = fopencookie(f, reads && writes ? "r+" : reads ? "r" : "w", functions);
    if (!file) {
        free(f);
        return -ENOMEM;
    }
    *out = file;
    return 0;
}

int ostler_socket_makefile(struct ostler_socket *s, FILE **out, const char *mode)
{
    int error = out && mode ? ost_object_check(s) : -EINVAL;

    if (error < 0)
        return error;
    if (s->type != SOCK_STREAM || !is_mode(mode))
        return -EINVAL;
    return open_file(s, out, strchr(mode, 'r'), strchr(mode, 'w'));
}
