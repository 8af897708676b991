/* A program of somebody else's: a server that says where it listens and answers one client. */
#include <stdio.h>

#include <ostler/ostler.h>

static int echo_handle(struct ostler_stream *s)
{
    char line[512];
    ssize_t n;

    while ((n = ostler_stream_read_line(s, line, sizeof(line))) > 0)
        if (ostler_stream_printf(s, "C %s", line) < 0)
            break;
    return (int)n;
}

static int tell_address(const struct ostler_server *server)
{
    char text[OSTLER_ADDRESS_TEXT];
    int r = ostler_address_text(ostler_server_address(server, 0), text, sizeof(text));

    if (r < 0)
        return r;
    printf("%s\n", text);
    return fflush(stdout);
}

static int answer_one(struct ostler_server *server)
{
    int r = tell_address(server);

    return r < 0 ? r : ostler_server_handle_request(server);
}

int main(void)
{
    static const struct ostler_stream_handler echo = { .handle = echo_handle };
    const struct ostler_server_options options = { .address = "tcp:127.0.0.1:0", .stream = &echo };
    struct ostler_server *server;
    int r = ostler_server_new(&server, &options, NULL);

    if (r < 0)
        return 1;
    r = answer_one(server);
    ostler_server_free(server);
    return r != 1;
}
