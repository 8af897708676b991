/* Threads and children do not go together: a child has the locks that any thread held
 * when it was forked, and nobody who unlocks them. So a process has threads of ours
 * (threading servers, helpers that resolve names), or forking servers. Thread: any. */
#ifndef OST_BASE_KINDS_H
#define OST_BASE_KINDS_H

enum ost_kinds { OST_CHILDREN = -1, OST_THREADS = 1 };

/* One more of that kind: 0, or -EBUSY while there are any of the other. And one less. */
int ost_kinds_enter(enum ost_kinds kind);
void ost_kinds_leave(enum ost_kinds kind);

/* In a new child, which has one thread and no children: nothing is open in it. */
void ost_kinds_reset(void);

/* What is not of this generation is a parent's, or an older one's. */
unsigned ost_generation(void);

#endif
