/* dlp/rulec_match.c - writes one pattern's matcher: its automata for re2c, and the function that runs
 * the chains. Thread: one at a time per set. */
#include <limits.h>
#include <string.h>

#include "dlp/rulec_emit.h"

/* What is being written. */
struct writer {
    struct gw_buf *out; /* automata, then the function */
    struct gw_buf body; /* of the function */
    struct emit_sets *sets;
    unsigned pattern;
    unsigned automaton; /* number of the next one */
    unsigned loops;     /* open at this place */
};

static void put_re2c_set(struct gw_buf *out, const struct bundle_set *s)
{
    gw_buf_addc(out, '[');
    for (unsigned b = 0; b < 256; b++) {
        unsigned to = b;

        if (!rx_set_has(s, b))
            continue;
        while (to < 255 && rx_set_has(s, to + 1))
            to++;
        gw_buf_printf(out, to == b ? "\\x%02x" : "\\x%02x-\\x%02x", b, to);
        b = to;
    }
    gw_buf_addc(out, ']');
}

/* Writes n in re2c's notation. */
static void put_re2c(struct gw_buf *out, const struct rx_node *n)
{
    switch (n->kind) {
    case RX_EMPTY:
        gw_buf_adds(out, "\"\"");
        return;
    case RX_SET:
        put_re2c_set(out, &n->set);
        return;
    case RX_REPEAT:
        gw_buf_addc(out, '(');
        put_re2c(out, n->kid);
        if (n->max == RX_INFINITE)
            gw_buf_printf(out, n->min == 0 ? ")*" : (n->min == 1 ? ")+" : "){%d,}"), n->min);
        else
            gw_buf_printf(out, "){%d,%d}", n->min, n->max);
        return;
    case RX_CAT:
    case RX_ALT:
    case RX_SECRET:
        gw_buf_addc(out, '(');
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next) {
            if (k != n->kid)
                gw_buf_adds(out, n->kind == RX_ALT ? "\n|" : " ");
            put_re2c(out, k);
        }
        gw_buf_addc(out, ')');
        return;
    }
}

static void put_automaton(struct gw_buf *out, unsigned pattern, unsigned number,
                          const struct rx_node *n)
{
    gw_buf_printf(out,
                  "static const unsigned char *d%u_%u(const unsigned char *p, const unsigned char "
                  "*lim, struct bundle_match *m)\n"
                  "{\n    const unsigned char *q = p, *k = p;\n    (void)k;\n"
                  "/*!re2c\n",
                  pattern, number);
    put_re2c(out, n);
    gw_buf_printf(out,
                  " { m->work += (uint32_t)(p - q); return p; }\n"
                  "* { m->work += (uint32_t)(p - q); return %s; }\n*/\n}\n",
                  rx_nullable(n) ? "q" : "NULL");
}

/* A counted loop; with all_lengths, what follows stands inside the loop it opens. */
static void put_run(struct writer *w, const struct rx_step *s)
{
    bool is_long = s->memo >= 0;
    unsigned max = s->max == RX_INFINITE ? UINT_MAX : (unsigned)s->max;

    if (s->all_lengths)
        gw_buf_printf(&w->body, "        l%u = p;\n", w->loops);
    gw_buf_printf(&w->body, "        if ((p = %s(p, lim, &sets[%u], %du, %uu, m",
                  is_long ? "bundle_long_run" : "bundle_run", emit_set(w->sets, &s->set), s->min,
                  max);
    if (is_long)
        gw_buf_printf(&w->body, ", &m->memo[%d]", s->memo);
    gw_buf_adds(&w->body, ")) == NULL)\n            continue;\n");
    if (s->all_lengths) {
        gw_buf_printf(&w->body,
                      "        for (h%u = p; h%u - l%u >= %d; h%u--) {\n        p = h%u;\n",
                      w->loops, w->loops, w->loops, s->min, w->loops, w->loops);
        w->loops++;
    }
}

/* ---- chains ------------------------------------------------------------------------------ */

