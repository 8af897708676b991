/* The handlers that come with ostler, each as the entry of a services table: one file
 * a protocol, with all the faces it has. ostlerd takes all of them, echod and the
 * other small programs one each. */
#ifndef SERVERS_HANDLERS_H
#define SERVERS_HANDLERS_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <ostler/daemon.h>
#include <ostler/ostler.h>

extern const struct ostler_service echo_service;    /* echo/echo.c, RFC 862 */
extern const struct ostler_service discard_service; /* discard/discard.c, RFC 863 */
extern const struct ostler_service chargen_service; /* chargen/chargen.c, RFC 864 */
extern const struct ostler_service daytime_service; /* daytime/daytime.c, RFC 867 */
extern const struct ostler_service time_service;    /* time/time.c, RFC 868 */

/* The server class of all of them: answers no datagram that may come from a service
 * (guard.c). */
extern const struct ostler_server_class guarded_server;

/* The first n bytes that a client of chargen gets. */
void chargen_fill(char *out, size_t n);

/* The line of daytime, and its length. */
enum { DAYTIME_SIZE = 64 };
size_t daytime_print(char out[DAYTIME_SIZE], time_t now);

/* Seconds since 1900-01-01 00:00 UTC, modulo 2^32, in the protocol's byte order. */
void time_encode(unsigned char out[4], time_t now);

#endif
