/* Actors: functions that wait, played by a handler under some mix-in, or by a thread of the
 * program. What they share with the test lies in memory that children share, too.
 *
 *    stage_open(&stage, _i, NULL);
 *    actor = actor_start(&stage, play, mailbox);
 *    … let it play …
 *    ck_assert_int_eq(actor_join(actor), 0);       its result
 *    ck_assert_int_eq(stage_close(&stage), 0);
 *
 * Inline one plays at a time. */
#ifndef OSTLER_TESTS_ACTOR_H
#define OSTLER_TESTS_ACTOR_H

#include "support/harness.h"

enum { INLINE, FIBERS, THREADING, THREAD, FORKING, WAYS };

struct stage {
    int way;
    struct harness_server h; /* unless the way is THREAD */
};

struct actor {
    int (*play)(struct actor *self);
    void *arg;
    struct stage *stage;
    struct ostler_stream *stream; /* its own; NULL: it is a thread */
    struct ostler_request_ref id;
    int client; /* the other end of its stream, or -1 */
    pthread_t thread;
    struct harness_event began, noted, ended; /* noted is play's */
    long note[4];                             /* likewise */
    int result;
};

/* A server whose handlers play, or nothing for THREAD. more: further options, or NULL. Asserts. */
void stage_open(struct stage *stage, int way, const struct ostler_server_options *more);
int stage_close(struct stage *stage);

/* Let play run. NULL: that failed. */
struct actor *actor_start(struct stage *stage, int (*play)(struct actor *self), void *arg);

/* Wait until it has ended, free it: what play gave, or -ETIME. */
int actor_join(struct actor *actor);

#endif
