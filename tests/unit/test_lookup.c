/* Names resolve in helpers: getaddrinfo(3) is ours here, and hangs when it is told to. */
#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/harness.h"

enum { HELPERS = 64, CROWD = 200, NAPS = 10, LONG = 60 };

/* Shared with children. */
static struct world {
    struct harness_event entered;  /* a resolver hangs */
    struct harness_event gate;     /* … until this is raised */
    struct harness_event returned; /* it does not any more */
    struct harness_event refused;  /* a thread was asked for in vain */
    struct harness_event answered; /* a handler has its result */
    atomic_int live;               /* results that were not freed */
    atomic_int running, most;      /* resolvers at once */
    struct harness_event done;     /* a helper has told its caller */
    atomic_int done_before;        /* how often that was so before */
    atomic_int resolved;           /* calls for names */
    atomic_int result;             /* the last handler's */
    struct ostler_request_ref id;  /* the last request's */
    atomic_bool no_threads, no_memory, deaf;
    atomic_bool lingers; /* a helper that has told its caller goes on only behind the gate */
} *_Atomic world;

/* With linger a caller goes on only when its helper is done. */
static _Thread_local bool linger, has_helper, is_done;

int __real_pthread_mutex_unlock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *lock);
int __real_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out);
void __real_freeaddrinfo(struct addrinfo *found);
void __wrap_freeaddrinfo(struct addrinfo *found);
int __real_pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);
void *__real_malloc(size_t size);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *lock)
{
    int error = __real_pthread_mutex_unlock(lock);

    if (is_done) {
        is_done = false;
        harness_raise(&world->done);
        if (atomic_load(&world->lingers))
            harness_wait(&world->gate, 1);
    }
    if (has_helper) {
        has_helper = false;
        harness_wait(&world->done, atomic_load(&world->done_before) + 1);
    }
    return error;
}

void *__wrap_malloc(size_t size);

/* Do helpers leave the program's signals to it? */
static bool is_deaf(void)
{
    sigset_t mask;

    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, SIGTERM) && sigismember(&mask, SIGUSR1) && sigismember(&mask, SIGCHLD);
}

static void hang(void)
{
    int running = atomic_fetch_add(&world->running, 1) + 1, most = atomic_load(&world->most);

    while (running > most && !atomic_compare_exchange_weak(&world->most, &most, running))
        continue;
    if (!is_deaf())
        atomic_store(&world->deaf, false);
    harness_raise(&world->entered);
    harness_wait(&world->gate, 1);
    atomic_fetch_sub(&world->running, 1);
    harness_raise(&world->returned);
}

int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    const char *real = host;
    int code;

    if (!(hints->ai_flags & AI_NUMERICHOST) && host)
        atomic_fetch_add(&world->resolved, 1);
    if (host && strncmp(host, "hang", 4) == 0)
        hang(); /* whatever is asked of it: some resolvers look at no flags */
    if (!(hints->ai_flags & AI_NUMERICHOST) && host) {
        if (strncmp(host, "eai", 3) == 0) {
            errno = ECONNREFUSED;
            return (int)strtol(host + 3, NULL, 10);
        }
        if (strchr(host, '.') == NULL)
            real = "127.0.0.7";
        is_done = true;
    }
    code = __real_getaddrinfo(real, service, hints, out);
    if (code == 0)
        atomic_fetch_add(&world->live, 1);
    return code;
}

void __wrap_freeaddrinfo(struct addrinfo *found)
{
    __real_freeaddrinfo(found);
    atomic_fetch_sub(&world->live, 1);
}

int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    has_helper = linger;
    if (!world || !atomic_load(&world->no_threads))
        return __real_pthread_create(out, attributes, run, arg);
    harness_raise(&world->refused);
    return EAGAIN;
}

void *__wrap_malloc(size_t size)
{
    return world && atomic_load(&world->no_memory) ? NULL : __real_malloc(size);
}

static void open_world(void)
{
    world = harness_share(sizeof(*world));
    ck_assert_ptr_nonnull(world);
    harness_event_init(&world->entered);
    harness_event_init(&world->gate);
    harness_event_init(&world->returned);
    harness_event_init(&world->refused);
    harness_event_init(&world->answered);
    harness_event_init(&world->done);
    atomic_store(&world->deaf, true);
}

