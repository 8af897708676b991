/* The file as libconfig's tree. */
#ifndef OST_DAEMON_TREE_H
#define OST_DAEMON_TREE_H

#include <libconfig.h>

#include "daemon/flags.h"
#include "daemon/report.h"

/* Read report->file into tree, which is initialised, and *text, to be freed. 0; -errno
 * after reports; or -ENOMEM. */
int ost_tree_read(config_t *tree, char **text, struct ost_report *report);

/* The tree of a file that has one service, on the addresses of the command line. 0; or
 * -errno after a report. */
int ost_tree_of_addresses(config_t *tree, const struct ost_flags *flags, struct ost_report *report);

/* The line in which a setting, or an element of a list or array, begins; 0: in none. */
unsigned ost_tree_line(const config_setting_t *setting);

#endif
