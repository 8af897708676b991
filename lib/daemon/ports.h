/* Where the datagram services of this daemon are: its UDP ports, and the names of its Unix sockets.
 *
 * All that adds does so before the first service starts: handlers read without a lock. */
#ifndef OST_DAEMON_PORTS_H
#define OST_DAEMON_PORTS_H

#include <stddef.h>

struct ostler_server;

void ost_ports_add(int port);

/* The bytes that bind(2) was given: of a path, without its NUL; of a name in the abstract namespace,
 * with the one before it. 0; -ENOMEM. */
int ost_ports_add_name(const char *name, size_t n);

/* All of a server's. 0, -ENOMEM. */
int ost_ports_add_server(const struct ostler_server *server);

/* The index-th name, and its length; NULL beyond the last. */
const char *ost_ports_name(size_t index, size_t *n);

#endif
