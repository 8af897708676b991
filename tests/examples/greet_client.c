/* The tutorial's first client: connect, and print what the server says.
 *
 *     greet_client HOST PORT */
#include <ostler/ostler.h>

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    const char *host = argc > 1 ? argv[1] : "localhost";
    struct ostler_socket *s;
    char text[1024];
    ssize_t n = ostler_create_connection(&s, host, argc > 2 ? atoi(argv[2]) : 7070, 5.0, NULL);

    if (n == 0) {
        while ((n = ostler_socket_recv(s, text, sizeof(text), 0)) > 0)
            fwrite(text, 1, (size_t)n, stdout);
        ostler_socket_free(s);
    }
    if (n < 0)
        fprintf(stderr, "greet_client: %s: %s\n", host, ostler_strerror((int)n));
    return n < 0;
}
