/* Datagrams: the daytime protocol (RFC 867) in one callback. */
#include <time.h>

#include <ostler/ostler.h>

static int daytime_on_datagram(struct ostler_datagram *d)
{
    char text[32];
    struct tm tm;
    time_t now = time(NULL);
    size_t n = strftime(text, sizeof(text), "%FT%TZ\r\n", gmtime_r(&now, &tm));

    return ostler_datagram_reply(d, text, n);
}

static const struct ostler_datagram_handler daytime = { .on_datagram = daytime_on_datagram };

static const struct ostler_server_options server = {
    .address = "udp:[::]:7013",
    .datagram = &daytime,
};

int main(void)
{
    return ostler_serve_forever(&server) < 0;
}
