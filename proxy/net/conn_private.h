/* proxy/net/conn_private.h - the connection's fields, for conn.c and conn_answer.c only. */
#ifndef PROXY_CONN_PRIVATE_H
#define PROXY_CONN_PRIVATE_H

#include "proxy/http/http1.h"
#include "proxy/net/conn.h"
#include "proxy/store/store.h"

struct event;
struct wire;

/* The answer to the current request. */
struct conn_answer {
    bool started, ended, aborted;
    bool chunked;    /* body goes out in chunks */
    bool no_body;    /* HEAD, 204, 304: body bytes are dropped */
    bool keep_alive; /* the connection is used again afterwards */
    unsigned minor;  /* of the request: 1.0 clients know no chunks */
    uint64_t bytes;  /* of the body, before chunk framing */
    int64_t length;  /* what Content-Length promises; -1: nothing */
};

struct conn {
    struct conn *prev, *next; /* worker's list */
    struct worker *w;
    struct client *client; /* counted; leaves with us */
    struct wire *wire;
    struct http1 *parser;
    struct event *timer; /* the one deadline of the current state */
    struct req *req;     /* NULL: none is being read or answered */
    struct conn_fixed fixed;
    struct gw_arena *arena;     /* of who and cert; NULL without */
    struct proxy_principal who; /* what fixed.who points to */
    struct cert *cert;          /* the client's; NULL: none, or not looked for yet */
    char *fixed_host;           /* owned; NULL on the gateway port */
    char peer[46];
    uint16_t peer_port;
    struct conn_answer answer;
    unsigned n_requests;
    unsigned busy;        /* functions of conn.c on the stack: free only at 0 */
    uint64_t deadline_ns; /* monotonic: limits.request_timeout of the current request */
    uint64_t discarded;   /* bytes thrown away while lingering */
    bool message_done;    /* the current request was read to its end, or never will be */
    bool bodyless;        /* the current request has no body, so its head is all of it */
    bool unread;          /* bytes of a refused request may still arrive */
    bool parser_failed;
    bool cert_looked;  /* for cert */
    bool full;         /* output above CONN_OUT_HIGH: req_writable() is owed */
    bool closing;      /* close when the output is written */
    bool said_goodbye; /* close_notify is on its way */
    bool lingering;
    bool draining;
    bool gone;  /* the client closed or failed */
    bool again; /* parse once more when busy is 0 */
    bool dead;  /* free when busy is 0 */
};

#endif
