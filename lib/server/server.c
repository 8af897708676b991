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

enum { MAX_CONNECTIONS = 65536 };

static_assert(offsetof(struct ostler_server, owner) == 0, "ost_owner_of() relies on it");

bool ost_server_has_room(const struct ostler_server *s)
{
    if (s->state != OST_SERVER_SERVING && !(s->one && !s->taken))
        return false;
    return s->running < s->capacity;
}

void ost_server_watch_listeners(struct ostler_server *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        ost_listener_watch(&s->listeners[i]);
}

/* owner.ended */
static void on_ended(struct ost_owner *owner)
{
    struct ostler_server *s = owner->server;

    s->running--;
    ost_server_watch_listeners(s);
    ost_server_check_running(s);
}

/* owner.freed */
static void on_freed(struct ost_owner *owner)
{
    ost_server_check_stopped(owner->server);
}

static void refuse(struct ostler_request *r, int error)
{
    ost_request_blame(r, OSTLER_CLOSE_REFUSED, error);
    ost_request_close(r);
}

/* verify and process r. 0, or -errno when it could not be processed. */
static int take_on(struct ostler_server *s, struct ostler_request *r)
{
    int error;

    if (!s->owner.class.verify_request(s, r)) {
        refuse(r, 0);
        return 0;
    }
    error = s->owner.class.process_request(s, r);
    if (error < 0) {
        s->owner.class.handle_error(s, r, error);
        refuse(r, error);
    }
    return error;
}

int ost_server_admit(struct ostler_server *s, int fd, const struct ostler_address *peer)
{
    struct ostler_request *r;
    int error = ost_request_accept(&r, &s->owner, fd, peer);

    if (error < 0) {
        close(fd);
        return error;
    }
    r->counted = true;
    s->running++;
    s->accepted++;
    s->taken = true;
    s->elsewhere = false;
    error = take_on(s, r);
    if (error == -EAGAIN)
        return -ENOMEM; /* which for get_request means that none is waiting */
    return error == -ENOMEM || error == -EMFILE || error == -ENFILE ? error : 0;
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

static int add_address(struct ostler_server *s, const char *text)
{
    struct ostler_address *address;
    int error = ostler_address_parse(&address, text);

    if (error == -EINVAL)
        ostler_log_write(ostler_server_log(s), OSTLER_LOG_ERROR, "%s: \"%s\" is not an address: %s", s->name, text,
                   ostler_address_problem(text));
    if (error < 0)
        return error;
    error = add_listeners(s, address);
    ostler_address_free(address);
    return error;
}

int ost_listeners_new(struct ostler_server *s, const struct ostler_server_options *options)
{
    size_t count = options->address ? 1 : 0;
    int error = 0;

    while (options->addresses && options->addresses[count - (options->address ? 1 : 0)])
        count++;
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

    if (options->conn) {
        s->capacity = options->max_requests ? (size_t)options->max_requests : MAX_CONNECTIONS;
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
    s->capacity = (size_t)capacity;
    return 0;
}

static int open_server(struct ostler_server *s, const struct ostler_server_options *options)
{
    int error = ost_class_flatten(&s->owner.class, s->owner.options.server_class);

    if (error < 0)
        ostler_log_write(ostler_server_log(s), OSTLER_LOG_ERROR, "%s: the server class has too many ancestors",
                         s->name);
    if (error == 0)
        error = ost_listeners_new(s, options);
    if (error == 0)
        error = open_mixin(s);
    if (error == 0)
        error = s->owner.class.bind(s);
    if (error == 0)
        error = s->owner.class.activate(s);
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
    s->owner.class = ostler_tcp_server;
    ost_list_init(&s->owner.requests);
    s->name = strdup(name);
    if (!s->name)
        return -ENOMEM;
    s->owner.options.name = s->name;
    if (!reactor)
        error = ostler_reactor_new(&s->own_reactor, options->log);
    s->owner.reactor = reactor ? reactor : s->own_reactor;
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
    error = ost_options_check(&checked, options, &problem);
    if (error < 0) {
        ostler_log_write(log_of(options, reactor), OSTLER_LOG_ERROR, "%s: %s", options->name ? options->name : "server",
                   problem);
        return error;
    }
    s = calloc(1, sizeof(*s));
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

int ostler_server_fd(const struct ostler_server *s, size_t index)
{
    const struct ost_listener *l = listener(s, index);

    if (!l)
        return -EINVAL;
    return l->fd < 0 ? -EBADF : l->fd;
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

unsigned long long ostler_server_accepted(const struct ostler_server *s)
{
    return s ? s->accepted : 0;
}
