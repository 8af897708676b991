/* The file of a Unix socket. A stream socket is bound under a temporary name beside the one
 * that is wanted, gets its mode there, and takes that name when it listens, in one step: so
 * clients never meet one that refuses them, or whose mode is not yet right.
 *
 * The kernel goes on calling it by the temporary name (getsockname(2)), which therefore has
 * the real one in it. Of a datagram socket that is the name its replies come from, by which
 * clients know them; so it is bound to the real name. Once bound it is ready, and its mode
 * is there from the first (fchmod(2) before bind(2)), but for bits of the umask, which are
 * added at once. */
#ifndef OST_NET_UNIX_H
#define OST_NET_UNIX_H

#include <sys/types.h>

#include "net/address.h"

enum { OST_UNIX_NAME = sizeof(((struct sockaddr_un *)0)->sun_path) };

struct ost_unix_file {
    char temporary[OST_UNIX_NAME]; /* in the same directory; empty once published, and for datagrams */
    dev_t device;
    ino_t inode;
    int directory; /* the one it is in, open: the program may change its own meanwhile */
    pid_t maker;   /* the process that made it; 0: there is none, and no directory either */
};

/* Bind a new socket, with mode (0: as the umask says). The descriptor or -errno; of a
 * datagram socket as ost_unix_publish(). */
int ost_unix_bind(struct ost_unix_file *file, const struct ostler_address *address, unsigned mode);

/* If address is a temporary name, as getsockname(2) has it, make it the real one. */
void ost_unix_restore_name(struct ostler_address *address);

/* Let it take its name. The file of a socket that is dead is replaced. -EADDRINUSE: it is
 * alive; -EEXIST: it is no socket; or another -errno. */
int ost_unix_publish(struct ost_unix_file *file, const struct ostler_address *address);

/* Remove the file, if it is ours and still the one we made. */
void ost_unix_remove(struct ost_unix_file *file, const struct ostler_address *address);

#endif
