/* The server's inside.
 *
 *   listener ready ─> get_request ─> verify_request ─> place ─> process_request ─> mix-in, conn or datagram
 *                                          └─(defer)─> parked ─(input)─┘ └─(OSTLER_PARK)─> parked
 *   request ended ─> the place is free: for those that wait for one, then listeners watch again
 *
 * States: NEW ─start─> SERVING ─stop─> STOPPING ─(no request left, or given up)─> STOPPED.
 * Everything is the reactor's thread's, but for what stands under lock. */
#ifndef OST_SERVER_SERVER_H
#define OST_SERVER_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include <ostler/server.h>
#include <ostler/sys/mixin.h>

#include "base/throttle.h"
#include "request/request.h"
#include "server/balance.h"
#include "server/lack.h"
#include "server/listener.h"

enum ost_server_state { OST_SERVER_NEW, OST_SERVER_SERVING, OST_SERVER_STOPPING, OST_SERVER_STOPPED };

struct ostler_server {
    struct ost_owner owner; /* first: see ost_owner_of() */
    struct ost_list node;   /* in reactor->servers */
    struct ostler_reactor *own_reactor;
    char *name;
    const struct ostler_server_class *class; /* of the first address: what is called once */
    const struct ostler_mixin *mixin; /* NULL: evented */
    struct ostler_mixin childless;    /* that forks no more, see close.c */
    void *mixin_state;
    struct ost_listener *listeners;
    size_t listener_count;
    struct ost_seat seat; /* among other processes that accept from the same sockets */

    enum ost_server_state state;
    size_t running, capacity; /* those that have a place, and how many there are */
    struct ost_list waiting;  /* for a place: datagrams, and connections that were parked */
    size_t queued;            /* how many of them are datagrams */
    size_t parked;            /* connections that wait, for a place or for input */
    bool filling;             /* places are being given to those that wait */
    bool lacking;             /* the mix-in could not run one: no places until one ends, or retry_timer comes */
    int mixin_error;          /* of the mix-in's last process */
    struct ost_lack lack;     /* of what it could not run one for */
    unsigned streak;          /* places given to those that wait, since a listener was asked */
    unsigned long long accepted;
    size_t running_before; /* ostler_server_handle_request(): running, when it began */
    bool one;       /* … accepts no more than one */
    bool taken;     /* … which has come */
    bool elsewhere; /* … and runs in a thread: it is not waited for */
    bool timed_out; /* … or has not come in time */
    bool got_one;   /* the inherited get_request has accepted one, whatever the class's own says of it */
    bool accepting; /* get_request runs, or whom it has got is being taken in; it may stop the server */
    bool telling;   /* a stop is walking through the requests */
    bool abort_due; /* … and one of them, a fiber, has asked for an abort */
    bool cut_off;   /* the stop's time has run out */
    bool begun;     /* … and somebody who waited has got a place since the last look */
    int result;     /* of the stop */
    struct ost_stoppable stoppable;
    struct ost_holder holder;
    struct ost_timer stop_timer, request_timer, actions_timer, retry_timer;
    struct ost_job hook; /* service_actions, after each turn */

    pthread_mutex_t lock;
    pthread_cond_t left;
    bool serving;     /* a shutdown has something to wait for (lock) */
    unsigned waiters; /* threads in ostler_server_shutdown() (lock) */
    bool stop_posted; /* (lock) */
    atomic_bool shutdown; /* it was asked for */
    bool bound, active; /* see ostler_server_bind() */
    bool in_forever;  /* ostler_server_serve_forever() runs */
    struct ost_job stop_job;
    struct ost_throttle *errors; /* shared with children */
    bool to_list;                /* its requests are being listed in the log, or will be */
    struct ost_timer list_timer; /* the next part */
    struct ost_cursor list_cursor; /* … and where that begins; .at is NULL: nothing of it is written yet */
    uint64_t list_begun;         /* when it began */
};

/* Copy options with all defaults filled in; *problem is a sentence on -EINVAL. */
int ost_options_check(struct ostler_server_options *out, const struct ostler_server_options *options,
                      const struct ostler_reactor *reactor, const char **problem);

/* Fill every slot of the OST_KINDS classes at out from class and its ancestors, and what is
 * left from the kind's own. -ELOOP. */
int ost_class_flatten(struct ostler_server_class *out, const struct ostler_server_class *class);

/* May a server of class have addresses of that kind? */
bool ost_class_suits(const struct ostler_server_class *class, unsigned kind);

/* Make room for the listeners of all addresses. -EINVAL, -ENOMEM. */
int ost_listeners_new(struct ostler_server *server, const struct ostler_server_options *options);

