/* libconfig 1.5 reads integers with atoi() and strtoul(): 5000000000 becomes
 * 705032704, and 0xFFFFFFFF becomes -1. So each number is looked at here first. The
 * grammar is libconfig's:
 *
 *    [-+]?[0-9]+(L|LL)?   0[xX][0-9A-Fa-f]+(L|LL)?
 *    [-+]?[0-9]*\.[0-9]*([eE][-+]?[0-9]+)?   [-+]?[0-9]+[eE][-+]?[0-9]+
 *
 * but for "." alone (which it takes for 0.0) and for a leading zero (which newer
 * versions take for octal). */
#include "daemon/number.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] = "0123456789";
static const char hex_digits[] = "0123456789abcdefABCDEF";

static enum ost_number integer_size(long long value, size_t suffix)
{
    if (errno == ERANGE)
        return OST_NUMBER_TOO_LARGE;
    if (suffix > 0)
        return OST_NUMBER_INTEGER64;
    return value < INT_MIN || value > INT_MAX ? OST_NUMBER_NEEDS_L : OST_NUMBER_INTEGER;
}

static enum ost_number hex_kind(const char *text, size_t n)
{
    size_t count = strspn(text + 2, hex_digits);
    size_t suffix = strspn(text + 2 + count, "L");

    if (count == 0 || suffix > 2 || 2 + count + suffix != n)
        return OST_NUMBER_NONE;
    errno = 0;
    return integer_size(strtoll(text, NULL, 16), suffix);
}

/* Bytes of an exponent at text: 0 when there is none. */
static size_t exponent_length(const char *text)
{
    size_t sign, count;

    if (*text != 'e' && *text != 'E')
        return 0;
    sign = text[1] == '+' || text[1] == '-';
    count = strspn(text + 1 + sign, digits);
    return count ? 1 + sign + count : 0;
}

/* For a text that has whole digits, after its sign if any, at mantissa. */
static enum ost_number float_kind(const char *text, size_t n, const char *mantissa, size_t whole)
{
    const char *at = mantissa + whole;
    size_t point = *at == '.';
    size_t fraction = point ? strspn(at + 1, digits) : 0;
    size_t exponent;

    at += point + fraction;
    exponent = exponent_length(at);
    at += exponent;
    if (whole + fraction == 0 || point + exponent == 0 || at != text + n)
        return OST_NUMBER_NONE;
    return isinf(strtod(text, NULL)) ? OST_NUMBER_TOO_LARGE : OST_NUMBER_FLOAT;
}

static bool is_hex(const char *text)
{
    return text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
}

enum ost_number ost_number_kind(const char *text, size_t n)
{
    const char *first = text + (*text == '-' || *text == '+');
    size_t count = strspn(first, digits);
    size_t suffix = strspn(first + count, "L");

    if (is_hex(text))
        return hex_kind(text, n);
    if (count == 0 || suffix > 2 || first + count + suffix != text + n)
        return float_kind(text, n, first, count);
    if (count > 1 && *first == '0')
        return OST_NUMBER_OCTAL;
    errno = 0;
    return integer_size(strtoll(text, NULL, 10), suffix);
}
