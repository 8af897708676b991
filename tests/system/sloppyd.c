/* A daemon whose handlers break the rules of C, each in its way, when they are told a number of
 * bytes: for what AddressSanitizer has to say of fibers.
 *
 *   over     writes that many bytes into a buffer of 16 on its stack
 *   after    uses a local variable of a function that has returned, if it is a number above 16 */
#include <stdlib.h>
#include <string.h>

#include <ostler/daemon.h>
#include <ostler/ostler.h>

enum { SIZE = 16 };

static int over_handle(struct ostler_stream *s)
{
    char line[32], buffer[SIZE];
    ssize_t n;

    while ((n = ostler_stream_read_line(s, line, sizeof(line))) > 0) {
        long count = strtol(line, NULL, 10);

        for (long i = 0; i < count; i++)
            *(volatile char *)&buffer[i] = 'x';
        n = ostler_stream_write(s, "ok\n", 3);
        if (n < 0)
            break;
    }
    return (int)n;
}

static volatile char *kept;

/* Keep the address of something that is gone with the return. */
static void keep(char text)
{
    volatile char local[SIZE];

    memset((char *)local, text, sizeof(local));
    kept = local;
}

static int after_handle(struct ostler_stream *s)
{
    char line[32];
    ssize_t n;

    while ((n = ostler_stream_read_line(s, line, sizeof(line))) > 0) {
        keep(line[0]);
        if (strtol(line, NULL, 10) > SIZE)
            line[0] = kept[0];
        n = ostler_stream_write(s, "ok\n", 3);
        if (n < 0)
            break;
    }
    return (int)n;
}

static const struct ostler_stream_handler over = { .handle = over_handle };
static const struct ostler_stream_handler after = { .handle = after_handle };

static const struct ostler_service services[] = {
    { .name = "over", .stream = &over },
    { .name = "after", .stream = &after },
    { 0 },
};

int main(int argc, char **argv)
{
    return ostler_daemon_main(argc, argv, services);
}
