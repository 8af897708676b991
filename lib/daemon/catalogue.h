/* What -l prints. */
#ifndef OST_DAEMON_CATALOGUE_H
#define OST_DAEMON_CATALOGUE_H

#include <ostler/daemon.h>

/* Print to standard output what a configuration file can have. */
void ost_catalogue_print(const struct ostler_service *services);

#endif
