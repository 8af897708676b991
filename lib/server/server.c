/* Servers: made, freed, asked; and how a connection that was accepted becomes one of
 * their requests. */
#include "server/server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ostler/error.h>

#include "mixin/inline.h"
#include "net/socket.h"
#include "request/stall.h"
#include "request/stream.h"
#include "server/receiver.h"

enum { MAX_CONNECTIONS = 65536 };

static_assert(offsetof(struct ostler_server, owner) == 0, "ost_owner_of() relies on it");

/* ostler_server_handle_request() waits for its one request anyway. */
static bool defers(const struct ostler_server *s)
{
    return s->owner.options.defer && s->mixin && !s->one;
}

static bool takes_requests(const struct ostler_server *s)
{
    if (atomic_load_explicit(&s->shutdown, memory_order_relaxed))
        return false;
    return s->state == OST_SERVER_SERVING || (s->one && !s->taken);
}

bool ost_server_may_accept(const struct ostler_server *s)
{
    return takes_requests(s) && s->parked < (size_t)s->owner.options.max_parked;
}

/* … that nobody waits for. */
static bool has_place(const struct ostler_server *s)
{
    return s->running < s->capacity && ost_list_is_empty(&s->waiting);
}

/* With defer a new connection needs no place yet. */
bool ost_server_has_room(const struct ostler_server *s)
{
    if (!ost_server_may_accept(s))
        return false;
    return defers(s) || has_place(s);
}

/* ostler_server_handle_request() is not to leave one in the queue. */
bool ost_server_may_queue(const struct ostler_server *s)
{
    if (!s->mixin)
        return true;
    return s->one ? has_place(s) : s->queued < (size_t)s->owner.options.queue;
}

bool ost_server_has_room_for_datagrams(const struct ostler_server *s)
{
    return takes_requests(s) && ost_server_may_queue(s);
}

void ost_server_watch_listeners(struct ostler_server *s)
{
    ost_balance_tell(s);
    for (size_t i = 0; i < s->listener_count; i++)
        ost_listener_watch(&s->listeners[i]);
}

/* owner.ended */
static void on_ended(struct ost_owner *owner)
{
    struct ostler_server *s = owner->server;

    s->running--;
    ost_server_give_place(s);
    ost_server_watch_listeners(s);
    ost_server_check_running(s);
}

/* owner.freed */
static void on_freed(struct ost_owner *owner, int fd)
{
    struct ostler_server *s = owner->server;

    for (size_t i = 0; fd >= 0 && i < s->listener_count; i++)
        if (s->listeners[i].fd == fd)
            ost_receiver_release(&s->listeners[i]);
    ost_server_check_stopped(s);
}

static void count(struct ostler_server *s)
{
    s->accepted++;
    s->taken = true;
}

static bool is_wanted(struct ostler_server *s, const struct ostler_request *r)
{
    struct ost_hold hold;
    bool wanted;

    ost_stall_begin(&hold, &s->owner, r);
    wanted = ost_request_class(r)->verify_request(s, r);
    ost_stall_end(&s->owner, r, "verify_request");
    return wanted;
}

/* Does the server want it? If not, it is closed. */
static bool verify(struct ostler_server *s, struct ostler_request *r)
{
    count(s);
    if (is_wanted(s, r))
        return true;
    ost_request_blame(r, OSTLER_CLOSE_REFUSED, 0);
    ost_request_close(r);
    return false;
}

bool ost_server_is_lack(int error)
{
    return error == -ENOMEM || error == -EAGAIN || error == -EMFILE || error == -ENFILE;
}

/* Is it stopping since get_request? Then this one was not there to be told. */
static void tell_of_stop(const struct ostler_server *s, struct ostler_request *r)
{
    if (s->cut_off)
        ost_request_cancel(r);
    else if (s->state == OST_SERVER_STOPPING)
        ost_request_stop(r);
}

int ost_server_admit(struct ostler_server *s, int fd, const struct ostler_address *peer)
{
    struct ostler_request *r;
    int error = ost_request_accept(&r, &s->owner, fd, peer);

    if (error < 0) {
        close(fd);
        return error;
    }
    if (!verify(s, r))
        return 0;
    tell_of_stop(s, r);
    if (defers(s)) {
        s->parked++;
        ost_park(OST_CONTAINER(r, struct ost_stream, request));
        return 0;
    }
    error = ost_server_place(s, r);
    return ost_server_is_lack(error) ? error : 0;
}

