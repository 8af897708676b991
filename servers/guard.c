/* The server class of the bundled services. It refuses datagrams that may come from
 * another service and not from a client: whoever forges the source of one packet would
 * otherwise set two services to answer each other for ever (CVE-1999-0103,
 * CVE-2024-2169; RFC 864 and its kin were written without that thought).
 *
 *   - a source port below 1024: that is where such services listen on other machines;
 *   - a source port on which this daemon itself listens for UDP. The port alone decides,
 *     since a service on a wildcard has as many addresses as its machine. What is lost
 *     is a client elsewhere that happens to have such a port;
 *   - the name of a Unix datagram socket of this daemon. Of a sender the kernel tells the name that
 *     he has bound, and not where that leads by now: who has put a symbolic link to a service there
 *     lets it answer the service, once. The service's own name is what ends that.
 *
 * Connections are not concerned, since nobody can forge one without seeing the answer.
 *
 * It descends from no class, and so is for all kinds of addresses. */
#include "handlers.h"

enum { FIRST_CLIENT_PORT = 1024 };

static bool may_be_service(const struct ostler_address *peer)
{
    int port = ostler_address_port(peer);

    if (port < 0)
        return ostler_daemon_owns_unix_name(peer);
    return port < FIRST_CLIENT_PORT || ostler_daemon_owns_udp_port(port);
}

static bool verify_request(struct ostler_server *server, const struct ostler_request *request)
{
    (void)server;
    return !ostler_request_is_datagram(request) || !may_be_service(ostler_request_peer(request));
}

const struct ostler_server_class guarded_server = { .name = "guarded", .verify_request = verify_request };
