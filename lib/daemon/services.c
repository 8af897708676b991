/* Looks things up in the program's table, and looks the table over once at start:
 * it is written by hand, and a wrong offset would write anywhere. */
#include "daemon/services.h"

#include <stdbool.h>
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
        return "a setting in the program's table of services has no type";
    if (own->offset > handler->user_size || handler->user_size - own->offset < size)
        return "a setting in the program's table of services lies outside of user_size";
    if (ost_option_find(ost_service_options, own->name))
        return "a setting in the program's table of services has a name that every service has already";
    if (ost_services_setting(handler, own->name) != own)
        return "a setting stands twice in the program's table of services";
    return NULL;
}

static const char *service_problem(const struct ostler_service *services, const struct ostler_service *handler)
{
    const char *problem = NULL;

    if (!handler->stream && !handler->conn && !handler->datagram)
        return "a handler in the program's table of services has neither a stream, a conn nor a datagram face";
    if (ost_services_find(services, handler->name) != handler)
        return "a handler stands twice in the program's table of services";
    for (const struct ostler_setting *own = handler->settings; own && own->name && !problem; own++)
        problem = setting_problem(handler, own);
    return problem;
}

const char *ost_services_problem(const struct ostler_service *services)
{
    const char *problem = NULL;

    if (!services || !services->name)
        return "the program's table of services is empty";
    for (const struct ostler_service *s = services; s->name && !problem; s++)
        problem = service_problem(services, s);
    return problem;
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
