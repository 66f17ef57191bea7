/* Unit tests of dlp/guard*.c: what comes out of a growing text does not depend on how it was cut. */
#include <stdlib.h>
#include <string.h>

#include "dlp/bundle.h"
#include "dlp/guard.h"
#include "tests/test.h"

static struct dlp_scanner *scanner;
static struct dlp_rules *rules;

/* What a guard made of a text. */
struct result {
    enum gw_status st;
    struct gw_buf out;
    struct gw_buf log; /* a line a finding */
    unsigned n;
    enum gw_action action;
    size_t gone; /* bytes that had gone out before */
    size_t held_max, held_sum, n_feeds;
};

static void result_fini(struct result *r)
{
    gw_buf_fini(&r->out);
    gw_buf_fini(&r->log);
}

static enum gw_action decide(void *ctx, const struct dlp_guard_finding *f)
{
    struct result *r = ctx;

    r->n++;
    r->gone += f->already_out;
    gw_buf_printf(&r->log, "%s %u %.*s\n", dlp_rules_info(rules, f->rule)->id,
                  (unsigned)f->confidence, (int)f->text.len, f->text.ptr);
    return r->action;
}

static void feed(struct dlp_guard *g, struct result *r, struct gw_span piece)
{
    if (r->st == GW_OK)
        r->st = dlp_guard_feed(g, piece, &r->out);
    if (dlp_guard_held(g) > r->held_max)
        r->held_max = dlp_guard_held(g);
    r->held_sum += dlp_guard_held(g);
    r->n_feeds++;
}

static struct result whole(struct gw_span text, enum gw_action action, unsigned nesting)
{
    struct result r = {.action = action};
    struct dlp_guard *g = dlp_guard_new(scanner, rules, NULL, nesting, decide, &r);

    feed(g, &r, text);
    if (r.st == GW_OK)
        r.st = dlp_guard_finish(g, &r.out);
    dlp_guard_free(g);
    return r;
}

static struct result in_two(struct gw_span text, size_t cut, enum gw_action action,
                            unsigned nesting)
{
    struct result r = {.action = action};
    struct dlp_guard *g = dlp_guard_new(scanner, rules, NULL, nesting, decide, &r);

    feed(g, &r, (struct gw_span){text.ptr, cut});
    feed(g, &r, gw_span_from(text, cut));
    if (r.st == GW_OK)
        r.st = dlp_guard_finish(g, &r.out);
    dlp_guard_free(g);
    return r;
}

/* In pieces of 1 to most bytes, from a generator. */
static struct result in_pieces(struct gw_span text, unsigned most, uint32_t seed,
                               enum gw_action action, unsigned nesting)
{
    struct result r = {.action = action};
    struct dlp_guard *g = dlp_guard_new(scanner, rules, NULL, nesting, decide, &r);

    while (text.len > 0) {
        size_t n = 1;

        seed = seed * 1664525 + 1013904223;
        n += (seed >> 8) % most;
        n = n < text.len ? n : text.len;
        feed(g, &r, (struct gw_span){text.ptr, n});
        text = gw_span_from(text, n);
    }
    if (r.st == GW_OK)
        r.st = dlp_guard_finish(g, &r.out);
    dlp_guard_free(g);
    return r;
}

static bool same(const struct result *a, const struct result *b)
{
    return a->st == b->st &&
           (a->st != GW_OK || gw_span_eq(gw_buf_span(&a->out), gw_buf_span(&b->out))) &&
           gw_span_eq(gw_buf_span(&a->log), gw_buf_span(&b->log));
}

static bool check_same(struct gw_span text, const struct result *a, struct result b,
                       const char *how)
{
    bool ok = same(a, &b);

    if (!ok)
        fprintf(stderr, "  %s of: %.*s\n  whole %d: %.*s\n%.*s\n  else %d: %.*s\n%.*s\n", how,
                (int)text.len, text.ptr, (int)a->st, (int)a->out.len, a->out.ptr, (int)a->log.len,
                a->log.ptr, (int)b.st, (int)b.out.len, b.out.ptr, (int)b.log.len, b.log.ptr);
    result_fini(&b);
    return ok;
}

