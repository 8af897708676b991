/* One bit a port. The daemon's process knows the ports once it has bound all services; a
 * worker gets them with its orders, since it has a part of the services only. */
#include "daemon/ports.h"

#include <ostler/address.h>
#include <ostler/daemon.h>
#include <ostler/server.h>

enum { PORTS = 65536 };

static unsigned char owned[PORTS / 8];

void ost_ports_add(int port)
{
    if (port > 0 && port < PORTS)
        owned[port / 8] |= (unsigned char)(1u << port % 8);
}

void ost_ports_add_server(const struct ostler_server *server)
{
    const struct ostler_address *address;

    for (size_t i = 0; (address = ostler_server_address(server, i)); i++)
        if (ostler_address_is_datagram(address))
            ost_ports_add(ostler_address_port(address));
}

bool ostler_daemon_owns_udp_port(int port)
{
    return port > 0 && port < PORTS && (owned[port / 8] & 1u << port % 8);
}
