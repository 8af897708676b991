/* A daemon of one's own, for tests: the greeter of the README, with settings of all four
 * types, and two handlers that behave badly.
 *
 *   greet    says what its settings are, and ends
 *   hold     evented: never returns to the reactor once a byte has come
 *   deaf     straight-line: does not notice that it is cut off */
#include <poll.h>
#include <stdbool.h>

#include <ostler/daemon.h>
#include <ostler/ostler.h>

struct greeter { /* one per service in the file */
    const char *greeting;
    long limit;
    double pause;
    bool loud;
};

static const struct ostler_setting greeter_settings[] = {
    OSTLER_SETTING_STRING(struct greeter, greeting, "hello"),
    OSTLER_SETTING_LONG(struct greeter, limit, 10),
    OSTLER_SETTING_DOUBLE(struct greeter, pause, 0.5),
    OSTLER_SETTING_BOOL(struct greeter, loud, false),
    { 0 },
};

static int greet_handle(struct ostler_stream *s)
{
    const struct greeter *self = ostler_server_user(ostler_stream_server(s));

    return ostler_stream_printf(s, "%s %ld %g %s\n", self->greeting, self->limit, self->pause,
                                self->loud ? "loud" : "low");
}

static void wait_for_ever(void)
{
    for (;;)
        poll(NULL, 0, -1);
}

static ssize_t hold_on_data(struct ostler_conn *c, const void *data, size_t n)
{
    (void)data;
    ostler_log_write(ostler_server_log(ostler_conn_server(c)), OSTLER_LOG_INFO, "holding the loop");
    wait_for_ever();
    return (ssize_t)n;
}

static int deaf_handle(struct ostler_stream *s)
{
    int r = ostler_stream_write(s, "deaf\n", 5);

    wait_for_ever();
    return r;
}

static const struct ostler_stream_handler greet = { .handle = greet_handle };
static const struct ostler_conn_handler hold = { .on_data = hold_on_data };
static const struct ostler_stream_handler deaf = { .handle = deaf_handle };

static const struct ostler_service services[] = {
    { .name = "greet",
      .summary = "says what its settings are",
      .stream = &greet,
      .user_size = sizeof(struct greeter),
      .settings = greeter_settings },
    { .name = "hold", .conn = &hold },
    { .name = "deaf", .stream = &deaf },
    { 0 },
};

int main(int argc, char **argv)
{
    return ostler_daemon_main(argc, argv, services);
}
