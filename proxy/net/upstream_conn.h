/* proxy/net/upstream_conn.h - one connection to a server, and the pool of idle ones. For upstream*.c.
 *
 *   DIALING -> TLS -> SENDING/READING -> (idle in the pool) -> ... -> closed
 *
 * A connection serves one lane at a time and tells it what comes (lane_on_*, in upstream.c); the last thing that a lane is
 * told is its end or its failure, and then connection and lane do not know each other any more. Thread: the worker's. */
#ifndef PROXY_UPSTREAM_CONN_H
#define PROXY_UPSTREAM_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/http/http1.h"
#include "proxy/net/upstream_head.h"
#include "proxy/request/request.h"

struct dial;
struct event;
struct ssl_st;
struct uconn;
struct upstream_try;
struct wire;
struct worker;

/* One attempt on its way: a request has one, or two when it is hedged (upstream.c). */
struct lane {
    struct upstream_try *of;
    struct req *req;
    struct uconn *u; /* NULL: not running */
    unsigned endpoint, key;
    unsigned log; /* index in req->attempts */
};

struct uconn {
    struct uconn *prev, *next; /* in the pool while idle */
    struct worker *w;
    struct lane *lane;         /* NULL: idle */
    struct upstream_peer peer; /* while idle only target, port, max_idle and host are valid */
    char host[256];            /* copy of peer.host */
    struct dial *dial;
    struct wire *wire;  /* NULL while dialling */
    struct ssl_st *ssl; /* owned by wire */
    struct http1 *parser;
    struct event *timer;
    uint64_t begun_ns; /* of dialling */
    unsigned busy;
    bool timed_out_is_idle; /* the timer belongs to the pool */
    bool pooled, reused;    /* in the list; came from it */
    bool sent;              /* some of the request may have left */
    bool got_bytes;         /* of the answer */
    bool head_given;        /* lane_on_head was called for a final answer */
    bool complete;          /* the answer ended */
    bool paused, eof, dead;
    bool broken; /* ended by an error: not a proper end of anything */
};

/* ---- a connection (upstream_conn.c) ------------------------------------------------------------ */

/* Sends the lane's request over an idle connection or a new one and sets lane->u; the lane may be told of its failure
 * before this returns, which is GW_OK then. On an error nothing was begun. */
enum gw_status uconn_start(struct lane *lane, struct gw_err *err);
void uconn_cancel(struct lane *lane); /* closes in this loop turn; lane->u may be NULL */
void uconn_pause(struct lane *lane);
void uconn_resume(struct lane *lane);

/* Closes from where nothing else uses u, or from below functions that do. */
void uconn_drop(struct uconn *u);
/* Closes when the last function that uses u leaves. */
void uconn_close(struct uconn *u);
/* Starts the clock of an idle connection. */
void uconn_wait_idle(struct uconn *u);

/* ---- the pool (upstream_pool.c) ------------------------------------------------------------------ */

/* An idle connection to that peer, taken out of the pool, or NULL. */
struct uconn *upstream_pool_take(struct worker *w, const struct upstream_peer *peer);
void upstream_pool_unlink(struct uconn *u);
/* Keeps a connection whose answer is complete, or closes it. */
void upstream_pool_give(struct uconn *u, bool reusable);

/* ---- what a lane is told (upstream.c) -------------------------------------------------------------- */

void lane_on_head(struct lane *lane, const struct http1_head *h); /* final */
void lane_on_data(struct lane *lane, struct gw_span bytes);
void lane_on_end(struct lane *lane);
void lane_on_fail(struct lane *lane, enum req_failure failure, const char *why);

#endif
