/* ostlerd: runs the handlers of this folder as a configuration file says.
 *
 *   ostlerd -c conf/ostler.conf */
#include <ostler/daemon.h>

#include "handlers.h"

static const struct ostler_service services[] = {
    { .name = "echo", .summary = "sends back what it receives (RFC 862)", .stream = &echo_stream, .conn = &echo_conn },
    { .name = "time", .summary = "sends the time and closes (RFC 868)", .stream = &time_stream, .conn = &time_conn },
    { 0 },
};

int main(int argc, char **argv)
{
    return ostler_daemon_main(argc, argv, services);
}
