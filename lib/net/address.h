/* A socket address by value: 32 bytes, so that each request can hold its peer's. */
#ifndef OST_NET_ADDRESS_H
#define OST_NET_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include <ostler/address.h>

struct ostler_address {
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } as;
    bool v6only;   /* bind for IPv6 alone */
    bool wildcard; /* "*": a socket for each family; as holds the IPv6 one */
};

/* Bytes of as that bind(2) and connect(2) are to be given. */
socklen_t ost_address_length(const struct ostler_address *address);

void ost_address_set_port(struct ostler_address *address, uint16_t port);

/* For a wildcard: the IPv4 socket's address; its twin is the address itself. */
void ost_address_ipv4_twin(struct ostler_address *out, const struct ostler_address *address);

#endif
