/* The log: formats a line, cleans it, hands it to the sink. The sink for standard
 * error never blocks, since the reactor's thread logs too: a line is at most
 * PIPE_BUF bytes, so poll(2) saying "writable" means that a pipe takes it whole
 * (pipe(7)). A terminal may take a part, and wait for the rest, see log.h; lib/daemon/journal.c
 * is a sink that does not.
 *
 * A handler of a signal may write, too, in the middle of a line of the thread that it interrupts. So
 * there are no locks, nor calls that have some: gmtime_r(3) has, vsnprintf(3) for words and
 * numbers has none. */
#include <ostler/log.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_SIZE = 1001 };

static const struct {
    int level;
    const char *name;
} levels[] = {
    { OSTLER_LOG_ERROR, "error" },
    { OSTLER_LOG_WARNING, "warning" },
    { OSTLER_LOG_INFO, "info" },
    { OSTLER_LOG_DEBUG, "debug" },
};

enum { LEVELS = sizeof(levels) / sizeof(levels[0]) };

const char *ostler_log_level_name(int level)
{
    for (int i = 0; i < LEVELS; i++)
        if (levels[i].level == level)
            return levels[i].name;
    return NULL;
}

int ostler_log_level_parse(const char *word)
{
    for (int i = 0; word && i < LEVELS; i++)
        if (strcmp(levels[i].name, word) == 0)
            return levels[i].level;
    return -EINVAL;
}

struct date {
    long year, month, day; /* from 1 on */
};

/* So many days after 1970-01-01. Years are counted from March on, so that the leap day is their last, and
 * in the 400 that the calendar repeats itself in. */
static struct date date_of(long days)
{
    long since_march_0 = days + 719468, day = since_march_0 % 146097;
    long year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    long day_of_year = day - (365 * year + year / 4 - year / 100), month = (5 * day_of_year + 2) / 153;

    return (struct date){ .year = year + since_march_0 / 146097 * 400 + (month >= 10),
                          .month = month < 10 ? month + 3 : month - 9,
                          .day = day_of_year - (153 * month + 2) / 5 + 1 };
}

static void print_time(char *text, size_t size)
{
    struct timespec now;
    struct date date;
    long second;

    clock_gettime(CLOCK_REALTIME, &now);
    date = date_of(now.tv_sec / 86400);
    second = now.tv_sec % 86400;
    snprintf(text, size, "%04ld-%02ld-%02ldT%02ld:%02ld:%02ld.%03ldZ", date.year, date.month, date.day, second / 3600,
             second / 60 % 60, second % 60, now.tv_nsec / 1000000);
}

/* 0; or -errno: writing would block, or raise SIGPIPE. */
static int check_room(int fd)
{
    struct pollfd pfd = { .fd = fd, .events = POLLOUT };

    if (poll(&pfd, 1, 0) < 1)
        return -EAGAIN;
    return pfd.revents == POLLOUT ? 0 : -EPIPE;
}

static int write_whole(int fd, const char *text, size_t size)
{
    ssize_t n = write(fd, text, size);

    if (n < 0)
        return -errno;
    return (size_t)n < size ? -EAGAIN : 0;
}

int ostler_log_print(int fd, int level, const char *line)
{
    const char *name = ostler_log_level_name(level);
    char text[LINE_SIZE + 96], stamp[64];
    int error = line ? check_room(fd) : -EINVAL;

    if (error < 0)
        return error;
    print_time(stamp, sizeof(stamp));
    snprintf(text, sizeof(text), "%s %s %.*s\n", stamp, name ? name : "log", LINE_SIZE - 1, line);
    return write_whole(fd, text, strlen(text));
}

static void clean(char *line)
{
    for (unsigned char *c = (unsigned char *)line; *c; c++)
        if (*c < ' ' || *c == 0x7f)
            *c = '?';
}

void ostler_log_write(const struct ostler_log *log, int level, const char *format, ...)
{
    int limit = log && log->level ? log->level : OSTLER_LOG_INFO;
    char line[LINE_SIZE];
    va_list arguments;
    int saved = errno;

    if (level > limit)
        return;
    va_start(arguments, format);
    if (vsnprintf(line, sizeof(line), format, arguments) < 0)
        line[0] = '\0';
    va_end(arguments);
    clean(line);
    if (log && log->write)
        log->write(log->user, level, line);
    else
        ostler_log_print(STDERR_FILENO, level, line); /* or there is nobody left to tell */
    errno = saved;
}
