/* The table of services that a program gives to ostler_daemon_main(). */
#ifndef OST_DAEMON_SERVICES_H
#define OST_DAEMON_SERVICES_H

#include <stdbool.h>

#include <ostler/daemon.h>

/* Can the table be used? If not, a line on standard error tells the one who wrote it why. */
bool ost_services_are_sound(const struct ostler_service *services);

const struct ostler_service *ost_services_find(const struct ostler_service *services, const char *name);

/* The own setting of handler called name, or NULL. */
const struct ostler_setting *ost_services_setting(const struct ostler_service *handler, const char *name);

#endif
