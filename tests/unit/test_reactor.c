/* reactor.h: run and stop, posts, timers, signals. */
#include "support/harness.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <ostler/sys/libevent.h>

/* ---- Run and stop ---- */

static struct ostler_reactor *new_reactor(void)
{
    struct ostler_reactor *r;

    ck_assert_int_eq(ostler_reactor_new(&r, NULL), 0);
    return r;
}

static void stop(void *reactor)
{
    ostler_reactor_stop(reactor);
}

START_TEST(a_reactor_that_never_ran_is_freed)
{
    ostler_reactor_free(new_reactor());
    ostler_reactor_free(NULL);
}
END_TEST

START_TEST(a_stop_before_the_run_still_ends_it)
{
    struct ostler_reactor *r = new_reactor();

    ck_assert_int_eq(ostler_reactor_stop(r), 0);
    ck_assert_int_eq(ostler_reactor_run(r), 0);
    ostler_reactor_free(r);
}
END_TEST

START_TEST(an_abort_before_the_run_still_ends_it)
{
    struct ostler_reactor *r = new_reactor();

    ck_assert_int_eq(ostler_reactor_abort(r), 0);
    ck_assert_int_eq(ostler_reactor_run(r), 0);
    ostler_reactor_free(r);
}
END_TEST

START_TEST(a_stop_from_another_thread_ends_the_run)
{
    struct harness_reactor h;

    harness_reactor_init(&h);
    harness_reactor_start(&h);
    ck_assert_int_eq(ostler_reactor_stop(h.reactor), 0);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    harness_reactor_fini(&h);
}
END_TEST

START_TEST(an_abort_from_another_thread_ends_the_run)
{
    struct harness_reactor h;

    harness_reactor_init(&h);
    harness_reactor_start(&h);
    ck_assert_int_eq(ostler_reactor_abort(h.reactor), 0);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    harness_reactor_fini(&h);
}
END_TEST

START_TEST(a_stop_from_within_ends_the_run)
{
    struct ostler_reactor *r = new_reactor();

    ck_assert_int_eq(ostler_reactor_post(r, stop, r), 0);
    ck_assert_int_eq(ostler_reactor_run(r), 0);
    ostler_reactor_free(r);
}
END_TEST

START_TEST(one_stop_ends_one_run)
{
    struct ostler_reactor *r = new_reactor();

    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(ostler_reactor_post(r, stop, r), 0);
        ck_assert_int_eq(ostler_reactor_run(r), 0);
    }
    ostler_reactor_free(r);
}
END_TEST

START_TEST(many_stops_are_one)
{
    struct harness_reactor h;

    harness_reactor_init(&h);
    for (int i = 0; i < 100; i++)
        ostler_reactor_stop(h.reactor);
    ostler_reactor_abort(h.reactor);
    ostler_reactor_stop(h.reactor);
    harness_reactor_start(&h);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    harness_reactor_fini(&h);
}
END_TEST

struct nested {
    struct ostler_reactor *reactor;
    int result;
};

static void run_again(void *arg)
{
    struct nested *n = arg;

    n->result = ostler_reactor_run(n->reactor);
    ostler_reactor_stop(n->reactor);
}

START_TEST(a_run_inside_a_run_is_refused)
{
    struct nested n = { new_reactor(), 0 };

    ck_assert_int_eq(ostler_reactor_post(n.reactor, run_again, &n), 0);
    ck_assert_int_eq(ostler_reactor_run(n.reactor), 0);
    ck_assert_int_eq(n.result, -EBUSY);
    ostler_reactor_free(n.reactor);
}
END_TEST

static void ask_current(void *arg)
{
    struct nested *n = arg;

    n->result = ostler_reactor_is_current(n->reactor);
}

START_TEST(it_belongs_to_its_maker_then_to_the_thread_that_runs_it)
{
    struct harness_reactor h;
    struct nested n = { NULL, 0 };

    harness_reactor_init(&h);
    n.reactor = h.reactor;
    ck_assert(ostler_reactor_is_current(h.reactor));
    harness_reactor_start(&h);
    ck_assert(harness_call(h.reactor, ask_current, &n));
    ck_assert_int_eq(n.result, 1);
    ck_assert(!ostler_reactor_is_current(h.reactor));
    ck_assert(!ostler_reactor_is_current(NULL));
    ostler_reactor_stop(h.reactor);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    harness_reactor_fini(&h);
}
END_TEST

