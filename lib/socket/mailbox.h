/* Mailboxes, for those who wait for several things. */
#ifndef OST_SOCKET_MAILBOX_H
#define OST_SOCKET_MAILBOX_H

#include <ostler/mailbox.h>

#include "request/wait.h"

/* One that waits at a mailbox: for a message (OST_READ), for room (OST_WRITE), or both. */
struct ost_visit {
    struct ost_list node;
    struct ost_waiter *waiter;
    unsigned what;
    bool called; /* something came, and it was woken for that */
};

/* 0, or why it cannot be used: -EPERM: in a child, which has but a copy of it. */
int ost_mailbox_check(const struct ostler_mailbox *mailbox);

/* What of it is ready. */
unsigned ost_mailbox_ready(struct ostler_mailbox *mailbox);

/* Let waiter be woken when some of what is ready; only one is, for each message or room for
 * one. What is still there when it leaves is the next one's. */
void ost_mailbox_enter(struct ostler_mailbox *mailbox, struct ost_visit *visit, unsigned what,
                       struct ost_waiter *waiter);
void ost_mailbox_leave(struct ostler_mailbox *mailbox, struct ost_visit *visit);

#endif