/* After the threads have been counted: none uses it any more. */
static void close_world(void)
{
    int live = atomic_load(&world->live);

    harness_unshare(world, sizeof(*world));
    world = NULL;
    ck_assert_int_eq(live, 0);
}

/* Resolve, and let go of what was found. */
static int resolve(const char *host, double timeout)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    int error = ostler_getaddrinfo(&found, host, "80", &hints, timeout);

    if (error == 0)
        freeaddrinfo(found);
    return error;
}

/* Let n resolvers hang, or one more, whose callers have left. */
static void leave_hanging(int n)
{
    while (harness_count(&world->entered) < n && resolve("hang", 0.01) == -ETIMEDOUT)
        continue;
}

/* The client names a host; the answer is how it went. */
static int handle_name(struct ostler_stream *s)
{
    char line[64] = "";
    ssize_t n = ostler_stream_read_line(s, line, sizeof(line));

    if (n <= 0)
        return (int)n;
    line[strcspn(line, "\n")] = '\0';
    atomic_store(&world->result, resolve(line, LONG));
    harness_raise(&world->answered);
    return ostler_stream_printf(s, "%d\n", atomic_load(&world->result));
}

static const struct ostler_stream_handler names = { .handle = handle_name };

static ssize_t echo_on_data(struct ostler_conn *c, const void *data, size_t n)
{
    int error = ostler_conn_write(c, data, n);

    return error < 0 ? error : (ssize_t)n;
}

static const struct ostler_conn_handler echo = { .on_data = echo_on_data };

static const struct ostler_mixin *const mixins[] = { NULL, &ostler_threading, &ostler_fibers, &ostler_forking };
enum { INLINE, THREADING, FIBERS, FORKING, MIXINS };

static struct ostler_server_options options_of(int mixin)
{
    return (struct ostler_server_options){
        .name = "names", .address = "tcp:127.0.0.1:0", .stream = &names, .mixin = mixins[mixin],
        .max_requests = mixins[mixin] ? CROWD : 0, .stop_timeout_ms = 100,
    };
}

static void start(struct harness_server *h, int mixin)
{
    const struct ostler_server_options options = options_of(mixin);

    harness_start(h, &options);
}

/* ---- A thread that runs no handler ---- */

