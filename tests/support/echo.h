/* The handler with which suites of servers and of datagrams serve. */
#ifndef OSTLER_TESTS_ECHO_H
#define OSTLER_TESTS_ECHO_H

#include <ostler/ostler.h>

static inline int echo_handle(struct ostler_stream *s)
{
    char buffer[4096];
    ssize_t n;

    while ((n = ostler_stream_read(s, buffer, sizeof(buffer))) > 0) {
        int r = ostler_stream_write(s, buffer, (size_t)n);

        if (r < 0)
            return r;
    }
    return (int)n;
}

static const struct ostler_stream_handler echo = { .handle = echo_handle };

#endif
