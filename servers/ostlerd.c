/* ostlerd: runs the handlers of this folder as a configuration file says.
 *
 *   ostlerd -c conf/ostler.conf */
#include "handlers.h"

int main(int argc, char **argv)
{
    const struct ostler_service services[] = {
        echo_service, discard_service, chargen_service, daytime_service, time_service, { 0 },
    };

    return ostler_daemon_main(argc, argv, services);
}
