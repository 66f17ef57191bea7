/* dlp/rulec_anchor.c - chooses anchors.
 *
 * The tree is written out as sequences of byte sets with gaps between them, alternatives multiplied out
 * as far as that stays small; each sequence offers windows and runs, and the rarest by an estimate of
 * byte frequencies in text and code is taken. Thread: any, one per arena. */
#include "dlp/rulec_anchor.h"

#include <float.h>
#include <string.h>

enum {
    MAX_ELEMENTS = 40,
    MAX_CROSS = 256,
    MAX_COPIES = 6,
    MAX_FOLDED = 4, /* characters of a place whose groups of four are looked up */
    MAX_SAME = 12,  /* anchors of one window that are told apart by what is around it */
};

/* The dearest anchor that is taken: one candidate every fifty bytes. */
static const double MAX_COST = 0.02;
/* Long tokens are rare in text, but each brings several candidates. */
static const double RUN_COST = 2e-4;
/* What four characters cost at most that the table of frequent ones does not have. */
static const double SELDOM_GRAM = 5e-5;

enum element_kind { ELEMENT_SET, ELEMENT_GAP, ELEMENT_RUN };

struct element {
    enum element_kind kind;
    struct bundle_set set;                /* GAP: what it may hold */
    double share[RULEC_KINDS];            /* SET: of each kind's bytes those in it */
    uint8_t value, mask;                  /* SET: rulec_common_bits */
    uint8_t folded[MAX_FOLDED], n_folded; /* SET: its bytes without case; 0: more than that */
    long min, max;                        /* GAP: width; RUN: min bytes, and no width */
    bool is_loop;                         /* GAP: any bytes of its set will do */
};

struct sequence {
    const struct element *e[MAX_ELEMENTS];
    unsigned n;
};

struct sequences {
    struct sequence **s;
    unsigned n, cap;
};

/* What a window costs that was asked for last; sequences have most of theirs in common. */
struct known_cost {
    const struct element *e[BUNDLE_WINDOW_BYTES]; /* NULL: anything */
    double cost;
};

enum { KNOWN_COSTS = 64 };

struct finder {
    struct gw_arena *arena;
    struct known_cost costs[KNOWN_COSTS]; /* by the address of the first element */
    struct bundle_set first;              /* what a match begins with */
    bool failed;                          /* out of memory */
};

void rulec_token_set(struct bundle_set *out)
{
    memset(out, 0, sizeof(*out));
    for (unsigned b = 0; b < 128; b++)
        if ((b >= '0' && b <= '9') || (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z') ||
            b == '+' || b == '/' || b == '=' || b == '_' || b == '-')
            rx_set_add(out, b);
}

/* ---- sequences -------------------------------------------------------------------------- */

/* Appends a copy of e, which all sequences share. False when out of memory. */
static bool push(struct finder *x, struct sequences *all, const struct element *e)
{
    struct element *own = gw_arena_alloc(x->arena, sizeof(*own));

    if (own == NULL) {
        x->failed = true;
        return false;
    }
    *own = *e;
    /* A sequence that is full just ends: what follows offers no anchor. */
    for (unsigned i = 0; i < all->n; i++)
        if (all->s[i]->n < MAX_ELEMENTS)
            all->s[i]->e[all->s[i]->n++] = own;
    return true;
}

uint8_t rulec_common_bits(const struct bundle_set *s, uint8_t *value)
{
    unsigned all = 0xff, any = 0;

    for (unsigned i = 0; i < 8; i++) {
        for (uint32_t bits = s->w[i]; bits != 0; bits &= bits - 1) {
            unsigned byte = i * 32 + (unsigned)__builtin_ctz(bits);

            all &= byte;
            any |= byte;
        }
    }
    *value = (uint8_t)(all & any);
    return any == 0 ? 0 : (uint8_t) ~(all ^ any);
}

/* Fills in the bytes of e's set without case, when they are few. */
static void fold_set(struct element *e)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        bool upper = byte >= 'A' && byte <= 'Z';

        if (!rx_set_has(&e->set, byte) || (upper && rx_set_has(&e->set, byte | 0x20)))
            continue;
        if (e->n_folded == MAX_FOLDED) {
            e->n_folded = 0;
            return;
        }
        e->folded[e->n_folded++] = (uint8_t)(upper ? byte | 0x20 : byte);
    }
}

