#include "mixin/stack.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mixin/sanitizer.h"

#ifdef OST_HAVE_VALGRIND
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(start, end) 0u
#define VALGRIND_STACK_DEREGISTER(id) (void)(id)
#endif

int ost_stack_open(struct ost_stack *out, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory;

    size = (size + page - 1) / page * page;
    memory = mmap(NULL, page + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    if (mprotect(memory, page, PROT_NONE) < 0) {
        int error = -errno;

        munmap(memory, page + size);
        return error;
    }
    out->bottom = memory + page;
    out->size = size;
    out->valgrind_id = (unsigned)VALGRIND_STACK_REGISTER(out->bottom, (char *)out->bottom + size);
    return 0;
}

void ost_stack_close(struct ost_stack *stack)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
    ost_sanitizer_wipe(stack->bottom, stack->size);
    munmap((char *)stack->bottom - page, page + stack->size);
}
