/** Servers: an address, a handler, and where to run it.
 *
 *  new → (start → run the reactor | serve_forever | handle_request) → stop → free.
 *  Thread: the reactor's, unless it says "any". */
#ifndef OSTLER_SERVER_H
#define OSTLER_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include <ostler/address.h>
#include <ostler/log.h>
#include <ostler/request.h>
#include <ostler/version.h>

OSTLER_BEGIN

struct ostler_conn_handler;
struct ostler_datagram_handler;
struct ostler_mixin;
struct ostler_reactor;
struct ostler_server;
struct ostler_stream_handler;

/** What a server does at each step, as in Python's socketserver. A slot that is
 *  NULL is inherited from super, and at the end from the class of the address. To extend a
 *  step, call the inherited one from yours: ostler_tcp_server.bind(server).
 *
 *  A class that descends from one of the four below is for addresses of that kind; one
 *  that does not is for all. A server may have addresses of several kinds: then each
 *  request goes by the class of its address; bind, activate, handle_timeout,
 *  service_actions and close are called once.
 *
 *  Thread of all slots: the reactor's, but for finish_request and handle_error, which
 *  run where the handler runs; in a child, shutdown_request does so too. Called in the order
 *  in which they stand here. */
struct ostler_server_class {
    const char *name;
    const struct ostler_server_class *super;

    /** Make and bind the listening sockets of all addresses. 0 or -errno. */
    int (*bind)(struct ostler_server *server);
    /** Listen on them. 0 or -errno. */
    int (*activate)(struct ostler_server *server);
    /** Accept one connection from listener, a descriptor, and tell its peer. Return
     *  the new descriptor (close-on-exec, now the server's) or -errno; -EAGAIN: none
     *  is waiting. peer may only be handed on to the inherited slot, or left alone.
     *  What the inherited slot has accepted, yours may close and refuse with an error of
     *  its own: it is passed over, as one that has gone before (-ECONNABORTED …). After
     *  -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM, and when nothing could be accepted, the listener
     *  rests, for 10 ms at first and 1 s at most.
     *  Datagrams: receive what has arrived, a batch at most, and return how many. */
    int (*get_request)(struct ostler_server *server, int listener, struct ostler_address *peer);
    /** False: the request is shut down and closed without its handler. */
    bool (*verify_request)(struct ostler_server *server, const struct ostler_request *request);
    /** Hand the request to the mix-in (or the reactor). 0, or -errno: then it is
     *  reported to handle_error and closed. After -EAGAIN, -ENOMEM, -EMFILE, -ENFILE of yours
     *  the listener of a connection rests as well. */
    int (*process_request)(struct ostler_server *server, struct ostler_request *request);
    /** Run the stream handler. 0, -errno, or OSTLER_PARK: the handler's. Not called for
     *  .conn and .datagram handlers. */
    int (*finish_request)(struct ostler_server *server, struct ostler_request *request);
    /** A handler, or process_request, failed with error (a -errno). The default
     *  writes a log line: at level error, or at debug when the peer's going or
     *  silence was the cause; a flood is cut to a few lines a second. */
    void (*handle_error)(struct ostler_server *server, struct ostler_request *request, int error);
    /** No more will be sent. The default is SHUT_WR, errors ignored; for a datagram,
     *  nothing. */
    void (*shutdown_request)(struct ostler_server *server, struct ostler_request *request);
    /** The last call for a request; the default closes the descriptor, for a datagram it
     *  does nothing. */
    void (*close_request)(struct ostler_server *server, struct ostler_request *request);
    /** handle_request() saw no request in time. */
    void (*handle_timeout)(struct ostler_server *server);
    /** After each round of the loop, and at least every actions_interval_ms if set. */
    void (*service_actions)(struct ostler_server *server);
    /** The listening sockets close: when stopping, at the latest when freed; one of datagrams
     *  when the last of them was answered. */
    void (*close)(struct ostler_server *server);
};

OSTLER_API extern const struct ostler_server_class ostler_tcp_server;
OSTLER_API extern const struct ostler_server_class ostler_udp_server;
OSTLER_API extern const struct ostler_server_class ostler_unix_stream_server;
OSTLER_API extern const struct ostler_server_class ostler_unix_datagram_server;

/** Everything about a server. Zero is the default everywhere; times are
 *  milliseconds, OSTLER_NEVER means no limit. Copied by ostler_server_new(), but for
 *  what the pointers to tables and .user point to. */
