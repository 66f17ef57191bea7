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

/* What a field of limits says: of requests or tokens, and which number of theirs. */
enum field_part { PART_LIMIT, PART_REMAINING, PART_RESET, PARTS };

static const char *const part_words[PARTS] = {"limit", "remaining", "reset"};

/* Which of the words it is; n when it is none. */
static unsigned word_of(struct gw_span text, const char *const *words, unsigned n)
{
    unsigned i = 0;

    while (i < n && !gw_span_eq_nocase(text, gw_span_str(words[i])))
        i++;
    return i;
}

/* A target's "x-ratelimit-remaining-requests" or "anthropic-ratelimit-requests-remaining". Every field of an answer is asked. */
static bool read_name(struct gw_span name, bool anthropic, unsigned *kind, unsigned *part)
{
    struct gw_span prefix = anthropic ? GW_SPAN("anthropic-ratelimit-") : GW_SPAN("x-ratelimit-");
    struct gw_span first, second;
    const char *dash;

    if (name.len <= prefix.len ||
        !gw_span_eq_nocase((struct gw_span){name.ptr, prefix.len}, prefix))
        return false;
    name = gw_span_from(name, prefix.len);
    dash = memchr(name.ptr, '-', name.len);
    if (dash == NULL)
        return false;
    first = (struct gw_span){name.ptr, (size_t)(dash - name.ptr)};
    second = gw_span_from(name, first.len + 1);
    *kind = word_of(anthropic ? first : second, kind_words, 2);
    *part = word_of(anthropic ? second : first, part_words, PARTS);
    return *kind < 2 && *part < PARTS;
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
    for (unsigned i = 0; i < n; i++) {
        const struct limits_hold *ours;
        unsigned kind, part;
        uint64_t left;

        if (!read_name(fields[i].name, anthropic, &kind, &part) || part != PART_REMAINING ||
            !read_count(fields[i].value, &left))
            continue;
        ours = tightest(lr, (enum router_budget_kind)kind);
        if (ours != NULL && left < ours->left)
            lr->theirs |= (uint8_t)(1u << kind);
    }
}

bool limits_replaces(const struct req *req, struct gw_span name)
{
    const struct limits_req *lr = req->limits;
    unsigned kind, part;

    return lr != NULL && read_name(name, req->ep.dialect == API_ANTHROPIC, &kind, &part) &&
           (lr->theirs & 1u << kind) == 0 && tightest(lr, (enum router_budget_kind)kind) != NULL;
}

/* As OpenAI says it: "1h2m3s", "250ms". */
static void add_duration(int64_t ms, struct gw_buf *out)
{
    uint64_t s = ms < 0 ? 0 : (uint64_t)ms / 1000;

    if (ms < 1000) {
        gw_buf_addu(out, ms < 0 ? 0 : (uint64_t)ms);
        gw_buf_adds(out, "ms");
        return;
    }
    if (s >= 3600) {
        gw_buf_addu(out, s / 3600);
        gw_buf_addc(out, 'h');
    }
    if (s >= 60) {
        gw_buf_addu(out, s / 60 % 60);
        gw_buf_addc(out, 'm');
    }
    gw_buf_addu(out, s % 60);
    gw_buf_addc(out, 's');
}

/* What stands before the numbers of a kind: the end of the line before and the field's name. One copy each: this is part
 * of every answer. */
#define FIELD(name)                                                                                \
    {                                                                                              \
        "\r\n" name ": ", sizeof("\r\n" name ": ") - 1                                             \
    }
static const struct gw_span openai_fields[2][PARTS] = {
    {FIELD("x-ratelimit-limit-requests"), FIELD("x-ratelimit-remaining-requests"),
     FIELD("x-ratelimit-reset-requests")},
    {FIELD("x-ratelimit-limit-tokens"), FIELD("x-ratelimit-remaining-tokens"),
     FIELD("x-ratelimit-reset-tokens")},
};
static const struct gw_span anthropic_fields[2][PARTS] = {
    {FIELD("anthropic-ratelimit-requests-limit"), FIELD("anthropic-ratelimit-requests-remaining"),
     FIELD("anthropic-ratelimit-requests-reset")},
    {FIELD("anthropic-ratelimit-tokens-limit"), FIELD("anthropic-ratelimit-tokens-remaining"),
     FIELD("anthropic-ratelimit-tokens-reset")},
};
#undef FIELD

static void add_kind(const struct req *req, const struct limits_hold *h, int64_t now_ms,
                     struct gw_buf *out)
{
    bool anthropic = req->ep.dialect == API_ANTHROPIC;
    const struct gw_span *names = anthropic ? anthropic_fields[h->kind] : openai_fields[h->kind];
    char reset[GW_RFC3339_BYTES];

    gw_buf_add(out, gw_span_from(names[PART_LIMIT], 2)); /* fields end with their own line */
    gw_buf_addu(out, h->limit);
    gw_buf_add(out, names[PART_REMAINING]);
    gw_buf_addu(out, h->left);
    gw_buf_add(out, names[PART_RESET]);
    if (anthropic) {
        gw_clock_rfc3339(h->end_ms, reset);
        gw_buf_adds(out, reset);
    } else {
        add_duration(h->end_ms - now_ms, out);
    }
    gw_buf_adds(out, "\r\n");
}

void limits_add_fields(const struct req *req, struct gw_buf *out)
{
    const struct limits_req *lr = req->limits;
    int64_t now_ms;

    if (lr == NULL)
        return;
    now_ms = gw_clock_wall_ms();
    for (unsigned kind = 0; kind < 2; kind++) {
        const struct limits_hold *h = tightest(lr, (enum router_budget_kind)kind);

        if (h != NULL && (lr->theirs & 1u << kind) == 0)
            add_kind(req, h, now_ms, out);
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
            add_kind(req, &h, now_ms, out);
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
