/* handle_error's default: a log line with server, peer and error. */
#include <errno.h>
#include <stdio.h>

#include <ostler/error.h>

#include "request/stream.h"
#include "server/server.h"

/* Did the peer's going or silence cause it, or we? A handler's other errors, a back end's
 * reset for one, are its own. */
static bool is_peers_doing(const struct ostler_request *request, int error)
{
    enum ostler_close_reason reason = ost_request_reason(error);

    if (error == -ECANCELED && ost_request_is_cancelled(request))
        return true; /* ours, as of a stop */
    if (error != request->io_error)
        return false;
    if (error == -EDESTADDRREQ && request->datagram)
        return true;
    return reason == OSTLER_CLOSE_RESET || reason == OSTLER_CLOSE_TIMEOUT || reason == OSTLER_CLOSE_STOPPED ||
           request->reason == OSTLER_CLOSE_OUTPUT_LIMIT;
}

/* What went wrong. */
static const char *describe(char *buffer, size_t size, const struct ostler_request *request, int error)
{
    const struct ost_stream *s = ost_stream_of(request);

    switch (s ? s->death : OST_REPORTED) {
    case OST_KILLED:
        snprintf(buffer, size, "its child was killed by signal %d", s->death_status);
        return buffer;
    case OST_UNBORN:
        snprintf(buffer, size, "cannot make a child for it: %s", ostler_strerror(error));
        return buffer;
    case OST_LOST:
        return "its child ended before the handler had returned";
    default:
        return ostler_strerror(error);
    }
}

void ost_log_error(struct ostler_server *server, struct ostler_request *request, int error)
{
    int level = is_peers_doing(request, error) ? OSTLER_LOG_DEBUG : OSTLER_LOG_ERROR;
    char peer[OSTLER_ADDRESS_TEXT] = "?", what[80], more[48] = "";
    unsigned suppressed = 0;

    if (level == OSTLER_LOG_ERROR && !ost_throttle_admits(server->errors, &suppressed))
        return;
    if (suppressed > 0)
        snprintf(more, sizeof(more), " (and %u more like it)", suppressed);
    ostler_address_text(ostler_request_peer(request), peer, sizeof(peer));
    ostler_log_write(ostler_server_log(server), level, "%s: %s: request failed: %s%s", server->name, peer,
               describe(what, sizeof(what), request, error), more);
}
