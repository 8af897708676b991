#include <ostler/version.h>

const char *ostler_version(void)
{
    return OSTLER_VERSION;
}
