/* Addresses: each is checked by the library itself, without binding anything, and
 * no two may be the same: the second bind() would fail, or with SO_REUSEPORT the two
 * services would share their clients by chance. Port 0 is never the same. */
#include "daemon/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ostler/address.h>

#include "daemon/tree.h"

/* How many addresses a value has; a string is one. */
static size_t count_of(const config_setting_t *listen)
{
    return config_setting_is_aggregate(listen) ? (size_t)config_setting_length(listen) : 1;
}

static const config_setting_t *element(const config_setting_t *listen, size_t index)
{
    return config_setting_is_aggregate(listen) ? config_setting_get_elem(listen, (unsigned)index) : listen;
}

static int check_address(const config_setting_t *s, struct ost_report *report)
{
    const char *text = config_setting_get_string(s), *problem;

    if (!text) {
        ost_report(report, ost_tree_line(s), "listen holds something that is no text; an address stands in quotes");
        return -EINVAL;
    }
    problem = ostler_address_problem(text);
    if (!problem)
        return 0;
    ost_report(report, ost_tree_line(s), "\"%.60s\" is no address to listen on: %s", text, problem);
    return -EINVAL;
}

int ost_listen_read(struct ost_conf_service *service, struct ost_report *report)
{
    size_t count = count_of(service->listen);
    const char **addresses = calloc(count + 1, sizeof(*addresses));
    int error = addresses ? 0 : -ENOMEM;

    service->options.addresses = addresses;
    if (count == 0) {
        ost_report(report, ost_tree_line(service->listen),
                   "listen is empty; it needs an address, such as \"tcp:127.0.0.1:7007\"");
        return -EINVAL;
    }
    for (size_t i = 0; addresses && i < count; i++) {
        const config_setting_t *s = element(service->listen, i);

        if (check_address(s, report) < 0)
            error = -EINVAL;
        addresses[i] = config_setting_get_string(s);
    }
    return error;
}

static unsigned kinds_of(const char *text)
{
    struct ostler_address *address;
    unsigned kinds;

    if (!text || ostler_address_parse(&address, text) < 0)
        return 0;
    kinds = ostler_address_is_datagram(address) ? OST_KIND_DATAGRAMS : OST_KIND_CONNECTIONS;
    ostler_address_free(address);
    return strncmp(text, "fd:", 3) == 0 ? OST_KIND_CONNECTIONS | OST_KIND_DATAGRAMS : kinds;
}

static unsigned element_kinds(const config_setting_t *listen, size_t index)
{
    return kinds_of(config_setting_get_string(element(listen, index)));
}

unsigned ost_listen_kinds(const struct ost_conf_service *service)
{
    unsigned kinds = 0;

    for (size_t i = 0; service->listen && i < count_of(service->listen); i++)
        kinds |= element_kinds(service->listen, i);
    return kinds;
}

/* word is "evented", since the others run one face for all; an fd:N has a face already. */
static void report_face(const struct ost_conf_service *service, const config_setting_t *s, unsigned kind,
                        struct ost_report *report)
{
    const struct ostler_service *handler = service->handler;
    bool datagrams = kind == OST_KIND_DATAGRAMS;
    const char *noun = datagrams ? "datagrams" : "connections";
    char list[OST_MIXIN_LIST];

    ost_mixin_word_list(handler, kind, list);
    if (*list)
        ost_report(report, ost_tree_line(s), "handler %s takes no %s as \"evented\", since it has no %s face, but for "
                   "%.60s it needs to; it takes them as %s", handler->name, noun, datagrams ? "datagram" : "conn",
                   config_setting_get_string(s), list);
    else
        ost_report(report, ost_tree_line(s), "handler %s takes no %s, and so cannot answer at %.60s; it takes %s",
                   handler->name, noun, config_setting_get_string(s),
                   datagrams ? "connections, of tcp: and unix:" : "datagrams, of udp: and unixgram:");
}

void ost_listen_check_faces(const struct ost_conf_service *service, const struct ost_mixin_word *word,
                            struct ost_report *report)
{
    for (size_t i = 0; service->listen && i < count_of(service->listen); i++) {
        unsigned kinds = element_kinds(service->listen, i);

        if (kinds && !ost_mixin_word_suits(word, service->handler, kinds))
            report_face(service, element(service->listen, i), kinds, report);
    }
}

