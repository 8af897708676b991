/** For authors of mix-ins. */
#ifndef OSTLER_SYS_MIXIN_H
#define OSTLER_SYS_MIXIN_H

#include <stddef.h>

#include <ostler/mixin.h>
#include <ostler/request.h>
#include <ostler/server.h>
#include <ostler/version.h>

OSTLER_BEGIN

struct ostler_reactor;

/** Thread of all slots: the reactor's. */
struct ostler_mixin {
    const char *name; /* the word in a configuration file */
    size_t size;      /* bytes of state, zeroed for you */

    /** Get ready. After a failure close is not called. Return how many requests may run at once (>= 1), or -errno. The
     *  server never has more running. options are the server's, defaults filled in
     *  but for max_requests. */
    int (*open)(void *state, const struct ostler_server_options *options, struct ostler_reactor *reactor);

    /** Let ostler_request_run(request) be called, now or later, on any thread. 0, or
     *  -errno: then the request is still the server's, which closes it; or, for want of a
     *  thread, a process, memory or descriptors (-EAGAIN, -ENOMEM, -EMFILE, -ENFILE), lets it
     *  wait and hands it over again: when another one has ended, or a moment later. */
    int (*process)(void *state, struct ostler_request *request);

    /** Give everything back; return when nothing runs any more. A request that was handed
     *  over and has not run yet must still be run: its reads and writes fail at once. */
    void (*close)(void *state);

    /** End a request that still runs after it was cut off, by force: 0 when its end is sure
     *  to be reported now; -ENOTSUP. May be NULL: nothing can be done about it. */
    int (*kill)(void *state, struct ostler_request *request);
};

/** Run the server's finish_request for the request, and handle_error if it fails.
 *  Consumes the request: its end is reported to the reactor. Thread: any. On the
 *  reactor's own thread outside a fiber it runs inline. */
OSTLER_API void ostler_request_run(struct ostler_request *request);

OSTLER_END

#endif
