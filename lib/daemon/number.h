/* Numbers as libconfig writes them, checked before libconfig cuts them. */
#ifndef OST_DAEMON_NUMBER_H
#define OST_DAEMON_NUMBER_H

#include <stddef.h>

enum ost_number {
    OST_NUMBER_INTEGER,   /* 5  0x5 */
    OST_NUMBER_INTEGER64, /* 5L  0x5L */
    OST_NUMBER_FLOAT,     /* 5.0  5e3 */
    OST_NUMBER_NONE,      /* not a number */
    OST_NUMBER_NEEDS_L,   /* an integer that does not fit into 32 bits */
    OST_NUMBER_TOO_LARGE, /* does not fit into 64 bits, or into a double */
    OST_NUMBER_OCTAL      /* 05, which is 5 to some and octal to others */
};

/* What the n bytes at text are; no letter, digit or one of "._+-*" follows them. */
enum ost_number ost_number_kind(const char *text, size_t n);

#endif
