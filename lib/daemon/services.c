/* Looks things up in the program's table, and looks the table over once at start:
 * it is written by hand, and a wrong offset would write anywhere. */
#include "daemon/services.h"

#include <stdio.h>
#include <string.h>

#include "daemon/options.h"

static size_t member_size(enum ostler_setting_type type)
{
    switch (type) {
    case OSTLER_SETTING_IS_STRING:
        return sizeof(const char *);
    case OSTLER_SETTING_IS_LONG:
        return sizeof(long);
    case OSTLER_SETTING_IS_DOUBLE:
        return sizeof(double);
    case OSTLER_SETTING_IS_BOOL:
        return sizeof(bool);
    case OSTLER_SETTING_END:
        break;
    }
    return 0;
}

static const char *setting_problem(const struct ostler_service *handler, const struct ostler_setting *own)
{
    size_t size = member_size(own->type);

    if (size == 0)
        return "has no type";
    if (own->offset > handler->user_size || handler->user_size - own->offset < size)
        return "lies outside of user_size";
    if (ost_option_find(ost_service_options, own->name))
        return "has a name that every service has already";
    return ost_services_setting(handler, own->name) == own ? NULL : "stands twice";
}

static const char *handler_problem(const struct ostler_service *services, const struct ostler_service *handler)
{
    if (!handler->stream && !handler->conn && !handler->datagram)
        return "has neither a stream, a conn nor a datagram face";
    return ost_services_find(services, handler->name) == handler ? NULL : "stands twice";
}

/* Are handler and all its settings as they should be? */
static bool is_sound(const struct ostler_service *services, const struct ostler_service *handler)
{
    const char *problem = handler_problem(services, handler);

    if (problem)
        fprintf(stderr, "handler %s in the program's table of services %s\n", handler->name, problem);
    for (const struct ostler_setting *own = handler->settings; own && own->name && !problem; own++) {
        problem = setting_problem(handler, own);
        if (problem)
            fprintf(stderr, "setting %s of handler %s in the program's table of services %s\n", own->name,
                    handler->name, problem);
    }
    return !problem;
}

bool ost_services_are_sound(const struct ostler_service *services)
{
    bool sound = services && services->name;

    if (!sound)
        fprintf(stderr, "the program's table of services is empty\n");
    for (const struct ostler_service *s = services; sound && s->name; s++)
        sound = is_sound(services, s);
    return sound;
}

const struct ostler_service *ost_services_find(const struct ostler_service *services, const char *name)
{
    for (; services->name; services++)
        if (strcmp(services->name, name) == 0)
            return services;
    return NULL;
}

const struct ostler_setting *ost_services_setting(const struct ostler_service *handler, const char *name)
{
    for (const struct ostler_setting *own = handler->settings; own && own->name; own++)
        if (strcmp(own->name, name) == 0)
            return own;
    return NULL;
}
