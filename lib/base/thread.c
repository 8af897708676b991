#include "base/thread.h"

#include <signal.h>

static int create(const pthread_attr_t *attributes, void *(*run)(void *arg), void *arg)
{
    sigset_t all, before;
    pthread_t thread;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, attributes, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

int ost_thread_start(const pthread_attr_t *attributes, void *(*run)(void *arg), void *arg)
{
    pthread_attr_t detached;
    int error;

    if (attributes)
        return create(attributes, run, arg);
    error = pthread_attr_init(&detached);
    if (error != 0)
        return -error;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    error = create(&detached, run, arg);
    pthread_attr_destroy(&detached);
    return error;
}
