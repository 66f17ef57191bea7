/* dlp/rulec_choice.c - chooses anchors: of each sequence the rarest window or run by an estimate of byte frequencies in text and code, but
 * no more of them than are needed. Thread: any, one per arena. */
#include <float.h>
#include <string.h>

#include "dlp/rulec_sequence.h"

enum { MAX_SAME = 12 }; /* anchors of one window that are told apart by what is around it */

/* The dearest anchor that is taken: one candidate every fifty bytes. */
static const double MAX_COST = 0.02;
/* Long tokens are rare in text, but each brings several candidates. */
static const double RUN_COST = 2e-4;
/* What four characters cost at most that the table of frequent ones does not have. */
static const double SELDOM_GRAM = 5e-5;

/* What a word costs at most for which a pattern goes without wide windows: these have it looked for at every number. */
static const double SELDOM_WORD = 1e-4;

/* What a window costs that was asked for last; sequences have most of theirs in common. */
struct known_cost {
    const struct element *e[BUNDLE_WINDOW_BYTES]; /* NULL: anything */
    double cost;
};

enum { KNOWN_COSTS = 64 };

struct chooser {
    struct known_cost costs[KNOWN_COSTS]; /* by the address of the first element */
    struct bundle_set first;              /* what a match begins with */
};

/* How often text is expected to hold four bytes in a row of sets that hold these shares of each kind. */
static double cost_of(const double *const share[BUNDLE_WINDOW_BYTES])
{
    /* What stands behind what, in prose and code, roughly. */
    static const double next[RULEC_KINDS][RULEC_KINDS] = {
        {.80, .005, .005, .13, .06}, {.45, .42, .02, .06, .05}, {.05, .02, .55, .13, .25},
        {.62, .12, .05, .10, .11},   {.25, .08, .08, .30, .29},
    };
    double at[RULEC_KINDS] = {.66, .05, .02, .17, .10}, cost = 0;

    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++) {
        double behind[RULEC_KINDS] = {0};

        for (unsigned k = 0; k < RULEC_KINDS; k++) {
            at[k] *= share[place][k];
            for (unsigned to = 0; to < RULEC_KINDS; to++)
                behind[to] += at[k] * next[k][to];
        }
        if (place + 1 < BUNDLE_WINDOW_BYTES)
            memcpy(at, behind, sizeof(at));
    }
    for (unsigned k = 0; k < RULEC_KINDS; k++)
        cost += at[k];
    return cost;
}

double rulec_window_cost(const struct bundle_set window[BUNDLE_WINDOW_BYTES])
{
    double share[BUNDLE_WINDOW_BYTES][RULEC_KINDS];
    const double *const of[BUNDLE_WINDOW_BYTES] = {share[0], share[1], share[2], share[3]};

    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
        rulec_kind_shares(&window[place], share[place]);
    return cost_of(of);
}

static void fill(struct bundle_set *s)
{
    memset(s, 0xff, sizeof(*s));
}

/* The share of text that a set's bytes are, at most all. */
static double share_of_text(const struct element *e)
{
    double sum = e == NULL ? 1 : rulec_set_frequency(&e->set);

    return sum < 1 ? sum : 1;
}

/* The same of a window that begins with two or more places of few characters each, by what is known of these; cost: by their kinds. */
static double cost_of_grams(const struct element *const e[BUNDLE_WINDOW_BYTES], double cost)
{
    unsigned n = 1, given = 0;
    double sum = 0, rest_of_it = 1;

    while (given < BUNDLE_WINDOW_BYTES && e[given] != NULL && e[given]->n_folded > 0 &&
           n * e[given]->n_folded <= RULEC_MAX_FOLDED * RULEC_MAX_FOLDED)
        n *= e[given++]->n_folded;
    if (given < 2)
        return cost;
    for (unsigned i = 0; i < n; i++) {
        uint8_t gram[BUNDLE_WINDOW_BYTES] = {0};
        unsigned rest = i;

        for (unsigned k = 0; k < given; k++) {
            gram[k] = e[k]->folded[rest % e[k]->n_folded];
            rest /= e[k]->n_folded;
        }
        sum += rulec_gram_rate(gram);
    }
    for (unsigned k = given; k < BUNDLE_WINDOW_BYTES; k++)
        rest_of_it *= share_of_text(e[k]);
    if (given < BUNDLE_WINDOW_BYTES)
        return sum * rest_of_it > cost ? sum * rest_of_it : cost;
    if (sum > 0)
        return sum;
    return cost < SELDOM_GRAM ? cost : SELDOM_GRAM;
}

