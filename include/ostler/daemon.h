/** A daemon of one's own in one call: configuration file, log, signals, stop.
 *  Link libostler-daemon (and libostler). */
#ifndef OSTLER_DAEMON_H
#define OSTLER_DAEMON_H

#include <stdbool.h>
#include <stddef.h>

#include <ostler/server.h>
#include <ostler/version.h>

OSTLER_BEGIN

struct ostler_conn_handler;
struct ostler_datagram_handler;
struct ostler_stream_handler;

enum ostler_setting_type {
    OSTLER_SETTING_END, /* ends the table */
    OSTLER_SETTING_IS_STRING,
    OSTLER_SETTING_IS_LONG,
    OSTLER_SETTING_IS_DOUBLE,
    OSTLER_SETTING_IS_BOOL
};

/** A setting of a service, and the member of its user data that it fills. */
struct ostler_setting {
    const char *name;
    enum ostler_setting_type type;
    size_t offset;
    const char *string; /* the default, by type */
    long integer;
    double number;
};

/** The member's offset; does not compile when the member is not a ctype. */
#define OSTLER_SETTING_OFFSET(type, member, ctype) \
    (offsetof(type, member) + 0 * sizeof((ctype *)0 == &((type *)0)->member))

/** Tables end with { 0 }. Members: const char *, long, double, bool. A string lives
 *  as long as the server. A setting that the file lacks gets the default. */
#define OSTLER_SETTING_STRING(type, member, value) \
    { #member, OSTLER_SETTING_IS_STRING, OSTLER_SETTING_OFFSET(type, member, const char *), value, 0, 0.0 }
#define OSTLER_SETTING_LONG(type, member, value) \
    { #member, OSTLER_SETTING_IS_LONG, OSTLER_SETTING_OFFSET(type, member, long), NULL, value, 0.0 }
#define OSTLER_SETTING_DOUBLE(type, member, value) \
    { #member, OSTLER_SETTING_IS_DOUBLE, OSTLER_SETTING_OFFSET(type, member, double), NULL, 0, value }
#define OSTLER_SETTING_BOOL(type, member, value) \
    { #member, OSTLER_SETTING_IS_BOOL, OSTLER_SETTING_OFFSET(type, member, bool), NULL, value, 0.0 }

/** What a configuration file can call by name: `handler = "name"`. A handler may
 *  have several faces: `mixin = "evented"` takes conn for connections and datagram for
 *  datagrams, every other one takes stream for both. */
struct ostler_service {
    const char *name;
    const char *summary; /* a few words for -l; may be NULL */
    const struct ostler_stream_handler *stream;
    const struct ostler_conn_handler *conn;
    const struct ostler_datagram_handler *datagram;
    const struct ostler_server_class *server_class;
    size_t user_size;                      /* one zeroed block a service of the file: ostler_server_user() */
    const struct ostler_setting *settings; /* ends with { 0 }; may be NULL */
};

/** Run a daemon that offers services (a table ended by { 0 }): read the command
 *  line (-c FILE, -t, -l, -V, -h, --ready-fd=N), start everything in the file, log to
 *  standard error, and stop gracefully on SIGTERM, SIGINT or SIGHUP (unless that is ignored, as by
 *  nohup(1)), at once on a second one.
 *  A program that offers one service takes addresses in place of -c FILE, and runs the
 *  service on them with the defaults.
 *  Services of the mix-in "forking" run in a process of their own, a worker, in which there
 *  are no threads, and with workers = N in the file all others run in N: the program is executed
 *  anew for each (/proc/self/exe, with arguments that this function understands, so hand on yours as
 *  they are), and again whenever one dies. What it does before this call each of them does, too.
 *  SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGRTMIN + 1 to + 3 are the daemon's. The first three are caught on
 *  the main thread, where inline, fibers' and evented handlers run: a call of theirs that waits and
 *  is not restarted (signal(7): sleep(3), poll(2)) ends early then. In children of the mix-in "forking"
 *  all seven are blocked, and stay so in a program that a handler executes, which SIGTERM then does not
 *  end, unless the handler unblocks them before (sigprocmask(2)). SIGPIPE and SIGXFSZ are ignored,
 *  there, too, and in workers SIGTTOU.
 *  Return the exit status: 0; 1 when something failed; 2 when the command line or
 *  the file is wrong. It may end the process by itself with status 1: when handlers do
 *  not end although they were cut off. Thread: the main one, once. */
OSTLER_API int ostler_daemon_main(int argc, char **argv, const struct ostler_service *services);

/** Is port one on which a UDP service of this daemon listens, in whichever process? A
 *  service that answers every datagram must not answer those, or one forged packet makes two
 *  services talk to each other for ever (CVE-1999-0103). Thread: any, in a handler. */
OSTLER_API bool ostler_daemon_owns_udp_port(int port);

/** Is address the name of a Unix datagram socket of a service of this daemon, in whichever process?
 *  What comes from there is an answer that a symbolic link in place of a client's name has led to a
 *  service (see ostler_datagram_reply()); who answers that may do so for ever, too. Thread: any, in a
 *  handler. */
OSTLER_API bool ostler_daemon_owns_unix_name(const struct ostler_address *address);

OSTLER_END

#endif
