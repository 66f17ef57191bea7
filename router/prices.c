/* router/prices.c - the table of prices, and what a request costs by it.
 *
 * Integers only: prices are nano-units per million tokens, so a product of a price and a count fits 128 bits and a sum
 * is exact until it is rounded once. The table is sorted so that the first entry that matches is the one that holds.
 * Built on one thread, then immutable. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/glob.h"
#include "router/router.h"

__extension__ typedef unsigned __int128 wide;

enum { MAX_ARENA_BYTES = 64 << 20, MAX_NAME = 256, PER_TOKENS = 1000000, NANO_DIGITS = 9 };

struct entry {
    struct router_price c; /* its spans belong to the table */
    unsigned letters;      /* of the model pattern that are no wildcard */
    unsigned order;        /* in the table as it was given */
};

struct router_prices {
    struct gw_arena *arena;
    const char *currency;
    struct entry *entries;
    unsigned n;
};

/* ---- building ------------------------------------------------------------------------------ */

static unsigned letters_of(struct gw_span pattern)
{
    unsigned n = 0;

    for (size_t i = 0; i < pattern.len; i++)
        n += pattern.ptr[i] != '*' && pattern.ptr[i] != '?';
    return n;
}

static bool good_price(uint64_t price)
{
    return price == ROUTER_NO_PRICE || price <= ROUTER_MAX_PRICE;
}

static enum gw_status check(const struct router_price *e, struct gw_err *err)
{
    if (e->model.len == 0)
        return gw_fail(err, GW_EINVAL, "names no model");
    if (e->input == ROUTER_NO_PRICE)
        return gw_fail(err, GW_EINVAL, "has no price of input");
    if (e->model.len > MAX_NAME || e->target.len > MAX_NAME)
        return gw_fail(err, GW_ELIMIT, "a pattern is longer than %d bytes", MAX_NAME);
    if (!good_price(e->input) || !good_price(e->output) || !good_price(e->cached_input) ||
        !good_price(e->cache_write) || !good_price(e->reasoning))
        return gw_fail(err, GW_ELIMIT, "a price is above a million per million tokens");
    return GW_OK;
}

static enum gw_status copy(struct router_prices *p, const struct router_price *in, unsigned order)
{
    struct entry *e = &p->entries[order];

    e->c = *in;
    e->c.target = gw_arena_copy(p->arena, in->target);
    e->c.model = gw_arena_copy(p->arena, in->model);
    e->letters = letters_of(in->model);
    e->order = order;
    return e->c.target.ptr == NULL || e->c.model.ptr == NULL ? GW_ENOMEM : GW_OK;
}

