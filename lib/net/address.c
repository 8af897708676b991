/* Addresses as text and back. Numeric only: nothing here asks a resolver. */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char bad_scheme[] = "an address begins with its scheme: tcp:HOST:PORT, udp:HOST:PORT, unix:PATH, "
                                 "unixgram:PATH or fd:NUMBER";
static const char bad_port[] = "the port must be a number from 0 to 65535: tcp:HOST:PORT, udp:HOST:PORT";
static const char bad_ipv4[] = "the host must be a numeric IPv4 address, an IPv6 address in [brackets], or *";
static const char bad_ipv6[] = "there is no IPv6 address between the brackets";
static const char bad_zone[] = "after the % stands the name of a network interface, or its number";
static const char no_bracket[] = "the ] after the IPv6 address is missing, or no :PORT follows it";
static const char no_path[] = "the path is missing: unix:/run/NAME.sock, or unix:@NAME without a file";
static const char long_path[] = "the path is longer than 107 bytes, the most that a Unix socket can have (unix(7))";
static const char bad_fd[] = "fd: is followed by the number of an open descriptor";

/* Copy the n bytes at text to out as a string; false when they don't fit. */
static bool copy(char *out, size_t size, const char *text, size_t n)
{
    if (n >= size)
        return false;
    memcpy(out, text, n);
    out[n] = '\0';
    return true;
}

static const char *parse_port(struct ostler_address *address, const char *text)
{
    unsigned long port = 0;
    size_t n = strlen(text);

    if (n < 1 || n > 5 || strspn(text, "0123456789") != n)
        return bad_port;
    port = strtoul(text, NULL, 10);
    if (port > UINT16_MAX)
        return bad_port;
    ost_address_set_port(address, (uint16_t)port);
    return NULL;
}

/* Could an interface have that name? */
static bool is_name(const char *zone)
{
    size_t n = strlen(zone);

    return n > 0 && n < IF_NAMESIZE && strcspn(zone, "/: \t\n\v\f\r") == n;
}

/* Interfaces come and go, so that one is missing makes it no other address: it is kept by its name. */
static const char *parse_zone(struct ostler_address *address, const char *zone)
{
    size_t n = strlen(zone), digits = strspn(zone, "0123456789");
    unsigned long index = if_nametoindex(zone);

    if (!index && n > 0 && digits == n) {
        index = strtoul(zone, NULL, 10);
        if (index == 0 || index > INT_MAX)
            return bad_zone;
    }
    if (!index && !is_name(zone))
        return bad_zone;
    address->as.in6.sin6_scope_id = (uint32_t)index;
    if (!index) {
        memcpy(address->as.zoned.zone, zone, n);
        address->length = sizeof(address->as.zoned);
    }
    return NULL;
}

static const char *parse_ipv6(struct ostler_address *address, const char *text, size_t n)
{
    char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
    char *zone;

    if (!copy(host, sizeof(host), text, n))
        return bad_ipv6;
    zone = strchr(host, '%');
    if (zone)
        *zone++ = '\0';
    address->as.in6.sin6_family = AF_INET6;
    address->length = sizeof(address->as.in6);
    if (inet_pton(AF_INET6, host, &address->as.in6.sin6_addr) != 1)
        return bad_ipv6;
    return zone ? parse_zone(address, zone) : NULL;
}

static const char *parse_ipv4(struct ostler_address *address, const char *text, size_t n)
{
    char host[INET_ADDRSTRLEN];

    if (n == 1 && *text == '*') {
        address->as.in6.sin6_family = AF_INET6;
        address->length = sizeof(address->as.in6);
        address->v6only = address->wildcard = true;
        return NULL;
    }
    address->as.in.sin_family = AF_INET;
    address->length = sizeof(address->as.in);
    if (!copy(host, sizeof(host), text, n) || inet_pton(AF_INET, host, &address->as.in.sin_addr) != 1)
        return bad_ipv4;
    return NULL;
}

/* HOST:PORT */
static const char *parse_internet(struct ostler_address *address, const char *host)
{
    const char *end, *problem;

    if (*host == '[') {
        end = strchr(++host, ']');
        if (!end || end[1] != ':')
            return no_bracket;
        problem = parse_ipv6(address, host, (size_t)(end - host));
        end++;
    } else {
        end = strrchr(host, ':');
        if (!end)
            return bad_port;
        problem = parse_ipv4(address, host, (size_t)(end - host));
    }
    return problem ? problem : parse_port(address, end + 1);
}

