/* dlp/rulec_head.c - which bytes can stand at each of the first places of a match, and how long it can be.
 *
 * Offsets are bits of a mask, the last one standing for all beyond: a node takes the offsets it can begin at and says at which
 * it can end. Each offset is taken once a node and repeat, so the work is bounded; a pattern that would still take too long gets
 * heads that say nothing. Thread: any. */
#include <string.h>

#include "dlp/rulec_regex.h"

enum { BEYOND = BUNDLE_HEAD_BYTES, MAX_HEAD_WORK = 200000 };

struct head {
    struct bundle_set *set;
    unsigned work;
    const struct rx_node *alt; /* of this node only the kids [from, to) count; NULL: all of all */
    unsigned from, to;
    uint64_t length; /* of such a kid, which is one and begins the match, as a bit; 0: any */
};

static uint32_t step(uint32_t at)
{
    uint32_t all = (UINT32_C(1) << (BEYOND + 1)) - 1;

    return ((at << 1) & all) | (at & UINT32_C(1) << BEYOND);
}

static uint32_t walk(struct head *h, const struct rx_node *n, uint32_t at);
static uint64_t between(struct head *h, const struct rx_node *n, uint64_t at, uint64_t ends);

/* Adds the bytes of a kid of h->alt. */
static uint32_t walk_kid(struct head *h, const struct rx_node *kid, uint32_t at)
{
    if (h->length == 0)
        return walk(h, kid, at);
    (void)between(h, kid, at, h->length);
    return (uint32_t)h->length;
}

static uint32_t walk_repeat(struct head *h, const struct rx_node *n, uint32_t at)
{
    uint32_t ends = 0, done = 0;
    int least = n->min > BEYOND + 1 ? BEYOND + 1 : n->min;

    for (int i = 0; i < least && at != 0; i++)
        at = walk(h, n->kid, at);
    ends = at;
    for (int i = n->min; (n->max == RX_INFINITE || i < n->max) && (at & ~done) != 0; i++) {
        uint32_t now = at & ~done;

        done |= now;
        at = walk(h, n->kid, now);
        ends |= at;
    }
    return ends;
}

/* Adds the bytes of n, which begins at the offsets of at; returns where it can end. */
static uint32_t walk(struct head *h, const struct rx_node *n,
                     uint32_t at) // NOLINT(misc-no-recursion)
{
    uint32_t ends = 0;
    unsigned kid = 0;

    if (++h->work > MAX_HEAD_WORK)
        return at;
    switch (n->kind) {
    case RX_EMPTY:
        return at;
    case RX_SET:
        for (uint32_t bits = at & ~(UINT32_C(1) << BEYOND); bits != 0; bits &= bits - 1)
            rx_set_join(&h->set[__builtin_ctz(bits)], &n->set);
        return step(at);
    case RX_ALT:
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next, kid++)
            if (n != h->alt)
                ends |= walk(h, k, at);
            else if (kid >= h->from && kid < h->to)
                ends |= walk_kid(h, k, at);
        return ends;
    case RX_REPEAT:
        return walk_repeat(h, n, at);
    case RX_CAT:
    case RX_SECRET:
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
            at = walk(h, k, at);
        return at;
    }
    return at;
}

/* The bytes that may stand right behind a match; NUL stands for the end of the text. */
static void behind(enum rulec_boundary after, struct bundle_set *out)
{
    static const struct bundle_set word = {{0, 0x03ff0000, 0x87fffffe, 0x07fffffe, 0, 0, 0, 0}};

    memset(out, after == RULEC_BOUNDARY_LINE ? 0 : 0xff, sizeof(*out));
    if (after == RULEC_BOUNDARY_LINE) {
        rx_set_add(out, 0);
        rx_set_add(out, '\n');
        rx_set_add(out, '\r');
    } else if (after != RULEC_BOUNDARY_NONE) {
        for (unsigned i = 0; i < 8; i++)
            out->w[i] &= ~word.w[i];
    }
}

