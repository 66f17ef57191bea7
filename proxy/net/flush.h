/* proxy/net/flush.h - writing to a socket at once, instead of asking the loop when that is possible.
 *
 * libevent writes what was added to a bufferevent when epoll says so: two epoll_ctl() and one more turn of the loop for each
 * answer and each event of a stream, though a socket has room nearly always. So plain sockets have EV_WRITE off; what was
 * added is written here, and only what the socket does not take is left to libevent. Not for TLS, whose records libevent
 * makes itself. Thread: the loop's. */
#ifndef PROXY_FLUSH_H
#define PROXY_FLUSH_H

#include <stdbool.h>

struct bufferevent;

/* True: a bufferevent straight over a socket, without TLS. */
bool flush_suits(struct bufferevent *bev);

/* To be called before bytes are added: EV_WRITE is off afterwards, unless older bytes wait for the socket. */
void flush_prepare(struct bufferevent *bev);

/* Writes. True: nothing is left. Else EV_WRITE is on, and the rest, or the error, is libevent's. */
bool flush_now(struct bufferevent *bev);

#endif