START_TEST(a_name_is_resolved_in_a_helper)
{
    const struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found;

    ck_assert_int_eq(ostler_getaddrinfo(&found, "host", "80", &hints, OSTLER_NEVER), 0);
    ck_assert_int_eq(found->ai_family, AF_INET);
    ck_assert_uint_eq(ntohl(((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr.s_addr), 0x7f000007);
    ck_assert_uint_eq(ntohs(((struct sockaddr_in *)(void *)found->ai_addr)->sin_port), 80);
    ck_assert_ptr_null(found->ai_next);
    freeaddrinfo(found);
    ck_assert_int_eq(atomic_load(&world->resolved), 1);
}
END_TEST

START_TEST(a_number_needs_no_helper)
{
    struct addrinfo *found;

    atomic_store(&world->no_threads, true);
    ck_assert_int_eq(resolve("127.0.0.1", 0), 0);
    ck_assert_int_eq(resolve("::1", 0), 0);
    ck_assert_int_eq(ostler_getaddrinfo(&found, NULL, "80", NULL, 0), 0);
    freeaddrinfo(found);
    ck_assert_int_eq(ostler_getaddrinfo(&found, "127.0.0.1", NULL, NULL, 0), 0);
    freeaddrinfo(found);
    ck_assert_int_eq(resolve("host", 0), -ETIMEDOUT);
    ck_assert_int_eq(atomic_load(&world->resolved), 0);
}
END_TEST

START_TEST(a_name_where_a_number_is_due_is_not_resolved)
{
    const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
    struct addrinfo *found;

    ck_assert_int_eq(ostler_getaddrinfo(&found, "host", "80", &hints, OSTLER_NEVER), -ENOENT);
    ck_assert_int_eq(ostler_getaddrinfo(&found, "127.0.0.1", "no-such-service", NULL, OSTLER_NEVER), -ENOENT);
    ck_assert_int_eq(atomic_load(&world->resolved), 1); /* for the service */
}
END_TEST

START_TEST(what_the_resolver_says_becomes_an_errno)
{
    static const struct {
        const char *host;
        int error;
    } rows[] = {
        { "eai-2", -ENOENT },        /* EAI_NONAME */
        { "eai-3", -EAGAIN },        /* EAI_AGAIN */
        { "eai-4", -EIO },           /* EAI_FAIL */
        { "eai-5", -ENOENT },        /* EAI_NODATA */
        { "eai-6", -EAFNOSUPPORT },  /* EAI_FAMILY */
        { "eai-7", -EINVAL },        /* EAI_SOCKTYPE */
        { "eai-8", -ENOENT },        /* EAI_SERVICE */
        { "eai-9", -ENOENT },        /* EAI_ADDRFAMILY */
        { "eai-10", -ENOMEM },       /* EAI_MEMORY */
        { "eai-11", -ECONNREFUSED }, /* EAI_SYSTEM: errno */
        { "eai-1", -EINVAL },        /* EAI_BADFLAGS */
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_msg(resolve(rows[i].host, OSTLER_NEVER) == rows[i].error, "%s", rows[i].host);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused)
{
    const struct addrinfo family = { .ai_family = 99 };
    struct addrinfo *found = NULL;

    ck_assert_int_eq(ostler_getaddrinfo(NULL, "host", NULL, NULL, 1), -EINVAL);
    ck_assert_int_eq(ostler_getaddrinfo(&found, NULL, NULL, NULL, 1), -EINVAL);
    ck_assert_int_eq(ostler_getaddrinfo(&found, "host", NULL, NULL, -2), -EINVAL);
    ck_assert_int_eq(ostler_getaddrinfo(&found, "host", NULL, NULL, (double)NAN), -EINVAL);
    ck_assert_int_eq(ostler_getaddrinfo(&found, "host", NULL, NULL, 1e13), -EINVAL);
    ck_assert_int_eq(ostler_getaddrinfo(&found, "127.0.0.1", NULL, &family, 1), -EAFNOSUPPORT);
    ck_assert_ptr_null(found);
}
END_TEST

START_TEST(a_timeout_holds_while_the_resolver_hangs)
{
    uint64_t least = UINT64_MAX;

    for (int i = 0; i < 5; i++) {
        uint64_t begin = harness_now_ms(), took;

        ck_assert_int_eq(resolve("hang", 0.4), -ETIMEDOUT);
        took = harness_now_ms() - begin;
        ck_assert_uint_ge(took, 400);
        least = took < least ? took : least;
    }
    ck_assert_uint_le(least, 420);
    ck_assert(harness_wait(&world->entered, 5));
    harness_raise(&world->gate);
    ck_assert(harness_wait(&world->returned, 5));
}
END_TEST

START_TEST(helpers_block_all_signals)
{
    ck_assert(!is_deaf());
    leave_hanging(1);
    harness_raise(&world->gate);
    ck_assert(atomic_load(&world->deaf));
    ck_assert(!is_deaf());
}
END_TEST

START_TEST(what_is_lacking_is_told)
{
    struct rlimit few, before;
    int error;

    atomic_store(&world->no_threads, true);
    ck_assert_int_eq(resolve("host", LONG), -EAGAIN);
    atomic_store(&world->no_threads, false);
    atomic_store(&world->no_memory, true);
    error = resolve("host", LONG);
    atomic_store(&world->no_memory, false);
    ck_assert_int_eq(error, -ENOMEM);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){ .rlim_cur = 3, .rlim_max = before.rlim_max };
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    error = resolve("host", LONG);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_int_eq(error, -EMFILE);
    ck_assert_int_eq(atomic_load(&world->resolved), 0);
    ck_assert_int_eq(resolve("host", LONG), 0);
}
END_TEST

static void *resolve_host(void *result)
{
    *(int *)result = resolve("host", LONG);
    harness_raise(&world->answered);
    return NULL;
}

START_TEST(without_a_thread_of_its_own_a_name_waits_for_one_that_runs)
{
    pthread_t thread;
    int result = 1;

    leave_hanging(1);
    atomic_store(&world->no_threads, true);
    ck_assert_int_eq(__real_pthread_create(&thread, NULL, resolve_host, &result), 0);
    ck_assert(harness_wait(&world->refused, 1));
    harness_raise(&world->gate);
    pthread_join(thread, NULL);
    ck_assert_int_eq(result, 0);
}
END_TEST

START_TEST(beyond_the_most_helpers_a_name_times_out_in_the_queue)
{
    leave_hanging(HELPERS);
    ck_assert_int_eq(resolve("host", 0.01), -ETIMEDOUT);
    harness_raise(&world->gate);
    ck_assert(harness_wait(&world->returned, HELPERS));
    ck_assert_int_eq(resolve("host", LONG), 0);
    ck_assert_int_eq(atomic_load(&world->resolved), HELPERS + 1); /* nobody asked for the one that had gone */
}
END_TEST

/* ---- Handlers ---- */

START_TEST(a_handler_resolves_a_name)
{
    struct harness_server h;
    int client;

    start(&h, _i);
    for (int i = 0; i < 3; i++) {
        client = harness_connect(h.server);
        ck_assert(harness_say(client, i < 2 ? "host\n" : "127.0.0.1\n"));
        ck_assert(harness_expect(client, "0\n"));
        ck_assert(harness_expect_end(client));
        close(client);
    }
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(atomic_load(&world->resolved), 2);
}
END_TEST

/* An evented server beside that of a harness. */
struct neighbour {
    struct ostler_server *server, *beside;
};

static void open_neighbour(void *arg)
{
    struct neighbour *n = arg;
    const struct ostler_server_options options = { .address = "tcp:127.0.0.1:0", .conn = &echo };

    if (ostler_server_new(&n->server, &options, ostler_server_reactor(n->beside)) == 0)
        ostler_server_start(n->server);
}

static void close_neighbour(void *arg)
{
    ostler_server_free(((struct neighbour *)arg)->server);
}

/* While one handler's resolver hangs: of a server that runs others meanwhile one of them, and always an
 * evented connection on the same reactor. */
START_TEST(a_resolver_that_hangs_harms_only_its_caller)
{
    struct harness_server h;
    struct neighbour evented = { 0 };
    int stuck, other, client;

    start(&h, _i);
    evented.beside = h.server;
    ck_assert(harness_call(ostler_server_reactor(h.server), open_neighbour, &evented));
    ck_assert_ptr_nonnull(evented.server);
    stuck = harness_connect(h.server);
    ck_assert(harness_say(stuck, "hang\n"));
    ck_assert(harness_wait(&world->entered, 1));
    other = harness_connect(evented.server);
    for (int i = 0; i < 100; i++) {
        uint64_t begin = harness_now_ms();

        ck_assert(harness_say(other, "x"));
        ck_assert(harness_expect(other, "x"));
        ck_assert_uint_lt(harness_now_ms() - begin, (uint64_t)harness_deadline_ms() / 5);
    }
    for (int i = 0; _i != INLINE && i < 20; i++) {
        client = harness_connect(h.server);
        ck_assert(harness_say(client, "host\n"));
        ck_assert(harness_expect(client, "0\n"));
        close(client);
    }
    ck_assert_int_eq(harness_count(&world->gate), 0);
    harness_raise(&world->gate);
    ck_assert(harness_expect(stuck, "0\n"));
    close(stuck);
    close(other);
    ck_assert(harness_call(ostler_server_reactor(h.server), close_neighbour, &evented));
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* In the process that can cancel it. */
static int note_and_process(struct ostler_server *server, struct ostler_request *request)
{
    world->id = ostler_request_id(request);
    return ostler_tcp_server.process_request(server, request);
}

static const struct ostler_server_class noting_server = {
    .super = &ostler_tcp_server,
    .process_request = note_and_process,
};

START_TEST(a_cancelled_request_leaves_a_resolver_that_hangs)
{
    struct harness_server h;
    struct ostler_server_options options = options_of(_i);
    int client;
    char byte;

    options.server_class = &noting_server;
    harness_start(&h, &options);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "hang\n"));
    ck_assert(harness_wait(&world->entered, 1));
    ck_assert_int_eq(ostler_request_cancel(world->id), 0);
    ck_assert(harness_wait(&world->answered, 1));
    ck_assert_int_eq(atomic_load(&world->result), -ECANCELED);
    ck_assert_int_le(harness_receive_once(client, &byte, 1), 0);
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
    harness_raise(&world->gate);
}
END_TEST

START_TEST(a_server_stops_while_a_resolver_hangs)
{
    struct harness_server h;
    int client;

    start(&h, _i);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "hang\n"));
    ck_assert(harness_wait(&world->entered, 1));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(harness_count(&world->answered), 1);
    ck_assert_int_eq(atomic_load(&world->result), -ECANCELED);
    close(client);
    harness_raise(&world->gate);
}
END_TEST