void ost_server_admit_packet(struct ostler_server *s, struct ostler_request *r)
{
    if (verify(s, r))
        ost_server_place(s, r);
}

static void process_datagram(struct ostler_server *s, struct ostler_request *r)
{
    const struct ostler_server_class *class = ost_request_class(r);
    int error = class->process_request(s, r);

    if (error < 0)
        class->handle_error(s, r, error);
}

/* Of its slots it is nearly always on_datagram that takes its time. */
void ost_server_admit_datagram(struct ostler_server *s, struct ostler_request *r)
{
    const struct ostler_server_class *class = ost_request_class(r);
    struct ost_hold hold;

    count(s);
    ost_stall_begin(&hold, &s->owner, r);
    if (class->verify_request(s, r))
        process_datagram(s, r);
    class->shutdown_request(s, r);
    class->close_request(s, r);
    ost_stall_end(&s->owner, r, "on_datagram");
}

/* Listeners for one address: two for a "*". */
static int add_listeners(struct ostler_server *s, const struct ostler_address *address)
{
    struct ost_listener *l = &s->listeners[s->listener_count];
    int error;

    for (int i = 0; i < (address->wildcard ? 2 : 1); i++) {
        error = ost_listener_init(&l[i], s);
        if (error < 0)
            return error;
        l[i].address = *address;
        l[i].optional = address->wildcard;
        s->listener_count++;
    }
    if (address->wildcard)
        ost_address_ipv4_twin(&l[1].address, address);
    return 0;
}

static const char *adopt_problem(int error)
{
    switch (-error) {
    case EBADF:
        return "it is not open";
    case ENOTSOCK:
        return "it is no socket";
    case EISCONN:
        return "it is a connection; a listening or bound socket is needed";
    case EDESTADDRREQ:
        return "it is not bound to an address";
    case EALREADY:
        return "it is given twice";
    case EPROTONOSUPPORT:
        return "it is a socket of a kind other than TCP, UDP, Unix stream and Unix datagram";
    default:
        return ostler_strerror(error);
    }
}

/* A listener for a socket that is there already. */
static int add_inherited(struct ostler_server *s, int fd)
{
    struct ost_listener *l = &s->listeners[s->listener_count];
    struct ostler_address address;
    int error = ost_socket_adopt(fd, &address);

    for (size_t i = 0; i < s->listener_count && error == 0; i++)
        if (s->listeners[i].borrowed && s->listeners[i].inherited == fd)
            error = -EALREADY;
    if (error < 0) {
        ostler_log_write(ostler_server_log(s), OSTLER_LOG_ERROR, "%s: cannot listen on fd:%d: %s", s->name, fd,
                         adopt_problem(error));
        return error;
    }
    error = add_listeners(s, &address);
    if (error < 0)
        return error;
    l->borrowed = true;
    l->inherited = fd;
    return 0;
}

/* Is there a handler, and a class, for addresses of that kind? */
static int check_kind(struct ostler_server *s, const char *text, unsigned kind)
{
    const struct ostler_server_options *o = &s->owner.options;
    const char *problem = NULL;

    if (!ost_class_suits(o->server_class, kind))
        problem = "the server class is for another kind of address";
    else if (!o->stream && ost_kind_is_datagram(kind) && !o->datagram)
        problem = "there is no .datagram handler for it";
    else if (!o->stream && !ost_kind_is_datagram(kind) && !o->conn)
        problem = "there is no .conn handler for it";
    if (!problem)
        return 0;
    ostler_log_write(ostler_server_log(s), OSTLER_LOG_ERROR, "%s: cannot listen on %s: %s", s->name, text, problem);
    return -EINVAL;
}

static int add_address(struct ostler_server *s, const char *text)
{
    struct ostler_address *address;
    int error = ostler_address_parse(&address, text);

    if (error == -EINVAL)
        ostler_log_write(ostler_server_log(s), OSTLER_LOG_ERROR, "%s: \"%s\" is not an address: %s", s->name, text,
                   ostler_address_problem(text));
    if (error < 0)
        return error;
    error = address->kind == OST_INHERITED ? add_inherited(s, address->as.fd) : add_listeners(s, address);
    if (error == 0)
        error = check_kind(s, text, s->listeners[s->listener_count - 1].address.kind);
    ostler_address_free(address);
    return error;
}

