/** The socket object: what Python's socket.socket is, method for method, under the same
 *  names. TCP, UDP, Unix stream and Unix datagram; close-on-exec from birth.
 *
 *  Where it waits: in a straight-line handler as the handler's own stream does, so that on
 *  a fiber or inline the reactor works on; in any other thread in the kernel. In a
 *  callback on the reactor what would have to wait is -EDEADLK: set the time-out to 0.
 *
 *  Time-outs: as in Python, in seconds: OSTLER_NEVER (none; where a socket begins): wait as
 *  long as it takes. 0: never wait, -EAGAIN instead (a connect: -EINPROGRESS). Else at most so
 *  long, for a whole call: then -ETIMEDOUT. They hold for accept, connect, recv and its kin,
 *  send and its kin. EINTR is never seen. SO_RCVTIMEO and SO_SNDTIMEO (socket(7)) count only where
 *  there is no time-out and the wait is the kernel's, in a thread that runs no handler: -EAGAIN
 *  (a connect: -EINPROGRESS). SO_RCVLOWAT: a wait ends when so much has
 *  come; what is there already is given as it is, however little.
 *
 *  Errors: 0 or more, or -errno. -EINVAL: a NULL, or a value that is out of range;
 *  -EBADF: the socket is closed; -EAFNOSUPPORT: an address of another family or kind;
 *  -EMFILE, -ENFILE, -ENOMEM; -ECANCELED, -EDEADLK and, past the request's deadline,
 *  -ETIMEDOUT as in <ostler/wait.h>. What the kernel's call says else is handed on. On
 *  failure nothing is written to an output, and no descriptor is left.
 *
 *  Thread: any, one at a time; two may share a socket, such as one that receives and one
 *  that sends, when both are threads, or fibers of one reactor. A socket that was waited for
 *  on a reactor's thread may be closed and freed from any thread as long as that reactor
 *  lives; its descriptor is then closed by the reactor, as soon as that comes to it. */
#ifndef OSTLER_SOCKET_H
#define OSTLER_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <ostler/address.h>
#include <ostler/here.h>
#include <ostler/reactor.h>
#include <ostler/version.h>

OSTLER_BEGIN

struct addrinfo;
struct ostler_socket;

/** socket(family, type, proto): AF_INET, AF_INET6 or AF_UNIX; SOCK_STREAM or SOCK_DGRAM;
 *  protocol mostly 0. -EAFNOSUPPORT, -EPROTONOSUPPORT: others. */
OSTLER_API int ostler_socket_new(struct ostler_socket **out, int family, int type, int protocol);

/** socket(fileno=fd): take over a socket that is open. Consumes fd, and makes it close-on-exec;
 *  on failure it is still the caller's. Its blocking mode is read off it: O_NONBLOCK is a
 *  time-out of 0. -EBADF, -ENOTSOCK, -EPROTONOSUPPORT. */
OSTLER_API int ostler_socket_from_fd(struct ostler_socket **out, int fd);

/** s.dup(): a second socket object, with a descriptor and a time-out of its own, which begins as
 *  that of s. Also of a stream's socket. */
OSTLER_API int ostler_socket_dup(struct ostler_socket **out, const struct ostler_socket *s);

/** Close it, unless that was done, and free the object, for which nobody may be waiting: close it
 *  first, and free it when those have gone on. NULL is fine; a stream's socket is left alone. */
OSTLER_API void ostler_socket_free(struct ostler_socket *s);

/** s.close(): close the descriptor; the object stays until it is freed. 0, also if it was
 *  closed; a descriptor is gone whatever close(2) says. Fibers that wait for it are woken: -EBADF.
 *  A thread or a child that waits in the kernel goes on to, as with close(2); ostler_socket_shutdown()
 *  wakes it. -EPERM: a stream's socket. */
OSTLER_API int ostler_socket_close(struct ostler_socket *s);

/** s.detach(): the descriptor, which is the caller's now; the object is closed. In blocking
 *  mode unless the time-out was 0. While a reactor of another thread still watches the socket it
 *  is a new descriptor of it (-EMFILE …). -EPERM: a stream's socket. */
OSTLER_API int ostler_socket_detach(struct ostler_socket *s);

/** s.shutdown(how): SHUT_RD, SHUT_WR, SHUT_RDWR. */
OSTLER_API int ostler_socket_shutdown(struct ostler_socket *s, int how);

