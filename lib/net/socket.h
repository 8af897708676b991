/* The system calls that make and shape sockets, each once, with -errno and
 * close-on-exec. Descriptors are in blocking mode: whoever must not block says so
 * in each call (MSG_DONTWAIT), which costs nothing and leaves a descriptor usable
 * by the reactor and by a thread alike. */
#ifndef OST_NET_SOCKET_H
#define OST_NET_SOCKET_H

#include <errno.h>
#include <sys/socket.h>

#include "net/address.h"

/* A socket for an address of the internet or of the abstract namespace, bound, not yet
 * listening. The descriptor or -errno. */
int ost_socket_bind(const struct ostler_address *address, int reuse_address, int reuse_port);

/* Bind fd. 0 or -errno. */
int ost_socket_bind_to(int fd, const struct ostler_address *address);

/* A socket of family, type and protocol. The descriptor or -errno. */
int ost_socket_make(int family, int type, int protocol);

/* Two connected Unix sockets of that type. 0 or -errno. */
int ost_socket_pair(int fds[2], int type);

/* A second descriptor of the same socket, or -errno. */
int ost_socket_dup(int fd);

/* Of any open descriptor: a socket's family and type. 0; -EBADF, -ENOTSOCK; -EPROTONOSUPPORT:
 * none of ours. */
int ost_socket_describe(int fd, int *family, int *type);

/* recv(2), send(2) without SIGPIPE, shutdown(2); EINTR is not seen. */
static inline ssize_t ost_socket_receive(int fd, void *buffer, size_t n, int flags)
{
    ssize_t got;

    do
        got = recv(fd, buffer, n, flags);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static inline ssize_t ost_socket_send(int fd, const void *data, size_t n, int flags)
{
    ssize_t sent;

    do
        sent = send(fd, data, n, flags | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

int ost_socket_shutdown(int fd, int how);

/* recvmsg(2), with descriptors that are close-on-exec; sendmsg(2), likewise. */
ssize_t ost_socket_receive_message(int fd, struct msghdr *message, int flags);
ssize_t ost_socket_send_message(int fd, const struct msghdr *message, int flags);

/* sendfile(2) without SIGPIPE: up to n bytes of file, from *offset on, which it moves. */
ssize_t ost_socket_send_file(int fd, int file, off_t *offset, size_t n);

/* setsockopt(2), getsockopt(2). 0 or -errno. */
int ost_socket_set_option(int fd, int level, int name, const void *value, socklen_t size);
int ost_socket_get_option(int fd, int level, int name, void *value, socklen_t *size);

/* Is it in blocking mode? 0, 1 or -errno. */
int ost_socket_is_blocking(int fd);

/* Not for programs that the process runs. 0 or -errno. */
int ost_socket_close_on_exec(int fd);

/* Blocking mode, or not. */
int ost_socket_set_blocking(int fd, bool blocking);

/* An unbound socket for an address of that kind; flags: SOCK_NONBLOCK or 0. */
int ost_socket_open(const struct ostler_address *address, int flags);

/* Listen; a backlog of 0 is the system's largest. */
int ost_socket_listen(int fd, int backlog);

/* Take over fd, a bound socket of one of our kinds: its address to *out. 0, or -errno:
 * -ENOTSOCK, -EISCONN, -EDESTADDRREQ (it is not bound), -EPROTONOSUPPORT (another kind). */
int ost_socket_adopt(int fd, struct ostler_address *out);

/* Listen, with a backlog of 0 too, and leave its blocking mode. */
int ost_socket_listen_at_most(int fd, int backlog);

/* Accept, as its blocking mode is. The descriptor or -errno. peer->kind is set already. */
int ost_socket_accept(int listener, struct ostler_address *peer);

/* Begin to connect. 0 when it is connected at once, -EINPROGRESS, or -errno; the
 * descriptor (non-blocking) goes to *out in the first two cases. */
int ost_socket_connect(int *out, const struct ostler_address *address);

/* connect(2) as it is: -EINTR is seen, after which the next call joins the attempt, which goes on
 * (and on a Unix socket makes another). */
int ost_socket_connect_to(int fd, const struct ostler_address *address);

/* Take the pending error: 0 or -errno. */
int ost_socket_error(int fd);

/* The address the socket is bound to; out->kind is set already. */
int ost_socket_local(int fd, struct ostler_address *out);

/* The same of its peer. */
int ost_socket_peer(int fd, struct ostler_address *out);

/* Let received datagrams tell which of our addresses they were sent to, and forget what else a former
 * owner may have wanted of the socket. */
int ost_socket_want_local(int fd, const struct ostler_address *address);

/* Datagrams that the kernel dropped for this socket. */
uint32_t ost_socket_drops(int fd);

/* TCP_NODELAY, for what a listener accepts, too: Linux hands it on. */
int ost_socket_set_nodelay(int fd);

/* How many connections wait at a TCP listener to be accepted. */
unsigned ost_socket_waiting(int fd);

/* Let blocking receives give up with EAGAIN after ms; 0: never. */
int ost_socket_set_receive_timeout(int fd, long ms);

/* What it is set to: milliseconds, OSTLER_NEVER: no time-out. */
long ost_socket_receive_timeout(int fd);

/* Has it an error, or any in the queue of errors (MSG_ERRQUEUE, recv(2))? */
bool ost_socket_has_errors(int fd);

/* Bytes that have arrived and wait to be received; with urgent data among them not quite right. */
int ost_socket_pending(int fd);

/* The same, right in that case too. Nobody may receive meanwhile: he would get urgent data among the rest. */
int ost_socket_pending_all(int fd);

/* Does the kernel still hold output that the peer has not acknowledged? */
bool ost_socket_has_unsent(int fd);

/* Let close(2) reset the connection. */
void ost_socket_arm_reset(int fd);

#endif