/* bind, activate and close of all classes, listener for listener. */
int ost_bind_server(struct ostler_server *server);
int ost_activate_server(struct ostler_server *server);
void ost_close_server(struct ostler_server *server);

/* Take in an accepted connection. Consumes fd. 0, or -errno when it had to be dropped for
 * lack of memory, descriptors, stacks, threads or processes. */
int ost_server_admit(struct ostler_server *server, int fd, const struct ostler_address *peer);

/* Take in a datagram, as a stream: it runs now, or waits for a place. */
void ost_server_admit_packet(struct ostler_server *server, struct ostler_request *request);

/* Take in a datagram, evented: it is over afterwards. */
void ost_server_admit_datagram(struct ostler_server *server, struct ostler_request *request);

/* May there be more connections at all, whether there is a place or not? */
bool ost_server_may_accept(const struct ostler_server *server);

/* May another connection, or a batch of datagrams, be taken in now? */
bool ost_server_has_room(const struct ostler_server *server);
bool ost_server_has_room_for_datagrams(const struct ostler_server *server);

/* May a datagram wait for its place, whether the server serves or stops? */
bool ost_server_may_queue(const struct ostler_server *server);

/* Places (places.c). 0 or -ENOMEM. */
int ost_places_init(struct ostler_server *server);
void ost_places_fini(struct ostler_server *server);

/* Let request have one, now or later; 0, or -errno when it could not be processed and was closed. */
int ost_server_place(struct ostler_server *server, struct ostler_request *request);

/* Give free places to those that wait; and when one has just become free. */
void ost_server_fill_places(struct ostler_server *server);
void ost_server_give_place(struct ostler_server *server);

/* Cut off: datagrams that wait for a place get none, and are counted as dropped. */
void ost_server_drop_datagrams(struct ostler_server *server);

/* owner.cancel */
void ost_server_on_cancel(struct ost_owner *owner, struct ostler_request *request);

/* Give the child that runs a cancelled request, if one does, a moment, and then kill it. */
void ost_server_limit_child(struct ostler_server *server, struct ostler_request *request);

/* Of memory, threads, processes or descriptors: there is no sense in going on at once. */
bool ost_server_is_lack(int error);

/* owner.unborn */
void ost_server_on_unborn(struct ost_owner *owner, struct ostler_request *request, int error);

/* owner.parked and owner.ready */
void ost_server_on_parked(struct ost_owner *owner, struct ostler_request *request);
void ost_server_on_ready(struct ost_owner *owner, struct ostler_request *request);

/* Watch the listeners, or don't, as there is room. */
void ost_server_watch_listeners(struct ostler_server *server);

/* An accepted request has ended: was it the last one that a stop waited for? */
void ost_server_check_running(struct ostler_server *server);

/* A request is gone: is that the end of a stop? */
void ost_server_check_stopped(struct ostler_server *server);

/* The first step of a stop: the listeners close, every request is to end. And the last: the
 * server serves no more. */
void ost_server_begin_stop(struct ostler_server *server);
void ost_server_finish(struct ostler_server *server);

/* Let a stop of the reactor stop the server, until the server has stopped; one that is under way is not to wait for
 * it. And owner.connects, which does so. */
void ost_server_join_stops(struct ostler_server *server);
void ost_server_on_connects(struct ost_owner *owner);

/* From now on a stop has so much time before what is left is cut off. */
void ost_server_limit_stop(struct ostler_server *server);

/* End everything, and free it. */
void ost_server_destroy(struct ostler_server *server);

/* All that are there still: also those who only wait for their peer to take the rest. */
size_t ost_server_count_requests(const struct ostler_server *server);

/* A mix-in's process, for requests that are not to begin any more. */
int ost_server_refuse(void *state, struct ostler_request *request);

/* Is there no request, and no datagram or reply at hand? */
bool ost_server_is_idle(const struct ostler_server *server);

/* Does nobody wait for its handlers to end? */
bool ost_server_is_detached(const struct ostler_server *server);

/* Name those who still hold: "… its handler still runs" and what. */
void ost_server_log_holders(struct ostler_server *server, const char *what);

/* holder.follow */
void ost_server_follow(struct ost_holder *holder);

/* Set up the parts in stop.c. */
int ost_stop_init(struct ostler_server *server);

/* Set up what lists requests (requests.c). 0 or -ENOMEM. */
int ost_requests_init(struct ostler_server *server);
void ost_requests_fini(struct ostler_server *server);

/* handle_error's default. */
void ost_log_error(struct ostler_server *server, struct ostler_request *request, int error);

#endif
