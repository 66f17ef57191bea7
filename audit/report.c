/* audit/report.c - `sluice audit report`: reads the ledger once and adds up. Findings, the decision and the end of a request are
 * records of their own, so what is known of a request waits in a table until its end comes. Thread: the caller's. */
#include "audit/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "audit/event_read.h"
#include "audit/records.h"
#include "base/clock.h"

/* A request without its end. */
struct pending {
    uint32_t classes; /* of findings in what was asked, a bit each */
    bool answered;    /* there were some in the answer */
    bool inside, outside, blocked, edited;
    size_t next_free;
};

struct collecting {
    const struct audit_report *r;
    struct report_data *d;
    struct openset ids, keys; /* request -> pending + 1; key of a row -> row + 1 */
    struct pending *pending;
    size_t n_pending, cap_pending, free; /* free: index + 1 of the first free one */
    struct gw_err *err;
};

static enum gw_status no_memory(struct collecting *c)
{
    return gw_fail(c->err, GW_ENOMEM, "audit report: out of memory: name a shorter time");
}

static bool grow(void **items, size_t *cap, size_t n, size_t size)
{
    size_t more = *cap == 0 ? 256 : *cap * 2;
    void *p;

    if (n < *cap)
        return true;
    p = realloc(*items, more * size);
    if (p == NULL)
        return false;
    *items = p;
    *cap = more;
    return true;
}

/* ---- requests that are open ------------------------------------------------------------------- */

static struct pending *pending_of(struct collecting *c, struct gw_span id)
{
    struct openset_entry *e = openset_find(&c->ids, id);
    uint64_t index;

    if (e != NULL)
        return &c->pending[e->segno - 1];
    if (c->free == 0) {
        if (!grow((void **)&c->pending, &c->cap_pending, c->n_pending, sizeof(*c->pending)))
            return NULL;
        c->n_pending++;
        c->pending[c->n_pending - 1].next_free = 0;
        c->free = c->n_pending;
    }
    index = c->free;
    if (!openset_add(&c->ids, id, &index, 0))
        return NULL;
    c->free = c->pending[index - 1].next_free;
    c->pending[index - 1] = (struct pending){0};
    return &c->pending[index - 1];
}

static void forget(struct collecting *c, struct gw_span id)
{
    uint64_t index;

    if (!openset_remove(&c->ids, id, &index))
        return;
    c->pending[index - 1].next_free = c->free;
    c->free = (size_t)index;
}

static enum gw_status on_finding(struct collecting *c, struct gw_span id, struct gw_span json)
{
    struct pending *p = pending_of(c, id);
    char bytes[32];
    enum gw_class k;

    if (p == NULL)
        return no_memory(c);
    if (gw_span_is(event_str(json, "sluice.where", bytes, sizeof(bytes)), "answer"))
        p->answered = true;
    else if (gw_class_parse(event_str(json, "sluice.class", bytes, sizeof(bytes)), &k))
        p->classes |= 1U << k;
    return GW_OK;
}

static enum gw_status on_decided(struct collecting *c, struct gw_span id, struct gw_span json)
{
    struct pending *p = pending_of(c, id);
    char bytes[32];
    struct gw_span zone, action;
    enum gw_action a = GW_ACTION_ALLOW;

    if (p == NULL)
        return no_memory(c);
    zone = event_str(json, "sluice.zone", bytes, sizeof(bytes));
    p->inside = gw_span_is(zone, "process") || gw_span_is(zone, "private");
    p->outside = gw_span_is(zone, "approved");
    p->blocked = event_true(json, "sluice.blocked");
    action = event_str(json, "sluice.action", bytes, sizeof(bytes));
    (void)gw_action_parse(action, &a);
    p->edited = p->outside && a >= GW_ACTION_MASK && a <= GW_ACTION_REDACT;
    return GW_OK;
}

/* ---- rows ------------------------------------------------------------------------------- */

static void copy(char *out, size_t cap, struct gw_span v, const char *none)
{
    (void)snprintf(out, cap, "%.*s", v.len == 0 ? (int)strlen(none) : (int)v.len,
                   v.len == 0 ? none : v.ptr);
}

/* The row of that name, made when there is none; NULL: out of memory. */
static struct report_row *find_row(struct collecting *c, const struct report_row *like,
                                   bool by_currency)
{
    char text[3 * REPORT_NAME_BYTES];
    int n = snprintf(text, sizeof(text), "%s\n%s\n%s\n%s", like->day, like->team, like->user,
                     by_currency ? like->currency : "");
    const struct gw_span key = {text, (size_t)n};
    const struct openset_entry *e = openset_find(&c->keys, key);
    uint64_t index = c->d->n_rows + 1;

    if (e != NULL)
        return &c->d->rows[e->segno - 1];
    if (!grow((void **)&c->d->rows, &c->d->cap_rows, c->d->n_rows, sizeof(*like)) ||
        !openset_add(&c->keys, key, &index, 0))
        return NULL;
    c->d->rows[c->d->n_rows] = *like;
    return &c->d->rows[c->d->n_rows++];
}

