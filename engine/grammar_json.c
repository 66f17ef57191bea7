/* engine/grammar_json.c - the parts that JSON is made of, as rules. See grammar_make.h.
 *
 * White space between tokens is bounded, since a model that may write any amount of it sometimes never stops. */
#include <string.h>

#include "engine/grammar_make.h"

enum { MAX_INDENT = 64 };

/* ---- strings -------------------------------------------------------------------------------------- */

static struct nfa_frag hex(struct nfa *n, unsigned digits)
{
    struct nfa_frag all = {0};

    for (unsigned i = 0; i < digits; i++) {
        struct nfa_frag f = nfa_range(n, '0', '9');

        f = nfa_or(n, f, nfa_range(n, 'a', 'f'));
        f = nfa_or(n, f, nfa_range(n, 'A', 'F'));
        all = i == 0 ? f : nfa_then(n, all, f);
    }
    return all;
}

/* A byte of a list. */
static struct nfa_frag one_of(struct nfa *n, const char *bytes)
{
    struct nfa_frag all = nfa_range(n, (uint8_t)bytes[0], (uint8_t)bytes[0]);

    for (const char *b = bytes + 1; *b != '\0'; b++)
        all = nfa_or(n, all, nfa_range(n, (uint8_t)*b, (uint8_t)*b));
    return all;
}

/* What RFC 8259 lets stand behind a backslash; surrogates in pairs. */
static struct nfa_frag any_escape(struct nfa *n)
{
    struct nfa_frag slash = nfa_text(n, GW_SPAN("\\"));
    struct nfa_frag all = one_of(n, "\"\\/bfnrt"), f;

    f = nfa_then(n, nfa_text(n, GW_SPAN("u")), one_of(n, "0123456789abcefABCEF"));
    all = nfa_or(n, all, nfa_then(n, f, hex(n, 3)));
    f = nfa_then(n, nfa_text(n, GW_SPAN("u")), one_of(n, "dD"));
    f = nfa_then(n, f, nfa_range(n, '0', '7'));
    all = nfa_or(n, all, nfa_then(n, f, hex(n, 2)));
    f = nfa_then(n, nfa_text(n, GW_SPAN("u")), one_of(n, "dD"));
    f = nfa_then(n, f, one_of(n, "89abAB"));
    f = nfa_then(n, f, hex(n, 2));
    f = nfa_then(n, f, nfa_text(n, GW_SPAN("\\u")));
    f = nfa_then(n, f, one_of(n, "dD"));
    f = nfa_then(n, f, one_of(n, "cdefCDEF"));
    all = nfa_or(n, all, nfa_then(n, f, hex(n, 2)));
    return nfa_then(n, slash, all);
}

static struct nfa_frag any_string(struct nfa *n)
{
    struct nfa_frag quote = nfa_text(n, GW_SPAN("\"")), f = nfa_chars(n, 0x20, '!');

    f = nfa_or(n, f, nfa_chars(n, '#', '['));
    f = nfa_or(n, f, nfa_chars(n, ']', 0x10FFFF));
    f = nfa_or(n, f, any_escape(n));
    f = nfa_then(n, quote, nfa_star(n, f));
    return nfa_then(n, f, nfa_text(n, GW_SPAN("\"")));
}

