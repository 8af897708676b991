/* The file of a Unix socket. The socket is bound to the very name that is wanted, since that
 * is what getsockname(2) tells, and where a datagram's reply comes from; no rename in between.
 * Its mode is there from the first (fchmod(2) before bind(2)), but for bits of the umask, which
 * are added at once. Until a stream socket listens, its clients are refused. */
#ifndef OST_NET_UNIX_H
#define OST_NET_UNIX_H

#include <sys/types.h>

#include "net/address.h"

enum { OST_UNIX_NAME = sizeof(((struct sockaddr_un *)0)->sun_path) };

struct ost_unix_file {
    dev_t device;
    ino_t inode;
    int directory; /* the one it is in, open: the program may change its own meanwhile */
    pid_t maker;   /* the process that made it; 0: there is none, and no directory either */
};

/* Bind a new socket, with mode (0: as the umask says). The file of a socket that is dead is
 * replaced. The descriptor; -EADDRINUSE: it is alive; -EEXIST: it is no socket; or another
 * -errno. */
int ost_unix_bind(struct ost_unix_file *file, const struct ostler_address *address, unsigned mode);

/* Remove the file, if it is ours and still the one we made. */
void ost_unix_remove(struct ost_unix_file *file, const struct ostler_address *address);

#endif
