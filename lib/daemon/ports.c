/* One bit a port, and a list of names. The daemon's process knows them once it has bound all
 * services; a worker gets them with its orders, since it has a part of the services only. */
#include "daemon/ports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <ostler/address.h>
#include <ostler/daemon.h>
#include <ostler/server.h>

enum { PORTS = 65536 };

struct name {
    size_t length;
    char bytes[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static unsigned char owned[PORTS / 8];
static struct name *names;
static size_t name_count;

void ost_ports_add(int port)
{
    if (port > 0 && port < PORTS)
        owned[port / 8] |= (unsigned char)(1u << port % 8);
}

int ost_ports_add_name(const char *name, size_t n)
{
    struct name *more = n <= sizeof(more->bytes) ? realloc(names, (name_count + 1) * sizeof(*names)) : NULL;

    if (!more)
        return -ENOMEM;
    names = more;
    names[name_count].length = n;
    memcpy(names[name_count].bytes, name, n);
    name_count++;
    return 0;
}

const char *ost_ports_name(size_t index, size_t *n)
{
    if (index >= name_count)
        return NULL;
    *n = names[index].length;
    return names[index].bytes;
}

/* A Unix address's name, and its length. NULL: it has none. */
static const char *name_of(const struct ostler_address *address, size_t *n)
{
    socklen_t length, head = offsetof(struct sockaddr_un, sun_path);
    const struct sockaddr *sa = ostler_address_sockaddr(address, &length);
    const char *path;

    if (!sa || sa->sa_family != AF_UNIX || length <= head)
        return NULL;
    path = ((const struct sockaddr_un *)(const void *)sa)->sun_path;
    *n = path[0] ? strnlen(path, length - head) : length - head;
    return path;
}

static int add_address(const struct ostler_address *address)
{
    size_t n;
    const char *name = name_of(address, &n);

    ost_ports_add(ostler_address_port(address));
    return name ? ost_ports_add_name(name, n) : 0;
}

int ost_ports_add_server(const struct ostler_server *server)
{
    const struct ostler_address *address;
    int error = 0;

    for (size_t i = 0; error == 0 && (address = ostler_server_address(server, i)); i++)
        if (ostler_address_is_datagram(address))
            error = add_address(address);
    return error;
}

bool ostler_daemon_owns_udp_port(int port)
{
    return port > 0 && port < PORTS && (owned[port / 8] & 1u << port % 8);
}

bool ostler_daemon_owns_unix_name(const struct ostler_address *address)
{
    size_t n;
    const char *name = name_of(address, &n);

    for (size_t i = 0; name && i < name_count; i++)
        if (names[i].length == n && memcmp(names[i].bytes, name, n) == 0)
            return true;
    return false;
}
