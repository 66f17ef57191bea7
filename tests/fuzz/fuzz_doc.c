/* Fuzz target: documents and edits. The first 16 bytes choose findings, the rest is the body. Whatever
 * is hidden, the result must be JSON again, and maps must lead back. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dlp/vault.h"
#include "tests/unit/dlp/doc_help.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHOICES = 16, FINDINGS = 4 };

static void check_leaves(struct dlp_doc *doc)
{
    unsigned n;
    const struct dlp_leaf *l = doc_help_all(doc, &n);
    struct dlp_cursor c;
    struct dlp_leaf again;

    /* One after another they are what they are by number. */
    if (l == NULL || !dlp_cursor_init(&c, doc, false))
        abort();
    while (dlp_cursor_next(&c))
        if (!dlp_cursor_leaf(&c, &again) || !gw_span_eq(again.text, l[c.leaf].text) ||
            again.raw_start != l[c.leaf].raw_start || again.raw_end != l[c.leaf].raw_end ||
            again.kind != l[c.leaf].kind || again.nesting != l[c.leaf].nesting)
            abort();
    dlp_cursor_fini(&c);
    for (unsigned i = 0; i < n; i++) {
        uint32_t start = 0, end = (uint32_t)l[i].text.len, raw_start, raw_end;

        if (l[i].raw_start > l[i].raw_end || l[i].raw_end > doc->body.len)
            abort();
        if (l[i].kind == DLP_LEAF_JOINED)
            continue;
        if (!dlp_map_to_body(doc, i, start, end, &raw_start, &raw_end))
            abort();
        if (raw_start != l[i].raw_start || raw_end != l[i].raw_end)
            abort();
        if (!dlp_map_from_body(doc, i, raw_start, raw_end, &start, &end))
            abort();
        if (start != 0 || end != l[i].text.len)
            abort();
    }
}

static unsigned choose(const uint8_t *choice, const struct dlp_doc *doc, struct dlp_finding *f,
                       enum gw_action *actions)
{
    unsigned n_rules = dlp_rules_count(dlp_rules_builtin()), n_leaves, n = 0;
    const struct dlp_leaf *l = doc_help_leaves(doc, &n_leaves);

    for (unsigned i = 0; i < FINDINGS && n_leaves != 0; i++, choice += 4) {
        uint32_t leaf = (choice[0] + 256u * choice[1]) % n_leaves;
        uint32_t len = (uint32_t)l[leaf].text.len, start;

        if (len == 0)
            continue;
        start = choice[2] % len;
        f[n] = (struct dlp_finding){.rule = choice[1] % n_rules,
                                    .leaf = leaf,
                                    .start = start,
                                    .end = start + 1 + choice[3] % (len - start),
                                    .confidence = 50};
        actions[n++] = (enum gw_action)(choice[0] % GW_ACTION_BLOCK);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_arena *arena;
    struct dlp_doc *doc, *again;
    struct dlp_finding f[FINDINGS];
    enum gw_action actions[FINDINGS];
    uint8_t styles[FINDINGS];
    struct dlp_report report = {.findings = f};
    struct dlp_vault *vault;
    struct gw_buf out = {0}, back = {0};

    if (size < CHOICES || dlp_rules_count(dlp_rules_builtin()) == 0)
        return 0;
    arena = gw_arena_new((size_t)64 << 20);
    vault = dlp_vault_new(GW_SPAN("key"));
    if (dlp_doc_parse_json(arena, (struct gw_span){(const char *)data + CHOICES, size - CHOICES},
                           NULL, &doc, NULL) == GW_OK) {
        check_leaves(doc);
        report.n_findings = choose(data, doc, f, actions);
        if (dlp_doc_dedupe(doc, f, &report.n_findings) != GW_OK)
            abort();
        for (unsigned i = 0; i < FINDINGS; i++)
            styles[i] = data[i % CHOICES] & 1;
        if (dlp_vault_avoid(vault, (const struct dlp_doc *const *)&doc, 1) != GW_OK ||
            dlp_doc_edit_styled(doc, dlp_rules_builtin(), &report, actions, styles, vault, &out) !=
                GW_OK)
            abort();
        if (dlp_doc_parse_json(arena, gw_buf_span(&out), NULL, &again, NULL) == GW_EPARSE &&
            dlp_restore_json(vault, gw_buf_span(&out), &back, NULL) == GW_EPARSE)
            abort(); /* neither strictly nor with duplicate keys */
    }
    gw_buf_fini(&out);
    gw_buf_fini(&back);
    dlp_vault_free(vault);
    gw_arena_free(arena);
    return 0;
}
