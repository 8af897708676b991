/* sendfile(2) to a socket. It knows neither MSG_NOSIGNAL nor MSG_DONTWAIT: the SIGPIPE that it
 * raises in the calling thread is taken off that again, and the blocking mode is the caller's matter. */
#include "net/socket.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <time.h>

ssize_t ost_socket_send_file(int fd, int file, off_t *offset, size_t n)
{
    const struct timespec at_once = { .tv_sec = 0 };
    sigset_t broken_pipe, blocked, pending;
    ssize_t sent;

    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, &blocked);
    do
        sent = sendfile(fd, file, offset, n);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        sent = -errno;
    if (!sigismember(&pending, SIGPIPE))
        sigtimedwait(&broken_pipe, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &blocked, NULL);
    return sent;
}
