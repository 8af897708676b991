/* Lists what can stand in a configuration file, from the tables that read it. */
#include "daemon/catalogue.h"

#include <stdio.h>

#include "daemon/mixins.h"
#include "daemon/options.h"
#include "daemon/value.h"

/* "stream, conn" */
static void print_faces(const struct ostler_service *s)
{
    const char *faces[] = { s->stream ? "stream" : NULL, s->conn ? "conn" : NULL, s->datagram ? "datagram" : NULL };
    const char *separator = "";

    for (size_t i = 0; i < sizeof(faces) / sizeof(faces[0]); i++)
        if (faces[i]) {
            printf("%s%s", separator, faces[i]);
            separator = ", ";
        }
}

static void print_default(const struct ostler_setting *own)
{
    switch (own->type) {
    case OSTLER_SETTING_IS_STRING:
        if (own->string)
            printf("\"%s\"", own->string);
        else
            printf("none");
        break;
    case OSTLER_SETTING_IS_LONG:
        printf("%ld", own->integer);
        break;
    case OSTLER_SETTING_IS_DOUBLE:
        printf("%#g", own->number);
        break;
    case OSTLER_SETTING_IS_BOOL:
        printf("%s", own->integer ? "true" : "false");
        break;
    case OSTLER_SETTING_END:
        break;
    }
}

static void print_own(const struct ostler_setting *own)
{
    struct ost_option option = ost_value_option(own);
    char expects[OST_OPTION_PHRASE];

    ost_option_expects(&option, expects);
    printf("    %-14s %s; default: ", own->name, expects);
    print_default(own);
    printf("\n");
}

static void print_handlers(const struct ostler_service *services)
{
    printf("Handlers, their faces, and settings of their own:\n");
    for (const struct ostler_service *s = services; s->name; s++) {
        printf("  %-14s (", s->name);
        print_faces(s);
        printf(")%s%s\n", s->summary ? " " : "", s->summary ? s->summary : "");
        for (const struct ostler_setting *own = s->settings; own && own->name; own++)
            print_own(own);
    }
}

static void print_mixins(void)
{
    printf("\nMix-ins, and the faces of handlers that they run:\n");
    for (const struct ost_mixin_word *w = ost_mixin_words; w->word; w++)
        printf("  %-14s (%s) %s\n", w->word, ost_mixin_word_faces(w), w->doc);
}

static void print_options(const char *title, const struct ost_option *table)
{
    char expects[OST_OPTION_PHRASE];

    printf("\n%s\n", title);
    for (; table->name; table++) {
        ost_option_expects(table, expects);
        printf("  %-14s %s\n", table->name, table->doc);
        if (table->fallback)
            printf("                 %s; default: %s\n", expects, table->fallback);
        else
            printf("                 %s; required\n", expects);
    }
}

void ost_catalogue_print(const struct ostler_service *services)
{
    print_handlers(services);
    print_mixins();
    print_options("Settings of a service:", ost_service_options);
    print_options("Settings of the file:", ost_file_options);
}
