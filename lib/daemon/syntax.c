/* A recursive descent through libconfig's grammar. libconfig does it again, and
 * builds the tree; but it says "syntax error" for whatever is wrong, forgets to free
 * the string that it had just read, and takes the line of the token *behind* a string
 * for that of the string. So a file that reaches it is free of syntax errors, and the
 * lines of strings are noted here.
 *
 *    settings:  (NAME (= | :) value (; | ,)?)*
 *    value:     STRING+ | NUMBER | SWITCH | [ scalars ] | ( values ) | { settings }
 *
 * where scalars and values are separated by commas, and scalars of one array have
 * one type. A function returns false when there is no sense in reading on. */
#include "daemon/syntax.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/scan.h"

enum { SHOWN = 40 };

struct syntax {
    struct ost_scan scan;
    struct ost_token token; /* the next one, not yet used */
    struct ost_report *report;
    struct ost_lines lines;
    unsigned values;
    unsigned depth;
    unsigned last_line; /* of a token that was used */
};

static void use(struct syntax *s)
{
    s->last_line = s->token.line;
    s->token = ost_scan_next(&s->scan);
}

static bool at_mark(const struct syntax *s, char mark)
{
    return s->token.type == OST_TOKEN_MARK && *s->token.text == mark;
}

static bool is_scalar(const struct syntax *s)
{
    enum ost_token_type type = s->token.type;

    return type == OST_TOKEN_STRING || type == OST_TOKEN_INTEGER || type == OST_TOKEN_INTEGER64 ||
           type == OST_TOKEN_FLOAT || type == OST_TOKEN_SWITCH;
}

/* Tell that the next token is out of place: what would be right. Always false. */
static bool out_of_place(struct syntax *s, const char *right)
{
    const struct ost_token *t = &s->token;
    int n = t->length < SHOWN ? (int)t->length : SHOWN;

    if (t->type == OST_TOKEN_END)
        ost_report(s->report, s->last_line, "the file ends too early: %s", right);
    else if (t->type == OST_TOKEN_OTHER && (unsigned char)*t->text >= 0x7f)
        ost_report(s->report, t->line, "a byte 0x%02x is out of place here: %s", (unsigned char)*t->text, right);
    else if (t->type != OST_TOKEN_BROKEN)
        ost_report(s->report, t->line, "%.*s is out of place here: %s", n, t->text, right);
    return false;
}

static bool count_value(struct syntax *s)
{
    if (s->values++ < OST_SYNTAX_VALUES)
        return true;
    ost_report(s->report, s->token.line, "there are more than %d values; that is the most", OST_SYNTAX_VALUES);
    return false;
}

/* A string, and those behind it, which libconfig joins. */
static bool strings(struct syntax *s)
{
    s->lines.line[s->lines.count++] = s->token.line;
    while (s->token.type == OST_TOKEN_STRING)
        use(s);
    return true;
}

static bool scalar(struct syntax *s)
{
    if (s->token.type == OST_TOKEN_STRING)
        return strings(s);
    use(s);
    return true;
}

static bool array_element(struct syntax *s, enum ost_token_type type)
{
    if (!is_scalar(s))
        return out_of_place(s, "an array [ ] holds strings, numbers or switches");
    if (s->token.type != type)
        return out_of_place(s, "all elements of an array [ ] have one type");
    return count_value(s) && scalar(s);
}

/* Behind an element: a comma and another one, or the end. */
static bool goes_on(struct syntax *s)
{
    if (!at_mark(s, ','))
        return false;
    use(s);
    return true;
}

static bool end_of_elements(struct syntax *s, char mark)
{
    if (!at_mark(s, mark))
        return out_of_place(s, mark == ']' ? "elements are separated by commas, and ] ends them"
                                           : "elements are separated by commas, and ) ends them");
    use(s);
    return true;
}

static bool array(struct syntax *s)
{
    enum ost_token_type type;

    use(s);
    type = s->token.type;
    if (!at_mark(s, ']'))
        do {
            if (!array_element(s, type))
                return false;
        } while (goes_on(s));
    return end_of_elements(s, ']');
}

static bool value(struct syntax *s);

