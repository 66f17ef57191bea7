/* dlp/scan_count.c - what depends on how many different values of a rule a request holds. Thread: the scanner's. */
#include <stdlib.h>
#include <string.h>

#include "dlp/doc.h"
#include "dlp/scan.h"

/* One finding of a rule that counts. */
struct item {
    struct gw_span value;
    uint32_t rule, finding;
};

static int by_value(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    if (x->rule != y->rule)
        return x->rule < y->rule ? -1 : 1;
    if (x->value.len != y->value.len)
        return x->value.len < y->value.len ? -1 : 1;
    return memcmp(x->value.ptr, y->value.ptr, x->value.len);
}

/* What n different values change in a finding's confidence. */
static int step_of(const struct bundle_rule *r, uint32_t n)
{
    int boost = 0;

    for (uint32_t i = 0; i < r->n_steps && r->steps[i].count <= n; i++)
        boost = r->steps[i].boost;
    return boost;
}

/* Judges the findings items[0..n) of one rule again; those that are none get the confidence 0. */
static void settle(struct dlp_finding *found, const struct bundle_rule *r, const struct item *items,
                   unsigned n, unsigned report_from)
{
    uint32_t different = 1;
    int boost;

    for (unsigned i = 1; i < n; i++)
        different += by_value(&items[i - 1], &items[i]) != 0;
    boost = step_of(r, different);
    for (unsigned i = 0; i < n; i++) {
        struct dlp_finding *f = &found[items[i].finding];
        int sum = f->confidence + boost;

        sum = sum < 0 ? 0 : (sum > 100 ? 100 : sum);
        if (different < r->min_count || different > r->max_count || (unsigned)sum < report_from)
            sum = 0;
        f->confidence = (uint8_t)sum;
    }
}

enum gw_status scan_count(struct dlp_scanner *s, const struct dlp_rules *rules,
                          const struct dlp_doc *doc, struct gw_span text, unsigned report_from)
{
    struct item *items = NULL;
    struct dlp_leaf leaf = {.text = text};
    unsigned n = 0, kept = 0;

    if (!rules->has_counts || s->n_found == 0)
        return GW_OK;
    items = calloc(s->n_found, sizeof(*items));
    if (items == NULL)
        return GW_ENOMEM;
    for (unsigned i = 0; i < s->n_found; i++) {
        const struct dlp_finding *f = &s->found[i];

        if (!bundle_counts(&rules->b->rules[f->rule]))
            continue;
        if (doc != NULL && !dlp_doc_leaf_at(doc, f->leaf, &leaf)) {
            free(items);
            return GW_ENOMEM;
        }
        items[n++] = (struct item){{leaf.text.ptr + f->start, f->end - f->start}, f->rule, i};
    }
    if (n > 1)
        qsort(items, n, sizeof(*items), by_value);
    for (unsigned i = 0, same = 0; i < n; i += same) {
        for (same = 1; i + same < n && items[i + same].rule == items[i].rule;)
            same++;
        settle(s->found, &rules->b->rules[items[i].rule], items + i, same, report_from);
    }
    free(items);
    for (unsigned i = 0; i < s->n_found; i++)
        if (s->found[i].confidence > 0)
            s->found[kept++] = s->found[i];
    s->n_found = kept;
    return GW_OK;
}
