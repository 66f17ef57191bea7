/* engine/grammar_pattern.c - patterns with everything around them: quotes, and how many characters there may be. See
 * grammar_make.h. Pure; one thread at a time. */
#include "engine/grammar_make.h"

/* A JSON string's automaton beside a count of its characters. A state: that of the automaton, where in a character it
 * is, and the count. */
struct counting {
    const struct dfa *d;
    uint32_t min, max;
};

enum place { OPENING, BETWEEN, INSIDE, ESCAPE, HEX, CLOSED = HEX + 4 };

static uint64_t pack(uint16_t state, unsigned place, uint32_t count)
{
    return (uint64_t)state << 40 | (uint64_t)place << 32 | count;
}

static unsigned next_place(unsigned place, unsigned char byte)
{
    switch (place) {
    case OPENING:
        return BETWEEN;
    case BETWEEN:
    case INSIDE:
        if ((byte & 0xC0) == 0x80)
            return INSIDE;
        return byte == '"' ? CLOSED : byte == '\\' ? ESCAPE : INSIDE;
    case ESCAPE:
        return byte == 'u' ? HEX : INSIDE;
    default:
        return place + 1 < CLOSED ? place + 1 : INSIDE;
    }
}

static uint64_t counting_step(void *ctx, uint64_t state, unsigned char byte)
{
    const struct counting *c = ctx;
    unsigned place = (unsigned)(state >> 32) & 0xFF;
    uint32_t count = (uint32_t)state;
    uint16_t next = dfa_next(c->d, (unsigned)(state >> 40), byte);

    if (next == DFA_DEAD)
        return UINT64_MAX;
    /* INSIDE stands for "a character may begin here" too: continuation bytes tell. */
    if ((place == BETWEEN || place == INSIDE) && (byte & 0xC0) != 0x80) {
        if (byte == '"')
            return count >= c->min ? pack(next, CLOSED, 0) : UINT64_MAX;
        if (count == c->max)
            return UINT64_MAX;
        if (c->max != GRAMMAR_NO_LIMIT || count < c->min)
            count++;
    }
    return pack(next, next_place(place, byte), count);
}

static bool counting_accepts(void *ctx, uint64_t state)
{
    const struct counting *c = ctx;

    return c->d->accept[state >> 40];
}

enum gw_status grammar_regex(const struct grammar_pattern *p, struct gw_arena *arena,
                             struct dfa *out, struct gw_err *err)
{
    struct counting counting = {.min = p->min, .max = p->max};
    const struct dfa_source source = {&counting, counting_step, counting_accepts};
    struct nfa n;
    struct nfa_frag f = {0}, quote;
    struct dfa d;

    nfa_init(&n, arena);
    if (!p->json) {
        GW_TRY(grammar_regex_parse(&n, p->text, false, &f, err));
        return dfa_from_nfa(&n, f, arena, out, err);
    }
    quote = nfa_text(&n, GW_SPAN("\""));
    GW_TRY(grammar_regex_parse(&n, p->text, true, &f, err));
    f = nfa_then(&n, quote, f);
    f = nfa_then(&n, f, nfa_text(&n, GW_SPAN("\"")));
    GW_TRY(dfa_from_nfa(&n, f, arena, &d, err));
    if (d.n_states == 0 || (p->min == 0 && p->max == GRAMMAR_NO_LIMIT)) {
        *out = d;
        return GW_OK;
    }
    counting.d = &d;
    return dfa_from_source(&source, pack(0, OPENING, 0), arena, out, err);
}
