/* The daytime protocol, RFC 867: the server sends one line for people and closes,
 *
 *   Sunday, November 22, 2026 21:05:33-UTC
 *
 * which is the first of the two forms that the RFC suggests, always in UTC and English,
 * whatever the locale and time zone of the program. */
#include <stdio.h>

#include "handlers.h"

static const char *const days[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                    "Thursday", "Friday", "Saturday" };
static const char *const months[] = { "January", "February", "March",     "April",   "May",      "June",
                                      "July",    "August",   "September", "October", "November", "December" };

size_t daytime_print(char out[DAYTIME_SIZE], time_t now)
{
    struct tm tm;

    gmtime_r(&now, &tm);
    return (size_t)snprintf(out, DAYTIME_SIZE, "%s, %s %d, %d %02d:%02d:%02d-UTC\r\n", days[tm.tm_wday],
                            months[tm.tm_mon], tm.tm_mday, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* Not time(2), which may be some milliseconds late: a tick of the kernel. */
static size_t tell(char out[DAYTIME_SIZE])
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return daytime_print(out, now.tv_sec);
}

static int daytime_handle(struct ostler_stream *s)
{
    char line[DAYTIME_SIZE];

    return ostler_stream_write(s, line, tell(line));
}

static int daytime_on_open(struct ostler_conn *c)
{
    char line[DAYTIME_SIZE];
    int r = ostler_conn_write(c, line, tell(line));

    return r < 0 ? r : ostler_conn_close(c);
}

static int daytime_on_datagram(struct ostler_datagram *d)
{
    char line[DAYTIME_SIZE];

    return ostler_datagram_reply(d, line, tell(line));
}

static const struct ostler_stream_handler daytime_stream = { .handle = daytime_handle };
static const struct ostler_conn_handler daytime_conn = { .on_open = daytime_on_open };
static const struct ostler_datagram_handler daytime_datagram = { .on_datagram = daytime_on_datagram };

const struct ostler_service daytime_service = {
    .name = "daytime",
    .summary = "sends the date and time as a line and closes (RFC 867)",
    .stream = &daytime_stream,
    .conn = &daytime_conn,
    .datagram = &daytime_datagram,
    .server_class = &guarded_server,
};
