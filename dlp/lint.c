/* dlp/lint.c - what about a rule works and could be better. One thread; seconds for a thousand rules. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dlp/author.h"
#include "dlp/bundle.h"
#include "dlp/rulec_regex.h"
#include "dlp/scan.h"

enum { ARENA_BYTES = 256 << 20, REPORT_FROM = 40 };

/* Matcher runs a KB of ordinary text from which a rule is called wide: ten such rules would double what a scan costs. */
static const double WIDE_PER_KB = 8.0;

/* What one run shares. */
struct linter {
    struct dlp_rules *rules;
    struct dlp_scanner *scanner;
    struct gw_arena *arena; /* emptied often */
    dlp_lint_fn fn;
    void *ctx;
    unsigned *found;    /* of each rule: examples of the rule at hand in which it finds the same */
    unsigned *stronger; /* of those, where it is surer */
    unsigned *seen_at;  /* of each rule: the example that counted last, plus 1 */
    bool *covers;       /* [i * n + k]: rule k finds the same in all examples of rule i */
    size_t start, end;  /* of the rule's own finding in the example at hand */
    unsigned confidence;
    unsigned rule;
    unsigned example;
    bool no_memory;
    bool own; /* the pass that looks for the rule's own finding */
    bool has_own;
};

static void say(struct linter *l, unsigned rule, const char *check, const char *text)
{
    const struct bundle_rule *r = &l->rules->b->rules[rule];
    unsigned line = r->n_examples > 0 ? r->examples[0].line : 1;

    l->fn(l->ctx, &(struct dlp_lint){
                      .rule = r->id, .file = r->file, .line = line, .check = check, .text = text});
}

/* ---- what is written -------------------------------------------------------------------- */

static void check_written(struct linter *l, unsigned i)
{
    const struct bundle_rule *r = &l->rules->b->rules[i];
    bool has_negative = false;

    for (unsigned k = 0; k < r->n_examples; k++)
        has_negative = has_negative || r->examples[k].should_match == 0;
    if (!has_negative)
        say(l, i, "no-negative",
            "has no no_match example; add the look-alike that it must leave alone");
    if (strcmp(r->title, r->id) == 0 || strcmp(r->title, r->type) == 0)
        say(l, i, "title",
            "its title is its id; say what it finds, for the people who read records");
    if (r->mode == DLP_MODE_OFF)
        say(l, i, "off", "is off; delete it, or set mode: monitor to see what it would find");
}

/* ---- points ----------------------------------------------------------------------------- */

/* The most that a rule's parts can add beside its validators. */
static int most(const struct bundle_rule *r)
{
    int sum = (int)r->confidence, step = 0;

    for (unsigned i = 0; i < r->n_contexts; i++)
        sum += r->contexts[i].boost > 0 ? r->contexts[i].boost : 0;
    for (unsigned i = 0; i < r->n_nears; i++)
        sum += r->nears[i].boost > 0 ? r->nears[i].boost : 0;
    for (unsigned i = 0; i < r->n_steps; i++)
        step = r->steps[i].boost > step ? r->steps[i].boost : step;
    return sum + step;
}

static void check_points(struct linter *l, unsigned i)
{
    const struct bundle_rule *r = &l->rules->b->rules[i];
    bool raises = false, lowers = false;

    for (unsigned k = 0; k < r->n_contexts; k++) {
        const struct bundle_context *c = &r->contexts[k];

        raises = raises || c->boost > 0;
        lowers = lowers || c->boost < 0;
        if (c->boost == 0 && c->required == 0)
            say(l, i, "no-effect", "a context is not required and its boost is 0: it does nothing");
        if (c->before == 0 && c->behind == 0 && c->n_words > 0 && c->n_keys == 0)
            say(l, i, "no-effect",
                "a context looks within 0 bytes: only a JSON key can hold its words");
    }
    for (unsigned k = 0; k < r->n_nears; k++) {
        const struct bundle_near *n = &r->nears[k];

        if (n->boost == 0 && n->required == 0 && n->has_secret == 0)
            say(l, i, "no-effect", "a near is not required and its boost is 0: it does nothing");
    }
    if (raises && !lowers && r->confidence == 100 && r->n_checks == 0)
        say(l, i, "no-effect", "its confidence is 100 already: the context's boost does nothing");
    if (r->n_checks == 0 && most(r) < REPORT_FROM)
        say(l, i, "never",
            "its confidence cannot reach 40, whatever stands around: it never reports");
}

