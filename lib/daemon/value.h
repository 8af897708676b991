/* One value of the file, into the member of a struct that it fills. */
#ifndef OST_DAEMON_VALUE_H
#define OST_DAEMON_VALUE_H

#include <libconfig.h>

#include <ostler/daemon.h>

#include "daemon/options.h"
#include "daemon/report.h"

/* Check setting's value, and store it into target. 0, or -EINVAL after a report. */
int ost_value_store(const struct ost_option *option, const config_setting_t *setting, void *target,
                    struct ost_report *report);

/* The option that a service's own setting is. */
struct ost_option ost_value_option(const struct ostler_setting *own);

/* Store the default of a service's own setting into target. */
void ost_value_store_default(const struct ostler_setting *own, void *target);

#endif