/* How often text is expected to hold the window that begins at element i, a set. */
static double window_cost(struct chooser *x, const struct sequence *s, unsigned i)
{
    static const double everything[RULEC_KINDS] = {1, 1, 1, 1, 1};
    struct known_cost *last = &x->costs[(uintptr_t)s->e[i] / sizeof(struct element) % KNOWN_COSTS];
    const struct element *e[BUNDLE_WINDOW_BYTES] = {NULL};
    const double *share[BUNDLE_WINDOW_BYTES];
    bool open = true;

    for (unsigned k = 0; k < BUNDLE_WINDOW_BYTES; k++) {
        open = open && i + k < s->n && s->e[i + k]->kind == ELEMENT_SET;
        e[k] = open ? s->e[i + k] : NULL;
        share[k] = open ? e[k]->share : everything;
    }
    if (memcmp(last->e, e, sizeof(e)) != 0) {
        memcpy(last->e, e, sizeof(e));
        last->cost = cost_of(share);
        last->cost = cost_of_grams(e, last->cost);
    }
    return last->cost;
}

/* The window that begins at element i. */
static void window_at(const struct sequence *s, unsigned i, struct rulec_anchor *a)
{
    bool open = true;

    for (unsigned k = 0; k < BUNDLE_WINDOW_BYTES; k++) {
        open = open && i + k < s->n && s->e[i + k]->kind == ELEMENT_SET;
        if (open) {
            a->set[k] = s->e[i + k]->set;
        } else {
            fill(&a->set[k]);
        }
    }
}

/* What is known of the bytes around the window that begins at element i: as far as sets stand side by side. */
static void look_around(const struct sequence *s, unsigned i, struct rulec_anchor *a)
{
    unsigned at = BUNDLE_AROUND_BEFORE;

    for (unsigned k = i; k < s->n && at < BUNDLE_AROUND_BYTES && s->e[k]->kind != ELEMENT_GAP;
         k++) {
        if (s->e[k]->kind == ELEMENT_SET) {
            a->value[at] = s->e[k]->value & s->e[k]->mask;
            a->mask[at++] = s->e[k]->mask;
        }
    }
    at = BUNDLE_AROUND_BEFORE;
    for (unsigned k = i; k > 0 && at > 0 && s->e[k - 1]->kind != ELEMENT_GAP; k--) {
        if (s->e[k - 1]->kind == ELEMENT_SET) {
            a->mask[--at] = s->e[k - 1]->mask;
            a->value[at] = s->e[k - 1]->value & s->e[k - 1]->mask;
        }
    }
}

static bool is_within(const struct bundle_set *a, const struct bundle_set *b)
{
    uint32_t more = 0;

    for (unsigned i = 0; i < 8; i++)
        more |= a->w[i] & ~b->w[i];
    return more == 0;
}

/* Is what stands in front of element i a row of one set's bytes, of which some may be missing at its beginning, so that all starts in it
 * are alike? Its last bytes may be fewer ones, which are the same for all starts. */
static bool is_alike(const struct chooser *x, const struct sequence *s, unsigned i)
{
    const struct element *loop = NULL;
    unsigned at = 0;

    for (unsigned k = 0; k < i; k++) {
        if (s->e[k]->kind == ELEMENT_RUN || (s->e[k]->kind == ELEMENT_GAP && loop != NULL))
            return false;
        if (s->e[k]->kind == ELEMENT_GAP)
            loop = s->e[at = k];
    }
    if (loop == NULL || !loop->is_loop)
        return false;
    for (unsigned k = 0; k < i; k++) {
        const struct bundle_set *set = &s->e[k]->set;

        if (!is_within(set, &loop->set) ||
            (k < at && !is_within(k == 0 ? &x->first : &loop->set, set)))
            return false;
    }
    return true;
}

/* Is what begins at element i a window that is no literal of the filter? These have few spellings of three bytes at least. */
static bool is_wide(const struct sequence *s, unsigned i)
{
    unsigned n = 1;

    if (s->e[i]->kind != ELEMENT_SET)
        return false;
    for (unsigned k = i; k < i + BUNDLE_WINDOW_BYTES - 1 && n <= RULEC_MAX_SPELLINGS; k++)
        n = k < s->n && s->e[k]->kind == ELEMENT_SET ? n * s->e[k]->n_bytes
                                                     : RULEC_MAX_SPELLINGS + 1;
    return n > RULEC_MAX_SPELLINGS;
}

/* Is it one that has few bytes at each place? */
static bool is_word(const struct sequence *s, unsigned i)
{
    for (unsigned k = i; k < i + BUNDLE_WINDOW_BYTES - 1; k++)
        if (k >= s->n || s->e[k]->kind != ELEMENT_SET || s->e[k]->n_folded == 0)
            return false;
    return !is_wide(s, i);
}

