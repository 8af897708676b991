/* The tutorial's first server: greet whoever connects, on the socket object.
 *
 *     greet_server PORT */
#include <ostler/ostler.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char greeting[] = "Hello, thank you for connecting.\n";

int main(int argc, char **argv)
{
    struct ostler_socket *listener, *client;
    struct ostler_address *peer;
    char text[OSTLER_ADDRESS_TEXT];
    int port = argc > 1 ? atoi(argv[1]) : 7070, error = ostler_address_new(&peer);

    if (error == 0)
        error = ostler_create_server(&listener, "127.0.0.1", port, NULL);
    if (error < 0) {
        fprintf(stderr, "greet_server: %s\n", ostler_strerror(error));
        return 1;
    }
    fprintf(stderr, "greet_server: listening on port %d\n", port);
    while ((error = ostler_socket_accept(listener, &client, peer)) == 0) {
        ostler_address_text(peer, text, sizeof(text));
        printf("greeting %s\n", text);
        ostler_socket_sendall(client, greeting, strlen(greeting), 0);
        ostler_socket_free(client);
    }
    fprintf(stderr, "greet_server: %s\n", ostler_strerror(error));
    ostler_socket_free(listener);
    ostler_address_free(peer);
    return 1;
}
