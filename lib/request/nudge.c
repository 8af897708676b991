#include "request/nudge.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "request/relay.h"
#include "request/stream.h"

static void ignore(int number)
{
    (void)number;
}

/* Catch it from now on, and keep it out but when it is asked for. */
static void prepare(struct ostler_request *r)
{
    struct sigaction action = { .sa_handler = ignore };
    sigset_t urgent;

    if (!ost_relay_listen(OST_CONTAINER(r, struct ost_stream, request)->relay))
        return; /* that was done */
    sigemptyset(&urgent);
    sigaddset(&urgent, SIGURG);
    pthread_sigmask(SIG_BLOCK, &urgent, NULL);
    sigaction(SIGURG, &action, NULL);
}

int ost_nudge_poll(struct ostler_request *r, struct pollfd *polled, size_t n, int ms)
{
    struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
    sigset_t mask;

    prepare(r);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    sigdelset(&mask, SIGURG);
    if (ost_request_is_cancelled(r)) {
        errno = EINTR;
        return -1;
    }
    return ppoll(polled, n, ms < 0 ? NULL : &time, &mask);
}

void ost_nudge(const struct ostler_request *r)
{
    pid_t child = OST_CONTAINER(r, struct ost_stream, request)->child;

    if (child > 0 && ost_relay_listens(OST_CONTAINER(r, struct ost_stream, request)->relay))
        kill(child, SIGURG);
}