int ost_listeners_new(struct ostler_server *s, const struct ostler_server_options *options)
{
    size_t count = options->address ? 1 : 0;
    int error = 0;

    while (options->addresses && options->addresses[count - (options->address ? 1 : 0)])
        count++;
    if (count == 0)
        return -EINVAL;
    s->listeners = calloc(count * 2, sizeof(struct ost_listener));
    if (!s->listeners)
        return -ENOMEM;
    if (options->address)
        error = add_address(s, options->address);
    for (size_t i = 0; error == 0 && options->addresses && options->addresses[i]; i++)
        error = add_address(s, options->addresses[i]);
    return error;
}

static int open_mixin(struct ostler_server *s)
{
    const struct ostler_server_options *options = &s->owner.options;
    int capacity;

    if (!options->stream) {
        s->owner.options.max_requests = options->max_requests ? options->max_requests : MAX_CONNECTIONS;
        s->capacity = (size_t)s->owner.options.max_requests;
        return 0;
    }
    s->mixin = options->mixin ? options->mixin : &ost_inline;
    s->mixin_state = calloc(1, s->mixin->size ? s->mixin->size : 1);
    capacity = s->mixin_state ? s->mixin->open(s->mixin_state, options, s->owner.reactor) : -ENOMEM;
    capacity = capacity == 0 ? -EINVAL : capacity;
    if (capacity < 0) {
        ostler_log_write(ostler_server_log(s), OSTLER_LOG_ERROR, "%s: the mix-in %s does not open: %s", s->name,
                         s->mixin->name, ostler_strerror(capacity));
        free(s->mixin_state);
        s->mixin_state = NULL;
        return capacity;
    }
    s->owner.options.max_requests = capacity;
    s->capacity = (size_t)capacity;
    return 0;
}

static int open_server(struct ostler_server *s, const struct ostler_server_options *options)
{
    int error = ost_class_flatten(s->owner.classes, s->owner.options.server_class);

    if (error < 0)
        ostler_log_write(ostler_server_log(s), OSTLER_LOG_ERROR, "%s: the server class has too many ancestors",
                         s->name);
    if (error == 0)
        error = ost_listeners_new(s, options);
    if (error == 0) {
        s->class = &s->owner.classes[s->listeners[0].address.kind];
        error = open_mixin(s);
    }
    if (error == 0 && !options->no_bind_and_activate)
        error = ostler_server_bind(s);
    if (error == 0 && !options->no_bind_and_activate)
        error = ostler_server_activate(s);
    /* Pointers of the caller's that need not live on. */
    s->owner.options.address = NULL;
    s->owner.options.addresses = NULL;
    return error;
}

/* The parts that ostler_server_free() relies on; all of them, or none. */
static int init(struct ostler_server *s, const struct ostler_server_options *options, struct ostler_reactor *reactor)
{
    const char *name = options->name ? options->name : options->address ? options->address : options->addresses[0];
    int error = 0;

    s->owner.server = s;
    s->owner.ended = on_ended;
    s->owner.freed = on_freed;
    s->owner.options = *options;
    s->owner.terms = ost_conn_terms_of(options);
    s->owner.stall_ms = ost_clock_after(0, options->stall_warn_ms);
    s->owner.parked = ost_server_on_parked;
    s->owner.ready = ost_server_on_ready;
    s->owner.cancel = ost_server_on_cancel;
    s->owner.unborn = ost_server_on_unborn;
    s->owner.connects = ost_server_on_connects;
    ost_class_flatten(s->owner.classes, NULL);
    s->class = &s->owner.classes[OST_TCP];
    ost_list_init(&s->owner.requests);
    ost_list_init(&s->owner.cursors);
    s->name = strdup(name);
    if (!s->name)
        return -ENOMEM;
    s->owner.options.name = s->name;
    if (!reactor)
        error = ostler_reactor_new(&s->own_reactor, options->log);
    s->owner.reactor = reactor ? reactor : s->own_reactor;
    if (error == 0)
        error = ost_places_init(s);
    if (error == 0)
        error = ost_stop_init(s);
    if (error < 0) {
        ostler_reactor_free(s->own_reactor);
        free(s->name);
    }
    return error;
}

