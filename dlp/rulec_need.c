/* dlp/rulec_need.c - which kind of byte every match has near its beginning, and what it has behind the name that it begins with.
 *
 * A start that has sixteen likely bytes is told from most others by what has to follow within the next sixty: a plate's digit, an
 * address's colon. And many rules look for a name to which something is given: what stands behind the name tells most names in a text
 * from these. Thread: any. */
#include <string.h>

#include "dlp/prefilter.h"
#include "dlp/rulec_regex.h"

const uint8_t prefilter_classes[256] = {
    ['0'] = PREFILTER_DIGIT,  ['1'] = PREFILTER_DIGIT, ['2'] = PREFILTER_DIGIT,
    ['3'] = PREFILTER_DIGIT,  ['4'] = PREFILTER_DIGIT, ['5'] = PREFILTER_DIGIT,
    ['6'] = PREFILTER_DIGIT,  ['7'] = PREFILTER_DIGIT, ['8'] = PREFILTER_DIGIT,
    ['9'] = PREFILTER_DIGIT,  [':'] = PREFILTER_COLON, ['='] = PREFILTER_EQUALS,
    ['@'] = PREFILTER_AT,     ['<'] = PREFILTER_LESS,  ['"'] = PREFILTER_QUOTE,
    ['\''] = PREFILTER_QUOTE, ['('] = PREFILTER_ROUND, ['['] = PREFILTER_SQUARE,
    ['{'] = PREFILTER_SQUARE,
};

enum { MOST = 64, NEVER = -1, FAR = 1 << 20 };

/* Beside the classes of prefilter_classes: the bytes that no name has. */
enum { NO_NAME = 1 << PREFILTER_CLASSES };

/* Of the strings of a node: those that have a byte of the class have the first one among their first `with` bytes; those that have none
 * are `without` bytes at most. NEVER: there are none of the kind. */
struct reach {
    int with, without;
};

static int most(int a, int b)
{
    return a > b ? a : b;
}

static int sum(int a, int b)
{
    return a == NEVER || b == NEVER ? NEVER : (a + b < FAR ? a + b : FAR);
}

static struct reach behind(struct reach a, struct reach b)
{
    return (struct reach){most(a.with, sum(a.without, b.with)), sum(a.without, b.without)};
}

static struct reach of_set(const struct bundle_set *s, unsigned class)
{
    struct reach r = {NEVER, NEVER};

    for (unsigned byte = 0; byte < 256; byte++) {
        if (!rx_set_has(s, byte))
            continue;
        if (((prefilter_classes[byte] | (rx_is_name(byte) ? 0u : (unsigned)NO_NAME)) & class) != 0)
            r.with = 1;
        else
            r.without = 1;
    }
    return r;
}

static struct reach repeat(struct reach one, int min, int max)
{
    int rounds = max == RX_INFINITE || max > FAR ? FAR : max, without;

    if (rounds == 0)
        return (struct reach){NEVER, 0};
    if (one.without == NEVER)
        return (struct reach){one.with, min == 0 ? 0 : NEVER};
    /* The latest first byte of the class is in the last round. */
    without = one.without == 0 || rounds <= FAR / one.without ? one.without * rounds : FAR;
    return (struct reach){sum(one.with, without), without};
}

static struct reach walk(const struct rx_node *n, unsigned class) // NOLINT(misc-no-recursion)
{
    struct reach r = {NEVER, 0};

    switch (n->kind) {
    case RX_EMPTY:
        return r;
    case RX_SET:
        return of_set(&n->set, class);
    case RX_REPEAT:
        return repeat(walk(n->kid, class), n->min, n->max);
    case RX_ALT:
        r.without = NEVER;
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next) {
            struct reach kid = walk(k, class);

            r = (struct reach){most(r.with, kid.with), most(r.without, kid.without)};
        }
        return r;
    case RX_CAT:
    case RX_SECRET:
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
            r = behind(r, walk(k, class));
        return r;
    }
    return r;
}

