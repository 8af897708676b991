#include "request/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct ost_output *new_output(struct ostler_reactor *reactor, size_t size)
{
    struct ost_output *out;

    if (size <= OST_GATHER && reactor->spare) {
        out = reactor->spare;
        reactor->spare = NULL;
    } else {
        size = size < OST_GATHER ? OST_GATHER : size;
        out = malloc(sizeof(*out) + size);
        if (!out)
            return NULL;
        out->size = size;
    }
    out->used = out->count = 0;
    return out;
}

/* Make room for n more bytes at the end. */
static int grow(struct ost_output **out, size_t n)
{
    struct ost_output *old = *out, *bigger;
    size_t length = ost_output_length(old), size = old->size;

    if (old->used > 0) {
        memmove(old->data, old->data + old->used, length);
        old->count = length;
        old->used = 0;
    }
    if (length + n <= size)
        return 0;
    while (size < length + n)
        size *= 2;
    bigger = realloc(old, sizeof(*old) + size);
    if (!bigger)
        return -ENOMEM;
    bigger->size = size;
    *out = bigger;
    return 0;
}

int ost_output_reserve(struct ost_output **out, struct ostler_reactor *reactor, size_t n)
{
    if (*out)
        return grow(out, n);
    *out = new_output(reactor, n);
    return *out ? 0 : -ENOMEM;
}

void ost_output_clear(struct ost_output **out, struct ostler_reactor *reactor)
{
    if (*out && (*out)->size == OST_GATHER && !reactor->spare)
        reactor->spare = *out;
    else
        free(*out);
    *out = NULL;
}
