/* Names: numbers that stand for objects and may outlive them. Looking one up after
 * its object has gone finds nothing, also when the place is taken again.
 * An object knows its own by half of it. Thread: the reactor's. */
#ifndef OST_REACTOR_NAMES_H
#define OST_REACTOR_NAMES_H

#include <stdint.h>

struct ostler_reactor;

/* A name for object, as it has to keep it; 0 when there is no memory. */
uint32_t ost_name_add(struct ostler_reactor *reactor, void *object);

/* The whole name, for others; 0 for 0. */
uint64_t ost_name_of(const struct ostler_reactor *reactor, uint32_t own);

/* The object, or NULL. */
void *ost_name_find(const struct ostler_reactor *reactor, uint64_t name);

void ost_name_remove(struct ostler_reactor *reactor, uint32_t own);

#endif