static bool list(struct syntax *s)
{
    use(s);
    if (!at_mark(s, ')'))
        do {
            if (!count_value(s) || !value(s))
                return false;
        } while (goes_on(s));
    return end_of_elements(s, ')');
}

static bool settings(struct syntax *s);

static bool group(struct syntax *s)
{
    unsigned line = s->token.line;

    use(s);
    if (!settings(s))
        return false;
    if (at_mark(s, '}')) {
        use(s);
        return true;
    }
    if (s->token.type != OST_TOKEN_END)
        return out_of_place(s, "a setting is NAME = VALUE, and } ends a group");
    ost_report(s->report, s->last_line, "the file ends too early: the } for the { of line %u is missing", line);
    return false;
}

static bool aggregate(struct syntax *s, bool (*read)(struct syntax *s))
{
    bool good;

    if (s->depth == OST_SYNTAX_DEPTH)
        return out_of_place(s, "nothing here nests that deep");
    s->depth++;
    good = read(s);
    s->depth--;
    return good;
}

static bool value(struct syntax *s)
{
    if (is_scalar(s))
        return scalar(s);
    if (at_mark(s, '['))
        return aggregate(s, array);
    if (at_mark(s, '('))
        return aggregate(s, list);
    if (at_mark(s, '{'))
        return aggregate(s, group);
    if (s->token.type == OST_TOKEN_NAME)
        return out_of_place(s, "text stands in quotes, and a switch is true or false");
    return out_of_place(s, "a value is a \"string\", a number, true, false, [ ] or { }");
}

/* Is there room in the group for one more setting, and for its name? */
static bool count_setting(struct syntax *s, unsigned count)
{
    if (count >= OST_SYNTAX_GROUP)
        ost_report(s->report, s->token.line, "there are more than %d settings in this group", OST_SYNTAX_GROUP);
    else if (s->token.length > OST_SYNTAX_NAME)
        ost_report(s->report, s->token.line, "a name has %d bytes at most; %.*s... has more", OST_SYNTAX_NAME, SHOWN,
                   s->token.text);
    else
        return true;
    return false;
}

static bool setting(struct syntax *s)
{
    struct ost_token name = s->token;
    int n = name.length < SHOWN ? (int)name.length : SHOWN;

    use(s);
    if (s->token.type == OST_TOKEN_BROKEN)
        return false;
    if (!at_mark(s, '=') && !at_mark(s, ':')) {
        ost_report(s->report, name.line, "%.*s has no value: a setting is %.*s = VALUE", n, name.text, n, name.text);
        return false;
    }
    use(s);
    if (!count_value(s) || !value(s))
        return false;
    if (at_mark(s, ';') || at_mark(s, ','))
        use(s);
    return true;
}

/* Settings, up to something else. */
static bool settings(struct syntax *s)
{
    for (unsigned count = 0; s->token.type == OST_TOKEN_NAME; count++)
        if (!count_setting(s, count) || !setting(s))
            return false;
    return true;
}

static bool file(struct syntax *s)
{
    if (!settings(s))
        return false;
    if (s->token.type == OST_TOKEN_END)
        return true;
    if (is_scalar(s))
        return out_of_place(s, "a setting is NAME = VALUE, and several values stand in brackets: [\"a\", \"b\"]");
    if (at_mark(s, '}'))
        return out_of_place(s, "there is no { to it");
    return out_of_place(s, "a setting is NAME = VALUE");
}

void ost_lines_free(struct ost_lines *lines)
{
    free(lines->line);
    *lines = (struct ost_lines){ 0 };
}

int ost_syntax_check(struct ost_lines *out, const char *text, struct ost_report *report)
{
    struct syntax s = { .report = report, .last_line = 1 };

    s.lines.line = calloc(OST_SYNTAX_VALUES + 1, sizeof(*s.lines.line));
    if (!s.lines.line)
        return -ENOMEM;
    ost_scan_init(&s.scan, text, report);
    s.token = ost_scan_next(&s.scan);
    if (!file(&s) || report->problems > 0) {
        ost_lines_free(&s.lines);
        return -EINVAL;
    }
    *out = s.lines;
    return 0;
}
