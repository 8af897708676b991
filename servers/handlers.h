/* The handlers that come with ostlerd, each with the faces it has. */
#ifndef SERVERS_HANDLERS_H
#define SERVERS_HANDLERS_H

#include <stdint.h>
#include <time.h>

#include <ostler/ostler.h>

/* echo/echo.c, RFC 862 */
extern const struct ostler_stream_handler echo_stream;
extern const struct ostler_conn_handler echo_conn;

/* time/time.c, RFC 868 */
extern const struct ostler_stream_handler time_stream;
extern const struct ostler_conn_handler time_conn;

/* Seconds since 1900-01-01 00:00 UTC, modulo 2^32, in the protocol's byte order. */
void time_encode(unsigned char out[4], time_t now);

#endif
