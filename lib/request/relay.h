/* The relay: memory that a child process which runs a request's handler shares with its
 * parent, and nothing else does.
 *
 *   parent ── ost_relay_stop, _cancel ──> child: its input ends, nothing works any more
 *   child ─── ost_relay_end, _report ───> parent: how it ended, what the next child needs
 *
 * Everything else of the request is private to either side, so that a child that writes
 * where it must not harms nobody but itself; the parent copies what it is told once the
 * child has ended, and checks it. */
#ifndef OST_REQUEST_RELAY_H
#define OST_REQUEST_RELAY_H

#include "request/request.h"

struct ost_stream;
struct ost_shared;

enum { OST_PLACE_TEXT = 128 };

/* What the parent can tell of a child that runs. */
struct ost_note {
    char place[OST_PLACE_TEXT]; /* "": none */
    uint64_t since, bytes_in, bytes_out;
};

/* All relays of a server, those that are free too. */
struct ost_relays {
    struct ost_list chunks, free;
    size_t size;     /* of each, in bytes */
    uint64_t number; /* of the last one opened */
};

/* Each process's own part of a relay. */
struct ost_relay {
    struct ost_list node; /* in relays->free */
    struct ost_relays *relays;
    struct ost_shared *shared;
    uint64_t number;
};

/* For requests of handler, which all have the same size. Nothing is to be freed until a relay was opened. */
void ost_relays_init(struct ost_relays *relays, const struct ostler_stream_handler *handler);
void ost_relays_fini(struct ost_relays *relays);

/* 0 or -errno. */
int ost_relay_open(struct ost_relay **out, struct ost_relays *relays);

/* Children that are forked in between get it. 0 or -errno. */
int ost_relay_show(const struct ost_relay *relay);
void ost_relay_hide(const struct ost_relay *relay);

/* The child has ended; what it has left there is gone. */
void ost_relay_close(struct ost_relay *relay);

/* The parent: the input ends after input_left bytes. False: the handler has returned, and
 * shutdown_request is the child's. */
bool ost_relay_stop(struct ost_relay *relay, int input_left);
void ost_relay_cancel(struct ost_relay *relay);

/* The child: where its handler is, since when, and what it has moved; and the parent. */
void ost_relay_note(struct ost_relay *relay, const struct ost_stream *stream);
void ost_relay_read_note(const struct ost_relay *relay, struct ost_note *out);

/* The child catches nudges from now on: false if it did so before. And does it? (nudge.h) */
bool ost_relay_listen(struct ost_relay *relay);
bool ost_relay_listens(const struct ost_relay *relay);

/* Either: was it stopped? Then input_left, unless NULL, says after how many bytes. */
bool ost_relay_is_stopped(const struct ost_relay *relay, int *input_left);
bool ost_relay_is_cancelled(const struct ost_relay *relay);

/* The child: the handler has returned for good. Return whether shutdown_request is the
 * child's; once stopped it is the parent's, see close.c. */
bool ost_relay_end(struct ost_relay *relay);

/* The child, last of all: finish_request has given result (0, -errno or OSTLER_PARK). */
void ost_relay_report(struct ost_relay *relay, const struct ost_stream *stream, int result);

/* The parent, once the child has ended: bring stream up to date, and tell the result.
 * -ENODATA: the child did not come to report; -EBADMSG: what it says cannot be;
 * -ENOMEM. */
int ost_relay_take(const struct ost_relay *relay, struct ost_stream *stream, int *result);

#endif
