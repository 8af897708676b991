/* The daytime handler's line: RFC 867's first form, in UTC and English. */
#include "support/harness.h"

#include <locale.h>
#include <stdlib.h>
#include <time.h>

#include "handlers.h"

static const char *print(time_t now)
{
    static char line[DAYTIME_SIZE];

    ck_assert_uint_eq(daytime_print(line, now), strlen(line));
    return line;
}

START_TEST(the_example_of_the_rfc_is_told_in_its_form)
{
    ck_assert_str_eq(print(383276263), "Tuesday, February 23, 1982 01:37:43-UTC\r\n");
}
END_TEST

START_TEST(days_and_hours_below_ten_are_told)
{
    ck_assert_str_eq(print(0), "Thursday, January 1, 1970 00:00:00-UTC\r\n");
    ck_assert_str_eq(print(1764924305), "Friday, December 5, 2025 08:45:05-UTC\r\n");
}
END_TEST

START_TEST(all_days_and_months_have_their_names)
{
    static const char *const lines[] = {
        "Thursday, January 15, 2026 00:00:00-UTC\r\n",  "Sunday, February 15, 2026 00:00:00-UTC\r\n",
        "Sunday, March 15, 2026 00:00:00-UTC\r\n",      "Wednesday, April 15, 2026 00:00:00-UTC\r\n",
        "Friday, May 15, 2026 00:00:00-UTC\r\n",        "Monday, June 15, 2026 00:00:00-UTC\r\n",
        "Wednesday, July 15, 2026 00:00:00-UTC\r\n",    "Saturday, August 15, 2026 00:00:00-UTC\r\n",
        "Tuesday, September 15, 2026 00:00:00-UTC\r\n", "Thursday, October 15, 2026 00:00:00-UTC\r\n",
        "Sunday, November 15, 2026 00:00:00-UTC\r\n",   "Tuesday, December 15, 2026 00:00:00-UTC\r\n",
    };
    static const int days[] = { 14, 45, 73, 104, 134, 165, 195, 226, 257, 287, 318, 348 };
    const time_t year = 1767225600; /* 2026-01-01 */

    for (int i = 0; i < 12; i++)
        ck_assert_str_eq(print(year + days[i] * 86400), lines[i]);
}
END_TEST

START_TEST(the_line_is_right_past_2036_and_2038_and_on_leap_days)
{
    ck_assert_str_eq(print(2085978496), "Thursday, February 7, 2036 06:28:16-UTC\r\n");
    ck_assert_str_eq(print(2147483648), "Tuesday, January 19, 2038 03:14:08-UTC\r\n");
    ck_assert_str_eq(print(1835481599), "Tuesday, February 29, 2028 23:59:59-UTC\r\n");
}
END_TEST

START_TEST(the_longest_line_fits)
{
    ck_assert_str_eq(print(1790812799), "Wednesday, September 30, 2026 23:59:59-UTC\r\n");
}
END_TEST

START_TEST(neither_the_time_zone_nor_the_locale_matters)
{
    setenv("TZ", "Asia/Tokyo", 1);
    setenv("LC_ALL", "de_DE.UTF-8", 1);
    tzset();
    setlocale(LC_ALL, ""); /* where it is not installed, it does not matter anyway */
    ck_assert_str_eq(print(1795381533), "Sunday, November 22, 2026 21:05:33-UTC\r\n");
    setlocale(LC_ALL, "C");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("daytime");
    TCase *tc = harness_case(suite, "RFC 867");

    tcase_add_test(tc, the_example_of_the_rfc_is_told_in_its_form);
    tcase_add_test(tc, days_and_hours_below_ten_are_told);
    tcase_add_test(tc, all_days_and_months_have_their_names);
    tcase_add_test(tc, the_line_is_right_past_2036_and_2038_and_on_leap_days);
    tcase_add_test(tc, the_longest_line_fits);
    tcase_add_test(tc, neither_the_time_zone_nor_the_locale_matters);
    return harness_main(suite);
}