static void fill(struct head *h, const struct rx_node *n, enum rulec_boundary after)
{
    struct bundle_set *out = h->set, next;
    uint32_t ends;
    bool ended = false;

    memset(out, 0, sizeof(*out) * BUNDLE_HEAD_BYTES);
    behind(after, &next);
    ends = walk(h, n, 1);
    for (unsigned i = 0; i < BUNDLE_HEAD_BYTES; i++) {
        if (ended || h->work > MAX_HEAD_WORK)
            memset(&out[i], 0xff, sizeof(out[i]));
        else if ((ends >> i & 1) != 0)
            rx_set_join(&out[i], &next);
        ended = ended || (ends >> i & 1) != 0;
    }
}

/* The alternatives that every match begins with; NULL: none. */
static const struct rx_node *first_alt(const struct rx_node *n)
{
    while (n != NULL && (n->kind == RX_CAT || n->kind == RX_SECRET))
        n = n->kid;
    return n != NULL && n->kind == RX_ALT ? n : NULL;
}

/* ---- lengths ------------------------------------------------------------------------------ */

enum { LONGEST = 63, MAX_LENGTH_WORK = 20000 };

static uint64_t ends_of(const struct rx_node *n, uint64_t at, unsigned *work);

static uint64_t ends_of_repeat(const struct rx_node *n, uint64_t at, unsigned *work)
{
    uint64_t ends = 0, done = 0;
    int least = n->min > LONGEST + 1 ? LONGEST + 1 : n->min;

    for (int i = 0; i < least && at != 0; i++)
        at = ends_of(n->kid, at, work);
    ends = at;
    for (int i = n->min; (n->max == RX_INFINITE || i < n->max) && (at & ~done) != 0; i++) {
        uint64_t now = at & ~done;

        done |= now;
        at = ends_of(n->kid, now, work);
        ends |= at;
    }
    return ends;
}

/* Where n can end that begins at the offsets of at. */
static uint64_t ends_of(const struct rx_node *n, uint64_t at,
                        unsigned *work) // NOLINT(misc-no-recursion)
{
    uint64_t ends = 0;

    if (++*work > MAX_LENGTH_WORK)
        return UINT64_MAX;
    switch (n->kind) {
    case RX_EMPTY:
        return at;
    case RX_SET:
        return at << 1 | (at & UINT64_C(1) << LONGEST);
    case RX_ALT:
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
            ends |= ends_of(k, at, work);
        return ends;
    case RX_REPEAT:
        return ends_of_repeat(n, at, work);
    case RX_CAT:
    case RX_SECRET:
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
            at = ends_of(k, at, work);
        return at;
    }
    return UINT64_MAX;
}

uint64_t rx_lengths(const struct rx_node *n)
{
    unsigned work = 0;
    uint64_t ends = ends_of(n, 1, &work);

    return work > MAX_LENGTH_WORK ? UINT64_MAX : ends;
}

/* ---- heads of matches of one length ------------------------------------------------------- */

/* between() adds the bytes of n, where it begins at some offset of `at` and ends at some of `ends`; returns those where it can begin. */
static uint64_t between_kids(struct head *h, const struct rx_node *kid, uint64_t at, uint64_t ends)
{
    unsigned work = 0;

    if (kid == NULL || at == 0)
        return at & ends;
    ends = between_kids(h, kid->next, ends_of(kid, at, &work), ends);
    return between(h, kid, at, ends);
}

/* The same for a repeat that was gone through `round` times. */
static uint64_t between_rounds(struct head *h, const struct rx_node *n, int round, uint64_t at,
                               uint64_t ends)
{
    uint64_t from = round >= n->min ? at & ends : 0;
    unsigned work = 0;

    if (at == 0 || round > LONGEST || (n->max != RX_INFINITE && round >= n->max))
        return from;
    ends = between_rounds(h, n, round + 1, ends_of(n->kid, at, &work), ends);
    return from | between(h, n->kid, at, ends);
}

static uint64_t between(struct head *h, const struct rx_node *n, uint64_t at,
                        uint64_t ends) // NOLINT(misc-no-recursion)
{
    uint64_t from = 0;

    if (++h->work > MAX_HEAD_WORK)
        return at;
    switch (n->kind) {
    case RX_EMPTY:
        return at & ends;
    case RX_SET:
        from = at & ends >> 1;
        for (uint64_t bits = from & ((UINT64_C(1) << BEYOND) - 1); bits != 0; bits &= bits - 1)
            rx_set_join(&h->set[__builtin_ctzll(bits)], &n->set);
        return from;
    case RX_ALT:
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
            from |= between(h, k, at, ends);
        return from;
    case RX_REPEAT:
        return between_rounds(h, n, 0, at, ends);
    case RX_CAT:
    case RX_SECRET:
        return between_kids(h, n->kid, at, ends);
    }
    return at;
}

