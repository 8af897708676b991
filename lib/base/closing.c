#include "base/closing.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum { BITS = 64, WINDOW = OST_CLOSING_WORDS * BITS };

void ost_closing_init(struct ost_closing *c, int keep)
{
    *c = (struct ost_closing){ .keep = keep };
}

/* Where close_range(2) is not known (before Linux 5.9), or is forbidden. */
static void close_each(int first, int last)
{
    for (int fd = first; fd <= last; fd++)
        close(fd);
}

static void close_run(int first, int last)
{
    if (first == last || close_range((unsigned)first, (unsigned)last, 0) < 0)
        close_each(first, last);
}

/* The first bit from at on that is set, or is not; WINDOW: there is none. */
static int find(const struct ost_closing *c, int at, bool set)
{
    while (at < WINDOW) {
        uint64_t word = c->bits[at / BITS], rest = (set ? word : ~word) >> (at % BITS);

        if (rest)
            return at + __builtin_ctzll(rest);
        at = (at / BITS + 1) * BITS;
    }
    return WINDOW;
}

void ost_closing_end(struct ost_closing *c)
{
    int begin = find(c, 0, true), end;

    while (begin < WINDOW) {
        end = find(c, begin, false);
        close_run(c->first + begin, c->first + end - 1);
        begin = find(c, end, true);
    }
    memset(c->bits, 0, sizeof(c->bits));
}

void ost_closing_add(struct ost_closing *c, int fd)
{
    if (fd < 0 || fd == c->keep)
        return;
    if (fd / WINDOW != c->first / WINDOW) {
        ost_closing_end(c);
        c->first = fd / WINDOW * WINDOW;
    }
    fd -= c->first;
    c->bits[fd / BITS] |= UINT64_C(1) << (fd % BITS);
}
