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
#include "daemon/orders.h"
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
    printf("%s: ok\n", flags->file ? flags->file : flags->program);
    return printed();
}

/* A worker does not do what the file says, but the part of it that it is told. */
static int run(struct ost_conf *conf, const struct ost_flags *flags)
{
    int error = flags->orders ? ost_orders_apply(conf, flags->orders) : 0;

    if (error == -EINVAL) {
        fprintf(stderr, "%s: --worker is for the daemon's own use, and not with this file\n", flags->program);
        return EXIT_WRONG;
    }
    if (error == 0)
        error = ost_daemon_run(conf, flags);
    return error < 0 ? EXIT_FAILED : EXIT_GOOD;
}

static int with_configuration(const struct ost_flags *flags, const struct ostler_service *services)
{
    struct ost_conf conf;
    int status, error = ost_conf_load(&conf, flags, services);

    if (error < 0)
        return error == -ENOMEM ? EXIT_FAILED : EXIT_WRONG;
    status = flags->task == OST_TASK_CHECK ? check(flags) : run(&conf, flags);
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
    return with_configuration(flags, services);
}

int ostler_daemon_main(int argc, char **argv, const struct ostler_service *services)
{
    struct ost_flags flags;

    if (!ost_services_are_sound(services))
        return EXIT_FAILED;
    if (ost_flags_parse(&flags, argc, argv, services) < 0)
        return EXIT_WRONG;
    fill_standard_descriptors();
    return perform(&flags, services);
}
