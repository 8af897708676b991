/* From the file to a checked configuration. Nothing is bound or started before the
 * whole file is good, and as many problems as can be found are told at once.
 *
 * Strings of the configuration are the tree's, so the tree lives as long; and since
 * its nodes point back at it, it is built where it stays. */
#include "daemon/conf.h"

#include <errno.h>
#include <stdlib.h>

#include <ostler/log.h>

#include "daemon/listen.h"
#include "daemon/options.h"
#include "daemon/report.h"
#include "daemon/service.h"
#include "daemon/tree.h"
#include "daemon/unknown.h"
#include "daemon/value.h"

static void read_setting(struct ost_conf *conf, const config_setting_t *s, struct ost_report *report)
{
    const struct ost_option *option = ost_option_find(ost_file_options, config_setting_name(s));

    if (option)
        ost_value_store(option, s, conf, report);
    else
        ost_unknown_file_setting(s, report);
}

static void read_log_level(struct ost_conf *conf, const config_setting_t *root, struct ost_report *report)
{
    int level = ostler_log_level_parse(conf->log_level_name);

    if (level < 0)
        ost_report(report, ost_tree_line(config_setting_get_member(root, "log_level")),
                   "there is no log_level \"%.60s\"; there are error, warning, info, debug", conf->log_level_name);
    else
        conf->log_level = level;
}

static int read_service(struct ost_conf *conf, size_t index, const struct ostler_service *handlers,
                        struct ost_report *report)
{
    struct ost_conf_service *service = &conf->services[index];

    service->options.stop_timeout_ms = conf->stop_timeout_ms;
    service->options.skip_missing = true;
    return ost_service_read(service, config_setting_get_elem(conf->group, (unsigned)index), handlers, report);
}

static int read_services(struct ost_conf *conf, const struct ostler_service *handlers, struct ost_report *report)
{
    size_t count = (size_t)config_setting_length(conf->group);
    int error = 0;

    if (count == 0)
        ost_report(report, ost_tree_line(conf->group), "services is empty; a daemon needs at least one");
    conf->services = calloc(count + 1, sizeof(*conf->services));
    if (!conf->services)
        return -ENOMEM;
    for (conf->count = 0; conf->count < count && error != -ENOMEM; conf->count++)
        error = read_service(conf, conf->count, handlers, report);
    return error == -ENOMEM ? error : 0;
}

/* A process that has threads must not fork; and with workers the daemon's own serves nothing. */
static void hold_services(const struct ost_conf *conf)
{
    for (size_t i = 0; i < conf->count; i++)
        conf->services[i].held = conf->workers > 0 || ost_service_forks(&conf->services[i]);
}

static int read_root(struct ost_conf *conf, const struct ostler_service *handlers, struct ost_report *report)
{
    const config_setting_t *root = config_root_setting(&conf->tree);
    int error = 0;

    for (int i = 0; i < config_setting_length(root); i++)
        read_setting(conf, config_setting_get_elem(root, (unsigned)i), report);
    read_log_level(conf, root, report);
    if (conf->group)
        error = read_services(conf, handlers, report);
    else if (!config_setting_get_member(root, "services"))
        ost_report(report, 1, "the file has no services; it needs services = { NAME = { … } }");
    hold_services(conf);
    if (error == 0 && report->problems == 0)
        error = ost_listen_check_twice(conf, report);
    return error;
}

static int make_tree(struct ost_conf *conf, const struct ost_flags *flags, struct ost_report *report)
{
    if (flags->file)
        return ost_tree_read(&conf->tree, &conf->text, report);
    return ost_tree_of_addresses(&conf->tree, flags, report);
}

static int load(struct ost_conf *conf, const struct ost_flags *flags, const struct ostler_service *handlers,
                struct ost_report *report)
{
    int error = make_tree(conf, flags, report);

    if (error == 0)
        error = read_root(conf, handlers, report);
    if (error == 0 && report->problems > 0)
        error = -EINVAL;
    if (error < 0 && report->problems == 0)
        ost_report(report, 0, "cannot be read: there is not enough memory");
    return error;
}

int ost_conf_load(struct ost_conf *conf, const struct ost_flags *flags, const struct ostler_service *handlers)
{
    struct ost_report report = { .file = flags->file ? flags->file : flags->program };
    int error;

    *conf = (struct ost_conf){ .log_level_name = "info", .log_level = OSTLER_LOG_INFO, .stop_timeout_ms = 10000 };
    config_init(&conf->tree);
    error = load(conf, flags, handlers, &report);
    if (error < 0)
        ost_conf_free(conf);
    return error;
}

static size_t count_held(const struct ost_conf *conf)
{
    size_t count = 0;

    for (size_t i = 0; i < conf->count; i++)
        count += conf->services[i].held;
    return count;
}

bool ost_conf_has_held(const struct ost_conf *conf)
{
    return count_held(conf) > 0;
}

bool ost_conf_has_own(const struct ost_conf *conf)
{
    return count_held(conf) < conf->count;
}

void ost_conf_free(struct ost_conf *conf)
{
    for (size_t i = 0; i < conf->count; i++)
        ost_service_fini(&conf->services[i]);
    free(conf->services);
    free(conf->balance);
    free(conf->text);
    config_destroy(&conf->tree);
}
