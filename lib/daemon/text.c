/* Reads the file before libconfig sees it. libconfig would wait for ever at a
 * pipe, take over 10 s for a word of 100 MB, and silently cut a line at a NUL; so a
 * regular file of bounded size without NULs is what it gets. The newline at the end
 * is ours: libconfig takes a comment without one for a syntax error. */
#include "daemon/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ostler/error.h>

static int fail(struct ost_report *report, int error)
{
    ost_report(report, 0, "cannot be read: %s", ostler_strerror(error));
    return error;
}

/* Is fd a file that can be read to an end? */
static int check_kind(int fd, struct ost_report *report)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return fail(report, -errno);
    if (S_ISREG(st.st_mode))
        return 0;
    ost_report(report, 0, "is %s; a configuration is a regular file",
               S_ISDIR(st.st_mode) ? "a directory" : "a device, a pipe or a socket");
    return -EINVAL;
}

/* Read until the end, or until size bytes are there; the count or -errno. */
static ssize_t read_all(int fd, char *buffer, size_t size)
{
    size_t have = 0;

    while (have < size) {
        ssize_t n = read(fd, buffer + have, size - have);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

static unsigned count_lines(const char *text, const char *end)
{
    unsigned lines = 1;

    while ((text = memchr(text, '\n', (size_t)(end - text)))) {
        lines++;
        text++;
    }
    return lines;
}

static int check_content(const char *text, size_t size, struct ost_report *report)
{
    const char *nul = memchr(text, '\0', size);

    if (size > OST_TEXT_MAX) {
        ost_report(report, 0, "is larger than %d bytes, the most that a configuration may have", OST_TEXT_MAX);
        return -EFBIG;
    }
    if (!nul)
        return 0;
    ost_report(report, count_lines(text, nul), "there is a NUL byte in this line; a configuration is plain text");
    return -EINVAL;
}

static int read_text(int fd, char *text, struct ost_report *report)
{
    ssize_t n;
    int error = check_kind(fd, report);

    if (error < 0)
        return error;
    n = read_all(fd, text, OST_TEXT_MAX + 1);
    if (n < 0)
        return fail(report, (int)n);
    text[n] = '\n';
    text[n + 1] = '\0';
    return check_content(text, (size_t)n, report);
}

/* A configuration is kept as long as it runs, and most have a thousandth of what one may have. */
static char *trim(char *text)
{
    char *exact = realloc(text, strlen(text) + 1);

    return exact ? exact : text;
}

int ost_text_read(char **out, struct ost_report *report)
{
    /* NONBLOCK: opening a pipe that nobody writes to must not wait. */
    int fd = open(report->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char *text;
    int error;

    if (fd < 0)
        return fail(report, -errno);
    text = malloc(OST_TEXT_MAX + 3);
    error = text ? read_text(fd, text, report) : -ENOMEM;
    close(fd);
    if (error < 0)
        free(text);
    else
        *out = trim(text);
    return error;
}
