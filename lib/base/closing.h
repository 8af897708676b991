/* Descriptors that are to be closed together: close_range(2) ends a run of them at once, where
 * close(2) would be a call for each. They are sorted as bits in a window of numbers, so that the
 * memory is small and nothing can fail; who has more than the window holds pays another call. */
#ifndef OST_BASE_CLOSING_H
#define OST_BASE_CLOSING_H

#include <stdint.h>

enum { OST_CLOSING_WORDS = 64 };

struct ost_closing {
    int keep;  /* this one stays open */
    int first; /* the number that bit 0 stands for */
    uint64_t bits[OST_CLOSING_WORDS];
};

void ost_closing_init(struct ost_closing *closing, int keep);

/* Close fd, unless it is -1, by ost_closing_end() at the latest. */
void ost_closing_add(struct ost_closing *closing, int fd);
void ost_closing_end(struct ost_closing *closing);

#endif
