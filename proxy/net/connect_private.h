/* proxy/net/connect_private.h - a tunnel of the proxy port, for connect.c and relay.c. */
#ifndef PROXY_CONNECT_PRIVATE_H
#define PROXY_CONNECT_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "proxy/http/http1.h"
#include "proxy/net/dial.h"
#include "proxy/store/store.h"
#include "proxy/tls/hello.h"

struct bufferevent;
struct event;
struct worker;

struct tunnel {
    struct tunnel *prev, *next; /* worker's list */
    struct worker *w;
    struct client *client;   /* counted; leaves with us, or belongs to a conn */
    struct setup *setup;     /* pinned; NULL once it carries bytes */
    struct bufferevent *bev; /* the client; NULL once it belongs to a conn */
    struct bufferevent *up;  /* spliced: the host; NULL before */
    struct http1 *parser;    /* of the CONNECT */
    struct hello_reader *reader;
    struct hello hello;
    struct event *timer;
    struct dial *dial;
    struct gw_arena *arena; /* of who */
    struct proxy_principal who;
    bool has_who, peeking;
    bool client_eof, up_eof; /* spliced: that side has sent everything */
    char host[256];          /* of the CONNECT, lower case */
    uint16_t port;
    char peer[46];
    uint16_t peer_port;
    uint64_t bytes_out, bytes_in; /* to the host, from it */
    uint64_t start_ns, moved_ns;  /* begin; spliced: last time bytes moved, either way */
};

void tunnel_free(struct tunnel *t);
void tunnel_record(const struct tunnel *t, bool denied, const char *why);

/* Who opens the tunnel, by Proxy-Authorization: a key as the password (or the user) of Basic, or a key or token as Bearer or
 * password. GW_OK, also when the configuration asks nobody; GW_ENOENT, GW_ETIMEDOUT: ask for another one (407); GW_EDENIED:
 * known, but not from this address or not for this host; GW_EAGAIN, GW_EIO, GW_ENOMEM: cannot be told now. */
enum gw_status tunnel_authenticate(struct tunnel *t, const struct http1_head *h);

/* Connects to the host and carries bytes both ways, untouched. */
void tunnel_relay(struct tunnel *t);

#endif
