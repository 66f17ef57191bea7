/* Fuzz target: the views of a text. Whatever the text, each map ascends and stays inside its source, what comes out keeps its
 * budget and is the same whether it is known beforehand where to look or not, and every finding lies in the leaf. The first byte chooses the budget. */
#include <stdint.h>
#include <stdlib.h>

#include "dlp/scan.h"
#include "dlp/view_sheet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct view_walk *const walks[] = {&view_walk_fold,   &view_walk_tags,
                                                &view_walk_escape, &view_walk_quoted,
                                                &view_walk_digits, &view_walk_spelled};
static const unsigned may_be[] = {VIEW_MAY_FOLD,  VIEW_MAY_TAG,   VIEW_MAY_ESCAPE,
                                  VIEW_MAY_QUOTE, VIEW_MAY_DIGIT, VIEW_MAY_SPELL};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static bool is_same(const struct view_text *a, const struct view_text *b)
{
    return gw_span_eq(gw_buf_span(&a->out), gw_buf_span(&b->out)) &&
           gw_span_eq(gw_buf_span(&a->places), gw_buf_span(&b->places)) &&
           gw_span_eq(gw_buf_span(&a->units), gw_buf_span(&b->units));
}

static void check_map(struct view_text *v, size_t max)
{
    uint32_t last_start = 0, last_end = 0;

    /* A last unit, the gap between two surroundings, the text around a blob. */
    must(v->out.len <= max + VIEW_MARK_EVERY + VIEW_BLOB_BEFORE + 2 * VIEW_BLOB_AFTER);
    for (uint32_t at = 0; at + 2 <= v->out.len; at++) {
        uint32_t start = 0, end = 0;
        enum dlp_view view = DLP_VIEW_COUNT;

        (void)view_map(v, at, at + 2, &start, &end, &view);
        must(start <= end && end <= v->src.len && view < DLP_VIEW_COUNT);
        must(start >= last_start && end >= last_end);
        last_start = start;
        last_end = end;
    }
}

static void check_scan(struct gw_span text)
{
    static struct dlp_scanner *scanner;
    struct gw_arena *arena = gw_arena_new((size_t)16 << 20);
    struct dlp_report report = {.findings = NULL};
    struct dlp_doc *doc = NULL;

    if (scanner == NULL)
        scanner = dlp_scanner_new();
    must(scanner != NULL && arena != NULL && dlp_doc_parse_text(arena, text, &doc) == GW_OK);
    if (dlp_scan(scanner, dlp_rules_builtin(), doc, arena, NULL, &report) == GW_OK)
        for (unsigned i = 0; i < report.n_findings; i++)
            must(report.findings[i].start < report.findings[i].end &&
                 report.findings[i].end <= text.len &&
                 (i == 0 || report.findings[i - 1].start <= report.findings[i].start));
    gw_arena_free(arena);
}

/* Columns of tables: what is in them lies in the text, and each step goes on. */
static void check_sheets(struct view_text *v, struct gw_span text)
{
    struct view_sheet sheets[VIEW_SHEETS];
    unsigned n = view_find_sheets(text, sheets, VIEW_SHEETS);

    for (unsigned i = 0; i < n; i++)
        for (unsigned column = 0; column < sheets[i].n_columns; column++)
            for (size_t from = sheets[i].from, to = from; from < sheets[i].to; from = to) {
                uint32_t start = 0, end;

                to = view_make_column(v, text, &sheets[i], column, from, 3);
                end = (uint32_t)v->out.len;
                must(to > from && to <= text.len);
                must(end == 0 || (view_map_labelled(v, &start, &end) && end <= text.len));
            }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view_text v = {.cut = false}, marked = {.cut = false};
    struct view_marks marks = {.list = {{.at = NULL}}};
    struct gw_span text;
    unsigned may;
    size_t max;

    if (size == 0)
        return 0;
    max = data[0] < 200 ? SIZE_MAX / 2 : (size_t)(data[0] - 200) * 16;
    text = (struct gw_span){(const char *)data + 1, size - 1};
    may = view_test(text, &marks, true);
    for (size_t i = 0; i < sizeof(walks) / sizeof(walks[0]); i++) {
        must(view_make_walked(&v, walks[i], text, NULL, max));
        check_map(&v, max);
        must(view_make_walked(&marked, walks[i], text, &marks, max));
        must(is_same(&v, &marked) && (v.out.len == 0 || (may & may_be[i]) != 0));
    }
    must(view_make_blobs(&v, text, NULL, max));
    check_map(&v, max);
    must(view_make_blobs(&marked, text, &marks, max) && is_same(&v, &marked));
    check_sheets(&v, text);
    view_fini(&v);
    view_fini(&marked);
    view_marks_fini(&marks);
    check_scan(text);
    return 0;
}
