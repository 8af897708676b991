#include "request/current.h"

#include <ostler/here.h>

/* Found without a call, in a library that was loaded later too: glibc keeps room for a few. */
#define THREAD_LOCAL static _Thread_local __attribute__((tls_model("initial-exec")))

THREAD_LOCAL struct ostler_request *current;
THREAD_LOCAL const char *here;

struct ostler_request *ost_request_current(void)
{
    return current;
}

struct ostler_request *ostler_request_current(void)
{
    return current;
}

void ost_request_set_current(struct ostler_request *r)
{
    current = r;
}

void ostler_here(const char *place)
{
    here = place;
}

const char *ost_here(void)
{
    return here;
}
