#include "request/current.h"

#include <ostler/here.h>

_Thread_local struct ost_present ost_present;

struct ostler_request *ostler_request_current(void)
{
    return ost_present.request;
}

void ostler_here(const char *place)
{
    ost_present.place = place;
}
