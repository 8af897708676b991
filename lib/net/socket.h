/* The system calls that make and shape sockets, each once, with -errno and
 * close-on-exec. Descriptors are in blocking mode: whoever must not block says so
 * in each call (MSG_DONTWAIT), which costs nothing and leaves a descriptor usable
 * by the reactor and by a thread alike. */
#ifndef OST_NET_SOCKET_H
#define OST_NET_SOCKET_H

#include "net/address.h"

/* A listening socket to be: bound, not yet listening. The descriptor or -errno. */
int ost_socket_bind(const struct ostler_address *address, int reuse_address, int reuse_port);

/* Listen; a backlog of 0 is the system's largest. */
int ost_socket_listen(int fd, int backlog);

/* Accept without waiting. The descriptor or -errno. */
int ost_socket_accept(int listener, struct ostler_address *peer);

/* Begin to connect. 0 when it is connected at once, -EINPROGRESS, or -errno; the
 * descriptor (non-blocking) goes to *out in the first two cases. */
int ost_socket_connect(int *out, const struct ostler_address *address);

/* Take the pending error: 0 or -errno. */
int ost_socket_error(int fd);

/* The address the socket is bound to. */
int ost_socket_local(int fd, struct ostler_address *out);

int ost_socket_set_nodelay(int fd);

/* Let blocking receives give up with EAGAIN after ms; 0: never. */
int ost_socket_set_receive_timeout(int fd, long ms);

/* Bytes that have arrived and wait to be received. */
int ost_socket_pending(int fd);

/* Does the kernel still hold output that the peer has not acknowledged? */
bool ost_socket_has_unsent(int fd);

/* Let close(2) reset the connection. */
void ost_socket_arm_reset(int fd);

#endif
