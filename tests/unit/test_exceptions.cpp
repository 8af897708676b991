// C++ handlers that wait while an exception is on its way: each has its own, under every mix-in
// that runs several at once.
extern "C" {
#include "support/harness.h"
}

#include <exception>
#include <stdexcept>
#include <string>
#include <unistd.h>

namespace {

const ostler_mixin *const mixins[] = { &ostler_fibers, &ostler_threading, &ostler_forking };

int say(ostler_stream *s, const char *text)
{
    return ostler_stream_printf(s, "%s\n", text);
}

std::string hear(ostler_stream *s)
{
    char line[64] = "";

    ostler_stream_read_line(s, line, sizeof(line));
    return line;
}

// Throw what the client says, wait for it in the catch block, and throw it again.
int catch_and_wait(ostler_stream *s)
{
    try {
        try {
            throw std::runtime_error(hear(s));
        } catch (const std::exception &) {
            say(s, "caught");
            hear(s);
            throw;
        }
    } catch (const std::exception &e) {
        return ostler_stream_printf(s, "%s", e.what());
    }
}

// Waits as it is destroyed.
struct Farewell {
    ostler_stream *s;

    ~Farewell()
    {
        ostler_stream_printf(s, "%d\n", std::uncaught_exceptions());
        hear(s);
        ostler_stream_printf(s, "%d\n", std::uncaught_exceptions());
    }
};

// Wait while the stack is unwound, if the client says "throw", and else without an exception.
int unwind_and_wait(ostler_stream *s)
{
    const bool throws = hear(s) == "throw\n";

    try {
        const Farewell farewell{ s };

        if (throws)
            throw std::runtime_error("unwound");
    } catch (const std::exception &e) {
        return say(s, e.what());
    }
    return say(s, "returned");
}

struct Server {
    harness_server h;
    ostler_stream_handler handler{};
    int one, other;

    Server(int mixin, int (*handle)(ostler_stream *))
    {
        ostler_server_options options{};

        handler.handle = handle;
        options.address = "tcp:127.0.0.1:0";
        options.stream = &handler;
        options.mixin = mixins[mixin];
        harness_start(&h, &options);
        one = harness_connect(h.server);
        other = harness_connect(h.server);
    }

    // Say something, and hear the answer.
    static void ask(int client, const char *text, const char *answer)
    {
        ck_assert(harness_say(client, text));
        ck_assert(harness_expect(client, answer));
    }

    void stop()
    {
        close(one);
        close(other);
        ck_assert_int_eq(harness_stop(&h), 0);
    }
};

} // namespace

START_TEST(what_is_thrown_again_is_what_was_caught)
{
    Server server(_i, catch_and_wait);

    server.ask(server.one, "one\n", "caught\n");
    server.ask(server.other, "other\n", "caught\n");
    server.ask(server.one, "go on\n", "one\n");
    server.ask(server.other, "go on\n", "other\n");
    server.stop();
}
END_TEST

START_TEST(exceptions_on_their_way_are_counted_for_each)
{
    Server server(_i, unwind_and_wait);

    server.ask(server.one, "throw\n", "1\n");
    server.ask(server.other, "return\n", "0\n");
    server.ask(server.one, "go on\n", "1\nunwound\n");
    server.ask(server.other, "go on\n", "0\nreturned\n");
    server.stop();
}
END_TEST

int main()
{
    Suite *suite = suite_create("exceptions");
    TCase *tc = harness_case(suite, "waiting");
    const int count = sizeof(mixins) / sizeof(mixins[0]);

    tcase_add_loop_test(tc, what_is_thrown_again_is_what_was_caught, 0, count);
    tcase_add_loop_test(tc, exceptions_on_their_way_are_counted_for_each, 0, count);
    return harness_main(suite);
}
