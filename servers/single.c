/* echod, discardd, chargend, daytimed and timed: ostlerd with one handler, which is the
 * SERVICE that CMakeLists.txt names. With just one, addresses do for a configuration.
 *
 *   echod tcp:127.0.0.1:7007 udp:127.0.0.1:7007 */
#include "handlers.h"

int main(int argc, char **argv)
{
    const struct ostler_service services[] = { SERVICE, { 0 } };

    return ostler_daemon_main(argc, argv, services);
}