START_TEST(several_reactors_run_side_by_side)
{
    struct harness_reactor h[8];

    for (size_t i = 0; i < 8; i++)
        harness_reactor_init(&h[i]);
    for (size_t i = 0; i < 8; i++)
        harness_reactor_start(&h[i]);
    for (size_t i = 0; i < 8; i++)
        ostler_reactor_stop(h[i].reactor);
    for (size_t i = 0; i < 8; i++) {
        ck_assert_int_eq(harness_reactor_join(&h[i]), 0);
        harness_reactor_fini(&h[i]);
    }
}
END_TEST

static void nothing(void *arg)
{
    (void)arg;
}

START_TEST(null_is_refused_everywhere)
{
    struct ostler_reactor *r = new_reactor();
    struct ostler_timer *t;
    struct ostler_signal *s;

    ck_assert_int_eq(ostler_reactor_new(NULL, NULL), -EINVAL);
    ck_assert_int_eq(ostler_reactor_run(NULL), -EINVAL);
    ck_assert_int_eq(ostler_reactor_stop(NULL), -EINVAL);
    ck_assert_int_eq(ostler_reactor_abort(NULL), -EINVAL);
    ck_assert_int_eq(ostler_reactor_post(NULL, nothing, NULL), -EINVAL);
    ck_assert_int_eq(ostler_reactor_post(r, NULL, NULL), -EINVAL);
    ck_assert_int_eq(ostler_timer_new(NULL, r, nothing, NULL), -EINVAL);
    ck_assert_int_eq(ostler_timer_new(&t, NULL, nothing, NULL), -EINVAL);
    ck_assert_int_eq(ostler_timer_new(&t, r, NULL, NULL), -EINVAL);
    ck_assert_int_eq(ostler_timer_start(NULL, 0), -EINVAL);
    ck_assert_int_eq(ostler_timer_stop(NULL), -EINVAL);
    ck_assert_int_eq(ostler_signal_new(NULL, r, SIGUSR1, nothing, NULL), -EINVAL);
    ck_assert_int_eq(ostler_signal_new(&s, NULL, SIGUSR1, nothing, NULL), -EINVAL);
    ck_assert_int_eq(ostler_signal_new(&s, r, SIGUSR1, NULL, NULL), -EINVAL);
    ck_assert_ptr_null(ostler_reactor_event_base(NULL));
    ostler_timer_free(NULL);
    ostler_signal_free(NULL);
    ostler_reactor_free(r);
}
END_TEST

static void on_foreign_event(evutil_socket_t fd, short what, void *reactor)
{
    (void)fd;
    (void)what;
    ostler_reactor_stop(reactor);
}

START_TEST(events_of_ones_own_run_on_its_base)
{
    struct ostler_reactor *r = new_reactor();
    struct event *e = event_new(ostler_reactor_event_base(r), -1, 0, on_foreign_event, r);
    struct timeval soon = { 0, 1000 };

    ck_assert_int_eq(event_add(e, &soon), 0);
    ck_assert_int_eq(ostler_reactor_run(r), 0);
    event_free(e);
    ostler_reactor_free(r);
}
END_TEST

/* ---- Posts ---- */

enum { POSTERS = 8, POSTS = 2000 };

/* What one thread posts, and how far it has come out. */
struct poster {
    struct ostler_reactor *reactor;
    pthread_t thread;
    struct post {
        struct poster *poster;
        int number;
    } posts[POSTS];
    int next, out_of_order, elsewhere;
};

static struct harness_event all_out;

static void come_out(void *arg)
{
    struct post *post = arg;
    struct poster *p = post->poster;

    p->out_of_order += post->number != p->next++;
    p->elsewhere += !ostler_reactor_is_current(p->reactor);
    if (p->next == POSTS)
        harness_raise(&all_out);
}

static void *post_all(void *arg)
{
    struct poster *p = arg;

    for (int i = 0; i < POSTS; i++) {
        p->posts[i] = (struct post){ p, i };
        if (ostler_reactor_post(p->reactor, come_out, &p->posts[i]) < 0)
            return p;
    }
    return NULL;
}

