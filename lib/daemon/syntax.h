/* The grammar of a configuration file, checked before libconfig reads it. */
#ifndef OST_DAEMON_SYNTAX_H
#define OST_DAEMON_SYNTAX_H

#include <stddef.h>

#include "daemon/report.h"

enum {
    OST_SYNTAX_VALUES = 4096, /* most values in a file */
    OST_SYNTAX_GROUP = 1000,  /* most settings in a group: libconfig's time grows with the square */
    OST_SYNTAX_NAME = 64,     /* most bytes of a name */
    OST_SYNTAX_DEPTH = 16     /* most groups, lists and arrays within each other */
};

/* The line in which each string of a file begins, in the file's order; strings
 * that stand side by side are one. Zero is an empty one. */
struct ost_lines {
    unsigned *line;
    size_t count;
};

void ost_lines_free(struct ost_lines *lines);

/* Is text what libconfig takes? 0, and *out is to be freed; -EINVAL after reports, or -ENOMEM. */
int ost_syntax_check(struct ost_lines *out, const char *text, struct ost_report *report);

#endif
