/* The UDP ports of this daemon, for ostler_daemon_owns_udp_port(). */
#ifndef OST_DAEMON_PORTS_H
#define OST_DAEMON_PORTS_H

struct ostler_server;

/* Both before the first service starts: handlers read without a lock. */
void ost_ports_add(int port);
void ost_ports_add_server(const struct ostler_server *server);

#endif
