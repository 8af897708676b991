/* What the reference servers share: each is an echo server, PROGRAM [VARIANT] ADDRESS, written as one would
 * by hand, with nothing in it that its kind does not need. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>

#include "endpoint.h"

enum { PEER_BUFFER = 65536 }; /* bytes that one recv may bring */

/* Bind the last argument, and listen unless it is for datagrams; say where on standard output, in the words of
 * ostler's --ready-fd, and close that. */
int peer_listen(int argc, char **argv, int flags);

/* Is the first argument this word? */
bool peer_variant(int argc, char **argv, const char *word);

/* An answer may leave in parts, and TCP must not hold the last one back. */
void peer_send_at_once(int fd);

/* Echo until the peer ends, blocking. */
void peer_serve(int fd);

/* What a socket did not take yet, of one connection. */
struct backlog {
    char *data;
    size_t size;
};

/* Send as much as the socket takes, behind what waits already; the rest waits. -1: the connection is broken. */
int backlog_send(struct backlog *backlog, int fd, const char *data, size_t size);

#endif
