/* proxy/limits/limits_answer.c - what clients are told of their budgets: refusals, and the fields of every answer. Worker's
 * thread.
 *
 * One number of each kind is told, of the budget with the least left. Where the target's own answer says that less is left
 * of its limit, its fields stay: the client has to heed the tighter one. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/http/fields.h"
#include "proxy/limits/limits_private.h"
#include "proxy/net/worker.h"

enum {
    BUSY_RETRY_S = 1, /* a request that runs may end any time */
    UNAVAILABLE_RETRY_S = 2,
    HOPELESS_S = 60, /* SDKs that wait longer than this by themselves only waste it */
};

/* ---- refusals --------------------------------------------------------------------------- */

void limits_count_refusal(struct limits *l, const char *name)
{
    struct limits_name *found = NULL;

    (void)pthread_mutex_lock(&l->lock);
    for (unsigned i = 0; i < l->n_names && found == NULL; i++)
        if (strcmp(l->names[i].name, name) == 0)
            found = &l->names[i];
    if (found == NULL && l->n_names < LIMITS_MAX_NAMES) {
        found = &l->names[l->n_names++];
        (void)snprintf(found->name, sizeof(found->name), "%s", name);
    }
    (void)pthread_mutex_unlock(&l->lock);
    if (found != NULL)
        atomic_fetch_add(&found->refused, 1);
}

const char *limits_refused_by(const struct req *req)
{
    const struct limits_req *lr = req->limits;

    return lr == NULL || lr->refused == NULL || (lr->answer_of == GW_OK && !lr->exhausted)
               ? NULL
               : lr->refused->name;
}

/* Seconds until the window that has no room ends, at least one. */
static int seconds_left(const struct limits_req *lr)
{
    int64_t ms = lr->refused_end_ms - gw_clock_wall_ms();

    if (lr->refused_kind == ROUTER_BUDGET_CONCURRENCY || ms <= 1000)
        return BUSY_RETRY_S;
    return (int)((ms + 999) / 1000);
}

/* "600 requests", "50.00 USD". */
static void amount_text(const struct req *req, enum router_budget_kind kind, uint64_t n, char *out,
                        size_t size)
{
    char money[ROUTER_MONEY_BYTES];

    if (kind == ROUTER_BUDGET_COST) {
        router_money_print(n, money);
        (void)snprintf(out, size, "%s %s", money,
                       router_prices_currency(req->setup->cfg->prices.table));
    } else {
        (void)snprintf(out, size, "%llu %s", (unsigned long long)n,
                       kind == ROUTER_BUDGET_TOKENS     ? "tokens"
                       : kind == ROUTER_BUDGET_REQUESTS ? "requests"
                                                        : "requests at once");
    }
}

static void describe(const struct req *req, char *out, size_t size)
{
    const struct limits_req *lr = req->limits;
    const struct router_budget *b = lr->refused;
    char limit[64], need[64], left[64];

    amount_text(req, lr->refused_kind, b->limits[lr->refused_kind].amount, limit, sizeof(limit));
    amount_text(req, lr->refused_kind, lr->need, need, sizeof(need));
    amount_text(req, lr->refused_kind, lr->left, left, sizeof(left));
    if (lr->refused_kind == ROUTER_BUDGET_REQUESTS || lr->refused_kind == ROUTER_BUDGET_CONCURRENCY)
        (void)snprintf(out, size, "The budget %s allows %s, and all are taken", b->name, limit);
    else
        (void)snprintf(out, size,
                       "The budget %s allows %s; this request may need %s and %s are left", b->name,
                       limit, need, left);
}

void limits_failure(const struct req *req, struct api_failure *out)
{
    bool money = req->limits != NULL && req->limits->refused_kind == ROUTER_BUDGET_COST;

    *out = (struct api_failure){
        .status = 429,
        .type = money ? "insufficient_quota"
                : req->limits != NULL && req->limits->refused_kind == ROUTER_BUDGET_TOKENS
                    ? "tokens"
                    : "requests",
        .code = money ? "insufficient_quota" : "rate_limit_exceeded",
        .message = "The budget has no more for this answer.",
    };
}