/** s.fileno(): the descriptor, which stays the object's; -EBADF (Python: -1) once closed. */
OSTLER_API int ostler_socket_fileno(const struct ostler_socket *s);

/** s.family, s.type, s.proto, the last as the kernel says (IPPROTO_TCP, IPPROTO_UDP, 0); -EINVAL,
 *  -EBADF. */
OSTLER_API int ostler_socket_family(const struct ostler_socket *s);
OSTLER_API int ostler_socket_type(const struct ostler_socket *s);
OSTLER_API int ostler_socket_proto(const struct ostler_socket *s);

/** s.bind(address): tcp, udp, unix, unixgram, as the socket is one; a wildcard is that of its family.
 *  Options, such as IPV6_V6ONLY, stay as they are. */
OSTLER_API int ostler_socket_bind(struct ostler_socket *s, const struct ostler_address *address);

/** s.listen(backlog): 0 or more. OSTLER_BACKLOG is the most that the system takes. */
#define OSTLER_BACKLOG SOMAXCONN
OSTLER_API int ostler_socket_listen(struct ostler_socket *s, int backlog);

/** s.accept(): a new socket, without a time-out, and its peer, unless peer is NULL. */
OSTLER_API int ostler_socket_accept(struct ostler_socket *s, struct ostler_socket **out, struct ostler_address *peer);

/** s.connect(address). After -ETIMEDOUT the attempt may still go on: close the socket. Of a
 *  datagram socket it sets the peer. With a time-out of 0 -EINPROGRESS, and then -EALREADY until it
 *  is connected; with another one an attempt that goes on is joined. Where a Unix
 *  socket's backlog is full (EAGAIN), and the wait cannot be the kernel's, it is tried again after
 *  1, 2, 4, 8, and from then on every 16 ms: Linux tells nobody when there is room. */
OSTLER_API int ostler_socket_connect(struct ostler_socket *s, const struct ostler_address *address);

/** s.connect_ex(address): 0 or the errno, positive, as Python's; but past the time-out ETIMEDOUT,
 *  where Python has EAGAIN. */
OSTLER_API int ostler_socket_connect_ex(struct ostler_socket *s, const struct ostler_address *address);

/** s.recv(n, flags): how many bytes came, at most n; 0: the peer sends no more (or an empty
 *  datagram, or n is 0, which takes nothing). flags as in recv(2). MSG_DONTWAIT is a time-out of 0
 *  for the call, and so are MSG_OOB and MSG_ERRQUEUE. MSG_WAITALL, without MSG_PEEK: all n bytes of a
 *  stream, or those that came before its end, the time-out or an error. With MSG_TRUNC the
 *  count may be more than n, as in recv(2). While errors are queued (IP_RECVERR, ip(7)) that nobody
 *  takes with MSG_ERRQUEUE, it is tried again as in ostler_socket_connect(). -EINVAL: n is more than a
 *  ssize_t holds. */
OSTLER_API ssize_t ostler_socket_recv(struct ostler_socket *s, void *buffer, size_t n, int flags);

/** s.recvfrom(n, flags): and the sender's address, unless from is NULL. Of a datagram, n of 0
 *  takes it. On a stream there is none: *from is then as ostler_address_new() makes it. */
OSTLER_API ssize_t ostler_socket_recvfrom(struct ostler_socket *s, void *buffer, size_t n, int flags,
                                          struct ostler_address *from);

/** s.send(data, flags): how many bytes the kernel took, possibly less than n. No SIGPIPE. */
OSTLER_API ssize_t ostler_socket_send(struct ostler_socket *s, const void *data, size_t n, int flags);

/** s.sendall(data, flags): 0 when all was taken, within one time-out for the whole. After an
 *  error it is not known how much was. */
OSTLER_API int ostler_socket_sendall(struct ostler_socket *s, const void *data, size_t n, int flags);

/** s.sendto(data, flags, address): how many bytes were sent. While the queue of a Unix receiver to
 *  which the socket is not connected is full, it is tried again as in ostler_socket_connect(). */
OSTLER_API ssize_t ostler_socket_sendto(struct ostler_socket *s, const void *data, size_t n, int flags,
                                        const struct ostler_address *address);

/** s.recvmsg(), s.sendmsg(): struct msghdr as in recvmsg(2), with its own buffers, which are not
 *  checked. Received descriptors are close-on-exec. MSG_WAITALL has no effect. */
