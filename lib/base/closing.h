/* Descriptors that are to be closed together, as bits: close_range(2) ends a run of them at once, where
 * close(2) is a call for each. Who forks says which, and the child closes them, without writing
 * to anything. */
#ifndef OST_BASE_CLOSING_H
#define OST_BASE_CLOSING_H

#include <stddef.h>
#include <stdint.h>

/* Zero is: none. */
struct ost_closing {
    uint64_t *words;
    size_t count;
    int error; /* -ENOMEM: some are missing */
};

void ost_closing_clear(struct ost_closing *closing);
void ost_closing_free(struct ost_closing *closing);

/* Add fd, unless it is -1. */
void ost_closing_add(struct ost_closing *closing, int fd);

/* Close all but keep. */
void ost_closing_close(const struct ost_closing *closing, int keep);

#endif
