/* Fibers' stacks: that they are given back, what guards them, what they cost, and how a
 * handler dies that overflows one. What handlers do on fibers is in the suites of streams,
 * which run on every mix-in. */
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/harness.h"

enum { GUARD_INSTALL = 102, KIB = 1024, STACK = 256 * KIB, SLAB = 16, RESERVE = 16 };

/* ---- The kernel, as the library finds it ---- */

static atomic_bool has_light_guards = true; /* unless the kernel has none anyway */
enum { NOTHING, MAPPING, PROTECTION };
static atomic_int lacking;
static atomic_int maps;
static struct harness_event unmaps = HARNESS_EVENT, trims = HARNESS_EVENT;

void *__real_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t size);
int __wrap_munmap(void *address, size_t size);
int __real_mprotect(void *address, size_t size, int protection);
int __wrap_mprotect(void *address, size_t size, int protection);
int __real_madvise(void *address, size_t size, int advice);
int __wrap_madvise(void *address, size_t size, int advice);

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    atomic_fetch_add(&maps, 1);
    if (atomic_load(&lacking) != MAPPING)
        return __real_mmap(address, size, protection, flags, fd, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

int __wrap_munmap(void *address, size_t size)
{
    harness_raise(&unmaps);
    return __real_munmap(address, size);
}

int __wrap_mprotect(void *address, size_t size, int protection)
{
    if (atomic_load(&lacking) != PROTECTION)
        return __real_mprotect(address, size, protection);
    errno = ENOMEM;
    return -1;
}

int __wrap_madvise(void *address, size_t size, int advice)
{
    int result;

    if (advice == GUARD_INSTALL && !atomic_load(&has_light_guards)) {
        errno = EINVAL;
        return -1;
    }
    result = __real_madvise(address, size, advice);
    if (advice == MADV_DONTNEED)
        harness_raise(&trims);
    return result;
}

static bool kernel_has_light_guards(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *memory = __real_mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool has = memory != MAP_FAILED && __real_madvise(memory, page, GUARD_INSTALL) == 0;

    __real_munmap(memory, page);
    return has;
}

/* Each test of guards runs with both kinds: _i is whether they are light. */
static void give_guards(int light)
{
    atomic_store(&has_light_guards, light);
}

static bool is_sanitized(void)
{
    return getenv("OSTLER_SANITIZED") != NULL;
}

/* ---- The handler: it does what the line says ---- */

static _Atomic(char *) frame; /* where its stack was, the last time */

/* Each call has a frame of its own, since it writes to the one above, too. */
static int dig(size_t depth, volatile char *above)
{
    volatile char used[KIB];

    *above = used[0] = used[KIB - 1] = (char)depth;
    return depth <= KIB ? used[0] : dig(depth - KIB, used) + used[KIB - 1];
}

static const char *obey(const char *order)
{
    volatile uintptr_t nothing = 4096; /* is mapped there: not NULL, which a sanitizer would notice before */
    volatile char top;
    stack_t now;

    if (strcmp(order, "dig\n") == 0)
        return dig(128 * (size_t)KIB, &top) < 0 ? "dug\n" : "dug.\n";
    if (strcmp(order, "overflow\n") == 0)
        return dig(SIZE_MAX, &top) < 0 ? "how\n" : "so\n";
    if (strcmp(order, "fault\n") == 0)
        *(volatile int *)nothing = 1;
    if (strcmp(order, "raise\n") == 0)
        raise(SIGSEGV);
    if (strcmp(order, "alternate\n") == 0)
        return sigaltstack(NULL, &now) == 0 && !(now.ss_flags & SS_DISABLE) ? "one\n" : "none\n";
    return order;
}

static int obedient_handle(struct ostler_stream *s)
{
    char line[64];
    ssize_t n;

    atomic_store(&frame, (char *)__builtin_frame_address(0));
    while ((n = ostler_stream_read_line(s, line, sizeof(line))) > 0) {
        int error = ostler_stream_printf(s, "%s", obey(line));

        if (error < 0)
            return error;
    }
    return (int)n;
}

static const struct ostler_stream_handler obedient = { .handle = obedient_handle };

static struct ostler_server_options options_for(const char *address)
{
    return (struct ostler_server_options){
        .name = "digger", .address = address, .stream = &obedient, .mixin = &ostler_fibers,
    };
}

static bool answers(int client, const char *order, const char *answer)
{
    return client >= 0 && harness_say(client, order) && harness_expect(client, answer);
}

static int greeted(struct ostler_server *server)
{
    int client = harness_connect(server);

    ck_assert(answers(client, "hello\n", "hello\n"));
    return client;
}

/* An address in the abstract namespace: TCP runs out of ports. */
static const char *unix_address(char text[64])
{
    static int count;

    snprintf(text, 64, "unix:@ostler-fibers-%d-%d", (int)getpid(), count++);
    return text;
}

/* ---- Given back ---- */

enum { CROWD = 400, SLABS = CROWD / SLAB };

START_TEST(a_crowds_stacks_are_unmapped_when_it_has_gone)
{
    char address[64];
    struct ostler_server_options options = options_for(unix_address(address));
    struct harness_server h;
    int clients[CROWD], before;

    give_guards(_i);
    harness_start(&h, &options);
    for (int i = 0; i < CROWD; i++)
        clients[i] = greeted(h.server);
    before = harness_count(&unmaps);
    for (int i = 0; i < CROWD; i++)
        close(clients[i]);
    ck_assert(harness_wait(&unmaps, before + SLABS - RESERVE)); /* the reserve's fibers may stand in a slab each */
    close(greeted(h.server));
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert_int_ge(harness_count(&unmaps), before + SLABS);
}
END_TEST

enum { WAVE = 60, REQUESTS = 100000, STEADY_MS = 4000 };

static size_t allocated(void)
{
    return mallinfo2().uordblks;
}

/* Clients come together and go together: at times all fibers are in use, at times none. */
static void make_wave(struct ostler_server *server)
{
    int clients[WAVE];

    for (int i = 0; i < WAVE; i++)
        clients[i] = greeted(server);
    for (int i = 0; i < WAVE; i++) {
        shutdown(clients[i], SHUT_WR);
        ck_assert(harness_expect_end(clients[i]));
        close(clients[i]);
    }
}

START_TEST(a_steady_load_maps_and_unmaps_nothing_and_does_not_grow)
{
    char address[64];
    struct ostler_server_options options = options_for(unix_address(address));
    struct harness_server h;
    int mapped, unmapped;
    size_t before;
    uint64_t begun = harness_now_ms();

    harness_start(&h, &options);
    make_wave(h.server);
    mapped = atomic_load(&maps);
    unmapped = harness_count(&unmaps);
    before = allocated();
    for (int i = 0; i * WAVE < REQUESTS / harness_slow() || harness_now_ms() < begun + STEADY_MS; i++)
        make_wave(h.server);
    ck_assert_int_eq(atomic_load(&maps), mapped);
    ck_assert_int_eq(harness_count(&unmaps), unmapped);
    ck_assert_uint_le(allocated(), before + 64 * (size_t)KIB);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* How many pages are resident between two places below the handler's frame. */
static int resident(size_t from, size_t to)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *first = (char *)(((uintptr_t)atomic_load(&frame) - to) / page * page);
    unsigned char pages[256];
    int count = 0;

    ck_assert_uint_le((to - from) / page, sizeof(pages));
    ck_assert_int_eq(mincore(first, to - from, pages), 0);
    for (size_t i = 0; i < (to - from) / page; i++)
        count += pages[i] & 1;
    return count;
}

START_TEST(what_a_deep_call_touched_is_given_back_while_the_fiber_waits)
{
    struct ostler_server_options options = options_for("tcp:127.0.0.1:0");
    struct harness_server h;
    int client;

    harness_start(&h, &options);
    client = harness_connect(h.server);
    for (int i = 1; i <= 2; i++) {
        int before = harness_count(&trims);

        ck_assert(answers(client, "dig\n", "dug.\n"));
        ck_assert_int_gt(resident(16 * KIB, 120 * KIB), 20);
        ck_assert(harness_wait(&trims, before + 1));
        ck_assert_int_eq(resident(16 * KIB, 120 * KIB), 0);
    }
    ck_assert(answers(client, "still there\n", "still there\n"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- Mappings ---- */

static int mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    int lines = 0, c;

    while (file && (c = getc(file)) != EOF)
        lines += c == '\n';
    if (file)
        fclose(file);
    return lines;
}

static int max_map_count(void)
{
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    char text[32] = "";

    ck_assert(file && fgets(text, sizeof(text), file));
    fclose(file);
    return (int)strtol(text, NULL, 10);
}

enum { MANY = 60000, SOME = 1000, OTHERS = 200 };

/* As many as descriptors allow, of which each process needs some for itself. */
static int attainable(void)
{
    struct rlimit limit;
    int most = is_sanitized() ? SOME : MANY;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur < (rlim_t)most + OTHERS ? (int)limit.rlim_cur - OTHERS : most;
}

static bool connects(int fd, const char *address)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    size_t n = strlen(address + strlen("unix:"));

    memcpy(un.sun_path, address + strlen("unix:"), n);
    un.sun_path[0] = '\0';
    return connect(fd, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) == 0;
}

static bool meet(const char *address, int count)
{
    int fd = -1;

    for (int i = 0; i < count; i++) {
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (fd < 0 || !connects(fd, address) || !harness_say(fd, "hi\n"))
            return false;
    }
    return harness_expect(fd, "hi\n"); /* the last one is served, then all are */
}

/* Another process, which connects count clients once it is told to, tells, and keeps them until
 * its line is closed. Return that line. */
static int start_crowd(const char *address, int count, pid_t *pid)
{
    int line[2];
    char byte;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line), 0);
    *pid = fork();
    if (*pid == 0) {
        close(line[0]);
        if (read(line[1], &byte, 1) == 1 && meet(address, count) && write(line[1], "!", 1) == 1)
            _exit(read(line[1], &byte, 1) == 0 ? 0 : 1);
        _exit(1);
    }
    close(line[1]);
    return line[0];
}

