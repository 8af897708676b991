/* Threads and children do not go together: a child has the locks that any thread held
 * when it was forked, and nobody who unlocks them. So a process has mix-ins of one kind
 * open, or of the other. Thread: any. */
#ifndef OST_MIXIN_KINDS_H
#define OST_MIXIN_KINDS_H

#include <ostler/server.h>

enum ost_mixin_kind { OST_CHILDREN = -1, OST_THREADS = 1 };

/* A mix-in of that kind opens: 0, or -EBUSY and a sentence in log. And it closes. */
int ost_mixin_enter(enum ost_mixin_kind kind, const char *server, const struct ostler_log *log);
void ost_mixin_leave(enum ost_mixin_kind kind);

#endif
