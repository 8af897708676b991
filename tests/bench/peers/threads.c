/* A thread for each connection, of which nobody keeps count. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

#include "peer.h"

enum { STACK = 256 * 1024 };

static void *serve(void *arg)
{
    peer_serve((int)(intptr_t)arg);
    return NULL;
}

int main(int argc, char **argv)
{
    int listener = peer_listen(argc, argv, 0);
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0)
            continue;
        errno = pthread_create(&thread, &attributes, serve, (void *)(intptr_t)fd);
        if (errno)
            fail("pthread_create");
    }
}
