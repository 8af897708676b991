#include "request/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/hot.h"
#include "request/run.h"
#include "request/stream.h"

/* Before a stop, or after it; or the handler has returned before there was one. */
enum { RUNNING, STOPPED, ENDED };

enum { MAX_ERRNO = 4095, CHUNK = 128 };

/* Everything of a stream that the child has changed and the parent must know. */
struct report {
    int result, reason, error, io_error;
    uint64_t bytes_in, bytes_out;
    unsigned char eof, peer_done, broken;
    unsigned char lost; /* a datagram's reply */
    /* What only the next child needs. */
    unsigned char shut, shared;
    int input_left;
    long timeout_ms, receive_timeout;
    uint64_t deadline;
    size_t out_size, in_count;
};

/* What both have. The next child of the same relay gets it as new, but for the number: whoever was
 * forked by the last one, and still looks here, sees that it is somebody else's. What each receive looks at
 * or writes is one line of the cache. */
struct ost_shared {
    _Atomic uint64_t number;
    atomic_int state;
    atomic_bool cancelled;
    atomic_bool listens; /* the child, to nudges */
    atomic_bool reported;
    _Atomic uint64_t since, bytes_in, bytes_out;
    _Atomic(const char *) shown; /* what place was copied from, so that it is seldom done */
    int input_left; /* written before state is STOPPED */
    atomic_char place[OST_PLACE_TEXT]; /* text, as the child's own pointers need not be good here */
    struct report report;
    char in[OST_STREAM_INPUT]; /* in_count bytes that read_line has received and not used */
    char self[];               /* the members of the handler's own struct */
};

/* Relays in one piece of memory, which is never given back before the last: to make a mapping for each
 * child, with the faults of its first use and its end, costs four times what to show and hide one does. */
struct chunk {
    struct ost_list node;
    char *memory;
    struct ost_relay relays[CHUNK];
};

/* The bytes behind the base. */
static size_t self_size(const struct ostler_stream_handler *handler)
{
    return handler->size > sizeof(struct ostler_stream) ? handler->size - sizeof(struct ostler_stream) : 0;
}

static size_t whole_pages(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (size + page - 1) / page * page;
}

void ost_relays_init(struct ost_relays *relays, const struct ostler_stream_handler *handler)
{
    relays->size = whole_pages(sizeof(struct ost_shared) + self_size(handler));
    relays->number = 0;
    ost_list_init(&relays->chunks);
    ost_list_init(&relays->free);
}

void ost_relays_fini(struct ost_relays *relays)
{
    struct ost_list *node;

    while ((node = ost_list_take(&relays->chunks))) {
        struct chunk *chunk = OST_CONTAINER(node, struct chunk, node);

        munmap(chunk->memory, CHUNK * relays->size);
        free(chunk);
    }
}

static void enter(struct ost_relays *relays, struct chunk *chunk)
{
    ost_list_append(&relays->chunks, &chunk->node);
    for (size_t i = 0; i < CHUNK; i++) {
        struct ost_relay *relay = &chunk->relays[i];

        relay->relays = relays;
        relay->shared = (void *)(chunk->memory + i * relays->size);
        ost_list_append(&relays->free, &relay->node);
    }
}

