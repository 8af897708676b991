/* A daemon of somebody else's: one service with a setting of its own. */
#include <ostler/daemon.h>
#include <ostler/ostler.h>

struct greeter {
    const char *greeting;
};

static const struct ostler_setting settings[] = {
    OSTLER_SETTING_STRING(struct greeter, greeting, "hello"),
    { 0 },
};

static int greet_handle(struct ostler_stream *s)
{
    const struct greeter *self = ostler_server_user(ostler_stream_server(s));

    return ostler_stream_printf(s, "C %s\n", self->greeting);
}

static const struct ostler_stream_handler greet = { .handle = greet_handle };

static const struct ostler_service services[] = {
    { .name = "greet", .stream = &greet, .user_size = sizeof(struct greeter), .settings = settings },
    { 0 },
};

int main(int argc, char **argv)
{
    return ostler_daemon_main(argc, argv, services);
}
