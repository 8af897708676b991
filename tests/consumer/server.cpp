// As server.c, in C++.
#include <iostream>
#include <memory>

#include <ostler/ostler.h>

namespace {

struct Free {
    void operator()(ostler_server *server) const { ostler_server_free(server); }
};
using Server = std::unique_ptr<ostler_server, Free>;

ostler_stream_handler echo()
{
    ostler_stream_handler handler{};

    handler.handle = [](ostler_stream *s) {
        char line[512];
        ssize_t n;

        while ((n = ostler_stream_read_line(s, line, sizeof(line))) > 0)
            if (ostler_stream_printf(s, "C++ %s", line) < 0)
                break;
        return static_cast<int>(n);
    };
    return handler;
}

Server listen(const ostler_stream_handler &handler)
{
    ostler_server_options options{};
    ostler_server *server = nullptr;

    options.address = "tcp:127.0.0.1:0";
    options.stream = &handler;
    return Server(ostler_server_new(&server, &options, nullptr) < 0 ? nullptr : server);
}

} // namespace

int main()
{
    const auto handler = echo();
    const auto server = listen(handler);
    char text[OSTLER_ADDRESS_TEXT];

    if (!server || ostler_address_text(ostler_server_address(server.get(), 0), text, sizeof(text)) < 0)
        return 1;
    std::cout << text << std::endl;
    return ostler_server_handle_request(server.get()) != 1;
}