static int add_chunk(struct ost_relays *relays)
{
    struct chunk *chunk = calloc(1, sizeof(*chunk));
    int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;
    void *memory;

    if (!chunk)
        return -ENOMEM;
    memory = mmap(NULL, CHUNK * relays->size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (memory == MAP_FAILED) {
        free(chunk);
        return -errno;
    }
    madvise(memory, CHUNK * relays->size, MADV_DONTFORK);
    chunk->memory = memory;
    enter(relays, chunk);
    return 0;
}

int ost_relay_open(struct ost_relay **out, struct ost_relays *relays)
{
    int error = ost_list_is_empty(&relays->free) ? add_chunk(relays) : 0;
    struct ost_relay *relay;

    if (error < 0)
        return error;
    relay = OST_CONTAINER(relays->free.next, struct ost_relay, node);
    ost_list_remove(&relay->node);
    relay->number = ++relays->number;
    atomic_store(&relay->shared->number, relay->number);
    *out = relay;
    return 0;
}

int ost_relay_show(const struct ost_relay *relay)
{
    return madvise(relay->shared, relay->relays->size, MADV_DOFORK) < 0 ? -errno : 0;
}

void ost_relay_hide(const struct ost_relay *relay)
{
    madvise(relay->shared, relay->relays->size, MADV_DONTFORK);
}

/* Nobody finds in it what the last child has left. One that has told of its end has left nothing behind
 * its report. */
void ost_relay_close(struct ost_relay *relay)
{
    struct ost_shared *shared = relay->shared;
    struct ost_relays *relays = relay->relays;
    bool ended = atomic_load(&shared->reported) && shared->report.result != OSTLER_PARK;

    memset(shared, 0, ended ? offsetof(struct ost_shared, in) : relays->size);
    ost_list_append(&relays->free, &relay->node);
}

/* Not so in what a child has forked, and has outlived it. */
static bool is_own(const struct ost_relay *relay)
{
    return atomic_load_explicit(&relay->shared->number, memory_order_relaxed) == relay->number;
}

bool ost_relay_stop(struct ost_relay *relay, int input_left)
{
    struct ost_shared *shared = relay->shared;
    int running = RUNNING;

    if (atomic_load(&shared->state) == RUNNING)
        shared->input_left = input_left;
    return atomic_compare_exchange_strong(&shared->state, &running, STOPPED);
}

void ost_relay_cancel(struct ost_relay *relay)
{
    atomic_store(&relay->shared->cancelled, true);
}

OST_HOT bool ost_relay_is_stopped(const struct ost_relay *relay, int *input_left)
{
    const struct ost_shared *shared = relay->shared;

    if (atomic_load_explicit(&shared->state, memory_order_acquire) != STOPPED || !is_own(relay))
        return false;
    if (input_left)
        *input_left = shared->input_left;
    return true;
}

OST_HOT bool ost_relay_is_cancelled(const struct ost_relay *relay)
{
    return atomic_load(&relay->shared->cancelled) && is_own(relay); /* not before it listens (nudge.c) */
}

/* By hand: strlen(3) stands on a page of its own, which a child touches for nothing else. */
static size_t length_of(const volatile char *text)
{
    size_t n = 0;

    while (text && text[n])
        n++;
    return n;
}

static void show_place(struct ost_shared *shared, const char *place)
{
    size_t n = length_of(place), cut = n < OST_PLACE_TEXT ? 0 : n - OST_PLACE_TEXT + 1;

    for (size_t i = cut; i < n; i++) /* the end of it says more */
        atomic_store_explicit(&shared->place[i - cut], place[i], memory_order_relaxed);
    atomic_store_explicit(&shared->place[n - cut], '\0', memory_order_relaxed);
}

OST_HOT void ost_relay_note(struct ost_relay *relay, const struct ost_stream *s)
{
    const char *place = atomic_load_explicit(&s->place, memory_order_relaxed);
    struct ost_shared *shared = relay->shared;

    if (!is_own(relay))
        return;
    if (place != atomic_load_explicit(&shared->shown, memory_order_relaxed)) {
        show_place(shared, place);
        atomic_store_explicit(&shared->shown, place, memory_order_relaxed);
    }
    atomic_store_explicit(&shared->since, atomic_load_explicit(&s->since, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(&shared->bytes_in, ostler_request_bytes_in(&s->request), memory_order_relaxed);
    atomic_store_explicit(&shared->bytes_out, ostler_request_bytes_out(&s->request), memory_order_relaxed);
}

void ost_relay_read_note(const struct ost_relay *relay, struct ost_note *out)
{
    const struct ost_shared *shared = relay->shared;

    for (size_t i = 0; i < OST_PLACE_TEXT; i++)
        out->place[i] = atomic_load_explicit(&shared->place[i], memory_order_relaxed);
    out->place[OST_PLACE_TEXT - 1] = '\0';
    out->since = atomic_load_explicit(&shared->since, memory_order_relaxed);
    out->bytes_in = atomic_load_explicit(&shared->bytes_in, memory_order_relaxed);
    out->bytes_out = atomic_load_explicit(&shared->bytes_out, memory_order_relaxed);
}

bool ost_relay_listen(struct ost_relay *relay)
{
    return is_own(relay) && !atomic_exchange(&relay->shared->listens, true);
}

bool ost_relay_listens(const struct ost_relay *relay)
{
    return atomic_load(&relay->shared->listens);
}

OST_HOT bool ost_relay_end(struct ost_relay *relay)
{
    int running = RUNNING;

    return is_own(relay) && atomic_compare_exchange_strong(&relay->shared->state, &running, ENDED);
}

static struct report report_of(const struct ost_stream *s, int result)
{
    const struct ostler_request *r = &s->request;

    return (struct report){
        .result = result,
        .reason = r->reason,
        .error = r->error,
        .io_error = r->io_error,
        .bytes_in = ostler_request_bytes_in(r),
        .bytes_out = ostler_request_bytes_out(r),
        .eof = r->eof,
        .peer_done = r->peer_done,
        .broken = r->broken,
        .lost = s->packet && ost_packet_is_lost(s->packet),
        .shut = s->shut,
        .shared = s->shared,
        .input_left = r->input_left,
        .timeout_ms = s->timeout_ms,
        .receive_timeout = s->receive_timeout,
        .deadline = s->deadline,
        .out_size = s->out_size,
        .in_count = result == OSTLER_PARK ? s->in_count - s->in_used : 0,
    };
}

OST_HOT void ost_relay_report(struct ost_relay *relay, const struct ost_stream *s, int result)
{
    struct ost_shared *shared = relay->shared;

    if (!is_own(relay))
        return;
    shared->report = report_of(s, result);
    if (result == OSTLER_PARK) {
        if (shared->report.in_count > 0)
            memcpy(shared->in, s->in + s->in_used, shared->report.in_count);
        memcpy(shared->self, &s->base + 1, self_size(s->request.owner->options.stream));
    }
    atomic_store_explicit(&shared->reported, true, memory_order_release);
}

static bool is_error(int error)
{
    return error <= 0 && error >= -MAX_ERRNO;
}

static bool is_possible(const struct report *report)
{
    return (is_error(report->result) || report->result == OSTLER_PARK) && is_error(report->error) &&
           is_error(report->io_error) && report->reason >= OSTLER_CLOSE_NONE &&
           report->reason <= OSTLER_CLOSE_CANCELLED && report->timeout_ms >= OSTLER_NEVER && report->timeout_ms != 0 &&
           report->receive_timeout >= 0 && report->in_count <= OST_STREAM_INPUT;
}

/* What every end leaves. */
static void take_end(struct ostler_request *r, const struct ost_shared *shared, const struct report *report)
{
    if (report->reason != OSTLER_CLOSE_NONE)
        ost_request_blame(r, (enum ostler_close_reason)report->reason, report->error);
    r->io_error = ost_error16(report->io_error);
    atomic_store_explicit(&r->bytes_in, report->bytes_in, memory_order_relaxed);
    atomic_store_explicit(&r->bytes_out, report->bytes_out, memory_order_relaxed);
    r->eof = report->eof != 0;
    r->peer_done = report->peer_done != 0;
    r->broken = report->broken != 0;
    if (report->lost && r->datagram)
        atomic_fetch_add(&r->owner->dropped, 1);
    OST_CONTAINER(r, struct ost_stream, request)->shut_down = atomic_load(&shared->state) == ENDED;
}

static int take_input(struct ost_stream *s, const struct ost_shared *shared, size_t n)
{
    if (n > 0 && !s->in)
        s->in = malloc(OST_STREAM_INPUT);
    if (n > 0 && !s->in)
        return -ENOMEM;
    if (n > 0)
        memcpy(s->in, shared->in, n);
    s->in_used = 0;
    s->in_count = n;
    return 0;
}

/* The handler is to be called again, by another child, which inherits all this. */
static int take_parked(struct ost_stream *s, const struct ost_shared *shared, const struct report *report)
{
    s->set_up = true;
    s->shut = report->shut != 0;
    s->shared = report->shared != 0;
    if (report->input_left >= 0 && report->input_left < s->request.input_left)
        s->request.input_left = report->input_left;
    s->timeout_ms = report->timeout_ms;
    s->receive_timeout = report->receive_timeout;
    s->deadline = report->deadline;
    s->out_size = report->out_size;
    memcpy(&s->base + 1, shared->self, self_size(s->request.owner->options.stream));
    return take_input(s, shared, report->in_count);
}

int ost_relay_take(const struct ost_relay *relay, struct ost_stream *s, int *result)
{
    const struct ost_shared *shared = relay->shared;
    struct report report;

    if (!atomic_load_explicit(&shared->reported, memory_order_acquire))
        return -ENODATA;
    report = shared->report;
    if (!is_possible(&report))
        return -EBADMSG;
    take_end(&s->request, shared, &report);
    *result = report.result;
    return report.result == OSTLER_PARK ? take_parked(s, shared, &report) : 0;
}
