/* Mailboxes: the same for handlers under every mix-in and for threads of the program. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/actor.h"

enum { MANY = 1000, SOON_MS = 50 };

static struct ostler_mailbox *new_mailbox(size_t capacity, enum ostler_mailbox_full full)
{
    struct ostler_mailbox *m = NULL;

    ck_assert_int_eq(ostler_mailbox_new(&m, &(struct ostler_mailbox_options){ .capacity = capacity, .full = full }), 0);
    return m;
}

static int send_number(struct ostler_mailbox *m, long number, long timeout_ms)
{
    return ostler_mailbox_send(m, &number, sizeof(number), timeout_ms);
}

/* A number that is not negative, or -errno. */
static long receive_number(struct ostler_mailbox *m, long timeout_ms)
{
    long number = -1;
    ssize_t n = ostler_mailbox_receive(m, &number, sizeof(number), timeout_ms);

    return n < 0 ? (long)n : number;
}

/* ---- One waits ---- */

static int count_up(struct actor *self)
{
    for (long i = 0; i < MANY; i++)
        if (receive_number(self->arg, harness_deadline_ms()) != i)
            return -EBADMSG;
    return (int)receive_number(self->arg, 0) == -ETIMEDOUT ? 0 : -EBADMSG;
}

START_TEST(messages_arrive_in_the_order_of_sending)
{
    struct ostler_mailbox *m = new_mailbox(3, OSTLER_FULL_WAIT);
    struct stage stage;
    struct actor *a;

    stage_open(&stage, _i, NULL);
    a = actor_start(&stage, count_up, m);
    ck_assert_ptr_nonnull(a);
    for (long i = 0; i < MANY; i++)
        ck_assert_int_eq(send_number(m, i, harness_deadline_ms()), 0);
    ck_assert_int_eq(actor_join(a), 0);
    ck_assert_int_eq(stage_close(&stage), 0);
    ostler_mailbox_free(m);
}
END_TEST

static int send_up(struct actor *self)
{
    for (long i = 0; i < MANY; i++) {
        int error = send_number(self->arg, i, OSTLER_NEVER);

        if (error < 0)
            return error;
    }
    return 0;
}

START_TEST(a_sender_waits_for_room)
{
    struct ostler_mailbox *m = new_mailbox(2, OSTLER_FULL_WAIT);
    struct stage stage;
    struct actor *a;

    stage_open(&stage, _i, NULL);
    a = actor_start(&stage, send_up, m);
    ck_assert_ptr_nonnull(a);
    for (long i = 0; i < MANY; i++) {
        ck_assert_int_eq(receive_number(m, harness_deadline_ms()), i);
        ck_assert_uint_le(ostler_mailbox_count(m), 2);
    }
    ck_assert_int_eq(actor_join(a), 0);
    ck_assert_int_eq(stage_close(&stage), 0);
    ck_assert_uint_eq(ostler_mailbox_dropped(m), 0);
    ostler_mailbox_free(m);
}
END_TEST

static int time_out(struct actor *self)
{
    uint64_t before = harness_now_ms(), after;
    long got = receive_number(self->arg, SOON_MS);

    after = harness_now_ms();
    if (got != -ETIMEDOUT || after - before < SOON_MS || after - before > SOON_MS + 500 * (uint64_t)harness_slow())
        return -EBADMSG;
    send_number(self->arg, 1, 0);
    before = harness_now_ms();
    return send_number(self->arg, 2, SOON_MS) == -ETIMEDOUT && harness_now_ms() - before >= SOON_MS &&
                   send_number(self->arg, 2, 0) == -ETIMEDOUT
               ? 0
               : -EBADMSG;
}

START_TEST(both_ends_time_out)
{
    struct ostler_mailbox *m = new_mailbox(1, OSTLER_FULL_WAIT);
    struct stage stage;
    struct actor *a;

    stage_open(&stage, _i, NULL);
    a = actor_start(&stage, time_out, m);
    ck_assert_ptr_nonnull(a);
    ck_assert_int_eq(actor_join(a), 0);
    ck_assert_int_eq(stage_close(&stage), 0);
    ostler_mailbox_free(m);
}
END_TEST

static int receive_one(struct actor *self)
{
    return (int)receive_number(self->arg, OSTLER_NEVER);
}

