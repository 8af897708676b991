/* The time protocol, RFC 868: the server sends 32 bits at once, the seconds since
 * 1900, and closes; a datagram is answered by the same four bytes. The 32 bits are full
 * on 2036-02-07 06:28:16 UTC; we go on counting from 0 then, modulo 2^32, as NTP's eras
 * do (RFC 5905, 6), so that a client that knows about what year it is stays right. */
#include "handlers.h"

/* RFC 868: "2,208,988,800 corresponds to 00:00 1 Jan 1970 GMT". */
#define FROM_1900_TO_1970 2208988800u

void time_encode(unsigned char out[4], time_t now)
{
    uint32_t seconds = (uint32_t)((uint64_t)now + FROM_1900_TO_1970);

    out[0] = (unsigned char)(seconds >> 24);
    out[1] = (unsigned char)(seconds >> 16);
    out[2] = (unsigned char)(seconds >> 8);
    out[3] = (unsigned char)seconds;
}

/* Not time(2), which may be some milliseconds late: a tick of the kernel. */
static void tell(unsigned char out[4])
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    time_encode(out, now.tv_sec);
}

static int time_handle(struct ostler_stream *s)
{
    unsigned char answer[4];

    tell(answer);
    return ostler_stream_write(s, answer, sizeof(answer));
}

static int time_on_open(struct ostler_conn *c)
{
    unsigned char answer[4];
    int r;

    tell(answer);
    r = ostler_conn_write(c, answer, sizeof(answer));
    return r < 0 ? r : ostler_conn_close(c);
}

static int time_on_datagram(struct ostler_datagram *d)
{
    unsigned char answer[4];

    tell(answer);
    return ostler_datagram_reply(d, answer, sizeof(answer));
}

static const struct ostler_stream_handler time_stream = { .handle = time_handle };
static const struct ostler_conn_handler time_conn = { .on_open = time_on_open };
static const struct ostler_datagram_handler time_datagram = { .on_datagram = time_on_datagram };

const struct ostler_service time_service = {
    .name = "time",
    .summary = "sends the seconds since 1900 and closes (RFC 868)",
    .stream = &time_stream,
    .conn = &time_conn,
    .datagram = &time_datagram,
    .server_class = &guarded_server,
};
