/* The socket object and files: makefile, sendfile, messages, descriptors that go along with them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "support/sockets.h"

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

static const double soon = 0.05; /* seconds */

static FILE *make_file(struct ostler_socket *s, const char *mode)
{
    FILE *file = NULL;

    ck_assert_int_eq(ostler_socket_makefile(s, &file, mode), 0);
    return file;
}

static void say(struct ostler_socket *s, const char *text)
{
    ck_assert_int_eq(ostler_socket_sendall(s, text, strlen(text), 0), 0);
}

static bool gets_line(FILE *file, const char *line)
{
    char buffer[64];

    return fgets(buffer, sizeof(buffer), file) && strcmp(buffer, line) == 0;
}

/* ---- makefile ---- */

START_TEST(makefile_reads_lines_to_the_end)
{
    struct pair p = make_pair(SOCK_STREAM);
    FILE *file = make_file(p.a, _i ? "rb" : "r");

    say(p.b, "first\nsec");
    ck_assert(gets_line(file, "first\n"));
    say(p.b, "ond\nlast");
    ck_assert(gets_line(file, "second\n"));
    ck_assert_int_eq(ostler_socket_shutdown(p.b, SHUT_WR), 0);
    ck_assert(gets_line(file, "last"));
    ck_assert_int_eq(fgetc(file), EOF);
    ck_assert(feof(file) && !ferror(file));
    ck_assert_int_lt(fputs("x", file), 0);
    ck_assert_int_eq(fclose(file), 0);
    free_pair(p);
}
END_TEST

START_TEST(makefile_writes_when_it_is_flushed_and_leaves_the_socket_open)
{
    struct pair p = make_pair(SOCK_STREAM);
    FILE *file = make_file(p.a, _i ? "wb" : "w");

    ck_assert_int_gt(fprintf(file, "%d bottles\n", 99), 0);
    ck_assert_int_eq(ostler_socket_recv(p.b, &(char){ 0 }, 1, MSG_DONTWAIT), -EAGAIN);
    ck_assert_int_eq(fflush(file), 0);
    ck_assert(receives(p.b, "99 bottles\n"));
    ck_assert_int_ge(fputs("at the end", file), 0);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert(receives(p.b, "at the end"));
    say(p.a, "open");
    ck_assert(receives(p.b, "open"));
    free_pair(p);
}
END_TEST

START_TEST(makefile_reads_and_writes_without_a_seek_in_between)
{
    struct pair p = make_pair(SOCK_STREAM);
    FILE *file = make_file(p.a, _i ? "rwb" : "rw");
    char text[32];

    say(p.b, "one\ntwo\nthree\n"); /* all of it comes with the first read */
    for (int i = 0; i < 3; i++) {
        static const char *const lines[] = { "one\n", "two\n", "three\n" };

        ck_assert(gets_line(file, lines[i]));
        ck_assert_int_gt(fprintf(file, "got %s", lines[i]), 0);
        snprintf(text, sizeof(text), "got %s", lines[i]);
        if (i == 1)
            ck_assert_int_eq(fflush(file), 0);
        if (i != 0)
            ck_assert(receives(p.b, i == 1 ? "got one\ngot two\n" : ""));
    }
    ck_assert_int_ge(fputs("?", file), 0);
    say(p.b, "y7 rest\n");
    ck_assert_int_eq(fgetc(file), 'y'); /* what was written has left before */
    ck_assert(receives(p.b, "got three\n?"));
    ck_assert_int_eq(fscanf(file, "%31d", &(int){ 0 }), 1); /* has looked at the blank, too */
    ck_assert_int_ge(fputs("number", file), 0);
    ck_assert_int_eq(fflush(file), 0);
    ck_assert_int_eq(fseek(file, 0, SEEK_CUR), 0); /* who knows C's rule may follow it */
    ck_assert(receives(p.b, "number"));
    ck_assert_int_eq(fscanf(file, "%31s", text), 1);
    ck_assert_str_eq(text, "rest");
    ck_assert_int_eq(fclose(file), 0);
    free_pair(p);
}
END_TEST

