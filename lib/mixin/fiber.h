/* A fiber: a function on a stack of its own that can stop in the middle, let the
 * one that resumed it go on, and be resumed later. It stays on one thread. */
#ifndef OST_MIXIN_FIBER_H
#define OST_MIXIN_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ost_fiber;
struct ost_stacks;

/* Make a fiber on one of stacks. Nothing runs yet. 0 or -errno. */
int ost_fiber_new(struct ost_fiber **out, struct ost_stacks *stacks);

/* Free a fiber in which no function runs. */
void ost_fiber_free(struct ost_fiber *fiber);

/* Let the next resume begin function(arg). None must be running. */
void ost_fiber_begin(struct ost_fiber *fiber, void (*function)(void *arg), void *arg);

/* Go on where the fiber yielded, until it yields again or the function returns. */
void ost_fiber_resume(struct ost_fiber *fiber);

/* On the fiber: back to whoever resumed it. */
void ost_fiber_yield(struct ost_fiber *fiber);

/* Has the function returned? */
bool ost_fiber_is_done(const struct ost_fiber *fiber);

/* Give the memory back that deeper calls have left behind on the stack. It must be left. */
void ost_fiber_trim(struct ost_fiber *fiber);

/* The bottom of its stack. */
uintptr_t ost_fiber_bottom(const struct ost_fiber *fiber);

#endif
