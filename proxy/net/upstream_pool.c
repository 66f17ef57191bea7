/* proxy/net/upstream_pool.c - idle connections of one worker, kept for the next request. */
#include <stdlib.h>
#include <string.h>

#include "proxy/net/upstream.h"
#include "proxy/net/upstream_conn.h"
#include "proxy/net/wire.h"
#include "proxy/net/worker.h"

struct upstream_pool {
    struct worker *w;
    struct uconn *idle; /* most recently used first */
};

void upstream_pool_unlink(struct uconn *u)
{
    if (!u->pooled)
        return;
    if (u->prev != NULL)
        u->prev->next = u->next;
    else
        u->w->pool->idle = u->next;
    if (u->next != NULL)
        u->next->prev = u->prev;
    u->prev = u->next = NULL;
    u->pooled = false;
}

static bool same_peer(const struct uconn *u, const struct upstream_peer *peer)
{
    return u->peer.target == peer->target && u->peer.port == peer->port &&
           (u->ssl != NULL) == (peer->tls != NULL) && strcmp(u->host, peer->host) == 0;
}

struct uconn *upstream_pool_take(struct worker *w, const struct upstream_peer *peer)
{
    for (struct uconn *u = w->pool->idle; u != NULL; u = u->next)
        if (same_peer(u, peer)) {
            upstream_pool_unlink(u);
            return u;
        }
    return NULL;
}

static bool is_full(const struct uconn *like)
{
    unsigned n = 0;

    for (const struct uconn *u = like->w->pool->idle; u != NULL; u = u->next)
        n += u->peer.target == like->peer.target && u->peer.port == like->peer.port &&
             strcmp(u->host, like->host) == 0;
    return n >= like->peer.max_idle;
}

void upstream_pool_give(struct uconn *u, bool reusable)
{
    if (!reusable || u->eof || u->w->draining || !http1_idle(u->parser) ||
        !wire_is_clean(u->wire) || is_full(u)) {
        uconn_close(u);
        return;
    }
    u->next = u->w->pool->idle;
    if (u->next != NULL)
        u->next->prev = u;
    u->w->pool->idle = u;
    u->pooled = true;
    uconn_wait_idle(u);
}

struct upstream_pool *upstream_pool_new(struct worker *w)
{
    struct upstream_pool *p = calloc(1, sizeof(*p));

    if (p != NULL)
        p->w = w;
    return p;
}

void upstream_pool_drain(struct upstream_pool *p)
{
    struct uconn *next;

    for (struct uconn *u = p->idle; u != NULL; u = next) {
        next = u->next;
        uconn_drop(u);
    }
}

void upstream_pool_free(struct upstream_pool *p)
{
    if (p == NULL)
        return;
    upstream_pool_drain(p);
    free(p);
}
