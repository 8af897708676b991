/* A server subclass: members only, two at a time, and some statistics.
 *
 *     club ADDRESS */
#include <ostler/ostler.h>

#include <errno.h>
#include <stdio.h>

struct club {
    unsigned long guests, refused, failed, reported;
};

static struct club *club_of(struct ostler_server *server)
{
    return (struct club *)ostler_server_user(server);
}

/* On the reactor's thread, before anything is spent on the request. */
static bool verify_request(struct ostler_server *server, const struct ostler_request *request)
{
    struct club *club = club_of(server);
    bool welcome = ostler_address_is_loopback(ostler_request_peer(request)) && ostler_server_active(server) < 2;

    if (welcome)
        club->guests++;
    else
        club->refused++;
    return welcome;
}

/* Where the handler ran: here, on fibers, that is the reactor's thread too. */
static void handle_error(struct ostler_server *server, struct ostler_request *request, int error)
{
    club_of(server)->failed++;
    ostler_tcp_server.handle_error(server, request, error); /* the log line */
}

/* After each round of the loop, and at least every second. */
static void service_actions(struct ostler_server *server)
{
    struct club *club = club_of(server);
    unsigned long seen = club->guests + club->refused + club->failed;

    if (seen == club->reported)
        return;
    club->reported = seen;
    printf("%lu guests, %lu refused, %lu failed\n", club->guests, club->refused, club->failed);
    fflush(stdout);
}

static const struct ostler_server_class club_server = {
    .name = "club",
    .super = &ostler_tcp_server,
    .verify_request = verify_request,
    .handle_error = handle_error,
    .service_actions = service_actions,
};

static int serve(struct ostler_stream *s)
{
    char line[64];
    ssize_t n = ostler_stream_read_line(s, line, sizeof(line));

    if (n <= 0)
        return n < 0 ? (int)n : -ENODATA; /* a guest who leaves without a word: handle_error */
    return ostler_stream_printf(s, "welcome, %s", line);
}

static const struct ostler_stream_handler handler = { .handle = serve };

int main(int argc, char **argv)
{
    struct club club = { 0, 0, 0, 0 };
    struct ostler_server_options server = {
        .name = "club", .address = argc > 1 ? argv[1] : "tcp:127.0.0.1:7071", .server_class = &club_server,
        .stream = &handler, .mixin = &ostler_fibers, .user = &club, .actions_interval_ms = 1000,
    };

    return ostler_serve_forever(&server) < 0;
}