struct ostler_server_options {
    const char *name;             /* for the log; default: the address */
    const char *address;          /* see <ostler/address.h> */
    const char *const *addresses; /* more of them, ended by NULL; at least one is needed in all */
    const struct ostler_server_class *server_class; /* default: the address's */
    const struct ostler_stream_handler *stream;     /* either this, for all kinds of addresses */
    const struct ostler_conn_handler *conn;         /* or this, for those of connections, */
    const struct ostler_datagram_handler *datagram; /* and this, for those of datagrams */
    const struct ostler_mixin *mixin; /* with .stream; NULL: inline, which is one handler at a time of
                                         all inline servers of a reactor */
    void *user;                       /* ostler_server_user() */
    const struct ostler_log *log;     /* of a reactor of its own (else the reactor's is used) */

    int max_requests;    /* at once; 0: the mix-in's own default, 65,536 for .conn */
    size_t stack_size;   /* of a thread or fiber; 0: 256 KiB (at least 16 KiB) */
    int max_parked;      /* .stream: connections that wait on the reactor for bytes, for defer
                            or OSTLER_PARK; 0: 65,536 */
    int queue;           /* .stream: datagrams that wait for a place; 0: 1,024. Beyond it they
                            wait in the kernel, which drops them when its buffer is full */
    size_t max_packet;   /* bytes of a datagram that are received, the rest is cut off; 0: 65,535 */
    int backlog;         /* listen(2); 0: SOMAXCONN */
    long timeout_ms;     /* without progress; 0: 300,000 (5 minutes) */
    long deadline_ms;    /* for a whole request; 0: none */
    long stop_timeout_ms; /* how long a graceful stop waits; 0: 10,000 */
    long request_timeout_ms;  /* ostler_server_handle_request() only; 0: none, with ostler_forking
                                 300,000 (5 minutes) */
    long actions_interval_ms; /* see service_actions; 0: none */
    long stall_warn_ms;  /* a handler, callback or slot that holds the loop for longer, or forking, is
                            named in the log, where a flood is cut to a few lines a second; 0: 100.
                            It is measured to a few ms */
    size_t max_input;    /* .conn: unused input kept, bytes; 0: 64 KiB */
    size_t max_output;   /* .conn: unsent output, bytes; 0: 1 MiB */
    size_t output_high;  /* .conn: mark at which reading pauses; 0: max_output / 16 */
    size_t output_low;   /* .conn: mark at which it goes on; 0: output_high / 4 */
    bool no_reuse_address;    /* SO_REUSEADDR is set unless this is */
    bool reuse_port;          /* SO_REUSEPORT */
    bool disable_nagle;       /* TCP_NODELAY on each connection, which has it from its listener: what is
                                 sent in parts does not wait until the peer has acknowledged the last one */
    bool defer;               /* .stream: keep a new connection on the reactor until its first
                                 bytes are there (not for protocols in which the server speaks
                                 first); one that never sends any is closed without its handler */
    unsigned socket_mode;     /* of a Unix socket's file, such as 0660; 0: 0777 less the umask. It has
                                 0200: who may not write to a dead socket cannot tell that it is
                                 dead, and not replace its file */
    bool no_block_on_close;   /* threading, forking: neither a stop nor ostler_server_free() waits for
                                 handlers, which go on; see there */
    bool daemon_threads;      /* threading: the same */
    bool no_bind_and_activate; /* leave that to ostler_server_bind() and _activate() */
    bool skip_missing;        /* an address that this machine does not have is a warning,
                                 as long as another one could be bound */
};

/** Make a server on reactor (borrowed; NULL: one of its own), bind and listen;
 *  nothing is accepted yet. A failure is also told to the log in a sentence, and
 *  leaves nothing behind. -EINVAL: the options are wrong; -EADDRINUSE, -EACCES,
 *  -EADDRNOTAVAIL …: as bind(2); -ENODEV: an address names an interface that is missing.
 *
 *  A Unix socket is bound to the very name that was asked for: getsockname(2) tells the same.
 *  Its file never lets in more than socket_mode says; a client that comes in the moment between
 *  bind and listen is refused (ECONNREFUSED). The file of a dead socket is replaced; one that
 *  is alive, and whatever else stands there (a file, a symbolic link), is left as it is:
 *  -EADDRINUSE, -EEXIST. Of two servers that race for a name one gets it.
 *  The process that made the file removes it at the end, if it is still the one it made.
 *  The socket of an fd:N becomes the server's on success; its file does not. What would queue errors or
 *  times on a UDP socket, or join or cut datagrams, is turned off (IP_RECVERR, SO_TIMESTAMPING, UDP_GRO,
 *  UDP_SEGMENT, UDP_CORK). */
