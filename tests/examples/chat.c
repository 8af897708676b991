/* A chat: what one says, all others get. Each connection has a mailbox for what the others say, and
 * waits for its client and its mailbox at once. On fibers, or on threads:  chat threading tcp:[::]:7013 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <ostler/ostler.h>

enum { SEATS = 1000, LINE = 512 };

static struct ostler_mailbox *seats[SEATS]; /* NULL: free */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Put after into the seat of before, and tell all the others. With a time-out of 0 sending never waits,
 * so that the lock may be held meanwhile. */
static void tell_others(struct ostler_mailbox *before, struct ostler_mailbox *after, const char *name, const char *what)
{
    char line[OSTLER_ADDRESS_TEXT + LINE];
    int n = snprintf(line, sizeof(line), "%s %s", name, what), mine = 0;

    pthread_mutex_lock(&lock);
    while (seats[mine] != before) /* a free one is there: see max_requests */
        mine++;
    seats[mine] = after;
    for (int i = 0; i < SEATS; i++)
        if (i != mine && seats[i])
            ostler_mailbox_send(seats[i], line, (size_t)n, 0);
    pthread_mutex_unlock(&lock);
}

static int talk(struct ostler_stream *s, struct ostler_mailbox *mailbox, const char *name)
{
    struct ostler_wait w[] = { { .stream = s, .events = OSTLER_READ }, { .mailbox = mailbox, .events = OSTLER_READ } };
    char line[OSTLER_ADDRESS_TEXT + LINE];
    ssize_t n = 1, m;

    while (n > 0 && (n = ostler_wait_any(w, 2, OSTLER_NEVER)) > 0) {
        while (w[1].ready && (m = ostler_mailbox_receive(mailbox, line, sizeof(line), 0)) >= 0)
            if ((m = ostler_stream_write(s, line, (size_t)m)) < 0)
                return (int)m;
        if (w[0].ready && (n = ostler_stream_read_line(s, line, LINE)) > 0)
            tell_others(mailbox, mailbox, name, line);
    }
    return (int)n;
}

static int chat(struct ostler_stream *s)
{
    struct ostler_mailbox_options slow_loses = { .capacity = 1000, .full = OSTLER_FULL_DROP_OLDEST };
    struct ostler_mailbox *mailbox;
    char name[OSTLER_ADDRESS_TEXT];
    int error = ostler_mailbox_new(&mailbox, &slow_loses);

    if (error < 0)
        return error;
    ostler_address_text(ostler_stream_peer(s), name, sizeof(name));
    tell_others(NULL, mailbox, name, "joins\n");
    error = talk(s, mailbox, name);
    tell_others(mailbox, NULL, name, "leaves\n");
    ostler_mailbox_free(mailbox);
    return error;
}

static const struct ostler_stream_handler handler = { .handle = chat, .output_buffer = 4096 };

int main(int argc, char **argv)
{
    struct ostler_server_options server = { .stream = &handler, .max_requests = SEATS };

    server.mixin = argc > 1 && strcmp(argv[1], "threading") == 0 ? &ostler_threading : &ostler_fibers;
    server.address = argc > 2 ? argv[2] : "tcp:127.0.0.1:7013";
    return ostler_serve_forever(&server) < 0;
}
