#include "support/harness.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { DEADLINE_MS = 5000, SILENCE_MS = 50, LOG_SIZE = 32 * 1024 * 1024 };

long harness_slow(void)
{
    const char *text = getenv("OSTLER_SLOW");
    long factor = text ? strtol(text, NULL, 10) : 1;

    return factor > 1 ? factor : 1;
}

long harness_deadline_ms(void)
{
    return DEADLINE_MS * harness_slow();
}

uint64_t harness_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- Descriptors and threads ---- */

static size_t entries(const char *path)
{
    DIR *directory = opendir(path);
    size_t n = 0;

    if (!directory)
        return 0;
    for (struct dirent *d; (d = readdir(directory));)
        n += d->d_name[0] != '.';
    closedir(directory);
    return n;
}

size_t harness_descriptors(void)
{
    return entries("/proc/self/fd") - 1; /* the one that counts */
}

size_t harness_threads(void)
{
    return entries("/proc/self/task");
}

static size_t descriptors_before, threads_before;

static void setup(void)
{
    descriptors_before = harness_descriptors();
    threads_before = harness_threads();
}

/* A thread stands in /proc for a moment after pthread_join(), and nothing tells when
 * it no longer does: the one place where we look again and again. */
bool harness_settle(size_t descriptors_more)
{
    uint64_t end = harness_now_ms() + (uint64_t)harness_deadline_ms();

    while (harness_threads() > threads_before || harness_descriptors() != descriptors_before + descriptors_more) {
        if (harness_now_ms() >= end)
            return false;
        poll(NULL, 0, 1);
    }
    return true;
}

static void teardown(void)
{
    harness_settle(0);
    ck_assert_uint_le(harness_threads(), threads_before);
    ck_assert_uint_eq(harness_descriptors(), descriptors_before);
}

void harness_fixture(TCase *tc)
{
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, (double)harness_deadline_ms() * 12 / 1000);
}

TCase *harness_case(Suite *suite, const char *name)
{
    TCase *tc = tcase_create(name);

    harness_fixture(tc);
    suite_add_tcase(suite, tc);
    return tc;
}

static void *do_nothing(void *arg)
{
    return arg;
}

/* A sanitizer starts a thread of its own along with the first one: let it be counted. */
static void start_helpers(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, do_nothing, NULL) == 0)
        pthread_join(thread, NULL);
}

int harness_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    start_helpers();
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- Shared memory ---- */