static bool push_set(struct finder *x, struct sequences *all, const struct rx_node *n)
{
    struct element e = {.kind = ELEMENT_SET, .set = n->set};

    rulec_kind_shares(&n->set, e.share);
    e.mask = rulec_common_bits(&n->set, &e.value);
    fold_set(&e);
    return push(x, all, &e);
}

static bool push_gap(struct finder *x, struct sequences *all, const struct rx_node *n, long min,
                     long max)
{
    struct element e = {.kind = ELEMENT_GAP, .min = min, .max = max, .is_loop = n->kind == RX_SET};

    rx_all(n, &e.set);
    return push(x, all, &e);
}

/* Appends copies of from to into; false (into unchanged) when there are too many. */
static bool add_copies(struct finder *x, struct sequences *into, const struct sequences *from,
                       unsigned cap)
{
    if (into->n + from->n > cap)
        return false;
    if (into->n + from->n > into->cap) {
        unsigned new_cap = (into->n + from->n) * 2;
        struct sequence **s = gw_arena_array(x->arena, new_cap, sizeof(struct sequence *));

        if (s == NULL) {
            x->failed = true;
            return false;
        }
        for (unsigned i = 0; i < into->n; i++)
            s[i] = into->s[i];
        into->s = s;
        into->cap = new_cap;
    }
    for (unsigned i = 0; i < from->n; i++) {
        struct sequence *copy = gw_arena_alloc(x->arena, sizeof(*copy));

        if (copy == NULL) {
            x->failed = true;
            return false;
        }
        *copy = *from->s[i];
        into->s[into->n++] = copy;
    }
    return true;
}

static bool expand(struct finder *x, struct sequences *all, const struct rx_node *n);

/* Multiplies out; false when that would be too much (all unchanged, or x->failed). */
static bool expand_alt(struct finder *x, struct sequences *all, const struct rx_node *n,
                       bool or_none)
{
    struct sequences out = {NULL, 0, 0};
    unsigned cap = all->n == 1 && !or_none ? RULEC_MAX_ANCHORS : MAX_CROSS;

    for (const struct rx_node *k = n->kid; k != NULL; k = k->next) {
        struct sequences one = {NULL, 0, 0};

        if (!add_copies(x, &one, all, cap) || !expand(x, &one, k) ||
            !add_copies(x, &out, &one, cap))
            return false;
    }
    if (or_none && !add_copies(x, &out, all, cap))
        return false;
    *all = out;
    return true;
}

static bool node_gap(struct finder *x, struct sequences *all, const struct rx_node *n)
{
    long min = 0, max = 0;

    rx_width(n, &min, &max);
    return push_gap(x, all, n, min, max);
}

static bool expand_repeat(struct finder *x, struct sequences *all, const struct rx_node *n)
{
    struct bundle_set token, both;
    long kid_min = 0, kid_max = 0;
    int copies = n->min < MAX_COPIES ? n->min : MAX_COPIES;

    if (n->kid->kind == RX_SET && n->min >= RULEC_MIN_RUN) {
        rulec_token_set(&token);
        both = token;
        rx_set_join(&both, &n->kid->set);
        if (memcmp(&both, &token, sizeof(both)) == 0) {
            struct element e = {.kind = ELEMENT_RUN, .set = n->kid->set, .min = n->min};

            if (!push(x, all, &e))
                return false;
        }
    }
    if (n->min == 0 && n->max == 1 && all->n <= 16 && expand_alt(x, all, n, true))
        return true;
    if (x->failed)
        return false;
    for (int i = 0; i < copies; i++)
        if (!expand(x, all, n->kid))
            return false;
    rx_width(n->kid, &kid_min, &kid_max);
    if (n->max != copies || n->min != copies) {
        long rest = n->max == RX_INFINITE || kid_max == RX_INFINITE ? RX_INFINITE
                                                                    : (n->max - copies) * kid_max;

        return push_gap(x, all, n->kid, (n->min - copies) * kid_min, rest);
    }
    return true;
}