enum { ROUNDS = 2000, AHEAD = 10 };

/* Blocks of growing size there and back, each cut at another place. */
static void *echo(void *arg)
{
    static char buffer[4096];
    FILE *file = arg;
    size_t n;

    for (int i = 1; i <= ROUNDS; i++) {
        n = fread(buffer, 1, (size_t)i, file);
        if (n != (size_t)i || fwrite(buffer, 1, n, file) != n)
            return NULL;
        if (i % 7 == 0 && fputc('.', file) == EOF)
            return NULL;
    }
    return fflush(file) == 0 ? arg : NULL;
}

static void expect_echo(struct ostler_socket *s, const char *block, size_t n)
{
    char buffer[ROUNDS + 1];
    size_t size = n + (n % 7 == 0);

    ck_assert_int_eq(ostler_socket_recv(s, buffer, size, MSG_WAITALL), (ssize_t)size);
    ck_assert_mem_eq(buffer, block, n);
    ck_assert(size == n || buffer[n] == '.');
}

START_TEST(nothing_is_lost_when_reads_and_writes_alternate)
{
    struct pair p = make_pair(SOCK_STREAM);
    FILE *file = make_file(p.a, "rw");
    char block[ROUNDS];
    pthread_t thread;
    void *result;

    for (int i = 0; i < ROUNDS; i++)
        block[i] = (char)('a' + i % 26);
    if (_i)
        ck_assert_int_eq(setvbuf(file, NULL, _i == 1 ? _IONBF : _IOFBF, _i == 1 ? 0 : 65536), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, echo, file), 0);
    for (int i = 1; i <= ROUNDS + AHEAD; i++) {
        if (i <= ROUNDS)
            ck_assert_int_eq(ostler_socket_sendall(p.b, block, (size_t)i, 0), 0);
        if (i > AHEAD)
            expect_echo(p.b, block, (size_t)(i - AHEAD));
    }
    pthread_join(thread, &result);
    ck_assert_ptr_nonnull(result);
    ck_assert_int_eq(fclose(file), 0);
    free_pair(p);
}
END_TEST

START_TEST(makefile_honours_the_time_out)
{
    struct pair p = make_pair(SOCK_STREAM);
    FILE *file = make_file(p.a, _i ? "rw" : "r");

    ck_assert_int_eq(ostler_socket_settimeout(p.a, soon), 0);
    errno = 0;
    ck_assert_int_eq(fgetc(file), EOF);
    ck_assert_int_eq(errno, ETIMEDOUT);
    ck_assert(ferror(file) && !feof(file));
    say(p.b, "late");
    ck_assert_int_eq(fgetc(file), 'l');
    ck_assert_int_eq(fclose(file), 0);
    free_pair(p);
}
END_TEST

START_TEST(a_flush_that_times_out_says_so)
{
    struct pair p = make_pair(SOCK_STREAM);
    FILE *file = make_file(p.a, "w");
    char *block = calloc(1, 1 << 20);

    ck_assert_int_eq(ostler_socket_settimeout(p.a, soon), 0);
    errno = 0;
    ck_assert_uint_lt(fwrite(block, 1, 1 << 20, file), 1 << 20);
    ck_assert_int_eq(errno, ETIMEDOUT);
    ck_assert(ferror(file));
    ck_assert_int_eq(fclose(file), 0); /* what did not leave is lost */
    free(block);
    free_pair(p);
}
END_TEST