/* What a sequence offers: the window or run that begins at element i. */
struct offer {
    unsigned i;
    long min, max; /* bytes in front of it */
    double cost;
};

/* All that s offers; returns how many. */
static unsigned list_offers(struct chooser *x, const struct sequence *s,
                            struct offer out[RULEC_MAX_ELEMENTS])
{
    unsigned n = 0;
    long min = 0, max = 0;

    for (unsigned i = 0; i < s->n; i++) {
        const struct element *e = s->e[i];
        double cost = RUN_COST;

        if (e->kind == ELEMENT_GAP) {
            max = e->max == RX_INFINITE ? RULEC_MAX_OFFSET + 1 : max + e->max;
            min += e->min;
        }
        if (max > RULEC_MAX_OFFSET)
            break;
        if (e->kind == ELEMENT_GAP)
            continue;
        if (e->kind == ELEMENT_SET)
            cost = window_cost(x, s, i);
        cost *= 1.0 + .02 * (double)(max - min);
        out[n++] = (struct offer){i, min, max, cost};
        min += e->kind == ELEMENT_SET;
        max += e->kind == ELEMENT_SET;
    }
    return n;
}

/* The anchor that is offered. */
static struct rulec_anchor anchor_of(const struct chooser *x, const struct sequence *s,
                                     const struct offer *offer)
{
    struct rulec_anchor a = {
        .min = (unsigned)offer->min, .max = (unsigned)offer->max, .cost = offer->cost};

    for (unsigned i = 0; i < offer->i; i++)
        if (s->e[i]->kind != ELEMENT_RUN)
            rx_set_join(&a.between, &s->e[i]->set);
    if (s->e[offer->i]->kind == ELEMENT_RUN) {
        a.run = (unsigned)s->e[offer->i]->min;
        a.set[0] = s->e[offer->i]->set;
        return a;
    }
    a.alike = is_alike(x, s, offer->i);
    window_at(s, offer->i, &a);
    look_around(s, offer->i, &a);
    rulec_sequel_of(s, offer->i, &a.sequel);
    return a;
}

/* ---- no more than are needed -------------------------------------------------------------- */

/* Of each sequence what was chosen. */
struct choices {
    const struct sequences *of;
    struct offer *offer;
};

/* Begin the two windows or runs with the same elements? */
static bool is_same(const struct sequence *a, unsigned i, const struct sequence *b, unsigned k)
{
    for (unsigned n = 0; n < BUNDLE_WINDOW_BYTES; n++) {
        bool ends = i + n >= a->n || a->e[i + n]->kind != ELEMENT_SET;

        if (ends != (k + n >= b->n || b->e[k + n]->kind != ELEMENT_SET))
            return false;
        if (ends)
            return true;
        if (a->e[i + n] != b->e[k + n])
            return false;
    }
    return true;
}

static void choose(struct choices *c, unsigned i, const struct offer *offer)
{
    struct element *e = c->of->s[i]->e[offer->i];

    c->offer[i] = *offer;
    e->n_users++;
    e->user = i;
}

/* The cheapest of what sequence i offers beside what it chose that another one chose, too; false: there is none. */
static bool find_other(struct chooser *x, const struct choices *c, unsigned i, struct offer *out)
{
    const struct sequence *s = c->of->s[i];
    struct offer all[RULEC_MAX_ELEMENTS];
    unsigned n = list_offers(x, s, all);
    bool found = false;

    for (unsigned k = 0; k < n; k++) {
        const struct element *e = s->e[all[k].i];

        if (e->n_users == 0 || e == s->e[c->offer[i].i] || all[k].cost > MAX_COST ||
            (found && all[k].cost >= out->cost) ||
            !is_same(s, all[k].i, c->of->s[e->user], c->offer[e->user].i))
            continue;
        *out = all[k];
        found = true;
    }
    return found;
}

/* Has every sequence that chose e another choice? */
static bool can_go(struct chooser *x, const struct choices *c, const struct element *e)
{
    struct offer other;

    for (unsigned i = 0; i < c->of->n; i++)
        if (c->of->s[i]->e[c->offer[i].i] == e && !find_other(x, c, i, &other))
            return false;
    return true;
}

/* A window that all of its sequences can do without is not looked for: the signs behind a name are in more places than the name. */
static void drop_choices(struct chooser *x, struct choices *c)
{
    for (unsigned i = 0; i < c->of->n; i++) {
        struct element *e = c->of->s[i]->e[c->offer[i].i];
        struct offer other;

        if (e->is_needed)
            continue;
        e->is_needed = true;
        if (!can_go(x, c, e))
            continue;
        for (unsigned k = i; k < c->of->n; k++)
            if (c->of->s[k]->e[c->offer[k].i] == e && find_other(x, c, k, &other))
                choose(c, k, &other);
        e->n_users = 0;
    }
}

