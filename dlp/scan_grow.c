/* dlp/scan_grow.c - what can be said of a text that is still growing. Thread: the scanner's.
 *
 * A start is live while more text could bring about, lengthen or undo a match there: its matcher looked for bytes behind
 * the end, or what decides about the match (the boundary, a validator's look ahead) has not come. Nothing of a start that
 * is not live depends on what comes, so the matches that begin before the first live start are those of the whole text.
 *
 * A match is judged on the text up to LOOK_AHEAD bytes behind it, however much is there: the verdict must not depend on
 * how the text was cut. So context words count in front of a value only. */
#include <stdlib.h>
#include <string.h>

#include "dlp/scan.h"

enum {
    LOOK_AHEAD = 2,       /* boundaries; validators that ask whether a number goes on */
    LOOK_AHEAD_HOST = 40, /* url_password asks for the host behind */
    MAX_TAIL = 3,         /* bytes of a character behind its first */
    MAX_MATCHES = 1 << 16,
    WORK_FREE = 1 << 22, /* steps of one search for live starts, as in scan.c */
    WORK_PER_BYTE = 4096,
};

static size_t look_ahead(const struct bundle_rule *r)
{
    for (unsigned i = 0; i < r->n_checks; i++)
        if (strcmp(r->checks[i].name, "url_password") == 0)
            return LOOK_AHEAD_HOST;
    return LOOK_AHEAD;
}

static bool is_tail_byte(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* How much of the character that text[0, at) ends in stands behind; at most what a well-formed one has, so that the rest of the
 * text does not count. */
static size_t tail_behind(struct gw_span text, size_t at)
{
    size_t n = 0;

    while (n < MAX_TAIL && at + n < text.len && is_tail_byte(text.ptr[at + n]))
        n++;
    return n;
}

static bool add_match(struct scan_leaf *x, struct scan_match m)
{
    struct dlp_scanner *s = x->s;

    if (s->n_matches == s->cap_matches) {
        unsigned cap = s->cap_matches == 0 ? 32 : s->cap_matches * 2;
        struct scan_match *grown = NULL;

        if (cap > MAX_MATCHES) {
            x->st = GW_ELIMIT;
            return false;
        }
        grown = realloc(s->matches, cap * sizeof(*grown));
        if (grown == NULL) {
            x->st = GW_ENOMEM;
            return false;
        }
        s->matches = grown;
        s->cap_matches = cap;
    }
    m.order = s->n_matches;
    s->matches[s->n_matches++] = m;
    return true;
}

void scan_note(struct scan_leaf *x, const struct bundle_pattern *p, size_t at,
               const struct bundle_match *m)
{
    struct gw_span whole = x->text;
    size_t end = at + m->len, ahead = look_ahead(&x->rules->b->rules[p->rule]);
    struct scan_match match = {.rule = p->rule,
                               .match_start = at,
                               .match_end = end,
                               .start = at + m->start,
                               .end = at + m->end};
    bool found;

    if (m->len == 0 || m->end <= m->start || !scan_boundary_after(p->after, x->text, end))
        return;
    if (x->text.len - end > ahead)
        x->text.len = end + ahead;
    found = scan_judge(x, &match);
    x->text = whole;
    if (!found)
        return;
    for (unsigned i = 0;
         i < MAX_TAIL && match.start > x->from && is_tail_byte(x->text.ptr[match.start]); i++)
        match.start--;
    match.end += tail_behind(x->text, match.end);
    (void)add_match(x, match);
}

/* The bytes at a start, as many as there are of those that tell most. */
struct head {
    uint64_t bytes[2], known[2]; /* bits of known: those that have come */
};

static struct head read_head(const struct scan_leaf *x, size_t at)
{
    size_t left = x->text.len - at, n = left < BUNDLE_HEAD_BYTES ? left : BUNDLE_HEAD_BYTES;
    struct head h = {.bytes = {0, 0}};

    memcpy(h.bytes, x->text.ptr + at, n);
    memset(h.known, 0xFF, n);
    return h;
}

/* Can a match of the pattern begin so, whatever comes? */
static bool head_fits(const struct scan_leaf *x, uint32_t pattern, const struct head *h)
{
    const struct prefilter *f = &x->rules->filter;

    for (uint32_t i = f->first_head[pattern]; i < f->first_head[pattern + 1]; i++) {
        const struct prefilter_head *p = &f->heads[i];

        if (((((h->bytes[0] & p->mask[0]) ^ p->value[0]) & h->known[0]) |
             (((h->bytes[1] & p->mask[1]) ^ p->value[1]) & h->known[1])) == 0)
            return true;
    }
    return false;
}

/* Is the start `at` live because of that pattern? */
static bool is_live(struct scan_leaf *x, uint32_t pattern, size_t at)
{
    const struct bundle_pattern *p = &x->rules->b->patterns[pattern];
    const unsigned char *text = (const unsigned char *)x->text.ptr + at;
    size_t left = x->text.len - at;
    struct bundle_match m = {.epoch = x->s->epoch, .memo = x->s->memo + p->first_memo};
    size_t tail;

    if ((x->s->only_rule != 0 && x->s->only_rule != p->rule + 1) ||
        !scan_boundary_before(p->before, x->text, at))
        return false;
    bundle_match(x->rules, pattern, text, text + (left < p->reach ? left : p->reach), &m);
    x->work += m.work + 1;
    if (m.cut != 0 && left < p->reach)
        return true;
    if (m.len == 0 || !scan_boundary_after(p->after, x->text, at + m.len))
        return false;
    tail = tail_behind(x->text, at + m.end);
    return left - m.len < look_ahead(&x->rules->b->rules[p->rule]) ||
           (tail < MAX_TAIL && m.end + tail == left);
}

/* Is any pattern live there? Sets x->st when out of memory. */
static bool any_live(struct scan_leaf *x, size_t at, uint32_t *hint)
{
    size_t n_words = 0;
    const uint64_t *alive = scan_rows_get(x, at, &n_words);
    struct head head = read_head(x, at);

    if (alive == NULL) {
        x->st = GW_ENOMEM;
        return true;
    }
    for (size_t w = 0; w < n_words; w++)
        for (uint64_t left = alive[w]; left != 0; left &= left - 1) {
            uint32_t pattern = (uint32_t)(w * 64 + (unsigned)__builtin_ctzll(left));

            if (head_fits(x, pattern, &head) && is_live(x, pattern, at)) {
                *hint = pattern;
                return true;
            }
        }
    return false;
}

static bool hint_holds(struct scan_leaf *x, size_t at, uint32_t hint)
{
    const struct bundle *b = x->rules->b;
    unsigned char c = (unsigned char)x->text.ptr[at];

    return hint < b->n_patterns &&
           (b->sets[b->patterns[hint].first].w[c >> 5] >> (c & 31) & 1u) != 0 &&
           is_live(x, hint, at);
}

size_t scan_first_live(struct scan_leaf *x, size_t from, uint32_t *hint)
{
    size_t at = from;

    if (at < x->text.len && hint_holds(x, at, *hint))
        return at;
    for (; at < x->text.len; at++) {
        if (x->work > WORK_FREE + (uint64_t)x->text.len * WORK_PER_BYTE) {
            x->st = GW_ELIMIT;
            break;
        }
        if (any_live(x, at, hint))
            break;
    }
    return at;
}