/* Where an address stands. */
struct place {
    char text[OSTLER_ADDRESS_TEXT];    /* as the library writes it: [0::1] is [::1] */
    char key[OSTLER_ADDRESS_TEXT + 8]; /* equal for what cannot be bound twice */
    unsigned line;
    unsigned order; /* in the file */
    const char *service;
};

static int compare(const void *a, const void *b)
{
    const struct place *p = a, *q = b;
    int key = strcmp(p->key, q->key);

    return key ? key : (p->order > q->order) - (p->order < q->order);
}

/* A path is one file, whatever socket it stands for; an abstract name is one of each kind. */
static void make_key(struct place *place)
{
    bool is_path = strncmp(place->text, "unixgram:", 9) == 0 && place->text[9] != '@';

    snprintf(place->key, sizeof(place->key), "%s%s", is_path ? "unix:" : "", place->text + (is_path ? 9 : 0));
}

/* Note where an address stands, unless it has port 0: return how many places that is, or -errno. */
static int note(struct place *out, const config_setting_t *s)
{
    struct ostler_address *address;
    int r = ostler_address_parse(&address, config_setting_get_string(s));

    if (r < 0)
        return r;
    r = ostler_address_text(address, out->text, sizeof(out->text));
    if (r >= 0)
        r = ostler_address_port(address) != 0;
    ostler_address_free(address);
    make_key(out);
    out->line = ost_tree_line(s);
    return r;
}

static int note_service(struct place *places, size_t *count, const struct ost_conf_service *service)
{
    for (size_t i = 0; i < count_of(service->listen); i++) {
        struct place *place = &places[*count];
        int r = note(place, element(service->listen, i));

        if (r < 0)
            return r;
        place->order = (unsigned)*count;
        place->service = service->name;
        *count += (size_t)r;
    }
    return 0;
}

static int note_all(struct place *places, size_t *count, const struct ost_conf *conf)
{
    int error = 0;

    for (size_t i = 0; i < conf->count && error == 0; i++)
        error = note_service(places, count, &conf->services[i]);
    return error;
}

/* Without lines, they are arguments of the program. */
static void report_twice(const struct place *first, const struct place *second, struct ost_report *report)
{
    if (second->line)
        ost_report(report, second->line, "%s stands in line %u already, for %.60s: list an address once", first->text,
                   first->line, first->service);
    else
        ost_report(report, 0, "%s is given twice: list an address once", first->text);
}

static int compare_all(struct place *places, size_t count, struct ost_report *report)
{
    int error = 0;

    qsort(places, count, sizeof(*places), compare);
    for (size_t i = 1; i < count; i++)
        if (strcmp(places[i - 1].key, places[i].key) == 0) {
            report_twice(&places[i - 1], &places[i], report);
            error = -EINVAL;
        }
    return error;
}

int ost_listen_check_twice(const struct ost_conf *conf, struct ost_report *report)
{
    size_t room = 0, count = 0;
    struct place *places;
    int error;

    for (size_t i = 0; i < conf->count; i++)
        room += count_of(conf->services[i].listen);
    places = calloc(room + 1, sizeof(*places));
    error = places ? note_all(places, &count, conf) : -ENOMEM;
    if (error == 0)
        error = compare_all(places, count, report);
    free(places);
    return error;
}

static bool is_open(const char *address)
{
    return strncmp(address, "fd:", 3) != 0 || fcntl((int)strtol(address + 3, NULL, 10), F_GETFD) >= 0;
}

static int check_open(const struct ost_conf_service *service, const struct ostler_log *log)
{
    int error = 0;

    for (const char *const *address = service->options.addresses; *address; address++)
        if (!is_open(*address)) {
            ostler_log_write(log, OSTLER_LOG_ERROR, "%s: cannot listen on %s: it is not open", service->name, *address);
            error = -EBADF;
        }
    return error;
}

int ost_listen_check_open(const struct ost_conf *conf, const struct ostler_log *log)
{
    int error = 0;

    for (size_t i = 0; i < conf->count; i++)
        if (check_open(&conf->services[i], log) < 0)
            error = -EBADF;
    return error;
}
