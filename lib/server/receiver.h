/* A receiver: what a listener of datagrams has beside its socket. */
#ifndef OST_SERVER_RECEIVER_H
#define OST_SERVER_RECEIVER_H

#include "request/datagram.h"
#include "server/listener.h"

struct ost_receiver {
    struct ost_batch *batch;
    struct ost_datagram datagram; /* evented: the one that is being handled */
    struct ostler_address nobody; /* get_request's peer: each datagram has one of its own */
    int asked;          /* how many datagrams get_request is to receive, or was, at most */
    unsigned holders;   /* requests that will reply through the socket */
    bool taking;        /* a batch is being taken in */
    bool full;          /* replies wait for the socket */
    int rest;           /* the server stops, and so many datagrams at most are still to be taken in */
    bool closing;       /* the socket goes when nobody holds it */
    uint32_t drops;     /* of the kernel's, as of the last look */
    uint32_t former;    /* of them, those of an inherited socket's former owner */
    uint64_t reported;  /* when they were logged last, ms; 0: never */
};

/* 0 or -ENOMEM; close it before it is freed. */
int ost_receiver_open(struct ost_listener *listener, int fd);
void ost_receiver_free(struct ost_receiver *receiver); /* NULL is fine */

/* The socket is ready. */
void ost_receiver_ready(struct ost_watch *watch, unsigned what);

/* Its timer has fired. */
void ost_receiver_on_retry(struct ost_listener *listener);

/* Watch for what it waits for. 0 or -ENOMEM. */
int ost_receiver_watch(struct ost_listener *listener);

/* The server stops: take in what has arrived, from the next turn on. */
void ost_receiver_take_rest(struct ost_listener *listener);

/* Is it in the middle of something that a stop waits for? */
bool ost_receiver_is_busy(const struct ost_listener *listener);

/* May the socket go? If not, it does later. */
bool ost_receiver_close(struct ost_listener *listener);

/* A request that held the socket has gone. */
void ost_receiver_release(struct ost_listener *listener);

/* Log what the kernel has dropped since this was logged last. */
void ost_receiver_report(struct ost_listener *listener);

/* Datagrams that the kernel has dropped. */
uint32_t ost_receiver_drops(const struct ost_listener *listener);

#endif