OSTLER_API ssize_t ostler_socket_recvmsg(struct ostler_socket *s, struct msghdr *message, int flags);
OSTLER_API ssize_t ostler_socket_sendmsg(struct ostler_socket *s, const struct msghdr *message, int flags);

/** s.sendfile(file, offset, count): send count bytes of fd (0: up to its end) from offset
 *  on. Return how many, less when the file ends sooner. The time-out is for the whole. fd's own
 *  position stays; but when sending has failed, with -ETIMEDOUT too, or -EAGAIN, it is behind what
 *  had left by then. -EINVAL: no regular file, or no stream socket. */
OSTLER_API off_t ostler_socket_sendfile(struct ostler_socket *s, int fd, off_t offset, size_t count);

/** socket.send_fds(), socket.recv_fds(): bytes, at least one, and descriptors along with
 *  them, over a Unix socket. Received ones are close-on-exec and the caller's; *count says
 *  how many there is room for, and then how many came. At most 253 go with one message (-EINVAL).
 *  -EMSGSIZE: more came than there is room for, or than the process may open: all were closed,
 *  and the bytes are lost. -EAFNOSUPPORT: no Unix socket. */
OSTLER_API ssize_t ostler_socket_send_fds(struct ostler_socket *s, const void *data, size_t n, const int *fds,
                                          size_t count);
OSTLER_API ssize_t ostler_socket_recv_fds(struct ostler_socket *s, void *buffer, size_t n, int *fds, size_t *count);

/** s.getpeername(), s.getsockname(): into an address of ostler_address_new(). */
OSTLER_API int ostler_socket_getpeername(const struct ostler_socket *s, struct ostler_address *out);
OSTLER_API int ostler_socket_getsockname(const struct ostler_socket *s, struct ostler_address *out);

/** s.setsockopt(), s.getsockopt(): the integer forms, and those with a buffer; of the last
 *  *size says how large it is, and then how much of it was filled. */
OSTLER_API int ostler_socket_setsockopt(struct ostler_socket *s, int level, int name, int value);
OSTLER_API int ostler_socket_getsockopt(const struct ostler_socket *s, int level, int name, int *out);
OSTLER_API int ostler_socket_setsockopt_buffer(struct ostler_socket *s, int level, int name, const void *value,
                                               size_t size);
OSTLER_API int ostler_socket_getsockopt_buffer(const struct ostler_socket *s, int level, int name, void *out,
                                               size_t *size);

/** s.settimeout(seconds): OSTLER_NEVER (Python's None), 0, or a positive number, a fraction
 *  too; rounded up to a millisecond. -EINVAL: another negative number, or none at all. */
OSTLER_API int ostler_socket_settimeout(struct ostler_socket *s, double seconds);

/** s.gettimeout(); OSTLER_NEVER for none, and for NULL. */
OSTLER_API double ostler_socket_gettimeout(const struct ostler_socket *s);

/** s.setblocking(flag): true is settimeout(OSTLER_NEVER), false is settimeout(0). */
OSTLER_API int ostler_socket_setblocking(struct ostler_socket *s, bool blocking);
OSTLER_API bool ostler_socket_getblocking(const struct ostler_socket *s); /* the time-out is not 0 */

/** s.makefile(mode): a stdio stream over the socket; mode "r", "w" or "rw", with "b" or
 *  without, in any order. It waits as the socket does, and honours its time-out: errno is then
 *  ETIMEDOUT, what was to be written is lost, and what was read of a line may be. Of "rw" reading
 *  and writing need no fseek() in between: nothing read is lost, and what is written leaves before
 *  the stream waits for input. fclose() flushes and leaves the socket open; the socket must
 *  be there until then. -EINVAL: a datagram socket, another mode. */
OSTLER_API int ostler_socket_makefile(struct ostler_socket *s, FILE **out, const char *mode);

/** socket.create_connection((host, port), timeout, source_address): resolve host (a name or
 *  a number), try each of its addresses in turn, and give the first that connects, with timeout as
 *  its time-out. timeout, in seconds, is for all of it together, the resolver included; each
 *  address has an equal share of what is left, so that one that does not answer leaves some to
 *  those behind it. 0: a number only, and -EINPROGRESS as connect. source NULL: any
 *  address. -EINVAL: a port that is not 0 to 65535; for the resolver see
 *  ostler_getaddrinfo(); else the error is the last address's. */
