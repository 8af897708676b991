/* Switching stacks. makecontext(3) enters a new stack once; from then on _setjmp and
 * _longjmp switch in user space alone, where swapcontext(3) would make a system call
 * for the signal mask each time. A fiber that is done waits in its main function for
 * the next one to run, so stack and context are made once.
 *
 * AddressSanitizer and ThreadSanitizer are told of each switch, between the setjmp and
 * the jump (ThreadSanitizer finds a jump's target by the fiber that it is told of); valgrind knows the
 * stacks (stack.c). This file is compiled without _FORTIFY_SOURCE, whose longjmp()
 * takes a jump to another stack for an attack. */
#include "mixin/fiber.h"

#include <errno.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <ucontext.h>

#include "mixin/exceptions.h"
#include "mixin/sanitizer.h"
#include "mixin/stack.h"

enum { COLOURS = 16, COLOUR_SIZE = 128 };
enum { FRAME_SIZE = 1024 }; /* of leave(), and of what it calls on the fiber, at most */

struct ost_fiber {
    jmp_buf inside, outside; /* where the fiber, and its resumer, go on */
    struct ost_stack stack;
    char *frame; /* of leave(): nothing below is in use while the fiber is left */
    void (*function)(void *arg);
    void *arg;
    bool done;
    struct ost_exceptions exceptions; /* the fiber's while it is left, the resumer's while it runs */
    struct ost_sanitizer sanitizer;
};

/* Leave the fiber for its resumer, until it is resumed. In a frame of its own, whose
 * size is known. */
static __attribute__((noinline)) void leave(struct ost_fiber *f)
{
    f->frame = __builtin_frame_address(0);
    if (_setjmp(f->inside) == 0) {
        ost_sanitizer_leave(&f->sanitizer);
        _longjmp(f->outside, 1);
    }
    ost_sanitizer_entered(&f->sanitizer);
}

static void fiber_main(unsigned high, unsigned low)
{
    struct ost_fiber *f = (struct ost_fiber *)((uintptr_t)high << 32 | low); /* makecontext(3) hands on ints */

    ost_sanitizer_entered(&f->sanitizer);
    for (;;) {
        leave(f);
        f->function(f->arg);
        f->done = true;
    }
}

/* All stacks are as large as each other, so that what thousands of parked fibers have on them would fall into
 * the same few lines of a cache: they begin at different distances from their tops. */
static size_t colour(const struct ost_fiber *f)
{
    return (uintptr_t)f->stack.bottom / (f->stack.size + OST_STACK_GUARD) % COLOURS * COLOUR_SIZE;
}

/* Enter the stack for the first time, as far as fiber_main()'s first leave(). This
 * frame is returned to; one that is left for good would stay poisoned for
 * AddressSanitizer. */
static void prepare(struct ost_fiber *f)
{
    uintptr_t address = (uintptr_t)f;
    ucontext_t context;

    getcontext(&context);
    context.uc_stack.ss_sp = f->stack.bottom;
    context.uc_stack.ss_size = f->stack.size - colour(f);
    context.uc_link = NULL;
    makecontext(&context, (void (*)(void))fiber_main, 2, (unsigned)(address >> 32), (unsigned)address);
    if (_setjmp(f->outside) == 0) {
        ost_sanitizer_enter(&f->sanitizer);
        setcontext(&context);
    }
    ost_sanitizer_left(&f->sanitizer);
}

int ost_fiber_new(struct ost_fiber **out, struct ost_stacks *stacks)
{
    struct ost_fiber *f = calloc(1, sizeof(*f));
    int error;

    if (!f)
        return -ENOMEM;
    error = ost_stack_take(&f->stack, stacks);
    if (error < 0) {
        free(f);
        return error;
    }
    f->done = true;
    ost_sanitizer_open(&f->sanitizer, f->stack.bottom, f->stack.size);
    prepare(f);
    *out = f;
    return 0;
}

void ost_fiber_free(struct ost_fiber *f)
{
    ost_sanitizer_close(&f->sanitizer);
    ost_stack_give_back(&f->stack);
    free(f);
}

void ost_fiber_resume(struct ost_fiber *f)
{
    ost_exceptions_swap(&f->exceptions);
    if (_setjmp(f->outside) == 0) {
        ost_sanitizer_enter(&f->sanitizer);
        _longjmp(f->inside, 1);
    }
    ost_sanitizer_left(&f->sanitizer);
    ost_exceptions_swap(&f->exceptions);
}

void ost_fiber_begin(struct ost_fiber *f, void (*function)(void *arg), void *arg)
{
    f->function = function;
    f->arg = arg;
    f->done = false;
}

void ost_fiber_yield(struct ost_fiber *f)
{
    leave(f);
}

bool ost_fiber_is_done(const struct ost_fiber *f)
{
    return f->done;
}

void ost_fiber_trim(struct ost_fiber *f)
{
    ost_stack_trim(&f->stack, f->frame - FRAME_SIZE);
}

uintptr_t ost_fiber_bottom(const struct ost_fiber *f)
{
    return (uintptr_t)f->stack.bottom;
}