static void refuse_denied(struct req *req)
{
    const struct limits_req *lr = req->limits;
    int seconds = seconds_left(lr);
    struct api_failure f;
    char text[320];

    limits_failure(req, &f);
    describe(req, text, sizeof(text));
    limits_count_refusal(limits_of(req->w), lr->refused->name);
    if (lr->refused_kind == ROUTER_BUDGET_CONCURRENCY)
        req_refuse(req, 429, f.type, f.code, seconds, AUDIT_END_REFUSED, "%s.", text);
    else
        req_refuse(req, 429, f.type, f.code, seconds, AUDIT_END_REFUSED,
                   "%s. It begins anew in %d s.", text, seconds);
}

void limits_refuse(struct req *req, enum gw_status st)
{
    if (st == GW_EDENIED && req->limits != NULL && req->limits->refused != NULL) {
        refuse_denied(req);
        return;
    }
    if (st == GW_ENOENT) {
        req_refuse(req, 503, "server_error", "price_unknown", 0, AUDIT_END_REFUSED,
                   "A budget counts money, and the price of this model is not known: the "
                   "gateway's operators add it to `prices`, or set accounting.unknown_price.");
        return;
    }
    atomic_fetch_add(&limits_of(req->w)->unavailable, 1);
    req_refuse(req, 503, "server_error", "limits_unavailable", UNAVAILABLE_RETRY_S,
               AUDIT_END_REFUSED,
               "Budgets cannot be counted at the moment, so the request was not sent.");
}

/* ---- fields ----------------------------------------------------------------------------- */

/* The hold of that kind with the least left, or NULL. */
static const struct limits_hold *tightest(const struct limits_req *lr, enum router_budget_kind kind)
{
    const struct limits_hold *best = NULL;

    for (unsigned i = 0; i < lr->n; i++)
        if (lr->holds[i].kind == kind && (best == NULL || lr->holds[i].left < best->left))
            best = &lr->holds[i];
    return best;
}

static const char *const kind_words[] = {"requests", "tokens"};

/* A target's "x-ratelimit-remaining-requests" or "anthropic-ratelimit-requests-remaining". */
static bool is_field_of(struct gw_span name, unsigned kind, const char *part, bool anthropic)
{
    char want[64];

    if (anthropic)
        (void)snprintf(want, sizeof(want), "anthropic-ratelimit-%s-%s", kind_words[kind], part);
    else
        (void)snprintf(want, sizeof(want), "x-ratelimit-%s-%s", part, kind_words[kind]);
    return gw_span_eq_nocase(name, gw_span_str(want));
}

static bool read_count(struct gw_span text, uint64_t *out)
{
    uint64_t n = 0;

    if (text.len == 0 || text.len > 15)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *out = n;
    return true;
}

void limits_compare(const struct req *req, const struct http1_field *fields, unsigned n)
{
    struct limits_req *lr = req->limits;
    bool anthropic = req->ep.dialect == API_ANTHROPIC;

    if (lr == NULL)
        return;
    lr->theirs = 0;
    for (unsigned kind = 0; kind < 2; kind++) {
        const struct limits_hold *ours = tightest(lr, (enum router_budget_kind)kind);
        uint64_t left;

        for (unsigned i = 0; i < n && ours != NULL; i++)
            if (is_field_of(fields[i].name, kind, "remaining", anthropic) &&
                read_count(fields[i].value, &left) && left < ours->left)
                lr->theirs |= (uint8_t)(1u << kind);
    }
}

bool limits_replaces(const struct req *req, struct gw_span name)
{
    static const char *const parts[] = {"limit", "remaining", "reset"};
    const struct limits_req *lr = req->limits;

    if (lr == NULL || name.len < 18)
        return false;
    for (unsigned kind = 0; kind < 2; kind++) {
        if ((lr->theirs & 1u << kind) != 0 || tightest(lr, (enum router_budget_kind)kind) == NULL)
            continue;
        for (unsigned p = 0; p < 3; p++)
            if (is_field_of(name, kind, parts[p], req->ep.dialect == API_ANTHROPIC))
                return true;
    }
    return false;
}

/* As OpenAI says it: "1h2m3s", "250ms". */
static void duration_text(int64_t ms, char *out, size_t size)
{
    long long s = ms / 1000;

    if (ms < 1000)
        (void)snprintf(out, size, "%lldms", (long long)(ms < 0 ? 0 : ms));
    else if (s < 60)
        (void)snprintf(out, size, "%llds", s);
    else if (s < 3600)
        (void)snprintf(out, size, "%lldm%llds", s / 60, s % 60);
    else
        (void)snprintf(out, size, "%lldh%lldm%llds", s / 3600, s / 60 % 60, s % 60);
}

