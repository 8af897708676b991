/* Options: what may be given, and what stands in for what is not. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <ostler/conn.h>
#include <ostler/datagram.h>
#include <ostler/mixin.h>
#include <ostler/stream.h>

#include "server/server.h"

enum {
    TIMEOUT_MS = 300000,
    FORKING_TIMEOUT_MS = 300000,
    STOP_TIMEOUT_MS = 10000,
    STACK_SIZE = 256 * 1024,
    MIN_STACK_SIZE = 16 * 1024,
    MAX_INPUT = 64 * 1024,
    MAX_OUTPUT = 1024 * 1024,
    MAX_LIMIT = 1024 * 1024 * 1024,
    MAX_PACKET = 65535,
    MAX_PARKED = 65536,
    QUEUE = 1024,
    STALL_WARN_MS = 100
};

static const char *check_handlers(const struct ostler_server_options *o)
{
    if (!o->stream && !o->conn && !o->datagram)
        return "a server needs a handler: .stream, or .conn, or .datagram";
    if (o->stream && (o->conn || o->datagram))
        return "a server has either a .stream handler, or .conn and .datagram";
    if (!o->stream && o->mixin)
        return ".conn and .datagram handlers run on the reactor: they take no .mixin";
    if (o->daemon_threads && o->mixin != &ostler_threading)
        return ".daemon_threads is for the mix-in threading";
    if (o->no_block_on_close && o->mixin != &ostler_threading && o->mixin != &ostler_forking)
        return ".no_block_on_close is for the mix-ins threading and forking";
    if (!o->stream && o->defer)
        return ".defer is for .stream handlers: the others hold nothing while they wait";
    if (o->datagram && !o->datagram->on_datagram)
        return "the .datagram handler has no .on_datagram";
    if (o->stream && !o->stream->handle)
        return "the .stream handler has no .handle";
    if (o->stream && o->stream->size && o->stream->size < sizeof(struct ostler_stream))
        return "the handler's .size is too small: use OSTLER_SIZE()";
    if (o->conn && o->conn->size && o->conn->size < sizeof(struct ostler_conn))
        return "the handler's .size is too small: use OSTLER_SIZE()";
    if (!o->address && !(o->addresses && o->addresses[0]))
        return "a server needs an .address";
    return NULL;
}

static const char *check_numbers(const struct ostler_server_options *o)
{
    if (o->max_requests < 0)
        return ".max_requests is negative";
    if (o->max_parked < 0)
        return ".max_parked is negative";
    if (o->queue < 0)
        return ".queue is negative";
    if (o->max_packet > MAX_PACKET)
        return ".max_packet is over 65,535";
    if (o->socket_mode > 0777)
        return ".socket_mode is over 0777";
    if (o->socket_mode && !(o->socket_mode & S_IWUSR))
        return ".socket_mode lacks 0200: its owner, who may not write, could not replace the file of a dead socket";
    if (o->backlog < 0)
        return ".backlog is negative";
    if (o->stack_size != 0 && o->stack_size < MIN_STACK_SIZE)
        return ".stack_size is under 16 KiB";
    if (o->timeout_ms < OSTLER_NEVER || o->deadline_ms < OSTLER_NEVER || o->stop_timeout_ms < OSTLER_NEVER ||
        o->request_timeout_ms < OSTLER_NEVER || o->actions_interval_ms < OSTLER_NEVER ||
        o->stall_warn_ms < OSTLER_NEVER)
        return "a time is negative, and not OSTLER_NEVER";
    if ((o->stream && (o->stream->size > MAX_LIMIT || o->stream->output_buffer > MAX_LIMIT)) ||
        (o->conn && o->conn->size > MAX_LIMIT))
        return "the handler's .size or .output_buffer is over 1 GiB";
    if (o->stack_size > MAX_LIMIT || o->max_input > MAX_LIMIT || o->max_output > MAX_LIMIT)
        return "a size is over 1 GiB";
    return NULL;
}

static const char *check_marks(const struct ostler_server_options *o)
{
    return o->output_low > o->output_high || o->output_high > o->max_output
               ? "the marks must satisfy .output_low <= .output_high <= .max_output"
               : NULL;
}

static void default_long(long *value, long otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

static void default_int(int *value, int otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

static void default_size(size_t *value, size_t otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

static void fill_in(struct ostler_server_options *o)
{
    default_long(&o->timeout_ms, TIMEOUT_MS);
    default_long(&o->deadline_ms, OSTLER_NEVER);
    default_long(&o->stop_timeout_ms, STOP_TIMEOUT_MS);
    default_long(&o->request_timeout_ms, o->mixin == &ostler_forking ? FORKING_TIMEOUT_MS : OSTLER_NEVER);
    default_long(&o->actions_interval_ms, OSTLER_NEVER);
    default_long(&o->stall_warn_ms, STALL_WARN_MS);
    default_size(&o->stack_size, STACK_SIZE);
    default_size(&o->max_input, MAX_INPUT);
    default_size(&o->max_output, MAX_OUTPUT);
    default_size(&o->output_high, o->max_output / 16);
    default_size(&o->output_low, o->output_high / 4);
    default_int(&o->max_parked, MAX_PARKED);
    default_int(&o->queue, QUEUE);
    default_int(&o->backlog, SOMAXCONN);
    default_size(&o->max_packet, MAX_PACKET);
    o->disable_nagle |= (o->stream && o->stream->disable_nagle) || (o->conn && o->conn->disable_nagle);
}

int ost_options_check(struct ostler_server_options *out, const struct ostler_server_options *options,
                      const struct ostler_reactor *reactor, const char **problem)
{
    struct ostler_server_options o = *options;

    *problem = check_handlers(&o);
    if (!*problem && reactor && (o.daemon_threads || o.no_block_on_close))
        *problem = ".daemon_threads and .no_block_on_close are for servers with a reactor of their own";
    if (!*problem)
        *problem = check_numbers(&o);
    fill_in(&o);
    if (!*problem)
        *problem = check_marks(&o);
    if (*problem)
        return -EINVAL;
    *out = o;
    return 0;
}
