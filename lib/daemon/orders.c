/* The orders are one line:
 *
 *    PARENT,TEXT,NUMBER,FD,FD:PORT,PORT:NAME,NAME:SERVICE=FD,FD:SERVICE=FD
 *
 * the daemon's process, the descriptor of the configuration (to be closed), the worker's number
 * (0: it is the only one), the descriptors of its balance (there may be none), the UDP ports
 * of all services of the daemon and the names of its Unix datagram sockets, as hexadecimal digits
 * (there may be none of either), and the descriptors of the sockets that it has bound for the
 * services that the worker runs.
 * All else the worker has from the daemon's configuration, whose text it reads again:
 * services that are not named here are none of its business. What comes as an argument
 * may come from anybody, so it is looked at as such. */
#include "daemon/orders.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <ostler/sys/balance.h>

#include "daemon/ports.h"
#include "daemon/service.h"

enum { MAX_PORT = 65535, FD_TEXT = 16, MAX_NAME = sizeof(((struct sockaddr_un *)0)->sun_path) };

/* ---- Writing ---- */

static void write_ports(FILE *out)
{
    const char *separator = "";

    for (int port = 1; port <= MAX_PORT; port++)
        if (ostler_daemon_owns_udp_port(port)) {
            fprintf(out, "%s%d", separator, port);
            separator = ",";
        }
}

static void write_names(FILE *out)
{
    const char *name;
    size_t n;

    fprintf(out, ":");
    for (size_t i = 0; (name = ost_ports_name(i, &n)); i++) {
        fprintf(out, "%s", i == 0 ? "" : ",");
        for (size_t k = 0; k < n; k++)
            fprintf(out, "%02x", (unsigned char)name[k]);
    }
}

static void write_service(FILE *out, const struct ostler_server *server)
{
    int fd;

    fprintf(out, ":%s", ostler_server_name(server));
    for (size_t i = 0; (fd = ostler_server_fd(server, i)) >= 0; i++)
        fprintf(out, "%c%d", i == 0 ? '=' : ',', fd);
}

static void write_head(FILE *out, const struct ost_duty *duty)
{
    int fd;

    fprintf(out, "%ld,%d,%d", (long)getpid(), duty->text_fd, duty->number);
    for (size_t i = 0; (fd = ostler_balance_fd(duty->balance, i)) >= 0; i++)
        fprintf(out, ",%d", fd);
    fprintf(out, ":");
}

bool ost_duty_has(const struct ost_duty *duty, size_t index)
{
    return ost_service_forks(&duty->conf->services[index]) == duty->forking;
}

int ost_orders_compose(char **out, const struct ost_duty *duty)
{
    size_t size;
    FILE *stream = open_memstream(out, &size);

    if (!stream)
        return -errno;
    write_head(stream, duty);
    write_ports(stream);
    write_names(stream);
    for (size_t i = 0; i < duty->conf->count; i++)
        if (ost_duty_has(duty, i))
            write_service(stream, duty->servers[i]);
    if (fclose(stream) == 0)
        return 0;
    free(*out);
    return -ENOMEM;
}

/* ---- Reading: each function goes on from *at ---- */

static bool take(const char **at, char mark)
{
    if (**at != mark)
        return false;
    ++*at;
    return true;
}

/* A number from min to max, or -EINVAL. */
static int take_number(const char **at, int min, int max)
{
    size_t digits = strspn(*at, "0123456789");
    long value = digits > 0 && digits <= 10 ? strtol(*at, NULL, 10) : -1;

    if (value < min || value > max)
        return -EINVAL;
    *at += digits;
    return (int)value;
}

static bool take_ports(const char **at)
{
    int port;

    if (take(at, ':'))
        return true;
    do {
        port = take_number(at, 1, MAX_PORT);
        ost_ports_add(port);
    } while (port > 0 && take(at, ','));
    return port > 0 && take(at, ':');
}

/* One name into out, which has room for MAX_NAME bytes: how many it has, or -EINVAL. */
static int take_name(const char **at, char *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = strspn(*at, digits) / 2;

    if (n == 0 || n > MAX_NAME)
        return -EINVAL;
    for (size_t i = 0; i < n; i++, *at += 2)
        out[i] = (char)((strchr(digits, (*at)[0]) - digits) << 4 | (strchr(digits, (*at)[1]) - digits));
    return (int)n;
}

