/* The log: formats a line, cleans it, hands it to the sink. The sink for standard
 * error never blocks, since the reactor's thread logs too: a line is at most
 * PIPE_BUF bytes, so poll(2) saying "writable" means that a pipe takes it whole
 * (pipe(7)). */
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

static void write_stderr(int level, const char *line)
{
    const char *name = ostler_log_level_name(level);
    char text[LINE_SIZE + 64], stamp[32];
    struct pollfd pfd = { .fd = STDERR_FILENO, .events = POLLOUT };
    struct timespec now;
    struct tm tm;
    int n;

    clock_gettime(CLOCK_REALTIME, &now);
    strftime(stamp, sizeof(stamp), "%FT%T", gmtime_r(&now.tv_sec, &tm));
    n = snprintf(text, sizeof(text), "%s.%03ldZ %s %s\n", stamp, now.tv_nsec / 1000000, name ? name : "log", line);
    if (n < 0 || poll(&pfd, 1, 0) < 1 || pfd.revents != POLLOUT)
        return; /* it would block, or raise SIGPIPE */
    if (write(STDERR_FILENO, text, (size_t)n) < 0)
        return; /* there is nobody left to tell */
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
        write_stderr(level, line);
    errno = saved;
}
