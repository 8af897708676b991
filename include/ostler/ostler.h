/** ostler: SocketServer for C, on libevent. This header includes all others a
 *  user of the core library needs; <ostler/daemon.h> is apart, it belongs to
 *  libostler-daemon. */
#ifndef OSTLER_OSTLER_H
#define OSTLER_OSTLER_H

#include <ostler/address.h>
#include <ostler/conn.h>
#include <ostler/datagram.h>
#include <ostler/error.h>
#include <ostler/here.h>
#include <ostler/log.h>
#include <ostler/mailbox.h>
#include <ostler/mixin.h>
#include <ostler/reactor.h>
#include <ostler/request.h>
#include <ostler/server.h>
#include <ostler/socket.h>
#include <ostler/stream.h>
#include <ostler/version.h>
#include <ostler/wait.h>

#endif
