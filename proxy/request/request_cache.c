/* proxy/request/request_cache.c - see request_cache.h. */
#include "proxy/request/request_cache.h"

#include <string.h>

#include "base/clock.h"
#include "base/json_tree.h"
#include "proxy/answer/respond.h"
#include "proxy/cache/cache.h"
#include "proxy/cache/cache_redis.h"
#include "proxy/http/fields.h"
#include "proxy/limits/limits.h"
#include "proxy/net/conn.h"
#include "proxy/net/setup.h"
#include "proxy/net/worker.h"
#include "proxy/request/request_stages.h"

_Static_assert(sizeof(((struct req *)0)->cache_key) == (size_t)CACHE_KEY_BYTES, "a SHA-256");

const char *req_cache_name(enum req_cache c)
{
    static const char *const names[] = {"", "bypass", "miss", "hit"};

    return names[c];
}

/* ---- may it be used? ------------------------------------------------------------------------- */

/* "0", "0.0", "-0e3": a number that is zero, however it is written. */
static bool is_zero(struct gw_span number)
{
    for (size_t i = 0; i < number.len; i++) {
        if (number.ptr[i] >= '1' && number.ptr[i] <= '9')
            return false;
        if (number.ptr[i] == 'e' || number.ptr[i] == 'E')
            break;
    }
    return number.len != 0;
}

static bool is_deterministic(const struct api_request *a)
{
    return is_zero(a->temperature) || a->seed.len != 0;
}

/* What lies behind an address or an id may be another thing tomorrow. */
static bool refers_elsewhere(const struct api_part *parts, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (parts[i].url.len != 0 && !gw_span_starts(parts[i].url, GW_SPAN("data:")))
            return true;
        for (unsigned k = 0; k < parts[i].n_parts;
             k++) /* in a tool's result, which nests no further */
            if (parts[i].parts[k].url.len != 0)
                return true;
    }
    return false;
}

static bool is_closed(const struct api_request *a)
{
    for (unsigned i = 0; i < a->n_messages; i++)
        if (refers_elsewhere(a->messages[i].parts, a->messages[i].n_parts))
            return false;
    for (unsigned i = 0; i < a->n_extras; i++) /* state and tools of the provider are among these */
        if (!a->extras[i].hint)
            return false;
    /* A stored response is one that the client may refer to, or delete. */
    return a->dialect != API_RESPONSES || gw_json_is(gw_json_get(a->root, "store"), GW_JSON_FALSE);
}

static bool may_share(const struct req *req)
{
    const struct proxy_config *cfg = req->setup->cfg;
    const struct api_request *a = &req->asked;

    if (req->d.n_choices == 0 || req->n_findings != 0 || conn_fixed(req->conn) != NULL)
        return false;
    if (req->ep.kind == ENDPOINT_EMBEDDINGS || req->ep.kind == ENDPOINT_RERANK)
        return true;
    if (req->ep.kind != ENDPOINT_CHAT || a->bad != NULL || !is_closed(a))
        return false;
    if (a->n_tools != 0 && !cfg->cache.tools)
        return false;
    return cfg->cache.when == 1 || is_deterministic(a);
}

/* ---- what the client says ------------------------------------------------------------------------ */

struct wishes {
    bool no_store, no_cache;
    int64_t max_age_ms;
};

static bool is_word(struct gw_span s, const char *word)
{
    return gw_span_eq_nocase(s, gw_span_str(word));
}

static void take_wish(struct gw_span s, struct wishes *w)
{
    int64_t seconds = 0;

    if (is_word(s, "no-store")) {
        w->no_store = true;
    } else if (is_word(s, "no-cache")) {
        w->no_cache = true;
    } else if (s.len > 8 && is_word((struct gw_span){s.ptr, 8}, "max-age=")) {
        for (size_t i = 8; i < s.len && seconds < INT32_MAX; i++) {
            if (s.ptr[i] < '0' || s.ptr[i] > '9')
                return;
            seconds = seconds * 10 + (s.ptr[i] - '0');
        }
        if (seconds * 1000 < w->max_age_ms)
            w->max_age_ms = seconds * 1000;
    }
}

/* Cache-Control of the request (RFC 9111 5.2.1), as far as it narrows. */
static struct wishes wishes_of(const struct req *req)
{
    struct wishes w = {.max_age_ms = req->setup->cfg->cache.ttl_ms};

    for (unsigned i = 0; i < req->head->n_fields; i++) {
        struct gw_span rest = req->head->fields[i].value;

        if (!is_word(req->head->fields[i].name, "cache-control"))
            continue;
        while (rest.len != 0) {
            const char *comma = memchr(rest.ptr, ',', rest.len);
            size_t n = comma == NULL ? rest.len : (size_t)(comma - rest.ptr);
            struct gw_span s = {rest.ptr, n};

            while (s.len != 0 && s.ptr[0] == ' ')
                s = gw_span_from(s, 1);
            while (s.len != 0 && s.ptr[s.len - 1] == ' ')
                s.len--;
            take_wish(s, &w);
            rest = gw_span_from(rest, n + 1);
        }
    }
    return w;
}