START_TEST(closing_wakes_who_waits)
{
    struct ostler_mailbox *m = new_mailbox(1, OSTLER_FULL_WAIT);
    struct stage stage;
    struct actor *a;

    stage_open(&stage, _i, NULL);
    a = actor_start(&stage, receive_one, m);
    ck_assert_ptr_nonnull(a);
    ck_assert_int_eq(ostler_mailbox_close(m), 0);
    ck_assert_int_eq(ostler_mailbox_close(m), 0);
    ck_assert_int_eq(actor_join(a), -EPIPE);
    ck_assert_int_eq(stage_close(&stage), 0);
    ostler_mailbox_free(m);
}
END_TEST

/* ---- Several wait: the main thread sends, and where only one handler runs at a time there is
 * nothing to see ---- */

/* They wait one behind the other: each is let begin when the one before it waits. */
static struct actor *start_waiter(struct stage *stage, int (*play)(struct actor *self), struct ostler_mailbox *m)
{
    struct actor *a = actor_start(stage, play, m);

    if (a)
        (void)harness_wait(&a->noted, 1);
    return a;
}

/* The place in the queue is taken without an event that tells: the wait before it ends for one. */
static int wait_in_line(struct actor *self)
{
    struct ostler_mailbox *m = self->arg;

    harness_raise(&self->noted);
    self->note[0] = receive_number(m, OSTLER_NEVER);
    return self->note[0] < 0 ? (int)self->note[0] : 0;
}

static void nothing(void *arg)
{
    (void)arg;
}

/* A fiber that has noted something waits once the reactor does something else. */
static void settle(struct stage *stage)
{
    ck_assert(harness_call(ostler_server_reactor(stage->h.server), nothing, NULL));
}

START_TEST(who_waits_first_is_served_first)
{
    struct ostler_mailbox *m = new_mailbox(8, OSTLER_FULL_WAIT);
    struct stage stage;
    struct actor *a[4];

    stage_open(&stage, FIBERS, NULL);
    for (int i = 0; i < 4; i++) {
        a[i] = start_waiter(&stage, wait_in_line, m);
        ck_assert_ptr_nonnull(a[i]);
        settle(&stage);
    }
    for (long i = 0; i < 4; i++)
        ck_assert_int_eq(send_number(m, i, 0), 0);
    for (int i = 0; i < 4; i++) {
        ck_assert(harness_wait(&a[i]->ended, 1));
        ck_assert_int_eq(a[i]->note[0], i);
        ck_assert_int_eq(actor_join(a[i]), 0);
    }
    ck_assert_int_eq(stage_close(&stage), 0);
    ostler_mailbox_free(m);
}
END_TEST

/* On the reactor: a message that the first in line is called for, and that is gone when it comes. */
static void overtake(void *arg)
{
    send_number(arg, 99, 0);
    receive_number(arg, 0);
}

