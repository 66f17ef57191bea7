/* tests/unit/dlp/doc_help.h - all leaves of a document at once, JOINED ones among them, for tests that look at each. */
#ifndef TESTS_UNIT_DLP_DOC_HELP_H
#define TESTS_UNIT_DLP_DOC_HELP_H

#include <stdlib.h>

#include "dlp/doc.h"

static enum gw_status doc_help_keep(void *ctx, const struct dlp_joined *joined)
{
    return dlp_doc_keep_joined(ctx, joined);
}

/* Keeps every JOINED leaf, as if something was found in each. False when out of memory. */
static bool doc_help_join(struct dlp_doc *doc)
{
    struct dlp_joiner *j = dlp_joiner_new(doc, doc_help_keep, doc);
    struct dlp_cursor c;
    struct dlp_leaf leaf;
    bool ok = dlp_cursor_init(&c, doc, true) && j != NULL;

    while (ok && dlp_cursor_next(&c))
        ok = dlp_cursor_leaf(&c, &leaf) && dlp_joiner_add(j, &c, &leaf) == GW_OK;
    ok = ok && dlp_joiner_end(j) == GW_OK;
    dlp_cursor_fini(&c);
    dlp_joiner_free(j);
    return ok;
}

/* The leaves of the tape, then those that were kept; in the document's memory. NULL: there is none. */
static inline struct dlp_leaf *doc_help_leaves(const struct dlp_doc *doc, unsigned *n)
{
    struct dlp_leaf *leaves = gw_arena_array(doc->arena, dlp_doc_count(doc), sizeof(*leaves));

    *n = leaves == NULL ? 0 : dlp_doc_count(doc);
    for (unsigned i = 0; i < *n; i++)
        if (!dlp_doc_leaf_at(doc, i, &leaves[i]))
            return NULL;
    return leaves;
}

/* Both. */
static inline struct dlp_leaf *doc_help_all(struct dlp_doc *doc, unsigned *n)
{
    *n = 0;
    return doc_help_join(doc) ? doc_help_leaves(doc, n) : NULL;
}

#endif
