/* One service of the file. */
#ifndef OST_DAEMON_SERVICE_H
#define OST_DAEMON_SERVICE_H

#include <libconfig.h>

#include <ostler/daemon.h>

#include "daemon/conf.h"
#include "daemon/report.h"

/* Read group into service, which is zeroed; handlers are the program's. 0 or -EINVAL
 * after reports, or -ENOMEM. What service then holds is to be freed either way. */
int ost_service_read(struct ost_conf_service *service, const config_setting_t *group,
                     const struct ostler_service *handlers, struct ost_report *report);

/* Is it one of the mix-in "forking"? */
bool ost_service_forks(const struct ost_conf_service *service);

void ost_service_fini(struct ost_conf_service *service);

#endif
