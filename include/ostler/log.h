/** The log: a level and a sink. There is no process-wide log; a reactor carries
 *  one, and its servers write to it. */
#ifndef OSTLER_LOG_H
#define OSTLER_LOG_H

#include <ostler/version.h>

OSTLER_BEGIN

/** Levels carry the numbers of syslog(3), so a sink can hand them on. */
enum ostler_log_level {
    OSTLER_LOG_ERROR = 3,   /* something failed; someone should look */
    OSTLER_LOG_WARNING = 4, /* works on, but not as asked */
    OSTLER_LOG_INFO = 6,    /* start, stop, a limit reached */
    OSTLER_LOG_DEBUG = 7    /* every connection, every error that a peer caused */
};

/** Where lines go. write gets one line at a time, without a newline; it runs on
 *  whatever thread has something to say, the reactor's too: it must be
 *  thread-safe and must not block. */
struct ostler_log {
    int level;                                                 /* lines above it are dropped; 0: info */
    void (*write)(void *user, int level, const char *line); /* NULL: standard error */
    void *user;
};

/** Write one line, cut at 1,000 bytes, if log's level admits it. A NULL log
 *  writes to standard error from info on. Control characters, which a peer may
 *  have sent, come out as '?'. On standard error a line is dropped when writing
 *  it would block, see ostler_log_print(). Thread: any; a handler of a signal, too, if the sink allows
 *  it: standard error does. */
OSTLER_API void ostler_log_write(const struct ostler_log *log, int level, const char *format, ...) OSTLER_PRINTF(3, 4);

/** Write one line to a descriptor as it is written to standard error, after the time and the level:
 *  for sinks. Return 0; -EAGAIN when it is lost, since writing it would block (a pipe that nobody
 *  reads); or another -errno. Of a terminal that nobody reads the kernel says that there is room when there is
 *  for a part: without O_NONBLOCK (which holds for all who have it from the same open(2)) this waits then,
 *  with it that part is written. Thread: any; a handler of a signal, too. */
OSTLER_API int ostler_log_print(int fd, int level, const char *line);

/** The word for a level ("error", "warning", "info", "debug"), or NULL. */
OSTLER_API const char *ostler_log_level_name(int level);

/** The level that word names, or -EINVAL. */
OSTLER_API int ostler_log_level_parse(const char *word);

OSTLER_END

#endif
