/* A fiber: a function on a stack of its own that can stop in the middle, let the
 * one that resumed it go on, and be resumed later. It stays on one thread. */
#ifndef OST_MIXIN_FIBER_H
#define OST_MIXIN_FIBER_H

#include <stdbool.h>
#include <stddef.h>

struct ost_fiber;

/* Make a fiber. Nothing runs yet. 0 or -errno. */
int ost_fiber_new(struct ost_fiber **out, size_t stack_size);

/* Free a fiber in which no function runs. */
void ost_fiber_free(struct ost_fiber *fiber);

/* Run function(arg) on the fiber until it yields or returns. None must be running. */
void ost_fiber_run(struct ost_fiber *fiber, void (*function)(void *arg), void *arg);

/* Go on where the fiber yielded. */
void ost_fiber_resume(struct ost_fiber *fiber);

/* On the fiber: back to whoever resumed it. */
void ost_fiber_yield(struct ost_fiber *fiber);

/* Has the function returned? */
bool ost_fiber_is_done(const struct ost_fiber *fiber);

#endif
