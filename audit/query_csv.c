/* audit/query_csv.c - see query.h. One table for all kinds of records; what a kind does not have stays empty. */
#include <string.h>

#include "audit/event_read.h"
#include "audit/query.h"
#include "base/clock.h"

enum { VALUE_BYTES = 4096 };

enum form { TEXT, NUMBER, TOKENS, MONEY, TRUTH };

struct column {
    const char *name;
    const char *key; /* as event_str() takes it */
    enum form form;
};

/* time comes first, and is the frame's. */
static const struct column columns[] = {
    {"record", "event_code", TEXT},
    {"uid", "metadata.uid", TEXT},
    {"sequence", "sequence", NUMBER},
    {"gateway", "log_provider", TEXT},
    {"request", "correlation_uid", TEXT},
    {"tenant", "tenant_uid", TEXT},
    {"user", "user.uid", TEXT},
    {"team", "sluice.team", TEXT},
    {"address", "src_endpoint.ip", TEXT},
    {"operation", "api.operation", TEXT},
    {"model", "sluice.model", TEXT},
    {"target", "sluice.target", TEXT},
    {"target_model", "sluice.target_model", TEXT},
    {"zone", "sluice.zone", TEXT},
    {"action", "sluice.action", TEXT},
    {"blocked", "sluice.blocked", TRUTH},
    {"policy", "policy.name", TEXT},
    {"sensitivity", "sluice.sensitivity", TEXT},
    {"findings", "sluice.findings", NUMBER},
    {"rule", "sluice.rule", TEXT},
    {"class", "sluice.class", TEXT},
    {"severity", "sluice.severity", TEXT},
    {"confidence", "confidence_score", NUMBER},
    {"where", "sluice.where", TEXT},
    {"end", "sluice.end", TEXT},
    {"status", "status_code", TEXT},
    {"prompt_tokens", "prompt_tokens", TOKENS},
    {"completion_tokens", "completion_tokens", TOKENS},
    {"cost", "cost", MONEY},
    {"cost_alternative", "cost_alternative", MONEY},
    {"currency", "sluice.currency", TEXT},
    {"duration_ms", "duration", NUMBER},
};

void query_csv_head(struct gw_buf *out)
{
    gw_buf_adds(out, "time");
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        gw_buf_addc(out, ',');
        gw_buf_adds(out, columns[i].name);
    }
    gw_buf_adds(out, "\r\n");
}

/* CWE-1236: names come from clients, and auditors open tables in spreadsheets. */
static bool is_formula(struct gw_span v)
{
    return v.len != 0 && v.ptr[0] != '\0' && strchr("=+-@\t\r", v.ptr[0]) != NULL;
}

static void put_text(struct gw_buf *out, struct gw_span v)
{
    bool quoted = false;

    for (size_t i = 0; i < v.len; i++)
        quoted = quoted || (v.ptr[i] != '\0' && strchr("\",\r\n", v.ptr[i]) != NULL);
    if (quoted)
        gw_buf_addc(out, '"');
    if (is_formula(v))
        gw_buf_addc(out, '\'');
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] == '"')
            gw_buf_addc(out, '"');
        gw_buf_addc(out, v.ptr[i]);
    }
    if (quoted)
        gw_buf_addc(out, '"');
}

static void put(struct gw_buf *out, struct gw_span json, const struct column *c)
{
    char bytes[VALUE_BYTES];
    uint64_t n;

    if (c->form == TOKENS)
        json = event_tokens_of(json);
    else if (c->form == MONEY)
        json = event_costs_of(json);
    switch (c->form) {
    case TEXT:
        put_text(out, event_str(json, c->key, bytes, sizeof(bytes)));
        return;
    case NUMBER:
    case TOKENS:
        if (event_num(json, c->key, &n))
            gw_buf_addu(out, n);
        return;
    case MONEY:
        if (event_nano(json, c->key, &n))
            gw_buf_printf(out, "%llu.%09llu", (unsigned long long)(n / 1000000000),
                          (unsigned long long)(n % 1000000000));
        return;
    case TRUTH:
        if (event_true(json, c->key))
            gw_buf_adds(out, "true");
        return;
    }
}

void query_csv_row(const struct spool_rec *rec, struct gw_buf *out)
{
    char when[GW_RFC3339_BYTES];

    gw_clock_rfc3339(rec->time_ms, when);
    gw_buf_adds(out, when);
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        gw_buf_addc(out, ',');
        put(out, rec->payload, &columns[i]);
    }
    gw_buf_adds(out, "\r\n");
}