/* The helper may be done before it is waited for. */
static int sleep_between_names(struct ostler_stream *s)
{
    int early = 0;

    for (int i = 0; i < NAPS; i++) {
        uint64_t begin;

        atomic_store(&world->done_before, harness_count(&world->done));
        linger = true;
        resolve("host", LONG);
        linger = false;
        begin = harness_now_ms();
        ostler_sleep_ms(2);
        early += harness_now_ms() < begin + 2;
    }
    return ostler_stream_printf(s, "%d\n", early);
}

START_TEST(a_late_wake_up_ends_no_other_wait)
{
    static const struct ostler_stream_handler sleeper = { .handle = sleep_between_names };
    struct ostler_server_options options = options_of(_i);
    struct harness_server h;
    int client;

    options.stream = &sleeper;
    harness_start(&h, &options);
    client = harness_connect(h.server);
    ck_assert(harness_expect(client, "0\n"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_crowd_is_resolved_by_sixty_four_helpers)
{
    struct harness_server h;
    int clients[CROWD];

    start(&h, _i);
    for (int i = 0; i < CROWD; i++) {
        clients[i] = harness_connect(h.server);
        ck_assert_int_ge(clients[i], 0);
        ck_assert(harness_say(clients[i], "hang\n"));
    }
    ck_assert(harness_wait(&world->entered, HELPERS));
    harness_raise(&world->gate);
    for (int i = 0; i < CROWD; i++) {
        ck_assert(harness_expect(clients[i], "0\n"));
        close(clients[i]);
    }
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_eq(atomic_load(&world->resolved), CROWD);
    ck_assert_int_eq(atomic_load(&world->most), HELPERS);
}
END_TEST

/* ---- Callbacks ---- */

static void resolve_in_callback(void *arg)
{
    int *results = arg;

    results[0] = resolve("127.0.0.1", LONG);
    results[1] = resolve("host", LONG);
    results[2] = resolve("host", 0);
}

START_TEST(a_callback_must_not_wait_for_a_name)
{
    struct harness_reactor h;
    int results[3] = { 1, 1, 1 };

    harness_reactor_init(&h);
    harness_reactor_start(&h);
    ck_assert(harness_call(h.reactor, resolve_in_callback, results));
    ck_assert_int_eq(results[0], 0);
    ck_assert_int_eq(results[1], -EDEADLK);
    ck_assert_int_eq(results[2], -ETIMEDOUT);
    ck_assert_int_eq(ostler_reactor_stop(h.reactor), 0);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    harness_reactor_fini(&h);
    ck_assert_int_eq(atomic_load(&world->resolved), 0);
}
END_TEST

/* ---- Children ---- */

START_TEST(no_helper_starts_while_a_forking_server_is_open)
{
    const struct ostler_server_options options = options_of(FORKING);
    struct ostler_server *forking;
    struct harness_server h;
    int client;

    start(&h, FIBERS);
    ck_assert_int_eq(ostler_server_new(&forking, &options, NULL), 0);
    ck_assert_int_eq(resolve("host", LONG), -EBUSY);
    ck_assert_int_eq(resolve("127.0.0.1", LONG), 0);
    client = harness_connect(h.server);
    ck_assert(harness_say(client, "host\n"));
    ck_assert_int_ge(client, 0);
    ck_assert(harness_wait(&world->answered, 1));
    ck_assert_int_eq(atomic_load(&world->result), -EBUSY);
    ck_assert(harness_log_has(&h.log, "names: \"host\" is not resolved while a forking server is open"));
    close(client);
    ostler_server_free(forking);
    ck_assert_int_eq(resolve("host", LONG), 0);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

START_TEST(a_forking_server_does_not_open_while_a_helper_runs)
{
    struct ostler_server_options options = options_of(FORKING);
    struct ostler_server *forking;
    struct harness_log log;
    uint64_t end = harness_now_ms() + (uint64_t)harness_deadline_ms();
    int error;

    harness_log_init(&log);
    options.log = &log.log;
    leave_hanging(1);
    ck_assert_int_eq(ostler_server_new(&forking, &options, NULL), -EBUSY);
    ck_assert(harness_log_has(&log, "names: a forking server does not open while"));
    harness_raise(&world->gate);
    while ((error = ostler_server_new(&forking, &options, NULL)) == -EBUSY && harness_now_ms() < end)
        sched_yield(); /* nothing tells when the thread has ended */
    ck_assert_int_eq(error, 0);
    ostler_server_free(forking);
    harness_log_fini(&log);
}
END_TEST

START_TEST(a_forking_server_opens_when_a_name_has_been_resolved)
{
    struct ostler_server_options options = options_of(FORKING);
    struct ostler_server *forking;

    atomic_store(&world->lingers, true);
    ck_assert_int_eq(resolve("host", LONG), 0);
    ck_assert_int_eq(ostler_server_new(&forking, &options, NULL), 0);
    harness_raise(&world->gate);
    ostler_server_free(forking);
}
END_TEST

START_TEST(a_process_forked_from_one_with_helpers_has_none_of_them)
{
    int status = -1;
    pid_t child;

    leave_hanging(HELPERS);
    child = fork();
    if (child == 0)
        _exit(resolve("host", LONG) == 0 && resolve("eai-2", LONG) == -ENOENT ? 7 : 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    harness_raise(&world->gate);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}
END_TEST

static TCase *new_case(Suite *suite, const char *name)
{
    TCase *tc = tcase_create(name);

    /* Their ends run in the opposite order: the world lives until the threads were counted. */
    tcase_add_checked_fixture(tc, open_world, close_world);
    harness_fixture(tc);
    suite_add_tcase(suite, tc);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("lookup");
    TCase *tc = new_case(suite, "threads");

    tcase_add_test(tc, a_name_is_resolved_in_a_helper);
    tcase_add_test(tc, a_number_needs_no_helper);
    tcase_add_test(tc, a_name_where_a_number_is_due_is_not_resolved);
    tcase_add_test(tc, what_the_resolver_says_becomes_an_errno);
    tcase_add_test(tc, what_makes_no_sense_is_refused);
    tcase_add_test(tc, a_timeout_holds_while_the_resolver_hangs);
    tcase_add_test(tc, helpers_block_all_signals);
    tcase_add_test(tc, what_is_lacking_is_told);
    tcase_add_test(tc, without_a_thread_of_its_own_a_name_waits_for_one_that_runs);
    tcase_add_test(tc, beyond_the_most_helpers_a_name_times_out_in_the_queue);
    tc = new_case(suite, "handlers");
    tcase_add_loop_test(tc, a_handler_resolves_a_name, 0, MIXINS);
    tcase_add_loop_test(tc, a_resolver_that_hangs_harms_only_its_caller, 0, MIXINS);
    tcase_add_loop_test(tc, a_cancelled_request_leaves_a_resolver_that_hangs, 0, MIXINS);
    tcase_add_loop_test(tc, a_server_stops_while_a_resolver_hangs, 0, MIXINS);
    tcase_add_loop_test(tc, a_late_wake_up_ends_no_other_wait, 0, MIXINS);
    tcase_add_loop_test(tc, a_crowd_is_resolved_by_sixty_four_helpers, THREADING, FORKING);
    tc = new_case(suite, "callbacks and children");
    tcase_add_test(tc, a_callback_must_not_wait_for_a_name);
    tcase_add_test(tc, no_helper_starts_while_a_forking_server_is_open);
    tcase_add_test(tc, a_forking_server_does_not_open_while_a_helper_runs);
    tcase_add_test(tc, a_forking_server_opens_when_a_name_has_been_resolved);
    if (!getenv("OSTLER_SANITIZED")) /* which start no threads in such a child */
        tcase_add_test(tc, a_process_forked_from_one_with_helpers_has_none_of_them);
    return harness_main(suite);
}
