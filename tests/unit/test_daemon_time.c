/* The time handler's number: RFC 868, right past 2036. */
#include "support/harness.h"

#include <time.h>

#include "handlers.h"

static uint32_t encode(time_t now)
{
    unsigned char b[4];

    time_encode(b, now);
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

START_TEST(the_examples_of_rfc_868_hold)
{
    ck_assert_uint_eq(encode(0), 2208988800u); /* 1970-01-01 */
    ck_assert_uint_eq(encode(189302400), 2398291200u); /* 1976-01-01 */
    ck_assert_uint_eq(encode(315532800), 2524521600u); /* 1980-01-01 */
    ck_assert_uint_eq(encode(420595200), 2629584000u); /* 1983-05-01 */
    ck_assert_uint_eq(encode(-3506716800), (uint32_t)-1297728000); /* 1858-11-17 */
}
END_TEST

START_TEST(the_most_significant_byte_comes_first)
{
    unsigned char b[4];

    time_encode(b, 0);
    ck_assert_mem_eq(b, "\x83\xaa\x7e\x80", 4);
}
END_TEST

START_TEST(the_count_begins_anew_in_2036_and_goes_on)
{
    const time_t last = 2085978495; /* 2036-02-07 06:28:15 UTC */

    ck_assert_uint_eq(encode(last), 4294967295u);
    ck_assert_uint_eq(encode(last + 1), 0);
    ck_assert_uint_eq(encode(last + 2), 1);
    ck_assert_uint_eq(encode(2147483648), 61505152u);   /* 2038-01-19 03:14:08 UTC, past 2^31 */
    ck_assert_uint_eq(encode(4102444800), 2016466304u); /* 2100-01-01 */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("time");
    TCase *tc = harness_case(suite, "RFC 868");

    tcase_add_test(tc, the_examples_of_rfc_868_hold);
    tcase_add_test(tc, the_most_significant_byte_comes_first);
    tcase_add_test(tc, the_count_begins_anew_in_2036_and_goes_on);
    return harness_main(suite);
}
