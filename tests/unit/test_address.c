/* address.h: addresses as text and back. */
#include "support/harness.h"

#include <errno.h>
#include <string.h>

/* Does text come back as expected? */
static void check_text(const char *text, const char *expected)
{
    struct ostler_address *a;
    char buffer[OSTLER_ADDRESS_TEXT];
    int n;

    ck_assert_msg(!ostler_address_problem(text), "%s: %s", text, ostler_address_problem(text));
    ck_assert_int_eq(ostler_address_parse(&a, text), 0);
    n = ostler_address_text(a, buffer, sizeof(buffer));
    ck_assert_str_eq(buffer, expected);
    ck_assert_int_eq(n, (int)strlen(expected));
    ostler_address_free(a);
}

START_TEST(what_is_parsed_is_written_the_same)
{
    static const char *const texts[] = {
        "tcp:127.0.0.1:7007", "tcp:0.0.0.0:0",     "tcp:255.255.255.255:65535", "tcp:[::1]:7007",
        "tcp:[::]:7",         "tcp:[2001:db8::1]:80", "tcp:*:7007",                "tcp:*:0",
        "tcp:[fe80::1%lo]:7",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        check_text(texts[i], texts[i]);
}
END_TEST

START_TEST(ipv6_is_written_in_its_short_form)
{
    check_text("tcp:[0:0:0:0:0:0:0:1]:7", "tcp:[::1]:7");
    check_text("tcp:[2001:0DB8:0000:0000:0000:0000:0000:0001]:7", "tcp:[2001:db8::1]:7");
}
END_TEST

START_TEST(ipv4_mapped_into_ipv6_is_written_as_ipv4)
{
    check_text("tcp:[::ffff:127.0.0.1]:7", "tcp:127.0.0.1:7");
    check_text("tcp:[::ffff:c000:201]:7", "tcp:192.0.2.1:7");
}
END_TEST

START_TEST(leading_zeros_of_a_port_mean_nothing)
{
    check_text("tcp:127.0.0.1:00080", "tcp:127.0.0.1:80");
}
END_TEST

START_TEST(what_is_no_address_is_refused_with_a_sentence)
{
    static const char *const texts[] = {
        "", "tcp", "tcp:", "tcp::", "tcp:127.0.0.1", "tcp:127.0.0.1:", "tcp:127.0.0.1:x", "tcp:127.0.0.1:65536",
        "tcp:127.0.0.1:100000", "tcp:127.0.0.1:-1", "tcp:127.0.0.1:+1", "tcp:127.0.0.1: 1", "tcp:127.0.0.1:1 ",
        "tcp:127.0.0.1:0x10", "tcp:127.0.0.1:99999999999999999999", "tcp:127.0.0:7", "tcp:127.0.0.0.1:7",
        "tcp:256.0.0.1:7", "tcp:localhost:7", "tcp: 127.0.0.1:7", "tcp:::1:7", "tcp:::7", "tcp:[::1:7", "tcp:[::1]7",
        "tcp:[::1]", "tcp:[::1]:", "tcp:[]:7", "tcp:[127.0.0.1]:7", "tcp:[::g]:7", "tcp:[:::]:7", "tcp:**:7",
        "tcp:[*]:7", "tcp:[fe80::1%a/b]:7", "tcp:[fe80::1%0]:7", "tcp:[fe80::1%2147483648]:7", "tcp:[fe80::1%]:7", "tcp:[::1]]:7", "TCP:127.0.0.1:7",
        "sctp:127.0.0.1:7", "127.0.0.1:7", "tcp:127.0.0.1:7\n", "tcp:127.0.0.1:7:8",
        "tcp:[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee:ffff]:7",
        "tcp:[fe80::1%an-interface-name-that-is-much-longer-than-the-kernel-allows]:7",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct ostler_address *untouched = NULL;

        ck_assert_msg(ostler_address_parse(&untouched, texts[i]) == -EINVAL, "\"%s\" was taken", texts[i]);
        ck_assert_ptr_null(untouched);
        ck_assert_ptr_nonnull(ostler_address_problem(texts[i]));
        ck_assert_uint_gt(strlen(ostler_address_problem(texts[i])), 20);
    }
}
END_TEST

START_TEST(the_sentence_names_what_is_wrong)
{
    ck_assert_ptr_nonnull(strstr(ostler_address_problem("udp-or-what"), "scheme"));
    ck_assert_ptr_nonnull(strstr(ostler_address_problem("tcp:127.0.0.1:99999"), "port"));
    ck_assert_ptr_nonnull(strstr(ostler_address_problem("tcp:localhost:7"), "host"));
    ck_assert_ptr_nonnull(strstr(ostler_address_problem("tcp:[::1:7"), "]"));
    ck_assert_ptr_nonnull(strstr(ostler_address_problem("tcp:[fe80::1%no pe]:7"), "interface"));
}
END_TEST

START_TEST(a_zone_may_be_a_number)
{
    check_text("tcp:[fe80::1%1]:7", "tcp:[fe80::1%lo]:7");
    check_text("tcp:[fe80::1%2147483647]:7", "tcp:[fe80::1%2147483647]:7");
}
END_TEST

START_TEST(a_zone_may_be_an_interface_that_is_missing)
{
    static const char text[] = "udp:[fe80:1111:2222:3333:4444:5555:6666:7777%nope-0123456789]:65535";
    struct ostler_address *a;

    check_text(text, text);
    ck_assert_int_eq(ostler_address_parse(&a, text), 0);
    ck_assert_int_eq(ostler_address_port(a), 65535);
    ck_assert_ptr_null(ostler_address_sockaddr(a, NULL));
    ostler_address_free(a);
}
END_TEST

START_TEST(a_long_text_is_refused_not_cut)
{
    char text[4096];

    memset(text, '1', sizeof(text));
    memcpy(text, "tcp:", 4);
    text[sizeof(text) - 1] = '\0';
    ck_assert_ptr_nonnull(ostler_address_problem(text));
    memcpy(text, "tcp:[", 5);
    memcpy(text + sizeof(text) - 4, "]:7", 4);
    ck_assert_ptr_nonnull(ostler_address_problem(text));
}
END_TEST

START_TEST(null_is_an_error_or_nothing)
{
    struct ostler_address *a = NULL;
    char buffer[OSTLER_ADDRESS_TEXT];

    ck_assert_int_eq(ostler_address_parse(NULL, "tcp:127.0.0.1:7"), -EINVAL);
    ck_assert_int_eq(ostler_address_parse(&a, NULL), -EINVAL);
    ck_assert_ptr_null(a);
    ck_assert_ptr_nonnull(ostler_address_problem(NULL));
    ck_assert_int_eq(ostler_address_text(NULL, buffer, sizeof(buffer)), -EINVAL);
    ck_assert_int_eq(ostler_address_port(NULL), -EINVAL);
    ck_assert(!ostler_address_is_loopback(NULL));
    ostler_address_free(NULL);
}
END_TEST

START_TEST(text_is_written_whole_or_not_at_all)
{
    static const char whole[] = "tcp:[2001:db8::1]:65535";
    struct ostler_address *a;
    char buffer[sizeof(whole) + 1];

    ck_assert_int_eq(ostler_address_parse(&a, whole), 0);
    for (size_t size = 0; size < sizeof(whole); size++) {
        memset(buffer, '#', sizeof(buffer));
        ck_assert_int_eq(ostler_address_text(a, buffer, size), -ENOSPC);
        ck_assert_int_eq(buffer[0], '#');
        ck_assert_int_eq(buffer[size], '#');
    }
    memset(buffer, '#', sizeof(buffer));
    ck_assert_int_eq(ostler_address_text(a, buffer, sizeof(whole)), (int)sizeof(whole) - 1);
    ck_assert_str_eq(buffer, whole);
    ck_assert_int_eq(buffer[sizeof(whole)], '#');
    ck_assert_int_eq(ostler_address_text(a, NULL, sizeof(whole)), -EINVAL);
    ostler_address_free(a);
}
END_TEST

START_TEST(the_longest_address_fits_the_room_promised)
{
    static const char text[] = "tcp:[fe80:1111:2222:3333:4444:5555:6666:7777%lo]:65535";

    check_text(text, text);
    ck_assert_uint_lt(sizeof(text), OSTLER_ADDRESS_TEXT);
}
END_TEST

static int port_of(const char *text)
{
    struct ostler_address *a;
    int port;

    ck_assert_int_eq(ostler_address_parse(&a, text), 0);
    port = ostler_address_port(a);
    ostler_address_free(a);
    return port;
}

START_TEST(the_port_is_told_for_both_families)
{
    ck_assert_int_eq(port_of("tcp:127.0.0.1:0"), 0);
    ck_assert_int_eq(port_of("tcp:127.0.0.1:7007"), 7007);
    ck_assert_int_eq(port_of("tcp:[::1]:65535"), 65535);
    ck_assert_int_eq(port_of("tcp:*:80"), 80);
}
END_TEST

static bool is_loopback(const char *text)
{
    struct ostler_address *a;
    bool yes;

    ck_assert_int_eq(ostler_address_parse(&a, text), 0);
    yes = ostler_address_is_loopback(a);
    ostler_address_free(a);
    return yes;
}

START_TEST(loopback_is_net_127_and_the_one_of_ipv6)
{
    ck_assert(is_loopback("tcp:127.0.0.1:7"));
    ck_assert(is_loopback("tcp:127.255.255.254:7"));
    ck_assert(is_loopback("tcp:[::ffff:127.0.0.2]:7"));
    ck_assert(is_loopback("tcp:[::1]:7"));
    ck_assert(!is_loopback("tcp:128.0.0.1:7"));
    ck_assert(!is_loopback("tcp:126.255.255.255:7"));
    ck_assert(!is_loopback("tcp:0.0.0.0:7"));
    ck_assert(!is_loopback("tcp:[::]:7"));
    ck_assert(!is_loopback("tcp:*:7"));
    ck_assert(!is_loopback("tcp:[::2]:7"));
    ck_assert(!is_loopback("tcp:[::ffff:192.0.2.1]:7"));
    ck_assert(!is_loopback("tcp:[::127.0.0.1]:7"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("address");
    TCase *tc = harness_case(suite, "text");

    tcase_add_test(tc, what_is_parsed_is_written_the_same);
    tcase_add_test(tc, ipv6_is_written_in_its_short_form);
    tcase_add_test(tc, ipv4_mapped_into_ipv6_is_written_as_ipv4);
    tcase_add_test(tc, leading_zeros_of_a_port_mean_nothing);
    tcase_add_test(tc, what_is_no_address_is_refused_with_a_sentence);
    tcase_add_test(tc, the_sentence_names_what_is_wrong);
    tcase_add_test(tc, a_zone_may_be_a_number);
    tcase_add_test(tc, a_zone_may_be_an_interface_that_is_missing);
    tcase_add_test(tc, a_long_text_is_refused_not_cut);
    tcase_add_test(tc, null_is_an_error_or_nothing);
    tcase_add_test(tc, text_is_written_whole_or_not_at_all);
    tcase_add_test(tc, the_longest_address_fits_the_room_promised);
    tc = harness_case(suite, "questions");
    tcase_add_test(tc, the_port_is_told_for_both_families);
    tcase_add_test(tc, loopback_is_net_127_and_the_one_of_ipv6);
    return harness_main(suite);
}