/* The entry that wins comes first. */
static int by_rank(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if ((x->c.target.len == 0) != (y->c.target.len == 0))
        return x->c.target.len == 0 ? 1 : -1;
    if (x->letters != y->letters)
        return x->letters > y->letters ? -1 : 1;
    if (x->c.from_ms != y->c.from_ms)
        return x->c.from_ms > y->c.from_ms ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static enum gw_status fill(struct router_prices *p, const char *currency,
                           const struct router_price *items, unsigned n, struct gw_err *err)
{
    p->arena = gw_arena_new(MAX_ARENA_BYTES);
    if (p->arena == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    p->currency = gw_arena_copy(p->arena, gw_span_str(currency)).ptr;
    p->entries = gw_arena_array(p->arena, n, sizeof(*p->entries));
    if (p->currency == NULL || p->entries == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    for (p->n = 0; p->n < n; p->n++) {
        enum gw_status st = check(&items[p->n], err);

        if (st != GW_OK) {
            (void)gw_fail_prefix(err, "entry %u", p->n + 1);
            return st;
        }
        if (copy(p, &items[p->n], p->n) != GW_OK)
            return gw_fail(err, GW_ENOMEM, "out of memory");
    }
    if (n != 0)
        qsort(p->entries, n, sizeof(*p->entries), by_rank);
    return GW_OK;
}

enum gw_status router_prices_new(const char *currency, const struct router_price *items, unsigned n,
                                 struct router_prices **out, struct gw_err *err)
{
    struct router_prices *p;
    enum gw_status st;

    if (n > ROUTER_MAX_PRICES)
        return gw_fail(err, GW_ELIMIT, "more than %d prices", ROUTER_MAX_PRICES);
    p = calloc(1, sizeof(*p));
    if (p == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    st = fill(p, currency, items, n, err);
    if (st != GW_OK) {
        router_prices_free(p);
        return st;
    }
    *out = p;
    return GW_OK;
}

void router_prices_free(struct router_prices *p)
{
    if (p == NULL)
        return;
    gw_arena_free(p->arena);
    free(p);
}

const char *router_prices_currency(const struct router_prices *p)
{
    return p->currency;
}

/* ---- what it costs ------------------------------------------------------------------------- */

/* Most entries are told by their first letter. */
static bool may_match(struct gw_span pattern, struct gw_span text)
{
    char c = pattern.ptr[0];

    return c == '*' || c == '?' ||
           (text.len != 0 && gw_ascii_lower(c) == gw_ascii_lower(text.ptr[0]));
}

const struct router_price *router_prices_find(const struct router_prices *p, struct gw_span target,
                                              struct gw_span model, int64_t now_ms)
{
    if (p == NULL || model.len == 0)
        return NULL;
    for (unsigned i = 0; i < p->n; i++) {
        const struct router_price *c = &p->entries[i].c;

        if (c->from_ms <= now_ms && may_match(c->model, model) && gw_glob(c->model, model) &&
            (c->target.len == 0 || gw_glob(c->target, target)))
            return c;
    }
    return NULL;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t price_or(uint64_t price, uint64_t otherwise)
{
    return price == ROUTER_NO_PRICE ? otherwise : price;
}

bool router_price_cost(const struct router_price *price, const struct router_usage *u,
                       uint64_t *nano)
{
    uint64_t cached = least(u->cached, u->prompt);
    uint64_t written = least(u->cache_write, u->prompt - cached);
    uint64_t reasoned = least(u->reasoning, u->completion);
    uint64_t output = price_or(price->output, 0);
    wide sum; /* five products below 2^114 */

    if (price->output == ROUTER_NO_PRICE && u->completion != 0 &&
        (price->reasoning == ROUTER_NO_PRICE || reasoned != u->completion))
        return false;
    sum = (wide)(u->prompt - cached - written) * price->input;
    sum += (wide)cached * price_or(price->cached_input, price->input);
    sum += (wide)written * price_or(price->cache_write, price->input);
    sum += (wide)(u->completion - reasoned) * output;
    sum += (wide)reasoned * price_or(price->reasoning, output);
    sum = (sum + PER_TOKENS / 2) / PER_TOKENS;
    *nano = sum > INT64_MAX ? (uint64_t)INT64_MAX : (uint64_t)sum;
    return true;
}

bool router_prices_cost(const struct router_prices *p, struct gw_span target, struct gw_span model,
                        int64_t now_ms, const struct router_usage *u, uint64_t *nano)
{
    const struct router_price *price = router_prices_find(p, target, model, now_ms);

    return price != NULL && router_price_cost(price, u, nano);
}

/* ---- decimals ------------------------------------------------------------------------------ */

bool router_money_parse(struct gw_span text, uint64_t *nano)
{
    uint64_t n = 0;
    unsigned behind = 0;
    bool point = false, digit = false;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '.' && !point && digit) {
            point = true;
            digit = false;
            continue;
        }
        if (c < '0' || c > '9' || behind == NANO_DIGITS || n > ROUTER_MAX_PRICE)
            return false;
        n = n * 10 + (uint64_t)(c - '0');
        behind += point;
        digit = true;
    }
    if (!digit)
        return false;
    for (; behind < NANO_DIGITS; behind++) {
        if (n > ROUTER_MAX_PRICE)
            return false;
        n *= 10;
    }
    if (n > ROUTER_MAX_PRICE)
        return false;
    *nano = n;
    return true;
}

void router_money_print(uint64_t nano, char out[ROUTER_MONEY_BYTES])
{
    char digits[ROUTER_MONEY_BYTES];
    unsigned n = 0, skip = 0, at = 0;

    do { /* from the end, at least one digit before the point */
        digits[n++] = (char)('0' + nano % 10);
        nano /= 10;
    } while (nano != 0 || n <= NANO_DIGITS);
    while (skip < NANO_DIGITS && digits[skip] == '0')
        skip++;
    while (n > skip) {
        if (n == NANO_DIGITS)
            out[at++] = '.';
        out[at++] = digits[--n];
    }
    out[at] = '\0';
}
