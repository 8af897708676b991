/* Every way to serve straight-line code: {inline, threading, forking, fibers} times {TCP, UDP,
 * Unix stream, Unix datagram}. A test that is looped over 0 … MATRIX runs once for each. */
#ifndef OSTLER_TESTS_MATRIX_H
#define OSTLER_TESTS_MATRIX_H

#include "support/harness.h"

enum { MIXINS = 4, KINDS = 4, MATRIX = MIXINS * KINDS };

struct matrix_row {
    const char *word; /* of the mix-in */
    const struct ostler_mixin *mixin;
    const struct ostler_server_class *server_class;
    const char *address; /* a Unix one lies in the test's folder */
    int family, type;
};

struct matrix_row matrix_row_at(int index);

/* A new directory to work in; and its end: false if something was left in it. */
void matrix_enter(void);
bool matrix_leave(void);

/* A client of server's first address: a socket that is connected to it, with a name of its
 * own where one is needed to be answered. */
int matrix_connect(const struct ostler_server *server);

/* Is answer what comes back when question is sent, on a connection or as datagrams? */
bool matrix_ask(int fd, const char *question, const char *answer);

/* What handlers tell, from whatever thread or process they run in; zeroed by matrix_enter(). */
struct matrix_notes {
    struct harness_event handled, failed, shut, closed, verified, timed_out, set_up, finished, go;
    int error;
    pid_t process;
    pid_t thread;
};

struct matrix_notes *matrix_seen(void);

#endif
