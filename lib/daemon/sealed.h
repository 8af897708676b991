/* A text in memory that other processes can read, and nobody can change. */
#ifndef OST_DAEMON_SEALED_H
#define OST_DAEMON_SEALED_H

#include <stddef.h>

/* *out is its descriptor, close-on-exec. 0 or -errno. */
int ost_sealed_new(int *out, const char *text, size_t size);

#endif
