/* dlp/scan_judge.c - what a match is worth: length, reject list, validators, context words.
 * Thread: any; no state. */
#include <string.h>

#include "dlp/scan.h"

enum { CHECK_WORK = 32 }; /* what a validator costs a byte, in steps of scan_leaf.work */

static bool is_alnum(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_upper(unsigned char c)
{
    return c >= 'A' && c <= 'Z';
}

/* ---- context words ---------------------------------------------------------------------- */

/* True when a word can begin at `at`: behind no letter or digit, or at a camel's hump. */
static bool word_starts(const unsigned char *t, size_t at)
{
    return at == 0 || !is_alnum(t[at - 1]) || t[at] >= 0x80 ||
           (is_upper(t[at]) && !is_upper(t[at - 1]));
}

static bool word_ends(const unsigned char *t, size_t len, size_t at)
{
    return at == len || !is_alnum(t[at]) || t[at - 1] >= 0x80 ||
           (is_upper(t[at]) && !is_upper(t[at - 1]));
}

static bool is_joint(unsigned char c)
{
    return c == ' ' || c == '_' || c == '-' || c == '.' || (c >= '\t' && c <= '\r');
}

/* True when word stands at `at`; a joint or a hump in it stands for any joints, or none. */
static bool word_at(struct gw_span text, size_t at, const struct bundle_text *word)
{
    const unsigned char *t = (const unsigned char *)text.ptr;

    for (uint32_t i = 0; i < word->len; i++) {
        unsigned char c = (unsigned char)word->ptr[i];
        bool hump = i > 0 && is_upper(c) && !is_upper((unsigned char)word->ptr[i - 1]);

        while ((is_joint(c) || hump) && at < text.len && is_joint(t[at]))
            at++;
        if (is_joint(c))
            continue;
        if (at == text.len || gw_ascii_lower(text.ptr[at]) != gw_ascii_lower(word->ptr[i]))
            return false;
        at++;
    }
    return word_ends(t, text.len, at);
}

bool scan_has_word(struct gw_span text, size_t from, size_t to, const struct bundle_text *words,
                   const struct bundle_slots *slots)
{
    const unsigned char *t = (const unsigned char *)text.ptr;

    text.len = to;
    for (size_t at = from; at < to; at++) {
        unsigned slot = t[at] & 31; /* of both cases */
        unsigned second = at + 1 < to ? t[at + 1] & 31 : 0;

        if ((slots->pair[slot] >> second & 1) == 0 || !word_starts(t, at))
            continue;
        for (unsigned i = slots->first[slot]; i < slots->first[slot + 1]; i++)
            if (word_at(text, at, &words[i]))
                return true;
    }
    return false;
}

/* True when the rule's words or keys are near the span or in the key above it. */
static bool has_context(const struct scan_leaf *x, uint32_t rule, size_t start, size_t end)
{
    const struct bundle_rule *r = &x->rules->b->rules[rule];
    const struct bundle_slots *words = &x->rules->words[rule], *keys = &x->rules->keys[rule];
    size_t from = start > r->within ? start - r->within : 0;
    size_t to = x->text.len - end > r->within ? end + r->within : x->text.len;

    return (r->n_words > 0 && (scan_has_word(x->text, from, start, r->words, words) ||
                               scan_has_word(x->text, end, to, r->words, words) ||
                               scan_has_word(x->key, 0, x->key.len, r->words, words))) ||
           (r->n_keys > 0 && scan_has_word(x->key, 0, x->key.len, r->keys, keys));
}

/* ---- reject list ------------------------------------------------------------------------ */

/* Glob over the whole span, * and ?, without case; linear but for one level of going back. */
static bool glob_matches(struct gw_span s, const struct bundle_text *g)
{
    size_t i = 0, k = 0, star = SIZE_MAX, mark = 0;

    while (i < s.len) {
        if (k < g->len && g->ptr[k] == '*') {
            star = k++;
            mark = i;
        } else if (k < g->len &&
                   (g->ptr[k] == '?' || gw_ascii_lower(g->ptr[k]) == gw_ascii_lower(s.ptr[i]))) {
            i++;
            k++;
        } else if (star != SIZE_MAX) {
            k = star + 1;
            i = ++mark;
        } else {
            return false;
        }
    }
    while (k < g->len && g->ptr[k] == '*')
        k++;
    return k == g->len;
}

static bool contains(struct gw_span s, const struct bundle_text *word)
{
    for (size_t at = 0; at + word->len <= s.len; at++)
        if (gw_span_eq_nocase((struct gw_span){s.ptr + at, word->len},
                              (struct gw_span){word->ptr, word->len}))
            return true;
    return false;
}

static bool is_rejected(const struct bundle_rule *r, struct gw_span s)
{
    for (unsigned i = 0; i < r->n_rejects; i++) {
        const struct bundle_text *entry = &r->rejects[i];
        bool is_glob = memchr(entry->ptr, '*', entry->len) != NULL ||
                       memchr(entry->ptr, '?', entry->len) != NULL;

        if (is_glob ? glob_matches(s, entry) : contains(s, entry))
            return true;
    }
    return false;
}

/* ---- the sum ---------------------------------------------------------------------------- */

bool scan_judge(struct scan_leaf *x, uint32_t rule, size_t match_start, size_t match_end,
                size_t start, size_t end, unsigned *confidence)
{
    const struct bundle_rule *r = &x->rules->b->rules[rule];
    struct dlp_validate_in in = {.text = x->text,
                                 .start = start,
                                 .end = end,
                                 .match_start = match_start,
                                 .match_end = match_end,
                                 .key = x->key};
    int sum = (int)r->confidence;
    bool near = false;

    if (end - start < r->min_len || end - start > r->max_len ||
        is_rejected(r, (struct gw_span){x->text.ptr + start, end - start}))
        return false;
    /* Where it is required, context is the cheapest way out. */
    if (r->required != 0) {
        x->work += (uint64_t)r->within * 2;
        near = has_context(x, rule, start, end);
        if (!near)
            return false;
    }
    x->work += (uint64_t)(end - start) * r->n_checks * CHECK_WORK;
    for (unsigned i = 0; i < r->n_checks; i++) {
        int change = 0;

        in.num = r->checks[i].num;
        in.str = gw_span_str(r->checks[i].str);
        change = x->rules->validators[x->rules->first_validator[rule] + i]->validate(&in);
        if (change == DLP_VALIDATE_REJECT)
            return false;
        sum += change;
    }
    sum = sum < 0 ? 0 : (sum > 100 ? 100 : sum);
    if (r->boost != 0 && r->n_words + r->n_keys > 0 && !near)
        near = has_context(x, rule, start, end);
    sum += near ? r->boost : 0;
    sum = sum < 0 ? 0 : (sum > 100 ? 100 : sum);
    *confidence = (unsigned)sum;
    return *confidence >= x->report_from;
}
