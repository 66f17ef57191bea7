/* proxy/admin/admin_api.h - the JSON API of the admin port: one table of method, path, role and handler.
 *
 * A request is answered here, on the main thread, in this order: no or a wrong admin key (401, after many of them 429),
 * unknown path (404), wrong method (405), role too low (403), body too large or not JSON (413, 415, 400), the handler. Paths of `admin.open` need no key. Nothing here blocks: a handler that needs a file gives the work to
 * another thread (proxy_store_submit() or its own), returns ADMIN_WAIT and calls admin_call_done() later.
 *
 * There are no cookies, and a body must be application/json, so a browser cannot be made to act for anybody. */
#ifndef PROXY_ADMIN_API_H
#define PROXY_ADMIN_API_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json_tree.h"
#include "proxy/http/http1.h"
#include "proxy/store/store.h"

enum { ADMIN_MAX_BODY = 64 * 1024 };

struct server;
struct admin_guard;

/* One request of the admin port. Everything but out belongs to its arena or the connection. */
struct admin_call {
    struct server *server;
    struct gw_arena *arena;
    const char *peer;                /* address of the client */
    struct gw_span method, path;     /* path: without the query */
    struct gw_span query;            /* without '?' */
    struct gw_span arg;              /* what stood for the '*' of the path */
    const struct gw_json_node *json; /* the body: an object; NULL: there was none */
    struct proxy_principal who;      /* of the admin key; without one via is PROXY_VIA_NONE */
    enum proxy_role role;
    /* the answer */
    unsigned status;  /* 200 unless set */
    const char *type; /* application/json unless set */
    struct gw_buf out;
    int retry_after_s; /* 0: none */
    const char *allow; /* with 405 */
    uint64_t ticket;   /* of the reload that it waits for; 0: none */
    bool openmetrics;  /* the client prefers that text format */
    bool head_only;
    void (*send)(struct admin_call *c); /* the connection's: sends the answer and frees the call */
    void *client;                       /* the connection; NULL once it is gone */
};

enum admin_result { ADMIN_DONE, ADMIN_WAIT };

struct admin_row {
    const char *method, *path; /* one segment may be '*' */
    enum proxy_role role;      /* what the caller must be allowed to do */
    enum admin_result (*handle)(struct admin_call *c);
};

/* Handlers of other rooms; their rows stand in admin_api.c. */
enum admin_result admin_health(struct admin_call *c);
enum admin_result admin_ready(struct admin_call *c);
enum admin_result admin_metrics(struct admin_call *c);
enum admin_result admin_targets(struct admin_call *c);
enum admin_result admin_keys_list(struct admin_call *c);
enum admin_result admin_keys_create(struct admin_call *c);
enum admin_result admin_keys_get(struct admin_call *c);
enum admin_result admin_keys_update(struct admin_call *c);
enum admin_result admin_keys_rotate(struct admin_call *c);
enum admin_result admin_keys_revoke(struct admin_call *c);
enum admin_result admin_budgets_list(struct admin_call *c);
enum admin_result admin_changes_list(struct admin_call *c);
enum admin_result admin_allow(struct admin_call *c);
enum admin_result admin_reload(struct admin_call *c);
enum admin_result admin_reload_last(struct admin_call *c);
/* As admin_reload(), because of an entry of the allowlist, which the record then names. */
enum admin_result admin_reload_for(struct admin_call *c, const char *entry);

/* A reload has ended. True: it is the one that c waits for; the answer is made, and admin_call_done() is due. */
bool admin_reload_done(struct admin_call *c);

/* Judges a complete request and runs its handler; the answer is sent now (ADMIN_DONE) or by admin_call_done(). */
void admin_api_answer(struct admin_call *c, struct admin_guard *guard, const struct http1_head *h,
                      struct gw_span body);

/* Ends a call whose handler returned ADMIN_WAIT. Thread: main. c is gone afterwards, whether or not the client still is
 * there. */
void admin_call_done(struct admin_call *c);

/* Makes the answer an error: {"error":{"code":code,"message":...}}. */
void admin_call_error(struct admin_call *c, unsigned status, const char *code, const char *fmt, ...)
    GW_PRINTF(4, 5);
/* The same for a failure of the gateway's own functions: 400, 404, 409, 503, 500 by its code. */
void admin_call_fail(struct admin_call *c, const struct gw_err *err);

/* Who calls, for records: "admin:NAME (KEYID)", in the call's arena. */
struct proxy_actor admin_call_actor(const struct admin_call *c);

/* The value of a query parameter, or {NULL, 0}. */
struct gw_span admin_call_query(const struct admin_call *c, const char *name);

/* ---- failures by address -------------------------------------------------------------------- */

/* Counts refused keys by address; one that had too many within a minute is told to wait. A fixed number of addresses is
 * remembered; the oldest makes room. Main thread. */
struct admin_guard *admin_guard_new(void);
void admin_guard_free(struct admin_guard *g);
/* Seconds that the address must wait, 0: none. */
int admin_guard_wait(struct admin_guard *g, const char *address, uint64_t now_ns);
void admin_guard_failed(struct admin_guard *g, const char *address, uint64_t now_ns);

#endif
