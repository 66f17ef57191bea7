/* proxy/request/request_memory.c - memory that a request may take: counted for its client and for all, before it is taken.
 * Worker's thread. */
#include "proxy/net/clients.h"
#include "proxy/net/conn.h"
#include "proxy/net/worker.h"
#include "proxy/request/request_private.h"

/* A body as received, its decoded strings, its edited form, and what growing by doubling leaves empty: what a byte of a body
 * was measured to take at most. And what a request takes without one. */
enum { PER_BODY_BYTE = 4, PER_REQUEST = 32 * 1024, STEP = 256 * 1024 };

static enum client_verdict take(struct req *req, uint64_t bytes)
{
    const struct proxy_config *cfg = req->setup->cfg;
    uint64_t all =
        cfg->limits.max_memory != 0 ? cfg->limits.max_memory : req->w->server->half_memory;
    uint64_t one =
        cfg->limits.max_memory_per_client != 0 ? cfg->limits.max_memory_per_client : all / 2;
    enum client_verdict v =
        client_take(conn_client(req->conn), bytes, (struct clients_caps){one, all});

    if (v == CLIENT_MAY)
        req->held_bytes += bytes;
    else
        metrics_add(&req->w->metrics.memory_refused, 1);
    return v;
}

bool req_take_memory(struct req *req, uint64_t bytes)
{
    return take(req, bytes) == CLIENT_MAY;
}

bool req_take_body(struct req *req, uint64_t body_bytes)
{
    uint64_t want = PER_REQUEST + body_bytes * PER_BODY_BYTE, more;
    enum client_verdict v;

    if (want <= req->held_bytes)
        return true;
    more = want - req->held_bytes;
    /* A body without a length grows in steps, so that not each piece of it is counted alone. */
    v = take(req, body_bytes != 0 && !req->head->has_length && more < STEP ? STEP : more);
    if (v == CLIENT_MAY)
        return true;
    if (v == CLIENT_HAS_ENOUGH)
        req_refuse(req, 429, "rate_limit_error", "too_much_in_flight", 1, AUDIT_END_REFUSED,
                   "The requests of this address that are in flight hold as much memory as they "
                   "may; try again when they are done.");
    else
        req_refuse(req, 503, "server_error", "overloaded", 1, AUDIT_END_REFUSED,
                   "The gateway holds as many requests as it has memory for; try again soon.");
    return false;
}

void req_give_memory(struct req *req)
{
    client_give(conn_client(req->conn), req->held_bytes);
    req->held_bytes = 0;
}