START_TEST(makefile_takes_no_other_mode_and_no_datagrams)
{
    static const char *const modes[] = { "", "b", "a", "r+", "rr", "rwbb", "rt" };
    struct pair p = make_pair(SOCK_STREAM), d = make_pair(SOCK_DGRAM);
    FILE *file = NULL;

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        ck_assert_int_eq(ostler_socket_makefile(p.a, &file, modes[i]), -EINVAL);
    ck_assert_int_eq(ostler_socket_makefile(p.a, &file, NULL), -EINVAL);
    ck_assert_int_eq(ostler_socket_makefile(d.a, &file, "r"), -EINVAL);
    ck_assert_ptr_null(file);
    free_pair(p);
    free_pair(d);
}
END_TEST

/* ---- sendfile ---- */

enum { FILE_SIZE = 3 << 20 };

static unsigned char data[FILE_SIZE];

static int make_content(void)
{
    int fd = memfd_create("content", MFD_CLOEXEC);

    for (size_t i = 0; i < FILE_SIZE; i++)
        data[i] = (unsigned char)(i * 7 + i / 4096);
    ck_assert_int_eq(write(fd, data, FILE_SIZE), FILE_SIZE);
    ck_assert_int_eq(lseek(fd, 17, SEEK_SET), 17);
    return fd;
}

/* What arrives, from the byte of the content on that is named first: how many were right. */
struct reader {
    struct ostler_socket *s;
    size_t from;
};

static void *compare(void *arg)
{
    static unsigned char buffer[65536];
    struct reader *r = arg;
    size_t at = r->from;
    ssize_t n;

    while ((n = ostler_socket_recv(r->s, buffer, sizeof(buffer), 0)) > 0) {
        if ((size_t)n > FILE_SIZE - at || memcmp(buffer, data + at, (size_t)n) != 0)
            return NULL;
        at += (size_t)n;
    }
    return (void *)(at - r->from);
}

static size_t sent_by(int kind, double timeout, int fd, off_t offset, size_t count)
{
    struct pair p = make_connected(kind);
    struct reader r = { p.b, (size_t)offset };
    pthread_t thread;
    void *right;
    off_t sent;

    ck_assert_int_eq(ostler_socket_settimeout(p.a, timeout), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, compare, &r), 0);
    sent = ostler_socket_sendfile(p.a, fd, offset, count);
    ck_assert_int_eq(ostler_socket_shutdown(p.a, SHUT_WR), 0);
    pthread_join(thread, &right);
    ck_assert_uint_eq((size_t)right, (size_t)sent);
    ck_assert(!(fcntl(ostler_socket_fileno(p.a), F_GETFL) & O_NONBLOCK));
    free_pair(p);
    return (size_t)sent;
}

START_TEST(sendfile_sends_from_the_offset_as_much_as_there_is)
{
    const double timeouts[] = { OSTLER_NEVER, (double)harness_deadline_ms() / 1000 };
    int fd = make_content();

    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(sent_by(_i, timeouts[i], fd, 0, 0), FILE_SIZE);
        ck_assert_uint_eq(sent_by(_i, timeouts[i], fd, 1234567, 0), FILE_SIZE - 1234567);
        ck_assert_uint_eq(sent_by(_i, timeouts[i], fd, 5, 100000), 100000);
        ck_assert_uint_eq(sent_by(_i, timeouts[i], fd, FILE_SIZE - 10, 100), 10);
        ck_assert_uint_eq(sent_by(_i, timeouts[i], fd, FILE_SIZE + 10, 100), 0);
    }
    ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 17);
    close(fd);
}
END_TEST

START_TEST(sendfile_takes_regular_files_and_stream_sockets_alone)
{
    struct pair p = make_pair(SOCK_STREAM), d = make_pair(SOCK_DGRAM);
    int nul = open("/dev/null", O_RDONLY | O_CLOEXEC), fd = make_content();

    ck_assert_int_eq(ostler_socket_sendfile(p.a, nul, 0, 1), -EINVAL);
    ck_assert_int_eq(ostler_socket_sendfile(d.a, fd, 0, 1), -EINVAL);
    ck_assert_int_eq(ostler_socket_sendfile(p.a, fd, -1, 1), -EINVAL);
    ck_assert_int_eq(ostler_socket_sendfile(p.a, fd, 0, SIZE_MAX), -EINVAL);
    ck_assert_int_eq(ostler_socket_sendfile(p.a, -1, 0, 1), -EBADF);
    ck_assert_int_eq(ostler_socket_recv(p.b, &(char){ 0 }, 1, MSG_DONTWAIT), -EAGAIN);
    close(nul);
    close(fd);
    free_pair(p);
    free_pair(d);
}
END_TEST

