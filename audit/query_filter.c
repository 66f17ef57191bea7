/* audit/query_filter.c - see query_filter.h. Cheap questions first: most records of a long ledger are passed over on what their frame
 * says. */
#include "audit/query_filter.h"

#include <stddef.h>
#include <string.h>

#include "audit/event_read.h"
#include "base/glob.h"

enum { VALUE_BYTES = 512 };

/* The bits. */
enum { FROM, UNTIL, RECORD, TEXTS };

/* A condition on a text of the record. */
struct condition {
    size_t at;         /* of the pattern, in struct audit_filter */
    const char *key;   /* as event_str() takes it */
    const char *other; /* or this one, or NULL */
    bool finding;      /* only findings have it */
};

static const struct condition conditions[] = {
    {offsetof(struct audit_filter, request), "correlation_uid", NULL, false},
    {offsetof(struct audit_filter, rule), "sluice.rule", NULL, true},
    {offsetof(struct audit_filter, class_name), "sluice.class", NULL, true},
    {offsetof(struct audit_filter, user), "user.uid", NULL, false},
    {offsetof(struct audit_filter, team), "sluice.team", NULL, false},
    {offsetof(struct audit_filter, action), "sluice.action", NULL, false},
    {offsetof(struct audit_filter, target), "sluice.target", NULL, false},
    {offsetof(struct audit_filter, model), "sluice.model", "sluice.target_model", false},
    {offsetof(struct audit_filter, zone), "sluice.zone", NULL, false},
    {offsetof(struct audit_filter, end), "sluice.end", NULL, false},
};
enum { N_CONDITIONS = sizeof(conditions) / sizeof(conditions[0]) };

static const char *pattern_of(const struct audit_filter *f, const struct condition *c)
{
    return *(const char *const *)(const void *)((const char *)f + c->at);
}

static bool has_value(struct gw_span json, const char *key, const char *pattern)
{
    char bytes[VALUE_BYTES];
    struct gw_span v;

    if (key == NULL)
        return false;
    v = event_str(json, key, bytes, sizeof(bytes));
    return v.len != 0 && gw_glob(gw_span_str(pattern), v);
}

static bool is_kind(const struct spool_rec *rec, const char *word)
{
    static const struct {
        const char *word;
        enum spool_kind kind;
    } kinds[] = {{"decided", SPOOL_KIND_DECIDED},
                 {"completed", SPOOL_KIND_COMPLETED},
                 {"finding", SPOOL_KIND_FINDING},
                 {"shadow", SPOOL_KIND_SHADOW},
                 {"lifecycle", SPOOL_KIND_LIFECYCLE}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(word, kinds[i].word) == 0)
            return rec->kind == kinds[i].kind;
    return has_value(rec->payload, "event_code", word);
}

static bool holds(const struct audit_filter *f, const struct spool_rec *rec, unsigned bit)
{
    const struct condition *c;
    const char *pattern;

    switch (bit) {
    case FROM:
        return rec->time_ms >= f->from_ms;
    case UNTIL:
        return rec->time_ms < f->until_ms;
    case RECORD:
        return is_kind(rec, f->record);
    default:
        c = &conditions[bit - TEXTS];
        pattern = pattern_of(f, c);
        return (!c->finding || rec->kind == SPOOL_KIND_FINDING) &&
               (has_value(rec->payload, c->key, pattern) ||
                has_value(rec->payload, c->other, pattern));
    }
}

uint32_t query_given(const struct audit_filter *f)
{
    uint32_t given = (uint32_t)(f->from_ms != 0) << FROM | (uint32_t)(f->until_ms != 0) << UNTIL |
                     (uint32_t)(f->record != NULL) << RECORD;

    for (unsigned i = 0; i < N_CONDITIONS; i++)
        given |= (uint32_t)(pattern_of(f, &conditions[i]) != NULL) << (TEXTS + i);
    return given;
}

uint32_t query_held(const struct audit_filter *f, const struct spool_rec *rec, bool any)
{
    const uint32_t given = query_given(f);
    uint32_t held = 0;

    for (unsigned bit = 0; bit < TEXTS + N_CONDITIONS; bit++) {
        if ((given >> bit & 1) == 0)
            continue;
        if (holds(f, rec, bit))
            held |= 1U << bit;
        else if (!any)
            break;
    }
    return held;
}