/* ---- patterns --------------------------------------------------------------------------- */

/* True when n begins with a repeat that may be nothing and is not of word characters, in front of the reported part: whether it
 * is there changes nothing that is found. */
static bool begins_idle(const struct rx_node *n)
{
    static const struct bundle_set word = {{0, 0x03ff0000, 0x87fffffe, 0x07fffffe, 0, 0, 0, 0}};

    while (n != NULL && n->kind == RX_CAT)
        n = n->kid;
    if (n == NULL || n->kind != RX_REPEAT || n->min != 0 || n->kid == NULL ||
        n->kid->kind != RX_SET)
        return false;
    for (unsigned i = 0; i < 8; i++)
        if ((n->kid->set.w[i] & ~word.w[i]) != 0)
            return true;
    return false;
}

/* Where a match has to begin a line, or behind other signs than a word does, what it begins with counts. */
static bool begins_anywhere(const struct linter *l, unsigned rule)
{
    for (unsigned i = 0; i < l->rules->b->n_patterns; i++) {
        const struct bundle_pattern *p = &l->rules->b->patterns[i];

        if (p->rule == rule && p->before != RULEC_BOUNDARY_NONE && p->before != RULEC_BOUNDARY_WORD)
            return false;
    }
    return true;
}

static void check_pattern(struct linter *l, unsigned i, struct gw_span text)
{
    struct rx_pattern p = {.root = NULL};

    gw_arena_reset(l->arena);
    if (rx_parse(l->arena, text, false, RULEC_BOUNDARY_NONE, &p, NULL) != GW_OK)
        return; /* cut for people, or case matters; it did compile */
    if (rx_has(p.root, RX_SECRET) && begins_idle(p.root) && begins_anywhere(l, i))
        say(l, i, "idle-prefix",
            "begins with something that may be nothing; what it reports is the same without");
}

/* Counts how often each rule's matcher runs on ordinary text. */
static void check_widths(struct linter *l)
{
    unsigned n = l->rules->b->n_rules;
    struct dlp_rule_cost *costs = calloc(n + 1, sizeof(*costs));
    struct gw_buf text = {NULL, 0, 0, false};
    struct gw_span none = {NULL, 0};
    char what[200];

    bundle_trial_text(&text);
    if (costs == NULL || !gw_buf_ok(&text) || scan_prepare(l->scanner, l->rules) != GW_OK) {
        l->no_memory = true;
        n = 0;
    } else {
        dlp_scanner_measure(l->scanner, costs);
        (void)scan_text(l->scanner, l->rules, gw_buf_span(&text), none, 0, REPORT_FROM);
        dlp_scanner_measure(l->scanner, NULL);
    }
    for (unsigned i = 0; i < n; i++) {
        double per_kb = (double)costs[i].candidates * 1024 / (double)text.len;

        if (per_kb <= WIDE_PER_KB)
            continue;
        (void)snprintf(
            what, sizeof(what),
            "its matcher runs %.1f times in a KB of ordinary text; begin with bytes that "
            "are rarer, or look with sluice rules bench whether that is so in yours",
            per_kb);
        say(l, i, "wide", what);
    }
    gw_buf_fini(&text);
    free(costs);
}

/* ---- overlaps --------------------------------------------------------------------------- */

/* First finds the rule's own span in an example, then who else reports the same. */
static void note(void *ctx, const struct dlp_explain *e)
{
    struct linter *l = ctx;

    if (e->dropped != NULL)
        return;
    if (l->own) {
        if (e->rule == l->rule && !l->has_own) {
            l->start = e->start;
            l->end = e->end;
            l->confidence = e->confidence;
            l->has_own = true;
        }
        return;
    }
    if (e->rule == l->rule || e->start != l->start || e->end != l->end ||
        l->seen_at[e->rule] == l->example + 1)
        return;
    l->seen_at[e->rule] = l->example + 1;
    l->found[e->rule]++;
    l->stronger[e->rule] += e->confidence > l->confidence;
}

static void scan_example(struct linter *l, const struct bundle_example *e)
{
    struct gw_span text = {e->text.ptr, e->text.len}, none = {NULL, 0};

    l->has_own = false;
    for (l->own = true;; l->own = false) {
        if (scan_prepare(l->scanner, l->rules) != GW_OK)
            return;
        l->scanner->only_rule = l->own ? l->rule + 1 : 0;
        (void)scan_text(l->scanner, l->rules, text, none, 0, REPORT_FROM);
        l->scanner->only_rule = 0;
        if (!l->own || !l->has_own)
            return;
    }
}

