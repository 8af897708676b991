#include "net/batch.h"

#include <errno.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { COPIES = 65536 };

/* Room for what the kernel tells of a datagram: beside where it came to, whatever the options
 * of an inherited socket ask for, so that it does not crowd that out. */
union control {
    size_t align; /* as for struct cmsghdr */
    char bytes[256];
};

struct ost_batch {
    unsigned kind;
    size_t packet_size;
    int count;          /* received */
    int first, replies; /* of the replies, those from first on are queued */
    size_t copied;      /* bytes of copies in use */
    char *copies;       /* of replies that don't lie in their datagram; made when needed */
    struct mmsghdr in[OST_BATCH], out[OST_BATCH];
    struct iovec in_data[OST_BATCH], out_data[OST_BATCH];
    struct ostler_address peers[OST_BATCH];
    union control controls[OST_BATCH];
    struct ost_origin origins[OST_BATCH];
    alignas(max_align_t) char data[]; /* stride() bytes each */
};

/* From one datagram's data to the next one's: handlers may look at them through a struct. */
static size_t stride(size_t packet_size)
{
    size_t unit = alignof(max_align_t);

    return (packet_size + unit - 1) / unit * unit;
}

static char *place(struct ost_batch *b, int i)
{
    return b->data + (size_t)i * stride(b->packet_size);
}

/* Make the i-th ready to receive into. A Unix socket has no room for more than data: the
 * descriptors that a peer may send along would be ours to close. */
static void reset(struct ost_batch *b, int i)
{
    struct msghdr *h = &b->in[i].msg_hdr;

    h->msg_name = &b->peers[i].as;
    h->msg_namelen = sizeof(b->peers[i].as);
    h->msg_iov = &b->in_data[i];
    h->msg_iovlen = 1;
    h->msg_control = b->controls[i].bytes;
    h->msg_controllen = b->kind == OST_UDP ? sizeof(b->controls[i].bytes) : 0;
    h->msg_flags = 0;
}

int ost_batch_new(struct ost_batch **out, unsigned kind, size_t packet_size)
{
    struct ost_batch *b = malloc(sizeof(*b) + OST_BATCH * stride(packet_size));

    if (!b)
        return -ENOMEM;
    memset(b, 0, sizeof(*b)); /* the data is left alone: memory that is not used is not there */
    b->kind = kind;
    b->packet_size = packet_size;
    for (int i = 0; i < OST_BATCH; i++) {
        b->in_data[i] = (struct iovec){ .iov_base = place(b, i), .iov_len = packet_size };
        reset(b, i);
    }
    *out = b;
    return 0;
}

void ost_batch_free(struct ost_batch *b)
{
    if (b)
        free(b->copies);
    free(b);
}

static bool is_ipv4_info(const struct cmsghdr *c)
{
    return c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO;
}

static bool is_ipv6_info(const struct cmsghdr *c)
{
    return c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO;
}

/* Where it came to, of all that the kernel tells. What came by IPv4 to an IPv6 socket has
 * both forms, of which only IPv4's knows our address when it came to a broadcast or group. */
static void take_origin(struct ost_origin *origin, struct msghdr *h)
{
    origin->length = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (!is_ipv4_info(c) && !(is_ipv6_info(c) && origin->length == 0))
            continue;
        memcpy(origin->control.bytes, c, c->cmsg_len);
        origin->length = CMSG_ALIGN(c->cmsg_len);
    }
}

/* Our own address on a link is the one thing that needs its interface told; a group's
 * address is nobody's to send from. */
static void turn_ipv6(struct in6_pktinfo *info)
{
    bool group = IN6_IS_ADDR_MULTICAST(&info->ipi6_addr);

    if (!group && !IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr))
        info->ipi6_ifindex = 0;
    if (group)
        info->ipi6_addr = in6addr_any;
}

/* Turn where a datagram came to into where its replies leave from, once. The way out is left to
 * the routes. */
static void turn(struct ost_origin *origin)
{
    struct msghdr h = { .msg_control = origin->control.bytes, .msg_controllen = origin->length };

    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
        if (is_ipv4_info(c))
            ((struct in_pktinfo *)(void *)CMSG_DATA(c))->ipi_ifindex = 0;
        else if (is_ipv6_info(c))
            turn_ipv6((struct in6_pktinfo *)(void *)CMSG_DATA(c));
    }
}

/* Note what came with the i-th. A Unix peer without a name leaves nothing of one. */
static void take(struct ost_batch *b, int i)
{
    struct ostler_address *peer = &b->peers[i];
    socklen_t length = b->in[i].msg_hdr.msg_namelen;

    if (length < sizeof(sa_family_t)) {
        peer->as.sa.sa_family = AF_UNIX;
        length = sizeof(sa_family_t);
    }
    peer->kind = (unsigned char)b->kind;
    ost_address_set_length(peer, length);
    take_origin(&b->origins[i], &b->in[i].msg_hdr);
    turn(&b->origins[i]);
}

