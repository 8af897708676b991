/* What the calling thread does just now: whose handler it runs, and from where that has
 * called us. A fiber that waits takes both along, and gets them back (wait.c). Who lets another handler go
 * on, or runs a reactor inside of one, is himself again afterwards (fibers.c, run.c, reactor.c). */
#ifndef OST_REACTOR_CURRENT_H
#define OST_REACTOR_CURRENT_H

#include <ostler/request.h>

struct ost_present {
    struct ostler_request *request;
    const char *place; /* static text, or NULL */
};

/* Found without a call, in a library that was loaded later too: glibc keeps room for a few. */
extern _Thread_local struct ost_present ost_present __attribute__((tls_model("initial-exec")));

/* The request that the calling thread or fiber runs the handler of, or NULL. */
static inline struct ostler_request *ost_request_current(void)
{
    return ost_present.request;
}

static inline void ost_request_set_current(struct ostler_request *request)
{
    ost_present.request = request;
}

/* The place of the call that is being made: static text, or NULL. */
static inline const char *ost_here(void)
{
    return ost_present.place;
}

static inline void ost_set_here(const char *place)
{
    ost_present.place = place;
}

#endif
