/* load MODE ADDRESS [-n CONNECTIONS] [-a ACTIVE] [-s SIZE] [-d DEPTH] [-t SECONDS] [-r REQUESTS]
 *
 * MODE is crowd, rate or datagrams. See load.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* end is the time of the latest wake-up: a look at the clock for each would be many. */
bool load_may_start(struct load *load)
{
    if (load->requests ? load->started >= load->requests : load->end - load->begin >= load->seconds)
        return false;
    load->started++;
    return true;
}

static void report(const struct load *load, double cpu)
{
    printf("{\"requests\": %llu, \"seconds\": %.6f, \"cpu\": %.6f, \"lost\": %llu}\n",
           (unsigned long long)load->answered, load->end - load->begin, cpu, (unsigned long long)load->lost);
}

void load_serve(struct load *load, void (*work)(void *), void *mode)
{
    char line[16];

    puts("ready");
    while (fgets(line, sizeof(line), stdin)) {
        double before = cpu_seconds();

        load->started = load->answered = load->lost = 0;
        load->begin = load->end = now();
        work(mode);
        report(load, cpu_seconds() - before);
    }
}

static void read_options(struct load *load, int argc, char **argv)
{
    int option;

    load->active = (unsigned)-1;
    while ((option = getopt(argc, argv, "n:a:s:d:t:r:")) != -1) {
        switch (option) {
        case 'n': load->connections = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'a': load->active = (unsigned)strtoul(optarg, NULL, 10); break;
        case 's': load->size = strtoul(optarg, NULL, 10); break;
        case 'd': load->depth = (unsigned)strtoul(optarg, NULL, 10); break;
        case 't': load->seconds = strtod(optarg, NULL); break;
        case 'r': load->requests = strtoull(optarg, NULL, 10); break;
        default: exit(2);
        }
    }
    if (load->active > load->connections)
        load->active = load->connections;
}

int main(int argc, char **argv)
{
    struct load load = { .connections = 1, .size = 64, .depth = 1, .seconds = 1 };

    read_options(&load, argc, argv);
    if (argc - optind != 2 || load.size == 0 || load.size > PATTERN_PERIOD) {
        fprintf(stderr, "usage: load [OPTIONS] {crowd|rate|datagrams} ADDRESS\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    endpoint_parse(&load.endpoint, argv[optind + 1]);
    pattern_make();
    if (strcmp(argv[optind], "rate") == 0)
        rate_run(&load);
    else if (strcmp(argv[optind], "datagrams") == 0)
        datagrams_run(&load);
    else
        crowd_run(&load);
    return 0;
}
