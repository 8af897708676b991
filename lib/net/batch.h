/* Datagrams, received and sent many at a time (recvmmsg(2), sendmmsg(2)). A reply leaves
 * from the address that was asked: the kernel tells which that was (IP_PKTINFO, ip(7);
 * IPV6_PKTINFO, RFC 3542, 6), and takes the same structure back.
 *
 *   ost_batch_receive ─> 0 … count-1, each with peer and data ─> ost_batch_reply ─> ost_batch_send
 *
 * Replies refer to the datagrams that they answer: all have left, or are dropped, before
 * the next ones are received. */
#ifndef OST_NET_BATCH_H
#define OST_NET_BATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "net/address.h"

enum { OST_BATCH = 32 };

struct ost_batch;

/* Which of our addresses a reply leaves from, in the kernel's form: the one that was asked. */
struct ost_origin {
    size_t length;
    union {
        size_t align; /* as for struct cmsghdr */
        char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } control;
};

/* A batch for datagrams of up to packet_size bytes, for a socket of that kind. 0 or -ENOMEM. */
int ost_batch_new(struct ost_batch **out, unsigned kind, size_t packet_size);
void ost_batch_free(struct ost_batch *batch); /* NULL is fine */

/* Receive what has arrived, without waiting, instead of what the batch held. How many
 * (at most max, which is at most OST_BATCH), or -errno. No reply may be waiting. */
int ost_batch_receive(struct ost_batch *batch, int fd, int max);

/* What was received, by index. Borrowed, until the next are received. */
const void *ost_batch_data(const struct ost_batch *batch, int index);
size_t ost_batch_length(const struct ost_batch *batch, int index);
bool ost_batch_was_cut(const struct ost_batch *batch, int index);
const struct ostler_address *ost_batch_peer(const struct ost_batch *batch, int index);
void ost_batch_origin(const struct ost_batch *batch, int index, struct ost_origin *out);

/* Queue a reply to the index-th. 0; -ENOSPC: send what is queued first; -EMSGSIZE,
 * -EDESTADDRREQ. data may lie in the datagram itself; else it is copied. */
int ost_batch_reply(struct ost_batch *batch, int index, const void *data, size_t n);

/* How many replies are queued. */
int ost_batch_queued(const struct ost_batch *batch);

/* Send the queued replies, without waiting. What the kernel refuses is dropped and added to
 * *refused. 0, or -EAGAIN: the socket is full, and what is left stays queued. */
int ost_batch_send(struct ost_batch *batch, int fd, unsigned long long *refused);

/* The most bytes that a datagram to peer can have. */
size_t ost_packet_limit(const struct ostler_address *peer);

/* Send one datagram, without waiting. 0 or -errno. */
int ost_packet_send(int fd, const struct ostler_address *peer, const struct ost_origin *origin, const void *data,
                    size_t n);

#endif