OSTLER_API int ostler_create_connection(struct ostler_socket **out, const char *host, int port, double timeout,
                                        const struct ostler_address *source);

/** socket.create_server(): a TCP socket that listens on host (NULL or "": everywhere) and port,
 *  with SO_REUSEADDR. Zero is the default. A name is resolved, and its first address taken.
 *  -EINVAL: a port or backlog out of range, dualstack_ipv6 without AF_INET6; -EAFNOSUPPORT;
 *  -EOPNOTSUPP: the system has no dual stack; -EADDRINUSE …: as bind(2); for a name see
 *  ostler_getaddrinfo(). */
struct ostler_create_server_options {
    int family;          /* AF_INET (the default) or AF_INET6 */
    int backlog;         /* 0: OSTLER_BACKLOG */
    bool reuse_port;     /* SO_REUSEPORT */
    bool dualstack_ipv6; /* AF_INET6: IPv4 as well */
};
OSTLER_API int ostler_create_server(struct ostler_socket **out, const char *host, int port,
                                    const struct ostler_create_server_options *options);

/** socket.has_dualstack_ipv6() */
OSTLER_API bool ostler_has_dualstack_ipv6(void);

/** socket.socketpair(family, type): two connected sockets; AF_UNIX, SOCK_STREAM or SOCK_DGRAM. */
OSTLER_API int ostler_socketpair(struct ostler_socket **a, struct ostler_socket **b, int type);

/** socket.getaddrinfo(): as getaddrinfo(3), but the resolver runs in a thread of its own
 *  unless host is a number, so that it holds up the caller alone, at most timeout seconds;
 *  a resolver that hangs is left to itself (64 such threads run at once, other names wait
 *  for one of them). *out is to be freed with freeaddrinfo(3). 0; -ENOENT: no such host or
 *  service, or none of that family; -EAGAIN: the resolver cannot say now, or there is no
 *  thread to be had; -EIO: it failed; -ETIMEDOUT; -EINVAL, -EAFNOSUPPORT: hints that make no
 *  sense; -EDEADLK: a name, in a callback on the reactor; -EBUSY: a name, while a forking
 *  server is open in the process, which must not have threads (not in its children). */
OSTLER_API int ostler_getaddrinfo(struct addrinfo **out, const char *host, const char *service,
                                  const struct addrinfo *hints, double timeout);

/* Each from here: see <ostler/here.h>. */
#ifndef OSTLER_NO_HERE
#define ostler_socket_accept(...) OSTLER_FROM_HERE(ostler_socket_accept, __VA_ARGS__)
#define ostler_socket_connect(...) OSTLER_FROM_HERE(ostler_socket_connect, __VA_ARGS__)
#define ostler_socket_connect_ex(...) OSTLER_FROM_HERE(ostler_socket_connect_ex, __VA_ARGS__)
#define ostler_socket_recv(...) OSTLER_FROM_HERE(ostler_socket_recv, __VA_ARGS__)
#define ostler_socket_recvfrom(...) OSTLER_FROM_HERE(ostler_socket_recvfrom, __VA_ARGS__)
#define ostler_socket_send(...) OSTLER_FROM_HERE(ostler_socket_send, __VA_ARGS__)
#define ostler_socket_sendall(...) OSTLER_FROM_HERE(ostler_socket_sendall, __VA_ARGS__)
#define ostler_socket_sendto(...) OSTLER_FROM_HERE(ostler_socket_sendto, __VA_ARGS__)
#define ostler_socket_recvmsg(...) OSTLER_FROM_HERE(ostler_socket_recvmsg, __VA_ARGS__)
#define ostler_socket_sendmsg(...) OSTLER_FROM_HERE(ostler_socket_sendmsg, __VA_ARGS__)
#define ostler_socket_sendfile(...) OSTLER_FROM_HERE(ostler_socket_sendfile, __VA_ARGS__)
#define ostler_socket_send_fds(...) OSTLER_FROM_HERE(ostler_socket_send_fds, __VA_ARGS__)
#define ostler_socket_recv_fds(...) OSTLER_FROM_HERE(ostler_socket_recv_fds, __VA_ARGS__)
#define ostler_create_connection(...) OSTLER_FROM_HERE(ostler_create_connection, __VA_ARGS__)
#define ostler_getaddrinfo(...) OSTLER_FROM_HERE(ostler_getaddrinfo, __VA_ARGS__)
#endif

OSTLER_END

#endif