int ost_batch_receive(struct ost_batch *b, int fd, int max)
{
    int n;

    for (int i = 0; i < b->count; i++)
        reset(b, i);
    b->count = b->first = b->replies = 0;
    b->copied = 0;
    do
        n = recvmmsg(fd, b->in, (unsigned)max, MSG_DONTWAIT, NULL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    b->count = n;
    for (int i = 0; i < n; i++)
        take(b, i);
    return n;
}

const void *ost_batch_data(const struct ost_batch *b, int i)
{
    return b->in_data[i].iov_base;
}

size_t ost_batch_length(const struct ost_batch *b, int i)
{
    return b->in[i].msg_len;
}

bool ost_batch_was_cut(const struct ost_batch *b, int i)
{
    return b->in[i].msg_hdr.msg_flags & MSG_TRUNC;
}

const struct ostler_address *ost_batch_peer(const struct ost_batch *b, int i)
{
    return &b->peers[i];
}

void ost_batch_origin(const struct ost_batch *b, int i, struct ost_origin *out)
{
    *out = b->origins[i];
}

/* 16 bits of length, less the headers that they count: UDP's 8 bytes (RFC 768), and the 20
 * of IPv4 (RFC 791), but not the 40 of IPv6 (RFC 8200). */
size_t ost_packet_limit(const struct ostler_address *peer)
{
    if (ost_kind_is_unix(peer->kind))
        return UINT16_MAX;
    if (peer->as.sa.sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&peer->as.in6.sin6_addr))
        return UINT16_MAX - 8;
    return UINT16_MAX - 8 - 20;
}

/* May n bytes be sent to peer? 0 or -errno. */
static int check(const struct ostler_address *peer, size_t n)
{
    if (n > ost_packet_limit(peer))
        return -EMSGSIZE;
    return peer->length <= sizeof(sa_family_t) ? -EDESTADDRREQ : 0;
}

static struct msghdr header(const struct ostler_address *peer, const struct ost_origin *origin, struct iovec *data)
{
    /* sendmsg(2) reads what these point to, although its type does not say so. */
    struct msghdr h = { .msg_name = (void *)(uintptr_t)&peer->as, .msg_namelen = peer->length, .msg_iov = data,
                        .msg_iovlen = 1 };

    if (origin->length > 0) {
        h.msg_control = (void *)(uintptr_t)origin->control.bytes;
        h.msg_controllen = origin->length;
    }
    return h;
}

/* Where the reply's bytes stay until they are sent, or NULL. */
static void *keep(struct ost_batch *b, int i, const void *data, size_t n)
{
    const char *from = data, *datagram = ost_batch_data(b, i);
    char *to;

    if (from >= datagram && from + n <= datagram + b->packet_size)
        return (void *)(uintptr_t)data;
    if (!b->copies)
        b->copies = malloc(COPIES);
    if (!b->copies || n > COPIES - b->copied)
        return NULL;
    to = b->copies + b->copied;
    if (n > 0)
        memcpy(to, data, n);
    b->copied += n;
    return to;
}

int ost_batch_reply(struct ost_batch *b, int i, const void *data, size_t n)
{
    int error = check(&b->peers[i], n), at = b->replies;
    void *kept;

    if (error < 0)
        return error;
    kept = at < OST_BATCH ? keep(b, i, data, n) : NULL;
    if (!kept)
        return at == 0 ? -ENOMEM : -ENOSPC;
    b->out_data[at] = (struct iovec){ .iov_base = kept, .iov_len = n };
    b->out[at].msg_hdr = header(&b->peers[i], &b->origins[i], &b->out_data[at]);
    b->replies++;
    return 0;
}

int ost_batch_queued(const struct ost_batch *b)
{
    return b->replies - b->first;
}

/* Is it the socket that is full, and not one Unix peer's? For that there is no event. */
static bool is_full(const struct ost_batch *b, int error)
{
    return error == EAGAIN && b->kind == OST_UDP;
}

int ost_batch_send(struct ost_batch *b, int fd, unsigned long long *refused)
{
    while (b->first < b->replies) {
        int n = sendmmsg(fd, &b->out[b->first], (unsigned)(b->replies - b->first), MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && is_full(b, errno))
            return -EAGAIN;
        if (n < 0 && errno == EINTR)
            continue;
        *refused += n < 0;
        b->first += n < 0 ? 1 : n;
    }
    b->first = b->replies = 0;
    b->copied = 0;
    return 0;
}

int ost_packet_send(int fd, const struct ostler_address *peer, const struct ost_origin *origin, const void *data,
                    size_t n)
{
    struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = n };
    struct msghdr h = header(peer, origin, &iov);
    int error = check(peer, n);
    ssize_t sent;

    if (error < 0)
        return error;
    do
        sent = sendmsg(fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}
