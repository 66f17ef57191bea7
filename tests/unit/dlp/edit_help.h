/* tests/unit/dlp/edit_help.h - a rule set of four rules that needs no rule compiler, and findings made
 * by searching for a text, for the tests of edit and restore. */
#ifndef TESTS_UNIT_DLP_EDIT_HELP_H
#define TESTS_UNIT_DLP_EDIT_HELP_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test.h"
#include "tests/unit/dlp/doc_help.h"

enum { R_SECRET, R_EMAIL, R_CARD, R_NAME, R_COUNT };

static const struct dlp_rule_info fake_rules[R_COUNT] = {
    {.id = "secret", .type = "AWS_ACCESS_KEY", .class_ = GW_CLASS_SECRET},
    {.id = "email", .type = "EMAIL", .class_ = GW_CLASS_PII},
    {.id = "card", .type = "CARD", .class_ = GW_CLASS_FINANCIAL},
    {.id = "name", .type = "person name", .class_ = GW_CLASS_PII},
};

/* These take the place of the archive's, which are in an object that nothing here asks for. */
unsigned dlp_rules_count(const struct dlp_rules *r)
{
    (void)r;
    return R_COUNT;
}

const struct dlp_rule_info *dlp_rules_info(const struct dlp_rules *r, unsigned i)
{
    (void)r;
    return &fake_rules[i];
}

enum { MAX_FINDINGS = 64 };

/* A body with findings. */
struct scene {
    struct gw_arena *arena;
    struct dlp_doc *doc;
    struct dlp_leaf *leaves; /* of doc, all */
    unsigned n_leaves;
    struct dlp_finding findings[MAX_FINDINGS];
    enum gw_action actions[MAX_FINDINGS];
    struct dlp_report report;
    struct dlp_vault *vault;
    struct gw_buf out;
};

static void scene_open(struct scene *s, struct gw_span body)
{
    memset(s, 0, sizeof(*s));
    s->arena = gw_arena_new((size_t)64 << 20);
    s->vault = dlp_vault_new(GW_SPAN("key of a conversation"));
    s->report.findings = s->findings;
    if (!CHECK(dlp_doc_parse_json(s->arena, body, NULL, &s->doc, NULL) == GW_OK))
        exit(1);
    s->leaves = doc_help_all(s->doc, &s->n_leaves);
}

static void scene_close(struct scene *s)
{
    gw_buf_fini(&s->out);
    dlp_vault_free(s->vault);
    gw_arena_free(s->arena);
}

static void scene_add(struct scene *s, uint32_t leaf, size_t start, size_t end, uint32_t rule,
                      enum gw_action action)
{
    unsigned i = s->report.n_findings++;

    if (i >= MAX_FINDINGS)
        abort();
    s->findings[i] = (struct dlp_finding){.rule = rule,
                                          .leaf = leaf,
                                          .start = (uint32_t)start,
                                          .end = (uint32_t)end,
                                          .confidence = 90};
    s->actions[i] = action;
}

/* A finding wherever a leaf of this kind and nesting holds the text. Returns how many. */
static unsigned scene_find(struct scene *s, enum dlp_leaf_kind kind, unsigned nesting,
                           const char *text, uint32_t rule, enum gw_action action)
{
    size_t len = strlen(text);
    unsigned n = 0;

    for (uint32_t i = 0; i < s->n_leaves; i++) {
        const struct dlp_leaf *l = &s->leaves[i];

        if (l->kind != kind || l->nesting != nesting)
            continue;
        for (size_t at = 0; at + len <= l->text.len; at++) {
            if (memcmp(l->text.ptr + at, text, len) != 0)
                continue;
            scene_add(s, i, at, at + len, rule, action);
            n++;
            at += len - 1;
        }
    }
    return n;
}

static enum gw_status scene_edit(struct scene *s)
{
    gw_buf_clear(&s->out);
    return dlp_doc_edit(s->doc, NULL, &s->report, s->actions, s->vault, &s->out);
}

#endif
