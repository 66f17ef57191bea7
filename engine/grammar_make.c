/* engine/grammar_make.c - states, automata and objects of a grammar under construction. See grammar_make.h. */
#include "engine/grammar_make.h"

#include <string.h>

enum gw_status gmake_fail(struct gmake *m, enum gw_status st)
{
    if (m->status == GW_OK)
        m->status = st;
    return m->status;
}

enum gw_status gmake_no_memory(struct gmake *m)
{
    if (m->status == GW_OK)
        m->status = gw_fail(m->err, GW_ELIMIT, "the format needs more than %d MiB",
                            GRAMMAR_MAX_MEMORY >> 20);
    return m->status;
}

/* Room for one more of n elements of size bytes. */
static bool grow(struct gmake *m, void *list, uint32_t n, uint32_t *cap, size_t size)
{
    uint32_t wanted = *cap == 0 ? 32 : *cap * 2;
    void *old, *more;

    if (m->status != GW_OK)
        return false;
    if (n < *cap)
        return true;
    memcpy(&old, list, sizeof(old));
    more = gw_arena_grow(m->arena, old, *cap * size, wanted * size);
    if (more == NULL) {
        (void)gmake_no_memory(m);
        return false;
    }
    memcpy(list, &more, sizeof(more));
    *cap = wanted;
    return true;
}

uint32_t gmake_state(struct gmake *m, enum grammar_op op, uint32_t a, uint32_t b)
{
    struct engine_grammar *g = m->g;

    if (m->status == GW_OK && g->n_states == GRAMMAR_MAX_STATES)
        (void)gmake_fail(m, gw_fail(m->err, GW_ELIMIT, "the format needs more than %d states",
                                    GRAMMAR_MAX_STATES));
    if (!grow(m, &g->states, g->n_states, &m->cap_states, sizeof(*g->states)))
        return 0;
    g->states[g->n_states] = (struct grammar_state){.op = (uint8_t)op, .a = a, .b = b};
    return g->n_states++;
}

uint32_t gmake_byte(struct gmake *m, uint8_t byte, uint32_t next)
{
    uint32_t at = gmake_state(m, GRAMMAR_BYTE, next, 0);

    if (m->status == GW_OK)
        m->g->states[at].byte = byte;
    return at;
}

uint32_t gmake_text(struct gmake *m, struct gw_span text, uint32_t next)
{
    for (size_t i = text.len; i-- > 0 && m->status == GW_OK;)
        next = gmake_byte(m, (uint8_t)text.ptr[i], next);
    return next;
}

uint32_t gmake_either(struct gmake *m, const uint32_t *list, size_t n)
{
    uint32_t all = GRAMMAR_NONE;

    for (size_t i = n; i-- > 0;) {
        if (list[i] == GRAMMAR_NONE)
            continue;
        all = all == GRAMMAR_NONE ? list[i] : gmake_state(m, GRAMMAR_SPLIT, list[i], all);
    }
    return all == GRAMMAR_NONE ? m->common.fail : all;
}

uint32_t gmake_counted(struct gmake *m, struct grammar_counts counts, uint32_t next)
{
    struct engine_grammar *g = m->g;

    if (!grow(m, &g->counts, m->n_counts, &m->cap_counts, sizeof(*g->counts)))
        return 0;
    g->counts[m->n_counts] = counts;
    return gmake_state(m, GRAMMAR_SET, next, m->n_counts++);
}

uint32_t gmake_gap(struct gmake *m, uint32_t next)
{
    return gmake_state(m, GRAMMAR_CALL, m->common.gap, next);
}

void gmake_become(struct gmake *m, uint32_t at, uint32_t to)
{
    if (m->status == GW_OK)
        m->g->states[at] = (struct grammar_state){.op = GRAMMAR_SPLIT, .a = to, .b = to};
}

uint32_t gmake_dfa(struct gmake *m, const struct dfa *d)
{
    struct engine_grammar *g = m->g;
    size_t cells = (size_t)d->n_states * d->n_classes;
    struct dfa *to;
    uint32_t base = 0;

    if (m->status == GW_OK && d->n_states == 0)
        return m->common.fail;
    m->work += d->work;
    if (m->status == GW_OK && m->work > GRAMMAR_MAX_WORK)
        (void)gmake_fail(m, gw_fail(m->err, GW_ELIMIT, "the format's patterns are too complex"));
    if (!grow(m, &g->dfas, m->n_dfas, &m->cap_dfas, sizeof(*g->dfas)))
        return 0;
    to = &g->dfas[m->n_dfas];
    *to = *d;
    to->next = gw_arena_array(m->arena, cells, sizeof(*to->next));
    to->accept = NULL;
    if (to->next == NULL) {
        (void)gmake_no_memory(m);
        return 0;
    }
    memcpy(to->next, d->next, cells * sizeof(*to->next));
    for (uint32_t i = 0; i < d->n_states && m->status == GW_OK; i++) {
        uint32_t at = gmake_state(m, GRAMMAR_DFA, m->n_dfas, i);

        if (i == 0)
            base = at;
        if (m->status == GW_OK)
            g->states[at].accept = d->accept[i];
    }
    m->n_dfas++;
    gw_arena_reset(m->scratch);
    return base;
}

uint32_t gmake_last_dfa(struct gmake *m, const struct dfa *d)
{
    uint32_t base = gmake_dfa(m, d);

    for (uint32_t i = 0; i < d->n_states && m->status == GW_OK; i++)
        m->g->states[base + i].last = true;
    return base;
}

uint32_t gmake_nfa(struct gmake *m, const struct nfa *n, struct nfa_frag f)
{
    struct dfa d;

    if (m->status != GW_OK || gmake_fail(m, dfa_from_nfa(n, f, m->scratch, &d, m->err)) != GW_OK)
        return 0;
    return gmake_dfa(m, &d);
}

struct grammar_object *gmake_object(struct gmake *m, uint32_t *index)
{
    struct engine_grammar *g = m->g;

    if (!grow(m, &g->objects, m->n_objects, &m->cap_objects, sizeof(*g->objects)))
        return NULL;
    *index = m->n_objects;
    g->objects[m->n_objects] =
        (struct grammar_object){.first = m->n_properties, .additional = GRAMMAR_NONE};
    return &g->objects[m->n_objects++];
}

void gmake_property(struct gmake *m, struct grammar_object *o, struct grammar_property p)
{
    struct engine_grammar *g = m->g;

    if (!grow(m, &g->properties, m->n_properties, &m->cap_properties, sizeof(*g->properties)))
        return;
    g->properties[m->n_properties++] = p;
    if (p.required)
        o->required[o->n / 64] |= UINT64_C(1) << o->n % 64;
    o->n++;
}
