/* The command line. */
#ifndef OST_DAEMON_FLAGS_H
#define OST_DAEMON_FLAGS_H

enum ost_task {
    OST_TASK_RUN,
    OST_TASK_CHECK,   /* -t */
    OST_TASK_LIST,    /* -l */
    OST_TASK_VERSION, /* -V */
    OST_TASK_HELP     /* -h */
};

struct ost_flags {
    enum ost_task task;
    const char *program; /* its name, without its directory */
    const char *file;
    int ready_fd; /* -1: none */
};

/* 0, or -EINVAL after what is wrong, and the usage, were told on standard error. */
int ost_flags_parse(struct ost_flags *out, int argc, char **argv);

/* What -h prints, to standard output. */
void ost_flags_print_usage(const struct ost_flags *flags);

#endif
