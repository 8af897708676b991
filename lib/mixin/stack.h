/* Stacks for fibers: address space with a guard below, which no access survives. They
 * come in slabs of several, one mapping each; a slab none of whose stacks is taken is
 * unmapped. Thread: the reactor's. */
#ifndef OST_MIXIN_STACK_H
#define OST_MIXIN_STACK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"

enum { OST_STACK_GUARD = 64 * 1024 }; /* bytes of a guard: a frame must be larger to leap over it */

struct ost_slab;

struct ost_stacks {
    struct ost_list slabs; /* those with room come first */
    size_t stack_size;
    bool light; /* guards are no mappings of their own */
};

struct ost_stack {
    char *bottom; /* the guard is below */
    size_t size;  /* bytes from bottom up */
    struct ost_slab *slab;
    unsigned valgrind_id;
};

/* Get ready for stacks of at least stack_size bytes, and find out how guards are made
 * here. Nothing is kept mapped. */
void ost_stacks_open(struct ost_stacks *stacks, size_t stack_size);
void ost_stacks_close(struct ost_stacks *stacks); /* all have been given back */

/* How many memory mappings count stacks take. */
size_t ost_stacks_mappings(const struct ost_stacks *stacks, size_t count);

/* Take a stack, and give it back with all its memory. 0, -ENOMEM or another -errno. */
int ost_stack_take(struct ost_stack *out, struct ost_stacks *stacks);
void ost_stack_give_back(struct ost_stack *stack);

/* Give the memory of the pages below address back; what they held is lost. */
void ost_stack_trim(const struct ost_stack *stack, const void *address);

#endif