static const double short_times[] = { 0, 0.05, OSTLER_NEVER };

/* Nobody reads: with no time-out of its own the kernel's ends it. The position says where to go on. */
START_TEST(the_time_out_of_sendfile_is_for_the_whole)
{
    static const struct timeval kernels = { .tv_usec = 50000 };
    struct pair p = make_pair(SOCK_STREAM);
    int fd = make_content(), error = short_times[_i] > 0 ? -ETIMEDOUT : -EAGAIN;
    off_t sent;

    ck_assert_int_eq(ostler_socket_setsockopt_buffer(p.a, SOL_SOCKET, SO_SNDTIMEO, &kernels, sizeof(kernels)), 0);
    ck_assert_int_eq(ostler_socket_settimeout(p.a, short_times[_i]), 0);
    ck_assert_int_eq(ostler_socket_sendfile(p.a, fd, 0, 0), error);
    sent = lseek(fd, 0, SEEK_CUR);
    ck_assert_int_gt(sent, 0);
    ck_assert_int_lt(sent, FILE_SIZE);
    ck_assert_int_eq(ostler_socket_sendfile(p.a, fd, sent, 0), error);
    ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), sent);
    ck_assert_int_eq(ostler_socket_settimeout(p.b, 0), 0);
    for (off_t at = 0; at < sent;) {
        static unsigned char got[65536];
        ssize_t n = ostler_socket_recv(p.b, got, sizeof(got), 0);

        ck_assert_int_gt(n, 0);
        ck_assert_int_le(n, sent - at);
        ck_assert_mem_eq(got, data + at, (size_t)n);
        at += n;
    }
    ck_assert_int_eq(ostler_socket_recv(p.b, &(char){ 0 }, 1, 0), -EAGAIN);
    close(fd);
    free_pair(p);
}
END_TEST

/* ---- Messages and descriptors ---- */

START_TEST(recvmsg_and_sendmsg_carry_pieces)
{
    struct pair p = make_pair(_i ? SOCK_DGRAM : SOCK_STREAM);
    char one[3] = "", two[8] = "";
    struct iovec out[2] = { { .iov_base = "hel", .iov_len = 3 }, { .iov_base = "lo", .iov_len = 2 } };
    struct iovec in[2] = { { .iov_base = one, .iov_len = 2 }, { .iov_base = two, .iov_len = sizeof(two) } };
    struct msghdr m = { .msg_iov = out, .msg_iovlen = 2 };

    ck_assert_int_eq(ostler_socket_sendmsg(p.a, &m, 0), 5);
    m.msg_iov = in;
    ck_assert_int_eq(ostler_socket_recvmsg(p.b, &m, 0), 5);
    ck_assert_str_eq(one, "he");
    ck_assert_str_eq(two, "llo");
    ck_assert_int_eq(ostler_socket_recvmsg(p.b, &m, MSG_DONTWAIT), -EAGAIN);
    free_pair(p);
}
END_TEST

