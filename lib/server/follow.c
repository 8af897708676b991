/* A server in a process that the program itself has forked: threads are not there, so what their handlers did goes on
 * in the parent alone. Here it is closed, without a word to the peer, whose connection is the parent's, too. */
#include <errno.h>

#include "request/stream.h"
#include "server/server.h"

/* One that has ended is about to be seen. */
static bool is_in_thread(const struct ostler_request *r)
{
    const struct ost_stream *s = ost_stream_of(r);

    return s && r->counted && !s->parker && !r->in_child && ost_list_is_empty(&r->job.node);
}

/* Who waits for a place gets one when the reactor runs: perhaps this process only frees it. */
static void give_places_later(struct ostler_server *s)
{
    if (!ost_list_is_empty(&s->waiting))
        ost_timer_set(&s->retry_timer, s->owner.reactor, ost_reactor_refresh(s->owner.reactor));
}

void ost_server_follow(struct ost_holder *holder)
{
    struct ostler_server *s = OST_CONTAINER(holder, struct ostler_server, holder);
    struct ost_list *node, *next;

    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->left, NULL);
    s->waiters = 0; /* threads in ostler_server_shutdown() */
    s->filling = true;
    OST_LIST_EACH(node, next, &s->owner.requests) {
        struct ostler_request *r = OST_CONTAINER(node, struct ostler_request, node);

        if (!is_in_thread(r))
            continue;
        ost_request_blame(r, OSTLER_CLOSE_STOPPED, -ECANCELED);
        ost_request_close_now(r);
    }
    s->filling = false;
    give_places_later(s);
}
