/* Output that waits: gathered during a callback, or refused by the kernel. A buffer
 * exists only while there are bytes in it; the reactor keeps one of the common size
 * at hand, so that a request and its answer allocate nothing. */
#ifndef OST_REQUEST_OUTPUT_H
#define OST_REQUEST_OUTPUT_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "reactor/reactor.h"

/* Small writes are gathered up to this many bytes. */
enum { OST_GATHER = 16384 };

struct ost_output {
    size_t used, count, size; /* bytes used up to count are to be sent */
    char data[];
};

/* Bytes that wait in out, which may be NULL. */
static inline size_t ost_output_length(const struct ost_output *out)
{
    return out ? out->count - out->used : 0;
}

/* Make *out with room for n bytes; give it room for n more. 0 or -ENOMEM. */
int ost_output_make(struct ost_output **out, size_t n);
int ost_output_grow(struct ost_output **out, size_t n);

/* Have room for n more bytes in *out, made or grown as needed. 0 or -ENOMEM. */
static inline int ost_output_reserve(struct ost_output **out, struct ostler_reactor *reactor, size_t n)
{
    if (*out)
        return (*out)->count + n <= (*out)->size ? 0 : ost_output_grow(out, n);
    if (!reactor->spare || n > OST_GATHER)
        return ost_output_make(out, n);
    *out = reactor->spare;
    reactor->spare = NULL;
    return 0;
}

/* Append n bytes. 0 or -ENOMEM. */
static inline int ost_output_append(struct ost_output **out, struct ostler_reactor *reactor, const void *data, size_t n)
{
    int error = ost_output_reserve(out, reactor, n);

    if (error < 0)
        return error;
    memcpy((*out)->data + (*out)->count, data, n);
    (*out)->count += n;
    return 0;
}

/* Drop everything. */
static inline void ost_output_clear(struct ost_output **out, struct ostler_reactor *reactor)
{
    struct ost_output *old = *out;

    *out = NULL;
    if (!old || old->size != OST_GATHER || reactor->spare) {
        free(old);
        return;
    }
    old->used = old->count = 0;
    reactor->spare = old;
}

/* n bytes have been sent; the buffer goes when none is left. */
static inline void ost_output_consume(struct ost_output **out, struct ostler_reactor *reactor, size_t n)
{
    (*out)->used += n;
    if ((*out)->used == (*out)->count)
        ost_output_clear(out, reactor);
}

#endif
