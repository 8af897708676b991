/* From libconfig's types to C's. The range is checked in the file's unit and type, so
 * that nothing is cut before it is compared. */
#include "daemon/value.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/tree.h"

enum { VALUE_SIZE = 80, MODE_DIGITS = 4, OWNER_WRITES = 0200 };

/* A value in words, for "not …". */
static void describe(const config_setting_t *s, char text[VALUE_SIZE])
{
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        snprintf(text, VALUE_SIZE, "%lld", config_setting_get_int64(s));
        break;
    case CONFIG_TYPE_FLOAT:
        snprintf(text, VALUE_SIZE, "%#g", config_setting_get_float(s));
        break;
    case CONFIG_TYPE_STRING:
        snprintf(text, VALUE_SIZE, "the text \"%.40s\"", config_setting_get_string(s));
        break;
    case CONFIG_TYPE_BOOL:
        snprintf(text, VALUE_SIZE, "%s", config_setting_get_bool(s) ? "true" : "false");
        break;
    default:
        snprintf(text, VALUE_SIZE, "%s", config_setting_is_group(s)   ? "a group { }"
                                         : config_setting_is_array(s) ? "an array [ ]"
                                                                      : "a list ( )");
    }
}

/* An integer would be a trap: 660 is not 0660. */
static bool read_mode(const config_setting_t *s, unsigned *out)
{
    const char *text = config_setting_get_string(s);
    size_t length = text ? strlen(text) : 0;
    unsigned long mode;

    if (length < 1 || length > MODE_DIGITS || strspn(text, "01234567") != length)
        return false;
    mode = strtoul(text, NULL, 8);
    *out = (unsigned)mode;
    return mode >= 1 && mode <= 0777;
}

/* What is wrong with a value that looks right, or nothing. */
static const char *reason(const struct ost_option *option, const config_setting_t *setting)
{
    unsigned mode;

    return option->type == OST_OPTION_MODE && read_mode(setting, &mode)
               ? ": without 0200, by which its owner may write, a dead socket could not be replaced"
               : "";
}

static int refuse(const struct ost_option *option, const config_setting_t *setting, struct ost_report *report)
{
    char right[OST_OPTION_PHRASE], wrong[VALUE_SIZE];

    ost_option_expects(option, right);
    describe(setting, wrong);
    ost_report(report, ost_tree_line(setting), "%s must be %s, not %s%s", option->name, right, wrong,
               reason(option, setting));
    return -EINVAL;
}

static bool get_text(const config_setting_t *s, const char **out)
{
    *out = config_setting_get_string(s);
    return *out != NULL;
}

static bool get_addresses(const config_setting_t *s, const config_setting_t **out)
{
    *out = s;
    return config_setting_type(s) == CONFIG_TYPE_STRING || config_setting_is_array(s) || config_setting_is_list(s);
}

static bool get_group(const config_setting_t *s, const config_setting_t **out)
{
    *out = s;
    return config_setting_is_group(s);
}

static bool get_long(const config_setting_t *s, long *out)
{
    long long value = config_setting_get_int64(s);

    *out = (long)value;
    return (config_setting_type(s) == CONFIG_TYPE_INT || config_setting_type(s) == CONFIG_TYPE_INT64) &&
           value >= LONG_MIN && value <= LONG_MAX;
}

static bool get_double(const config_setting_t *s, double *out)
{
    if (config_setting_type(s) == CONFIG_TYPE_FLOAT)
        *out = config_setting_get_float(s);
    else
        *out = (double)config_setting_get_int64(s);
    return config_setting_is_number(s);
}

static bool get_bool(const config_setting_t *s, bool *out)
{
    *out = config_setting_get_bool(s);
    return config_setting_type(s) == CONFIG_TYPE_BOOL;
}

static bool get_mode(const config_setting_t *s, unsigned *out)
{
    return read_mode(s, out) && *out & OWNER_WRITES;
}

static bool get_in_range(const struct ost_option *o, const config_setting_t *s, long *out)
{
    return get_long(s, out) && *out >= o->min && *out <= o->max;
}

/* What is more than nothing stays so: 0 has its own meaning. */
static bool get_ms(const struct ost_option *o, const config_setting_t *s, long *out)
{
    double seconds;

    if (!get_double(s, &seconds) || !(seconds >= (double)o->min && seconds <= (double)o->max))
        return false;
    *out = (long)(seconds * 1000 + 0.5);
    if (*out == 0)
        *out = seconds > 0 ? 1 : o->zero_ms;
    return true;
}

