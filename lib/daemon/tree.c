/* A configuration as libconfig's tree. text.c reads the file, syntax.c refuses what
 * libconfig would choke on or misread, libconfig builds the tree. What is left for
 * libconfig to complain of is a name given twice.
 *
 * libconfig's own line of a string in an array is that of the token behind it, which
 * may stand further down; so the lines that syntax.c noted are hung onto them.
 *
 * Addresses of the command line become the tree that a file for them would, so that what
 * follows is the same for both. */
#include "daemon/tree.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/syntax.h"
#include "daemon/text.h"

unsigned ost_tree_line(const config_setting_t *setting)
{
    uintptr_t noted = (uintptr_t)config_setting_get_hook(setting);

    return noted ? (unsigned)noted : config_setting_source_line(setting);
}

/* Strings come in the same order in the tree and in the text. */
static void note_lines(config_setting_t *s, const struct ost_lines *lines, size_t *next)
{
    int n = config_setting_is_aggregate(s) ? config_setting_length(s) : 0;

    if (config_setting_type(s) == CONFIG_TYPE_STRING && *next < lines->count) {
        unsigned line = lines->line[(*next)++];

        if (!config_setting_name(s))
            config_setting_set_hook(s, (void *)(uintptr_t)line);
    }
    for (int i = 0; i < n; i++)
        note_lines(config_setting_get_elem(s, (unsigned)i), lines, next);
}

static int report_error(const config_t *tree, struct ost_report *report)
{
    const char *text = config_error_text(tree);

    if (text && strstr(text, "duplicate"))
        text = "duplicate: a setting of this name stands in this group already; leave one of the two";
    ost_report(report, (unsigned)config_error_line(tree), "%s", text ? text : "libconfig cannot read this");
    return -EINVAL;
}

static int parse(config_t *tree, const char *text, struct ost_report *report)
{
    struct ost_lines lines;
    size_t next = 0;
    int error = ost_syntax_check(&lines, text, report);

    if (error < 0)
        return error;
    if (config_read_string(tree, text))
        note_lines(config_root_setting(tree), &lines, &next);
    else
        error = report_error(tree, report);
    ost_lines_free(&lines);
    return error;
}

int ost_tree_read(config_t *tree, char **out, struct ost_report *report)
{
    char *text;
    int error = ost_text_read(&text, report);

    if (error < 0)
        return error;
    error = parse(tree, text, report);
    if (error < 0)
        free(text);
    else
        *out = text;
    return error;
}

/* services = { NAME = { handler = "NAME" listen = [ ] } }; the array, or NULL. */
static config_setting_t *add_service(config_t *tree, const char *handler)
{
    config_setting_t *services = config_setting_add(config_root_setting(tree), "services", CONFIG_TYPE_GROUP);
    config_setting_t *group = config_setting_add(services, handler, CONFIG_TYPE_GROUP);
    config_setting_t *name = group ? config_setting_add(group, "handler", CONFIG_TYPE_STRING) : NULL;

    if (!name || !config_setting_set_string(name, handler))
        return NULL;
    return config_setting_add(group, "listen", CONFIG_TYPE_ARRAY);
}

int ost_tree_of_addresses(config_t *tree, const struct ost_flags *flags, struct ost_report *report)
{
    config_setting_t *listen = add_service(tree, flags->only->name);

    if (!listen) {
        ost_report(report, 0, "\"%.60s\" can be no service's name; use -c FILE", flags->only->name);
        return -EINVAL;
    }
    for (int i = 0; i < flags->address_count; i++)
        if (!config_setting_set_string_elem(listen, -1, flags->addresses[i]))
            return -ENOMEM;
    return 0;
}
