/* The addresses of services. */
#ifndef OST_DAEMON_LISTEN_H
#define OST_DAEMON_LISTEN_H

#include <ostler/log.h>

#include "daemon/conf.h"
#include "daemon/mixins.h"
#include "daemon/report.h"

/* Check service->listen, and make service->options.addresses of it, to be freed.
 * 0, -EINVAL after reports, or -ENOMEM. */
int ost_listen_read(struct ost_conf_service *service, struct ost_report *report);

/* What the addresses of service bring: some of enum ost_kind. Those that are wrong, and
 * were reported, bring nothing. */
unsigned ost_listen_kinds(const struct ost_conf_service *service);

/* Report each address for whose kind the handler has no face that word runs. */
void ost_listen_check_faces(const struct ost_conf_service *service, const struct ost_mixin_word *word,
                            struct ost_report *report);

/* Refuse an address that stands in the file twice. 0, -EINVAL after reports, or -ENOMEM. */
int ost_listen_check_twice(const struct ost_conf *conf, struct ost_report *report);

/* Refuse an fd:N that is not open, as long as the process has opened nothing itself. 0, or -EBADF after
 * lines in the log. */
int ost_listen_check_open(const struct ost_conf *conf, const struct ostler_log *log);

#endif