/* The row that a completed record belongs to, or NULL: out of memory. A second currency has a row of its own. */
static struct report_sums *row_of(struct collecting *c, const struct spool_rec *rec)
{
    struct report_row like = {0}, *row;
    char bytes[512], when[GW_RFC3339_BYTES];

    gw_clock_rfc3339(rec->time_ms, when);
    copy(like.day, sizeof(like.day), (struct gw_span){when, 10}, "");
    copy(like.user, sizeof(like.user), event_str(rec->payload, "user.uid", bytes, sizeof(bytes)),
         "unknown");
    copy(like.team, sizeof(like.team), event_str(rec->payload, "sluice.team", bytes, sizeof(bytes)),
         "-");
    copy(like.currency, sizeof(like.currency),
         event_str(rec->payload, "sluice.currency", bytes, sizeof(bytes)), "");
    row = find_row(c, &like, false);
    if (row != NULL && row->currency[0] == '\0')
        memcpy(row->currency, like.currency, sizeof(row->currency));
    else if (row != NULL && like.currency[0] != '\0' && strcmp(row->currency, like.currency) != 0)
        row = find_row(c, &like, true);
    return row == NULL ? NULL : &row->sums;
}

static void add_ending(struct report_sums *s, struct gw_span json, const struct pending *p)
{
    char bytes[32];
    struct gw_span end = event_str(json, "sluice.end", bytes, sizeof(bytes));

    s->requests++;
    if (gw_span_is(end, "blocked") || p->blocked)
        s->blocked++;
    else if (gw_span_is(end, "refused"))
        s->refused++;
    else if (!gw_span_is(end, "complete") && !gw_span_is(end, "client_abort"))
        s->failed++;
    if (p->blocked)
        return;
    s->inside += p->inside;
    s->outside += p->outside;
    s->edited += p->edited;
}

static void add_findings(struct report_sums *s, const struct pending *p)
{
    s->found_answers += p->answered;
    if (p->classes == 0)
        return;
    s->found++;
    for (unsigned k = 0; k < GW_CLASS_COUNT; k++)
        s->by_class[k] += p->classes >> k & 1;
    if (p->blocked)
        s->found_blocked++;
    else if (p->inside)
        s->found_inside++;
    else if (p->edited)
        s->found_edited++;
    else if (p->outside)
        s->found_left++;
}

static void add_usage(struct report_sums *s, struct gw_span json)
{
    uint64_t n;

    const struct gw_span tokens = event_tokens_of(json), costs = event_costs_of(json);

    if (event_num(tokens, "prompt_tokens", &n))
        s->prompt_tokens += n;
    if (event_num(tokens, "completion_tokens", &n))
        s->completion_tokens += n;
    if (event_nano(costs, "cost", &n))
        s->cost_nano += n;
    if (event_nano(costs, "cost_alternative", &n))
        s->saved_nano += n;
    if (event_nano(costs, "cost_saved", &n))
        s->saved_nano += n;
}

static enum gw_status on_completed(struct collecting *c, struct gw_span id,
                                   const struct spool_rec *rec)
{
    const struct openset_entry *e = openset_find(&c->ids, id);
    struct pending p = {0};
    struct report_sums *s;

    if (e != NULL && c->pending != NULL)
        p = c->pending[e->segno - 1];
    forget(c, id);
    if ((c->r->from_ms != 0 && rec->time_ms < c->r->from_ms) ||
        (c->r->until_ms != 0 && rec->time_ms >= c->r->until_ms))
        return GW_OK;
    s = row_of(c, rec);
    if (s == NULL)
        return no_memory(c);
    add_ending(s, rec->payload, &p);
    add_findings(s, &p);
    add_usage(s, rec->payload);
    if (c->d->first_ms == 0)
        c->d->first_ms = rec->time_ms;
    c->d->last_ms = rec->time_ms;
    return GW_OK;
}

static enum gw_status collect(struct collecting *c, const struct spool_rec *rec)
{
    char id_bytes[EVENT_ID_BYTES], bytes[64];
    struct gw_span id = event_request_id(rec->payload, id_bytes);

    c->d->records++;
    switch (rec->kind) {
    case SPOOL_KIND_FINDING:
        return on_finding(c, id, rec->payload);
    case SPOOL_KIND_DECIDED:
        return on_decided(c, id, rec->payload);
    case SPOOL_KIND_COMPLETED:
        return on_completed(c, id, rec);
    case SPOOL_KIND_LIFECYCLE:
        c->d->gaps +=
            gw_span_is(event_str(rec->payload, "event_code", bytes, sizeof(bytes)), "sluice.gap");
        return GW_OK;
    case SPOOL_KIND_SHADOW:
        break;
    }
    return GW_OK;
}

