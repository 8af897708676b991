/* A child process for each connection, reaped when SIGCHLD comes. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer.h"

static void reap(int number)
{
    int error = errno;

    (void)number;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    errno = error;
}

static void serve(int listener, int fd)
{
    pid_t child = fork();

    if (child < 0)
        fail("fork");
    if (child == 0) {
        close(listener);
        peer_serve(fd);
        _exit(0);
    }
    close(fd);
}

int main(int argc, char **argv)
{
    int listener = peer_listen(argc, argv, 0);
    struct sigaction action = { .sa_handler = reap, .sa_flags = SA_RESTART };

    sigaction(SIGCHLD, &action, NULL);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0)
            serve(listener, fd);
    }
}
