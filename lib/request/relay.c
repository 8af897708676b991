#include "request/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "request/run.h"
#include "request/stream.h"

/* Before a stop, or after it; or the handler has returned before there was one. */
enum { RUNNING, STOPPED, ENDED };

enum { MAX_ERRNO = 4095 };

/* Everything of a stream that the child has changed and the parent must know. */
struct report {
    int result, reason, error, io_error;
    uint64_t bytes_in, bytes_out;
    unsigned char eof, peer_done, broken;
    /* What only the next child needs. */
    unsigned char shut;
    int input_left;
    long timeout_ms, receive_timeout;
    uint64_t deadline;
    size_t out_size, in_count;
};

struct ost_relay {
    atomic_int state;
    atomic_bool cancelled;
    atomic_bool listens; /* the child, to nudges */
    /* Where it is: text, as its own pointers need not be good here. */
    _Atomic(const char *) shown; /* what place was copied from, so that it is seldom done */
    atomic_char place[OST_PLACE_TEXT];
    _Atomic uint64_t since, bytes_in, bytes_out;
    int input_left; /* written before state is STOPPED */
    atomic_bool reported;
    struct report report;
    char in[OST_STREAM_INPUT]; /* in_count bytes that read_line has received and not used */
    char self[];               /* the members of the handler's own struct */
};

/* The bytes behind the base. */
static size_t self_size(const struct ost_owner *owner)
{
    size_t size = owner->options.stream->size;

    return size > sizeof(struct ostler_stream) ? size - sizeof(struct ostler_stream) : 0;
}

static size_t size_of(const struct ost_owner *owner)
{
    return sizeof(struct ost_relay) + self_size(owner);
}

