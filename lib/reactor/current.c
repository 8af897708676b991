#include "reactor/current.h"

#include <ostler/here.h>

#include "base/hot.h"

_Thread_local struct ost_present ost_present __attribute__((tls_model("initial-exec")));

struct ostler_request *ostler_request_current(void)
{
    return ost_request_current();
}

OST_HOT void ostler_here(const char *place)
{
    ost_set_here(place);
}
