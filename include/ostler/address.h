/** Socket addresses as text and back:
 *
 *     tcp:127.0.0.1:7007    IPv4
 *     tcp:[::1]:7007        IPv6, always in brackets; [fe80::1%eth0] names a zone,
 *                           by an interface's name or number
 *     tcp:[::]:7007         both families on one socket (IPV6_V6ONLY off)
 *     tcp:*:7007            both families on two sockets (IPV6_V6ONLY on)
 *     udp:…                 the same for UDP
 *     unix:/run/echo.sock   a Unix stream socket, by its path (at most 107 bytes, unix(7))
 *     unixgram:/run/e.sock  a Unix datagram socket
 *     unix:@echo            either kind with a name in the abstract namespace, and no file
 *     fd:3                  a bound socket that the process has already, of any of these
 *                           kinds; to listen on, nothing else
 *
 *  Port 0 asks the kernel for a free port. An IPv4 peer on a dual-stack socket is
 *  written as IPv4, a Unix peer that bound no name as "unix:(unnamed)". A zone by the name of an
 *  interface that the machine does not have is an address too: whoever binds or connects it gets
 *  -ENODEV. Of one by number the kernel decides, which heeds it on a link's own addresses only. */
#ifndef OSTLER_ADDRESS_H
#define OSTLER_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include <ostler/version.h>

OSTLER_BEGIN

struct ostler_address;

/** Room for any address as text, its NUL included. */
#define OSTLER_ADDRESS_TEXT 128

/** Parse text into *out, to be freed by the caller. -EINVAL when it is not an
 *  address (ostler_address_problem() says why), -ENOMEM. Thread: any. */
OSTLER_API int ostler_address_parse(struct ostler_address **out, const char *text);

/** An address for a function to write to, the unnamed one of no kind at first. -EINVAL, -ENOMEM. */
OSTLER_API int ostler_address_new(struct ostler_address **out);

/** An address from the kernel's form of it, for a socket of that type (SOCK_STREAM or
 *  SOCK_DGRAM), into one that is there. -EAFNOSUPPORT: not AF_INET, AF_INET6 or AF_UNIX; -EINVAL. */
OSTLER_API int ostler_address_set(struct ostler_address *out, const struct sockaddr *address, socklen_t length,
                                  int type);

/** The kernel's form of it; borrowed, valid as long as the address is not changed. NULL: it has
 *  none (an fd:N, a zone whose interface was missing, or nothing was written to it). */
OSTLER_API const struct sockaddr *ostler_address_sockaddr(const struct ostler_address *address, socklen_t *length);

/** NULL when text is an address; otherwise a static sentence that says what is
 *  wrong and what would be right. Thread: any. */
OSTLER_API const char *ostler_address_problem(const char *text);

OSTLER_API void ostler_address_free(struct ostler_address *address); /* NULL is fine */

/** Write the address as text into buffer, whole or not at all. Return the length
 *  without the NUL, -ENOSPC (OSTLER_ADDRESS_TEXT bytes are always enough) or
 *  -EINVAL. Thread: any. */
OSTLER_API int ostler_address_text(const struct ostler_address *address, char *buffer, size_t size);

/** The port, 0 to 65535; -EINVAL when the address has none. */
OSTLER_API int ostler_address_port(const struct ostler_address *address);

/** Is it 127.0.0.0/8 (mapped into IPv6 or not), ::1 or a Unix address? */
OSTLER_API bool ostler_address_is_loopback(const struct ostler_address *address);

/** Is it an address for datagrams (udp, unixgram)? Not known of an fd:N: false. */
OSTLER_API bool ostler_address_is_datagram(const struct ostler_address *address);

OSTLER_END

#endif