int ost_relay_open(struct ost_relay **out, const struct ost_owner *owner)
{
    void *memory = mmap(NULL, size_of(owner), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return -errno;
    *out = memory;
    return 0;
}

void ost_relay_close(struct ost_relay *relay, const struct ost_owner *owner)
{
    munmap(relay, size_of(owner));
}

void ost_relay_hide(struct ost_relay *relay, const struct ost_owner *owner)
{
    madvise(relay, size_of(owner), MADV_DONTFORK);
}

bool ost_relay_stop(struct ost_relay *relay, int input_left)
{
    int running = RUNNING;

    if (atomic_load(&relay->state) == RUNNING)
        relay->input_left = input_left;
    return atomic_compare_exchange_strong(&relay->state, &running, STOPPED);
}

void ost_relay_cancel(struct ost_relay *relay)
{
    atomic_store(&relay->cancelled, true);
}

bool ost_relay_is_stopped(const struct ost_relay *relay, int *input_left)
{
    if (atomic_load_explicit(&relay->state, memory_order_acquire) != STOPPED)
        return false;
    if (input_left)
        *input_left = relay->input_left;
    return true;
}

bool ost_relay_is_cancelled(const struct ost_relay *relay)
{
    return atomic_load(&relay->cancelled); /* not before it listens (nudge.c) */
}

static void show_place(struct ost_relay *relay, const char *place)
{
    size_t n = place ? strlen(place) : 0, cut = n < OST_PLACE_TEXT ? 0 : n - OST_PLACE_TEXT + 1;

    for (size_t i = cut; i < n; i++) /* the end of it says more */
        atomic_store_explicit(&relay->place[i - cut], place[i], memory_order_relaxed);
    atomic_store_explicit(&relay->place[n - cut], '\0', memory_order_relaxed);
}

void ost_relay_note(struct ost_relay *relay, const struct ost_stream *s)
{
    const char *place = atomic_load_explicit(&s->place, memory_order_relaxed);

    if (place != atomic_load_explicit(&relay->shown, memory_order_relaxed)) {
        show_place(relay, place);
        atomic_store_explicit(&relay->shown, place, memory_order_relaxed);
    }
    atomic_store_explicit(&relay->since, atomic_load_explicit(&s->since, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(&relay->bytes_in, ostler_request_bytes_in(&s->request), memory_order_relaxed);
    atomic_store_explicit(&relay->bytes_out, ostler_request_bytes_out(&s->request), memory_order_relaxed);
}

void ost_relay_read_note(const struct ost_relay *relay, struct ost_note *out)
{
    for (size_t i = 0; i < OST_PLACE_TEXT; i++)
        out->place[i] = atomic_load_explicit(&relay->place[i], memory_order_relaxed);
    out->place[OST_PLACE_TEXT - 1] = '\0';
    out->since = atomic_load_explicit(&relay->since, memory_order_relaxed);
    out->bytes_in = atomic_load_explicit(&relay->bytes_in, memory_order_relaxed);
    out->bytes_out = atomic_load_explicit(&relay->bytes_out, memory_order_relaxed);
}

bool ost_relay_listen(struct ost_relay *relay)
{
    return !atomic_exchange(&relay->listens, true);
}

bool ost_relay_listens(const struct ost_relay *relay)
{
    return atomic_load(&relay->listens);
}

bool ost_relay_end(struct ost_relay *relay)
{
    int running = RUNNING;

    return atomic_compare_exchange_strong(&relay->state, &running, ENDED);
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
        .shut = s->shut,
        .input_left = r->input_left,
        .timeout_ms = s->timeout_ms,
        .receive_timeout = s->receive_timeout,
        .deadline = s->deadline,
        .out_size = s->out_size,
        .in_count = result == OSTLER_PARK ? s->in_count - s->in_used : 0,
    };
}

void ost_relay_report(struct ost_relay *relay, const struct ost_stream *s, int result)
{
    relay->report = report_of(s, result);
    if (result == OSTLER_PARK) {
        if (relay->report.in_count > 0)
            memcpy(relay->in, s->in + s->in_used, relay->report.in_count);
        memcpy(relay->self, &s->base + 1, self_size(s->request.owner));
    }
    atomic_store_explicit(&relay->reported, true, memory_order_release);
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
static void take_end(struct ostler_request *r, const struct ost_relay *relay, const struct report *report)
{
    if (report->reason != OSTLER_CLOSE_NONE)
        ost_request_blame(r, (enum ostler_close_reason)report->reason, report->error);
    r->io_error = ost_error16(report->io_error);
    atomic_store_explicit(&r->bytes_in, report->bytes_in, memory_order_relaxed);
    atomic_store_explicit(&r->bytes_out, report->bytes_out, memory_order_relaxed);
    r->eof = report->eof != 0;
    r->peer_done = report->peer_done != 0;
    r->broken = report->broken != 0;
    OST_CONTAINER(r, struct ost_stream, request)->shut_down = atomic_load(&relay->state) == ENDED;
}

static int take_input(struct ost_stream *s, const struct ost_relay *relay, size_t n)
{
    if (n > 0 && !s->in)
        s->in = malloc(OST_STREAM_INPUT);
    if (n > 0 && !s->in)
        return -ENOMEM;
    if (n > 0)
        memcpy(s->in, relay->in, n);
    s->in_used = 0;
    s->in_count = n;
    return 0;
}

/* The handler is to be called again, by another child, which inherits all this. */
static int take_parked(struct ost_stream *s, const struct ost_relay *relay, const struct report *report)
{
    s->set_up = true;
    s->shut = report->shut != 0;
    if (report->input_left >= 0 && report->input_left < s->request.input_left)
        s->request.input_left = report->input_left;
    s->timeout_ms = report->timeout_ms;
    s->receive_timeout = report->receive_timeout;
    s->deadline = report->deadline;
    s->out_size = report->out_size;
    memcpy(&s->base + 1, relay->self, self_size(s->request.owner));
    return take_input(s, relay, report->in_count);
}

int ost_relay_take(const struct ost_relay *relay, struct ost_stream *s, int *result)
{
    struct report report;

    if (!atomic_load_explicit(&relay->reported, memory_order_acquire))
        return -ENODATA;
    report = relay->report;
    if (!is_possible(&report))
        return -EBADMSG;
    take_end(&s->request, relay, &report);
    *result = report.result;
    return report.result == OSTLER_PARK ? take_parked(s, relay, &report) : 0;
}
