/* ostler_daemon_main(): from the command line to the exit status. */
#include <ostler/daemon.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/catalogue.h"
#include "daemon/conf.h"
#include "daemon/daemon.h"
#include "daemon/flags.h"
#include "daemon/services.h"

enum { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_WRONG = 2 };

/* Descriptors 0 to 2 may be closed where we start; none of ours must become one. */
static void fill_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* The status of a task that only prints: a full disk is a failure. */
static int printed(void)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_GOOD : EXIT_FAILED;
}

static int help(const struct ost_flags *flags)
{
    ost_flags_print_usage(flags);
    return printed();
}

static int version(const struct ost_flags *flags)
{
    printf("%s (ostler %s)\n", flags->program, ostler_version());
    return printed();
}

static int list(const struct ostler_service *services)
{
    ost_catalogue_print(services);
    return printed();
}

static int check(const struct ost_flags *flags)
{
    printf("%s: ok\n", flags->file);
    return printed();
}

static int with_file(const struct ost_flags *flags, const struct ostler_service *services)
{
    struct ost_conf conf;
    int status, error = ost_conf_load(&conf, flags->file, services);

    if (error < 0)
        return error == -ENOMEM ? EXIT_FAILED : EXIT_WRONG;
    if (flags->task == OST_TASK_CHECK)
        status = check(flags);
    else
        status = ost_daemon_run(&conf, flags) < 0 ? EXIT_FAILED : EXIT_GOOD;
    ost_conf_free(&conf);
    return status;
}

static int perform(const struct ost_flags *flags, const struct ostler_service *services)
{
    switch (flags->task) {
    case OST_TASK_HELP:
        return help(flags);
    case OST_TASK_VERSION:
        return version(flags);
    case OST_TASK_LIST:
        return list(services);
    case OST_TASK_CHECK:
    case OST_TASK_RUN:
        break;
    }
    return with_file(flags, services);
}

int ostler_daemon_main(int argc, char **argv, const struct ostler_service *services)
{
    const char *problem = ost_services_problem(services);
    struct ost_flags flags;

    if (problem) {
        fprintf(stderr, "%s\n", problem);
        return EXIT_FAILED;
    }
    if (ost_flags_parse(&flags, argc, argv) < 0)
        return EXIT_WRONG;
    fill_standard_descriptors();
    return perform(&flags, services);
}
