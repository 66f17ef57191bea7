/* Which findings of a document say the same (dlp_doc_dedupe of doc.h). */
#include <stdio.h>
#include <string.h>

#include "dlp/doc.h"
#include "tests/test.h"
#include "tests/unit/dlp/doc_help.h"

static struct gw_arena *arena;
static struct dlp_leaf *leaves;
static unsigned n_leaves;

static const struct dlp_doc *parse(struct gw_span body)
{
    struct dlp_doc *doc = NULL;

    CHECK(dlp_doc_parse_json(arena, body, NULL, &doc, NULL) == GW_OK);
    leaves = doc_help_all(doc, &n_leaves);
    return doc;
}

/* The first leaf of that kind and, unless NULL, text. */
static uint32_t find(const char *text, enum dlp_leaf_kind kind)
{
    for (uint32_t i = 0; i < n_leaves; i++)
        if ((text == NULL || gw_span_is(leaves[i].text, text)) && leaves[i].kind == kind)
            return i;
    return DLP_NONE;
}

static void test_rules(void)
{
    const struct dlp_doc *doc =
        parse(GW_SPAN("[\"part one \",\"part two \",\"{\\\"k\\\":\\\"inner\\\"}\"]"));
    uint32_t j = find("part one part two {\"k\":\"inner\"}", DLP_LEAF_JOINED);
    uint32_t inner = find("inner", DLP_LEAF_STRING);
    struct dlp_finding f[] = {
        {.rule = 1, .leaf = 0, .start = 0, .end = 4},     /* stays */
        {.rule = 2, .leaf = 0, .start = 5, .end = 9},     /* stays */
        {.rule = 1, .leaf = 2, .start = 5, .end = 12},    /* goes: the inner one says it */
        {.rule = 2, .leaf = 2, .start = 0, .end = 13},    /* stays: another rule */
        {.rule = 1, .leaf = inner, .start = 0, .end = 5}, /* stays */
        {.rule = 1, .leaf = j, .start = 0, .end = 4},     /* goes: one part */
        {.rule = 2, .leaf = j, .start = 6, .end = 12},    /* goes: known in a part */
        {.rule = 1, .leaf = j, .start = 5, .end = 13},    /* stays: over two parts */
        {.rule = 3, .leaf = j, .start = 6, .end = 12},    /* stays */
    };
    static const unsigned want[] = {0, 1, 3, 4, 7, 8};
    struct dlp_finding copy[9];
    unsigned n = 9;

    if (!CHECK(j != DLP_NONE && inner != DLP_NONE))
        return;
    memcpy(copy, f, sizeof(f));
    CHECK(dlp_doc_dedupe(doc, f, &n) == GW_OK && n == 6);
    for (unsigned i = 0; i < 6 && i < n; i++)
        CHECK(memcmp(&f[i], &copy[want[i]], sizeof(f[i])) == 0);
    n = 0;
    CHECK(dlp_doc_dedupe(doc, f, &n) == GW_OK && n == 0);
}

/* What only another part tells is put where it stands, unless as much was found there. */
static void test_part(void)
{
    char body[2400];
    const struct dlp_doc *doc;
    uint32_t j;
    struct dlp_finding f[] = {
        {.rule = 1, .leaf = 1, .start = 0, .end = 5, .confidence = 40},
        {.rule = 2, .leaf = 1, .start = 10, .end = 15, .confidence = 80},
        {.rule = 3, .leaf = 1, .start = 20, .end = 25, .confidence = 50},
        {.rule = 4, .leaf = 1, .start = 30, .end = 45, .confidence = 40},
        {.rule = 9, .leaf = 2, .start = 0, .end = 5, .confidence = 50},
        {.rule = 5, .leaf = 0, .start = 500, .end = 505, .confidence = 90}, /* in place of 1 */
        {.rule = 6, .leaf = 0, .start = 510, .end = 515, .confidence = 70}, /* goes: 2 is more */
        {.rule = 3, .leaf = 0, .start = 520, .end = 525, .confidence = 70}, /* 3 is surer */
        {.rule = 7, .leaf = 0, .start = 532, .end = 540, .confidence = 70}, /* goes: 4 is longer */
        {.rule = 8, .leaf = 0, .start = 550, .end = 555, .confidence = 70}, /* nothing was there */
        {.rule = 8, .leaf = 0, .start = 550, .end = 555, .confidence = 60}, /* goes: the same */
        {.rule = 8, .leaf = 0, .start = 50, .end = 55, .confidence = 60},   /* goes: at the edge */
    };
    static const struct dlp_finding want[] = {
        {.rule = 5, .leaf = 1, .start = 0, .end = 5, .confidence = 90},
        {.rule = 2, .leaf = 1, .start = 10, .end = 15, .confidence = 80},
        {.rule = 3, .leaf = 1, .start = 20, .end = 25, .confidence = 70},
        {.rule = 4, .leaf = 1, .start = 30, .end = 45, .confidence = 40},
        {.rule = 8, .leaf = 1, .start = 50, .end = 55, .confidence = 70},
        {.rule = 9, .leaf = 2, .start = 0, .end = 5, .confidence = 50},
    };
    unsigned n = sizeof(f) / sizeof(f[0]);

    snprintf(body, sizeof(body), "[\"%02000d\",\"%0100d\",\"%0100d\"]", 0, 1, 2);
    doc = parse((struct gw_span){body, strlen(body)});
    j = find(NULL, DLP_LEAF_JOINED); /* it has the end of the first one */
    if (!CHECK(j != DLP_NONE && dlp_doc_joined(doc, j)->parts[0].len == DLP_JOIN_REACH))
        return;
    for (unsigned i = 5; i < n; i++) { /* counted from the second part on, but for the last one */
        uint32_t to = i + 1 < n ? dlp_doc_joined(doc, j)->parts[1].at - 500 : 0;

        f[i].leaf = j;
        f[i].start += to;
        f[i].end += to;
    }
    CHECK(dlp_doc_dedupe(doc, f, &n) == GW_OK && n == 6);
    for (unsigned i = 0; i < 6 && i < n; i++)
        CHECK(memcmp(&f[i], &want[i], sizeof(f[i])) == 0);
}

int main(void)
{
    arena = gw_arena_new((size_t)1 << 20);
    test_rules();
    test_part();
    gw_arena_free(arena);
    return test_done();
}