START_TEST(thousands_of_stacks_take_few_mappings)
{
    int count = attainable(), before, most, crowd;
    char address[64];
    struct ostler_server_options options = options_for(unix_address(address));
    struct harness_server h;
    pid_t pid;

    give_guards(_i);
    crowd = start_crowd(address, count, &pid);
    options.max_requests = count;
    harness_start(&h, &options);
    before = mappings();
    ck_assert(harness_say(crowd, "?"));
    ck_assert(harness_expect(crowd, "!"));
    most = mappings() - before;
    printf("%d fibers at once take %d mappings\n", count, most);
    if (!is_sanitized()) /* ThreadSanitizer maps much for each fiber */
        ck_assert_int_le(most, (_i && kernel_has_light_guards() ? count / SLAB : count * 2) + OTHERS);
    close(crowd);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert(is_sanitized() || mappings() <= before + OTHERS);
}
END_TEST

/* Does a server that opens with max_requests warn? */
static bool warns(int max_requests)
{
    struct ostler_server_options options = options_for("tcp:127.0.0.1:0");
    struct harness_log log;
    struct ostler_server *server;
    bool warned;

    harness_log_init(&log);
    options.max_requests = max_requests;
    options.log = &log.log;
    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    warned = harness_log_has(&log, "warning digger: the stacks of max_requests = ") &&
             harness_log_has(&log, "sysctl vm.max_map_count=");
    ck_assert_int_eq(warned, harness_log_has(&log, "max_map_count"));
    ostler_server_free(server);
    harness_log_fini(&log);
    return warned;
}

