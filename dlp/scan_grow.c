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
    WORTH_A_FILTER = 40, /* starts; fewer are looked at one by one in less time */
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
    s->matches[s->n_matches++] = m;
    return true;
}

/* Can more text bring about, lengthen or undo what the matcher found at `at`? */
static bool is_live(const struct scan_leaf *x, const struct bundle_pattern *p, size_t at,
                    const struct bundle_match *m)
{
    size_t left = x->text.len - at, tail;

    if (m->cut != 0 && left < p->reach)
        return true;
    if (m->len == 0 || !scan_boundary_after(p->after, x->text, at + m->len))
        return false;
    tail = tail_behind(x->text, at + m->end);
    return left - m->len < look_ahead(&x->rules->b->rules[p->rule]) ||
           (tail < MAX_TAIL && m->end + tail == left);
}

void scan_note(struct scan_leaf *x, uint32_t pattern, size_t at, const struct bundle_match *m)
{
    const struct bundle_pattern *p = &x->rules->b->patterns[pattern];
    struct gw_span whole = x->text;
    size_t end = at + m->len, ahead;
    struct scan_match match = {.rule = p->rule,
                               .pattern = pattern,
                               .match_start = at,
                               .match_end = end,
                               .start = at + m->start,
                               .end = at + m->end};
    bool found;

    if (!x->ended && is_live(x, p, at, m)) {
        x->live = x->to = at; /* so nothing else is tried there, nor behind it */
        x->live_pattern = pattern;
        return;
    }
    if (m->len == 0 || m->end <= m->start || !scan_boundary_after(p->after, x->text, end))
        return;
    ahead = look_ahead(&x->rules->b->rules[p->rule]);
    if (x->text.len - end > ahead)
        x->text.len = end + ahead;
    found = scan_judge(x, &match);
    x->text = whole;
    if (!found)
        return;
    for (unsigned i = 0;
         i < MAX_TAIL && match.start > x->floor && is_tail_byte(x->text.ptr[match.start]); i++)
        match.start--;
    match.end += tail_behind(x->text, match.end);
    (void)add_match(x, match);
}

/* Forgets the matches from a live start on: they are found again when it is not live any more. */
static void forget_live(struct scan_leaf *x)
{
    struct dlp_scanner *s = x->s;

    while (s->n_matches > 0 && s->matches[s->n_matches - 1].match_start >= x->live)
        s->n_matches--;
}

/* Tries what the heads leave of every start from `at` on. A match that begins there makes the text one byte longer at least, which
 * tells what is dead. */
static void walk(struct scan_leaf *x, const struct scan_heads *h, size_t at)
{
    struct scan_end end = {at, false};

    x->from = at;
    while (at < x->text.len && x->live == SIZE_MAX && x->st == GW_OK) {
        struct scan_possible possible;
        uint32_t pattern = 0;
        size_t to = 0;
        unsigned tier = bundle_tier(at + 1, &to);

        scan_set_dead(x, at + 1);
        to = to < x->text.len ? to : x->text.len;
        at = scan_heads_next(h, x->dead == NULL ? 0 : tier, x->text, at, to, &end, &possible);
        if (at == to)
            continue;
        while (x->live == SIZE_MAX && x->st == GW_OK && scan_heads_pattern(h, &possible, &pattern))
            scan_try(x, pattern, at);
        at++;
    }
}

/* Decides about the starts from `from` on. */
static void scan_starts(struct scan_leaf *x, const struct scan_heads *h, size_t from)
{
    const size_t least = WORTH_A_FILTER;
    size_t tail = x->text.len - from > 2 * least ? scan_heads_tail(h, x->text, from) : from;

    x->s->n_matches = 0;
    if (tail > from + least) {
        x->to = tail;
        scan_set_dead(x, from + 1);
        scan_all(x);
        from = tail;
    }
    if (x->live == SIZE_MAX && x->st == GW_OK) {
        x->to = x->text.len;
        walk(x, h, from);
    }
}

enum gw_status scan_grow(struct scan_leaf *x, uint32_t *hint)
{
    const struct scan_heads *h = scan_heads_get(x->s, x->rules);
    size_t from = x->from;

    if (h == NULL)
        return GW_ENOMEM;
    x->s->n_matches = 0;
    x->live = SIZE_MAX;
    x->to = x->text.len;
    scan_set_dead(x, from + 1);
    if (*hint < x->rules->b->n_patterns && from < x->text.len)
        scan_try(x, *hint, from);
    if (x->live == SIZE_MAX)
        scan_starts(x, h, from);
    if (x->live == SIZE_MAX)
        x->live = x->text.len;
    else
        *hint = x->live_pattern;
    forget_live(x);
    return x->st;
}