/* Appends n to every sequence. False only when out of memory. */
static bool expand(struct finder *x, struct sequences *all, const struct rx_node *n)
{
    switch (n->kind) {
    case RX_EMPTY:
        return true;
    case RX_SET:
        return push_set(x, all, n);
    case RX_ALT:
        return expand_alt(x, all, n, false) || (!x->failed && node_gap(x, all, n));
    case RX_REPEAT:
        return expand_repeat(x, all, n);
    case RX_CAT:
    case RX_SECRET:
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
            if (!expand(x, all, k))
                return false;
        return true;
    }
    return true;
}

/* ---- choice ----------------------------------------------------------------------------- */

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
           n * e[given]->n_folded <= MAX_FOLDED * MAX_FOLDED)
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
static double window_cost(struct finder *x, const struct sequence *s, unsigned i)
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
static bool is_alike(const struct finder *x, const struct sequence *s, unsigned i)
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

/* The cheapest anchor of one sequence; cost DBL_MAX when there is none. */
static void choose(struct finder *x, const struct sequence *s, struct rulec_anchor *best)
{
    struct bundle_set between = {{0}};
    long min = 0, max = 0;

    best->cost = DBL_MAX;
    for (unsigned i = 0; i < s->n; i++) {
        const struct element *e = s->e[i];
        double cost = RUN_COST;

        if (e->kind == ELEMENT_GAP) {
            max = e->max == RX_INFINITE ? RULEC_MAX_OFFSET + 1 : max + e->max;
            min += e->min;
            rx_set_join(&between, &e->set);
        }
        if (max > RULEC_MAX_OFFSET)
            return;
        if (e->kind == ELEMENT_GAP)
            continue;
        if (e->kind == ELEMENT_SET)
            cost = window_cost(x, s, i);
        cost *= 1.0 + .02 * (double)(max - min);
        if (cost < best->cost) {
            *best = (struct rulec_anchor){
                .min = (unsigned)min, .max = (unsigned)max, .between = between, .cost = cost};
            if (e->kind == ELEMENT_SET) {
                best->alike = is_alike(x, s, i);
                window_at(s, i, best);
                look_around(s, i, best);
            } else {
                best->run = (unsigned)e->min;
                best->set[0] = e->set;
            }
        }
        if (e->kind == ELEMENT_SET) {
            min++;
            max++;
            rx_set_join(&between, &e->set);
        }
    }
}

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
    struct finder x = {.arena = arena};
    struct sequence first = {.n = 0}, *only = &first;
    struct sequences all = {&only, 1, 1};
    struct rulec_anchor *anchors = NULL;
    unsigned n = 0;

    rx_first(root, &x.first);
    if (!expand(&x, &all, root))
        return gw_fail(err, GW_ENOMEM, "pattern: out of memory");
    anchors = gw_arena_array(arena, all.n, sizeof(*anchors));
    if (anchors == NULL)
        return gw_fail(err, GW_ENOMEM, "pattern: out of memory");
    for (unsigned i = 0; i < all.n; i++) {
        struct rulec_anchor a = {.run = 0};

        choose(&x, all.s[i], &a);
        if (a.cost > MAX_COST)
            return gw_fail(
                err, GW_EINVAL,
                "pattern: nothing rare enough to search for in its first %d bytes; add a "
                "literal (a prefix, a word in front) or bound the repeats before one, as "
                "in [\\w.-]{0,40}key",
                RULEC_MAX_OFFSET);
        add_anchor(anchors, &n, &a);
    }
    *out = anchors;
    *n_out = n;
    return GW_OK;
}
