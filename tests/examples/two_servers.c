/* Two servers of different kinds on one reactor: one greets in straight-line code on
 * fibers, the other is evented and stops the program on "quit". */
#include <string.h>

#include <ostler/ostler.h>

static int greet_handle(struct ostler_stream *s)
{
    unsigned long *greeted = ostler_server_user(ostler_stream_server(s));

    return ostler_stream_printf(s, "hello, number %lu\n", ++*greeted);
}

static const struct ostler_stream_handler greet = { .handle = greet_handle };

static ssize_t control_on_data(struct ostler_conn *c, const void *data, size_t n)
{
    struct ostler_reactor *reactor = ostler_server_reactor(ostler_conn_server(c));
    const char *end = memchr(data, '\n', n);
    int r;

    if (!end)
        return 0; /* the rest of the line comes with more */
    if ((size_t)(end - (const char *)data) == 4 && memcmp(data, "quit", 4) == 0) {
        r = ostler_conn_write(c, "bye\n", 4);
        ostler_reactor_stop(reactor); /* gracefully: both servers, all connections */
    } else {
        r = ostler_conn_write(c, "what?\n", 6);
    }
    return r < 0 ? r : end + 1 - (const char *)data;
}

static const struct ostler_conn_handler control = { .on_data = control_on_data };

static int run(struct ostler_reactor *reactor, const struct ostler_server_options *greeter_options,
               const struct ostler_server_options *control_options)
{
    struct ostler_server *greeter = NULL, *controller = NULL;
    int r = ostler_server_new(&greeter, greeter_options, reactor);

    if (r == 0)
        r = ostler_server_new(&controller, control_options, reactor);
    if (r == 0)
        r = ostler_server_start(greeter);
    if (r == 0)
        r = ostler_server_start(controller);
    if (r == 0)
        r = ostler_reactor_run(reactor);
    ostler_server_free(controller);
    ostler_server_free(greeter);
    return r;
}

int main(void)
{
    unsigned long greeted = 0;
    struct ostler_server_options greeter_options = {
        .address = "tcp:127.0.0.1:7010", .stream = &greet, .mixin = &ostler_fibers, .user = &greeted,
    };
    struct ostler_server_options control_options = { .address = "tcp:127.0.0.1:7011", .conn = &control };
    struct ostler_reactor *reactor;
    int r = ostler_reactor_new(&reactor, NULL);

    if (r == 0) {
        r = run(reactor, &greeter_options, &control_options);
        ostler_reactor_free(reactor);
    }
    return r < 0;
}
