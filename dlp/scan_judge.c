/* dlp/scan_judge.c - what a match is worth: length, reject lists, validators, contexts, nears. Thread: the scanner's. */
#include "dlp/scan.h"

enum { CHECK_WORK = 32 }; /* what a validator costs a byte, in steps of scan_leaf.work */

/* Says what a part of the sum is, when somebody asked. */
static inline void note(const struct scan_leaf *x, const char *what, struct gw_span detail,
                        int points)
{
    if (x->s->explain != NULL)
        scan_explain_part(x->s->explain, what, detail, points);
}

/* The verdict; dropped says why there is no finding, or is NULL. */
static inline bool end(struct scan_leaf *x, const struct scan_match *m, const char *dropped)
{
    if (x->s->explain != NULL)
        scan_explain_end(x, m, dropped);
    return dropped == NULL;
}

static bool is_rejected(const struct dlp_rules *r, const struct bundle_rule *rule,
                        struct gw_span value)
{
    for (unsigned i = 0; i < rule->n_lists; i++)
        if (scan_list_has(r, rule->lists[i], value))
            return true;
    return false;
}

/* The word or key of context k that is near the span or in the key above it; NULL: none. */
static const struct bundle_text *find_context(const struct scan_leaf *x, const struct scan_match *m,
                                              unsigned k)
{
    const struct bundle_context *c = &x->rules->b->rules[m->rule].contexts[k];
    unsigned index = x->rules->first_context[m->rule] + k;
    const struct bundle_slots *words = &x->rules->words[index], *keys = &x->rules->keys[index];
    size_t from = m->start > c->before ? m->start - c->before : 0;
    size_t to = x->text.len - m->end > c->behind ? m->end + c->behind : x->text.len;
    const struct bundle_text *found = NULL;

    if (c->n_words > 0)
        found = scan_find_word_in(x, from, m->start, index, c->words);
    if (c->n_words > 0 && found == NULL)
        found = scan_find_word_in(x, m->end, to, index, c->words);
    if (found != NULL || x->key.len == 0)
        return found;
    if (c->n_words > 0)
        found = scan_find_word(x->key, 0, x->key.len, c->words, words);
    if (c->n_keys > 0 && found == NULL)
        found = scan_find_word(x->key, 0, x->key.len, c->keys, keys);
    return found;
}

/* Adds the boosts of the contexts that are required, or of the others; false when one is required and not there. */
static bool add_contexts(struct scan_leaf *x, const struct scan_match *m, bool required, int *sum)
{
    const struct bundle_rule *r = &x->rules->b->rules[m->rule];

    for (unsigned i = 0; i < r->n_contexts; i++) {
        const struct bundle_context *c = &r->contexts[i];
        const struct bundle_text *word = NULL;

        if ((c->required != 0) != required || (c->boost == 0 && !required))
            continue;
        if (required)
            x->work += (uint64_t)c->before + c->behind;
        word = find_context(x, m, i);
        if (word != NULL) {
            *sum += c->boost;
            note(x, "context", (struct gw_span){word->ptr, word->len}, c->boost);
        } else if (required) {
            return false;
        }
    }
    return true;
}

/* What validator i of the rule adds; DLP_VALIDATE_REJECT: no finding. */
static int run_check(const struct scan_leaf *x, const struct scan_match *m, unsigned i)
{
    const struct bundle_check *c = &x->rules->b->rules[m->rule].checks[i];
    const struct bundle_checker *v = &x->rules->validators[x->rules->first_validator[m->rule] + i];
    int points = v->v->validate(&(struct dlp_validate_in){.text = x->text,
                                                          .start = m->start,
                                                          .end = m->end,
                                                          .match_start = m->match_start,
                                                          .match_end = m->match_end,
                                                          .key = x->key,
                                                          .num = c->num,
                                                          .str = v->str,
                                                          .scheme = v->scheme});

    if (c->has_steps != 0)
        points = points == DLP_VALIDATE_REJECT || points < 0 ? c->bad : c->ok;
    if (x->s->explain != NULL)
        note(x, "validator", gw_span_str(c->name), points == DLP_VALIDATE_REJECT ? 0 : points);
    return points;
}

/* Looks for the rule's nears and adds their boosts; false when one is required and not there. */
static bool add_nears(struct scan_leaf *x, struct scan_match *m, int *sum)
{
    const struct bundle_rule *r = &x->rules->b->rules[m->rule];

    for (unsigned i = 0; i < r->n_nears; i++) {
        const struct bundle_near *near = &r->nears[i];
        size_t from = 0, to = 0;

        if (!scan_near(x, near, m, &from, &to)) {
            if (near->required != 0)
                return false;
            continue;
        }
        *sum += near->boost;
        note(x, "near", (struct gw_span){NULL, 0}, near->boost);
        /* In a growing text what stands in front may have gone out: the match is what can be hidden. */
        if (near->has_secret != 0 && !x->growing) {
            m->start = from;
            m->end = to;
        }
    }
    return true;
}