static const struct ostler_log *log_of(const struct ostler_server_options *options, struct ostler_reactor *reactor)
{
    return reactor ? ostler_reactor_log(reactor) : options->log;
}

int ostler_server_new(struct ostler_server **out, const struct ostler_server_options *options,
                      struct ostler_reactor *reactor)
{
    struct ostler_server_options checked;
    struct ostler_server *s;
    const char *problem;
    int error;

    if (!out || !options)
        return -EINVAL;
    error = ost_options_check(&checked, options, reactor, &problem);
    if (error < 0) {
        ostler_log_write(log_of(options, reactor), OSTLER_LOG_ERROR, "%s: %s", options->name ? options->name : "server",
                   problem);
        return error;
    }
    error = reactor ? ost_reactor_follow(reactor) : 0;
    s = error < 0 ? NULL : calloc(1, sizeof(*s));
    if (error == 0)
        error = s ? init(s, &checked, reactor) : -ENOMEM;
    if (error < 0) {
        ostler_log_write(log_of(options, reactor), OSTLER_LOG_ERROR, "%s: cannot be made: %s",
                         options->name ? options->name : "server", ostler_strerror(error));
        free(s);
        return error;
    }
    error = open_server(s, &checked);
    if (error < 0) {
        ostler_server_free(s);
        return error;
    }
    *out = s;
    return 0;
}

const struct ostler_server_options *ostler_server_options_of(const struct ostler_server *s)
{
    return s ? &s->owner.options : NULL;
}

void *ostler_server_user(const struct ostler_server *s)
{
    return s ? s->owner.options.user : NULL;
}

const char *ostler_server_name(const struct ostler_server *s)
{
    return s ? s->name : NULL;
}

struct ostler_reactor *ostler_server_reactor(const struct ostler_server *s)
{
    return s ? s->owner.reactor : NULL;
}

const struct ostler_log *ostler_server_log(const struct ostler_server *s)
{
    return s ? ostler_reactor_log(s->owner.reactor) : NULL;
}

/* The index-th of the listeners that could be bound, or NULL. */
static const struct ost_listener *listener(const struct ostler_server *s, size_t index)
{
    for (size_t i = 0; s && i < s->listener_count; i++)
        if (s->listeners[i].bound && index-- == 0)
            return &s->listeners[i];
    return NULL;
}

/* In a child: it has closed all but the one that its own request shares. */
static bool is_parents(const struct ost_listener *l)
{
    const struct ostler_request *r = ost_request_current();

    return ost_reactor_is_disowned(l->server->owner.reactor) && !(r && r->watch.fd == l->fd);
}

int ostler_server_fd(const struct ostler_server *s, size_t index)
{
    const struct ost_listener *l = listener(s, index);

    if (!l)
        return -EINVAL;
    return l->fd < 0 || is_parents(l) ? -EBADF : l->fd;
}

const struct ostler_address *ostler_server_address(const struct ostler_server *s, size_t index)
{
    const struct ost_listener *l = listener(s, index);

    return l ? &l->address : NULL;
}

bool ostler_server_is_stopping(const struct ostler_server *s)
{
    const struct ostler_request *r = ost_request_current();

    if (!s)
        return false;
    return atomic_load(&s->owner.stopping) || (r && r->owner == &s->owner && ost_request_is_stopped(r));
}

size_t ostler_server_active(const struct ostler_server *s)
{
    return s ? s->running : 0;
}

size_t ostler_server_waiting(const struct ostler_server *s)
{
    return s ? s->parked + s->queued : 0;
}

unsigned long long ostler_server_dropped(const struct ostler_server *s)
{
    unsigned long long n = s ? atomic_load(&s->owner.dropped) : 0;

    for (size_t i = 0; s && i < s->listener_count; i++)
        n += ost_receiver_drops(&s->listeners[i]);
    return n;
}

unsigned long long ostler_server_accepted(const struct ostler_server *s)
{
    return s ? s->accepted : 0;
}
