/** A datagram, evented: its handler runs on the reactor and must not block.
 *
 *  Thread of everything here: the reactor's. A datagram is valid until on_datagram
 *  returns. */
#ifndef OSTLER_DATAGRAM_H
#define OSTLER_DATAGRAM_H

#include <stdbool.h>
#include <stddef.h>

#include <ostler/address.h>
#include <ostler/request.h>
#include <ostler/version.h>

OSTLER_BEGIN

/** What a handler receives. */
struct ostler_datagram {
    struct ostler_request *request;
};

struct ostler_datagram_handler {
    /** A datagram has arrived. 0, or -errno, which goes to the server's handle_error. */
    int (*on_datagram)(struct ostler_datagram *datagram); /* required */
};

/** Its bytes, and how many: 0 is a datagram like others. Valid until on_datagram returns. */
OSTLER_API const void *ostler_datagram_data(const struct ostler_datagram *datagram);
OSTLER_API size_t ostler_datagram_length(const struct ostler_datagram *datagram);

/** Was it longer than max_packet, so that its end is lost? */
OSTLER_API bool ostler_datagram_was_cut(const struct ostler_datagram *datagram);

/** Send n bytes, as one datagram, back to the peer, from the address that it had asked
 *  (IP_PKTINFO, ip(7)). Replies of one round leave together, in their order; one that the
 *  kernel refuses is dropped and counted (ostler_server_dropped()). -EMSGSIZE: more than
 *  65,507 bytes over IPv4, 65,527 over IPv6 (RFC 768, 791, 8200), 65,535 on a Unix socket;
 *  -EDESTADDRREQ: a Unix peer that bound no name, which nothing can be sent to; -ENOMEM.
 *
 *  On a Unix socket what peers do not read stays charged to this one (about 200 KiB in all,
 *  SO_SNDBUF in socket(7)): a few that read nothing can keep others from getting replies.
 *
 *  The kernel tells a Unix peer by the path that it has bound, and the reply goes to wherever that
 *  leads by then: who moves his socket away and puts a symbolic link there has the reply sent to any
 *  socket that this process may write to, in its name. Where that matters, let only those write to the
 *  server's socket who are trusted (socket_mode, or a directory that others cannot enter), or answer
 *  only peers with a name in the abstract namespace, or in a directory that others cannot write to. */
OSTLER_API int ostler_datagram_reply(struct ostler_datagram *datagram, const void *data, size_t n);

OSTLER_API struct ostler_server *ostler_datagram_server(const struct ostler_datagram *datagram);
OSTLER_API const struct ostler_address *ostler_datagram_peer(const struct ostler_datagram *datagram);

OSTLER_END

#endif