static bool get_whole_ms(const struct ost_option *o, const config_setting_t *s, long *out)
{
    if (!get_in_range(o, s, out))
        return false;
    if (*out == 0)
        *out = o->zero_ms;
    return true;
}

/* Room for a value of any type, and how much of it the type takes. */
struct value {
    union {
        const char *text;
        const config_setting_t *setting;
        int count;
        size_t bytes;
        long number;
        double fraction;
        bool on;
        unsigned mode;
    } as;
    size_t size;
};

static bool get_count(const struct ost_option *o, const config_setting_t *s, struct value *v)
{
    long number;

    if (!get_in_range(o, s, &number))
        return false;
    v->as.count = (int)number;
    v->size = sizeof(v->as.count);
    return true;
}

static bool get_bytes(const struct ost_option *o, const config_setting_t *s, struct value *v)
{
    long number;

    if (!get_in_range(o, s, &number))
        return false;
    v->as.bytes = (size_t)number;
    v->size = sizeof(v->as.bytes);
    return true;
}

static bool get_switch(const struct ost_option *o, const config_setting_t *s, struct value *v)
{
    bool on;

    if (!get_bool(s, &on))
        return false;
    v->as.on = o->type == OST_OPTION_SWITCH_OFF ? !on : on;
    v->size = sizeof(v->as.on);
    return true;
}

static bool get(const struct ost_option *o, const config_setting_t *s, struct value *v)
{
    switch (o->type) {
    case OST_OPTION_TEXT:
        v->size = sizeof(v->as.text);
        return get_text(s, &v->as.text);
    case OST_OPTION_ADDRESSES:
        v->size = sizeof(v->as.setting);
        return get_addresses(s, &v->as.setting);
    case OST_OPTION_GROUP:
        v->size = sizeof(v->as.setting);
        return get_group(s, &v->as.setting);
    case OST_OPTION_COUNT:
        return get_count(o, s, v);
    case OST_OPTION_BYTES:
        return get_bytes(o, s, v);
    case OST_OPTION_SECONDS:
        v->size = sizeof(v->as.number);
        return get_ms(o, s, &v->as.number);
    case OST_OPTION_NUMBER:
        v->size = sizeof(v->as.number);
        return get_long(s, &v->as.number);
    case OST_OPTION_FRACTION:
        v->size = sizeof(v->as.fraction);
        return get_double(s, &v->as.fraction);
    case OST_OPTION_MS:
        v->size = sizeof(v->as.number);
        return get_whole_ms(o, s, &v->as.number);
    case OST_OPTION_SWITCH:
    case OST_OPTION_SWITCH_OFF:
        return get_switch(o, s, v);
    case OST_OPTION_MODE:
        v->size = sizeof(v->as.mode);
        return get_mode(s, &v->as.mode);
    case OST_OPTION_NONE:
        break;
    }
    return false;
}

static void put(void *target, size_t offset, const struct value *v)
{
    memcpy((char *)target + offset, &v->as, v->size);
}

int ost_value_store(const struct ost_option *option, const config_setting_t *setting, void *target,
                    struct ost_report *report)
{
    struct value v;

    if (!get(option, setting, &v))
        return refuse(option, setting, report);
    put(target, option->offset, &v);
    return 0;
}

struct ost_option ost_value_option(const struct ostler_setting *own)
{
    static const enum ost_option_type types[] = {
        [OSTLER_SETTING_END] = OST_OPTION_NONE,
        [OSTLER_SETTING_IS_STRING] = OST_OPTION_TEXT,
        [OSTLER_SETTING_IS_LONG] = OST_OPTION_NUMBER,
        [OSTLER_SETTING_IS_DOUBLE] = OST_OPTION_FRACTION,
        [OSTLER_SETTING_IS_BOOL] = OST_OPTION_SWITCH,
    };

    return (struct ost_option){ .name = own->name, .type = types[own->type], .offset = own->offset };
}

void ost_value_store_default(const struct ostler_setting *own, void *target)
{
    struct value v = { 0 };

    switch (own->type) {
    case OSTLER_SETTING_IS_STRING:
        v.as.text = own->string;
        v.size = sizeof(v.as.text);
        break;
    case OSTLER_SETTING_IS_LONG:
        v.as.number = own->integer;
        v.size = sizeof(v.as.number);
        break;
    case OSTLER_SETTING_IS_DOUBLE:
        v.as.fraction = own->number;
        v.size = sizeof(v.as.fraction);
        break;
    case OSTLER_SETTING_IS_BOOL:
        v.as.on = own->integer != 0;
        v.size = sizeof(v.as.on);
        break;
    case OSTLER_SETTING_END:
        break;
    }
    put(target, own->offset, &v);
}
