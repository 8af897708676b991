/* The command line. */
#ifndef OST_DAEMON_FLAGS_H
#define OST_DAEMON_FLAGS_H

#include <ostler/daemon.h>

enum ost_task {
    OST_TASK_RUN,
    OST_TASK_CHECK,   /* -t */
    OST_TASK_LIST,    /* -l */
    OST_TASK_VERSION, /* -V */
    OST_TASK_HELP     /* -h */
};

/* There is a file or there are addresses, when the task needs a configuration. */
struct ost_flags {
    enum ost_task task;
    const char *program; /* its name, without its directory */
    const char *file;
    char *const *addresses; /* in place of a file */
    int address_count;
    const struct ostler_service *only; /* the one that takes addresses; NULL: there are several */
    int ready_fd;                      /* -1: none */
    const char *orders;                /* of a worker, from its daemon; see orders.h */
};

/* For a program that offers services. 0, or -EINVAL after what is wrong, and the usage,
 * were told on standard error. */
int ost_flags_parse(struct ost_flags *out, int argc, char **argv, const struct ostler_service *services);

/* What -h prints, to standard output. */
void ost_flags_print_usage(const struct ost_flags *flags);

#endif