void *harness_share(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

void harness_unshare(void *memory, size_t size)
{
    if (memory)
        munmap(memory, size);
}

static void init_shared(pthread_mutex_t *lock, pthread_cond_t *cond)
{
    pthread_mutexattr_t mutex;
    pthread_condattr_t condition;

    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(lock, &mutex);
    pthread_mutexattr_destroy(&mutex);
    pthread_condattr_init(&condition);
    pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(cond, &condition);
    pthread_condattr_destroy(&condition);
}

/* ---- Events ---- */

static struct timespec deadline(void)
{
    struct timespec t;
    long ms = harness_deadline_ms();

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* Wait on cond; false once until has passed. */
static bool wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, const struct timespec *until)
{
    return pthread_cond_clockwait(cond, lock, CLOCK_MONOTONIC, until) != ETIMEDOUT;
}

void harness_event_init(struct harness_event *event)
{
    init_shared(&event->lock, &event->raised);
    event->count = 0;
}

void harness_raise(struct harness_event *event)
{
    pthread_mutex_lock(&event->lock);
    event->count++;
    pthread_cond_broadcast(&event->raised);
    pthread_mutex_unlock(&event->lock);
}

int harness_count(struct harness_event *event)
{
    int count;

    pthread_mutex_lock(&event->lock);
    count = event->count;
    pthread_mutex_unlock(&event->lock);
    return count;
}

bool harness_wait(struct harness_event *event, int count)
{
    struct timespec until = deadline();
    bool reached;

    pthread_mutex_lock(&event->lock);
    while (event->count < count && wait_until(&event->raised, &event->lock, &until))
        continue;
    reached = event->count >= count;
    pthread_mutex_unlock(&event->lock);
    return reached;
}

/* ---- The log ---- */

struct harness_lines {
    pthread_mutex_t lock;
    pthread_cond_t more;
    size_t length;
    char text[LOG_SIZE];
};

static void write_line(void *user, int level, const char *line)
{
    struct harness_lines *lines = user;
    const char *name = ostler_log_level_name(level);
    size_t size = strlen(line) + 16;

    pthread_mutex_lock(&lines->lock);
    if (lines->length + size <= LOG_SIZE) {
        lines->length += (size_t)snprintf(lines->text + lines->length, size, "%s %s\n", name ? name : "?", line);
        pthread_cond_broadcast(&lines->more);
    }
    pthread_mutex_unlock(&lines->lock);
}

void harness_log_init(struct harness_log *log)
{
    struct harness_lines *lines = harness_share(sizeof(*lines));

    if (!lines)
        abort();
    init_shared(&lines->lock, &lines->more);
    *log = (struct harness_log){
        .log = { .level = OSTLER_LOG_DEBUG, .write = write_line, .user = lines },
        .lines = lines,
        .text = lines->text,
    };
}

void harness_log_fini(struct harness_log *log)
{
    harness_unshare(log->lines, sizeof(*log->lines));
    log->lines = NULL;
    log->text = NULL;
}

static int occurrences(const char *text, const char *part)
{
    int n = 0;

    for (; text && (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

int harness_log_count(struct harness_log *log, const char *part)
{
    int n;

    pthread_mutex_lock(&log->lines->lock);
    n = occurrences(log->text, part);
    pthread_mutex_unlock(&log->lines->lock);
    return n;
}

bool harness_log_has(struct harness_log *log, const char *part)
{
    return harness_log_count(log, part) > 0;
}

bool harness_log_wait(struct harness_log *log, const char *part)
{
    struct timespec until = deadline();
    bool found;

    pthread_mutex_lock(&log->lines->lock);
    while (!(found = occurrences(log->text, part) > 0) && wait_until(&log->lines->more, &log->lines->lock, &until))
        continue;
    pthread_mutex_unlock(&log->lines->lock);
    return found;
}

/* ---- A server ---- */

static void *serve(void *arg)
{
    struct harness_server *h = arg;

    h->result = ostler_server_serve_forever(h->server);
    return NULL;
}

bool harness_is_unix(void)
{
    return getenv("OSTLER_KIND") && strcmp(getenv("OSTLER_KIND"), "unix") == 0;
}

const char *harness_address(void)
{
    static _Thread_local char text[OSTLER_ADDRESS_TEXT];
    static atomic_uint count;

    if (!harness_is_unix())
        return "tcp:127.0.0.1:0";
    snprintf(text, sizeof(text), "unix:@ostler-test-%d-%u", (int)getpid(), atomic_fetch_add(&count, 1));
    return text;
}

void harness_start(struct harness_server *h, const struct ostler_server_options *options)
{
    struct ostler_server_options o = *options;

    harness_log_init(&h->log);
    h->result = 0;
    if (!o.log)
        o.log = &h->log.log;
    ck_assert_int_eq(ostler_server_new(&h->server, &o, NULL), 0);
    ck_assert_int_eq(pthread_create(&h->thread, NULL, serve, h), 0);
}

int harness_join(struct harness_server *h)
{
    pthread_join(h->thread, NULL);
    return h->result;
}

void harness_free(struct harness_server *h)
{
    ostler_server_free(h->server);
    harness_log_fini(&h->log);
}

int harness_stop(struct harness_server *h)
{
    int result;

    ostler_server_shutdown(h->server);
    result = harness_join(h);
    harness_free(h);
    return result;
}

/* What harness_call() posts; on the heap, since the call may give up on it. */
struct call {
    void (*function)(void *arg);
    void *arg;
    struct harness_event done;
    bool abandoned;
};

static void run_call(void *arg)
{
    struct call *call = arg;
    bool abandoned;

    pthread_mutex_lock(&call->done.lock);
    abandoned = call->abandoned;
    pthread_mutex_unlock(&call->done.lock);
    if (abandoned) {
        free(call);
        return;
    }
    call->function(call->arg);
    harness_raise(&call->done);
}

bool harness_call(struct ostler_reactor *reactor, void (*function)(void *arg), void *arg)
{
    struct call *call = malloc(sizeof(*call));
    bool done;

    if (!call)
        return false;
    *call = (struct call){ .function = function, .arg = arg, .done = HARNESS_EVENT };
    if (ostler_reactor_post(reactor, run_call, call) < 0) {
        free(call);
        return false;
    }
    done = harness_wait(&call->done, 1);
    if (done) {
        free(call);
        return true;
    }
    pthread_mutex_lock(&call->done.lock);
    call->abandoned = true;
    pthread_mutex_unlock(&call->done.lock);
    return false;
}

/* ---- A reactor ---- */

static void *run(void *arg)
{
    struct harness_reactor *h = arg;

    h->result = ostler_reactor_run(h->reactor);
    return NULL;
}

void harness_reactor_init(struct harness_reactor *h)
{
    harness_log_init(&h->log);
    h->result = 0;
    ck_assert_int_eq(ostler_reactor_new(&h->reactor, &h->log.log), 0);
}

void harness_reactor_start(struct harness_reactor *h)
{
    ck_assert_int_eq(pthread_create(&h->thread, NULL, run, h), 0);
}

int harness_reactor_join(struct harness_reactor *h)
{
    pthread_join(h->thread, NULL);
    return h->result;
}

void harness_reactor_fini(struct harness_reactor *h)
{
    ostler_reactor_free(h->reactor);
    harness_log_fini(&h->log);
}

/* ---- A client ---- */

/* Wait for events on fd. 0 or -errno. */
static int wait_for(int fd, short events, uint64_t end)
{
    struct pollfd p = { .fd = fd, .events = events };
    uint64_t now = harness_now_ms();
    int n;

    do
        n = poll(&p, 1, end > now ? (int)(end - now) : 0);
    while (n < 0 && errno == EINTR);
    return n > 0 ? 0 : n == 0 ? -ETIMEDOUT : -errno;
}

static uint64_t client_deadline(void)
{
    return harness_now_ms() + (uint64_t)harness_deadline_ms();
}

union socket_address {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

static socklen_t resolve_unix(struct sockaddr_un *un, const char *path)
{
    size_t n = strlen(path);

    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, n);
    if (*path == '@')
        un->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (*path != '@'));
}

/* The address as the kernel wants it, from its text; a wildcard becomes loopback. */
static socklen_t resolve(union socket_address *out, const struct ostler_address *address)
{
    char text[OSTLER_ADDRESS_TEXT] = "";
    int port = ostler_address_port(address);
    bool is_ipv6;

    ostler_address_text(address, text, sizeof(text));
    is_ipv6 = strncmp(text, "tcp:[", 5) == 0;
    memset(out, 0, sizeof(*out));
    if (strncmp(text, "unix:", 5) == 0)
        return resolve_unix(&out->un, text + 5);
    if (is_ipv6) {
        out->in6.sin6_family = AF_INET6;
        out->in6.sin6_port = htons((uint16_t)port);
        out->in6.sin6_addr = in6addr_loopback;
        return sizeof(out->in6);
    }
    out->in.sin_family = AF_INET;
    out->in.sin_port = htons((uint16_t)port);
    out->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof(out->in);
}

int harness_connect_to(const struct ostler_address *address, int receive_buffer)
{
    union socket_address to;
    socklen_t size = resolve(&to, address);
    int fd = socket(to.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), error;

    if (fd < 0)
        return -errno;
    if (receive_buffer > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    do
        error = connect(fd, &to.sa, size) < 0 ? -errno : 0;
    while (error == -EINTR);
    if (error < 0) {
        close(fd);
        return error;
    }
    return fd;
}

int harness_connect(const struct ostler_server *server)
{
    return harness_connect_to(ostler_server_address(server, 0), 0);
}

bool harness_send(int fd, const void *data, size_t n)
{
    uint64_t end = client_deadline();
    const char *rest = data;

    while (n > 0) {
        ssize_t sent;

        if (wait_for(fd, POLLOUT, end) < 0)
            return false;
        sent = send(fd, rest, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (sent > 0) {
            rest += sent;
            n -= (size_t)sent;
        }
    }
    return true;
}

bool harness_say(int fd, const char *text)
{
    return harness_send(fd, text, strlen(text));
}

static ssize_t receive_until(int fd, void *buffer, size_t n, uint64_t end)
{
    for (;;) {
        int error = wait_for(fd, POLLIN, end);
        ssize_t got;

        if (error < 0)
            return error;
        got = recv(fd, buffer, n, MSG_DONTWAIT);
        if (got >= 0)
            return got;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
    }
}

ssize_t harness_receive_once(int fd, void *buffer, size_t n)
{
    return receive_until(fd, buffer, n, client_deadline());
}

ssize_t harness_receive(int fd, void *buffer, size_t n)
{
    uint64_t end = client_deadline();
    size_t have = 0;

    while (have < n) {
        ssize_t got = receive_until(fd, (char *)buffer + have, n - have, end);

        if (got < 0)
            return got;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

bool harness_expect(int fd, const char *text)
{
    size_t n = strlen(text);
    char *got = calloc(1, n + 1);
    ssize_t count = got ? harness_receive(fd, got, n) : -ENOMEM;
    bool same = count == (ssize_t)n && memcmp(got, text, n) == 0;

    if (!same)
        fprintf(stderr, "expected \"%s\", got %zd: \"%s\"\n", text, count, got ? got : "");
    free(got);
    return same;
}

bool harness_expect_end(int fd)
{
    char byte;

    return harness_receive_once(fd, &byte, 1) == 0;
}

bool harness_expect_reset(int fd)
{
    char byte;

    return harness_receive_once(fd, &byte, 1) == -ECONNRESET;
}

bool harness_is_silent(int fd)
{
    return wait_for(fd, POLLIN, harness_now_ms() + (uint64_t)(SILENCE_MS * harness_slow())) == -ETIMEDOUT;
}
