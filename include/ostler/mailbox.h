/** A mailbox: a bounded queue of messages, by which handlers (and other threads) talk to
 *  each other. A message is some bytes, copied in and copied out; to hand over something
 *  larger, send a pointer to it.
 *
 *  Thread: any, and the same under fibers, threads and inline. Each message goes to one
 *  receiver, in the order of sending; of those that wait for messages, or for room, the
 *  first comes first (but who comes just then may be faster). A child process has copies of
 *  its parent's mailboxes that reach nobody: in a handler there everything is -EPERM.
 *
 *  With a time-out of 0 neither call ever waits, nor lets another fiber run: it is allowed in
 *  a callback on the reactor (where any other is -EDEADLK), under a lock of yours, and after
 *  a cancellation. */
#ifndef OSTLER_MAILBOX_H
#define OSTLER_MAILBOX_H

#include <stddef.h>
#include <sys/types.h>

#include <ostler/here.h>
#include <ostler/version.h>

OSTLER_BEGIN

struct ostler_mailbox;

/** What becomes of a message that finds the mailbox full. */
enum ostler_mailbox_full {
    OSTLER_FULL_WAIT,       /* its sender waits for room, as long as its time-out */
    OSTLER_FULL_DROP_NEWEST, /* it is dropped, and counted */
    OSTLER_FULL_DROP_OLDEST /* the oldest is dropped for it, and counted */
};

/** Zero is the default. Copied. */
struct ostler_mailbox_options {
    size_t capacity;               /* messages; 0: 64 */
    size_t max_size;               /* bytes of one; 0: 64 KiB */
    enum ostler_mailbox_full full; /* OSTLER_FULL_WAIT */
};

/** Make one; options NULL: the defaults. -EINVAL, -ENOMEM. */
OSTLER_API int ostler_mailbox_new(struct ostler_mailbox **out, const struct ostler_mailbox_options *options);

/** Free it, and the messages that are left. Nobody may use it any more, or wait for it:
 *  take it out of where others find it, under the lock that they look under. NULL is fine. */
OSTLER_API void ostler_mailbox_free(struct ostler_mailbox *mailbox);

/** Put a copy of size (0 or more) bytes in. When it is full, and its senders wait: at most
 *  timeout_ms (0: not at all; OSTLER_NEVER: no limit). 0, also for a message that was
 *  dropped; -ETIMEDOUT: there was no room in time (0: at once); -EMSGSIZE: more than
 *  max_size; -EPIPE: it was closed; -ENOMEM, -EINVAL; -ECANCELED and -EDEADLK as in
 *  <ostler/wait.h>. */
OSTLER_API int ostler_mailbox_send(struct ostler_mailbox *mailbox, const void *data, size_t size, long timeout_ms);

/** Take the oldest message out, into buffer. Return its size; -EMSGSIZE: buffer is too
 *  small, and the message stays (max_size is always enough); -ETIMEDOUT: none came in
 *  timeout_ms (as above); -EPIPE: the mailbox was closed, and is empty; the others as for sending. */
OSTLER_API ssize_t ostler_mailbox_receive(struct ostler_mailbox *mailbox, void *buffer, size_t size, long timeout_ms);

/** No message may be sent any more; those that are there can still be received. Everybody
 *  who waits is woken. 0, also if it was closed; -EINVAL, -EPERM. */
OSTLER_API int ostler_mailbox_close(struct ostler_mailbox *mailbox);

/** How many messages are in it, and how many were dropped so far. */
OSTLER_API size_t ostler_mailbox_count(struct ostler_mailbox *mailbox);
OSTLER_API unsigned long long ostler_mailbox_dropped(struct ostler_mailbox *mailbox);

/* Each from here: see <ostler/here.h>. */
#ifndef OSTLER_NO_HERE
#define ostler_mailbox_send(...) OSTLER_FROM_HERE(ostler_mailbox_send, __VA_ARGS__)
#define ostler_mailbox_receive(...) OSTLER_FROM_HERE(ostler_mailbox_receive, __VA_ARGS__)
#endif

OSTLER_END

#endif
