/* Signals, limits, and a worker's tie to its daemon: when that dies, the worker stops as
 * on SIGTERM. The tie has a gap, from the worker's start to prctl(); whether the daemon
 * died in it shows its number, which is no longer our parent's. */
#include "daemon/process.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <ostler/error.h>
#include <ostler/log.h>

#include "daemon/stopper.h"
#include "daemon/worker.h"

static void ignore(int number)
{
    struct sigaction action = { .sa_handler = SIG_IGN };

    sigaction(number, &action, NULL);
}

/* As many connections as the system lets us have. */
static void raise_descriptor_limit(const struct ostler_log *log)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        ostler_log_write(log, OSTLER_LOG_WARNING, "cannot raise the limit of open descriptors: %s",
                         ostler_strerror(errno));
}

/* Where children are ignored (a shell's trap '' CHLD is inherited), the kernel reaps a
 * worker itself, and nobody learns how it ended. */
static void heed_children(void)
{
    struct sigaction chld;

    sigaction(SIGCHLD, NULL, &chld);
    if (chld.sa_handler != SIG_IGN)
        return;
    chld.sa_handler = SIG_DFL;
    sigaction(SIGCHLD, &chld, NULL);
}

/* Executed as /proc/self/exe, the process would be called "exe". And in a process group of its own it is one
 * of the background, which a terminal may stop when it writes there (stty tostop), as its daemon is not. */
static void tie_worker(const struct ost_conf *conf, const char *program)
{
    ignore(SIGTTOU);
    prctl(PR_SET_NAME, program);
    prctl(PR_SET_PDEATHSIG, OST_WORKER_STOP);
    if (getppid() != conf->parent)
        kill(getpid(), OST_WORKER_STOP);
}

void ost_process_prepare(const struct ost_conf *conf, const char *program, const struct ostler_log *log)
{
    sigset_t blocked;

    ignore(SIGPIPE);
    ignore(SIGXFSZ); /* what a full disk is to the log, a limit is, too */
    ost_stopper_list_signals(&blocked);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    if (conf->parent)
        tie_worker(conf, program);
    if (ost_conf_has_held(conf))
        heed_children();
    raise_descriptor_limit(log);
}
