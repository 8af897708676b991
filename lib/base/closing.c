#include "base/closing.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hot.h"

enum { BITS = 64 };

void ost_closing_clear(struct ost_closing *c)
{
    if (c->count > 0)
        memset(c->words, 0, c->count * sizeof(*c->words));
    c->error = 0;
}

void ost_closing_free(struct ost_closing *c)
{
    free(c->words);
    *c = (struct ost_closing){ 0 };
}

static int grow(struct ost_closing *c, size_t count)
{
    uint64_t *words = realloc(c->words, count * sizeof(*words));

    if (!words)
        return -ENOMEM;
    memset(words + c->count, 0, (count - c->count) * sizeof(*words));
    c->words = words;
    c->count = count;
    return 0;
}

void ost_closing_add(struct ost_closing *c, int fd)
{
    size_t word = (size_t)fd / BITS;

    if (fd < 0)
        return;
    if (word >= c->count && grow(c, word * 2 + 1) < 0)
        c->error = -ENOMEM;
    else
        c->words[word] |= UINT64_C(1) << (fd % BITS);
}

/* Where close_range(2) is not known (before Linux 5.9), or is forbidden. */
static void close_each(int first, int last)
{
    for (int fd = first; fd <= last; fd++)
        close(fd);
}

static void close_run(int first, int last)
{
    if (first == last || (first < last && close_range((unsigned)first, (unsigned)last, 0) < 0))
        close_each(first, last);
}

/* The first number from fd on that is in, or is not; the end: there is none. */
static int find(const struct ost_closing *c, int fd, bool in)
{
    int end = (int)c->count * BITS;

    while (fd < end) {
        uint64_t word = c->words[fd / BITS], rest = (in ? word : ~word) >> (fd % BITS);

        if (rest)
            return fd + __builtin_ctzll(rest);
        fd = (fd / BITS + 1) * BITS;
    }
    return end;
}

OST_HOT void ost_closing_close(const struct ost_closing *c, int keep)
{
    int end = (int)c->count * BITS, first = find(c, 0, true), next;

    while (first < end) {
        next = find(c, first, false);
        if (keep < first || keep >= next) {
            close_run(first, next - 1);
        } else {
            close_run(first, keep - 1);
            close_run(keep + 1, next - 1);
        }
        first = find(c, next, true);
    }
}
