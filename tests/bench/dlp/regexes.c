/* tests/bench/dlp/regexes.c - the patterns of a folder of rules, written back as regular expressions over bytes: what the rule compiler
 * understood, with the boundaries as \b and anchors. The same text goes to every engine. */
#include "tests/bench/dlp/regexes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dlp/rulec_regex.h"

static void put_byte(struct gw_buf *out, unsigned b)
{
    if ((b >= '0' && b <= '9') || (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z'))
        gw_buf_addc(out, (char)b);
    else
        gw_buf_printf(out, "\\x%02x", b);
}

static void put_set(struct gw_buf *out, const struct bundle_set *s)
{
    unsigned n = 0;

    for (unsigned b = 0; b < 256; b++)
        n += rx_set_has(s, b);
    if (n != 1)
        gw_buf_addc(out, '[');
    for (unsigned b = 0; b < 256; b++) {
        unsigned to = b;

        if (!rx_set_has(s, b))
            continue;
        while (to < 255 && rx_set_has(s, to + 1))
            to++;
        put_byte(out, b);
        if (to > b) {
            if (to > b + 1)
                gw_buf_addc(out, '-');
            put_byte(out, to);
        }
        b = to;
    }
    if (n != 1)
        gw_buf_addc(out, ']');
}

/* Patterns are as deep as people write them. */
static void put(struct gw_buf *out, const struct rx_node *n) // NOLINT(misc-no-recursion)
{
    if (n->kind == RX_SET) {
        put_set(out, &n->set);
        return;
    }
    gw_buf_adds(out, "(?:");
    for (const struct rx_node *k = n->kid; k != NULL; k = k->next) {
        if (k != n->kid && n->kind == RX_ALT)
            gw_buf_addc(out, '|');
        put(out, k);
    }
    gw_buf_addc(out, ')');
    if (n->kind != RX_REPEAT)
        return;
    if (n->max == RX_INFINITE)
        gw_buf_printf(out, n->min == 0 ? "*" : (n->min == 1 ? "+" : "{%d,}"), n->min);
    else if (n->min == 0 && n->max == 1)
        gw_buf_addc(out, '?');
    else
        gw_buf_printf(out, "{%d,%d}", n->min, n->max);
}

/* The bytes that a match of n can end with. */
static void last_bytes(const struct rx_node *n, struct bundle_set *out) // NOLINT(misc-no-recursion)
{
    if (n->kind == RX_SET)
        rx_set_join(out, &n->set);
    for (const struct rx_node *k = n->kid; k != NULL; k = k->next) {
        bool can_end = true; /* nothing that must stand behind it */

        for (const struct rx_node *rest = k->next; n->kind != RX_ALT && rest != NULL;
             rest = rest->next)
            can_end = can_end && rx_nullable(rest);
        if (can_end)
            last_bytes(k, out);
    }
}

/* The condition beside a match that begins or ends with one of set: \b where every byte of it is a word's, nothing where that
 * would ask for a letter on the other side. */
static void put_boundary(struct gw_buf *out, enum rulec_boundary kind, const struct bundle_set *set,
                         const char *line)
{
    static const struct bundle_set word = {{0, 0x03ff0000, 0x87fffffe, 0x07fffffe, 0, 0, 0, 0}};

    if (kind == RULEC_BOUNDARY_LINE)
        gw_buf_adds(out, line);
    if (kind == RULEC_BOUNDARY_NONE || kind == RULEC_BOUNDARY_LINE)
        return;
    for (unsigned i = 0; i < 8; i++)
        if ((set->w[i] & ~word.w[i]) != 0)
            return;
    gw_buf_adds(out, "\\b");
}

enum gw_status bench_regexes_load(const char *folder, struct bench_regexes *out, struct gw_err *err)
{
    struct rulec_set set = {.arena = gw_arena_new(256 << 20)};
    unsigned n = 0;

    memset(out, 0, sizeof(*out));
    if (set.arena == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    GW_TRY(rulec_load_paths(&set, &folder, 1, err));
    for (unsigned i = 0; i < set.n_rules; i++)
        n += set.rules[i].n_patterns;
    out->all = calloc(n + 1, sizeof(*out->all));
    out->n_rules = set.n_rules;
    for (unsigned i = 0; i < set.n_rules; i++) {
        const struct rulec_rule *r = &set.rules[i];

        for (unsigned k = 0; k < r->n_patterns; k++) {
            struct rx_pattern p = {.root = NULL};
            struct bundle_set first = {{0}}, last = {{0}};
            struct gw_buf text = {0};

            GW_TRY(rx_parse(set.arena, r->patterns[k], r->nocase, r->boundary, &p, err));
            rx_first(p.root, &first);
            last_bytes(p.root, &last);
            put_boundary(&text, p.before, &first, "(?m:^)");
            put(&text, p.root);
            put_boundary(&text, p.after, &last, "(?m:$)");
            out->all[out->n++] = (struct bench_regex){strdup(gw_buf_span(&text).ptr), i};
            gw_buf_fini(&text);
        }
    }
    gw_arena_free(set.arena);
    return GW_OK;
}
