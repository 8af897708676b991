/* An alternate signal stack (sigaltstack(2)) for the reactor's thread, as long as the
 * thread runs the reactor and somebody wants one: a handler for SIGSEGV needs it when the
 * stack itself is what has run out. A thread that has one keeps its own.
 * Thread: the reactor's. */
#ifndef OST_REACTOR_ALTERNATE_H
#define OST_REACTOR_ALTERNATE_H

struct ostler_reactor;

/* From now on, until as many have released it as wanted it. 0 or -errno. */
int ost_alternate_want(struct ostler_reactor *reactor);
void ost_alternate_release(struct ostler_reactor *reactor);

/* The thread begins to run the reactor, and ends. */
void ost_alternate_enter(struct ostler_reactor *reactor);
void ost_alternate_leave(struct ostler_reactor *reactor);

#endif
