/** The version, at compile time and at run time, and the linkage macros that
 *  every public header uses. */
#ifndef OSTLER_VERSION_H
#define OSTLER_VERSION_H

#define OSTLER_VERSION_MAJOR 0
#define OSTLER_VERSION_MINOR 1
#define OSTLER_VERSION_PATCH 0
#define OSTLER_VERSION "0.1.0"

#ifdef __cplusplus
#define OSTLER_BEGIN extern "C" {
#define OSTLER_END }
#else
#define OSTLER_BEGIN
#define OSTLER_END
#endif

#define OSTLER_API __attribute__((__visibility__("default")))
#define OSTLER_PRINTF(position, first) __attribute__((__format__(__printf__, position, first)))

OSTLER_BEGIN

/** The version of the library that runs, as "MAJOR.MINOR.PATCH". Static text. */
OSTLER_API const char *ostler_version(void);

OSTLER_END

#endif
