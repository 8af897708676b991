/* A service's group: first its handler, which decides what else may stand there; then
 * each setting by the table that knows it; then what takes more than a look into a
 * table, which are the mix-in and the addresses. */
#include "daemon/service.h"

#include <errno.h>
#include <stdlib.h>

#include <ostler/mixin.h>

#include "daemon/listen.h"
#include "daemon/mixins.h"
#include "daemon/options.h"
#include "daemon/services.h"
#include "daemon/tree.h"
#include "daemon/unknown.h"
#include "daemon/value.h"

enum { ANY_KIND = OST_KIND_CONNECTIONS | OST_KIND_DATAGRAMS };

static int check_group(const config_setting_t *group, struct ost_report *report)
{
    if (config_setting_is_group(group))
        return 0;
    ost_report(report, ost_tree_line(group),
               "a service is a group: %s = { handler = \"NAME\" listen = \"tcp:HOST:PORT\" }",
               config_setting_name(group));
    return -EINVAL;
}

static void find_handler(struct ost_conf_service *service, const config_setting_t *group,
                         const struct ostler_service *handlers, struct ost_report *report)
{
    const config_setting_t *s = config_setting_get_member(group, "handler");
    const char *name = s ? config_setting_get_string(s) : NULL;

    if (!s)
        ost_report(report, ost_tree_line(group), "service %s has no handler; it needs handler = \"NAME\"",
                   service->name);
    if (!name)
        return; /* a wrong type is found when its value is stored */
    service->handler = ost_services_find(handlers, name);
    if (!service->handler)
        ost_unknown_handler(s, handlers, report);
}

/* The block that ostler_server_user() will give, filled with defaults. */
static int make_user(struct ost_conf_service *service)
{
    const struct ostler_service *handler = service->handler;

    if (!handler || handler->user_size == 0)
        return 0;
    service->options.user = calloc(1, handler->user_size);
    if (!service->options.user)
        return -ENOMEM;
    for (const struct ostler_setting *own = handler->settings; own && own->name; own++)
        ost_value_store_default(own, service->options.user);
    return 0;
}

static void read_setting(struct ost_conf_service *service, const config_setting_t *s, struct ost_report *report)
{
    const char *name = config_setting_name(s);
    const struct ost_option *option = ost_option_find(ost_service_options, name);
    const struct ostler_setting *own = service->handler ? ost_services_setting(service->handler, name) : NULL;

    if (option) {
        ost_value_store(option, s, service, report);
    } else if (own) {
        struct ost_option as_option = ost_value_option(own);

        ost_value_store(&as_option, s, service->options.user, report);
    } else if (service->handler) { /* without one, it might be a setting of its own */
        ost_unknown_service_setting(s, service->handler, report);
    }
}

static void report_mixin(const struct ost_conf_service *service, const struct ost_mixin_word *word,
                         const config_setting_t *group, struct ost_report *report)
{
    unsigned line = ost_tree_line(config_setting_get_member(group, "mixin"));
    char list[OST_MIXIN_LIST];

    ost_mixin_word_list(service->handler, ANY_KIND, list);
    if (word)
        ost_report(report, line, "handler %s cannot run as \"%s\", since it has no face for it (%s); it can run as %s",
                   service->handler->name, word->word, ost_mixin_word_faces(word), list);
    else
        ost_report(report, line, "there is no mixin \"%.60s\"; there are %s", service->mixin_name, list);
}

/* The word for the service's mix-in; NULL after a report, or when a report has told
 * already that there is no handler. */
static const struct ost_mixin_word *find_mixin(const struct ost_conf_service *service, const config_setting_t *group,
                                               struct ost_report *report)
{
    const struct ost_mixin_word *word;

    if (!service->mixin_name)
        return service->handler ? ost_mixin_word_default(service->handler, ost_listen_kinds(service)) : NULL;
    word = ost_mixin_word_find(service->mixin_name);
    if (word && (!service->handler || ost_mixin_word_suits(word, service->handler, ANY_KIND)))
        return word;
    report_mixin(service, word, group, report);
    return NULL;
}

/* The faces that word runs, as far as the addresses need them. */
static void set_handler(struct ost_conf_service *service, const struct ost_mixin_word *word)
{
    const struct ostler_service *handler = service->handler;
    unsigned kinds = ost_listen_kinds(service);

    service->options.server_class = handler->server_class;
    service->options.mixin = word->mixin;
    if (!word->is_evented)
        service->options.stream = handler->stream;
    if (word->is_evented && (kinds & OST_KIND_CONNECTIONS))
        service->options.conn = handler->conn;
    if (word->is_evented && (kinds & OST_KIND_DATAGRAMS))
        service->options.datagram = handler->datagram;
}

static void check_defer(const struct ost_conf_service *service, const struct ost_mixin_word *word,
                        const config_setting_t *group, struct ost_report *report)
{
    if (word->is_evented && service->options.defer)
        ost_report(report, ost_tree_line(config_setting_get_member(group, "defer")),
                   "defer is not for \"evented\", where a client that waits holds up nobody; leave it out");
}

/* What runs the handler, on the addresses that were found good. */
static void read_mixin(struct ost_conf_service *service, const config_setting_t *group, struct ost_report *report)
{
    const struct ost_mixin_word *word = find_mixin(service, group, report);

    if (!word || !service->handler)
        return;
    set_handler(service, word);
    check_defer(service, word, group, report);
    ost_listen_check_faces(service, word, report);
}

static int read_addresses(struct ost_conf_service *service, const config_setting_t *group, struct ost_report *report)
{
    if (service->listen)
        return ost_listen_read(service, report);
    if (!config_setting_get_member(group, "listen"))
        ost_report(report, ost_tree_line(group), "service %s has no address; it needs listen = \"tcp:HOST:PORT\"",
                   service->name);
    return -EINVAL;
}

int ost_service_read(struct ost_conf_service *service, const config_setting_t *group,
                     const struct ostler_service *handlers, struct ost_report *report)
{
    int error = check_group(group, report);

    if (error < 0)
        return error;
    service->name = service->options.name = config_setting_name(group);
    find_handler(service, group, handlers, report);
    error = make_user(service);
    if (error < 0)
        return error;
    for (int i = 0; i < config_setting_length(group); i++)
        read_setting(service, config_setting_get_elem(group, (unsigned)i), report);
    error = read_addresses(service, group, report);
    if (error != -ENOMEM)
        read_mixin(service, group, report);
    return error;
}

bool ost_service_forks(const struct ost_conf_service *service)
{
    return service->options.mixin == &ostler_forking;
}

void ost_service_fini(struct ost_conf_service *service)
{
    free((void *)service->options.addresses);
    free(service->options.user);
}
