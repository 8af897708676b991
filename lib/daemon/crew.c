/* Who is in it:
 *
 *    with workers = N    N that share all services but the forking ones; their balance sees to it
 *                        that connections are spread over them (lib/server/balance.c)
 *    forking services    one that runs these, beside the others or alone
 *
 * Each has a minder, which is a thread. They start together, and stop together. */
#include "daemon/crew.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ostler/reactor.h>
#include <ostler/server.h>
#include <ostler/sys/balance.h>

#include "daemon/minder.h"
#include "daemon/now.h"
#include "daemon/sealed.h"
#include "daemon/service.h"
#include "daemon/worker.h"

enum { KILL_MS = 700, LOOK_MS = 5 };

static size_t count_forking(const struct ost_conf *conf)
{
    size_t count = 0;

    for (size_t i = 0; i < conf->count; i++)
        count += ost_service_forks(&conf->services[i]);
    return count;
}

static int add(struct ost_crew *crew, const char *program, const struct ost_duty *duty,
               const struct ostler_log *log)
{
    struct ost_worker *worker = &crew->workers[crew->count];
    int error = ost_worker_init(worker, program, duty);

    if (error == 0)
        ost_minder_init(&crew->minders[crew->count++], worker, log);
    return error;
}

/* So many that share services, and one for those that fork, or none. */
static int add_all(struct ost_crew *crew, const char *program, struct ost_duty *duty, size_t sharing, bool forking,
                   const struct ostler_log *log)
{
    bool several = sharing + forking > 1;
    int error = 0;

    for (size_t i = 0; i < sharing && error == 0; i++) {
        duty->number = several ? (int)i + 1 : 0;
        error = add(crew, program, duty, log);
    }
    if (error < 0 || !forking)
        return error;
    duty->number = several ? (int)sharing + 1 : 0;
    duty->forking = true;
    duty->balance = NULL;
    return add(crew, program, duty, log);
}

/* Only for two at least there is something to balance. */
static int make_balance(struct ost_crew *crew, const struct ost_duty *duty, struct ostler_reactor *reactor,
                        size_t sharing, size_t services)
{
    int error = sharing > 1 ? ostler_balance_new(&crew->balance, reactor, (int)sharing, (int)services) : 0;

    for (size_t i = 0; i < duty->conf->count && error == 0 && crew->balance; i++)
        if (ost_duty_has(duty, i))
            error = ostler_balance_add(crew->balance, duty->servers[i]);
    return error;
}

static int allocate(struct ost_crew *crew, const struct ost_conf *conf, size_t most)
{
    crew->workers = calloc(most, sizeof(*crew->workers));
    crew->minders = calloc(most, sizeof(*crew->minders));
    if (!crew->workers || !crew->minders)
        return -ENOMEM;
    /* without the newline that text.c put behind it */
    return ost_sealed_new(&crew->text_fd, conf->text, strlen(conf->text) - 1);
}

int ost_crew_init(struct ost_crew *crew, const struct ost_conf *conf, const char *program,
                  struct ostler_server *const *servers, struct ostler_reactor *reactor)
{
    struct ost_duty duty = { .conf = conf, .servers = servers };
    size_t forking = count_forking(conf), services = conf->count - forking;
    size_t sharing = services > 0 ? (size_t)conf->workers : 0;
    int error;

    if (!ost_conf_has_held(conf))
        return 0;
    error = allocate(crew, conf, sharing + 1);
    if (error == 0)
        error = make_balance(crew, &duty, reactor, sharing, services);
    duty.text_fd = crew->text_fd;
    duty.balance = crew->balance;
    if (error == 0)
        error = add_all(crew, program, &duty, sharing, forking > 0, ostler_reactor_log(reactor));
    return error;
}

void ost_crew_fini(struct ost_crew *crew)
{
    while (crew->count > 0) {
        ost_minder_fini(&crew->minders[--crew->count]);
        ost_worker_fini(&crew->workers[crew->count]);
    }
    free(crew->workers);
    free(crew->minders);
    ostler_balance_free(crew->balance);
    if (crew->text_fd > 0)
        close(crew->text_fd);
}

int ost_crew_start(struct ost_crew *crew)
{
    int error = 0;

    for (size_t i = 0; i < crew->count && error == 0; i++)
        error = ost_minder_start(&crew->minders[i]);
    for (size_t i = 0; i < crew->count && error == 0; i++)
        error = ost_minder_await_ready(&crew->minders[i]);
    return error;
}

static void order(struct ost_crew *crew, enum ost_order what)
{
    for (size_t i = 0; i < crew->count; i++)
        ost_minder_order(&crew->minders[i], what);
}

void ost_crew_stop(struct ost_crew *crew)
{
    order(crew, OST_ORDER_STOP);
}

void ost_crew_await_births(struct ost_crew *crew)
{
    for (size_t i = 0; i < crew->count; i++)
        ost_minder_await_birth(&crew->minders[i]);
}

void ost_crew_abort(struct ost_crew *crew)
{
    order(crew, OST_ORDER_ABORT);
}

static bool is_anybody_there(const struct ost_crew *crew)
{
    for (size_t i = 0; i < crew->count; i++)
        if (ost_minder_has_worker(&crew->minders[i]))
            return true;
    return false;
}

/* In a handler of a signal there is no other way to wait than to look again. */
void ost_crew_kill(struct ost_crew *crew)
{
    int64_t limit = ost_now_ms() + KILL_MS;

    order(crew, OST_ORDER_DIE);
    while (is_anybody_there(crew) && ost_now_ms() < limit)
        poll(NULL, 0, LOOK_MS);
}

void ost_crew_list(struct ost_crew *crew)
{
    for (size_t i = 0; i < crew->count; i++)
        ost_minder_list(&crew->minders[i]);
}

int ost_crew_join(struct ost_crew *crew)
{
    int result = 0;

    for (size_t i = 0; i < crew->count; i++) {
        int error = ost_minder_join(&crew->minders[i]);

        result = result < 0 ? result : error;
    }
    return result;
}
