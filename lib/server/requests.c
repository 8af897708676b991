/* The list of live requests: what is seen of each from outside, for a caller or for the log.
 *
 * A line takes some 5 us, and standard error may be a pipe that takes some hundred of them, or a socket that
 * takes some dozen, from all processes of a daemon. So the log gets a part at a time, of one server after
 * the other, and between them the loop goes on:
 *
 *    head and first lines ─(timer)─> more ─(timer)─> … the youngest that was there at the head, next server
 *
 * Where to go on is a cursor, which a request that ends meanwhile moves on: of the log's list, and of
 * each visit, for a visitor on a fiber may wait. Whoever comes later is not told of, or a list might
 * never end. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "reactor/hold.h"
#include "request/conn.h"
#include "request/stream.h"
#include "server/server.h"

enum { SLICE = 32, SLICE_MS = 5, WHERE = 256 };

/* What is told of a request, with the text that the pointers of info may point to. */
struct sight {
    struct ostler_request_info info;
    struct ost_note note;
};

static struct ostler_request *request_of(struct ost_list *node)
{
    return OST_CONTAINER(node, struct ostler_request, node);
}

/* Times come from other threads and processes, too. */
static long ms_since(uint64_t then, uint64_t now)
{
    return then < now ? (long)(now - then) : 0;
}

static void set_state(struct ostler_request_info *info, const char *state, uint64_t since, uint64_t now)
{
    info->state = state;
    info->state_ms = since ? ms_since(since, now) : -1;
}

static void see_closing(struct ostler_request_info *info, const struct ostler_request *r, uint64_t now)
{
    uint64_t since = ost_clock_near(now, r->linger_end) - OST_LINGER_MS;

    set_state(info, "is closing", r->discarding ? since : 0, now);
}

static const char *conn_state(const struct ost_conn *c)
{
    if (c->connecting)
        return "is connecting";
    if (c->closing)
        return "is closing";
    if (c->out)
        return "waits for output to drain";
    return c->paused ? "is paused" : "waits for input";
}

static void see_conn(struct ostler_request_info *info, const struct ost_conn *c, uint64_t now)
{
    if (ost_hold_is_of(c->request.owner->reactor, &c->request))
        set_state(info, "runs", 0, now);
    else
        set_state(info, conn_state(c), ost_conn_progress(c), now);
}

static void see_child(struct sight *sight, const struct ost_stream *s, uint64_t now)
{
    struct ostler_request_info *info = &sight->info;

    ost_relay_read_note(s->relay, &sight->note);
    info->child = s->child;
    info->bytes_in = sight->note.bytes_in;
    info->bytes_out = sight->note.bytes_out;
    info->place = sight->note.place[0] ? sight->note.place : NULL;
    set_state(info, sight->note.since ? "waits" : "runs", sight->note.since, now);
}

static void see_stream(struct ostler_request_info *info, const struct ost_stream *s, uint64_t now)
{
    uint64_t since = atomic_load_explicit(&s->since, memory_order_relaxed);

    info->place = atomic_load_explicit(&s->place, memory_order_relaxed);
    if (s->parked)
        set_state(info, "waits for input", since, now);
    else if (since && !s->request.counted)
        set_state(info, "waits for a place", since, now);
    else
        set_state(info, since ? "waits" : "runs", since, now);
}

/* But for its name, which costs memory. */
static void see(struct sight *sight, const struct ostler_request *r, uint64_t now)
{
    const struct ost_stream *s = OST_CONTAINER(r, const struct ost_stream, request);

    sight->info = (struct ostler_request_info){
        .service = r->owner->options.name,
        .peer = ost_request_peer(r),
        .age_ms = ms_since(ost_request_born(r), now),
        .bytes_in = ostler_request_bytes_in(r),
        .bytes_out = ostler_request_bytes_out(r),
    };
    if (r->closing)
        see_closing(&sight->info, r, now);
    else if (r->is_conn)
        see_conn(&sight->info, OST_CONTAINER(r, const struct ost_conn, request), now);
    else if (r->in_child)
        see_child(sight, s, now);
    else
        see_stream(&sight->info, s, now);
}

static void begin_walk(struct ost_cursor *cursor, struct ost_owner *owner)
{
    cursor->at = owner->requests.next;
    ost_list_append(&owner->cursors, &cursor->node);
}

/* The next one that was there when the walk began; NULL: that was all. Younger ones come behind it
 * in the list. */
static struct ostler_request *next_of(struct ost_cursor *cursor, const struct ost_owner *owner, uint64_t begun)
{
    struct ostler_request *r = request_of(cursor->at);

    if (cursor->at == &owner->requests || ost_request_born(r) > begun)
        return NULL;
    cursor->at = r->node.next;
    return r;
}

static void end_walk(struct ost_cursor *cursor)
{
    ost_list_remove(&cursor->node);
    cursor->at = NULL;
}

/* r may end while the visitor waits. */
static bool tell(struct ostler_request *r, bool (*visit)(const struct ostler_request_info *info, void *arg), void *arg)
{
    struct ostler_address peer;
    struct sight sight;

    see(&sight, r, ost_clock_ms());
    memcpy(&peer, sight.info.peer, ost_address_size(sight.info.peer));
    sight.info.peer = &peer;
    sight.info.id = ostler_request_id(r);
    return visit(&sight.info, arg);
}

