/* A name is the number of a slot, counted from 1 (low half), and that slot's generation (high half).
 * Free slots form a chain through their next member. */
#include "reactor/names.h"

#include <stdlib.h>

#include "reactor/reactor.h"

static const uint32_t no_slot = UINT32_MAX;

static struct ost_slot *find(const struct ostler_reactor *r, uint64_t name)
{
    uint32_t index = (uint32_t)name - 1;

    if (index >= r->slot_count || r->slots[index].generation != name >> 32 || !r->slots[index].object)
        return NULL;
    return &r->slots[index];
}

/* Make room for more slots and chain them up. */
static int grow(struct ostler_reactor *r)
{
    uint32_t count = r->slot_count ? r->slot_count * 2 : 16;
    struct ost_slot *slots = realloc(r->slots, count * sizeof(struct ost_slot));

    if (!slots)
        return -1;
    for (uint32_t i = r->slot_count; i < count; i++)
        slots[i] = (struct ost_slot){ .next = i + 1 < count ? i + 1 : no_slot };
    r->slots = slots;
    r->free_slot = r->slot_count;
    r->slot_count = count;
    return 0;
}

uint32_t ost_name_add(struct ostler_reactor *r, void *object)
{
    struct ost_slot *slot;
    uint32_t index;

    if ((r->slot_count == 0 || r->free_slot == no_slot) && grow(r) < 0)
        return 0;
    index = r->free_slot;
    slot = &r->slots[index];
    r->free_slot = slot->next;
    slot->object = object;
    slot->generation++;
    return index + 1;
}

uint64_t ost_name_of(const struct ostler_reactor *r, uint32_t own)
{
    return own ? (uint64_t)r->slots[own - 1].generation << 32 | own : 0;
}

void *ost_name_find(const struct ostler_reactor *r, uint64_t name)
{
    struct ost_slot *slot = find(r, name);

    return slot ? slot->object : NULL;
}

void ost_name_remove(struct ostler_reactor *r, uint32_t own)
{
    struct ost_slot *slot = &r->slots[own - 1];

    slot->object = NULL;
    slot->next = r->free_slot;
    r->free_slot = own - 1;
}
