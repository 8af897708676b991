/* Standard error, of which nobody waits to be read: the loop's thread logs, and so do handlers of
 * signals (stopper.c). What is not taken at once is lost, but counted, and told before the next line that
 * is taken.
 *
 * A terminal that is no longer read would hold up who writes (ostler/log.h), and so would a pipe that another
 * process has filled since poll(2) said that there is room, unless they are opened with O_NONBLOCK. So they
 * are opened anew: standard error itself is shared with who started us and with the programs that handlers
 * start, which may not expect it. Who may not open it writes as before.
 *
 * The count is shared with the children that serve requests: whoever writes next tells what any of them has lost,
 * and nobody tells it again.
 *
 * All this is static, or for ever: a thread that outlives its server, and is given up on, may still write while
 * the process ends. */
#include "daemon/journal.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ostler/log.h>

enum { LINE = 1001 };

static struct ostler_log journal;
static char who[24]; /* begins each line: those of several workers are told apart */
static int out = STDERR_FILENO;
static atomic_uint own;
static atomic_uint *lost = &own;

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
    unsigned count = atomic_exchange(lost, 0);

    (void)user;
    if (count > 0 && tell_of_lost(count) < 0)
        atomic_fetch_add(lost, count + 1);
    else if (print(level, line) < 0)
        atomic_fetch_add(lost, 1);
}

/* Without memory for that each process has a count of its own. */
static void share_count(void)
{
    void *memory = mmap(NULL, sizeof(*lost), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory != MAP_FAILED)
        lost = memory;
}

const struct ostler_log *ost_journal_open(const struct ost_conf *conf)
{
    journal.level = conf->log_level;
    journal.write = write_line;
    if (lost == &own)
        share_count();
    if (conf->number > 0)
        snprintf(who, sizeof(who), "worker %d: ", conf->number);
    return &journal;
}

static bool may_block(void)
{
    struct stat st;

    return fstat(STDERR_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode));
}

void ost_journal_unblock(void)
{
    int fd = may_block() ? open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;

    if (fd >= 0)
        out = fd;
}
