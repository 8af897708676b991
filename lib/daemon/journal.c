/* Standard error, of which nobody waits to be read: the loop's thread logs, and so do handlers of
 * signals (stopper.c). What is not taken at once is lost, but counted, and told before the next line that
 * is taken.
 *
 * A terminal that is no longer read would hold up who writes (ostler/log.h), unless it is
 * opened with O_NONBLOCK. So it is opened anew: standard error itself is shared with who started us and with
 * the programs that handlers start, which may not expect it. Who may not open it writes as
 * before.
 *
 * All this is static: a thread that outlives its server, and is given up on, may still write while the
 * process ends. */
#include "daemon/journal.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <ostler/log.h>

enum { LINE = 1001 };

static struct ostler_log journal;
static char who[24]; /* begins each line: those of several workers are told apart */
static int out = STDERR_FILENO;
static atomic_uint lost;

static int print(int level, const char *line)
{
    char text[LINE];

    snprintf(text, sizeof(text), "%s%s", who, line);
    return ostler_log_print(out, level, text);
}

static int tell_of_lost(unsigned count)
{
    char text[64];

    snprintf(text, sizeof(text), "%u line%s of the log lost", count, count == 1 ? "" : "s");
    return print(OSTLER_LOG_ERROR, text);
}

static void write_line(void *user, int level, const char *line)
{
    unsigned count = atomic_exchange(&lost, 0);

    (void)user;
    if (count > 0 && tell_of_lost(count) < 0)
        atomic_fetch_add(&lost, count + 1);
    else if (print(level, line) < 0)
        atomic_fetch_add(&lost, 1);
}

const struct ostler_log *ost_journal_open(const struct ost_conf *conf)
{
    journal.level = conf->log_level;
    journal.write = write_line;
    if (conf->number > 0)
        snprintf(who, sizeof(who), "worker %d: ", conf->number);
    return &journal;
}

void ost_journal_unblock(void)
{
    int fd = isatty(STDERR_FILENO) ? open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;

    if (fd >= 0)
        out = fd;
}
