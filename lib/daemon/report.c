/* Problems of a configuration file, one a line, as compilers tell of theirs, so
 * that editors find the place. All that can be found are told at once, up to a
 * number that still fits a screen. What stands in the file may be anything: control
 * characters come out as '?'. */
#include "daemon/report.h"

#include <stdarg.h>
#include <stdio.h>

enum { SHOWN = 20, LINE_SIZE = 1000 };

static void clean(char *line)
{
    for (unsigned char *c = (unsigned char *)line; *c; c++)
        if (*c < ' ' || *c == 0x7f)
            *c = '?';
}

void ost_report(struct ost_report *report, unsigned line, const char *format, ...)
{
    char text[LINE_SIZE];
    va_list arguments;

    if (report->problems++ >= SHOWN) {
        if (report->problems == SHOWN + 1)
            fprintf(stderr, "%s: there are more problems; these are the first %d\n", report->file, SHOWN);
        return;
    }
    va_start(arguments, format);
    if (vsnprintf(text, sizeof(text), format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    clean(text);
    if (line)
        fprintf(stderr, "%s:%u: %s\n", report->file, line, text);
    else
        fprintf(stderr, "%s: %s\n", report->file, text);
}
