/* What a fiber takes along of the C++ run-time: which exceptions are caught, and how many are on their way. The
 * run-time keeps that for each thread, the caught ones as a stack; fibers that wait in catch blocks would find
 * each other's there. In a program without C++ there is nothing to be taken. */
#ifndef OST_MIXIN_EXCEPTIONS_H
#define OST_MIXIN_EXCEPTIONS_H

#include <stddef.h>

/* struct __cxa_eh_globals of the Itanium C++ ABI, 2.2.2, and its addition for ARM (EHABI, 8.4.1). */
struct ost_exceptions {
    void *caught;
    unsigned uncaught;
#ifdef __ARM_EABI_UNWINDER__
    void *propagating;
#endif
};

extern struct ost_exceptions *__cxa_get_globals(void) __attribute__((weak));

/* Exchange the thread's with other. Thread: the one that switches. */
static inline void ost_exceptions_swap(struct ost_exceptions *other)
{
    struct ost_exceptions *current = __cxa_get_globals ? __cxa_get_globals() : NULL, previous;

    if (!current)
        return;
    previous = *current;
    *current = *other;
    *other = previous;
}

#endif
