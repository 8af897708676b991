/* Names in the file that nobody knows. */
#ifndef OST_DAEMON_UNKNOWN_H
#define OST_DAEMON_UNKNOWN_H

#include <libconfig.h>

#include <ostler/daemon.h>

#include "daemon/report.h"

/* Report a setting of the file, or of a service that handler answers. */
void ost_unknown_file_setting(const config_setting_t *setting, struct ost_report *report);
void ost_unknown_service_setting(const config_setting_t *setting, const struct ostler_service *handler,
                                 struct ost_report *report);

/* Report a handler that is not among services. */
void ost_unknown_handler(const config_setting_t *setting, const struct ostler_service *services,
                         struct ost_report *report);

#endif
