/* dlp/rulec_need.c - which kind of byte every match has near its beginning.
 *
 * A start that has sixteen likely bytes is told from most others by what has to follow within the next sixty: a plate's digit, an
 * address's colon. Thread: any. */
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
        if ((prefilter_classes[byte] & class) != 0)
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