START_TEST(descriptors_go_along_with_bytes_and_are_close_on_exec)
{
    struct pair p = make_pair(_i ? SOCK_DGRAM : SOCK_STREAM);
    int out[2], in[4] = { -1, -1, -1, -1 };
    size_t count = 4;
    char buffer[8];

    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    ck_assert_int_eq(ostler_socket_send_fds(p.a, "xy", 2, out, 2), 2);
    ck_assert_int_eq(ostler_socket_recv_fds(p.b, buffer, sizeof(buffer), in, &count), 2);
    ck_assert_uint_eq(count, 2);
    ck_assert(is_close_on_exec(in[0]) && is_close_on_exec(in[1]) && in[2] == -1);
    ck_assert_int_eq(write(in[1], "z", 1), 1);
    ck_assert_int_eq(read(out[0], buffer, 1), 1);
    ck_assert_int_eq(ostler_socket_send_fds(p.a, "xy", 2, NULL, 0), 2);
    ck_assert_int_eq(ostler_socket_recv_fds(p.b, buffer, sizeof(buffer), in, &count), 2);
    ck_assert_uint_eq(count, 0);
    for (int i = 0; i < 2; i++)
        close(out[i]), close(in[i]);
    free_pair(p);
}
END_TEST

START_TEST(descriptors_that_do_not_fit_are_closed)
{
    struct pair p = make_pair(SOCK_STREAM);
    int out[3] = { 0, 1, 2 }, in[2] = { -1, -1 };
    size_t count = (size_t)_i, before = harness_descriptors();
    char buffer[8];

    ck_assert_int_eq(ostler_socket_send_fds(p.a, "x", 1, out, 3), 1);
    ck_assert_int_eq(ostler_socket_recv_fds(p.b, buffer, sizeof(buffer), in, &count), -EMSGSIZE);
    ck_assert_uint_eq(count, (size_t)_i);
    ck_assert(in[0] == -1 && in[1] == -1);
    ck_assert_uint_eq(harness_descriptors(), before);
    free_pair(p);
}
END_TEST

/* Of a socket that tells who sends by a descriptor (Linux 6.5), which nobody has asked recv_fds for. */
START_TEST(the_senders_own_descriptor_is_closed)
{
    struct pair p = make_pair(_i ? SOCK_DGRAM : SOCK_STREAM);
    int out[1] = { 0 }, in[2] = { -1, -1 };
    size_t count = 2, before = harness_descriptors();
    char byte;

    ostler_socket_setsockopt(p.b, SOL_SOCKET, SO_PASSPIDFD, 1);
    ck_assert_int_eq(ostler_socket_send_fds(p.a, "x", 1, out, 1), 1);
    ck_assert_int_eq(ostler_socket_recv_fds(p.b, &byte, 1, in, &count), 1);
    ck_assert_uint_eq(count, 1);
    ck_assert(is_open(in[0]) && in[1] == -1);
    close(in[0]);
    ck_assert_int_eq(ostler_socket_send_fds(p.a, "x", 1, NULL, 0), 1);
    ck_assert_int_eq(ostler_socket_recv_fds(p.b, &byte, 1, in, &count), 1);
    ck_assert_uint_eq(count, 0);
    ck_assert_uint_eq(harness_descriptors(), before);
    free_pair(p);
}
END_TEST

START_TEST(descriptors_that_the_process_may_not_have_are_told_and_the_others_closed)
{
    struct pair p = make_pair(SOCK_STREAM);
    int out[3] = { 0, 1, 2 }, in[3] = { -1, -1, -1 }, lowest = dup(0);
    size_t count = 3, before;
    struct rlimit limit, low;
    ssize_t got;
    char byte;

    ck_assert_int_ge(lowest, 0); /* the first that is free, once it is closed */
    close(lowest);
    before = harness_descriptors();
    ck_assert_int_eq(ostler_socket_send_fds(p.a, "x", 1, out, 3), 1);
    getrlimit(RLIMIT_NOFILE, &limit);
    low = limit;
    low.rlim_cur = (rlim_t)lowest + 1;
    setrlimit(RLIMIT_NOFILE, &low);
    got = ostler_socket_recv_fds(p.b, &byte, 1, in, &count);
    setrlimit(RLIMIT_NOFILE, &limit);
    ck_assert_int_eq(got, -EMSGSIZE);
    ck_assert(in[0] == -1 && in[1] == -1 && in[2] == -1);
    ck_assert_uint_eq(harness_descriptors(), before);
    free_pair(p);
}
END_TEST

