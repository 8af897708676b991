/* The character generator, RFC 864: lines of 72 printable characters, each beginning one
 * character further, in a ring of 95. A connection gets them until the client ends it,
 * by a half-close too; what the client says is thrown away. A datagram gets an answer of
 * at most 512 bytes, as the RFC has it, and never a longer one than itself, so that
 * nobody can have a flood sent to others by forging their address (CVE-1999-0103).
 *
 * After 95 lines all begins anew: such a page is all that is ever sent on a connection,
 * again and again, whole; but evented in parts where less may wait for a client. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "handlers.h"

/* The 95 printable characters of ASCII in their order. */
#define RING                                           \
    " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMN" \
    "OPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"

enum { LINES = 95, TEXT = 72, LINE = TEXT + 2, PAGE = LINES * LINE, MAX_ANSWER = 512 };

void chargen_fill(char *out, size_t n)
{
    static const char twice[] = RING RING; /* so that no line has to begin anew within */
    char line[LINE] = { [TEXT] = '\r', [TEXT + 1] = '\n' };

    for (size_t at = 0; at < n; at += LINE) {
        memcpy(line, twice + at / LINE % LINES, TEXT);
        memcpy(out + at, line, n - at < LINE ? n - at : LINE);
    }
}

/* Would a read give something at once, be it the end? A handler that only writes would
 * not see that the client, or the server, has had enough. */
static bool has_input(const struct ostler_stream *s)
{
    struct pollfd pfd = { .fd = ostler_request_fd(s->request), .events = POLLIN };

    return poll(&pfd, 1, 0) > 0 || ostler_server_is_stopping(ostler_stream_server(s));
}

static int talk(struct ostler_stream *s)
{
    char page[PAGE], ignored[4096];
    ssize_t n = 1;
    int r = 0;

    chargen_fill(page, sizeof(page));
    while (r == 0 && n > 0) {
        r = ostler_stream_write(s, page, sizeof(page));
        if (r == 0 && has_input(s))
            n = ostler_stream_read(s, ignored, sizeof(ignored));
    }
    return r < 0 ? r : (int)n;
}

static int answer(struct ostler_stream *s)
{
    char text[MAX_ANSWER];
    ssize_t n = ostler_stream_read(s, text, sizeof(text));

    if (n <= 0)
        return (int)n;
    chargen_fill(text, (size_t)n);
    return ostler_stream_write(s, text, (size_t)n);
}

static int chargen_handle(struct ostler_stream *s)
{
    return ostler_request_is_datagram(s->request) ? answer(s) : talk(s);
}

/* An evented client, who gets so many lines at a time, and which comes next. */
struct reader {
    struct ostler_conn base;
    size_t lines, next;
};

static int send_lines(struct ostler_conn *c)
{
    struct reader *reader = OSTLER_SELF(c, struct reader, base);
    char page[PAGE];
    size_t at = reader->next;

    chargen_fill(page, sizeof(page));
    reader->next = (at + reader->lines) % LINES;
    return ostler_conn_write(c, page + at * LINE, reader->lines * LINE);
}

/* How many lines are one piece: as many as may wait, and parts of the page. */
static size_t most_lines(struct ostler_conn *c)
{
    static const size_t parts[] = { LINES, LINES / 5, LINES / 19 };

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (ostler_conn_set_marks(c, 0, parts[i] * LINE) != -EINVAL)
            return parts[i];
    return 1;
}

/* With both marks at 0 each piece is drained before the next: nothing piles up for a
 * client that does not read. */
static int chargen_on_open(struct ostler_conn *c)
{
    int r;

    OSTLER_SELF(c, struct reader, base)->lines = most_lines(c);
    r = ostler_conn_set_marks(c, 0, 0);
    return r < 0 ? r : send_lines(c);
}

/* Not the next piece at once: full again, the connection would never read, and so never
 * see its end; and a client that reads fast would keep the others waiting. */
static int chargen_on_drain(struct ostler_conn *c)
{
    return ostler_conn_set_timer(c, 0);
}

static int chargen_on_datagram(struct ostler_datagram *d)
{
    char text[MAX_ANSWER];
    size_t n = ostler_datagram_length(d);

    n = n < sizeof(text) ? n : sizeof(text);
    chargen_fill(text, n);
    return ostler_datagram_reply(d, text, n);
}

static const struct ostler_stream_handler chargen_stream = { .handle = chargen_handle };
static const struct ostler_conn_handler chargen_conn = {
    .size = OSTLER_SIZE(struct reader, base),
    .on_open = chargen_on_open,
    .on_drain = chargen_on_drain,
    .on_timeout = send_lines,
};
static const struct ostler_datagram_handler chargen_datagram = { .on_datagram = chargen_on_datagram };

const struct ostler_service chargen_service = {
    .name = "chargen",
    .summary = "sends characters until the client ends it (RFC 864)",
    .stream = &chargen_stream,
    .conn = &chargen_conn,
    .datagram = &chargen_datagram,
    .server_class = &guarded_server,
};