static const char short_escapes[][2] = {{'"', '"'},  {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'},
                                        {'\n', 'n'}, {'\r', 'r'},  {'\t', 't'}};
enum { N_SHORT = sizeof(short_escapes) / sizeof(short_escapes[0]) };

static char short_escape(uint32_t cp)
{
    for (size_t i = 0; i < N_SHORT; i++)
        if ((uint32_t)(unsigned char)short_escapes[i][0] == cp)
            return short_escapes[i][1];
    return '\0';
}

/* The bytes of one character as canonical JSON has them. */
static size_t write_ascii(char out[8], uint32_t cp)
{
    static const char digits[] = "0123456789abcdef";
    char escape = short_escape(cp);

    if (escape != '\0') {
        out[0] = '\\';
        out[1] = escape;
        return 2;
    }
    if (cp >= 0x20) {
        out[0] = (char)cp;
        return 1;
    }
    for (size_t i = 0; i < 4; i++)
        out[i] = "\\u00"[i];
    out[4] = digits[cp >> 4];
    out[5] = digits[cp & 15];
    return 6;
}

void grammar_write_string(struct gw_buf *out, struct gw_span text)
{
    gw_buf_addc(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        char written[8] = {(char)c};

        gw_buf_add(out, (struct gw_span){written, c < 0x80 ? write_ascii(written, c) : 1});
    }
    gw_buf_addc(out, '"');
}

struct nfa_frag grammar_json_chars(struct nfa *n, uint32_t lo, uint32_t hi)
{
    struct nfa_frag all = {0};
    bool any = false;

    while (lo <= hi && !n->full) {
        bool escaped = lo < 0x20 || lo == '"' || lo == '\\';
        uint32_t end = lo < '"' ? '!' : lo < '\\' ? '[' : hi;
        struct nfa_frag f;

        if (escaped) {
            char written[8];

            end = lo;
            f = nfa_text(n, (struct gw_span){written, write_ascii(written, lo)});
        } else {
            end = end < hi ? end : hi;
            f = nfa_chars(n, lo, end);
        }
        all = any ? nfa_or(n, all, f) : f;
        any = true;
        lo = end + 1;
    }
    return all;
}

/* ---- common rules --------------------------------------------------------------------------------- */

static uint32_t add_pattern(struct gmake *m, struct gw_span pattern)
{
    const struct grammar_pattern p = {.text = pattern};
    struct dfa d;

    if (m->status != GW_OK || gmake_fail(m, grammar_regex(&p, m->scratch, &d, m->err)) != GW_OK)
        return 0;
    return gmake_dfa(m, &d);
}

static uint32_t add_gap(struct gmake *m)
{
    struct nfa n;
    struct nfa_frag f;

    nfa_init(&n, m->scratch);
    f = nfa_text(&n, GW_SPAN("\n"));
    f = nfa_then(&n, f, nfa_repeat(&n, one_of(&n, " \t"), 0, MAX_INDENT));
    f = nfa_maybe(&n, nfa_or(&n, f, nfa_text(&n, GW_SPAN(" "))));
    return gmake_nfa(m, &n, f);
}

static uint32_t add_string(struct gmake *m)
{
    struct nfa n;
    struct nfa_frag f;
    uint32_t at;

    nfa_init(&n, m->scratch);
    f = any_string(&n);
    at = gmake_nfa(m, &n, f);
    /* Behind a character the automaton is where it was behind the opening quote. */
    if (m->status == GW_OK)
        m->g->states[at + dfa_next(&m->g->dfas[m->n_dfas - 1], 0, '"')].counted = true;
    return at;
}

/* Canonical keys: two of them differ as texts exactly when they differ as bytes. */
static void make_any_key(struct gmake *m)
{
    struct dfa *d = &m->common.any_key;
    struct nfa n;
    struct nfa_frag f;
    struct dfa made;
    size_t cells;

    nfa_init(&n, m->scratch);
    f = nfa_text(&n, GW_SPAN("\""));
    f = nfa_then(&n, f, nfa_star(&n, grammar_json_chars(&n, 0, 0x10FFFF)));
    f = nfa_then(&n, f, nfa_text(&n, GW_SPAN("\"")));
    if (m->status != GW_OK ||
        gmake_fail(m, dfa_from_nfa(&n, f, m->scratch, &made, m->err)) != GW_OK)
        return;
    cells = (size_t)made.n_states * made.n_classes;
    *d = made;
    d->next = gw_arena_array(m->arena, cells, sizeof(*d->next));
    d->accept = gw_arena_array(m->arena, made.n_states, sizeof(*d->accept));
    if (d->next == NULL || d->accept == NULL) {
        (void)gmake_no_memory(m);
        return;
    }
    memcpy(d->next, made.next, cells * sizeof(*d->next));
    memcpy(d->accept, made.accept, made.n_states * sizeof(*d->accept));
    gw_arena_reset(m->scratch);
}

uint32_t gmake_member(struct gmake *m, uint32_t value, uint32_t next)
{
    uint32_t at = gmake_state(m, GRAMMAR_CALL, value, next);

    return gmake_gap(m, gmake_byte(m, ':', gmake_gap(m, at)));
}

/* '{' and its members of any names. */
static uint32_t any_object(struct gmake *m)
{
    const struct grammar_common *c = &m->common;
    uint32_t close = gmake_byte(m, '}', c->pop), more = gmake_state(m, GRAMMAR_FAIL, 0, 0);
    uint32_t member =
        gmake_state(m, GRAMMAR_CALL, c->string, gmake_member(m, c->value, gmake_gap(m, more)));
    uint32_t comma = gmake_byte(m, ',', gmake_gap(m, member));

    gmake_become(m, more, gmake_state(m, GRAMMAR_SPLIT, comma, close));
    return gmake_byte(m, '{', gmake_gap(m, gmake_state(m, GRAMMAR_SPLIT, close, member)));
}

void gmake_common(struct gmake *m)
{
    struct grammar_common *c = &m->common;
    uint32_t scalars[4], value;

    c->fail = gmake_state(m, GRAMMAR_FAIL, 0, 0);
    c->pop = gmake_state(m, GRAMMAR_POP, 0, 0);
    c->value = gmake_state(m, GRAMMAR_FAIL, 0, 0);
    c->gap = add_gap(m);
    c->string = add_string(m);
    c->number = add_pattern(m, GW_SPAN("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+\\-]?[0-9]+)?"));
    c->integer = add_pattern(m, GW_SPAN("-?(0|[1-9][0-9]*)"));
    c->boolean = gmake_state(m, GRAMMAR_SPLIT, gmake_text(m, GW_SPAN("true"), c->pop),
                             gmake_text(m, GW_SPAN("false"), c->pop));
    c->null = gmake_text(m, GW_SPAN("null"), c->pop);
    c->object = any_object(m);
    c->array = gmake_array(m, NULL, 0, c->value, (struct grammar_counts){0, GRAMMAR_NO_LIMIT});
    scalars[0] = c->string;
    scalars[1] = c->number;
    scalars[2] = c->boolean;
    scalars[3] = c->null;
    value = gmake_state(m, GRAMMAR_SPLIT, c->array, gmake_either(m, scalars, 4));
    gmake_become(m, c->value, gmake_state(m, GRAMMAR_SPLIT, c->object, value));
    make_any_key(m);
    m->g->n_common = m->g->n_states;
}

/* ---- arrays ---------------------------------------------------------------------------------------- */

static uint32_t less(uint32_t n, uint32_t by)
{
    if (n == GRAMMAR_NO_LIMIT)
        return n;
    return n > by ? n - by : 0;
}

/* Items behind the prefix: entered in front of one, or (first) of the end. */
static uint32_t rest_items(struct gmake *m, uint32_t rest, uint32_t close, bool first,
                           struct grammar_counts counts)
{
    uint32_t more = gmake_state(m, GRAMMAR_FAIL, 0, 0);
    uint32_t item = gmake_state(m, GRAMMAR_CALL, rest, gmake_gap(m, more));
    uint32_t comma = gmake_state(m, GRAMMAR_TAKE, gmake_byte(m, ',', gmake_gap(m, item)), 0);
    uint32_t done = gmake_state(m, GRAMMAR_DONE, close, 0);

    gmake_become(m, more, gmake_state(m, GRAMMAR_SPLIT, comma, done));
    if (first)
        more = gmake_state(m, GRAMMAR_SPLIT, gmake_state(m, GRAMMAR_TAKE, item, 0), done);
    return gmake_counted(m, counts, more);
}

uint32_t gmake_array(struct gmake *m, const uint32_t *prefix, uint32_t n_prefix, uint32_t rest,
                     struct grammar_counts counts)
{
    uint32_t close = gmake_byte(m, ']', m->common.pop), at = GRAMMAR_NONE;

    /* From the end: what follows when i items were written. */
    if (rest != GRAMMAR_NONE && (counts.left == GRAMMAR_NO_LIMIT || counts.left > n_prefix))
        at = rest_items(
            m, rest, close, n_prefix == 0,
            (struct grammar_counts){less(counts.need, n_prefix), less(counts.left, n_prefix)});
    else if (counts.need <= n_prefix && counts.left >= n_prefix)
        at = close;
    for (uint32_t i = n_prefix; i-- > 0 && m->status == GW_OK;) {
        uint32_t ways[2] = {GRAMMAR_NONE,
                            counts.need <= i && counts.left >= i ? close : GRAMMAR_NONE};

        if (at != GRAMMAR_NONE && counts.left > i) {
            uint32_t item = gmake_state(m, GRAMMAR_CALL, prefix[i], gmake_gap(m, at));

            ways[0] = i == 0 ? item : gmake_byte(m, ',', gmake_gap(m, item));
        }
        at = ways[0] == GRAMMAR_NONE && ways[1] == GRAMMAR_NONE ? GRAMMAR_NONE
                                                                : gmake_either(m, ways, 2);
    }
    return at == GRAMMAR_NONE ? m->common.fail : gmake_byte(m, '[', gmake_gap(m, at));
}

/* ---- keys of other names ---------------------------------------------------------------------------- */

struct avoided {
    const struct dfa *base;
    struct avoided_node {
        uint16_t base; /* state of the automaton of all keys */
        uint32_t child, next;
        uint8_t byte;
        bool is_name;
    } * nodes; /* a tree of the names, 0 behind the opening quote */
};

/* Sources' states: bit 32: outside of the tree, and the state of base; else a node. */
#define OUTSIDE (UINT64_C(1) << 32)
#define OPENING (UINT64_C(1) << 33)

static uint64_t outside(uint16_t state)
{
    return state == DFA_DEAD ? UINT64_MAX : OUTSIDE | state;
}

static uint64_t avoided_step(void *ctx, uint64_t state, unsigned char byte)
{
    const struct avoided *a = ctx;
    const struct avoided_node *node;

    if (state == OPENING)
        return byte == '"' ? 0 : UINT64_MAX;
    if ((state & OUTSIDE) != 0)
        return outside(dfa_next(a->base, (uint16_t)state, byte));
    node = &a->nodes[state];
    if (byte == '"' && node->is_name)
        return UINT64_MAX;
    for (uint32_t i = node->child; i != 0; i = a->nodes[i].next)
        if (a->nodes[i].byte == byte)
            return i;
    return outside(dfa_next(a->base, node->base, byte));
}

static bool avoided_accepts(void *ctx, uint64_t state)
{
    const struct avoided *a = ctx;

    return state != OPENING && (state & OUTSIDE) != 0 && a->base->accept[(uint16_t)state];
}

/* Adds a written name, quotes left out. False: no UTF-8, so no key is equal to it. */
static void avoid(struct avoided *a, uint32_t *n, struct gw_span written)
{
    uint32_t at = 0;

    for (size_t i = 1; i + 1 < written.len; i++) {
        uint8_t byte = (uint8_t)written.ptr[i];
        uint32_t to = a->nodes[at].child;

        while (to != 0 && a->nodes[to].byte != byte)
            to = a->nodes[to].next;
        if (to == 0) {
            uint16_t base = dfa_next(a->base, a->nodes[at].base, byte);

            if (base == DFA_DEAD)
                return;
            to = (*n)++;
            a->nodes[to] =
                (struct avoided_node){.base = base, .byte = byte, .next = a->nodes[at].child};
            a->nodes[at].child = to;
        }
        at = to;
    }
    a->nodes[at].is_name = true;
}

uint32_t gmake_other_key(struct gmake *m, const struct gw_span *names, size_t n, uint32_t next)
{
    struct avoided a = {.base = &m->common.any_key};
    const struct dfa_source source = {&a, avoided_step, avoided_accepts};
    struct gw_buf written = {0};
    size_t bytes = 1;
    uint32_t n_nodes = 1, key = 0;
    struct dfa d;

    if (n == 0)
        return gmake_state(m, GRAMMAR_CALL, m->common.string, next);
    for (size_t i = 0; i < n; i++)
        bytes += 6 * names[i].len;
    a.nodes = gw_arena_array(m->scratch, bytes, sizeof(*a.nodes));
    if (m->status != GW_OK || a.nodes == NULL) {
        (void)gmake_no_memory(m);
        return 0;
    }
    a.nodes[0].base = dfa_next(a.base, 0, '"');
    for (size_t i = 0; i < n; i++) {
        gw_buf_clear(&written);
        grammar_write_string(&written, names[i]);
        if (gw_buf_ok(&written))
            avoid(&a, &n_nodes, gw_buf_span(&written));
    }
    if (!gw_buf_ok(&written))
        (void)gmake_no_memory(m);
    gw_buf_fini(&written);
    if (m->status == GW_OK &&
        gmake_fail(m, dfa_from_source(&source, OPENING, m->scratch, &d, m->err)) == GW_OK)
        key = gmake_dfa(m, &d);
    return gmake_state(m, GRAMMAR_CALL, key, next);
}
