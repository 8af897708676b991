/* A wrong name is mostly a slip of the fingers, or the right one in the wrong place:
 * so say which, if it is clear. */
#include "daemon/unknown.h"

#include "daemon/nearest.h"
#include "daemon/options.h"
#include "daemon/tree.h"

static void offer_options(struct ost_nearest *nearest, const struct ost_option *table)
{
    for (; table->name; table++)
        ost_nearest_offer(nearest, table->name);
}

static void report_setting(const config_setting_t *s, const struct ost_nearest *nearest, struct ost_report *report)
{
    if (nearest->best)
        ost_report(report, ost_tree_line(s), "there is no setting %.60s; did you mean %s?", nearest->word,
                   nearest->best);
    else
        ost_report(report, ost_tree_line(s), "there is no setting %.60s; -l lists those that there are",
                   nearest->word);
}

void ost_unknown_file_setting(const config_setting_t *s, struct ost_report *report)
{
    const char *name = config_setting_name(s);
    struct ost_nearest nearest;

    if (ost_option_find(ost_service_options, name)) {
        ost_report(report, ost_tree_line(s), "%s stands outside of a service; it belongs into one", name);
        return;
    }
    ost_nearest_init(&nearest, name);
    offer_options(&nearest, ost_file_options);
    report_setting(s, &nearest, report);
}

void ost_unknown_service_setting(const config_setting_t *s, const struct ostler_service *handler,
                                 struct ost_report *report)
{
    const char *name = config_setting_name(s);
    struct ost_nearest nearest;

    if (ost_option_find(ost_file_options, name)) {
        ost_report(report, ost_tree_line(s), "%s stands in a service; it belongs outside of services", name);
        return;
    }
    ost_nearest_init(&nearest, name);
    offer_options(&nearest, ost_service_options);
    for (const struct ostler_setting *own = handler->settings; own && own->name; own++)
        ost_nearest_offer(&nearest, own->name);
    report_setting(s, &nearest, report);
}

void ost_unknown_handler(const config_setting_t *s, const struct ostler_service *services, struct ost_report *report)
{
    struct ost_nearest nearest;

    ost_nearest_init(&nearest, config_setting_get_string(s));
    for (; services->name; services++)
        ost_nearest_offer(&nearest, services->name);
    if (nearest.best)
        ost_report(report, ost_tree_line(s), "there is no handler \"%.60s\"; did you mean \"%s\"?", nearest.word,
                   nearest.best);
    else
        ost_report(report, ost_tree_line(s), "there is no handler \"%.60s\"; -l lists those that there are",
                   nearest.word);
}
