/* Telling whoever started the daemon that it is there. */
#ifndef OST_DAEMON_READY_H
#define OST_DAEMON_READY_H

#include <stddef.h>

struct ostler_server;

/* Write to fd a line "SERVICE ADDRESS" for each bound address, with its real port,
 * then "ready", and close fd; nothing when fd is -1. 0 or -errno. */
int ost_ready_announce(int fd, struct ostler_server *const *servers, size_t count);

#endif
