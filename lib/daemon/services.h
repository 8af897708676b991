/* The table of services that a program gives to ostler_daemon_main(). */
#ifndef OST_DAEMON_SERVICES_H
#define OST_DAEMON_SERVICES_H

#include <ostler/daemon.h>

/* Can the table be used? NULL, or a sentence for who wrote the program. */
const char *ost_services_problem(const struct ostler_service *services);

const struct ostler_service *ost_services_find(const struct ostler_service *services, const char *name);

/* The own setting of handler called name, or NULL. */
const struct ostler_setting *ost_services_setting(const struct ostler_service *handler, const char *name);

#endif