START_TEST(a_limit_of_mappings_that_is_too_low_is_told)
{
    int limit = max_map_count();

    give_guards(false);
    ck_assert(warns(limit / 2));
    ck_assert(!warns(limit / 4));
    give_guards(true);
    ck_assert_int_eq(warns(limit / 2), !kernel_has_light_guards());
    if (kernel_has_light_guards())
        ck_assert(warns(limit > INT32_MAX / SLAB ? INT32_MAX : limit * SLAB) || limit > INT32_MAX / SLAB);
}
END_TEST

static const struct {
    int light, lacking;
} lacks[] = { { false, MAPPING }, { true, MAPPING }, { false, PROTECTION } };

enum { LACKS = sizeof(lacks) / sizeof(lacks[0]) };

START_TEST(without_room_for_a_stack_the_others_go_on)
{
    struct ostler_server_options options = options_for("tcp:127.0.0.1:0");
    struct harness_server h;
    int clients[SLAB], waiting, next;

    give_guards(lacks[_i].light);
    harness_start(&h, &options);
    for (int i = 0; i < SLAB; i++)
        clients[i] = greeted(h.server);
    atomic_store(&lacking, lacks[_i].lacking);
    waiting = harness_connect(h.server);
    ck_assert(harness_log_wait(&h.log, "Cannot allocate memory"));
    ck_assert(answers(clients[1], "and you\n", "and you\n"));
    close(clients[0]);
    clients[0] = waiting;
    ck_assert(answers(waiting, "me too\n", "me too\n")); /* on the stack that has become free */
    atomic_store(&lacking, NOTHING);
    next = greeted(h.server);
    close(next);
    for (int i = 0; i < SLAB; i++)
        close(clients[i]);
    ck_assert_int_eq(harness_stop(&h), 0);
}
END_TEST

