/* The kernel's limit of memory mappings in a process, vm.max_map_count. */
#ifndef OST_MIXIN_MAPPINGS_H
#define OST_MIXIN_MAPPINGS_H

#include <stddef.h>

#include <ostler/log.h>

/* Say so in log if server, whose requests' stacks take that many mappings, may run into
 * the limit. */
void ost_mappings_check(size_t mappings, int max_requests, const char *server, const struct ostler_log *log);

#endif