int ostler_server_requests(struct ostler_server *server,
                           bool (*visit)(const struct ostler_request_info *info, void *arg), void *arg)
{
    struct ost_cursor cursor;
    struct ostler_request *r;
    uint64_t begun;

    if (!server || !visit)
        return -EINVAL;
    if (!ostler_reactor_is_current(server->owner.reactor))
        return -EPERM;
    begun = ost_clock_ms();
    begin_walk(&cursor, &server->owner);
    do
        r = next_of(&cursor, &server->owner, begun);
    while (r && tell(r, visit, arg));
    end_walk(&cursor);
    return 0;
}

/* "waits at server.c:42 since 3.2 s" */
static void describe(char text[WHERE], const struct ostler_request_info *info)
{
    const char *at = info->state_ms < 0 ? ", last call at " : " at ";
    char since[48] = "";

    if (info->state_ms >= 0)
        snprintf(since, sizeof(since), " since %ld.%ld s", info->state_ms / 1000, info->state_ms % 1000 / 100);
    snprintf(text, WHERE, "%s%s%.*s%s", info->state, info->place ? at : "", OST_PLACE_TEXT,
             info->place ? info->place : "", since);
}

static void log_request(const struct ostler_server *s, const struct ostler_request *r, uint64_t now)
{
    char peer[OSTLER_ADDRESS_TEXT] = "?", where[WHERE], child[32] = "";
    struct sight sight;
    const struct ostler_request_info *info = &sight.info;

    see(&sight, r, now);
    describe(where, info);
    ostler_address_text(ost_request_peer(r), peer, sizeof(peer));
    if (info->child)
        snprintf(child, sizeof(child), ", child %ld", info->child);
    ostler_log_write(ostler_server_log(s), OSTLER_LOG_INFO, "%s: %s: %s, %ld.%ld s old, %llu bytes in, %llu out%s",
                     s->name, peer, where, info->age_ms / 1000, info->age_ms % 1000 / 100,
                     (unsigned long long)info->bytes_in, (unsigned long long)info->bytes_out, child);
}

static void write_head(struct ostler_server *s)
{
    unsigned long long dropped = ostler_server_dropped(s);
    size_t count = ost_server_count_requests(s);
    char loss[64] = "";

    if (dropped > 0)
        snprintf(loss, sizeof(loss), "; %llu datagram%s dropped", dropped, dropped == 1 ? "" : "s");
    ostler_log_write(ostler_server_log(s), OSTLER_LOG_INFO, "%s: %zu live request%s (%s)%s", s->name, count,
                     count == 1 ? "" : "s", s->mixin ? s->mixin->name : "evented", loss);
}

static void begin(struct ostler_server *s)
{
    write_head(s);
    begin_walk(&s->list_cursor, &s->owner);
    s->list_begun = ost_reactor_refresh(s->owner.reactor);
}

static void end(struct ostler_server *s)
{
    end_walk(&s->list_cursor);
    s->to_list = false;
}

/* The next line, or the end. */
static void go_on(struct ostler_server *s, uint64_t now)
{
    const struct ostler_request *r = next_of(&s->list_cursor, &s->owner, s->list_begun);

    if (r)
        log_request(s, r, now);
    else
        end(s);
}

/* The first that is still to be listed, or NULL. */
static struct ostler_server *to_list(struct ostler_reactor *reactor)
{
    struct ost_list *node, *next;

    OST_LIST_EACH(node, next, &reactor->servers) {
        struct ostler_server *s = OST_CONTAINER(node, struct ostler_server, node);

        if (s->to_list)
            return s;
    }
    return NULL;
}

/* All workers list at the same time. */
static int slice_of(const struct ostler_server *s)
{
    int n = SLICE / ost_balance_workers(s);

    return n > 0 ? n : 1;
}

static void list_part(struct ostler_reactor *reactor)
{
    uint64_t now = ost_reactor_refresh(reactor);
    struct ostler_server *s;

    for (int n = 0; (s = to_list(reactor)) && n < slice_of(s); n++) {
        if (s->list_cursor.at)
            go_on(s, now);
        else
            begin(s);
    }
    s = to_list(reactor);
    if (s)
        ost_timer_set(&s->list_timer, reactor, now + SLICE_MS);
}

static void on_list_timer(struct ost_timer *timer)
{
    list_part(OST_CONTAINER(timer, struct ostler_server, list_timer)->owner.reactor);
}

static void begin_all(void *arg)
{
    struct ostler_reactor *reactor = arg;
    struct ost_list *node, *next;

    if (to_list(reactor))
        return;
    OST_LIST_EACH(node, next, &reactor->servers) {
        struct ostler_server *s = OST_CONTAINER(node, struct ostler_server, node);

        s->to_list = s->state == OST_SERVER_SERVING || ost_server_count_requests(s) > 0;
    }
    list_part(reactor);
}

int ostler_reactor_log_requests(struct ostler_reactor *reactor)
{
    return ostler_reactor_post(reactor, begin_all, reactor);
}

int ost_requests_init(struct ostler_server *s)
{
    ost_list_init(&s->node);
    return ost_timer_init(&s->list_timer, s->owner.reactor, on_list_timer);
}

/* It is no longer among the reactor's: if it was being listed, the next one is now. */
void ost_requests_fini(struct ostler_server *s)
{
    struct ostler_reactor *reactor = s->owner.reactor;
    struct ostler_server *next = to_list(reactor);

    ost_timer_fini(&s->list_timer, reactor);
    if (next && s->to_list)
        ost_timer_set(&next->list_timer, reactor, ost_reactor_refresh(reactor) + SLICE_MS);
}
