/* The one table of what can stand in a configuration file. Parsing (value.c),
 * checking, messages and -l (catalogue.c) all go by it: a new setting is a line here,
 * and a member of struct ostler_server_options that it fills. */
#include "daemon/options.h"

#include <stdio.h>
#include <string.h>

#include <ostler/reactor.h>

#include "daemon/conf.h"

enum { YEAR = 365 * 24 * 60 * 60, DAY = 24 * 60 * 60, MIN_STACK = 16 * 1024, MAX_PACKET = 65535, GIB = 1 << 30 };

#define SERVICE(member) offsetof(struct ost_conf_service, member)
#define OPTION(member) offsetof(struct ost_conf_service, options.member)
#define FILE_(member) offsetof(struct ost_conf, member)

const struct ost_option ost_service_options[] = {
    { "handler", OST_OPTION_TEXT, SERVICE(handler_name), 0, 0, 0, NULL, "what answers; see the handlers" },
    { "listen", OST_OPTION_ADDRESSES, SERVICE(listen), 0, 0, 0, NULL, "where; port 0 takes a free one" },
    { "mixin", OST_OPTION_TEXT, SERVICE(mixin_name), 0, 0, 0, "evented, if the handler can; else threading",
      "where the handler runs; see the mix-ins" },
    { "max_requests", OST_OPTION_COUNT, OPTION(max_requests), 1, 1000000, 0,
      "threading 256, forking 40, fibers 10000, evented 65536",
      "requests at once: connections, and datagrams unless evented; more wait" },
    { "max_parked", OST_OPTION_COUNT, OPTION(max_parked), 1, 1000000, 0, "65536",
      "not evented: connections that wait for bytes, beside those that are served" },
    { "queue", OST_OPTION_COUNT, OPTION(queue), 1, 1000000, 0, "1024",
      "not evented: datagrams that wait for a place; more wait in the kernel, which drops what it cannot hold" },
    { "max_packet", OST_OPTION_BYTES, OPTION(max_packet), 1, MAX_PACKET, 0, "65535",
      "of a datagram; the rest of a longer one is cut off" },
    { "stack_size", OST_OPTION_BYTES, OPTION(stack_size), MIN_STACK, GIB, 0, "262144",
      "stack of a thread or fiber" },
    { "backlog", OST_OPTION_COUNT, OPTION(backlog), 1, 65535, 0, "the system's most",
      "connections that wait in the kernel" },
    { "timeout", OST_OPTION_SECONDS, OPTION(timeout_ms), 0, YEAR, OSTLER_NEVER, "300.0",
      "without a byte moving, until a connection is closed; 0: for ever" },
    { "deadline", OST_OPTION_SECONDS, OPTION(deadline_ms), 0, YEAR, OSTLER_NEVER, "0",
      "for a whole connection; 0: for ever" },
    { "stall_warn_ms", OST_OPTION_MS, OPTION(stall_warn_ms), 0, DAY * 1000L, OSTLER_NEVER, "100",
      "a handler that holds up all others for longer is named in the log; 0: none is" },
    { "max_input", OST_OPTION_BYTES, OPTION(max_input), 1, GIB, 0, "65536",
      "evented: unused input of a connection, until it is closed" },
    { "max_output", OST_OPTION_BYTES, OPTION(max_output), 256, GIB, 0, "1048576",
      "evented: unsent output of a connection, until it is closed" },
    { "defer", OST_OPTION_SWITCH, OPTION(defer), 0, 0, 0, "false",
      "not evented: a connection is served from its first bytes on; not where the server speaks first" },
    { "reuse_address", OST_OPTION_SWITCH_OFF, OPTION(no_reuse_address), 0, 0, 0, "true",
      "SO_REUSEADDR: start again at once where old connections still linger" },
    { "reuse_port", OST_OPTION_SWITCH, OPTION(reuse_port), 0, 0, 0, "false",
      "SO_REUSEPORT: several processes share the address" },
    { "disable_nagle", OST_OPTION_SWITCH, OPTION(disable_nagle), 0, 0, 0, "false",
      "TCP_NODELAY: small writes leave at once" },
    { "socket_mode", OST_OPTION_MODE, OPTION(socket_mode), 0, 0, 0, "0777 less the umask",
      "permissions of the file of a Unix socket" },
    { 0 },
};

const struct ost_option ost_file_options[] = {
    { "log_level", OST_OPTION_TEXT, FILE_(log_level_name), 0, 0, 0, "info", "error, warning, info or debug" },
    { "stop_timeout", OST_OPTION_SECONDS, FILE_(stop_timeout_ms), 0, DAY, 1, "10.0",
      "that connections have to finish when the daemon stops; 0: none" },
    { "busy_poll_us", OST_OPTION_COUNT, FILE_(busy_poll_us), 0, 1000000, 0, "0",
      "microseconds that the loop looks for requests before it sleeps, while that pays" },
    { "workers", OST_OPTION_COUNT, FILE_(workers), 0, 64, 0, "0",
      "processes that share the services; 0: the daemon's own alone" },
    { "services", OST_OPTION_GROUP, FILE_(group), 0, 0, 0, NULL, "a group of services, each with a name" },
    { 0 },
};

const struct ost_option *ost_option_find(const struct ost_option *table, const char *name)
{
    for (; table->name; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}

void ost_option_expects(const struct ost_option *o, char phrase[OST_OPTION_PHRASE])
{
    static const char *const words[] = {
        [OST_OPTION_TEXT] = "text in quotes",
        [OST_OPTION_ADDRESSES] = "an address in quotes, or some: [\"tcp:127.0.0.1:7\", \"udp:[::1]:7\"]",
        [OST_OPTION_GROUP] = "a group { }",
        [OST_OPTION_COUNT] = "a whole number",
        [OST_OPTION_BYTES] = "a number of bytes",
        [OST_OPTION_SECONDS] = "a number of seconds",
        [OST_OPTION_MS] = "a number of milliseconds",
        [OST_OPTION_SWITCH] = "true or false",
        [OST_OPTION_SWITCH_OFF] = "true or false",
        [OST_OPTION_MODE] = "octal digits in quotes, \"0200\" to \"0777\", such as \"0660\"",
        [OST_OPTION_NUMBER] = "a whole number",
        [OST_OPTION_FRACTION] = "a number",
    };

    if (o->max)
        snprintf(phrase, OST_OPTION_PHRASE, "%s from %ld to %ld", words[o->type], o->min, o->max);
    else
        snprintf(phrase, OST_OPTION_PHRASE, "%s", words[o->type]);
}
