/* Stacks for fibers: address space with a guard page below it, kept for reuse. */
#ifndef OST_MIXIN_STACK_H
#define OST_MIXIN_STACK_H

#include <stddef.h>

struct ost_stack {
    void *bottom; /* the guard page is below */
    size_t size;  /* bytes from bottom up */
    unsigned valgrind_id;
};

/* Map a stack of at least size bytes. 0 or -errno. */
int ost_stack_open(struct ost_stack *out, size_t size);
void ost_stack_close(struct ost_stack *stack);

#endif
