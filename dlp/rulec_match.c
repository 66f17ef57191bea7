/* dlp/rulec_match.c - writes one pattern's matcher: its automata for re2c, and the function that runs
 * the chains. Thread: one at a time per set. */
#include <limits.h>

#include "dlp/rulec_emit.h"

/* What is being written. */
struct writer {
    struct gw_buf *out;
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
        gw_buf_printf(w->out, "        l%u = p;\n", w->loops);
    gw_buf_printf(w->out, "        if ((p = %s(p, lim, &sets[%u], %du, %uu, m",
                  is_long ? "bundle_long_run" : "bundle_run", emit_set(w->sets, &s->set), s->min,
                  max);
    if (is_long)
        gw_buf_printf(w->out, ", &m->memo[%d]", s->memo);
    gw_buf_adds(w->out, ")) == NULL)\n            continue;\n");
    if (s->all_lengths) {
        gw_buf_printf(w->out, "        for (h%u = p; h%u - l%u >= %d; h%u--) {\n        p = h%u;\n",
                      w->loops, w->loops, w->loops, s->min, w->loops, w->loops);
        w->loops++;
    }
}

static void put_chain(struct writer *w, const struct rx_chain *c)
{
    gw_buf_adds(w->out, "    do {\n        p = a = s;\n");
    for (unsigned i = 0; i < c->n_steps; i++) {
        if (i == c->secret_from && i > 0)
            gw_buf_adds(w->out, "        a = p;\n");
        if (i == c->secret_to)
            gw_buf_adds(w->out, "        b = p;\n");
        if (c->steps[i].dfa == NULL)
            put_run(w, &c->steps[i]);
        else
            gw_buf_printf(w->out,
                          "        if ((p = d%u_%u(p, lim, m)) == NULL)\n            continue;\n",
                          w->pattern, w->automaton++);
    }
    if (c->secret_to == c->n_steps)
        gw_buf_adds(w->out, "        b = p;\n");
    gw_buf_adds(w->out, "        bundle_keep(m, s, a, b, p);\n");
    for (; w->loops > 0; w->loops--)
        gw_buf_adds(w->out, "        }\n");
    gw_buf_adds(w->out, "    } while (0);\n");
}

void emit_matcher(struct gw_buf *out, unsigned pattern, const struct rx_chain *chains, unsigned n,
                  struct emit_sets *sets)
{
    struct writer w = {.out = out, .sets = sets, .pattern = pattern};

    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < chains[i].n_steps; k++)
            if (chains[i].steps[k].dfa != NULL)
                put_automaton(out, pattern, w.automaton++, chains[i].steps[k].dfa);
    gw_buf_printf(out,
                  "static void m%u(const unsigned char *s, const unsigned char *lim, struct "
                  "bundle_match *m)\n{\n"
                  "    const unsigned char *p, *a, *b = s, *l0, *l1, *h0, *h1;\n    m->len = 0;\n",
                  pattern);
    w.automaton = 0;
    for (unsigned i = 0; i < n; i++)
        put_chain(&w, &chains[i]);
    gw_buf_adds(out, "}\n");
}