/* Does every match begin with a digit? */
static bool is_number(const struct rx_node *n)
{
    static const struct bundle_set digits = {{0, 0x03ff0000, 0, 0, 0, 0, 0, 0}};
    struct bundle_set first = {{0}};

    rx_first(n, &first);
    for (unsigned i = 0; i < 8; i++)
        if ((first.w[i] & ~digits.w[i]) != 0)
            return false;
    return true;
}

/* Numbers are told from each other by how long they are: a head for each length, when they are few. 0: they are not, or it is no number. */
static unsigned heads_by_length(const struct rx_node *n, enum rulec_boundary after,
                                struct bundle_set out[BUNDLE_HEADS][BUNDLE_HEAD_BYTES])
{
    uint64_t lengths = rx_lengths(n);
    struct bundle_set next;
    unsigned n_heads = 0;

    if (!is_number(n))
        return 0;
    if (after == RULEC_BOUNDARY_NONE || (lengths >> LONGEST & 1) != 0 ||
        __builtin_popcountll(lengths) < 2 || __builtin_popcountll(lengths) > BUNDLE_HEADS)
        return 0;
    behind(after, &next);
    for (; lengths != 0; lengths &= lengths - 1) {
        unsigned length = (unsigned)__builtin_ctzll(lengths);
        struct head h = {.set = out[n_heads++]};

        memset(h.set, 0, sizeof(*h.set) * BUNDLE_HEAD_BYTES);
        (void)between(&h, n, 1, UINT64_C(1) << length);
        if (h.work > MAX_HEAD_WORK)
            return 0;
        for (unsigned i = length; i < BUNDLE_HEAD_BYTES; i++)
            h.set[i] = next;
        if (length + 1 < BUNDLE_HEAD_BYTES)
            memset(&h.set[length + 1], 0xff, sizeof(next) * (BUNDLE_HEAD_BYTES - length - 1));
    }
    return n_heads;
}

/* The same of what they begin with, such as 25[0-5]|2[0-4]\d|1?\d?\d in front of a point: a head for each length of each alternative. */
static unsigned heads_by_beginning(const struct rx_node *n, const struct rx_node *alt,
                                   enum rulec_boundary after,
                                   struct bundle_set out[BUNDLE_HEADS][BUNDLE_HEAD_BYTES])
{
    unsigned n_heads = 0, kid = 0;

    if (alt == NULL || !is_number(n))
        return 0;
    for (const struct rx_node *k = alt->kid; k != NULL; k = k->next, kid++)
        for (uint64_t left = rx_lengths(k); left != 0; left &= left - 1) {
            struct head h = {.alt = alt, .from = kid, .to = kid + 1, .length = left & -left};

            if (n_heads == BUNDLE_HEADS || h.length >= UINT64_C(1) << BEYOND)
                return 0;
            h.set = out[n_heads++];
            fill(&h, n, after);
            if (h.work > MAX_HEAD_WORK)
                return 0;
        }
    return n_heads;
}

/* ---- all of it ---------------------------------------------------------------------------- */

unsigned rx_heads(const struct rx_node *n, enum rulec_boundary after,
                  struct bundle_set out[BUNDLE_HEADS][BUNDLE_HEAD_BYTES])
{
    const struct rx_node *alt = first_alt(n);
    unsigned n_kids = 0, n_heads = heads_by_length(n, after, out);

    if (n_heads == 0)
        n_heads = heads_by_beginning(n, alt, after, out);
    if (n_heads != 0)
        return n_heads;
    for (const struct rx_node *k = alt == NULL ? NULL : alt->kid; k != NULL; k = k->next)
        n_kids++;
    n_heads = n_kids == 0 ? 1 : (n_kids < BUNDLE_HEADS ? n_kids : BUNDLE_HEADS);
    for (unsigned i = 0; i < n_heads; i++) {
        struct head h = {.set = out[i],
                         .alt = alt,
                         .from = i * n_kids / n_heads,
                         .to = (i + 1) * n_kids / n_heads};

        fill(&h, n, after);
    }
    return n_heads;
}
