// As daemon.c, in C++.
#include <ostler/daemon.h>
#include <ostler/ostler.h>

namespace {

struct Greeter {
    const char *greeting;
};

const ostler_setting settings[] = {
    OSTLER_SETTING_STRING(Greeter, greeting, "hello"),
    {},
};

int greet_handle(ostler_stream *s)
{
    const auto *self = static_cast<const Greeter *>(ostler_server_user(ostler_stream_server(s)));

    return ostler_stream_printf(s, "C++ %s\n", self->greeting);
}

ostler_service service(const ostler_stream_handler &handler)
{
    ostler_service greet{};

    greet.name = "greet";
    greet.stream = &handler;
    greet.user_size = sizeof(Greeter);
    greet.settings = settings;
    return greet;
}

} // namespace

int main(int argc, char **argv)
{
    ostler_stream_handler handler{};
    handler.handle = greet_handle;
    const ostler_service services[] = {service(handler), {}};

    return ostler_daemon_main(argc, argv, services);
}
