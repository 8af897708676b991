/* --ready-fd: one way for tests, scripts and supervisors to learn that connections
 * are taken, and at which ports. The text leaves in one piece if it can. */
#include "daemon/ready.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <ostler/address.h>
#include <ostler/server.h>

static void print_server(FILE *out, const struct ostler_server *server)
{
    const struct ostler_address *address;
    char text[OSTLER_ADDRESS_TEXT];

    for (size_t i = 0; (address = ostler_server_address(server, i)); i++)
        if (ostler_address_text(address, text, sizeof(text)) > 0)
            fprintf(out, "%s %s\n", ostler_server_name(server), text);
}

/* The whole text into *out, to be freed. */
static int compose(char **out, size_t *size, struct ostler_server *const *servers, size_t count)
{
    FILE *stream = open_memstream(out, size);

    if (!stream)
        return -errno;
    for (size_t i = 0; i < count; i++)
        print_server(stream, servers[i]);
    fprintf(stream, "ready\n");
    if (fclose(stream) == 0)
        return 0;
    free(*out);
    return -ENOMEM;
}

static int wait_writable(int fd)
{
    struct pollfd pfd = { .fd = fd, .events = POLLOUT };

    return poll(&pfd, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

static int write_all(int fd, const char *text, size_t size)
{
    int error = 0;

    while (size > 0 && error == 0) {
        ssize_t n = write(fd, text, size);

        if (n >= 0) {
            text += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN) {
            error = wait_writable(fd);
        } else if (errno != EINTR) {
            error = -errno;
        }
    }
    return error;
}

/* Standard output stays open, to nowhere: else a socket would become it. */
static void close_ready(int fd)
{
    int null = fd == STDOUT_FILENO ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;

    if (null >= 0) {
        dup2(null, fd);
        close(null);
    } else {
        close(fd);
    }
}

int ost_ready_announce(int fd, struct ostler_server *const *servers, size_t count)
{
    char *text;
    size_t size;
    int error;

    if (fd < 0)
        return 0;
    error = compose(&text, &size, servers, count);
    if (error == 0) {
        error = write_all(fd, text, size);
        free(text);
    }
    close_ready(fd);
    return error;
}