/* Every way to cut it. */
static bool cuts_agree(struct gw_span text, enum gw_action action, unsigned nesting,
                       bool everywhere)
{
    struct result a = whole(text, action, nesting);
    bool ok = check_same(text, &a, in_pieces(text, 1, 1, action, nesting), "one byte at a time");

    for (unsigned i = 0; i < 6 && ok; i++)
        ok = check_same(text, &a, in_pieces(text, 3 + 7 * i, i, action, nesting), "pieces");
    for (size_t cut = 0; everywhere && cut <= text.len && ok; cut++)
        ok = check_same(text, &a, in_two(text, cut, action, nesting), "two");
    result_fini(&a);
    return ok;
}

/* What dlp_scan() and dlp_doc_edit() make of the text. */
static struct result one_shot(struct gw_span text, enum gw_action action)
{
    struct gw_arena *arena = gw_arena_new(64 << 20);
    struct result r = {.action = action};
    struct dlp_doc *doc = NULL;
    struct dlp_report report = {0};
    enum gw_action actions[1000];

    r.st = dlp_doc_parse_text(arena, text, &doc);
    if (r.st == GW_OK)
        r.st = dlp_scan(scanner, rules, doc, arena, NULL, &report);
    for (unsigned i = 0; i < report.n_findings && i < 1000; i++) {
        const struct dlp_finding *f = &report.findings[i];

        actions[i] = decide(
            &r, &(struct dlp_guard_finding){.rule = f->rule,
                                            .confidence = f->confidence,
                                            .text = {text.ptr + f->start, f->end - f->start}});
    }
    if (r.st == GW_OK)
        r.st = dlp_doc_edit(doc, rules, &report, actions, NULL, &r.out);
    gw_arena_free(arena);
    return r;
}

/* ---- the rules' own examples ---------------------------------------------------------------- */

/* Each rule's examples in prose, cut in every way. Also counts in how many texts guard and scan disagree: only
 * context words behind a value may do that. */
static void test_examples(void)
{
    const struct bundle *b = rules->b;
    unsigned n = 0, n_agree = 0;
    bool ok = true;

    for (unsigned i = 0; i < b->n_rules; i++) {
        for (unsigned k = 0; k < b->rules[i].n_examples; k++) {
            const struct bundle_text *e = &b->rules[i].examples[k].text;
            struct gw_buf text = {0};
            struct result shot, a;

            if (e->len > 700)
                continue;
            gw_buf_printf(&text, "The answer to that is: ");
            gw_buf_add(&text, (struct gw_span){e->ptr, e->len});
            gw_buf_adds(&text, "\nand more follows, as in any answer. The end.");
            ok &= cuts_agree(gw_buf_span(&text), GW_ACTION_REDACT, 0, (i + k) % 16 == 0);
            shot = one_shot(gw_buf_span(&text), GW_ACTION_REDACT);
            a = whole(gw_buf_span(&text), GW_ACTION_REDACT, 0);
            n++;
            n_agree += same(&a, &shot);
            if (!same(&a, &shot) && getenv("SHOW") != NULL)
                (void)check_same(gw_buf_span(&text), &a, shot, "scan");
            else
                result_fini(&shot);
            result_fini(&a);
            gw_buf_fini(&text);
        }
    }
    CHECK(ok);
    printf("guard and scan agree on %u of %u texts with examples\n", n_agree, n);
    CHECK(n > 800 && n_agree * 100 >= n * 95);
}

int main(void)
{
    scanner = dlp_scanner_new();
    rules = dlp_rules_builtin();
    test_examples();
    dlp_scanner_free(scanner);
    return test_done();
}
