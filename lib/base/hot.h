/* What is called for each request stands together in memory, apart from the rest: a child process has none of
 * its program's pages until it has touched them, and each group of 16 pages costs a fault then; and after a
 * system call the caches have few lines of ours. */
#ifndef OST_BASE_HOT_H
#define OST_BASE_HOT_H

#define OST_HOT __attribute__((hot))

#endif
