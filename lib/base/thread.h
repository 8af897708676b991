/* Threads of the library's own. */
#ifndef OST_BASE_THREAD_H
#define OST_BASE_THREAD_H

#include <pthread.h>

/* Start a thread with all signals blocked: they are the program's. attributes NULL: it is detached. 0 or
 * -errno. */
int ost_thread_start(const pthread_attr_t *attributes, void *(*run)(void *arg), void *arg);

#endif
