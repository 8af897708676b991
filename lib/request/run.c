/* ostler_request_run(): finish_request and handle_error where the mix-in wants them
 * to run, and the report to the reactor that they are over. */
#include "request/run.h"

#include <ostler/sys/mixin.h>

#include "base/hot.h"
#include "request/stall.h"

static void on_ended(struct ost_job *job)
{
    struct ostler_request *r = OST_CONTAINER(job, struct ostler_request, job);

    ost_watch_set(&r->watch, 0);
    ost_request_close(r);
}

static void on_parked(struct ost_job *job)
{
    struct ostler_request *r = OST_CONTAINER(job, struct ostler_request, job);

    r->owner->parked(r->owner, r);
}

void ost_request_report(struct ost_stream *s, int result)
{
    struct ostler_request *r = &s->request;

    r->job.run = result == OSTLER_PARK ? on_parked : on_ended;
    if (s->parker || ostler_reactor_is_current(r->owner->reactor))
        ost_reactor_soon(r->owner->reactor, &r->job);
    else
        ost_reactor_post_job(r->owner->reactor, &r->job);
}

/* Why the connection will be closed. */
OST_HOT static void blame(struct ost_stream *s, int error)
{
    struct ostler_request *r = &s->request;
    enum ostler_close_reason reason = ost_request_reason(error);

    if (reason == OSTLER_CLOSE_TIMEOUT && s->deadline != OST_NEVER && ost_clock_ms() >= s->deadline)
        reason = OSTLER_CLOSE_DEADLINE;
    if (reason == OSTLER_CLOSE_DONE && r->eof)
        reason = OSTLER_CLOSE_PEER;
    ost_request_blame(r, reason, error);
}

void ost_request_fail(struct ost_stream *s, int error)
{
    struct ost_owner *owner = s->request.owner;

    blame(s, error);
    ost_request_class(&s->request)->handle_error(owner->server, &s->request, error);
}

void ost_request_abandon(struct ost_stream *s, int error)
{
    ost_request_set_current(NULL);
    if (error < 0)
        ost_request_fail(s, error);
    else
        blame(s, 0);
    ost_request_report(s, error);
}

OST_HOT int ost_request_perform(struct ost_stream *s)
{
    struct ostler_request *r = &s->request;
    int result;

    ost_request_set_current(r);
    ost_set_here(NULL);
    result = ost_request_class(r)->finish_request(r->owner->server, r);
    if (result > 0 && result != OSTLER_PARK)
        result = 0;
    if (result < 0)
        ost_request_fail(s, result);
    else if (result == 0)
        blame(s, 0);
    ost_request_set_current(NULL);
    return result;
}

static void run(struct ost_stream *s)
{
    ost_request_report(s, ost_request_perform(s));
}

/* Inline: waiting is turning the reactor. Meanwhile the loop is not the handler's. */
static void park_inline(struct ost_stream *s)
{
    struct ost_owner *owner = s->request.owner;
    struct ost_hold *hold = owner->reactor->hold;

    ost_request_set_current(NULL);
    ost_stall_end_stream(s);
    if (ost_reactor_turn(owner->reactor) < 0)
        ost_request_cancel(&s->request);
    ost_stall_begin(hold, owner, &s->request);
}

static void unpark_inline(struct ost_stream *s)
{
    (void)s; /* park_inline() comes back by itself */
}

static const struct ost_parker inline_parker = { park_inline, unpark_inline };

/* It may be within another handler, which frees the server. */
static void run_inline(struct ost_job *job)
{
    struct ost_stream *s = OST_CONTAINER(job, struct ost_stream, request.job);
    struct ost_present outer = ost_present;
    struct ost_hold hold;

    ost_stall_begin(&hold, s->request.owner, &s->request);
    run(s);
    ost_stall_end_stream(s);
    ost_present = outer;
}

void ostler_request_run(struct ostler_request *r)
{
    struct ost_stream *s = OST_CONTAINER(r, struct ost_stream, request);

    if (s->parker || !ostler_reactor_is_current(r->owner->reactor)) {
        run(s);
        return;
    }
    s->parker = &inline_parker;
    r->job.run = run_inline;
    ost_reactor_main(r->owner->reactor, &r->job);
}
