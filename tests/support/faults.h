/* A system that fails once: the left-th of the calls that a test has wrapped (linker, --wrap) returns its
 * error, and is not made. Included by one file of a test; the calls here are those that
 * OSTLER_FAULTS in tests/CMakeLists.txt names, and a test may add its own by WRAP(). */
#ifndef OSTLER_TESTS_FAULTS_H
#define OSTLER_TESTS_FAULTS_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <event2/event.h>

static _Thread_local int left;   /* calls until one fails; 0: none will */
static _Thread_local int failed; /* the errno it failed with; 0: none has */

static bool fails(int error)
{
    if (left == 0 || --left > 0)
        return false;
    failed = errno = error;
    return true;
}

#define WRAP(type, name, parameters, arguments, error, result)                                                         \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        return fails(error) ? (result) : __real_##name arguments;                                                      \
    }

WRAP(int, socket, (int a, int b, int c), (a, b, c), EMFILE, -1)
WRAP(int, bind, (int a, const struct sockaddr *b, socklen_t c), (a, b, c), EADDRNOTAVAIL, -1)
WRAP(int, listen, (int a, int b), (a, b), EADDRINUSE, -1)
WRAP(int, connect, (int a, const struct sockaddr *b, socklen_t c), (a, b, c), ENETUNREACH, -1)
WRAP(int, getsockopt, (int a, int b, int c, void *d, socklen_t *e), (a, b, c, d, e), ENOBUFS, -1)
WRAP(int, setsockopt, (int a, int b, int c, const void *d, socklen_t e), (a, b, c, d, e), EDOM, -1)
WRAP(int, getsockname, (int a, struct sockaddr *b, socklen_t *c), (a, b, c), ENOBUFS, -1)
WRAP(ssize_t, recv, (int a, void *b, size_t c, int d), (a, b, c, d), ECONNRESET, -1)
WRAP(ssize_t, send, (int a, const void *b, size_t c, int d), (a, b, c, d), ECONNRESET, -1)
WRAP(ssize_t, sendmsg, (int a, const struct msghdr *b, int c), (a, b, c), ENOBUFS, -1)
WRAP(int, eventfd, (unsigned a, int b), (a, b), EMFILE, -1)
WRAP(void *, malloc, (size_t a), (a), ENOMEM, NULL)
WRAP(void *, calloc, (size_t a, size_t b), (a, b), ENOMEM, NULL)
WRAP(struct event *, event_new,
     (struct event_base * a, evutil_socket_t b, short c, event_callback_fn d, void *e), (a, b, c, d, e), ENOMEM, NULL)
WRAP(int, event_add, (struct event * a, const struct timeval *b), (a, b), ENOSPC, -1)

int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_fcntl(int fd, int command, long argument);
int __wrap_fcntl(int fd, int command, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    void *argument;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    return fails(ENOTTY) ? -1 : __real_ioctl(fd, request, argument);
}

int __wrap_fcntl(int fd, int command, ...)
{
    va_list arguments;
    long argument;

    va_start(arguments, command);
    argument = va_arg(arguments, long);
    va_end(arguments);
    return fails(EMFILE) ? -1 : __real_fcntl(fd, command, argument);
}

#endif
