/* A socket address by value, and the kind of socket that it is for. As long as its
 * kernel's form is: each request holds its peer's, which mostly is 16 to 28 bytes and
 * only for a named Unix socket more (ost_address_size()). */
#ifndef OST_NET_ADDRESS_H
#define OST_NET_ADDRESS_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <ostler/address.h>

enum ost_kind { OST_TCP, OST_UDP, OST_UNIX_STREAM, OST_UNIX_DATAGRAM, OST_KINDS, OST_INHERITED = OST_KINDS };

struct ostler_address {
    unsigned char kind;   /* enum ost_kind */
    unsigned char length; /* bytes of as, for bind(2) and connect(2) */
    bool v6only;          /* bind for IPv6 alone */
    bool wildcard;        /* "*": a socket for each family; as holds the IPv6 one */
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
        int fd; /* OST_INHERITED */
        struct {
            struct sockaddr_in6 in6;
            char zone[IF_NAMESIZE]; /* the interface's name; length counts it, as it does for no other address */
        } zoned;                    /* IPv6 on an interface that the machine does not have */
    } as;
};

/* The kind of a socket of that family and type. */
static inline enum ost_kind ost_kind_of(int family, int type)
{
    if (family == AF_UNIX)
        return type == SOCK_STREAM ? OST_UNIX_STREAM : OST_UNIX_DATAGRAM;
    return type == SOCK_STREAM ? OST_TCP : OST_UDP;
}

/* Bytes of *address that count: those behind them need not be there. Of one to which none has been written
 * all do, for nothing says which will be read. */
static inline size_t ost_address_size(const struct ostler_address *address)
{
    return address->length ? offsetof(struct ostler_address, as) + address->length : sizeof(*address);
}

/* Set the length that the kernel gave of a name in as: of a path that fills sun_path it
 * counts a NUL, which no call takes (unix(7)). */
static inline void ost_address_set_length(struct ostler_address *address, socklen_t length)
{
    address->length = (unsigned char)(length < sizeof(address->as.un) ? length : sizeof(address->as.un));
}

static inline bool ost_kind_is_datagram(unsigned kind)
{
    return kind == OST_UDP || kind == OST_UNIX_DATAGRAM;
}

static inline bool ost_kind_is_unix(unsigned kind)
{
    return kind == OST_UNIX_STREAM || kind == OST_UNIX_DATAGRAM;
}

/* Is it on an interface that the machine did not have when it was parsed? The kernel has no form of such. */
static inline bool ost_address_lacks_interface(const struct ostler_address *address)
{
    return address->as.sa.sa_family == AF_INET6 && address->length == sizeof(address->as.zoned);
}

/* Has none been written to it? Then it is a Unix one without a name, and without a family. */
static inline bool ost_address_is_blank(const struct ostler_address *address)
{
    return address->kind != OST_INHERITED && address->as.sa.sa_family == AF_UNSPEC;
}

void ost_address_init(struct ostler_address *address);

/* Has it a file, whose name it is? */
bool ost_address_has_file(const struct ostler_address *address);

void ost_address_set_port(struct ostler_address *address, uint16_t port);

/* For a wildcard: the IPv4 socket's address; its twin is the address itself. */
void ost_address_ipv4_twin(struct ostler_address *out, const struct ostler_address *address);

#endif