/* The cheapest of what the sequence offers, or of its words, that costs no more than that; false: there is none. */
static bool find_best(struct chooser *x, const struct sequence *s, bool word, double most,
                      struct offer *out)
{
    struct offer all[RULEC_MAX_ELEMENTS];
    unsigned n = list_offers(x, s, all);

    *out = (struct offer){.cost = DBL_MAX};
    for (unsigned k = 0; k < n; k++)
        if (all[k].cost < out->cost && (!word || is_word(s, all[k].i)))
            *out = all[k];
    return out->cost <= most;
}

/* Has every sequence a word that is seldom, while the cheapest of one's is a wide window? */
static bool is_for_words(struct chooser *x, const struct sequences *all)
{
    bool wide = false;

    for (unsigned i = 0; i < all->n; i++) {
        struct offer offer;

        if (!find_best(x, all->s[i], true, SELDOM_WORD, &offer))
            return false;
        wide = wide ||
               (find_best(x, all->s[i], false, MAX_COST, &offer) && is_wide(all->s[i], offer.i));
    }
    return wide;
}

/* Chooses for each sequence; false when one offers nothing that is seldom enough. */
static bool choose_all(struct chooser *x, struct choices *c)
{
    const bool word = is_for_words(x, c->of);

    for (unsigned i = 0; i < c->of->n; i++) {
        struct offer best;

        if (!find_best(x, c->of->s[i], word, MAX_COST, &best))
            return false;
        choose(c, i, &best);
    }
    if (c->of->n > 1)
        drop_choices(x, c);
    return true;
}

/* ---- all of it ---------------------------------------------------------------------------- */

/* Makes a stand for b, too. */
static void widen(struct rulec_anchor *a, const struct rulec_anchor *b)
{
    a->alike = a->alike && b->alike && a->min == b->min && a->max == b->max &&
               memcmp(&a->between, &b->between, sizeof(a->between)) == 0;
    a->min = a->min < b->min ? a->min : b->min;
    a->max = a->max > b->max ? a->max : b->max;
    rx_set_join(&a->between, &b->between);
    for (unsigned k = 0; k < BUNDLE_AROUND_BYTES; k++) {
        a->mask[k] &= b->mask[k] & (uint8_t) ~(a->value[k] ^ b->value[k]);
        a->value[k] &= a->mask[k];
    }
    rulec_sequel_widen(&a->sequel, &b->sequel);
}

/* Adds a, or widens an entry that looks for the same bytes with the same ones around them. */
static void add_anchor(struct rulec_anchor *all, unsigned *n, const struct rulec_anchor *a)
{
    unsigned same = 0;

    for (unsigned i = 0; i < *n; i++) {
        if (all[i].run != a->run || memcmp(all[i].set, a->set, sizeof(a->set)) != 0)
            continue;
        if (++same == MAX_SAME || (memcmp(all[i].value, a->value, sizeof(a->value)) == 0 &&
                                   memcmp(all[i].mask, a->mask, sizeof(a->mask)) == 0)) {
            widen(&all[i], a);
            return;
        }
    }
    all[(*n)++] = *a;
}

enum gw_status rulec_anchors(struct gw_arena *arena, const struct rx_node *root,
                             struct rulec_anchor **out, unsigned *n_out, struct gw_err *err)
{
    struct chooser x = {.costs = {{{NULL}, 0}}};
    struct sequences all;
    struct choices choices = {.of = &all};
    struct rulec_anchor *anchors = NULL;
    unsigned n = 0;

    rx_first(root, &x.first);
    if (!rulec_sequences(arena, root, &all))
        return gw_fail(err, GW_ENOMEM, "pattern: out of memory");
    anchors = gw_arena_array(arena, all.n, sizeof(*anchors));
    choices.offer = gw_arena_array(arena, all.n, sizeof(*choices.offer));
    if (anchors == NULL || choices.offer == NULL)
        return gw_fail(err, GW_ENOMEM, "pattern: out of memory");
    if (!choose_all(&x, &choices))
        return gw_fail(err, GW_EINVAL,
                       "pattern: nothing rare enough to search for in its first %d bytes; add a "
                       "literal (a prefix, a word in front) or bound the repeats before one, as "
                       "in [\\w.-]{0,40}key",
                       RULEC_MAX_OFFSET);
    for (unsigned i = 0; i < all.n; i++) {
        struct rulec_anchor a = anchor_of(&x, all.s[i], &choices.offer[i]);

        add_anchor(anchors, &n, &a);
    }
    for (unsigned i = 0; i < n; i++)
        rulec_sequel_finish(&anchors[i].sequel);
    *out = anchors;
    *n_out = n;
    return GW_OK;
}
