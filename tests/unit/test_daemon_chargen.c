/* The chargen handler's pattern: RFC 864's rotating lines. */
#include "support/harness.h"

#include "handlers.h"

enum { LINE = 74, PAGE = 95 * LINE };

START_TEST(the_first_lines_are_those_of_the_rfc)
{
    char text[3 * LINE + 1] = { 0 };

    chargen_fill(text, 3 * LINE);
    ck_assert_str_eq(text, " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n"
                           "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh\r\n"
                           "\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghi\r\n");
}
END_TEST

START_TEST(every_line_begins_one_character_further_in_a_ring_of_95)
{
    char text[3 * PAGE];

    chargen_fill(text, sizeof(text));
    for (int line = 0; line < 3 * 95; line++) {
        for (int column = 0; column < 72; column++)
            ck_assert_int_eq(text[line * LINE + column], ' ' + (line + column) % 95);
        ck_assert_mem_eq(text + line * LINE + 72, "\r\n", 2);
    }
}
END_TEST

START_TEST(page_repeats_itself)
{
    char text[2 * PAGE];

    chargen_fill(text, sizeof(text));
    ck_assert_mem_eq(text, text + PAGE, PAGE);
}
END_TEST

START_TEST(any_number_of_bytes_is_the_beginning_and_nothing_is_written_behind)
{
    char whole[512], text[513];

    chargen_fill(whole, sizeof(whole));
    for (size_t n = 0; n <= sizeof(whole); n++) {
        memset(text, '\1', sizeof(text));
        chargen_fill(text, n);
        ck_assert_mem_eq(text, whole, n);
        ck_assert_int_eq(text[n], '\1');
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chargen");
    TCase *tc = harness_case(suite, "RFC 864");

    tcase_add_test(tc, the_first_lines_are_those_of_the_rfc);
    tcase_add_test(tc, every_line_begins_one_character_further_in_a_ring_of_95);
    tcase_add_test(tc, page_repeats_itself);
    tcase_add_test(tc, any_number_of_bytes_is_the_beginning_and_nothing_is_written_behind);
    return harness_main(suite);
}
