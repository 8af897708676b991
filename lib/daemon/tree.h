/* The file as libconfig's tree. */
#ifndef OST_DAEMON_TREE_H
#define OST_DAEMON_TREE_H

#include <libconfig.h>

#include "daemon/report.h"

/* Read report->file into tree, which is initialised. 0; -errno after
 * reports; or -ENOMEM. */
int ost_tree_read(config_t *tree, struct ost_report *report);

/* The line in which a setting, or an element of a list or array, begins. */
unsigned ost_tree_line(const config_setting_t *setting);

#endif
