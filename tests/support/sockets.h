/* Socket objects made for a test, on its thread, whose time-out is the harness' deadline. What
 * cannot be made fails the test. */
#ifndef OSTLER_TESTS_SOCKETS_H
#define OSTLER_TESTS_SOCKETS_H

#include "support/harness.h"

/* A literal and its length. */
#define TEXT(literal) (literal), sizeof(literal) - 1

enum { STREAM_KINDS = 3, SOCKET_KINDS = 6 };

/* The kinds there are, those of streams first. */
extern const struct socket_kind {
    int family, type, protocol;
    const char *address;
} socket_kinds[SOCKET_KINDS];

struct pair {
    struct ostler_socket *a, *b;
};

struct ostler_socket *make_socket(int family, int type);

/* One of that kind, bound to an address of its own, which goes to *address unless that is NULL. */
struct ostler_socket *make_bound(int kind, struct ostler_address **address);
struct ostler_socket *make_listener(int kind, struct ostler_address **address);

/* Two ends: of a socketpair, and of a connection of that kind. */
struct pair make_pair(int type);
struct pair make_connected(int kind);
void free_pair(struct pair pair);

struct ostler_address *parse_address(const char *text);
struct ostler_address *blank_address(void);

/* Valid until it is called again. */
const char *text_of(const struct ostler_address *address);

/* Is that what s receives next? */
bool receives(struct ostler_socket *s, const char *text);

bool is_close_on_exec(int fd);
bool is_open(int fd);

#endif
