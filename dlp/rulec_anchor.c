/* dlp/rulec_anchor.c - writes a pattern out as sequences of byte sets with gaps between them, alternatives multiplied out as far as that
 * stays small. Each offers windows and runs as anchors (rulec_choice.c). Thread: any, one per arena. */
#include <string.h>

#include "dlp/rulec_sequence.h"

enum {
    MAX_CROSS = 256,
    MAX_COPIES = 6,
};

struct finder {
    struct gw_arena *arena;
    bool failed; /* out of memory */
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
        if (all->s[i]->n < RULEC_MAX_ELEMENTS)
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

/* Fills in the bytes of e's set without case, when they are few, and how many there are. */
static void fold_set(struct element *e)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        bool upper = byte >= 'A' && byte <= 'Z';

        if (!rx_set_has(&e->set, byte) || (upper && rx_set_has(&e->set, byte | 0x20)))
            continue;
        if (e->n_bytes++ < RULEC_MAX_FOLDED)
            e->folded[e->n_bytes - 1] = (uint8_t)(upper ? byte | 0x20 : byte);
    }
    e->n_folded = e->n_bytes <= RULEC_MAX_FOLDED ? (uint8_t)e->n_bytes : 0;
}

static bool push_set(struct finder *x, struct sequences *all, const struct rx_node *n)
{
    struct element e = {.kind = ELEMENT_SET, .set = n->set};

    rulec_kind_shares(&n->set, e.share);
    e.often = rulec_set_frequency(&n->set);
    e.mask = rulec_common_bits(&n->set, &e.value);
    fold_set(&e);
    return push(x, all, &e);
}

static bool push_gap(struct finder *x, struct sequences *all, const struct rx_node *n, long min,
                     long max)
{
    struct element e = {.kind = ELEMENT_GAP, .min = min, .max = max, .is_loop = n->kind == RX_SET};

    rx_all(n, &e.set);
    e.often = rulec_set_frequency(&e.set);
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

bool rulec_sequences(struct gw_arena *arena, const struct rx_node *root, struct sequences *out)
{
    struct finder x = {.arena = arena};
    struct sequence *first = gw_arena_alloc(arena, sizeof(*first));
    struct sequence **only = gw_arena_alloc(arena, sizeof(struct sequence *));

    if (first == NULL || only == NULL)
        return false;
    first->n = 0;
    *only = first;
    *out = (struct sequences){only, 1, 1};
    return expand(&x, out, root);
}