/* ---- the key --------------------------------------------------------------------------------------- */

/* Fields that change no answer: what a request has of its own, of its client and its way here. All others count. */
static bool is_noise(struct gw_span name)
{
    static const char *const names[] = {
        "host",        "user-agent", "accept",       "accept-encoding",  "accept-language",
        "date",        "origin",     "referer",      "cache-control",    "pragma",
        "traceparent", "tracestate", "baggage",      "x-request-id",     "idempotency-key",
        "forwarded",   "via",        "content-type", "content-encoding", "priority"};
    static const char *const families[] = {"x-stainless-", "x-forwarded-", "x-sluice-", "sec-"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (is_word(name, names[i]))
            return true;
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (name.len > strlen(families[i]) &&
            is_word((struct gw_span){name.ptr, strlen(families[i])}, families[i]))
            return true;
    return field_is_credential(name);
}

/* The fields that are forwarded and may matter, "name: value" a line, as they came. */
static void add_fields(const struct req *req, struct gw_buf *out)
{
    struct gw_span connection = http1_get(req->head, "connection");

    for (unsigned i = 0; i < req->head->n_fields; i++) {
        const struct http1_field *f = &req->head->fields[i];

        if (!field_is_hop(f, connection) && !is_noise(f->name))
            field_add(out, f->name, f->value);
    }
}

/* Whose answers these are: "key", "team", ... and its name. */
static struct gw_span scope_of(const struct req *req, const char **kind)
{
    const struct proxy_principal *p = &req->who;

    *kind = "key";
    switch ((enum proxy_cache_scope)req->setup->cfg->cache.scope) {
    case PROXY_CACHE_TENANT:
        *kind = "tenant";
        return GW_SPAN(""); /* which is a part of every key */
    case PROXY_CACHE_TEAM:
        if (p->team.len == 0)
            return p->id;
        *kind = "team";
        return p->team;
    case PROXY_CACHE_USER:
        if (p->user.len == 0)
            return p->id;
        *kind = "user";
        return p->user;
    case PROXY_CACHE_KEY:
    default:
        return p->id;
    }
}

static bool make_key(struct req *req)
{
    const struct setup *s = req->setup;
    const struct proxy_config_target *t = &s->cfg->targets[req->cache_target];
    const char *kind;
    struct gw_span unit = scope_of(req, &kind);
    struct gw_buf fields = {0};
    enum gw_status st;

    add_fields(req, &fields);
    const struct gw_span parts[] = {
        GW_SPAN("sluice answer 1"),
        req->who.owner,
        gw_span_str(kind),
        unit,
        gw_span_str(router_policy_digest(s->cfg->policy)),
        gw_span_str(dlp_rules_digest(s->rules)),
        gw_span_str(api_dialect_name(req->ep.dialect)),
        gw_span_str(req->ep.operation),
        req->path,
        req->query,
        gw_span_str(t->name),
        gw_span_str(t->kind == PROXY_TARGET_ENGINE ? t->model : t->base_url.text),
        req_model_for(req, req->cache_target),
        gw_buf_span(&fields),
    };

    st = gw_buf_ok(&fields)
             ? router_cache_key(parts, sizeof(parts) / sizeof(parts[0]), req->w->json,
                                gw_buf_span(&req->body), req->cache_key)
             : GW_ENOMEM;
    gw_buf_fini(&fields);
    return st == GW_OK;
}

/* Takes what the table has, when it is not too old for this client; for others it may be young enough. */
static bool take(struct req *req, int64_t max_age_ms)
{
    int64_t now_ms = gw_clock_wall_ms(), age_ms;

    req->cached =
        cache_get(req->w->server->cache, req->cache_key, now_ms, req->setup->cfg->cache.ttl_ms);
    if (req->cached == NULL)
        return false;
    age_ms = now_ms - cache_answer_of(req->cached)->stored_ms;
    if (age_ms > max_age_ms) {
        cache_drop(req->cached);
        req->cached = NULL;
        return false;
    }
    req->cache = REQ_CACHE_HIT;
    req->cache_keeps = false;
    req->cache_age_s = age_ms < 0 ? 0 : (uint64_t)age_ms / 1000; /* the clock may be set back */
    return true;
}

static void count(const struct req *req)
{
    struct metrics *m = &req->w->metrics;

    metrics_add(req->cache == REQ_CACHE_HIT    ? &m->cache_hits
                : req->cache == REQ_CACHE_MISS ? &m->cache_misses
                                               : &m->cache_bypassed,
                1);
}

/* Redis has answered, or is too slow: what it has goes into the table, which hands it out like its own. */
static void on_found(void *ctx, const struct cache_answer *answer)
{
    struct req *req = ctx;
    int64_t now_ms = gw_clock_wall_ms();

    req->cache_question = NULL;
    req->hold++;
    if (answer != NULL) {
        struct cache_answer a = *answer;

        if (a.stored_ms > now_ms) /* by another gateway's clock */
            a.stored_ms = now_ms;
        if (cache_put(req->w->server->cache, req->cache_key, &a) == GW_OK)
            (void)take(req, wishes_of(req).max_age_ms);
    }
    count(req);
    req_advance(req);
    (void)req_unhold(req);
}

static bool ask_redis(struct req *req)
{
    const struct proxy_config *cfg = req->setup->cfg;

    if (!cfg->cache.shared || cfg->redis.host[0] == '\0')
        return false;
    if (req->w->cache_redis == NULL)
        req->w->cache_redis = cache_redis_open(req->w);
    if (req->w->cache_redis != NULL)
        req->cache_question = cache_redis_get(req->w->cache_redis, req->cache_key, on_found, req);
    return req->cache_question != NULL;
}

enum stage_result stage_cache(struct req *req)
{
    struct wishes w;

    if (!req->setup->cfg->cache.enabled)
        return NEXT;
    req->cache = REQ_CACHE_BYPASS;
    w = wishes_of(req);
    if (!w.no_store && may_share(req)) {
        req->cache_target = req->d.choices[0];
        if (make_key(req)) {
            req->cache = w.no_cache ? REQ_CACHE_BYPASS : REQ_CACHE_MISS;
            req->cache_keeps = true;
        }
    }
    if (req->cache == REQ_CACHE_MISS && !take(req, w.max_age_ms) && ask_redis(req))
        return WAIT; /* on_found() goes on */
    count(req);
    return NEXT;
}

/* ---- a hit ---------------------------------------------------------------------------------------- */

void req_cache_replay(struct req *req)
{
    const struct cache_answer *a = cache_answer_of(req->cached);
    const struct http1_field type = {GW_SPAN("Content-Type"), a->type};
    bool stream = gw_span_starts(a->type, GW_SPAN("text/event-stream"));
    enum gw_status st;

    req->hold++;
    req->target = req->cache_target;
    req->zone = req->setup->cfg->targets[req->target].zone;
    req->out_model = req_model_for(req, req->target);
    req->status = 200;
    req->first_byte_ns = gw_clock_ns();
    req_price(req);
    limits_sent(req);
    st = respond_begin(req, 200, &type, 1, stream ? -1 : (int64_t)a->body.len);
    if (st == GW_OK)
        st = respond_data(req, a->body);
    if (st == GW_OK)
        st = respond_end(req);
    if (st != GW_OK) {
        req_answer_failed(req, st);
    } else {
        conn_answer_end(req->conn);
        req_finish(req, AUDIT_END_COMPLETE);
    }
    (void)req_unhold(req);
}

void req_cache_free(struct req *req)
{
    cache_redis_forget(req->cache_question);
    req->cache_question = NULL;
    cache_drop(req->cached);
    req->cached = NULL;
}

void req_cache_fields(const struct req *req, struct gw_buf *out)
{
    char money[ROUTER_MONEY_BYTES];

    if (req->cache == REQ_CACHE_OFF)
        return;
    gw_buf_printf(out, "x-sluice-cache: %s\r\n", req_cache_name(req->cache));
    if (req->cache != REQ_CACHE_HIT)
        return;
    gw_buf_printf(out, "Age: %llu\r\n", (unsigned long long)req->cache_age_s);
    if (!req->has_saved)
        return;
    router_money_print(req->saved_nano, money);
    gw_buf_printf(out, "x-sluice-cost: 0 %s\r\nx-sluice-cost-saved: %s %s\r\n",
                  req->setup->cfg->prices.currency, money, req->setup->cfg->prices.currency);
}

/* ---- keeping -------------------------------------------------------------------------------------- */

/* Whole, right, and shown as the model gave it: nothing was found in it, nothing put back, nothing cut off. */
static bool is_worth_keeping(const struct req *req)
{
    return req->cache_keeps && req->end == AUDIT_END_COMPLETE && req->status == 200 &&
           req->target == req->cache_target && !req->edited && req->n_answer_findings == 0 &&
           req->n_restored == 0 && !req->client_gone &&
           (req->ep.kind != ENDPOINT_CHAT || req->finish_reason.len != 0);
}

void req_cache_keep(struct req *req)
{
    const struct proxy_config *cfg = req->setup->cfg;
    const struct router_usage *u = &req->usage;
    struct cache_answer a = {
        .tokens = {u->prompt, u->cached, u->cache_write, u->completion, u->reasoning},
        .stored_ms = gw_clock_wall_ms(),
    };

    cache_redis_forget(req->cache_question); /* the request ended while it waited */
    req->cache_question = NULL;
    if (!is_worth_keeping(req) || !respond_copy(req, &a.type, &a.body) ||
        a.body.len > cfg->cache.max_entry)
        return;
    (void)cache_put(req->w->server->cache, req->cache_key, &a); /* or it is asked for again */
    if (cfg->cache.shared && req->w->cache_redis != NULL)
        cache_redis_put(req->w->cache_redis, req->cache_key, &a, cfg->cache.ttl_ms);
}
