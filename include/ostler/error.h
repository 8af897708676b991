/** Errors. Every function that can fail returns 0 (or a count) on success and a
 *  negative errno value on failure; outputs are written on success only. */
#ifndef OSTLER_ERROR_H
#define OSTLER_ERROR_H

#include <ostler/version.h>

OSTLER_BEGIN

/** Describe error, which may be an errno value of either sign, or 0.
 *  Static text, never NULL. Thread: any. */
OSTLER_API const char *ostler_strerror(int error);

OSTLER_END

#endif
