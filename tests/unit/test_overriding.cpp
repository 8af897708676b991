// Every slot of a server class can be overridden, from C++ too, for every kind of address under
// every mix-in, whether the class descends from the one of its kind or from none.
//
// C++17 has no designated initializers: a class is a value whose slots are assigned; a lambda
// without captures is a function.
extern "C" {
#include "support/matrix.h"
}

#include <cerrno>
#include <unistd.h>

namespace {

const ostler_server_class *base; // what ours extends

void called()
{
    harness_raise(&matrix_seen()->go);
}

struct Slot {
    const char *name;
    void (*override)(ostler_server_class &);
};

const Slot slots[] = {
    { "bind", [](ostler_server_class &c) { c.bind = [](ostler_server *s) { return called(), base->bind(s); }; } },
    { "activate",
      [](ostler_server_class &c) { c.activate = [](ostler_server *s) { return called(), base->activate(s); }; } },
    { "get_request",
      [](ostler_server_class &c) {
          c.get_request = [](ostler_server *s, int listener, ostler_address *peer) {
              return called(), base->get_request(s, listener, peer);
          };
      } },
    { "verify_request",
      [](ostler_server_class &c) {
          c.verify_request = [](ostler_server *s, const ostler_request *r) {
              return called(), base->verify_request(s, r);
          };
      } },
    { "process_request",
      [](ostler_server_class &c) {
          c.process_request = [](ostler_server *s, ostler_request *r) {
              return called(), base->process_request(s, r);
          };
      } },
    { "finish_request",
      [](ostler_server_class &c) {
          c.finish_request = [](ostler_server *s, ostler_request *r) {
              return called(), base->finish_request(s, r);
          };
      } },
    { "handle_error",
      [](ostler_server_class &c) {
          c.handle_error = [](ostler_server *s, ostler_request *r, int error) {
              called();
              base->handle_error(s, r, error);
          };
      } },
    { "shutdown_request",
      [](ostler_server_class &c) {
          c.shutdown_request = [](ostler_server *s, ostler_request *r) {
              called();
              base->shutdown_request(s, r);
          };
      } },
    { "close_request",
      [](ostler_server_class &c) {
          c.close_request = [](ostler_server *s, ostler_request *r) {
              called();
              base->close_request(s, r);
          };
      } },
    { "service_actions",
      [](ostler_server_class &c) {
          c.service_actions = [](ostler_server *s) {
              called();
              base->service_actions(s);
          };
      } },
    { "close",
      [](ostler_server_class &c) {
          c.close = [](ostler_server *s) {
              called();
              base->close(s);
          };
      } },
};

ostler_stream_handler failing()
{
    ostler_stream_handler handler{};

    handler.handle = [](ostler_stream *s) {
        char line[64];
        const ssize_t n = ostler_stream_read_line(s, line, sizeof(line));

        if (n > 0)
            ostler_stream_write(s, line, static_cast<size_t>(n));
        return -ENOTRECOVERABLE; // for handle_error
    };
    return handler;
}

ostler_server_options options_for(const matrix_row &row, const ostler_server_class &server_class,
                                  const ostler_stream_handler &handler)
{
    ostler_server_options options{};

    options.address = row.address;
    options.server_class = &server_class;
    options.stream = &handler;
    options.mixin = row.mixin;
    return options;
}

void serve_one(const matrix_row &row, const ostler_server_class &server_class)
{
    const ostler_stream_handler handler = failing();
    const ostler_server_options options = options_for(row, server_class, handler);
    harness_server h;

    harness_start(&h, &options);
    const int client = matrix_connect(h.server);
    ck_assert(matrix_ask(client, "hello\n", "hello\n"));
    close(client);
    ck_assert_int_eq(harness_stop(&h), 0);
}

void serve_none(const matrix_row &row, const ostler_server_class &server_class)
{
    const ostler_stream_handler handler = failing();
    const ostler_server_options options = options_for(row, server_class, handler);
    ostler_server *server;

    ck_assert_int_eq(ostler_server_new(&server, &options, nullptr), 0);
    ck_assert_int_eq(ostler_server_set_request_timeout(server, 0), 0);
    ck_assert_int_eq(ostler_server_handle_request(server), 0);
    ostler_server_free(server);
}

} // namespace

START_TEST(every_slot_is_overridden)
{
    const matrix_row row = matrix_row_at(_i % MATRIX);

    base = row.server_class;
    for (const Slot &slot : slots) {
        ostler_server_class mine{};

        matrix_enter();
        mine.super = _i < MATRIX ? nullptr : row.server_class;
        slot.override(mine);
        serve_one(row, mine);
        ck_assert_msg(harness_count(&matrix_seen()->go) > 0, "%s was not called", slot.name);
        ck_assert(matrix_leave());
    }
}
END_TEST

START_TEST(handle_timeout_is_overridden)
{
    const matrix_row row = matrix_row_at(_i % MATRIX);
    ostler_server_class mine{};

    matrix_enter();
    mine.super = _i < MATRIX ? nullptr : row.server_class;
    mine.handle_timeout = [](ostler_server *) { called(); };
    serve_none(row, mine);
    ck_assert_int_eq(harness_count(&matrix_seen()->go), 1);
    ck_assert(matrix_leave());
}
END_TEST

int main()
{
    Suite *suite = suite_create("overriding");
    TCase *tc = harness_case(suite, "slots");

    tcase_add_loop_test(tc, every_slot_is_overridden, 0, 2 * MATRIX);
    tcase_add_loop_test(tc, handle_timeout_is_overridden, 0, 2 * MATRIX);
    return harness_main(suite);
}
