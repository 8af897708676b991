/* Names: numbers that stand for objects and may outlive them. Looking one up after
 * its object has gone finds nothing, also when the place is taken again.
 * Thread: the reactor's. */
#ifndef OST_REACTOR_NAMES_H
#define OST_REACTOR_NAMES_H

#include <stdint.h>

struct ostler_reactor;

/* A name for object; 0 when there is no memory. */
uint64_t ost_name_add(struct ostler_reactor *reactor, void *object);

/* The object, or NULL. */
void *ost_name_find(const struct ostler_reactor *reactor, uint64_t name);

void ost_name_remove(struct ostler_reactor *reactor, uint64_t name);

#endif
