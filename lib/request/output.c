#include "request/output.h"

#include <errno.h>

int ost_output_make(struct ost_output **out, size_t n)
{
    size_t size = n < OST_GATHER ? OST_GATHER : n;
    struct ost_output *made = malloc(sizeof(*made) + size);

    if (!made)
        return -ENOMEM;
    made->used = made->count = 0;
    made->size = size;
    *out = made;
    return 0;
}

int ost_output_grow(struct ost_output **out, size_t n)
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
