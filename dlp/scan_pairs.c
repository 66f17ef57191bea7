/* dlp/scan_pairs.c - which patterns can begin with two given bytes, found out when it is first asked. Thread: the scanner's.
 *
 * Of some hundred patterns that can begin with a letter, most are dead after the second one; a growing text tries every
 * start, so it asks for those that are not. Two ASCII bytes and a kind of start have a list in one pool. */
#include <stdlib.h>
#include <string.h>

#include "dlp/scan.h"

enum { ASCII = 128, MAX_POOL = 1 << 20, DIGEST_BYTES = 64 };

struct scan_pairs {
    char digest[DIGEST_BYTES];       /* of the rules that the lists are about */
    uint32_t list[2][ASCII * ASCII]; /* where its list is in the pool, plus 1; 0: not made yet */
    uint16_t *pool;                  /* of each list the number of patterns, then the patterns */
    uint32_t n, cap;
};

void scan_pairs_free(struct scan_pairs *p)
{
    if (p == NULL)
        return;
    free(p->pool);
    free(p);
}

/* Makes room for more entries. */
static bool reserve(struct scan_pairs *p, uint32_t more)
{
    uint32_t cap = p->cap == 0 ? 4096 : p->cap;
    uint16_t *grown;

    while (cap - p->n < more)
        cap *= 2;
    if (cap == p->cap)
        return true;
    if (cap > MAX_POOL)
        return false;
    grown = realloc(p->pool, cap * sizeof(*grown));
    if (grown == NULL)
        return false;
    p->pool = grown;
    p->cap = cap;
    return true;
}

/* The scanner's lists for these rules, or NULL. */
static struct scan_pairs *pairs_of(struct dlp_scanner *s, const struct dlp_rules *r)
{
    if (r->b->n_patterns > UINT16_MAX)
        return NULL;
    if (s->pairs != NULL && memcmp(s->pairs->digest, r->b->digest, DIGEST_BYTES) == 0)
        return s->pairs;
    if (s->pairs == NULL)
        s->pairs = calloc(1, sizeof(*s->pairs));
    if (s->pairs == NULL)
        return NULL;
    memset(s->pairs->list, 0, sizeof(s->pairs->list));
    s->pairs->n = 0;
    memcpy(s->pairs->digest, r->b->digest, DIGEST_BYTES);
    return s->pairs;
}

/* Can a text that begins with these two bytes have a match of the pattern? */
static bool can_begin(const struct scan_leaf *x, uint32_t pattern, const unsigned char two[2])
{
    const struct bundle_pattern *p = &x->rules->b->patterns[pattern];
    struct bundle_match m = {.epoch = 0, .memo = x->s->memo + p->first_memo};

    bundle_match(x->rules, pattern, two, two + 2, &m);
    return m.cut != 0 || m.len != 0;
}

const uint16_t *scan_pairs_get(struct scan_leaf *x, bool at_word, const char *two, unsigned *n)
{
    const struct bundle_starts *starts = at_word ? &x->rules->at_word : &x->rules->anywhere;
    const unsigned char key[2] = {(unsigned char)two[0], (unsigned char)two[1]};
    struct scan_pairs *p = pairs_of(x->s, x->rules);
    uint32_t *list, at;

    if (p == NULL || key[0] >= ASCII || key[1] >= ASCII)
        return NULL;
    list = &p->list[at_word][key[0] * ASCII + key[1]];
    if (*list == 0) {
        unsigned first = starts->first[key[0]], end = starts->first[key[0] + 1];

        if (!reserve(p, end - first + 1))
            return NULL;
        at = p->n++;
        for (unsigned i = first; i < end; i++)
            if (can_begin(x, starts->items[i], key))
                p->pool[p->n++] = (uint16_t)starts->items[i];
        p->pool[at] = (uint16_t)(p->n - at - 1);
        *list = at + 1;
    }
    at = *list - 1;
    *n = p->pool[at];
    return p->pool + at + 1;
}
