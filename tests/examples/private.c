/* A server subclass: slots left NULL are inherited. */
#include <ostler/ostler.h>

static int greet_handle(struct ostler_stream *s)
{
    return ostler_stream_printf(s, "welcome\n");
}

static const struct ostler_stream_handler greet = { .handle = greet_handle };

static bool loopback_only(struct ostler_server *s, const struct ostler_request *r)
{
    (void)s;
    return ostler_address_is_loopback(ostler_request_peer(r));
}

static const struct ostler_server_class private_server = {
    .super = &ostler_tcp_server,
    .verify_request = loopback_only,
};

static const struct ostler_server_options server = {
    .address = "tcp:*:7009",
    .server_class = &private_server,
    .stream = &greet,
};

int main(void)
{
    return ostler_serve_forever(&server) < 0;
}
