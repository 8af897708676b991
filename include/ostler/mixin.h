/** Mix-ins: where a stream handler runs. A server without one runs a .stream
 *  handler inline, one request at a time, and a .conn handler on the reactor. */
#ifndef OSTLER_MIXIN_H
#define OSTLER_MIXIN_H

#include <ostler/version.h>

OSTLER_BEGIN

struct ostler_mixin;

/** A thread a request. Threads are started as needed, up to max_requests (256),
 *  and end when idle. A thread waits in the kernel on its own descriptor; the
 *  reactor drives accept and the close. All signals are blocked in them. A handler may end its
 *  thread by pthread_exit(3): its request ends, without finish and without handle_error. Cancelling it
 *  (pthread_cancel(3)) is off. */
OSTLER_API extern const struct ostler_mixin ostler_threading;

/** A child process a request, at most max_requests (40) alive. A child has the connection
 *  (or the datagram) and the descriptors that the program itself has open, but none of the
 *  others that belong to this reactor, save three that libevent does not tell of (epoll's, and two for
 *  signals: nothing is to be done with them); signals that the program catches have their default
 *  action in it, and the signal mask is that of the thread that forked, also for a program that it
 *  executes (under ostler_daemon_main() SIGTERM and others are blocked, see there). Its end, by
 *  _exit(2), is seen through a pidfd: other children of the program are never waited for,
 *  and SIGCHLD may be ignored. A child that dies of a signal fails its request alone
 *  (handle_error: -EOWNERDEAD); a handler that exits, by exit(3) or _exit(2), does so without finish,
 *  and without handle_error: a status other than 0 is a warning in the log. What exit(3) does first is done
 *  in the child for the whole program: its atexit(3) functions run, and what stood in its stdio
 *  buffers at the fork is written once more; _exit(2) does neither.
 *
 *  fork(3) is called, so that pthread_atfork(3) handlers run; -EBUSY when a threading
 *  server is open in the process, or a thread of ostler_getaddrinfo() still runs, since a
 *  child would inherit the threads' locks (and neither comes to be while a forking server
 *  is open). In a child no function of a
 *  reactor, server or conn may be called but those that only tell. */
OSTLER_API extern const struct ostler_mixin ostler_forking;

/** A fiber (coroutine) a request, all on the reactor's thread, up to max_requests
 *  (10,000), each with stack_size bytes (256 KiB) of address space. The reactor drives
 *  all their waiting. Code that blocks or computes for long holds up everyone.
 *
 *  What is the thread's is shared by all fibers: errno, thread-local variables, the locale. C++'s
 *  exceptions are not: a fiber may wait in a catch block, or as its stack is unwound, if the C++
 *  library is there since the program's start.
 *
 *  Stacks that a peak of requests needed are unmapped within seconds after it, and what
 *  a deep call touched is given back while its fiber waits. 64 KiB below each stack are
 *  guarded (a function with larger local variables can leap over them, unless it is
 *  compiled with -fstack-clash-protection). Before Linux 6.13 a stack takes two memory
 *  mappings of the vm.max_map_count that a process may have: when max_requests needs
 *  more, a warning says how many; beyond the limit requests wait until others have ended.
 *
 *  A handler that overflows its stack ends the process by SIGSEGV; standard error names
 *  the server and stack_size before. For that, while such a server is open, SIGSEGV has a
 *  handler if its disposition was SIG_DFL, and the reactor's thread, while it runs, an
 *  alternate signal stack if it has none. A program that catches SIGSEGV is left alone:
 *  its handler sees overflows, too, if it is set with SA_ONSTACK. */
OSTLER_API extern const struct ostler_mixin ostler_fibers;

OSTLER_END

#endif
