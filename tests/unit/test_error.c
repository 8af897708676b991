/* error.h, version.h and the words for close reasons: texts that are always there. */
#include "support/harness.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

START_TEST(both_signs_give_the_same_text)
{
    ck_assert_str_eq(ostler_strerror(-ENOENT), "No such file or directory");
    ck_assert_str_eq(ostler_strerror(ENOENT), "No such file or directory");
}
END_TEST

START_TEST(zero_is_described_too)
{
    ck_assert_str_eq(ostler_strerror(0), "Success");
}
END_TEST

START_TEST(a_number_that_is_no_error_still_gives_a_text)
{
    static const int odd[] = { 41, 58, 4096, -4096, INT_MAX, INT_MIN, INT_MIN + 1 };

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        ck_assert_ptr_nonnull(ostler_strerror(odd[i]));
        ck_assert_uint_gt(strlen(ostler_strerror(odd[i])), 0);
    }
}
END_TEST

START_TEST(the_text_stays_when_another_is_asked_for)
{
    const char *first = ostler_strerror(-EPIPE);

    ostler_strerror(99999);
    ostler_strerror(-EINVAL);
    ck_assert_str_eq(first, "Broken pipe");
}
END_TEST

START_TEST(errno_is_left_alone)
{
    errno = EXDEV;
    ostler_strerror(-99999);
    ck_assert_int_eq(errno, EXDEV);
}
END_TEST

START_TEST(every_close_reason_has_words_of_its_own)
{
    for (int i = OSTLER_CLOSE_NONE; i <= OSTLER_CLOSE_STOPPED; i++) {
        const char *text = ostler_close_reason_text((enum ostler_close_reason)i);

        ck_assert_uint_gt(strlen(text), 0);
        for (int j = OSTLER_CLOSE_NONE; j < i; j++)
            ck_assert_str_ne(text, ostler_close_reason_text((enum ostler_close_reason)j));
    }
}
END_TEST

START_TEST(a_reason_that_is_none_still_gives_words)
{
    ck_assert_ptr_nonnull(ostler_close_reason_text((enum ostler_close_reason)(OSTLER_CLOSE_STOPPED + 1)));
    ck_assert_ptr_nonnull(ostler_close_reason_text((enum ostler_close_reason)INT_MAX));
}
END_TEST

START_TEST(the_version_that_runs_is_the_one_compiled_against)
{
    char numbers[32];

    snprintf(numbers, sizeof(numbers), "%d.%d.%d", OSTLER_VERSION_MAJOR, OSTLER_VERSION_MINOR, OSTLER_VERSION_PATCH);
    ck_assert_str_eq(ostler_version(), OSTLER_VERSION);
    ck_assert_str_eq(OSTLER_VERSION, numbers);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("error");
    TCase *tc = harness_case(suite, "texts");

    tcase_add_test(tc, both_signs_give_the_same_text);
    tcase_add_test(tc, zero_is_described_too);
    tcase_add_test(tc, a_number_that_is_no_error_still_gives_a_text);
    tcase_add_test(tc, the_text_stays_when_another_is_asked_for);
    tcase_add_test(tc, errno_is_left_alone);
    tcase_add_test(tc, every_close_reason_has_words_of_its_own);
    tcase_add_test(tc, a_reason_that_is_none_still_gives_words);
    tcase_add_test(tc, the_version_that_runs_is_the_one_compiled_against);
    return harness_main(suite);
}