static void check_overlap(struct linter *l, unsigned i)
{
    const struct dlp_rules *rules = l->rules;
    const struct bundle_rule *r = &rules->b->rules[i];
    unsigned n = 0, n_rules = rules->b->n_rules;
    char what[240];

    memset(l->found, 0, n_rules * sizeof(*l->found));
    memset(l->stronger, 0, n_rules * sizeof(*l->stronger));
    memset(l->seen_at, 0, n_rules * sizeof(*l->seen_at));
    l->rule = i;
    for (unsigned k = 0; k < r->n_examples; k++) {
        if (r->examples[k].should_match == 0)
            continue;
        l->example = k;
        scan_example(l, &r->examples[k]);
        n++;
    }
    for (unsigned k = 0; k < n_rules; k++) {
        l->covers[(size_t)i * n_rules + k] = l->found[k] == n && n > 0;
        if (l->stronger[k] < n || n == 0)
            continue;
        (void)snprintf(
            what, sizeof(what),
            "%s finds the same with more confidence in all %u of its match examples, so it "
            "is never what is reported; delete it, or give it an example that only it finds",
            rules->b->rules[k].id, n);
        say(l, i, "shadowed", what);
    }
}

/* Two rules that find each other's examples are one. */
static void check_twins(struct linter *l)
{
    unsigned n = l->rules->b->n_rules;
    char what[200];

    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = i + 1; k < n; k++) {
            if (!l->covers[(size_t)i * n + k] || !l->covers[(size_t)k * n + i])
                continue;
            (void)snprintf(what, sizeof(what),
                           "%s and this one find each other's examples; join them, or give each an "
                           "example that only it finds",
                           l->rules->b->rules[k].id);
            say(l, i, "overlap", what);
        }
    }
}

/* ---- the whole -------------------------------------------------------------------------- */

static void lint_all(struct linter *l)
{
    check_widths(l);
    if (!dlp_scanner_explain(l->scanner, note, l)) {
        l->no_memory = true;
        return;
    }
    for (unsigned i = 0; i < l->rules->b->n_rules; i++) {
        const struct bundle_rule *r = &l->rules->b->rules[i];

        check_written(l, i);
        check_points(l, i);
        for (unsigned k = 0; k < r->n_patterns; k++)
            check_pattern(l, i, (struct gw_span){r->patterns[k].ptr, r->patterns[k].len});
        if (r->mode != DLP_MODE_OFF)
            check_overlap(l, i);
    }
    check_twins(l);
}

enum gw_status dlp_rules_lint(const char *const *paths, unsigned n_paths, dlp_lint_fn fn, void *ctx,
                              unsigned *n_rules, struct gw_err *err)
{
    struct linter l = {.fn = fn, .ctx = ctx};
    enum gw_status st =
        dlp_rules_open(paths, n_paths,
                       &(struct dlp_rules_options){.without_examples = true, .without_trial = true},
                       &l.rules, err);

    if (st != GW_OK)
        return st;
    l.scanner = dlp_scanner_new();
    l.arena = gw_arena_new(ARENA_BYTES);
    l.found = calloc(l.rules->b->n_rules + 1, sizeof(*l.found));
    l.stronger = calloc(l.rules->b->n_rules + 1, sizeof(*l.stronger));
    l.seen_at = calloc(l.rules->b->n_rules + 1, sizeof(*l.seen_at));
    l.covers = calloc((size_t)l.rules->b->n_rules * l.rules->b->n_rules + 1, sizeof(*l.covers));
    if (l.scanner == NULL || l.arena == NULL || l.found == NULL || l.stronger == NULL ||
        l.seen_at == NULL || l.covers == NULL) {
        st = gw_fail(err, GW_ENOMEM, "out of memory");
    } else {
        lint_all(&l);
        *n_rules = l.rules->b->n_rules;
        if (l.no_memory)
            st = gw_fail(err, GW_ENOMEM, "out of memory");
    }
    free(l.found);
    free(l.stronger);
    free(l.seen_at);
    free(l.covers);
    gw_arena_free(l.arena);
    dlp_scanner_free(l.scanner);
    dlp_rules_unref(l.rules);
    return st;
}
