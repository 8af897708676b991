/** The reactor: one libevent loop, run by one thread. It delivers every accept
 *  and all readiness, and runs timers, signals and posted functions.
 *
 *  Thread: the reactor belongs to the thread that runs it (before the first run,
 *  to the one that made it). What may be called from elsewhere says "any". */
#ifndef OSTLER_REACTOR_H
#define OSTLER_REACTOR_H

#include <stdbool.h>

#include <ostler/log.h>
#include <ostler/version.h>

OSTLER_BEGIN

struct ostler_reactor;
struct ostler_timer;
struct ostler_signal;

/** No limit, wherever a time in milliseconds is asked for. */
#define OSTLER_NEVER (-1L)

/** Make a reactor. log is borrowed and must outlive it; NULL: standard error.
 *  -ENOMEM, -EMFILE or another -errno.
 *
 *  In a process that the program itself forks, as daemon(3) does, it may be run and freed, and so may
 *  signals and servers be made, started, stopped, closed and freed: it gets an epoll set of its own then, in
 *  place of the inherited one, and the parent's goes on as it was. A run that is under way is the parent's: a
 *  child that a callback or handler has forked does not return into it. What was posted and has not run yet
 *  does so in both. Threads of the parent are not there, and what handlers do in them goes on in the parent
 *  alone. Other connections that were open are in both: who ends them, as ostler_server_free() does, ends
 *  them for the other. */
OSTLER_API int ostler_reactor_new(struct ostler_reactor **out, const struct ostler_log *log);

/** Free a reactor that does not run, after everything on it. NULL is fine. */
OSTLER_API void ostler_reactor_free(struct ostler_reactor *reactor);

/** Run until ostler_reactor_stop() or _abort(), and until every server on the
 *  reactor has stopped. A stop asked for before the run still ends it. Return 0;
 *  -EBUSY when it runs already; -EIO when libevent failed; -ETIMEDOUT when a
 *  server gave up on requests that did not end (see ostler_server_stop()). */
OSTLER_API int ostler_reactor_run(struct ostler_reactor *reactor);

/** Stop gracefully: every server on the reactor that serves, or has an outgoing connection or a request that
 *  ostler_server_handle_request() has left, stops as ostler_server_stop() says, then
 *  ostler_reactor_run() returns. Others may start in a later run. Thread: any, and a handler of a signal. */
OSTLER_API int ostler_reactor_stop(struct ostler_reactor *reactor);

/** Stop at once: what the time-out of a graceful stop does to a server, now.
 *  Thread: any, and a handler of a signal. */
OSTLER_API int ostler_reactor_abort(struct ostler_reactor *reactor);

/** Busy polling: before the loop sleeps, let it look for readiness for up to us microseconds
 *  (at most 1,000,000; 0, the default: it sleeps at once), as long as that pays: when
 *  requests come quickly they are answered without the wake-up of a thread, which takes longer
 *  than most of them; when they don't, it costs nothing. Thread: the reactor's. -EINVAL. */
OSTLER_API int ostler_reactor_set_busy_poll(struct ostler_reactor *reactor, long us);

/** Run function(arg) on the reactor's thread, after what was posted before it.
 *  What is still unrun when the reactor is freed never runs. -ENOMEM, -EINVAL. One that
 *  takes over 100 ms, or a timer or signal that does, is a warning in the log, once a second at most.
 *  Thread: any. */
OSTLER_API int ostler_reactor_post(struct ostler_reactor *reactor, void (*function)(void *arg), void *arg);

/** Is this the thread that the reactor belongs to? Thread: any. */
OSTLER_API bool ostler_reactor_is_current(const struct ostler_reactor *reactor);

/** The log that was given to ostler_reactor_new(), perhaps NULL. */
OSTLER_API const struct ostler_log *ostler_reactor_log(const struct ostler_reactor *reactor);

/** A one-shot timer, not yet started. function runs on the reactor's thread and
 *  may start, stop or free its timer. */
OSTLER_API int ostler_timer_new(struct ostler_timer **out, struct ostler_reactor *reactor,
                                void (*function)(void *user), void *user);
OSTLER_API void ostler_timer_free(struct ostler_timer *timer); /* NULL is fine */

/** Let it fire once, ms milliseconds (0 or more) from now; a timer that was
 *  started already is started anew. Thread: the reactor's. */
OSTLER_API int ostler_timer_start(struct ostler_timer *timer, long ms);
OSTLER_API int ostler_timer_stop(struct ostler_timer *timer);

/** Run function on the reactor's thread after signal number arrived; several
 *  arrivals may become one call. Of several watchers of a signal each is called. The
 *  previous disposition comes back with ostler_signal_free(). Signals may be watched on one reactor of a process
 *  only (libevent's rule). But a signal that the calling thread blocks stays
 *  blocked, with its disposition, and is read from a signalfd(2): block it in all threads. */
OSTLER_API int ostler_signal_new(struct ostler_signal **out, struct ostler_reactor *reactor, int number,
                                 void (*function)(void *user), void *user);
OSTLER_API void ostler_signal_free(struct ostler_signal *watcher); /* NULL is fine */

OSTLER_END

#endif
