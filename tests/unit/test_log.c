/* log.h: levels, the sink, and standard error, which must never block anybody. */
#include "support/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

START_TEST(levels_have_the_numbers_of_syslog)
{
    ck_assert_int_eq(OSTLER_LOG_ERROR, 3);
    ck_assert_int_eq(OSTLER_LOG_WARNING, 4);
    ck_assert_int_eq(OSTLER_LOG_INFO, 6);
    ck_assert_int_eq(OSTLER_LOG_DEBUG, 7);
}
END_TEST

START_TEST(a_level_has_a_word_and_the_word_its_level)
{
    static const int levels[] = { OSTLER_LOG_ERROR, OSTLER_LOG_WARNING, OSTLER_LOG_INFO, OSTLER_LOG_DEBUG };

    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(ostler_log_level_parse(ostler_log_level_name(levels[i])), levels[i]);
    ck_assert_str_eq(ostler_log_level_name(OSTLER_LOG_WARNING), "warning");
}
END_TEST

START_TEST(other_numbers_and_words_are_no_levels)
{
    static const int numbers[] = { -1, 0, 2, 5, 8 };
    static const char *const words[] = { "", "Error", "warn", "debug ", "errors" };

    for (size_t i = 0; i < 5; i++) {
        ck_assert_ptr_null(ostler_log_level_name(numbers[i]));
        ck_assert_int_eq(ostler_log_level_parse(words[i]), -EINVAL);
    }
    ck_assert_int_eq(ostler_log_level_parse(NULL), -EINVAL);
}
END_TEST

START_TEST(the_sink_gets_level_and_line_without_a_newline)
{
    struct harness_log log;

    harness_log_init(&log);
    ostler_log_write(&log.log, OSTLER_LOG_WARNING, "%s is %d", "seven", 7);
    ck_assert_str_eq(log.text, "warning seven is 7\n");
    harness_log_fini(&log);
}
END_TEST

/* How many of four lines, one a level, get through at level? */
static int lines_at(int level)
{
    struct harness_log log;
    int n;

    harness_log_init(&log);
    log.log.level = level;
    ostler_log_write(&log.log, OSTLER_LOG_ERROR, "line");
    ostler_log_write(&log.log, OSTLER_LOG_WARNING, "line");
    ostler_log_write(&log.log, OSTLER_LOG_INFO, "line");
    ostler_log_write(&log.log, OSTLER_LOG_DEBUG, "line");
    n = harness_log_count(&log, "line");
    harness_log_fini(&log);
    return n;
}

START_TEST(lines_above_the_level_are_dropped)
{
    ck_assert_int_eq(lines_at(OSTLER_LOG_ERROR), 1);
    ck_assert_int_eq(lines_at(OSTLER_LOG_WARNING), 2);
    ck_assert_int_eq(lines_at(OSTLER_LOG_INFO), 3);
    ck_assert_int_eq(lines_at(OSTLER_LOG_DEBUG), 4);
}
END_TEST

START_TEST(level_zero_is_info)
{
    ck_assert_int_eq(lines_at(0), 3);
}
END_TEST

START_TEST(a_line_is_cut_at_a_thousand_bytes)
{
    struct harness_log log;
    char *text = malloc(100001);

    memset(text, 'x', 100000);
    text[100000] = '\0';
    harness_log_init(&log);
    ostler_log_write(&log.log, OSTLER_LOG_INFO, "%s", text + 100000 - 1000);
    ck_assert_uint_eq(strlen(log.text), strlen("info \n") + 1000);
    ostler_log_write(&log.log, OSTLER_LOG_INFO, "%s", text);
    ck_assert_uint_eq(strlen(log.text), 2 * (strlen("info \n") + 1000));
    harness_log_fini(&log);
    free(text);
}
END_TEST

