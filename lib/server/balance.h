/* A server's place in a balance: several processes accept from the same sockets. */
#ifndef OST_SERVER_BALANCE_H
#define OST_SERVER_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ostler/sys/balance.h>

struct ost_listener;

/* In struct ostler_server. Zero: it is in none, and what follows does nothing. */
struct ost_seat {
    struct ostler_balance *balance;
    int number;  /* among the servers of the balance */
    size_t live; /* its connections, as the balance has them */
    bool open;   /* it could accept, when told last */
};

/* How many processes the server's connections are spread over; 1: it is in no balance. */
int ost_balance_workers(const struct ostler_server *server);

/* Clients wait at the listener: if they are for others, stop watching it until that changes. */
void ost_balance_look(struct ost_listener *listener);

/* May another connection be accepted, or is that for others to do? */
bool ost_balance_has_turn(const struct ostler_server *server);

/* A connection was accepted. */
void ost_balance_note_accept(struct ostler_server *server);

/* The server has more or fewer requests, or room, than before: tell the others. */
void ost_balance_tell(struct ostler_server *server);

/* ---- For guard.c, in the parent ---- */

/* Connections that the server-th of all workers' have accepted so far. */
uint32_t ost_balance_accepted(const struct ostler_balance *balance, int server);

/* Clients wait there, and nobody has accepted for a while: go on without those who should have. */
void ost_balance_suspect(struct ostler_balance *balance, int server);

#endif
