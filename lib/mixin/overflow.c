/* A fault below the stack in use is met by a handler for SIGSEGV on the alternate signal
 * stack (reactor/alternate.h). It writes a text that was prepared, restores the default
 * action and returns: the instruction faults once more, and the process ends with the
 * status and the core that it would have had.
 *
 * Dispositions of signals are the program's, so this one is set only while a server with
 * fibers is open and only if it is the default one. A program (or a sanitizer) that
 * catches SIGSEGV itself sees all of them, and with SA_ONSTACK an overflow, too. */
#include "mixin/overflow.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mixin/stack.h"

/* The process has one disposition of SIGSEGV, whatever its servers and threads: hence a
 * list of all that is watched. Held for a few instructions by one who opens or closes. */
static struct {
    atomic_flag held;
    struct ost_list watched; /* struct ost_overflow */
} overflow = { .held = ATOMIC_FLAG_INIT, .watched = { &overflow.watched, &overflow.watched } };

static bool try_to_hold(int attempts)
{
    while (attempts-- > 0)
        if (!atomic_flag_test_and_set_explicit(&overflow.held, memory_order_acquire))
            return true;
    return false;
}

static void hold(void)
{
    while (!try_to_hold(1))
        continue;
}

static void let_go(void)
{
    atomic_flag_clear_explicit(&overflow.held, memory_order_release);
}

static void set_disposition(void (*handler)(int number, siginfo_t *info, void *context))
{
    struct sigaction action = { .sa_handler = SIG_DFL };

    if (handler) {
        action.sa_sigaction = handler;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    }
    sigaction(SIGSEGV, &action, NULL);
}

static bool is_below(struct ost_overflow *o, uintptr_t address)
{
    uintptr_t bottom = atomic_load_explicit(&o->bottom, memory_order_relaxed);

    return address < bottom && address >= bottom - OST_STACK_GUARD;
}

static void report(uintptr_t address)
{
    struct ost_list *node, *next;

    OST_LIST_EACH(node, next, &overflow.watched) {
        struct ost_overflow *o = OST_CONTAINER(node, struct ost_overflow, node);

        if (is_below(o, address) && write(STDERR_FILENO, o->text, o->length) < 0)
            return; /* there is nobody left to tell */
    }
}

/* One that was sent does not come again by itself. Holding fails when it is the holder
 * that has faulted. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_code > 0 && try_to_hold(1000000)) {
        report((uintptr_t)info->si_addr);
        let_go();
    }
    set_disposition(NULL);
    if (info->si_code <= 0)
        raise(number);
}

static bool is_default(const struct sigaction *action)
{
    return !(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_DFL;
}

static bool is_ours(const struct sigaction *action)
{
    return action->sa_flags & SA_SIGINFO && action->sa_sigaction == on_fault;
}

/* Replace the disposition, if it is the expected one. */
static void replace(bool (*expected)(const struct sigaction *action), void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction now;

    if (sigaction(SIGSEGV, NULL, &now) == 0 && expected(&now))
        set_disposition(handler);
}

void ost_overflow_open(struct ost_overflow *o, const char *server, size_t stack_size)
{
    snprintf(o->text, sizeof(o->text), "%.100s: a handler has overflowed its stack of %zu bytes; stack_size is the "
             "setting\n", server, stack_size);
    o->length = strlen(o->text);
    ost_list_init(&o->node);
    hold();
    ost_list_append(&overflow.watched, &o->node);
    replace(is_default, on_fault);
    let_go();
}

void ost_overflow_close(struct ost_overflow *o)
{
    hold();
    ost_list_remove(&o->node);
    if (ost_list_is_empty(&overflow.watched))
        replace(is_ours, NULL);
    let_go();
}
