/* The known name that a wrong one was probably meant to be: the one that takes the
 * fewest slips (a letter wrong, missing, too many, or two of them swapped; upper case
 * is as lower), if those are few for its length. */
#include "daemon/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum { LONGEST = 40 };

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* rows[0] tells the distances of the beginnings of b (length bytes) to the first i
 * bytes of a, rows[1] to one byte less, rows[2] to two less. Fill rows[0]. */
static void fill_row(size_t *const rows[3], const char *a, size_t i, const char *b, size_t length)
{
    rows[0][0] = i;
    for (size_t j = 1; j <= length; j++) {
        size_t d = rows[1][j - 1] + !same(a[i - 1], b[j - 1]);

        d = least(d, least(rows[1][j], rows[0][j - 1]) + 1);
        if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
            d = least(d, rows[2][j - 2] + 1);
        rows[0][j] = d;
    }
}

static size_t distance(const char *a, const char *b, size_t length)
{
    size_t space[3][LONGEST + 1];
    size_t *rows[3] = { space[0], space[1], space[2] };

    for (size_t j = 0; j <= length; j++)
        rows[0][j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t *oldest = rows[2];

        rows[2] = rows[1];
        rows[1] = rows[0];
        rows[0] = oldest;
        fill_row(rows, a, i, b, length);
    }
    return rows[0][length];
}

void ost_nearest_init(struct ost_nearest *nearest, const char *word)
{
    size_t length = strlen(word);

    *nearest = (struct ost_nearest){ .word = word, .distance = 1 + (length < 3 ? 0 : length < 6 ? 1 : 2) };
}

void ost_nearest_offer(struct ost_nearest *nearest, const char *candidate)
{
    size_t length = strlen(candidate), d;

    if (length > LONGEST || strlen(nearest->word) > LONGEST)
        return;
    d = distance(nearest->word, candidate, length);
    if (d < nearest->distance) {
        nearest->distance = d;
        nearest->best = candidate;
    }
}
