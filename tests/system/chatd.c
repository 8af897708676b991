/* The chat of tests/examples, which SIGTERM stops. */
#include <signal.h>

#define main run_chat
#include "../examples/chat.c"
#undef main

static void stop(void *server)
{
    ostler_server_shutdown(server);
}

int main(int argc, char **argv)
{
    struct ostler_server_options options = { .stream = &handler, .max_requests = SEATS, .address = "tcp:127.0.0.1:0" };
    struct ostler_server *server = NULL;
    struct ostler_signal *term = NULL;
    int error;

    if (argc < 2)
        return run_chat(argc, argv);
    options.mixin = strcmp(argv[1], "threading") == 0 ? &ostler_threading : &ostler_fibers;
    error = ostler_server_new(&server, &options, NULL);
    if (error == 0)
        error = ostler_signal_new(&term, ostler_server_reactor(server), SIGTERM, stop, server);
    if (error == 0)
        error = ostler_server_serve_forever(server);
    ostler_signal_free(term);
    ostler_server_free(server);
    return error < 0;
}
