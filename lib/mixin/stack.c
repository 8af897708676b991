/* A slab:   guard | stack | guard | stack | …
 *
 * A guard is made by MADV_GUARD_INSTALL where the kernel has it (Linux 6.13): marks in the
 * page tables, so that all slabs next to each other are one mapping. Elsewhere it is made
 * by mprotect(2) and splits the slab: two mappings a stack, and vm.max_map_count (65,530
 * unless somebody raised it) is the end at some 32,000 of them. */
#include "mixin/stack.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mixin/sanitizer.h"

#ifdef OST_HAVE_VALGRIND
#include <valgrind/memcheck.h>
#else
#define VALGRIND_STACK_REGISTER(start, end) 0u
#define VALGRIND_STACK_DEREGISTER(id) (void)(id)
#define VALGRIND_MAKE_MEM_UNDEFINED(address, size) ((void)(address), (void)(size))
#endif

enum { GUARD_INSTALL = 102 }; /* MADV_GUARD_INSTALL, madvise(2); headers may be older than the kernel */
enum { SLOTS = 16, ALL_FREE = (1 << SLOTS) - 1 };

struct ost_slab {
    struct ost_list node; /* of stacks->slabs */
    struct ost_stacks *stacks;
    char *memory;
    int free; /* a bit a slot */
};

static size_t round_up(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (size + page - 1) / page * page;
}

static size_t stride(const struct ost_stacks *stacks)
{
    return OST_STACK_GUARD + stacks->stack_size;
}

/* NULL, and errno, when there is none. */
static char *map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static bool has_light_guards(void)
{
    char *memory = map(OST_STACK_GUARD);
    bool has;

    if (!memory)
        return false;
    has = madvise(memory, OST_STACK_GUARD, GUARD_INSTALL) == 0;
    munmap(memory, OST_STACK_GUARD);
    return has;
}

/* A light one may be refused although the kernel has them: locked memory, mlockall(2). */
static int guard(const struct ost_stacks *stacks, char *memory)
{
    if (stacks->light && madvise(memory, OST_STACK_GUARD, GUARD_INSTALL) == 0)
        return 0;
    return mprotect(memory, OST_STACK_GUARD, PROT_NONE) < 0 ? -errno : 0;
}

static int map_slab(char **out, const struct ost_stacks *stacks)
{
    size_t size = SLOTS * stride(stacks);
    char *memory = map(size);
    int error = 0;

    if (!memory)
        return -errno;
    madvise(memory, size, MADV_NOHUGEPAGE); /* a touch of one stack would make them all resident */
    for (size_t i = 0; i < SLOTS && error == 0; i++)
        error = guard(stacks, memory + i * stride(stacks));
    if (error < 0) {
        munmap(memory, size);
        return error;
    }
    *out = memory;
    return 0;
}

static int new_slab(struct ost_slab **out, struct ost_stacks *stacks)
{
    struct ost_slab *slab = calloc(1, sizeof(*slab));
    int error = slab ? map_slab(&slab->memory, stacks) : -ENOMEM;

    if (error < 0) {
        free(slab);
        return error;
    }
    ost_list_init(&slab->node);
    slab->stacks = stacks;
    slab->free = ALL_FREE;
    *out = slab;
    return 0;
}

static bool unmap(const struct ost_slab *slab)
{
    return munmap(slab->memory, SLOTS * stride(slab->stacks)) == 0;
}

static void free_slab(struct ost_slab *slab)
{
    ost_list_remove(&slab->node);
    free(slab);
}

static void put_first(struct ost_slab *slab)
{
    ost_list_remove(&slab->node);
    ost_list_append(slab->stacks->slabs.next, &slab->node); /* before the first */
}

static void put_last(struct ost_slab *slab)
{
    ost_list_remove(&slab->node);
    ost_list_append(&slab->stacks->slabs, &slab->node);
}

static int find_room(struct ost_slab **out, struct ost_stacks *stacks)
{
    struct ost_slab *first = OST_CONTAINER(stacks->slabs.next, struct ost_slab, node);

    if (ost_list_is_empty(&stacks->slabs) || !first->free)
        return new_slab(out, stacks);
    *out = first;
    return 0;
}

void ost_stacks_open(struct ost_stacks *stacks, size_t stack_size)
{
    ost_list_init(&stacks->slabs);
    stacks->stack_size = round_up(stack_size);
    stacks->light = has_light_guards();
}

void ost_stacks_close(struct ost_stacks *stacks)
{
    struct ost_list *node;

    while ((node = ost_list_take(&stacks->slabs))) {
        struct ost_slab *slab = OST_CONTAINER(node, struct ost_slab, node);

        unmap(slab);
        free(slab);
    }
}

size_t ost_stacks_mappings(const struct ost_stacks *stacks, size_t count)
{
    return stacks->light ? count / SLOTS + 1 : count * 2;
}

int ost_stack_take(struct ost_stack *out, struct ost_stacks *stacks)
{
    struct ost_slab *slab;
    int error = find_room(&slab, stacks), slot;

    if (error < 0)
        return error;
    slot = ffs(slab->free) - 1;
    slab->free &= ~(1 << slot);
    if (slab->free)
        put_first(slab);
    else
        put_last(slab);
    out->slab = slab;
    out->size = stacks->stack_size;
    out->bottom = slab->memory + (size_t)slot * stride(stacks) + OST_STACK_GUARD;
    VALGRIND_MAKE_MEM_UNDEFINED(out->bottom, out->size);
    out->valgrind_id = (unsigned)VALGRIND_STACK_REGISTER(out->bottom, out->bottom + out->size);
    return 0;
}

/* To unmap the middle of a mapping makes two of it, which can be one too many: then the
 * empty slab is kept. */
void ost_stack_give_back(struct ost_stack *stack)
{
    struct ost_slab *slab = stack->slab;
    size_t slot = (size_t)(stack->bottom - slab->memory) / stride(slab->stacks);

    VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
    ost_sanitizer_wipe(stack->bottom, stack->size);
    assert(!(slab->free & 1 << slot));
    slab->free |= 1 << slot;
    put_first(slab);
    ost_stack_trim(stack, stack->bottom + stack->size);
    if (slab->free == ALL_FREE && unmap(slab))
        free_slab(slab);
}

void ost_stack_trim(const struct ost_stack *stack, const void *address)
{
    ptrdiff_t depth = (const char *)address - stack->bottom;
    long page = sysconf(_SC_PAGESIZE);

    if (depth >= page)
        madvise(stack->bottom, (size_t)(depth / page * page), MADV_DONTNEED);
}