START_TEST(posts_of_many_threads_come_out_in_each_ones_order)
{
    struct harness_reactor h;
    struct poster *posters = calloc(POSTERS, sizeof(*posters));

    harness_event_init(&all_out);
    harness_reactor_init(&h);
    harness_reactor_start(&h);
    for (int i = 0; i < POSTERS; i++) {
        posters[i].reactor = h.reactor;
        ck_assert_int_eq(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    ck_assert(harness_wait(&all_out, POSTERS));
    for (int i = 0; i < POSTERS; i++) {
        void *failed;

        pthread_join(posters[i].thread, &failed);
        ck_assert_ptr_null(failed);
        ck_assert_int_eq(posters[i].next, POSTS);
        ck_assert_int_eq(posters[i].out_of_order, 0);
        ck_assert_int_eq(posters[i].elsewhere, 0);
    }
    ostler_reactor_stop(h.reactor);
    ck_assert_int_eq(harness_reactor_join(&h), 0);
    harness_reactor_fini(&h);
    free(posters);
}
END_TEST

/* A text that grows by one letter a call. */
static char letters[64];

static void letter(void *text)
{
    strcat(letters, text);
}

START_TEST(posts_before_the_run_are_run_by_it_in_order)
{
    struct ostler_reactor *r = new_reactor();

    letters[0] = '\0';
    ostler_reactor_post(r, letter, "a");
    ostler_reactor_post(r, letter, "b");
    ostler_reactor_post(r, letter, "c");
    ostler_reactor_post(r, stop, r);
    ck_assert_str_eq(letters, "");
    ck_assert_int_eq(ostler_reactor_run(r), 0);
    ck_assert_str_eq(letters, "abc");
    ostler_reactor_free(r);
}
END_TEST

static void post_more(void *reactor)
{
    strcat(letters, "1");
    ostler_reactor_post(reactor, letter, "3");
    ostler_reactor_post(reactor, stop, reactor);
}

START_TEST(what_a_posted_function_posts_runs_after_what_was_posted_before)
{
    struct ostler_reactor *r = new_reactor();

    letters[0] = '\0';
    ostler_reactor_post(r, post_more, r);
    ostler_reactor_post(r, letter, "2");
    ck_assert_int_eq(ostler_reactor_run(r), 0);
    ck_assert_str_eq(letters, "123");
    ostler_reactor_free(r);
}
END_TEST

START_TEST(posts_left_between_two_runs_are_run_by_the_second)
{
    struct ostler_reactor *r = new_reactor();

    letters[0] = '\0';
    ostler_reactor_post(r, stop, r);
    ck_assert_int_eq(ostler_reactor_run(r), 0);
    ostler_reactor_post(r, letter, "z");
    ostler_reactor_post(r, stop, r);
    ck_assert_int_eq(ostler_reactor_run(r), 0);
    ck_assert_str_eq(letters, "z");
    ostler_reactor_free(r);
}
END_TEST

START_TEST(what_is_unrun_when_the_reactor_is_freed_never_runs)
{
    struct ostler_reactor *r = new_reactor();

    letters[0] = '\0';
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(ostler_reactor_post(r, letter, "x"), 0);
    ostler_reactor_free(r);
    ck_assert_str_eq(letters, "");
}
END_TEST

/* Posts itself again and again: the rest of the reactor must have its turn. */
static void repost(void *arg)
{
    ostler_reactor_post(arg, repost, arg);
}

START_TEST(a_function_that_posts_itself_for_ever_does_not_starve_timers)
{
    struct ostler_reactor *r = new_reactor();
    struct ostler_timer *t;

    ck_assert_int_eq(ostler_timer_new(&t, r, stop, r), 0);
    ck_assert_int_eq(ostler_timer_start(t, 10), 0);
    ostler_reactor_post(r, repost, r);
    ck_assert_int_eq(ostler_reactor_run(r), 0);
    ostler_timer_free(t);
    ostler_reactor_free(r);
}
END_TEST

/* ---- Timers ---- */

/* A reactor with timers, for tests that run it themselves. */
struct clocks {
    struct ostler_reactor *reactor;
    struct ostler_timer *a, *b, *guard; /* guard ends a test that waits in vain */
    int fired, limit;
    bool guard_fired;
    uint64_t at;
};

static void on_guard(void *arg)
{
    struct clocks *c = arg;

    c->guard_fired = true;
    ostler_reactor_stop(c->reactor);
}

static void clocks_init(struct clocks *c, void (*a)(void *), void (*b)(void *))
{
    *c = (struct clocks){ .reactor = new_reactor() };
    ck_assert_int_eq(ostler_timer_new(&c->a, c->reactor, a, c), 0);
    ck_assert_int_eq(ostler_timer_new(&c->b, c->reactor, b, c), 0);
    ck_assert_int_eq(ostler_timer_new(&c->guard, c->reactor, on_guard, c), 0);
    ck_assert_int_eq(ostler_timer_start(c->guard, harness_deadline_ms()), 0);
}

static void clocks_run(struct clocks *c)
{
    ck_assert_int_eq(ostler_reactor_run(c->reactor), 0);
    ck_assert(!c->guard_fired);
}

static void clocks_fini(struct clocks *c)
{
    ostler_timer_free(c->a);
    ostler_timer_free(c->b);
    ostler_timer_free(c->guard);
    ostler_reactor_free(c->reactor);
}

static void count(void *arg)
{
    struct clocks *c = arg;

    c->fired++;
    c->at = harness_now_ms();
}

static void end(void *arg)
{
    struct clocks *c = arg;

    ostler_reactor_stop(c->reactor);
}

START_TEST(a_timer_fires_once_and_not_too_early)
{
    struct clocks c;
    uint64_t start;

    clocks_init(&c, count, end);
    start = harness_now_ms();
    ck_assert_int_eq(ostler_timer_start(c.a, 50), 0);
    ck_assert_int_eq(ostler_timer_start(c.b, 120), 0);
    clocks_run(&c);
    ck_assert_int_eq(c.fired, 1);
    ck_assert_uint_ge(c.at - start, 50);
    ck_assert_uint_lt(c.at - start, 50 + (uint64_t)(250 * harness_slow()));
    clocks_fini(&c);
}
END_TEST

START_TEST(a_timer_that_was_not_started_does_not_fire)
{
    struct clocks c;

    clocks_init(&c, count, end);
    ck_assert_int_eq(ostler_timer_start(c.b, 30), 0);
    clocks_run(&c);
    ck_assert_int_eq(c.fired, 0);
    clocks_fini(&c);
}
END_TEST

START_TEST(zero_milliseconds_fire_in_the_next_round)
{
    struct clocks c;

    clocks_init(&c, count, end);
    ck_assert_int_eq(ostler_timer_start(c.a, 0), 0);
    ck_assert_int_eq(ostler_timer_start(c.b, 1), 0);
    clocks_run(&c);
    ck_assert_int_eq(c.fired, 1);
    clocks_fini(&c);
}
END_TEST

START_TEST(a_negative_time_is_refused)
{
    struct clocks c;

    clocks_init(&c, count, end);
    ck_assert_int_eq(ostler_timer_start(c.a, -1), -EINVAL);
    ck_assert_int_eq(ostler_timer_start(c.a, LONG_MIN), -EINVAL);
    clocks_fini(&c);
}
END_TEST

START_TEST(a_timer_in_the_far_future_harms_nobody)
{
    struct clocks c;

    clocks_init(&c, count, end);
    ck_assert_int_eq(ostler_timer_start(c.a, LONG_MAX), 0);
    ck_assert_int_eq(ostler_timer_start(c.b, 10), 0);
    clocks_run(&c);
    ck_assert_int_eq(c.fired, 0);
    clocks_fini(&c);
}
END_TEST

START_TEST(a_stopped_timer_does_not_fire)
{
    struct clocks c;

    clocks_init(&c, count, end);
    ck_assert_int_eq(ostler_timer_stop(c.a), 0); /* not started yet: fine */
    ck_assert_int_eq(ostler_timer_start(c.a, 10), 0);
    ck_assert_int_eq(ostler_timer_stop(c.a), 0);
    ck_assert_int_eq(ostler_timer_stop(c.a), 0);
    ck_assert_int_eq(ostler_timer_start(c.b, 40), 0);
    clocks_run(&c);
    ck_assert_int_eq(c.fired, 0);
    clocks_fini(&c);
}
END_TEST

START_TEST(a_timer_started_anew_is_pushed_back)
{
    struct clocks c;
    uint64_t start;

    clocks_init(&c, count, end);
    start = harness_now_ms();
    ck_assert_int_eq(ostler_timer_start(c.a, 10), 0);
    ck_assert_int_eq(ostler_timer_start(c.a, 60), 0);
    ck_assert_int_eq(ostler_timer_start(c.b, 120), 0);
    clocks_run(&c);
    ck_assert_int_eq(c.fired, 1);
    ck_assert_uint_ge(c.at - start, 60);
    clocks_fini(&c);
}
END_TEST

START_TEST(a_timer_started_anew_is_brought_forward)
{
    struct clocks c;
    uint64_t start;

    clocks_init(&c, count, end);
    start = harness_now_ms();
    ck_assert_int_eq(ostler_timer_start(c.a, 60000), 0);
    ck_assert_int_eq(ostler_timer_start(c.a, 10), 0);
    ck_assert_int_eq(ostler_timer_start(c.b, 60), 0);
    clocks_run(&c);
    ck_assert_int_eq(c.fired, 1);
    ck_assert_uint_ge(c.at - start, 10);
    clocks_fini(&c);
}
END_TEST

START_TEST(stopped_and_started_again_it_fires_at_the_new_time)
{
    struct clocks c;
    uint64_t start;

    clocks_init(&c, count, end);
    start = harness_now_ms();
    ck_assert_int_eq(ostler_timer_start(c.a, 10), 0);
    ck_assert_int_eq(ostler_timer_stop(c.a), 0);
    ck_assert_int_eq(ostler_timer_start(c.a, 50), 0);
    ck_assert_int_eq(ostler_timer_start(c.b, 100), 0);
    clocks_run(&c);
    ck_assert_int_eq(c.fired, 1);
    ck_assert_uint_ge(c.at - start, 50);
    clocks_fini(&c);
}
END_TEST

static void start_again(void *arg)
{
    struct clocks *c = arg;

    if (++c->fired < c->limit)
        ostler_timer_start(c->a, 1);
    else
        ostler_reactor_stop(c->reactor);
}

START_TEST(a_timer_starts_itself_again_in_its_callback)
{
    struct clocks c;

    clocks_init(&c, start_again, nothing);
    c.limit = 20;
    ck_assert_int_eq(ostler_timer_start(c.a, 1), 0);
    clocks_run(&c);
    ck_assert_int_eq(c.fired, 20);
    clocks_fini(&c);
}
END_TEST

static void start_at_once(void *arg)
{
    struct clocks *c = arg;

    c->fired++;
    ostler_timer_start(c->a, 0);
}

START_TEST(a_timer_that_is_always_due_does_not_starve_the_rest)
{
    struct clocks c;

    clocks_init(&c, start_at_once, end);
    ck_assert_int_eq(ostler_timer_start(c.a, 0), 0);
    ck_assert_int_eq(ostler_timer_start(c.b, 20), 0);
    clocks_run(&c);
    ck_assert_int_gt(c.fired, 0);
    clocks_fini(&c);
}
END_TEST

static void free_itself(void *arg)
{
    struct clocks *c = arg;

    c->fired++;
    ostler_timer_free(c->a);
    c->a = NULL;
}

START_TEST(a_timer_frees_itself_in_its_callback)
{
    struct clocks c;

    clocks_init(&c, free_itself, end);
    ck_assert_int_eq(ostler_timer_start(c.a, 1), 0);
    ck_assert_int_eq(ostler_timer_start(c.b, 20), 0);
    clocks_run(&c);
    ck_assert_int_eq(c.fired, 1);
    clocks_fini(&c);
}
END_TEST

static void start_and_free_itself(void *arg)
{
    struct clocks *c = arg;

    c->fired++;
    ostler_timer_start(c->a, 0);
    ostler_timer_free(c->a);
    c->a = NULL;
}

START_TEST(a_timer_freed_after_it_was_started_does_not_fire)
{
    struct clocks c;

    clocks_init(&c, start_and_free_itself, end);
    ck_assert_int_eq(ostler_timer_start(c.a, 1), 0);
    ck_assert_int_eq(ostler_timer_start(c.b, 20), 0);
    clocks_run(&c);
    ck_assert_int_eq(c.fired, 1);
    clocks_fini(&c);
}
END_TEST

static void stop_itself(void *arg)
{
    struct clocks *c = arg;

    c->fired++;
    ostler_timer_start(c->a, 1);
    ostler_timer_stop(c->a);
}

START_TEST(a_timer_started_and_stopped_in_its_callback_is_stopped)
{
    struct clocks c;

    clocks_init(&c, stop_itself, end);
    ck_assert_int_eq(ostler_timer_start(c.a, 1), 0);
    ck_assert_int_eq(ostler_timer_start(c.b, 30), 0);
    clocks_run(&c);
    ck_assert_int_eq(c.fired, 1);
    clocks_fini(&c);
}
END_TEST

/* Two timers that are due together: whoever is first does away with the other. */
static void stop_the_other(void *arg)
{
    struct clocks *c = arg;

    c->fired++;
    ostler_timer_stop(c->a);
    ostler_timer_stop(c->b);
}

static void free_the_other(void *arg)
{
    struct clocks *c = arg;

    c->fired++;
    ostler_timer_free(c->a);
    ostler_timer_free(c->b);
    c->a = c->b = NULL;
}

static void check_only_one_fires(void (*function)(void *))
{
    struct clocks c;
    struct ostler_timer *last;

    clocks_init(&c, function, function);
    ck_assert_int_eq(ostler_timer_new(&last, c.reactor, end, &c), 0);
    ck_assert_int_eq(ostler_timer_start(c.a, 5), 0);
    ck_assert_int_eq(ostler_timer_start(c.b, 5), 0);
    ck_assert_int_eq(ostler_timer_start(last, 40), 0);
    clocks_run(&c);
    ck_assert_int_eq(c.fired, 1);
    ostler_timer_free(last);
    clocks_fini(&c);
}

START_TEST(a_timer_that_is_due_can_still_be_stopped_by_another)
{
    check_only_one_fires(stop_the_other);
}
END_TEST

START_TEST(a_timer_that_is_due_can_still_be_freed_by_another)
{
    check_only_one_fires(free_the_other);
}
END_TEST

START_TEST(a_running_timer_is_freed)
{
    struct clocks c;

    clocks_init(&c, count, end);
    ck_assert_int_eq(ostler_timer_start(c.a, 5), 0);
    ostler_timer_free(c.a);
    c.a = NULL;
    ck_assert_int_eq(ostler_timer_start(c.b, 30), 0);
    clocks_run(&c);
    ck_assert_int_eq(c.fired, 0);
    clocks_fini(&c);
}
END_TEST

/* Thousands of timers, moved about at random, against what is written down of them. */
enum { MANY = 5000, SPAN_MS = 200 };

struct crowd {
    struct ostler_reactor *reactor;
    struct one {
        struct ostler_timer *timer;
        struct crowd *crowd;
        uint64_t due; /* not before; 0: not at all */
        int fired;
    } ones[MANY];
    int waiting, early, unasked;
    uint64_t latest; /* the worst delay */
};

static uint32_t random_state;

static uint32_t next_random(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

static void crowd_fired(void *arg)
{
    struct one *o = arg;
    struct crowd *c = o->crowd;
    uint64_t now = harness_now_ms();

    o->fired++;
    c->unasked += o->due == 0;
    c->early += now < o->due;
    if (now > o->due && now - o->due > c->latest)
        c->latest = now - o->due;
    o->due = 0;
    if (--c->waiting == 0)
        ostler_reactor_stop(c->reactor);
}

static void crowd_start(struct one *o)
{
    long ms = 1 + (long)(next_random() % SPAN_MS);

    o->crowd->waiting += o->due == 0;
    o->due = harness_now_ms() + (uint64_t)ms;
    ck_assert_int_eq(ostler_timer_start(o->timer, ms), 0);
}

static void crowd_stop(struct one *o)
{
    o->crowd->waiting -= o->due != 0;
    o->due = 0;
    ck_assert_int_eq(ostler_timer_stop(o->timer), 0);
}

START_TEST(thousands_of_timers_moved_about_at_random_fire_each_at_its_time)
{
    struct crowd *c = calloc(1, sizeof(*c));

    random_state = (uint32_t)_i + 1;
    c->reactor = new_reactor();
    for (int i = 0; i < MANY; i++) {
        c->ones[i].crowd = c;
        ck_assert_int_eq(ostler_timer_new(&c->ones[i].timer, c->reactor, crowd_fired, &c->ones[i]), 0);
        crowd_start(&c->ones[i]);
    }
    for (int i = 0; i < 3 * MANY; i++) {
        struct one *o = &c->ones[next_random() % MANY];

        if (next_random() % 4 == 0)
            crowd_stop(o);
        else
            crowd_start(o);
    }
    for (int i = 0; i < MANY; i += 7) {
        crowd_stop(&c->ones[i]);
        ostler_timer_free(c->ones[i].timer);
        c->ones[i].timer = NULL;
    }
    ck_assert_int_eq(ostler_reactor_run(c->reactor), 0);
    ck_assert_int_eq(c->waiting, 0);
    ck_assert_int_eq(c->early, 0);
    ck_assert_int_eq(c->unasked, 0);
    ck_assert_uint_lt(c->latest, (uint64_t)(250 * harness_slow()));
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_le(c->ones[i].fired, 1);
        ostler_timer_free(c->ones[i].timer);
    }
    ostler_reactor_free(c->reactor);
    free(c);
}
END_TEST

/* ---- Signals ---- */

static struct clocks watched; /* the signal tests' */

static void on_signal_stop(void *arg)
{
    struct clocks *c = arg;

    c->fired++;
    ostler_reactor_stop(c->reactor);
}

START_TEST(a_signal_runs_its_function_on_the_reactor)
{
    struct ostler_signal *s;

    clocks_init(&watched, nothing, nothing);
    ck_assert_int_eq(ostler_signal_new(&s, watched.reactor, SIGUSR1, on_signal_stop, &watched), 0);
    raise(SIGUSR1);
    ck_assert_int_eq(watched.fired, 0);
    clocks_run(&watched);
    ck_assert_int_eq(watched.fired, 1);
    ostler_signal_free(s);
    clocks_fini(&watched);
}
END_TEST

static void raise_usr1(void *arg)
{
    (void)arg;
    kill(getpid(), SIGUSR1);
}

static void block(int number, int how)
{
    sigset_t only;

    sigemptyset(&only);
    sigaddset(&only, number);
    pthread_sigmask(how, &only, NULL);
}

START_TEST(a_blocked_signal_comes_all_the_same_and_its_disposition_is_left_alone)
{
    struct sigaction action;
    struct ostler_signal *s;

    block(SIGUSR1, SIG_BLOCK);
    clocks_init(&watched, raise_usr1, nothing);
    ck_assert_int_eq(ostler_signal_new(&s, watched.reactor, SIGUSR1, on_signal_stop, &watched), 0);
    sigaction(SIGUSR1, NULL, &action);
    ck_assert(action.sa_handler == SIG_DFL);
    ck_assert_int_eq(ostler_timer_start(watched.a, 10), 0);
    clocks_run(&watched);
    ck_assert_int_eq(watched.fired, 1);
    ostler_signal_free(s);
    clocks_fini(&watched);
    block(SIGUSR1, SIG_UNBLOCK);
}
END_TEST

enum { WATCHERS = 3 };

static struct party {
    struct ostler_signal *watchers[WATCHERS];
    int ran[WATCHERS], count, gone; /* which of them was freed; -1: none yet */
} party;

/* The first one frees another, which is not to run any more. */
static void take_part(void *arg)
{
    int *ran = arg, other = (int)(ran - party.ran + 1) % WATCHERS;

    ++*ran;
    if (party.gone < 0) {
        party.gone = other;
        ostler_signal_free(party.watchers[other]);
    }
    if (++party.count == WATCHERS - 1)
        ostler_reactor_stop(watched.reactor);
}

START_TEST(all_who_watch_a_signal_are_told)
{
    if (_i)
        block(SIGUSR1, SIG_BLOCK);
    party = (struct party){ .gone = -1 };
    clocks_init(&watched, raise_usr1, nothing);
    for (int i = 0; i < WATCHERS; i++)
        ck_assert_int_eq(ostler_signal_new(&party.watchers[i], watched.reactor, SIGUSR1, take_part, &party.ran[i]), 0);
    for (int times = 1; times <= 3; times++) {
        party.count = 0;
        ck_assert_int_eq(ostler_timer_start(watched.a, 0), 0);
        clocks_run(&watched);
        for (int i = 0; i < WATCHERS; i++)
            ck_assert_int_eq(party.ran[i], i == party.gone ? 0 : times);
    }
    for (int i = 0; i < WATCHERS; i++)
        if (i != party.gone)
            ostler_signal_free(party.watchers[i]);
    clocks_fini(&watched);
    if (_i)
        block(SIGUSR1, SIG_UNBLOCK);
}
END_TEST

START_TEST(a_signal_wakes_a_reactor_that_waits)
{
    struct ostler_signal *s;

    clocks_init(&watched, raise_usr1, nothing);
    ck_assert_int_eq(ostler_signal_new(&s, watched.reactor, SIGUSR1, on_signal_stop, &watched), 0);
    ck_assert_int_eq(ostler_timer_start(watched.a, 10), 0);
    clocks_run(&watched);
    ck_assert_int_eq(watched.fired, 1);
    ostler_signal_free(s);
    clocks_fini(&watched);
}
END_TEST

static volatile sig_atomic_t old_handler_ran;

static void old_handler(int number)
{
    (void)number;
    old_handler_ran++;
}

START_TEST(the_previous_disposition_comes_back)
{
    struct sigaction old = { .sa_handler = old_handler }, now;
    struct ostler_signal *s;

    sigemptyset(&old.sa_mask);
    sigaction(SIGUSR2, &old, NULL);
    clocks_init(&watched, nothing, nothing);
    ck_assert_int_eq(ostler_signal_new(&s, watched.reactor, SIGUSR2, on_signal_stop, &watched), 0);
    raise(SIGUSR2);
    clocks_run(&watched);
    ck_assert_int_eq(old_handler_ran, 0);
    ostler_signal_free(s);
    sigaction(SIGUSR2, NULL, &now);
    ck_assert(now.sa_handler == old_handler);
    signal(SIGUSR2, SIG_DFL);
    clocks_fini(&watched);
}
END_TEST

START_TEST(what_is_no_signal_is_refused)
{
    struct ostler_reactor *r = new_reactor();
    struct ostler_signal *s = NULL;
    static const int numbers[] = { -1, 0, 65, 10000, INT_MAX, SIGKILL, SIGSTOP };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        ck_assert_msg(ostler_signal_new(&s, r, numbers[i], nothing, NULL) == -EINVAL, "%d was taken", numbers[i]);
        ck_assert_ptr_null(s);
    }
    ostler_reactor_free(r);
}
END_TEST

static struct ostler_signal *own;

static void free_own(void *arg)
{
    struct clocks *c = arg;

    ostler_signal_free(own);
    ostler_reactor_stop(c->reactor);
}

START_TEST(a_watcher_frees_itself_in_its_function)
{
    clocks_init(&watched, nothing, nothing);
    ck_assert_int_eq(ostler_signal_new(&own, watched.reactor, SIGUSR1, free_own, &watched), 0);
    raise(SIGUSR1);
    clocks_run(&watched);
    clocks_fini(&watched);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactor");
    TCase *tc = harness_case(suite, "run and stop");

    tcase_add_test(tc, a_reactor_that_never_ran_is_freed);
    tcase_add_test(tc, a_stop_before_the_run_still_ends_it);
    tcase_add_test(tc, an_abort_before_the_run_still_ends_it);
    tcase_add_test(tc, a_stop_from_another_thread_ends_the_run);
    tcase_add_test(tc, an_abort_from_another_thread_ends_the_run);
    tcase_add_test(tc, a_stop_from_within_ends_the_run);
    tcase_add_test(tc, one_stop_ends_one_run);
    tcase_add_test(tc, many_stops_are_one);
    tcase_add_test(tc, a_run_inside_a_run_is_refused);
    tcase_add_test(tc, it_belongs_to_its_maker_then_to_the_thread_that_runs_it);
    tcase_add_test(tc, several_reactors_run_side_by_side);
    tcase_add_test(tc, null_is_refused_everywhere);
    tcase_add_test(tc, events_of_ones_own_run_on_its_base);
    tc = harness_case(suite, "posts");
    tcase_add_test(tc, posts_of_many_threads_come_out_in_each_ones_order);
    tcase_add_test(tc, posts_before_the_run_are_run_by_it_in_order);
    tcase_add_test(tc, what_a_posted_function_posts_runs_after_what_was_posted_before);
    tcase_add_test(tc, posts_left_between_two_runs_are_run_by_the_second);
    tcase_add_test(tc, what_is_unrun_when_the_reactor_is_freed_never_runs);
    tcase_add_test(tc, a_function_that_posts_itself_for_ever_does_not_starve_timers);
    tc = harness_case(suite, "timers");
    tcase_add_test(tc, a_timer_fires_once_and_not_too_early);
    tcase_add_test(tc, a_timer_that_was_not_started_does_not_fire);
    tcase_add_test(tc, zero_milliseconds_fire_in_the_next_round);
    tcase_add_test(tc, a_negative_time_is_refused);
    tcase_add_test(tc, a_timer_in_the_far_future_harms_nobody);
    tcase_add_test(tc, a_stopped_timer_does_not_fire);
    tcase_add_test(tc, a_timer_started_anew_is_pushed_back);
    tcase_add_test(tc, a_timer_started_anew_is_brought_forward);
    tcase_add_test(tc, stopped_and_started_again_it_fires_at_the_new_time);
    tcase_add_test(tc, a_timer_starts_itself_again_in_its_callback);
    tcase_add_test(tc, a_timer_that_is_always_due_does_not_starve_the_rest);
    tcase_add_test(tc, a_timer_frees_itself_in_its_callback);
    tcase_add_test(tc, a_timer_freed_after_it_was_started_does_not_fire);
    tcase_add_test(tc, a_timer_started_and_stopped_in_its_callback_is_stopped);
    tcase_add_test(tc, a_timer_that_is_due_can_still_be_stopped_by_another);
    tcase_add_test(tc, a_timer_that_is_due_can_still_be_freed_by_another);
    tcase_add_test(tc, a_running_timer_is_freed);
    tcase_add_loop_test(tc, thousands_of_timers_moved_about_at_random_fire_each_at_its_time, 0, 5);
    tc = harness_case(suite, "signals");
    tcase_add_test(tc, a_signal_runs_its_function_on_the_reactor);
    tcase_add_test(tc, a_signal_wakes_a_reactor_that_waits);
    tcase_add_loop_test(tc, all_who_watch_a_signal_are_told, 0, 2);
    tcase_add_test(tc, a_blocked_signal_comes_all_the_same_and_its_disposition_is_left_alone);
    tcase_add_test(tc, the_previous_disposition_comes_back);
    tcase_add_test(tc, what_is_no_signal_is_refused);
    tcase_add_test(tc, a_watcher_frees_itself_in_its_function);
    return harness_main(suite);
}
