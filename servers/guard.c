/* The server class of the bundled services. It refuses datagrams that may come from
 * another service and not from a client: whoever forges the source of one packet would
 * otherwise set two services to answer each other for ever (CVE-1999-0103,
 * CVE-2024-2169; RFC 864 and its kin were written without that thought).
 *
 *   - a source port below 1024: that is where such services listen on other machines;
 *   - a source port on which this daemon itself listens for UDP. The port alone decides,
 *     since a service on a wildcard has as many addresses as its machine. What is lost
 *     is a client elsewhere that happens to have such a port.
 *
 * Connections are not concerned, since nobody can forge one without seeing the answer;
 * nor are Unix datagrams, whose senders the kernel vouches for.
 *
 * It descends from no class, and so is for all kinds of addresses. */
#include "handlers.h"

enum { FIRST_CLIENT_PORT = 1024 };

static bool may_be_service(int port)
{
    return port < FIRST_CLIENT_PORT || ostler_daemon_owns_udp_port(port);
}

static bool verify_request(struct ostler_server *server, const struct ostler_request *request)
{
    int port = ostler_address_port(ostler_request_peer(request));

    (void)server;
    return !ostler_request_is_datagram(request) || port < 0 || !may_be_service(port);
}

const struct ostler_server_class guarded_server = { .name = "guarded", .verify_request = verify_request };