/* "NAME,NAME:" */
static int take_names(const char **at)
{
    char name[MAX_NAME];
    int n;

    if (take(at, ':'))
        return 0;
    do {
        n = take_name(at, name);
        if (n > 0 && ost_ports_add_name(name, (size_t)n) < 0)
            return -ENOMEM;
    } while (n > 0 && take(at, ','));
    return n > 0 && take(at, ':') ? 0 : -EINVAL;
}

/* How many descriptors stand at text. */
static size_t count_descriptors(const char *text)
{
    size_t count = 1;

    for (; *text && *text != ':'; text++)
        count += *text == ',';
    return count;
}

/* In place of the addresses of the file, the sockets that are bound there. */
static int take_descriptors(struct ost_conf_service *service, const char **at)
{
    size_t count = count_descriptors(*at);
    const char **addresses = calloc(count + 1, sizeof(*addresses) + FD_TEXT);
    char *text = (char *)(addresses + count + 1);
    int fd;

    if (!addresses)
        return -ENOMEM;
    free((void *)service->options.addresses);
    service->options.addresses = addresses;
    do {
        fd = take_number(at, 0, INT_MAX); /* the daemon may have inherited a standard one */
        snprintf(text, FD_TEXT, "fd:%d", fd);
        *addresses++ = text;
        text += FD_TEXT;
    } while (fd >= 0 && take(at, ','));
    return fd >= 0 ? 0 : -EINVAL;
}

static struct ost_conf_service *find_held(const struct ost_conf *conf, const char *name, size_t n)
{
    for (size_t i = 0; i < conf->count; i++) {
        struct ost_conf_service *service = &conf->services[i];

        if (service->held && strlen(service->name) == n && memcmp(service->name, name, n) == 0)
            return service;
    }
    return NULL;
}

static int take_service(struct ost_conf *conf, const char **at)
{
    size_t n = strcspn(*at, "=");
    struct ost_conf_service *service = find_held(conf, *at, n);

    *at += n;
    if (!service || !take(at, '='))
        return -EINVAL;
    service->held = false;
    return take_descriptors(service, at);
}

/* The text has been read by now. */
static bool take_head(struct ost_conf *conf, const char **at)
{
    int text_fd;

    conf->parent = take_number(at, 1, INT_MAX);
    if (conf->parent < 0 || !take(at, ','))
        return false;
    text_fd = take_number(at, STDERR_FILENO + 1, INT_MAX);
    if (text_fd < 0 || !take(at, ','))
        return false;
    conf->number = take_number(at, 0, INT_MAX);
    return conf->number >= 0 && close(text_fd) == 0;
}

/* ",FD,FD:" */
static int take_balance(struct ost_conf *conf, const char **at)
{
    int fd = 0;

    conf->balance = calloc(count_descriptors(*at), sizeof(*conf->balance));
    if (!conf->balance)
        return -ENOMEM;
    while (fd >= 0 && take(at, ',')) {
        fd = take_number(at, STDERR_FILENO + 1, INT_MAX);
        conf->balance[conf->balance_count++] = fd;
    }
    return fd >= 0 && take(at, ':') ? 0 : -EINVAL;
}

static int take_orders(struct ost_conf *conf, const char *at)
{
    int error = take_head(conf, &at) ? take_balance(conf, &at) : -EINVAL;

    if (error == 0 && !take_ports(&at))
        error = -EINVAL;
    if (error == 0)
        error = take_names(&at);
    if (error < 0)
        return error;
    do
        error = take_service(conf, &at);
    while (error == 0 && take(&at, ':'));
    return error == 0 && *at ? -EINVAL : error;
}

/* Leave the services that are held, or those that are not. */
static void keep(struct ost_conf *conf, bool held)
{
    size_t kept = 0;

    for (size_t i = 0; i < conf->count; i++) {
        struct ost_conf_service *service = &conf->services[i];

        if (service->held == held)
            conf->services[kept++] = *service;
        else
            ost_service_fini(service);
    }
    conf->count = kept;
}

int ost_orders_apply(struct ost_conf *conf, const char *orders)
{
    int error;

    keep(conf, true);
    error = take_orders(conf, orders);
    if (error == 0)
        keep(conf, false);
    return error;
}
