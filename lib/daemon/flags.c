/* Reads the command line with getopt_long(3). It is checked as a whole before
 * anything is done, and nothing is opened before --ready-fd is known to be what the
 * caller gave us, and not a descriptor of our own. */
#include "daemon/flags.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ostler/address.h>

static const char address_meaning[] =
    "  ADDRESS         listen here, with the defaults of all settings; more than one will do:\n"
    "                  tcp:127.0.0.1:7007, udp:[::1]:7007, unix:/run/x.sock, unixgram:/run/y.sock\n";

static const char meanings[] = "  -c FILE         the configuration file\n"
                               "  -t              check what is given and stop\n"
                               "  -l              list handlers, mix-ins and settings\n"
                               "  -V              print the version\n"
                               "  -h              print this\n"
                               "  --ready-fd=N    write a line SERVICE ADDRESS for each bound address, then\n"
                               "                  \"ready\", to this open descriptor, and close it\n";

static const struct option long_options[] = {
    { "ready-fd", required_argument, NULL, 'r' },
    { "worker", required_argument, NULL, 'w' }, /* between a daemon and its worker; not in the usage */
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { 0 },
};

static void print_line(FILE *out, const struct ost_flags *flags)
{
    if (flags->only)
        fprintf(out, "usage: %s [-t] [--ready-fd=N] {-c FILE | ADDRESS...} | -l | -V | -h\n", flags->program);
    else
        fprintf(out, "usage: %s -c FILE [-t] [--ready-fd=N] | -l | -V | -h\n", flags->program);
}

void ost_flags_print_usage(const struct ost_flags *flags)
{
    print_line(stdout, flags);
    printf("%s%s", flags->only ? address_meaning : "", meanings);
}

static int refuse(const struct ost_flags *flags, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(const struct ost_flags *flags, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "%s: ", flags->program);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    print_line(stderr, flags);
    return -EINVAL;
}

/* A decimal number from 0 to INT_MAX, or -EINVAL. */
static int parse_descriptor(const char *text)
{
    unsigned long value;

    if (!*text || strspn(text, "0123456789") != strlen(text))
        return -EINVAL;
    errno = 0;
    value = strtoul(text, NULL, 10);
    return errno || value > INT_MAX ? -EINVAL : (int)value;
}

static int parse_ready_fd(struct ost_flags *flags, const char *text)
{
    int fd = parse_descriptor(text);
    int mode;

    if (fd < 0 || fd == STDIN_FILENO || fd == STDERR_FILENO)
        return refuse(flags, "--ready-fd needs the number of a descriptor, 1 or from 3 on, not \"%.40s\"", text);
    mode = fcntl(fd, F_GETFL);
    if (mode < 0)
        return refuse(flags, "--ready-fd=%d is not an open descriptor", fd);
    if ((mode & O_ACCMODE) == O_RDONLY)
        return refuse(flags, "--ready-fd=%d is not open for writing", fd);
    fcntl(fd, F_SETFD, FD_CLOEXEC); /* a worker would keep its end open */
    flags->ready_fd = fd;
    return 0;
}

static int parse_file(struct ost_flags *flags, const char *file)
{
    if (flags->file)
        return refuse(flags, "-c is given twice; there is one configuration file");
    flags->file = file;
    return 0;
}

/* One of -t, -l, -V, -h; of several the last one counts. */
static int set_task(struct ost_flags *flags, enum ost_task task)
{
    flags->task = task;
    return 0;
}

static int refuse_option(const struct ost_flags *flags, int option, const char *word)
{
    if (option == ':')
        return refuse(flags, "%.40s needs an argument", word);
    return refuse(flags, "there is no flag %.40s", word);
}

/* Take the option that getopt_long() returned, which stands in the argument word. */
static int take(struct ost_flags *flags, int option, const char *word)
{
    switch (option) {
    case 'c':
        return parse_file(flags, optarg);
    case 't':
        return set_task(flags, OST_TASK_CHECK);
    case 'l':
        return set_task(flags, OST_TASK_LIST);
    case 'V':
        return set_task(flags, OST_TASK_VERSION);
    case 'h':
        return set_task(flags, OST_TASK_HELP);
    case 'r':
        return parse_ready_fd(flags, optarg);
    case 'w':
        flags->orders = optarg;
        return 0;
    default:
        return refuse_option(flags, option, word);
    }
}

static int take_all(struct ost_flags *flags, int argc, char **argv)
{
    int error = 0;

    opterr = 0;
    optind = 0; /* glibc: begin anew, in a process that was here before */
    while (error == 0) {
        int at = optind > 0 ? optind : 1;
        int option = getopt_long(argc, argv, "+:c:tlVh", long_options, NULL);

        if (option < 0)
            break;
        error = take(flags, option, argv[at]);
    }
    return error;
}

static int check_addresses(const struct ost_flags *flags)
{
    for (int i = 0; i < flags->address_count; i++) {
        const char *problem = ostler_address_problem(flags->addresses[i]);

        if (problem)
            return refuse(flags, "\"%.60s\" is no address to listen on: %s", flags->addresses[i], problem);
    }
    return 0;
}

/* What follows the options. */
static int take_addresses(struct ost_flags *flags, char *const *words, int count)
{
    if (count > 0 && !flags->only)
        return refuse(flags, "\"%.40s\" is one argument too many", words[0]);
    if (count > 0 && flags->file)
        return refuse(flags, "\"%.40s\" stands beside -c FILE; give addresses or a file", words[0]);
    flags->addresses = words;
    flags->address_count = count;
    return check_addresses(flags);
}

static int check_source(const struct ost_flags *flags)
{
    bool needed = flags->task == OST_TASK_RUN || flags->task == OST_TASK_CHECK;

    if (!needed || flags->file || flags->address_count > 0)
        return 0;
    return refuse(flags, flags->only ? "-c FILE, or an address, is missing" : "-c FILE is missing");
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

int ost_flags_parse(struct ost_flags *out, int argc, char **argv, const struct ostler_service *services)
{
    struct ost_flags flags = { .ready_fd = -1, .only = services[1].name ? NULL : &services[0] };
    int error;

    flags.program = argc > 0 ? base_name(argv[0]) : "ostlerd";
    error = argc > 0 ? take_all(&flags, argc, argv) : 0;
    if (error == 0 && argc > 0)
        error = take_addresses(&flags, argv + optind, argc - optind);
    if (error == 0)
        error = check_source(&flags);
    if (error == 0)
        *out = flags;
    return error;
}
