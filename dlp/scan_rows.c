/* dlp/scan_rows.c - which patterns can have a match that begins with given bytes, all at once. Thread: the scanner's.
 *
 * A growing text asks of every start which patterns are still possible there. For each of the first bytes of a match and each
 * value of it there is a row of bits, one a pattern; a start's rows are taken together. Made when it is first asked. */
#include <stdlib.h>

#include "dlp/scan.h"

enum { PLACES = 8, BYTES = 256 };
_Static_assert((int)PLACES <= (int)BUNDLE_HEAD_BYTES, "places that a bundle tells of");

struct scan_rows {
    uint64_t serial; /* of the rules */
    size_t n_words;
    uint64_t *rows, *alive; /* PLACES * BYTES rows; one more */
};

void scan_rows_free(struct scan_rows *r)
{
    if (r == NULL)
        return;
    free(r->rows);
    free(r);
}

static void fill_place(struct scan_rows *r, const struct bundle_set *set, uint32_t pattern,
                       unsigned place)
{
    uint64_t *rows = r->rows + (size_t)place * BYTES * r->n_words + pattern / 64;

    for (unsigned i = 0; i < 8; i++)
        for (uint32_t bits = set->w[i]; bits != 0; bits &= bits - 1)
            rows[(i * 32 + (unsigned)__builtin_ctz(bits)) * r->n_words] |= UINT64_C(1)
                                                                           << (pattern % 64);
}

/* The scanner's rows for these rules, or NULL. */
static struct scan_rows *rows_of(struct dlp_scanner *s, const struct dlp_rules *rules)
{
    const struct bundle *b = rules->b;
    struct scan_rows *r;

    if (s->rows != NULL && s->rows->serial == rules->serial)
        return s->rows;
    scan_rows_free(s->rows);
    s->rows = NULL;
    r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    r->serial = rules->serial;
    r->n_words = (b->n_patterns + 63) / 64;
    r->rows = calloc((size_t)PLACES * BYTES * r->n_words + r->n_words + 1, sizeof(*r->rows));
    if (r->rows == NULL) {
        free(r);
        return NULL;
    }
    r->alive = r->rows + (size_t)PLACES * BYTES * r->n_words;
    for (uint32_t p = 0; p < b->n_patterns; p++)
        for (unsigned k = 0; k < b->patterns[p].n_heads * PLACES; k++)
            fill_place(r, &b->sets[b->patterns[p].head[k / PLACES][k % PLACES]], p, k % PLACES);
    return s->rows = r;
}

const uint64_t *scan_rows_get(struct scan_leaf *x, size_t at, size_t *n_words)
{
    struct scan_rows *r = rows_of(x->s, x->rules);
    const unsigned char *text = (const unsigned char *)x->text.ptr + at;
    size_t left = x->text.len - at, places = left < PLACES ? left : PLACES;

    if (r == NULL)
        return NULL;
    *n_words = r->n_words;
    for (size_t w = 0; w < r->n_words; w++) {
        uint64_t alive = r->rows[text[0] * r->n_words + w];

        for (size_t k = 1; k < places && alive != 0; k++)
            alive &= r->rows[(k * BYTES + text[k]) * r->n_words + w];
        r->alive[w] = alive;
    }
    return r->alive;
}
