/* ostler_post_to(): a message to a connection, from any thread, that is lost when the
 * connection has gone. */
#include <errno.h>
#include <stdlib.h>

#include "reactor/names.h"
#include "request/conn.h"
#include "request/stall.h"

struct message {
    struct ostler_request_ref id;
    void (*function)(struct ostler_conn *conn, void *arg);
    void *arg;
    void (*release)(void *arg);
};

static void deliver(void *arg)
{
    struct message *m = arg;
    struct ostler_request *r = ost_name_find(m->id.reactor, m->id.serial);
    struct ost_hold hold;

    if (!r || !r->is_conn)
        return;
    ost_stall_begin(&hold, r->owner, r);
    m->function(&OST_CONTAINER(r, struct ost_conn, request)->base, m->arg);
    ost_stall_end(r->owner, r, "a function posted to it");
}

static void release(void *arg)
{
    struct message *m = arg;

    if (m->release)
        m->release(m->arg);
    free(m);
}

int ostler_post_to(struct ostler_request_ref id, void (*function)(struct ostler_conn *conn, void *arg), void *arg,
                   void (*release_arg)(void *arg))
{
    struct message *m;
    int error;

    if (!id.reactor || !function)
        return -EINVAL;
    m = malloc(sizeof(*m));
    if (!m)
        return -ENOMEM;
    *m = (struct message){ id, function, arg, release_arg };
    error = ost_reactor_post_release(id.reactor, deliver, m, release);
    if (error < 0)
        free(m);
    return error;
}
