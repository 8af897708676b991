/** Where a handler waits. Every function that may wait stands behind a macro of its own
 *  name, which notes the file and the line of the call before it makes it; the list of
 *  live requests (ostler_reactor_log_requests()) shows them. The functions can be
 *  called without: (ostler_stream_read)(…), by their address, from other languages, or
 *  everywhere with OSTLER_NO_HERE defined; then the list shows the last place that was
 *  noted. The note costs two instructions or three a call. In C++, behind a ::, the
 *  macro does not compile: leave the :: out, or write (::ostler_stream_read)(…). */
#ifndef OSTLER_HERE_H
#define OSTLER_HERE_H

#include <ostler/version.h>

OSTLER_BEGIN

#define OSTLER_TEXT_OF(token) #token
#define OSTLER_PLACE(file, line) file ":" OSTLER_TEXT_OF(line)

/** This place, as "FILE:LINE": a string literal. */
#define OSTLER_HERE OSTLER_PLACE(__FILE__, __LINE__)

/** Note where the calling thread or fiber is: static text, or NULL. Thread: any. */
OSTLER_API void ostler_here(const char *place);

/** Call function with the arguments that follow it, from here. */
#define OSTLER_FROM_HERE(function, ...) (ostler_here(OSTLER_HERE), (function)(__VA_ARGS__))

OSTLER_END

#endif