/* ---- Overflows: in a process of its own, whose standard error is read ---- */

#define LAST_WORDS "digger: a handler has overflowed its stack of 262144 bytes; stack_size is the setting\n"

struct death {
    int status;
    char words[64 * 1024];
};

static void drop_line(void *user, int level, const char *line)
{
    (void)user;
    (void)level;
    (void)line;
}

static const struct ostler_log no_log = { .write = drop_line };

static int listen_anywhere(struct sockaddr_in *in)
{
    socklen_t size = sizeof(*in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    ck_assert_int_eq(bind(fd, (struct sockaddr *)in, size), 0);
    ck_assert_int_eq(listen(fd, 5), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)in, &size), 0);
    return fd;
}

static _Noreturn void serve(int listener, int words, void (*prepare)(void))
{
    char address[32] = "";
    struct ostler_server_options options = options_for(address);

    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    dup2(words, STDERR_FILENO);
    snprintf(address, sizeof(address), "fd:%d", listener);
    options.log = &no_log;
    if (prepare)
        prepare();
    ostler_serve_forever(&options);
    _exit(99);
}

static void read_words(struct death *out, int fd)
{
    ssize_t n = harness_receive(fd, out->words, sizeof(out->words) - 1);

    ck_assert_int_ge(n, 0);
    out->words[n] = '\0';
    close(fd);
}

/* How a process dies whose handler is given the order. */
static void die_of(struct death *out, const char *order, void (*prepare)(void))
{
    struct sockaddr_in in;
    int listener = listen_anywhere(&in), words[2], client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t pid;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, words), 0);
    fflush(NULL);
    pid = fork();
    if (pid == 0)
        serve(listener, words[1], prepare);
    close(words[1]);
    ck_assert_int_eq(connect(client, (struct sockaddr *)&in, sizeof(in)), 0);
    ck_assert(harness_say(client, order));
    read_words(out, words[0]);
    ck_assert_int_eq(waitpid(pid, &out->status, 0), pid);
    close(client);
    close(listener);
}

/* By the signal; a sanitizer, whose report it is, exits. */
static bool was_fatal(const struct death *d)
{
    if (is_sanitized())
        return WIFSIGNALED(d->status) || WEXITSTATUS(d->status) != 99;
    return WIFSIGNALED(d->status) && WTERMSIG(d->status) == SIGSEGV;
}

static void open_and_close_another(void)
{
    struct ostler_server_options options = options_for("tcp:127.0.0.1:0");
    struct ostler_server *server, *closed;

    options.name = "another";
    options.log = &no_log;
    if (ostler_server_new(&server, &options, NULL) < 0 || ostler_server_new(&closed, &options, NULL) < 0)
        _exit(98);
    ostler_server_free(closed);
}

static void (*const preparations[])(void) = { NULL, open_and_close_another };

enum { PREPARATIONS = sizeof(preparations) / sizeof(preparations[0]) };

START_TEST(an_overflow_names_the_service_and_the_setting)
{
    static struct death death;

    give_guards(_i % 2);
    die_of(&death, "overflow\n", preparations[_i / 2]);
    ck_assert(was_fatal(&death));
    if (!is_sanitized())
        ck_assert_str_eq(death.words, LAST_WORDS);
}
END_TEST

static const char *const faults[] = { "fault\n", "raise\n" };

START_TEST(another_fault_is_as_it_was)
{
    static struct death death;

    die_of(&death, faults[_i], NULL);
    ck_assert(was_fatal(&death));
    if (!is_sanitized())
        ck_assert_str_eq(death.words, "");
}
END_TEST

static void exit_42(int number)
{
    (void)number;
    _exit(42);
}

