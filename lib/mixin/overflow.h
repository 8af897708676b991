/* A last word when a handler runs off the end of its stack: into the guard below it, where
 * the process dies of SIGSEGV, as it does without this. Standard error then names the
 * server and the setting. */
#ifndef OST_MIXIN_OVERFLOW_H
#define OST_MIXIN_OVERFLOW_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

enum { OST_OVERFLOW_TEXT = 256 };

struct ost_overflow {
    struct ost_list node;
    atomic_uintptr_t bottom; /* of the stack in use */
    size_t length;
    char text[OST_OVERFLOW_TEXT];
};

/* From now on, until it is closed, watch the stacks of server. Thread: any. */
void ost_overflow_open(struct ost_overflow *overflow, const char *server, size_t stack_size);
void ost_overflow_close(struct ost_overflow *overflow);

/* The stack with that bottom comes into use (0: none does). Return the bottom of the one that was. */
static inline uintptr_t ost_overflow_watch(struct ost_overflow *overflow, uintptr_t bottom)
{
    uintptr_t before = atomic_load_explicit(&overflow->bottom, memory_order_relaxed);

    atomic_store_explicit(&overflow->bottom, bottom, memory_order_relaxed);
    return before;
}

#endif
