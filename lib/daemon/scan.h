/* The words of a configuration file. */
#ifndef OST_DAEMON_SCAN_H
#define OST_DAEMON_SCAN_H

#include <stddef.h>

#include "daemon/report.h"

enum ost_token_type {
    OST_TOKEN_END,
    OST_TOKEN_NAME,
    OST_TOKEN_STRING,
    OST_TOKEN_INTEGER,
    OST_TOKEN_INTEGER64,
    OST_TOKEN_FLOAT,
    OST_TOKEN_SWITCH, /* true, false */
    OST_TOKEN_MARK,   /* one of = : , ; { } [ ] ( ) */
    OST_TOKEN_OTHER,  /* a byte that has no place in the grammar */
    OST_TOKEN_BROKEN  /* reported; there is no sense in reading on */
};

struct ost_token {
    enum ost_token_type type;
    unsigned line; /* where it begins */
    const char *text;
    size_t length;
};

struct ost_scan {
    const char *at;
    unsigned line;
    struct ost_report *report;
};

/* Begin to read text, which outlives the scan and its tokens. */
void ost_scan_init(struct ost_scan *scan, const char *text, struct ost_report *report);

/* The next token. What is wrong with a token in itself is reported here. */
struct ost_token ost_scan_next(struct ost_scan *scan);

#endif
