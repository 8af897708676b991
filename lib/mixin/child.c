/* The child has one thread, which runs one handler and waits in the kernel, as a thread
 * of the threading mix-in does. The reactor it comes from is its parent's: its libevent
 * base is left alone, since epoll_ctl(2) here would change what the parent watches.
 *
 * It says SHUT_WR itself: the parent holds the descriptor too, so that its end alone
 * would tell the peer nothing. And it ends by _exit(2): what the program wanted to do at
 * its exit, and what stands in its stdio buffers, is the parent's. */
#include "mixin/child.h"

#include <pthread.h>
#include <unistd.h>

#include "base/hot.h"
#include "base/kinds.h"
#include "request/relay.h"
#include "request/run.h"

static bool is_caught(int number)
{
    struct sigaction action;

    return sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN && action.sa_handler != SIG_DFL;
}

int ost_legacy_take_stock(struct ost_legacy *legacy, struct ostler_reactor *reactor)
{
    legacy->catches = false;
    sigemptyset(&legacy->caught);
    for (int number = 1; number < NSIG; number++) {
        if (is_caught(number)) {
            sigaddset(&legacy->caught, number);
            legacy->catches = true;
        }
    }
    ost_closing_clear(&legacy->closing);
    ost_reactor_name_descriptors(reactor, &legacy->closing);
    return legacy->closing.error;
}

/* What the program catches would be caught here by code that takes this for the program:
 * libevent's handlers write to a socket that the parent reads. */
static void reset_signals(const struct ost_legacy *legacy, const sigset_t *mask)
{
    for (int number = 1; number < NSIG; number++)
        if (sigismember(&legacy->caught, number) > 0)
            sigaction(number, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
    pthread_sigmask(SIG_SETMASK, mask, NULL);
}

OST_HOT noreturn void ost_child_run(struct ost_stream *s, const struct ost_legacy *legacy, const sigset_t *mask)
{
    struct ostler_request *r = &s->request;
    struct ost_owner *owner = r->owner;
    int result;

    ost_closing_close(&legacy->closing, r->watch.fd);
    ost_kinds_reset();
    ost_reactor_leave();
    if (legacy->catches)
        reset_signals(legacy, mask);
    result = ost_request_perform(s);
    if (result != OSTLER_PARK && ost_relay_end(s->relay))
        ost_request_class(r)->shutdown_request(owner->server, r);
    ost_relay_report(s->relay, s, result);
    _exit(result < 0 ? 1 : 0);
}
