#include "reactor/alternate.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "reactor/reactor.h"

enum { STACK_SIZE = 64 * 1024 }; /* of address space; programs' handlers run on it, too */

struct ost_alternate {
    void *memory;
    size_t size;
    int users;
};

/* What the processor's registers take is known at run time only. */
static size_t stack_size(void)
{
    long least = sysconf(_SC_SIGSTKSZ);

    return least > STACK_SIZE ? (size_t)least : STACK_SIZE;
}

static int new_alternate(struct ost_alternate **out)
{
    struct ost_alternate *a = calloc(1, sizeof(*a));

    if (!a)
        return -ENOMEM;
    a->size = stack_size();
    a->memory = mmap(NULL, a->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (a->memory == MAP_FAILED) {
        free(a);
        return -ENOMEM;
    }
    *out = a;
    return 0;
}

void ost_alternate_enter(struct ostler_reactor *r)
{
    stack_t now;

    if (r->alternate && sigaltstack(NULL, &now) == 0 && now.ss_flags & SS_DISABLE)
        sigaltstack(&(stack_t){ .ss_sp = r->alternate->memory, .ss_size = r->alternate->size }, NULL);
}

void ost_alternate_leave(struct ostler_reactor *r)
{
    stack_t now;

    if (r->alternate && sigaltstack(NULL, &now) == 0 && now.ss_sp == r->alternate->memory)
        sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE }, NULL);
}

int ost_alternate_want(struct ostler_reactor *r)
{
    int error = r->alternate ? 0 : new_alternate(&r->alternate);

    if (error < 0)
        return error;
    r->alternate->users++;
    if (r->running)
        ost_alternate_enter(r);
    return 0;
}

void ost_alternate_release(struct ostler_reactor *r)
{
    struct ost_alternate *a = r->alternate;

    if (--a->users > 0)
        return;
    ost_alternate_leave(r);
    r->alternate = NULL;
    munmap(a->memory, a->size);
    free(a);
}