/* Several rules match one token, one after the other: the last verdict is remembered. */
bool scan_is_wordy(struct scan_leaf *x, size_t start, size_t end)
{
    struct scan_wordy *w = &x->s->wordy;
    const struct gw_span token = {x->text.ptr + start, end - start};

    if (w->epoch != x->s->epoch || w->start != start || w->end != end)
        *w = (struct scan_wordy){x->s->epoch, start, end,
                                 x->rules->filter.level == PREFILTER_AVX512 && token.len > 0 &&
                                         token.len <= 64
                                     ? dlp_validate_is_wordy_avx512(token)
                                     : dlp_validate_is_wordy(token)};
    return w->wordy;
}

static int clamp(int points)
{
    return points < 0 ? 0 : (points > 100 ? 100 : points);
}

/* Runs the validators; NULL, or the name of the one that says that it is nothing. */
static const char *add_checks(struct scan_leaf *x, const struct scan_match *m, int *sum)
{
    const struct bundle_rule *r = &x->rules->b->rules[m->rule];

    x->work += (uint64_t)(m->end - m->start) * r->n_checks * CHECK_WORK;
    for (unsigned i = 0; i < r->n_checks; i++) {
        int points = run_check(x, m, i);

        if (points == DLP_VALIDATE_REJECT)
            return r->checks[i].name;
        *sum += points;
    }
    return NULL;
}

bool scan_is_rejected(struct scan_leaf *x, uint32_t rule, size_t start, size_t end)
{
    const struct bundle_rule *r = &x->rules->b->rules[rule];
    const struct scan_match m = {
        .rule = rule, .match_start = start, .match_end = end, .start = start, .end = end};
    int sum = 0;

    return end - start < r->min_len || end - start > r->max_len || add_checks(x, &m, &sum) != NULL;
}

static bool judge(struct scan_leaf *x, struct scan_match *m)
{
    const struct bundle_rule *r = &x->rules->b->rules[m->rule];
    int sum = (int)r->confidence, around = 0;
    const char *refused = NULL;

    note(x, "rule", (struct gw_span){NULL, 0}, sum);
    /* First what says which span is judged, then the cheapest ways out. */
    if (!add_nears(x, m, &around))
        return end(x, m, "a required near is not there");
    if (m->end - m->start < r->min_len || m->end - m->start > r->max_len)
        return end(x, m, "its length");
    if (is_rejected(x->rules, r, (struct gw_span){x->text.ptr + m->start, m->end - m->start}))
        return end(x, m, "a reject list");
    if (x->rules->asks_random[m->rule] && scan_is_wordy(x, m->start, m->end))
        return end(x, m, "random");
    if (!add_contexts(x, m, true, &around)) {
        x->s->awake.n_idle++;
        return end(x, m, "a required context is not there");
    }
    /* Values that are gone when the next one comes cannot be counted. */
    if (x->growing && r->min_count > 1)
        return end(x, m, "its count");
    refused = add_checks(x, m, &sum);
    if (refused != NULL)
        return end(x, m, refused);
    (void)add_contexts(x, m, false, &around);
    m->confidence = (uint8_t)clamp(clamp(sum) + around);
    if (m->confidence + (x->growing ? 0u : x->rules->lift[m->rule]) < x->report_from)
        return end(x, m, "its confidence");
    return end(x, m, NULL);
}

/* Is this what the rule was just told is worth nothing? Who asks why is told each time. */
static bool was_refused(const struct scan_leaf *x, const struct scan_match *m)
{
    const struct scan_state *s = &x->s->state[m->rule];

    return s->refused == x->s->epoch && s->start == m->start && s->end == m->end &&
           s->match_start == m->match_start && s->match_end == m->match_end &&
           x->s->explain == NULL;
}

bool scan_judge(struct scan_leaf *x, struct scan_match *m)
{
    struct scan_state *s = &x->s->state[m->rule];
    const struct scan_match asked = *m;

    if (x->growing)
        return judge(x, m);
    if (was_refused(x, m))
        return false;
    if (judge(x, m))
        return true;
    s->refused = x->s->epoch;
    s->match_start = (uint32_t)asked.match_start;
    s->match_end = (uint32_t)asked.match_end;
    s->start = (uint32_t)asked.start;
    s->end = (uint32_t)asked.end;
    return false;
}