uint32_t rx_need(const struct rx_node *n, uint32_t *within)
{
    /* With how many bytes of text there is one of the class, roughly; seldom ones first. */
    static const struct {
        uint8_t class;
        uint8_t every;
    } classes[] = {
        {PREFILTER_AT, 255},     {PREFILTER_LESS, 250},  {PREFILTER_SQUARE, 200},
        {PREFILTER_EQUALS, 150}, {PREFILTER_COLON, 120}, {PREFILTER_COLON | PREFILTER_EQUALS, 65},
        {PREFILTER_ROUND, 110},  {PREFILTER_QUOTE, 90},  {PREFILTER_SQUARE | PREFILTER_ROUND, 70},
        {PREFILTER_DIGIT, 40},
    };
    uint32_t best = 0;
    double cost = 1;

    *within = 0;
    for (unsigned i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        struct reach r = walk(n, classes[i].class);

        if (r.without == NEVER && r.with > 0 && r.with <= MOST &&
            r.with < cost * classes[i].every) {
            cost = (double)r.with / classes[i].every;
            best = classes[i].class;
            *within = (uint32_t)r.with;
        }
    }
    return best;
}

/* ---- behind a name ------------------------------------------------------------------------ */

enum { BEHIND = BUNDLE_NAME_BYTES, MAX_WORK = 100000 };

/* Where a match can be is a bit each: in the name, and so many bytes behind it, the last one for all further ones. */
struct behind {
    struct bundle_set *set; /* of each place behind the name */
    unsigned work;
};

static unsigned step_set(const struct behind *h, const struct bundle_set *s, unsigned at)
{
    const unsigned all = (1U << (BEHIND + 1)) - 1;
    unsigned ends = (at & ~1U) << 1 & all;

    for (unsigned k = 1; k < BEHIND; k++)
        if ((at >> k & 1) != 0)
            rx_set_join(&h->set[k], s);
    for (unsigned byte = 0; byte < 256 && (at & 1) != 0; byte++) {
        if (!rx_set_has(s, byte))
            continue;
        if (rx_is_name(byte)) {
            ends |= 1;
        } else {
            rx_set_add(&h->set[0], byte);
            ends |= 2;
        }
    }
    return ends | (at & 1U << BEHIND);
}

static unsigned walk_behind(struct behind *h, const struct rx_node *n, unsigned at);

static unsigned repeat_behind(struct behind *h, const struct rx_node *n, unsigned at)
{
    const int enough = 2 * (BEHIND + 1); /* rounds: further ones change nothing */
    unsigned ends, done = 0;

    for (int i = 0; i < n->min && i < enough; i++)
        at = walk_behind(h, n->kid, at);
    ends = at;
    for (int i = n->min; (n->max == RX_INFINITE || i < n->max) && (at & ~done) != 0; i++) {
        unsigned now = at & ~done;

        done |= now;
        at = walk_behind(h, n->kid, now);
        ends |= at;
    }
    return ends;
}

/* Adds the bytes of n, which begins where `at` says; returns where it can end. */
static unsigned walk_behind(struct behind *h, const struct rx_node *n,
                            unsigned at) // NOLINT(misc-no-recursion)
{
    unsigned ends = 0;

    if (++h->work > MAX_WORK)
        return at;
    switch (n->kind) {
    case RX_EMPTY:
        return at;
    case RX_SET:
        return step_set(h, &n->set, at);
    case RX_REPEAT:
        return repeat_behind(h, n, at);
    case RX_ALT:
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
            ends |= walk_behind(h, k, at);
        return ends;
    case RX_CAT:
    case RX_SECRET:
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
            at = walk_behind(h, k, at);
        return at;
    }
    return at;
}

uint32_t rx_behind_name(const struct rx_node *n, struct bundle_set out[BUNDLE_NAME_BYTES])
{
    struct behind h = {.set = out};
    int with = walk(n, NO_NAME).with;
    unsigned ends;
    bool ended;

    memset(out, 0, sizeof(*out) * BEHIND);
    ends = walk_behind(&h, n, 1);
    ended = (ends & 1) != 0 || h.work > MAX_WORK;
    for (unsigned k = 0; k < BEHIND; k++) {
        ended = ended || (k > 0 && (ends >> k & 1) != 0);
        if (ended)
            memset(&out[k], 0xff, sizeof(out[k]));
    }
    return (ends & 1) != 0 || h.work > MAX_WORK || with >= FAR ? UINT32_MAX : (uint32_t)with - 1;
}
