/* The same server, evented: callbacks on the reactor. */
#include <ostler/ostler.h>

static ssize_t echo_on_data(struct ostler_conn *c, const void *data, size_t n)
{
    int r = ostler_conn_write(c, data, n);

    return r < 0 ? r : (ssize_t)n;
}

static const struct ostler_conn_handler echo = { .on_data = echo_on_data };

static const struct ostler_server_options server = {
    .address = "tcp:[::]:7007",
    .conn = &echo,
};

int main(void)
{
    return ostler_serve_forever(&server) < 0;
}
