/* The settings of a configuration file. */
#ifndef OST_DAEMON_OPTIONS_H
#define OST_DAEMON_OPTIONS_H

#include <stddef.h>

enum ost_option_type {
    OST_OPTION_NONE,       /* ends a table */
    OST_OPTION_TEXT,       /* const char * */
    OST_OPTION_ADDRESSES,  /* const config_setting_t *: one string, or some */
    OST_OPTION_GROUP,      /* const config_setting_t * */
    OST_OPTION_COUNT,      /* int */
    OST_OPTION_BYTES,      /* size_t */
    OST_OPTION_SECONDS,    /* long, in milliseconds */
    OST_OPTION_MS,         /* the same, given in them */
    OST_OPTION_SWITCH,     /* bool */
    OST_OPTION_SWITCH_OFF, /* bool, the other way round */
    OST_OPTION_MODE,       /* unsigned: permissions, in octal digits */
    OST_OPTION_NUMBER,     /* long; a service's own */
    OST_OPTION_FRACTION    /* double; a service's own */
};

struct ost_option {
    const char *name;
    enum ost_option_type type;
    size_t offset;        /* of the member that it fills */
    long min, max;        /* of COUNT, BYTES, SECONDS and MS, in the file's unit */
    long zero_ms;         /* of SECONDS and MS: what 0 stands for */
    const char *fallback; /* for -l: the default; NULL: it must be given */
    const char *doc;
};

/* Settings of a service, into struct ost_conf_service; and of the file, into struct
 * ost_conf. Each table ends with { 0 }. */
extern const struct ost_option ost_service_options[];
extern const struct ost_option ost_file_options[];

const struct ost_option *ost_option_find(const struct ost_option *table, const char *name);

enum { OST_OPTION_PHRASE = 96 };

/* What a value of the option must be, in words, into phrase. */
void ost_option_expects(const struct ost_option *option, char phrase[OST_OPTION_PHRASE]);

#endif