START_TEST(descriptors_go_over_unix_sockets_with_a_byte_at_least)
{
    struct pair p = make_pair(SOCK_STREAM), tcp = make_connected(0);
    int many[300] = { 0 }, fds[1] = { 0 };
    size_t count = 1;
    char byte = 0;

    ck_assert_int_eq(ostler_socket_send_fds(tcp.a, "x", 1, fds, 1), -EAFNOSUPPORT);
    ck_assert_int_eq(ostler_socket_recv_fds(tcp.a, &byte, 1, fds, &count), -EAFNOSUPPORT);
    ck_assert_int_eq(ostler_socket_send_fds(p.a, "", 0, fds, 1), -EINVAL);
    ck_assert_int_eq(ostler_socket_send_fds(p.a, NULL, 1, fds, 1), -EINVAL);
    ck_assert_int_eq(ostler_socket_send_fds(p.a, "x", 1, NULL, 1), -EINVAL);
    ck_assert_int_eq(ostler_socket_send_fds(p.a, "x", 1, many, 300), -EINVAL);
    ck_assert_int_eq(ostler_socket_recv_fds(p.a, &byte, 0, fds, &count), -EINVAL);
    ck_assert_int_eq(ostler_socket_recv_fds(p.a, &byte, 1, NULL, &count), -EINVAL);
    ck_assert_int_eq(ostler_socket_recv_fds(p.a, &byte, 1, fds, NULL), -EINVAL);
    ck_assert_int_eq(ostler_socket_shutdown(p.b, SHUT_WR), 0);
    ck_assert_int_eq(ostler_socket_recv_fds(p.a, &byte, 1, fds, &count), 0);
    ck_assert_uint_eq(count, 0);
    free_pair(p);
    free_pair(tcp);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("socket files");
    TCase *tc = harness_case(suite, "makefile");

    tcase_add_loop_test(tc, makefile_reads_lines_to_the_end, 0, 2);
    tcase_add_loop_test(tc, makefile_writes_when_it_is_flushed_and_leaves_the_socket_open, 0, 2);
    tcase_add_loop_test(tc, makefile_reads_and_writes_without_a_seek_in_between, 0, 2);
    tcase_add_loop_test(tc, nothing_is_lost_when_reads_and_writes_alternate, 0, 3);
    tcase_add_loop_test(tc, makefile_honours_the_time_out, 0, 2);
    tcase_add_test(tc, a_flush_that_times_out_says_so);
    tcase_add_test(tc, makefile_takes_no_other_mode_and_no_datagrams);
    tc = harness_case(suite, "sendfile");
    tcase_add_loop_test(tc, sendfile_sends_from_the_offset_as_much_as_there_is, 0, STREAM_KINDS);
    tcase_add_test(tc, sendfile_takes_regular_files_and_stream_sockets_alone);
    tcase_add_loop_test(tc, the_time_out_of_sendfile_is_for_the_whole, 0, 3);
    tc = harness_case(suite, "messages");
    tcase_add_loop_test(tc, recvmsg_and_sendmsg_carry_pieces, 0, 2);
    tcase_add_loop_test(tc, descriptors_go_along_with_bytes_and_are_close_on_exec, 0, 2);
    tcase_add_loop_test(tc, descriptors_that_do_not_fit_are_closed, 0, 3);
    tcase_add_loop_test(tc, the_senders_own_descriptor_is_closed, 0, 2);
    tcase_add_test(tc, descriptors_that_the_process_may_not_have_are_told_and_the_others_closed);
    tcase_add_test(tc, descriptors_go_over_unix_sockets_with_a_byte_at_least);
    return harness_main(suite);
}
