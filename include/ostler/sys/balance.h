/** For programs that serve the same sockets in several processes, as a daemon with workers does:
 *  connections are spread over them. One process, the parent, binds the sockets, has the balance
 *  made, runs its reactor, and serves nothing; the workers inherit both, the sockets as addresses "fd:N".
 *
 *  A worker accepts only while it has about as few connections as the one that has fewest. Where
 *  that one does not accept although clients wait, because a handler holds its loop or it
 *  was stopped, the parent sees it within a few hundredths of a second, and the others go on
 *  without it until it is back. Datagrams are for whoever receives them first. */
#ifndef OSTLER_SYS_BALANCE_H
#define OSTLER_SYS_BALANCE_H

#include <stddef.h>

#include <ostler/version.h>

OSTLER_BEGIN

struct ostler_reactor;
struct ostler_server;

/** Connections, spread over processes. */
struct ostler_balance;

/** In the parent, for so many workers that have so many servers each. 0, -EINVAL or another
 *  -errno. */
OSTLER_API int ostler_balance_new(struct ostler_balance **out, struct ostler_reactor *reactor, int workers,
                                  int servers);

/** The index-th of the descriptors that every worker has to inherit, all of them in this
 *  order; -EINVAL beyond the last one. They are close-on-exec. */
OSTLER_API int ostler_balance_fd(const struct ostler_balance *balance, size_t index);

/** In the number-th worker (from 0), of the descriptors that it has inherited, which are the
 *  balance's from now on. 0, -EINVAL or another -errno; then they are still the caller's. */
OSTLER_API int ostler_balance_open(struct ostler_balance **out, struct ostler_reactor *reactor, const int *fds,
                                   size_t count, int number);

/** The server takes part. In a worker: before it starts. In the parent, where it is bound and
 *  activated and never starts: its sockets are watched for clients whom nobody accepts. Everywhere
 *  in the same order, and on the balance's reactor. 0, -EINVAL, or -ENOSPC: there are more than
 *  was said.
 *  Thread: the reactor's. */
OSTLER_API int ostler_balance_add(struct ostler_balance *balance, struct ostler_server *server);

/** In the parent: the number-th worker has died, and its connections with it. Before another
 *  one takes its place. 0 or -EINVAL.
 *  Thread: any. */
OSTLER_API int ostler_balance_forget(struct ostler_balance *balance, int number);

/** After its servers, and before the reactor. NULL is fine. */
OSTLER_API void ostler_balance_free(struct ostler_balance *balance);

OSTLER_END

#endif
