/* An echo server that stops gracefully on SIGTERM or Ctrl-C: clients get what they have asked for, then it ends. */
#include <signal.h>

#include <ostler/ostler.h>

static ssize_t echo_on_data(struct ostler_conn *c, const void *data, size_t n)
{
    int r = ostler_conn_write(c, data, n);

    return r < 0 ? r : (ssize_t)n;
}

static const struct ostler_conn_handler echo = { .on_data = echo_on_data };

static void stop(void *reactor)
{
    ostler_reactor_stop(reactor);
}

int main(void)
{
    struct ostler_server_options options = { .address = "tcp:127.0.0.1:7008", .conn = &echo };
    struct ostler_signal *terminate = NULL, *interrupt = NULL;
    struct ostler_server *server = NULL;
    struct ostler_reactor *reactor;
    int r = ostler_reactor_new(&reactor, NULL);

    if (r < 0)
        return 1;
    r = ostler_signal_new(&terminate, reactor, SIGTERM, stop, reactor);
    if (r == 0)
        r = ostler_signal_new(&interrupt, reactor, SIGINT, stop, reactor);
    if (r == 0)
        r = ostler_server_new(&server, &options, reactor);
    if (r == 0)
        r = ostler_server_serve_forever(server); /* until it has stopped */
    ostler_server_free(server);
    ostler_signal_free(interrupt);
    ostler_signal_free(terminate);
    ostler_reactor_free(reactor);
    return r < 0;
}
