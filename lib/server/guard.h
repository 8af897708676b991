/* The watch that the parent of workers keeps over their sockets. */
#ifndef OST_SERVER_GUARD_H
#define OST_SERVER_GUARD_H

struct ostler_server;

/* Watch the sockets of a server that is bound, has its seat in a balance, and never starts; until
 * its listeners close. 0 or -errno. */
int ost_guard_start(struct ostler_server *server);

#endif
