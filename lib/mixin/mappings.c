#include "mixin/mappings.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { OTHERS = 1000 }; /* what the rest of a process has, generously */

/* 0: unknown. */
static size_t read_limit(void)
{
    int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    char text[32] = "";
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    return n > 0 ? strtoul(text, NULL, 10) : 0;
}

void ost_mappings_check(size_t mappings, int max_requests, const char *server, const struct ostler_log *log)
{
    size_t limit = read_limit();

    if (limit == 0 || mappings + OTHERS <= limit)
        return;
    ostler_log_write(log, OSTLER_LOG_WARNING,
                     "%s: the stacks of max_requests = %d need up to %zu memory mappings, and vm.max_map_count allows "
                     "the process %zu: beyond it requests fail; sysctl vm.max_map_count=%zu would do",
                     server, max_requests, mappings, limit, mappings + OTHERS);
}
