/* Cuts the text into words exactly where libconfig's scanner does: the same
 * comments (# and // to the end of the line, and the C kind), strings and names.
 * What libconfig would act on or get wrong in silence is refused here, with its
 * line: @include, numbers that do not fit, a NUL written as \x00, comments and
 * strings that never end. In comments and strings nothing has a meaning. */
#include "daemon/scan.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "daemon/number.h"

enum { SHOWN = 40 }; /* bytes of a token in a sentence */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz*";
static const char name_bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789*-_";
static const char number_bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789*-_+.";

void ost_scan_init(struct ost_scan *scan, const char *text, struct ost_report *report)
{
    *scan = (struct ost_scan){ .at = text, .line = 1, .report = report };
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0) {
        ost_report(report, 1, "the file begins with a byte order mark: save it without one");
        scan->at += 3;
    }
}

/* Go to end, counting lines. */
static void advance(struct ost_scan *scan, const char *end)
{
    for (; scan->at < end; scan->at++)
        scan->line += *scan->at == '\n';
}

static const char *end_of_line(const char *at)
{
    return at + strcspn(at, "\n");
}

/* Leave the comment of the C kind that begins here; false when it has no end. */
static bool skip_comment(struct ost_scan *scan)
{
    const char *end = strstr(scan->at + 2, "*/");

    if (!end) {
        ost_report(scan->report, scan->line, "the comment that begins here has no end: */ is missing");
        return false;
    }
    advance(scan, end + 2);
    return true;
}

static void skip_include(struct ost_scan *scan)
{
    ost_report(scan->report, scan->line, "@include is not allowed: a configuration is one file");
    advance(scan, end_of_line(scan->at));
}

/* Leave everything that is no token; false when a comment has no end. */
static bool skip_blank(struct ost_scan *scan)
{
    for (;;) {
        const char *at = scan->at;

        if (*at && strchr(" \t\r\n\f", *at))
            advance(scan, at + 1);
        else if (*at == '#' || strncmp(at, "//", 2) == 0)
            advance(scan, end_of_line(at));
        else if (strncmp(at, "@include", 8) == 0)
            skip_include(scan);
        else if (strncmp(at, "/*", 2) != 0)
            return true;
        else if (!skip_comment(scan))
            return false;
    }
}

/* Bytes of the escape at text, which begins with a backslash. */
static size_t escape_length(const char *text)
{
    if (text[1] == '\\' || text[1] == '"')
        return 2;
    if ((text[1] == 'x' || text[1] == 'X') && text[2] == '0' && text[3] == '0')
        return 4;
    return 1; /* whatever follows has no meaning for where the string ends */
}

/* Where the string that begins at the scan's place ends, behind its quote, or NULL. */
static const char *string_end(const struct ost_scan *scan)
{
    const char *at = scan->at + 1;

    while (*(at += strcspn(at, "\"\\")) == '\\') {
        size_t n = escape_length(at);

        if (n == 4)
            ost_report(scan->report, scan->line, "the string that begins here holds %.4s: a NUL would cut it", at);
        at += n;
    }
    return *at ? at + 1 : NULL;
}

static enum ost_token_type scan_string(struct ost_scan *scan)
{
    const char *end = string_end(scan);

    if (!end) {
        ost_report(scan->report, scan->line, "the string that begins here has no end: a \" is missing");
        return OST_TOKEN_BROKEN;
    }
    advance(scan, end);
    return OST_TOKEN_STRING;
}

static void report_number(const struct ost_scan *scan, enum ost_number kind, size_t length)
{
    int n = length < SHOWN ? (int)length : SHOWN;
    const char *text = scan->at;

    if (kind == OST_NUMBER_NEEDS_L)
        ost_report(scan->report, scan->line, "%.*s does not fit into 32 bits: put an L behind it", n, text);
    else if (kind == OST_NUMBER_TOO_LARGE)
        ost_report(scan->report, scan->line, "%.*s is too large: an integer must fit into 64 bits", n, text);
    else if (kind == OST_NUMBER_OCTAL)
        ost_report(scan->report, scan->line,
                   "%.*s begins with a zero, as octal numbers do: leave that out, or, if it is a mode, write \"%.*s\"",
                   n, text, n, text);
    else
        ost_report(scan->report, scan->line, "%.*s is not a number; text stands in quotes: \"%.*s\"", n, text, n, text);
}

static enum ost_token_type scan_number(struct ost_scan *scan)
{
    size_t length = strspn(scan->at, number_bytes);
    enum ost_number kind = ost_number_kind(scan->at, length);

    if (kind >= OST_NUMBER_NONE)
        report_number(scan, kind, length);
    advance(scan, scan->at + length);
    return kind == OST_NUMBER_FLOAT       ? OST_TOKEN_FLOAT
           : kind == OST_NUMBER_INTEGER64 ? OST_TOKEN_INTEGER64
                                          : OST_TOKEN_INTEGER;
}

static bool is_word(const char *text, size_t n, const char *word)
{
    return n == strlen(word) && strncasecmp(text, word, n) == 0;
}

static enum ost_token_type scan_name(struct ost_scan *scan)
{
    const char *text = scan->at;
    size_t n = strspn(text, name_bytes);

    advance(scan, text + n);
    return is_word(text, n, "true") || is_word(text, n, "false") ? OST_TOKEN_SWITCH : OST_TOKEN_NAME;
}

static enum ost_token_type scan_byte(struct ost_scan *scan)
{
    char c = *scan->at;

    advance(scan, scan->at + 1);
    return strchr("=:,;{}[]()", c) ? OST_TOKEN_MARK : OST_TOKEN_OTHER;
}

static enum ost_token_type scan_token(struct ost_scan *scan)
{
    char c = *scan->at;

    if (!c)
        return OST_TOKEN_END;
    if (c == '"')
        return scan_string(scan);
    if (strchr(letters, c))
        return scan_name(scan);
    return strchr("0123456789+-.", c) ? scan_number(scan) : scan_byte(scan);
}

struct ost_token ost_scan_next(struct ost_scan *scan)
{
    bool more = skip_blank(scan);
    struct ost_token token = { .type = OST_TOKEN_BROKEN, .line = scan->line, .text = scan->at };

    if (more)
        token.type = scan_token(scan);
    token.length = (size_t)(scan->at - token.text);
    return token;
}
