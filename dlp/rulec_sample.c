/* dlp/rulec_sample.c - random texts that a pattern matches. Thread: any. */
#include "dlp/author.h"
#include "dlp/rulec_regex.h"

enum {
    ARENA_BYTES = 64 << 20,
    MORE = 4,
    MAX_OUT = 8192
}; /* MORE: rounds beyond the least of an open repeat */

/* xorshift64* */
static unsigned random_below(uint64_t *state, unsigned n)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return n == 0 ? 0 : (unsigned)(*state * 2685821657736338717u >> 33) % n;
}

/* A byte of the set: a letter or digit where there is one, else a printable one, else any. */
static char pick(uint64_t *state, const struct bundle_set *s)
{
    unsigned char best[256];
    unsigned n = 0, rank = 0;

    for (unsigned b = 0; b < 256; b++) {
        unsigned r = (b >= '0' && b <= '9') || ((b | 0x20) >= 'a' && (b | 0x20) <= 'z') ? 3
                     : b > ' ' && b < 0x7f                                              ? 2
                                                                                        : 1;

        if (!rx_set_has(s, b) || r < rank)
            continue;
        if (r > rank) {
            rank = r;
            n = 0;
        }
        best[n++] = (unsigned char)b;
    }
    return (char)(n == 0 ? ' ' : best[random_below(state, n)]);
}

// NOLINTNEXTLINE(misc-no-recursion): the parser bounds the depth
static void draw(uint64_t *state, const struct rx_node *n, struct gw_buf *out)
{
    unsigned count = 0;
    int times;

    if (out->len > MAX_OUT)
        return;
    switch (n->kind) {
    case RX_EMPTY:
        return;
    case RX_SET:
        gw_buf_addc(out, pick(state, &n->set));
        return;
    case RX_ALT:
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
            count++;
        count = random_below(state, count);
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
            if (count-- == 0)
                draw(state, k, out);
        return;
    case RX_REPEAT:
        times = n->max == RX_INFINITE || n->max - n->min > MORE ? MORE : n->max - n->min;
        times = n->min + (int)random_below(state, (unsigned)times + 1);
        for (int i = 0; i < times; i++)
            draw(state, n->kid, out);
        return;
    case RX_CAT:
    case RX_SECRET:
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
            draw(state, k, out);
        return;
    }
}

enum gw_status dlp_pattern_sample(struct gw_span pattern, bool nocase, uint64_t seed,
                                  struct gw_buf *out, struct gw_err *err)
{
    struct gw_arena *arena = gw_arena_new(ARENA_BYTES);
    struct rx_pattern p = {.root = NULL};
    uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
    enum gw_status st = arena == NULL ? gw_fail(err, GW_ENOMEM, "out of memory") : GW_OK;

    if (st == GW_OK)
        st = rx_parse(arena, pattern, nocase, RULEC_BOUNDARY_NONE, &p, err);
    if (st == GW_OK) {
        draw(&state, p.root, out);
        if (!gw_buf_ok(out))
            st = gw_fail(err, GW_ENOMEM, "out of memory");
    }
    gw_arena_free(arena);
    return st;
}