OSTLER_API int ostler_server_new(struct ostler_server **out, const struct ostler_server_options *options,
                                 struct ostler_reactor *reactor);

/** With no_bind_and_activate: bind, then listen, by the slots of the class. 0 or -errno: then it
 *  has stopped, and can only be freed. -EALREADY: it is done; -EDESTADDRREQ: it is not bound (also of start,
 *  serve_forever and handle_request before both are done); -ESHUTDOWN: it has stopped. */
OSTLER_API int ostler_server_bind(struct ostler_server *server);
OSTLER_API int ostler_server_activate(struct ostler_server *server);

/** Close it, as ostler_server_stop() does, and wait until every request has ended, however long
 *  that takes, at most timeout_ms (OSTLER_NEVER: no limit); nobody is cut off. Meanwhile the
 *  reactor runs. 0; -ETIMEDOUT: some still run, who are named in the log, and listed by
 *  ostler_server_requests(); it may then be closed again, aborted or freed, and is a server that
 *  stops: if the reactor runs, stop_timeout_ms later they are cut off. -EBUSY: the reactor
 *  runs already; -EPERM: in a child. */
OSTLER_API int ostler_server_close(struct ostler_server *server, long timeout_ms);

/** Close and free it. What still runs is ended as when a stop's time has run out,
 *  and this waits until it has ended. With no_block_on_close or daemon_threads handlers that
 *  run are neither cut off nor waited for: a thread of the library's keeps the server
 *  and its reactor until the last of them has ended; what still waits for a place then is
 *  given to no child any more. The socket of datagrams, by which handlers answer, is theirs until
 *  then: no other server gets its address, and one with reuse_port goes on getting its share of the
 *  datagrams, which nobody receives. Nothing tells when: what the options pointed to (.user, .log,
 *  tables) must stay as long as the process, with whose end they end. Not from a handler or
 *  callback of this server, nor from anything else on the reactor while an inline handler of this
 *  server waits (stop it first). NULL is fine. */
OSTLER_API void ostler_server_free(struct ostler_server *server);

/** Accept from now on, whenever the reactor runs. 0; -EALREADY: it does; -ESHUTDOWN: it stops, or has stopped;
 *  -EBUSY: within ostler_server_handle_request(); or another -errno. */
OSTLER_API int ostler_server_start(struct ostler_server *server);

/** Stop gracefully, without waiting for it: the listeners close and every
 *  connection's input ends with what has arrived, so that handlers answer that and
 *  leave; datagrams that have arrived are taken in, in the next turns of the loop, and
 *  answered: 8,192 a socket, of a flood that does not end. A connection whose handler has left
 *  is closed once its peer has closed it, too, or a quarter of a second later if the peer has
 *  acknowledged everything: to close it sooner would be a reset if the peer still sends, which
 *  takes unread answers from it. Connections from ostler_conn_connect() go on until all
 *  accepted ones have ended, and are then treated alike. What is left after stop_timeout_ms
 *  is cut off (SHUT_RDWR), and its reads and writes fail with -ECANCELED. What still runs a
 *  quarter of a second later is named in the log; a child is killed, and with a thread the
 *  server counts as stopped, with -ETIMEDOUT. */
OSTLER_API int ostler_server_stop(struct ostler_server *server);

/** Cut off at once what a graceful stop would wait for. */
OSTLER_API int ostler_server_abort(struct ostler_server *server);

/** start, then run the reactor until this server has stopped. 0 or -errno as
 *  ostler_reactor_run(). After a shutdown that came first: 0, at once. */
OSTLER_API int ostler_server_serve_forever(struct ostler_server *server);

/** Accept and process one request (finish it, unless it runs in a thread or a child), as soon as there
 *  is a place for it, or call handle_timeout after request_timeout_ms. 1: one was processed; 0: timed
 *  out; -ESHUTDOWN: the server stops, or has stopped; -errno. A request that verify_request refuses
 *  counts as processed; one that get_request refuses does not. Connections are closed when the reactor
 *  runs next: in the next handle_request, in close or free. Of one that ran in a thread
 *  shutdown_request waits for that too, and its peer for the end of file: a program that turns to
 *  something else in between has its handler call ostler_stream_shutdown_write(). */
OSTLER_API int ostler_server_handle_request(struct ostler_server *server);