START_TEST(control_characters_become_question_marks)
{
    struct harness_log log;

    harness_log_init(&log);
    ostler_log_write(&log.log, OSTLER_LOG_INFO, "a\nb\rc\td\x1b[31me\x7f" "f \xc3\xa4");
    ck_assert_str_eq(log.text, "info a?b?c?d?[31me?f \xc3\xa4\n");
    harness_log_fini(&log);
}
END_TEST

START_TEST(errno_is_kept)
{
    struct harness_log log;

    harness_log_init(&log);
    errno = EXDEV;
    ostler_log_write(&log.log, OSTLER_LOG_INFO, "line");
    ck_assert_int_eq(errno, EXDEV);
    ostler_log_write(&log.log, 99, "line");
    ck_assert_int_eq(errno, EXDEV);
    harness_log_fini(&log);
}
END_TEST

/* Standard error, replaced by a pipe. */
struct capture {
    int saved, in, out;
};

static struct capture capture_begin(void)
{
    struct capture c;
    int ends[2];

    fflush(stderr);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    c = (struct capture){ .saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3), .in = ends[0], .out = ends[1] };
    dup2(ends[1], STDERR_FILENO);
    return c;
}

static void capture_end(struct capture *c)
{
    dup2(c->saved, STDERR_FILENO);
    close(c->saved);
    close(c->in);
    close(c->out);
}

/* What is in the pipe, into text as a string. */
static void capture_read(struct capture *c, char *text, size_t size)
{
    struct pollfd p = { .fd = c->in, .events = POLLIN };
    ssize_t n = poll(&p, 1, 0) > 0 ? read(c->in, text, size - 1) : 0;

    text[n > 0 ? n : 0] = '\0';
}

START_TEST(no_log_is_standard_error_from_info_on)
{
    struct capture c = capture_begin();
    char text[4096];

    ostler_log_write(NULL, OSTLER_LOG_DEBUG, "too much");
    ostler_log_write(NULL, OSTLER_LOG_INFO, "one %s", "line");
    capture_read(&c, text, sizeof(text));
    capture_end(&c);
    ck_assert_ptr_null(strstr(text, "too much"));
    ck_assert_ptr_nonnull(strstr(text, " info one line\n"));
}
END_TEST

START_TEST(a_log_without_a_sink_is_standard_error_with_its_level)
{
    struct ostler_log log = { .level = OSTLER_LOG_WARNING };
    struct capture c = capture_begin();
    char text[4096];

    ostler_log_write(&log, OSTLER_LOG_INFO, "too much");
    ostler_log_write(&log, OSTLER_LOG_WARNING, "enough");
    capture_read(&c, text, sizeof(text));
    capture_end(&c);
    ck_assert_ptr_null(strstr(text, "too much"));
    ck_assert_ptr_nonnull(strstr(text, " warning enough\n"));
}
END_TEST

START_TEST(a_line_begins_with_the_time)
{
    struct capture c = capture_begin();
    time_t before = time(NULL), said;
    struct tm tm = { 0 };
    char text[4096];

    ostler_log_write(NULL, OSTLER_LOG_INFO, "line");
    capture_read(&c, text, sizeof(text));
    capture_end(&c);
    ck_assert_ptr_nonnull(strptime(text, "%Y-%m-%dT%H:%M:%S.", &tm));
    said = timegm(&tm);
    ck_assert(said >= before && said <= time(NULL));
}
END_TEST

START_TEST(a_pipe_that_nobody_reads_stops_nobody)
{
    struct capture c = capture_begin();

    for (int i = 0; i < 5000; i++)
        ostler_log_write(NULL, OSTLER_LOG_INFO, "%0900d", i); /* 4.5 MB; the pipe takes 64 KiB */
    capture_end(&c);
}
END_TEST

START_TEST(a_full_pipe_gets_whole_lines_only)
{
    struct capture c = capture_begin();
    char text[70000];
    size_t lines = 0;

    for (int i = 0; i < 200; i++)
        ostler_log_write(NULL, OSTLER_LOG_INFO, "begin %0900d end", i);
    capture_read(&c, text, sizeof(text));
    capture_end(&c);
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1, lines++)
        ck_assert_int_eq(strncmp(end - 4, " end", 4), 0);
    ck_assert_uint_gt(lines, 10);
    ck_assert_int_eq(text[strlen(text) - 1], '\n');
}
END_TEST