static bool same_tree(const struct rx_node *a, const struct rx_node *b)
{
    if (a->kind != b->kind || a->min != b->min || a->max != b->max ||
        memcmp(&a->set, &b->set, sizeof(a->set)) != 0)
        return false;
    a = a->kid;
    b = b->kid;
    for (; a != NULL && b != NULL; a = a->next, b = b->next)
        if (!same_tree(a, b))
            return false;
    return a == b;
}

/* Do both chains go on with the same step i? */
static bool same_step(const struct rx_chain *c, const struct rx_chain *d, unsigned i)
{
    const struct rx_step *a = &c->steps[i], *b = &d->steps[i];

    if (i >= c->n_steps || i >= d->n_steps || (a->dfa == NULL) != (b->dfa == NULL) ||
        (c->secret_from == i) != (d->secret_from == i) ||
        (c->secret_to == i) != (d->secret_to == i))
        return false;
    if (a->dfa != NULL)
        return same_tree(a->dfa, b->dfa);
    return a->min == b->min && a->max == b->max && a->all_lengths == b->all_lengths &&
           memcmp(&a->set, &b->set, sizeof(a->set)) == 0;
}

static void put_step(struct writer *w, const struct rx_chain *c, unsigned i)
{
    if (i == c->secret_from && i > 0)
        gw_buf_adds(&w->body, "        a = p;\n");
    if (i == c->secret_to)
        gw_buf_adds(&w->body, "        b = p;\n");
    if (c->steps[i].dfa == NULL) {
        put_run(w, &c->steps[i]);
        return;
    }
    put_automaton(w->out, w->pattern, w->automaton, c->steps[i].dfa);
    gw_buf_printf(&w->body, "        if ((p = d%u_%u(p, lim, m)) == NULL)\n            continue;\n",
                  w->pattern, w->automaton++);
}

/* n chains, which have their first `depth` steps in common: neighbours that go on alike do so together, and all in their order, since of
 * matches of one length the first is kept. */
static void put_chains(struct writer *w, const struct rx_chain *chains, unsigned n, unsigned depth)
{
    unsigned same = 0;

    if (depth > 0 && n > 1)
        gw_buf_printf(&w->body, "        { const unsigned char *const p%u = p, *const a%u = a;\n",
                      depth, depth);
    for (unsigned i = 0; i < n; i += same) {
        const struct rx_chain *c = &chains[i];
        unsigned loops = w->loops;

        same = 1;
        if (c->n_steps == depth) {
            gw_buf_printf(&w->body, "        %sbundle_keep(m, s, a, b, p);\n",
                          c->secret_to == c->n_steps ? "b = p;\n        " : "");
            continue;
        }
        while (i + same < n && same_step(c, &chains[i + same], depth))
            same++;
        if (depth == 0)
            gw_buf_adds(&w->body, "    do {\n        p = a = s;\n");
        else if (n > 1)
            gw_buf_printf(&w->body, "    do {\n        p = p%u; a = a%u;\n", depth, depth);
        put_step(w, c, depth);
        put_chains(w, c, same, depth + 1);
        for (; w->loops > loops; w->loops--)
            gw_buf_adds(&w->body, "        }\n");
        if (depth == 0 || n > 1)
            gw_buf_adds(&w->body, "    } while (0);\n");
    }
    if (depth > 0 && n > 1)
        gw_buf_adds(&w->body, "        }\n");
}

void emit_matcher(struct gw_buf *out, unsigned pattern, const struct rx_chain *chains, unsigned n,
                  struct emit_sets *sets)
{
    struct writer w = {.out = out, .sets = sets, .pattern = pattern};

    put_chains(&w, chains, n, 0);
    gw_buf_printf(out,
                  "static void m%u(const unsigned char *s, const unsigned char *lim, struct "
                  "bundle_match *m)\n{\n"
                  "    const unsigned char *p, *a, *b = s, *l0, *l1, *h0, *h1;\n    m->len = 0;\n",
                  pattern);
    gw_buf_add(out, gw_buf_span(&w.body));
    gw_buf_adds(out, "}\n");
    out->failed = out->failed || !gw_buf_ok(&w.body);
    gw_buf_fini(&w.body);
}