/** Change request_timeout_ms: ms, 0: only look whether one is there, OSTLER_NEVER: no limit.
 *  A time-out that a listening socket itself has (SO_RCVTIMEO, socket(7)) counts as well: the
 *  shorter one. */
OSTLER_API int ostler_server_set_request_timeout(struct ostler_server *server, long ms);

/** ostler_server_stop() from anywhere, waiting until serve_forever has left; on the
 *  serving thread, and inside a handler of this server, without waiting. Before
 *  serve_forever it makes that return at once. Thread: any. */
OSTLER_API int ostler_server_shutdown(struct ostler_server *server);

/** All in one: new, serve_forever, free. 0 or -errno. */
OSTLER_API int ostler_serve_forever(const struct ostler_server_options *options);

/** Accessors. Thread: any, but for the counts. Pointers are borrowed. */
OSTLER_API void *ostler_server_user(const struct ostler_server *server);
OSTLER_API const char *ostler_server_name(const struct ostler_server *server);
OSTLER_API struct ostler_reactor *ostler_server_reactor(const struct ostler_server *server);
OSTLER_API const struct ostler_log *ostler_server_log(const struct ostler_server *server);

/** Its options as they hold, every default filled in: max_requests is the mix-in's capacity.
 *  .address and .addresses are NULL: see ostler_server_address(). Thread: any. */
OSTLER_API const struct ostler_server_options *ostler_server_options_of(const struct ostler_server *server);

/** The index-th listening socket, in the order of the addresses ("*" gives two):
 *  its descriptor (-EINVAL beyond the last, -EBADF once closed), and its address
 *  with the real port (NULL beyond the last). */
OSTLER_API int ostler_server_fd(const struct ostler_server *server, size_t index);
OSTLER_API const struct ostler_address *ostler_server_address(const struct ostler_server *server, size_t index);

/** Has it been told to stop? Then the end of a connection's input may be the server's
 *  doing, and not the peer's. Thread: any. */
OSTLER_API bool ostler_server_is_stopping(const struct ostler_server *server);

/** How many requests run now, how many wait on the reactor (connections for bytes,
 *  datagrams for a place), and how many have been accepted in all. */
OSTLER_API size_t ostler_server_active(const struct ostler_server *server);
OSTLER_API size_t ostler_server_waiting(const struct ostler_server *server);
OSTLER_API unsigned long long ostler_server_accepted(const struct ostler_server *server);

/** What the list of live requests tells of one, as it was when the visit began. Pointers are
 *  borrowed, and valid as long as the visit. */
struct ostler_request_info {
    struct ostler_request_ref id;
    const char *service; /* the server's name */
    const struct ostler_address *peer;
    const char *state;   /* a few words: "runs", "waits" (a handler, at place), "waits for input", "waits
                            for a place", "waits for output to drain", "is paused", "is connecting",
                            "is closing" */
    const char *place;   /* FILE:LINE of the call in which it waits, or that it made last; NULL: none is known */
    long age_ms;         /* since it was accepted, or received */
    long state_ms;       /* since it has been in that state; -1: not known */
    uint64_t bytes_in, bytes_out;
    long child; /* the process that runs its handler; 0: none */
};

/** Call visit(arg) for each live request of the server, the oldest first, until it returns
 *  false. It may not end any, nor free the server; it may ask for a cancellation, and on a fiber
 *  or inline it may wait, such as for room to write: requests that end meanwhile are left out,
 *  and so are those that came later. The server must be there until it is over. 0 or -errno. */
OSTLER_API int ostler_server_requests(struct ostler_server *server,
                                      bool (*visit)(const struct ostler_request_info *info, void *arg), void *arg);

/** Write a line for each live request of every server on the reactor to its log, at level
 *  info, soon: service, peer, age, bytes in and out, where it waits and since when; before them
 *  a line for each server, with their number and that of its dropped datagrams, if any. Many are
 *  written a part at a time, one server's after the other's, between which the loop goes on: what
 *  has ended or has come meanwhile is not among them, and while a list is still being written no
 *  other one is begun. 0, -EINVAL, -ENOMEM, -EPERM. Thread: any. */
OSTLER_API int ostler_reactor_log_requests(struct ostler_reactor *reactor);

/** How many datagrams were dropped: by the kernel, since they came faster than they were
 *  taken (SO_MEMINFO in socket(7)); replies that the kernel refused; and what had been
 *  received, and had no place yet, when a stop's time had run out or the server was aborted. What
 *  the kernel still had then is in no count. */
OSTLER_API unsigned long long ostler_server_dropped(const struct ostler_server *server);

OSTLER_END

#endif
