/* dlp/rulec_tree.c - questions on pattern trees. Depth of recursion: the parser's group depth.
 * Thread: any. */
#include "dlp/rulec_regex.h"

struct rx_node *rx_new(struct gw_arena *arena, enum rx_kind kind)
{
    struct rx_node *n = gw_arena_alloc(arena, sizeof(*n));

    if (n != NULL)
        n->kind = kind;
    return n;
}

struct rx_node *rx_copy(struct gw_arena *arena, const struct rx_node *n)
{
    struct rx_node *c = rx_new(arena, n->kind);

    if (c == NULL)
        return NULL;
    *c = *n;
    c->next = NULL;
    return c;
}

bool rx_nullable(const struct rx_node *n)
{
    switch (n->kind) {
    case RX_EMPTY:
        return true;
    case RX_SET:
        return false;
    case RX_CAT:
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
            if (!rx_nullable(k))
                return false;
        return true;
    case RX_ALT:
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
            if (rx_nullable(k))
                return true;
        return false;
    case RX_REPEAT:
        return n->min == 0 || rx_nullable(n->kid);
    case RX_SECRET:
        return rx_nullable(n->kid);
    }
    return false;
}

bool rx_has(const struct rx_node *n, enum rx_kind kind)
{
    if (n->kind == kind)
        return true;
    for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
        if (rx_has(k, kind))
            return true;
    return false;
}

void rx_first(const struct rx_node *n, struct bundle_set *out)
{
    if (n->kind == RX_SET) {
        rx_set_join(out, &n->set);
        return;
    }
    for (const struct rx_node *k = n->kid; k != NULL; k = k->next) {
        if (n->kind == RX_REPEAT && n->max == 0)
            return;
        rx_first(k, out);
        if (n->kind == RX_CAT && !rx_nullable(k))
            return;
    }
}

void rx_all(const struct rx_node *n, struct bundle_set *out)
{
    if (n->kind == RX_SET)
        rx_set_join(out, &n->set);
    for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
        rx_all(k, out);
}

/* a * b and a + b where RX_INFINITE swallows, capped far below overflow. */
static long times(long a, long b)
{
    if (a == 0 || b == 0)
        return 0;
    if (a == RX_INFINITE || b == RX_INFINITE || a > 1000000 / b)
        return RX_INFINITE;
    return a * b;
}

static long plus(long a, long b)
{
    return a == RX_INFINITE || b == RX_INFINITE || a + b > 1000000 ? RX_INFINITE : a + b;
}

void rx_width(const struct rx_node *n, long *min, long *max)
{
    long lo = 0, hi = 0, kid_lo = 0, kid_hi = 0;

    if (n->kind == RX_SET) {
        *min = *max = 1;
        return;
    }
    for (const struct rx_node *k = n->kid; k != NULL; k = k->next) {
        rx_width(k, &kid_lo, &kid_hi);
        if (n->kind == RX_ALT) {
            lo = k == n->kid || kid_lo < lo ? kid_lo : lo;
            hi = hi == RX_INFINITE || kid_hi == RX_INFINITE ? RX_INFINITE
                                                            : (kid_hi > hi ? kid_hi : hi);
        } else {
            lo = plus(lo, kid_lo);
            hi = plus(hi, kid_hi);
        }
    }
    if (n->kind == RX_REPEAT) {
        lo = times(lo, n->min);
        hi = n->max == RX_INFINITE ? (hi == 0 ? 0 : RX_INFINITE) : times(hi, n->max);
    }
    *min = lo == RX_INFINITE ? 1000000 : lo;
    *max = hi;
}