/* ---- putting rows together ------------------------------------------------------------------------ */

const char *report_name(const struct report_row *row, enum report_by by)
{
    switch (by) {
    case REPORT_BY_DAY:
        return row->day;
    case REPORT_BY_TEAM:
        return row->team;
    case REPORT_BY_USER:
        return row->user;
    case REPORT_BY_CURRENCY:
        break;
    }
    return row->currency;
}

void report_add(struct report_sums *to, const struct report_sums *s)
{
    uint64_t *a = (uint64_t *)to;
    const uint64_t *b = (const uint64_t *)s;

    _Static_assert(sizeof(*to) % sizeof(uint64_t) == 0, "sums are numbers only");
    for (size_t i = 0; i < sizeof(*to) / sizeof(*a); i++)
        a[i] += b[i];
}

static int by_day(const void *a, const void *b)
{
    return strcmp(((const struct report_row *)a)->day, ((const struct report_row *)b)->day);
}

static int by_requests(const void *a, const void *b)
{
    const struct report_row *x = a, *y = b;

    return x->sums.requests < y->sums.requests ? 1 : x->sums.requests > y->sums.requests ? -1 : 0;
}

/* One currency, or "mixed": then the amounts mean nothing, and the table by currency has them. */
static void mix(struct report_row *to, const struct report_row *row)
{
    if (to->currency[0] == '\0')
        memcpy(to->currency, row->currency, sizeof(to->currency));
    else if (row->currency[0] != '\0' && strcmp(to->currency, row->currency) != 0)
        (void)snprintf(to->currency, sizeof(to->currency), "mixed");
}

bool report_group(const struct report_data *d, enum report_by by, struct report_row **out,
                  size_t *n)
{
    struct report_row *rows = calloc(d->n_rows + 1, sizeof(*rows));
    struct openset names = {NULL, 0, 0};
    bool ok = rows != NULL && (d->rows != NULL || d->n_rows == 0);

    *n = 0;
    for (size_t i = 0; i < d->n_rows && ok; i++) {
        const struct gw_span name = gw_span_str(report_name(&d->rows[i], by));
        uint64_t index = *n + 1;

        ok = openset_add(&names, name, &index, 0);
        if (!ok)
            break;
        if (index == *n + 1) {
            rows[*n] = d->rows[i];
            rows[(*n)++].sums = (struct report_sums){0};
        }
        report_add(&rows[index - 1].sums, &d->rows[i].sums);
        mix(&rows[index - 1], &d->rows[i]);
    }
    openset_fini(&names);
    if (!ok) {
        free(rows);
        return false;
    }
    qsort(rows, *n, sizeof(*rows), by == REPORT_BY_DAY ? by_day : by_requests);
    *out = rows;
    return true;
}

void report_put_money(struct gw_buf *out, uint64_t nano, const char *currency)
{
    uint64_t cents = nano / 10000000 + (nano % 10000000 != 0);

    gw_buf_printf(out, "%llu.%02llu%s%s", (unsigned long long)(cents / 100),
                  (unsigned long long)(cents % 100), currency[0] == '\0' ? "" : " ", currency);
}

/* ---- the whole -------------------------------------------------------------------------------- */

static enum gw_status on_record(void *ctx, const struct spool_rec *rec)
{
    return collect(ctx, rec);
}

static enum gw_status read_ledger(struct collecting *c)
{
    enum gw_status st = records_each(c->r->spool_dir, c->r->kafka, 0, on_record, c, c->err);

    c->d->open = c->ids.len;
    return st;
}

enum gw_status audit_report(const struct audit_report *r, FILE *out, struct gw_err *err)
{
    static void (*const write[])(const struct report_data *d, struct gw_buf *out) = {
        [AUDIT_REPORT_MARKDOWN] = report_markdown,
        [AUDIT_REPORT_HTML] = report_html,
        [AUDIT_REPORT_JSON] = report_json,
    };
    struct report_data d = {0};
    struct collecting c = {.r = r, .d = &d, .err = err};
    struct gw_buf text = {0};
    enum gw_status st = read_ledger(&c);

    if (st == GW_OK) {
        write[r->form](&d, &text);
        if (!gw_buf_ok(&text))
            st = gw_fail(err, GW_ENOMEM, "audit report: out of memory");
        else if (fwrite(text.ptr, 1, text.len, out) != text.len || fflush(out) != 0)
            st = gw_fail(err, GW_EIO, "audit report: cannot write the output: %s",
                         strerrordesc_np(errno));
    }
    gw_buf_fini(&text);
    openset_fini(&c.ids);
    openset_fini(&c.keys);
    free(c.pending);
    free(d.rows);
    return st;
}
