/* The configuration file as one piece of text. */
#ifndef OST_DAEMON_TEXT_H
#define OST_DAEMON_TEXT_H

#include "daemon/report.h"

enum { OST_TEXT_MAX = 256 * 1024 };

/* Read report->file into *out, to be freed: a string that ends with a newline and
 * holds no other NUL. 0; -errno after a report; or -ENOMEM. */
int ost_text_read(char **out, struct ost_report *report);

#endif
