/* The file of a Unix socket. A socket is bound under a temporary name beside the one that
 * is wanted, gets its mode there, and takes that name when it is ready, in one step: so
 * clients never meet one that refuses them, or whose mode is not yet right. */
#ifndef OST_NET_UNIX_H
#define OST_NET_UNIX_H

#include <sys/types.h>

#include "net/address.h"

struct ost_unix_file {
    char temporary[16]; /* in the same directory; empty once published */
    dev_t device;
    ino_t inode;
    pid_t maker; /* the process that made it; 0: there is none */
};

/* Bind a new socket under a temporary name, with mode (0: as the umask says). The
 * descriptor or -errno. */
int ost_unix_bind(struct ost_unix_file *file, const struct ostler_address *address, unsigned mode);

/* Let it take its name. The file of a socket that is dead is replaced. -EADDRINUSE: it is
 * alive; -EEXIST: it is no socket; or another -errno. */
int ost_unix_publish(struct ost_unix_file *file, const struct ostler_address *address);

/* Remove the file, if it is ours and still the one we made. */
void ost_unix_remove(struct ost_unix_file *file, const struct ostler_address *address);

#endif