/* PATH or @NAME */
static const char *parse_unix(struct ostler_address *address, const char *path)
{
    size_t n = strlen(path);
    bool abstract = *path == '@';

    if (n < (abstract ? 2 : 1))
        return no_path;
    if (n >= sizeof(address->as.un.sun_path))
        return long_path;
    address->as.un.sun_family = AF_UNIX;
    memcpy(address->as.un.sun_path, path, n);
    if (abstract)
        address->as.un.sun_path[0] = '\0';
    /* A path counts with its NUL, an abstract name has none (unix(7)). */
    address->length = (unsigned char)(offsetof(struct sockaddr_un, sun_path) + n + !abstract);
    return NULL;
}

static const char *parse_fd(struct ostler_address *address, const char *text)
{
    size_t n = strlen(text);

    if (n < 1 || n > 9 || strspn(text, "0123456789") != n)
        return bad_fd;
    address->as.fd = (int)strtol(text, NULL, 10);
    address->length = sizeof(address->as.fd);
    return NULL;
}

static const struct {
    const char *text;
    enum ost_kind kind;
    const char *(*parse)(struct ostler_address *address, const char *rest);
} schemes[] = {
    { "tcp:", OST_TCP, parse_internet },           { "udp:", OST_UDP, parse_internet },
    { "unix:", OST_UNIX_STREAM, parse_unix },      { "unixgram:", OST_UNIX_DATAGRAM, parse_unix },
    { "fd:", OST_INHERITED, parse_fd },
};

enum { SCHEMES = sizeof(schemes) / sizeof(schemes[0]) };

/* Return what is wrong with text, or NULL when *address holds it. */
static const char *parse(struct ostler_address *address, const char *text)
{
    memset(address, 0, sizeof(*address));
    for (int i = 0; i < SCHEMES; i++) {
        size_t n = strlen(schemes[i].text);

        if (strncmp(text, schemes[i].text, n) != 0)
            continue;
        address->kind = (unsigned char)schemes[i].kind;
        return schemes[i].parse(address, text + n);
    }
    return bad_scheme;
}

int ostler_address_parse(struct ostler_address **out, const char *text)
{
    struct ostler_address address, *copied;

    if (!out || !text || parse(&address, text))
        return -EINVAL;
    copied = malloc(sizeof(*copied));
    if (!copied)
        return -ENOMEM;
    *copied = address;
    *out = copied;
    return 0;
}

void ost_address_init(struct ostler_address *address)
{
    *address = (struct ostler_address){ .kind = OST_UNIX_STREAM, .length = offsetof(struct sockaddr_un, sun_path) };
}

int ostler_address_new(struct ostler_address **out)
{
    struct ostler_address *address = out ? malloc(sizeof(*address)) : NULL;

    if (!address)
        return out ? -ENOMEM : -EINVAL;
    ost_address_init(address);
    *out = address;
    return 0;
}

/* How much of the length bytes at from is the address; 0: it is none. */
static socklen_t length_of(const struct sockaddr *from, socklen_t length)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)from;
    socklen_t head = offsetof(struct sockaddr_un, sun_path);

    if (from->sa_family == AF_INET)
        return length >= sizeof(struct sockaddr_in) ? sizeof(struct sockaddr_in) : 0;
    if (from->sa_family == AF_INET6)
        return length >= sizeof(struct sockaddr_in6) ? sizeof(struct sockaddr_in6) : 0;
    if (length > sizeof(*un))
        return 0;
    if (length == head || un->sun_path[0] == '\0')
        return length;
    /* A path counts with its NUL, and mostly is given in the whole of the struct. */
    head += (socklen_t)strnlen(un->sun_path, length - head);
    return head < sizeof(*un) ? head + 1 : head;
}

int ostler_address_set(struct ostler_address *out, const struct sockaddr *from, socklen_t length, int type)
{
    struct ostler_address address;

    if (!out || !from || length < sizeof(from->sa_family) || length > sizeof(struct sockaddr_storage) ||
        (type != SOCK_STREAM && type != SOCK_DGRAM))
        return -EINVAL;
    if (from->sa_family != AF_INET && from->sa_family != AF_INET6 && from->sa_family != AF_UNIX)
        return -EAFNOSUPPORT;
    memset(&address, 0, sizeof(address));
    address.kind = (unsigned char)ost_kind_of(from->sa_family, type);
    address.length = (unsigned char)length_of(from, length);
    if (address.length == 0)
        return -EINVAL;
    memcpy(&address.as, from, address.length < length ? address.length : length);
    *out = address;
    return 0;
}

const struct sockaddr *ostler_address_sockaddr(const struct ostler_address *address, socklen_t *length)
{
    if (!address || address->kind == OST_INHERITED || ost_address_is_blank(address) ||
        ost_address_lacks_interface(address))
        return NULL;
    if (length)
        *length = address->length;
    return &address->as.sa;
}

const char *ostler_address_problem(const char *text)
{
    struct ostler_address address;

    return text ? parse(&address, text) : bad_scheme;
}

void ostler_address_free(struct ostler_address *address)
{
    free(address);
}