START_TEST(who_was_overtaken_keeps_its_place)
{
    struct ostler_mailbox *m = new_mailbox(8, OSTLER_FULL_WAIT);
    struct stage stage;
    struct actor *a[2];

    stage_open(&stage, FIBERS, NULL);
    for (int i = 0; i < 2; i++) {
        a[i] = start_waiter(&stage, wait_in_line, m);
        ck_assert_ptr_nonnull(a[i]);
        settle(&stage);
    }
    ck_assert(harness_call(ostler_server_reactor(stage.h.server), overtake, m));
    settle(&stage);
    ck_assert_int_eq(send_number(m, 0, 0), 0);
    ck_assert(harness_wait(&a[0]->ended, 1));
    ck_assert_int_eq(send_number(m, 1, 0), 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(actor_join(a[i]), 0);
    ck_assert_int_eq(stage_close(&stage), 0);
    ostler_mailbox_free(m);
}
END_TEST

/* Called for room, it leaves without having used it. */
static int look_for_room(struct actor *self)
{
    struct ostler_wait w = { .mailbox = self->arg, .events = OSTLER_WRITE };

    harness_raise(&self->noted);
    return ostler_wait_any(&w, 1, OSTLER_NEVER) == 1 && w.ready == OSTLER_WRITE ? 0 : -EBADMSG;
}

static int send_in_line(struct actor *self)
{
    harness_raise(&self->noted);
    return send_number(self->arg, 1, OSTLER_NEVER);
}

START_TEST(room_that_is_left_goes_to_the_next)
{
    struct ostler_mailbox *m = new_mailbox(1, OSTLER_FULL_WAIT);
    struct actor *first, *second;
    struct stage stage;

    ck_assert_int_eq(send_number(m, 0, 0), 0);
    stage_open(&stage, FIBERS, NULL);
    first = start_waiter(&stage, look_for_room, m);
    ck_assert_ptr_nonnull(first);
    settle(&stage);
    second = start_waiter(&stage, send_in_line, m);
    ck_assert_ptr_nonnull(second);
    settle(&stage);
    ck_assert_int_eq(receive_number(m, 0), 0);
    ck_assert(harness_wait(&first->ended, 1));
    ck_assert(harness_wait(&second->ended, 1));
    ck_assert_int_eq(actor_join(first), 0);
    ck_assert_int_eq(actor_join(second), 0);
    ck_assert_int_eq(stage_close(&stage), 0);
    ck_assert_int_eq(receive_number(m, 0), 1);
    ostler_mailbox_free(m);
}
END_TEST

static int have_small_buffer(struct actor *self)
{
    char byte;

    harness_raise(&self->noted);
    return (int)ostler_mailbox_receive(self->arg, &byte, 1, OSTLER_NEVER);
}

START_TEST(a_message_that_is_too_large_for_one_goes_to_the_next)
{
    struct ostler_mailbox *m = new_mailbox(8, OSTLER_FULL_WAIT);
    struct stage stage;
    struct actor *small, *large;

    stage_open(&stage, _i, NULL);
    small = start_waiter(&stage, have_small_buffer, m);
    ck_assert_ptr_nonnull(small);
    if (_i == FIBERS)
        settle(&stage);
    large = start_waiter(&stage, wait_in_line, m);
    ck_assert_ptr_nonnull(large);
    ck_assert_int_eq(send_number(m, 7, 0), 0);
    ck_assert(harness_wait(&large->ended, 1));
    ck_assert_int_eq(large->note[0], 7);
    ck_assert_int_eq(actor_join(large), 0);
    if (harness_count(&small->ended) == 0) /* a thread that came second gets another */
        ck_assert_int_eq(send_number(m, 8, 0), 0);
    ck_assert_int_eq(actor_join(small), -EMSGSIZE);
    ck_assert_int_eq(stage_close(&stage), 0);
    ostler_mailbox_free(m);
}
END_TEST

/* ---- A handler that never has to wait is not alone ---- */

static atomic_bool over;

static int talk_to_oneself(struct actor *self)
{
    int error = 0;

    while (error == 0 && !atomic_load(&over)) {
        error = send_number(self->arg, 1, OSTLER_NEVER);
        if (error == 0 && receive_number(self->arg, OSTLER_NEVER) != 1)
            error = -EBADMSG;
    }
    return error;
}

static int end_that(struct actor *self)
{
    (void)self;
    atomic_store(&over, true);
    return 0;
}

START_TEST(who_never_has_to_wait_gives_others_a_turn)
{
    struct ostler_mailbox *m = new_mailbox(8, OSTLER_FULL_WAIT);
    struct stage stage;
    struct actor *busy, *other;

    atomic_store(&over, false);
    stage_open(&stage, _i, NULL);
    busy = actor_start(&stage, talk_to_oneself, m);
    other = actor_start(&stage, end_that, NULL);
    if (!other)
        atomic_store(&over, true);
    ck_assert_int_eq(actor_join(busy), 0);
    ck_assert_int_eq(actor_join(other), 0);
    ck_assert_int_eq(stage_close(&stage), 0);
    ostler_mailbox_free(m);
}
END_TEST

/* With a time-out of 0 nobody else comes in between, so that a lock may be held: were it
 * otherwise, the second fiber would wait for it for ever, and the first one with it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int send_under_lock(struct actor *self)
{
    int error = 0;

    for (int i = 0; i < 100 && error == 0; i++) {
        pthread_mutex_lock(&lock);
        for (int k = 0; k < 100 && error == 0; k++)
            error = send_number(self->arg, k, 0);
        pthread_mutex_unlock(&lock);
        if (error == 0)
            error = ostler_sleep_ms(0);
    }
    return error;
}

START_TEST(a_lock_may_be_held_while_one_does_not_wait)
{
    struct ostler_mailbox *m = new_mailbox(8, OSTLER_FULL_DROP_OLDEST);
    struct stage stage;
    struct actor *a[3];

    stage_open(&stage, _i, NULL);
    for (int i = 0; i < 3; i++)
        a[i] = actor_start(&stage, send_under_lock, m);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(actor_join(a[i]), 0);
    ck_assert_int_eq(stage_close(&stage), 0);
    ck_assert_uint_eq(ostler_mailbox_dropped(m), 3 * 100 * 100 - 8);
    ostler_mailbox_free(m);
}
END_TEST

/* ---- When it is full, and the like ---- */

START_TEST(the_newest_or_the_oldest_is_dropped)
{
    struct ostler_mailbox *newest = new_mailbox(3, OSTLER_FULL_DROP_NEWEST);
    struct ostler_mailbox *oldest = new_mailbox(3, OSTLER_FULL_DROP_OLDEST);

    for (long i = 0; i < 10; i++) {
        ck_assert_int_eq(send_number(newest, i, OSTLER_NEVER), 0);
        ck_assert_int_eq(send_number(oldest, i, 0), 0);
    }
    ck_assert_uint_eq(ostler_mailbox_count(newest), 3);
    ck_assert_uint_eq(ostler_mailbox_count(oldest), 3);
    ck_assert_uint_eq(ostler_mailbox_dropped(newest), 7);
    ck_assert_uint_eq(ostler_mailbox_dropped(oldest), 7);
    for (long i = 0; i < 3; i++) {
        ck_assert_int_eq(receive_number(newest, 0), i);
        ck_assert_int_eq(receive_number(oldest, 0), 7 + i);
    }
    ck_assert_int_eq(receive_number(oldest, 0), -ETIMEDOUT);
    ostler_mailbox_free(newest);
    ostler_mailbox_free(oldest);
}
END_TEST

START_TEST(what_is_in_a_closed_one_can_be_received)
{
    struct ostler_mailbox *m = new_mailbox(3, OSTLER_FULL_WAIT);
    char byte = 'x';

    ck_assert_int_eq(send_number(m, 1, 0), 0);
    ck_assert_int_eq(ostler_mailbox_send(m, NULL, 0, 0), 0);
    ck_assert_int_eq(ostler_mailbox_close(m), 0);
    ck_assert_int_eq(send_number(m, 2, 0), -EPIPE);
    ck_assert_int_eq(ostler_mailbox_receive(m, &byte, 1, 0), -EMSGSIZE);
    ck_assert_int_eq(byte, 'x');
    ck_assert_int_eq(receive_number(m, OSTLER_NEVER), 1);
    ck_assert_int_eq(ostler_mailbox_receive(m, NULL, 0, OSTLER_NEVER), 0);
    ck_assert_int_eq(receive_number(m, OSTLER_NEVER), -EPIPE);
    ostler_mailbox_free(m);
}
END_TEST

START_TEST(wrong_arguments_change_nothing)
{
    struct ostler_mailbox *m = (struct ostler_mailbox *)&over, *unchanged = m;
    char byte;

    ck_assert_int_eq(ostler_mailbox_new(NULL, NULL), -EINVAL);
    ck_assert_int_eq(ostler_mailbox_new(&m, &(struct ostler_mailbox_options){ .capacity = SIZE_MAX }), -EINVAL);
    ck_assert_int_eq(ostler_mailbox_new(&m, &(struct ostler_mailbox_options){ .max_size = SIZE_MAX }), -EINVAL);
    ck_assert_int_eq(ostler_mailbox_new(&m, &(struct ostler_mailbox_options){ .full = 3 }), -EINVAL);
    ck_assert_ptr_eq(m, unchanged);
    ck_assert_int_eq(ostler_mailbox_new(&m, NULL), 0);
    ck_assert_int_eq(ostler_mailbox_send(NULL, "x", 1, 0), -EINVAL);
    ck_assert_int_eq(ostler_mailbox_send(m, NULL, 1, 0), -EINVAL);
    ck_assert_int_eq(ostler_mailbox_send(m, "x", 1, -2), -EINVAL);
    ck_assert_int_eq(ostler_mailbox_send(m, "x", 65537, 0), -EMSGSIZE);
    ck_assert_int_eq(ostler_mailbox_receive(NULL, &byte, 1, 0), -EINVAL);
    ck_assert_int_eq(ostler_mailbox_receive(m, NULL, 1, 0), -EINVAL);
    ck_assert_int_eq(ostler_mailbox_receive(m, &byte, 1, -2), -EINVAL);
    ck_assert_int_eq(ostler_mailbox_close(NULL), -EINVAL);
    ck_assert_uint_eq(ostler_mailbox_count(NULL), 0);
    ck_assert_uint_eq(ostler_mailbox_dropped(NULL), 0);
    ck_assert_uint_eq(ostler_mailbox_count(m), 0);
    ostler_mailbox_free(NULL);
    ostler_mailbox_free(m);
}
END_TEST

/* ---- Where one must not wait, or has but a copy ---- */

static long in_callback[4];

static void use_in_callback(void *arg)
{
    in_callback[0] = send_number(arg, 5, 0);
    in_callback[1] = receive_number(arg, OSTLER_NEVER);
    in_callback[2] = send_number(arg, 6, 1);
    in_callback[3] = receive_number(arg, 0);
}

START_TEST(a_callback_must_not_wait)
{
    struct ostler_mailbox *m = new_mailbox(8, OSTLER_FULL_WAIT);
    struct stage stage;

    stage_open(&stage, FIBERS, NULL);
    ck_assert(harness_call(ostler_server_reactor(stage.h.server), use_in_callback, m));
    ck_assert_int_eq(in_callback[0], 0);
    ck_assert_int_eq(in_callback[1], -EDEADLK);
    ck_assert_int_eq(in_callback[2], -EDEADLK);
    ck_assert_int_eq(in_callback[3], 5);
    ck_assert_int_eq(stage_close(&stage), 0);
    ostler_mailbox_free(m);
}
END_TEST

static int use_a_copy(struct actor *self)
{
    struct ostler_mailbox *m = self->arg;

    if (send_number(m, 1, 0) != -EPERM || receive_number(m, 0) != -EPERM || ostler_mailbox_close(m) != -EPERM)
        return -EBADMSG;
    return ostler_mailbox_count(m) == 0 && ostler_mailbox_dropped(m) == 0 ? 0 : -EBADMSG;
}

START_TEST(a_child_has_but_a_copy)
{
    struct ostler_mailbox *m = new_mailbox(8, OSTLER_FULL_WAIT);
    struct stage stage;
    struct actor *a;

    send_number(m, 1, 0);
    stage_open(&stage, FORKING, NULL);
    a = actor_start(&stage, use_a_copy, m);
    ck_assert_ptr_nonnull(a);
    ck_assert_int_eq(actor_join(a), 0);
    ck_assert_int_eq(receive_number(m, 0), 1);
    ck_assert_int_eq(stage_close(&stage), 0);
    ostler_mailbox_free(m);
}
END_TEST

static void *send_all(void *arg)
{
    for (long i = 0; i < MANY && send_number(arg, i, harness_deadline_ms()) == 0; i++)
        continue;
    return NULL;
}

static int have_one_of_its_own(struct actor *self)
{
    struct ostler_mailbox *m;
    pthread_t thread;
    long i = 0;

    (void)self;
    if (ostler_mailbox_new(&m, &(struct ostler_mailbox_options){ .capacity = 1 }) < 0 ||
        pthread_create(&thread, NULL, send_all, m) != 0)
        return -ENOMEM;
    while (i < MANY && receive_number(m, harness_deadline_ms()) == i)
        i++;
    ostler_mailbox_close(m);
    pthread_join(thread, NULL);
    ostler_mailbox_free(m);
    return i == MANY ? 0 : -EBADMSG;
}

START_TEST(a_child_may_have_one_of_its_own)
{
    struct stage stage;
    struct actor *a;

    stage_open(&stage, _i, NULL);
    a = actor_start(&stage, have_one_of_its_own, NULL);
    ck_assert_ptr_nonnull(a);
    ck_assert_int_eq(actor_join(a), 0);
    ck_assert_int_eq(stage_close(&stage), 0);
}
END_TEST

/* ---- Many at once, on two reactors and none ---- */

enum { SENDERS = 6, RECEIVERS = 6, EACH = 1500 };

struct crowd {
    struct ostler_mailbox *mailbox;
    atomic_long sent, received, sum, timeouts;
};

static int send_each(struct actor *self)
{
    struct crowd *c = self->arg;

    for (long i = 1; i <= EACH;) {
        int error = send_number(c->mailbox, i, i % 3 ? OSTLER_NEVER : 1);

        if (error < 0 && error != -ETIMEDOUT)
            return error;
        if (error == 0)
            atomic_fetch_add(&c->sent, 1);
        i += error == 0;
    }
    return 0;
}

/* Receive until it is closed, now with a time-out that comes along with the messages, now without. */
static int receive_all(struct actor *self)
{
    struct crowd *c = self->arg;
    long got, turn = 0;

    while ((got = receive_number(c->mailbox, turn++ % 2 ? OSTLER_NEVER : 1)) != -EPIPE) {
        if (got < 0 && got != -ETIMEDOUT)
            return (int)got;
        if (got < 0)
            atomic_fetch_add(&c->timeouts, 1);
        if (got >= 0)
            atomic_fetch_add(&c->received, 1);
        if (got >= 0)
            atomic_fetch_add(&c->sum, got);
    }
    return 0;
}

START_TEST(many_lose_nothing)
{
    static const int ways[] = { FIBERS, THREADING, THREAD };
    struct crowd c = { .mailbox = new_mailbox(4, OSTLER_FULL_WAIT) };
    struct actor *senders[SENDERS], *receivers[RECEIVERS];
    struct stage stages[3];

    for (int i = 0; i < 3; i++)
        stage_open(&stages[i], ways[i], NULL);
    for (int i = 0; i < RECEIVERS; i++)
        receivers[i] = actor_start(&stages[i % 3], receive_all, &c);
    for (int i = 0; i < SENDERS; i++)
        senders[i] = actor_start(&stages[i % 3], send_each, &c);
    for (int i = 0; i < SENDERS; i++)
        ck_assert_int_eq(actor_join(senders[i]), 0);
    ck_assert_int_eq(ostler_mailbox_close(c.mailbox), 0);
    for (int i = 0; i < RECEIVERS; i++)
        ck_assert_int_eq(actor_join(receivers[i]), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(stage_close(&stages[i]), 0);
    ck_assert_int_eq(c.sent, SENDERS * EACH);
    ck_assert_int_eq(c.received, SENDERS * EACH);
    ck_assert_int_eq(c.sum, SENDERS * ((long)EACH * (EACH + 1) / 2));
    ostler_mailbox_free(c.mailbox);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mailbox");
    TCase *one = harness_case(suite, "one waits"), *several = harness_case(suite, "several wait");
    TCase *rest = harness_case(suite, "rules"), *many = harness_case(suite, "many");

    tcase_add_loop_test(one, messages_arrive_in_the_order_of_sending, INLINE, FORKING);
    tcase_add_loop_test(one, a_sender_waits_for_room, INLINE, FORKING);
    tcase_add_loop_test(one, both_ends_time_out, INLINE, FORKING);
    tcase_add_loop_test(one, closing_wakes_who_waits, INLINE, FORKING);
    tcase_add_test(several, who_waits_first_is_served_first);
    tcase_add_test(several, who_was_overtaken_keeps_its_place);
    tcase_add_test(several, room_that_is_left_goes_to_the_next);
    tcase_add_loop_test(several, a_message_that_is_too_large_for_one_goes_to_the_next, FIBERS, FORKING);
    tcase_add_loop_test(several, who_never_has_to_wait_gives_others_a_turn, FIBERS, FORKING);
    tcase_add_loop_test(several, a_lock_may_be_held_while_one_does_not_wait, FIBERS, FORKING);
    tcase_add_test(rest, the_newest_or_the_oldest_is_dropped);
    tcase_add_test(rest, what_is_in_a_closed_one_can_be_received);
    tcase_add_test(rest, wrong_arguments_change_nothing);
    tcase_add_test(rest, a_callback_must_not_wait);
    tcase_add_test(rest, a_child_has_but_a_copy);
    /* A child of ThreadSanitizer's may not have threads. */
    tcase_add_loop_test(rest, a_child_may_have_one_of_its_own, INLINE, getenv("OSTLER_SANITIZED") ? FORKING : WAYS);
    tcase_add_test(many, many_lose_nothing);
    return harness_main(suite);
}