static void add_kind(const struct req *req, const struct limits_hold *h, struct gw_buf *out)
{
    const char *word = kind_words[h->kind];
    char reset[GW_RFC3339_BYTES > 40 ? GW_RFC3339_BYTES : 40];

    if (req->ep.dialect == API_ANTHROPIC) {
        gw_clock_rfc3339(h->end_ms, reset);
        gw_buf_printf(out,
                      "anthropic-ratelimit-%s-limit: %llu\r\n"
                      "anthropic-ratelimit-%s-remaining: %llu\r\n"
                      "anthropic-ratelimit-%s-reset: %s\r\n",
                      word, (unsigned long long)h->limit, word, (unsigned long long)h->left, word,
                      reset);
        return;
    }
    duration_text(h->end_ms - gw_clock_wall_ms(), reset, sizeof(reset));
    gw_buf_printf(out,
                  "x-ratelimit-limit-%s: %llu\r\nx-ratelimit-remaining-%s: %llu\r\n"
                  "x-ratelimit-reset-%s: %s\r\n",
                  word, (unsigned long long)h->limit, word, (unsigned long long)h->left, word,
                  reset);
}

void limits_add_fields(const struct req *req, struct gw_buf *out)
{
    const struct limits_req *lr = req->limits;

    if (lr == NULL)
        return;
    for (unsigned kind = 0; kind < 2; kind++) {
        const struct limits_hold *h = tightest(lr, (enum router_budget_kind)kind);

        if (h != NULL && (lr->theirs & 1u << kind) == 0)
            add_kind(req, h, out);
    }
    if (lr->refused == NULL || lr->answer_of != GW_EDENIED)
        return;
    field_add(out, GW_SPAN("x-sluice-budget"), gw_span_str(lr->refused->name));
    if (lr->refused_kind < ROUTER_BUDGET_COST) {
        const struct limits_hold h = {.kind = lr->refused_kind,
                                      .limit = lr->refused->limits[lr->refused_kind].amount,
                                      .left = lr->left,
                                      .end_ms = lr->refused_end_ms};

        if (tightest(lr, lr->refused_kind) == NULL)
            add_kind(req, &h, out);
    }
    if (seconds_left(lr) > HOPELESS_S)
        gw_buf_adds(out, "x-should-retry: false\r\n");
}

/* ---- metrics ---------------------------------------------------------------------------- */

static void put(struct gw_buf *out, const char *name, const char *type, const char *help,
                uint64_t v)
{
    gw_buf_printf(out, "# HELP sluice_%s %s\n# TYPE sluice_%s %s\nsluice_%s %llu\n", name, help,
                  name, type, name, (unsigned long long)v);
}

void limits_metrics(struct limits *l, struct gw_buf *out)
{
    struct ledger_stats st;
    int64_t up;

    if (l == NULL)
        return;
    up = atomic_load(&l->redis_up);
    gw_buf_adds(out, "# HELP sluice_budget_refused_total Requests refused, by budget.\n"
                     "# TYPE sluice_budget_refused_total counter\n");
    (void)pthread_mutex_lock(&l->lock);
    for (unsigned i = 0; i < l->n_names; i++)
        gw_buf_printf(out, "sluice_budget_refused_total{budget=\"%s\"} %llu\n", l->names[i].name,
                      (unsigned long long)atomic_load(&l->names[i].refused));
    (void)pthread_mutex_unlock(&l->lock);
    ledger_stats(l->ledger, &st);
    put(out, "budget_counters", "gauge", "Counters of budgets in memory.", st.n);
    put(out, "budget_write_failures_total", "counter", "Times limits.db could not be written.",
        st.failures);
    put(out, "budget_counters_full_total", "counter", "Counters refused: too many.", st.full);
    put(out, "budget_unavailable_total", "counter", "Requests refused: nothing could count them.",
        atomic_load(&l->unavailable));
    put(out, "budget_cut_total", "counter", "Streams ended: the budget had no more.",
        atomic_load(&l->cut));
    put(out, "budget_overshoot_tokens_total", "counter",
        "Tokens used beyond what was reserved for them.", atomic_load(&l->overshoot_tokens));
    put(out, "limits_redis_up", "gauge", "Workers connected to Redis.", up < 0 ? 0 : (uint64_t)up);
    put(out, "limits_redis_connects_total", "counter", "Connections to Redis made.",
        atomic_load(&l->redis_connects));
    put(out, "limits_redis_errors_total", "counter", "Connections to Redis lost or refused.",
        atomic_load(&l->redis_errors));
}