static void catch_faults(void)
{
    sigaction(SIGSEGV, &(struct sigaction){ .sa_handler = exit_42, .sa_flags = SA_ONSTACK }, NULL);
}

static const char *const all_faults[] = { "overflow\n", "fault\n", "raise\n" };

START_TEST(a_program_that_catches_faults_gets_them_all)
{
    static struct death death;

    die_of(&death, all_faults[_i], catch_faults);
    ck_assert(WIFEXITED(death.status));
    ck_assert_int_eq(WEXITSTATUS(death.status), 42);
    ck_assert_str_eq(death.words, "");
}
END_TEST

static struct sigaction disposition(void)
{
    struct sigaction now;

    ck_assert_int_eq(sigaction(SIGSEGV, NULL, &now), 0);
    return now;
}

START_TEST(the_disposition_is_ours_only_while_a_server_is_open)
{
    struct ostler_server_options options = options_for("tcp:127.0.0.1:0");
    struct sigaction before = disposition();
    struct harness_server one, two;

    harness_start(&one, &options);
    ck_assert_int_eq(disposition().sa_handler == before.sa_handler, before.sa_handler != SIG_DFL);
    harness_start(&two, &options);
    ck_assert_int_eq(harness_stop(&one), 0);
    ck_assert_int_eq(disposition().sa_handler == before.sa_handler, before.sa_handler != SIG_DFL);
    ck_assert_int_eq(harness_stop(&two), 0);
    ck_assert(disposition().sa_handler == before.sa_handler);
}
END_TEST

START_TEST(a_handler_that_the_program_sets_later_stays)
{
    struct ostler_server_options options = options_for("tcp:127.0.0.1:0");
    struct sigaction before = disposition();
    struct harness_server h;

    harness_start(&h, &options);
    catch_faults();
    ck_assert_int_eq(harness_stop(&h), 0);
    ck_assert(disposition().sa_handler == exit_42);
    ck_assert_int_eq(sigaction(SIGSEGV, &before, NULL), 0);
}
END_TEST

static bool has_alternate_stack(void)
{
    stack_t now;

    ck_assert_int_eq(sigaltstack(NULL, &now), 0);
    return !(now.ss_flags & SS_DISABLE);
}

START_TEST(the_thread_has_an_alternate_stack_while_it_serves)
{
    struct ostler_server_options options = options_for("tcp:127.0.0.1:0");
    bool before = has_alternate_stack();
    struct ostler_server *server;
    int client;

    ck_assert_int_eq(ostler_server_new(&server, &options, NULL), 0);
    client = harness_connect(server);
    ck_assert(harness_say(client, "alternate\n"));
    shutdown(client, SHUT_WR);
    ck_assert_int_eq(ostler_server_handle_request(server), 1);
    ck_assert(harness_expect(client, "one\n"));
    ck_assert_int_eq(has_alternate_stack(), before);
    ostler_server_free(server);
    ck_assert_int_eq(has_alternate_stack(), before);
    close(client);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fibers");
    TCase *tc = harness_case(suite, "memory");

    tcase_add_loop_test(tc, a_crowds_stacks_are_unmapped_when_it_has_gone, 0, 2);
    tcase_add_test(tc, a_steady_load_maps_and_unmaps_nothing_and_does_not_grow);
    tcase_add_test(tc, what_a_deep_call_touched_is_given_back_while_the_fiber_waits);
    tc = harness_case(suite, "mappings");
    tcase_add_loop_test(tc, thousands_of_stacks_take_few_mappings, 0, 2);
    tcase_add_test(tc, a_limit_of_mappings_that_is_too_low_is_told);
    tcase_add_loop_test(tc, without_room_for_a_stack_the_others_go_on, 0, LACKS);
    tc = harness_case(suite, "overflow");
    tcase_add_loop_test(tc, an_overflow_names_the_service_and_the_setting, 0, 2 * PREPARATIONS);
    tcase_add_loop_test(tc, another_fault_is_as_it_was, 0, 2);
    tcase_add_loop_test(tc, a_program_that_catches_faults_gets_them_all, 0, 3);
    tcase_add_test(tc, the_disposition_is_ours_only_while_a_server_is_open);
    tcase_add_test(tc, a_handler_that_the_program_sets_later_stays);
    tcase_add_test(tc, the_thread_has_an_alternate_stack_while_it_serves);
    return harness_main(suite);
}