START_TEST(a_line_is_printed_to_a_descriptor_or_told_to_be_lost)
{
    char text[4096], nothing[70000];
    int ends[2], error;

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_eq(ostler_log_print(ends[1], OSTLER_LOG_WARNING, "line"), 0);
    ck_assert_int_gt(read(ends[0], text, sizeof(text)), 0);
    ck_assert_ptr_nonnull(strstr(text, "Z warning line\n"));
    do
        error = ostler_log_print(ends[1], OSTLER_LOG_INFO, "line");
    while (error == 0);
    ck_assert_int_eq(error, -EAGAIN);
    ck_assert_int_gt(read(ends[0], nothing, sizeof(nothing)), 0);
    close(ends[0]);
    ck_assert_int_eq(ostler_log_print(ends[1], OSTLER_LOG_INFO, "line"), -EPIPE);
    ck_assert_int_eq(ostler_log_print(ends[1], OSTLER_LOG_INFO, NULL), -EINVAL);
    close(ends[1]);
    ends[1] = open("/dev/full", O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(ostler_log_print(ends[1], OSTLER_LOG_INFO, "line"), -ENOSPC);
    close(ends[1]);
}
END_TEST

enum { THREADS = 8, LINES = 500 };

static void *write_lines(void *arg)
{
    struct harness_log *log = arg;

    for (int i = 0; i < LINES; i++)
        ostler_log_write(&log->log, OSTLER_LOG_INFO, "<%d>", i);
    return NULL;
}

START_TEST(many_threads_log_at_once)
{
    struct harness_log log;
    pthread_t threads[THREADS];

    harness_log_init(&log);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, &log), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(harness_log_count(&log, "info <"), THREADS * LINES);
    ck_assert_int_eq(harness_log_count(&log, "<499>\n"), THREADS);
    harness_log_fini(&log);
}
END_TEST

START_TEST(a_server_logs_where_its_reactor_does)
{
    struct harness_reactor h;

    harness_reactor_init(&h);
    ck_assert_ptr_eq(ostler_reactor_log(h.reactor), &h.log.log);
    ck_assert_ptr_null(ostler_reactor_log(NULL));
    harness_reactor_fini(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tc = harness_case(suite, "levels");

    tcase_add_test(tc, levels_have_the_numbers_of_syslog);
    tcase_add_test(tc, a_level_has_a_word_and_the_word_its_level);
    tcase_add_test(tc, other_numbers_and_words_are_no_levels);
    tcase_add_test(tc, lines_above_the_level_are_dropped);
    tcase_add_test(tc, level_zero_is_info);
    tc = harness_case(suite, "lines");
    tcase_add_test(tc, the_sink_gets_level_and_line_without_a_newline);
    tcase_add_test(tc, a_line_is_cut_at_a_thousand_bytes);
    tcase_add_test(tc, control_characters_become_question_marks);
    tcase_add_test(tc, errno_is_kept);
    tcase_add_test(tc, many_threads_log_at_once);
    tcase_add_test(tc, a_server_logs_where_its_reactor_does);
    tc = harness_case(suite, "standard error");
    tcase_add_test(tc, no_log_is_standard_error_from_info_on);
    tcase_add_test(tc, a_log_without_a_sink_is_standard_error_with_its_level);
    tcase_add_test(tc, a_line_begins_with_the_time);
    tcase_add_test(tc, a_pipe_that_nobody_reads_stops_nobody);
    tcase_add_test(tc, a_full_pipe_gets_whole_lines_only);
    tcase_add_test(tc, a_line_is_printed_to_a_descriptor_or_told_to_be_lost);
    return harness_main(suite);
}