static const char *scheme_text(unsigned kind)
{
    for (int i = 0; i < SCHEMES; i++)
        if (schemes[i].kind == kind)
            return schemes[i].text;
    return "?";
}

static bool is_internet(const struct ostler_address *address)
{
    return address->kind == OST_TCP || address->kind == OST_UDP;
}

static bool is_mapped_ipv4(const struct ostler_address *address)
{
    return address->as.sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->as.in6.sin6_addr);
}

/* The IPv6 host as text with its zone, into host. */
static void ipv6_text(const struct ostler_address *address, char *host, size_t size)
{
    const struct sockaddr_in6 *in6 = &address->as.in6;
    char name[IF_NAMESIZE];
    size_t n;

    inet_ntop(AF_INET6, &in6->sin6_addr, host, (socklen_t)size);
    n = strlen(host);
    if (ost_address_lacks_interface(address))
        snprintf(host + n, size - n, "%%%s", address->as.zoned.zone);
    if (!in6->sin6_scope_id)
        return;
    if (if_indextoname(in6->sin6_scope_id, name))
        snprintf(host + n, size - n, "%%%s", name);
    else
        snprintf(host + n, size - n, "%%%u", (unsigned)in6->sin6_scope_id);
}

/* HOST:PORT */
static void internet_text(const struct ostler_address *address, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 1] = "*";
    const char *format = "%s:%d";

    if (is_mapped_ipv4(address)) {
        inet_ntop(AF_INET, &address->as.in6.sin6_addr.s6_addr[12], host, sizeof(host));
    } else if (address->as.sa.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->as.in.sin_addr, host, sizeof(host));
    } else if (!address->wildcard) {
        ipv6_text(address, host, sizeof(host));
        format = "[%s]:%d";
    }
    snprintf(text, size, format, host, ostler_address_port(address));
}

/* PATH, @NAME, or (unnamed). A NUL in an abstract name, which only a peer can have, is
 * written as @ too. */
static void unix_text(const struct ostler_address *address, char *text, size_t size)
{
    size_t before = offsetof(struct sockaddr_un, sun_path);
    size_t n = address->length > before ? address->length - before : 0;
    const char *path = address->as.un.sun_path;

    if (n == 0) {
        snprintf(text, size, "(unnamed)");
        return;
    }
    if (path[0] != '\0')
        n = strnlen(path, n);
    n = n < size ? n : size - 1;
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(path[i] ? path[i] : '@');
    text[n] = '\0';
}

int ostler_address_text(const struct ostler_address *address, char *buffer, size_t size)
{
    char text[OSTLER_ADDRESS_TEXT];
    size_t n;

    if (!address || !buffer)
        return -EINVAL;
    n = (size_t)snprintf(text, sizeof(text), "%s", scheme_text(address->kind));
    if (address->kind == OST_INHERITED)
        snprintf(text + n, sizeof(text) - n, "%d", address->as.fd);
    else if (ost_kind_is_unix(address->kind))
        unix_text(address, text + n, sizeof(text) - n);
    else
        internet_text(address, text + n, sizeof(text) - n);
    n = strlen(text);
    if (n >= size)
        return -ENOSPC;
    memcpy(buffer, text, n + 1);
    return (int)n;
}

int ostler_address_port(const struct ostler_address *address)
{
    if (!address || !is_internet(address))
        return -EINVAL;
    /* sin_port and sin6_port stand at the same place (RFC 3493, 3.3). */
    return ntohs(address->as.in.sin_port);
}

bool ostler_address_is_loopback(const struct ostler_address *address)
{
    if (!address || address->kind == OST_INHERITED || ost_address_is_blank(address))
        return false;
    if (ost_kind_is_unix(address->kind))
        return true;
    if (address->as.sa.sa_family == AF_INET)
        return ntohl(address->as.in.sin_addr.s_addr) >> 24 == 127;
    if (is_mapped_ipv4(address))
        return address->as.in6.sin6_addr.s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(&address->as.in6.sin6_addr);
}

bool ostler_address_is_datagram(const struct ostler_address *address)
{
    return address && ost_kind_is_datagram(address->kind);
}

bool ost_address_has_file(const struct ostler_address *address)
{
    return ost_kind_is_unix(address->kind) && address->length > offsetof(struct sockaddr_un, sun_path) &&
           address->as.un.sun_path[0] != '\0';
}

void ost_address_set_port(struct ostler_address *address, uint16_t port)
{
    address->as.in.sin_port = htons(port);
}

void ost_address_ipv4_twin(struct ostler_address *out, const struct ostler_address *address)
{
    struct ostler_address twin = { .kind = address->kind, .length = sizeof(twin.as.in) };

    twin.as.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = address->as.in.sin_port };
    *out = twin;
}
