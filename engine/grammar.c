/* engine/grammar.c - formats into grammars: the whole answer's rule, and how high each state's stack grows. See grammar.h. */
#include "engine/grammar.h"

#include <stdlib.h>
#include <string.h>

#include "engine/grammar_make.h"

enum { MAX_TOOLS = 128, MAX_TAG_BYTES = 64 };

/* ---- heights ---------------------------------------------------------------------------------------- */

static uint8_t higher(uint8_t a, uint8_t b)
{
    return a > b ? a : b;
}

static uint8_t lower(uint8_t a, uint8_t b)
{
    return a < b ? a : b;
}

static uint8_t above(uint8_t h)
{
    return h >= GRAMMAR_MAX_HEIGHT ? GRAMMAR_ENDLESS : (uint8_t)(h + 1);
}

/* The members of an object: the highest of the required ones, or (any) the lowest of all. */
static uint8_t members_height(const struct engine_grammar *g, const struct grammar_object *o,
                              bool any)
{
    uint8_t least =
        o->additional == GRAMMAR_NONE ? GRAMMAR_ENDLESS : g->states[o->additional].height;
    uint8_t most = g->states[o->close].height;
    uint32_t n_possible = 0;

    for (uint32_t i = 0; i < o->n; i++) {
        const struct grammar_property *p = &g->properties[o->first + i];
        uint8_t h = g->states[p->state].height;

        n_possible += h != GRAMMAR_ENDLESS;
        least = lower(least, h);
        if (p->required)
            most = higher(most, h);
    }
    if (any)
        return least;
    if (o->additional == GRAMMAR_NONE && n_possible < o->counts.need)
        return GRAMMAR_ENDLESS;
    return o->counts.need != 0 ? higher(most, least) : most;
}

static bool counts_possible(const struct grammar_object *o)
{
    uint32_t n_required = 0;

    for (uint32_t i = 0; i < o->n; i++)
        n_required += (uint32_t)(o->required[i / 64] >> i % 64 & 1);
    return n_required <= o->counts.left && o->counts.need <= o->counts.left;
}

static uint8_t height_of(const struct engine_grammar *g, const struct grammar_state *s)
{
    const struct grammar_object *o;

    switch ((enum grammar_op)s->op) {
    case GRAMMAR_POP:
    case GRAMMAR_DFA:
        return 0;
    case GRAMMAR_BYTE:
    case GRAMMAR_SET:
    case GRAMMAR_TAKE:
    case GRAMMAR_DONE:
        return g->states[s->a].height;
    case GRAMMAR_SPLIT:
        return lower(g->states[s->a].height, g->states[s->b].height);
    case GRAMMAR_CALL:
        return g->states[s->b].op == GRAMMAR_POP
                   ? g->states[s->a].height
                   : higher(above(g->states[s->a].height), g->states[s->b].height);
    case GRAMMAR_FIRST:
        o = &g->objects[s->a];
        return counts_possible(o) ? members_height(g, o, false) : GRAMMAR_ENDLESS;
    case GRAMMAR_KEY:
        return members_height(g, &g->objects[s->a], true);
    case GRAMMAR_MORE: /* FIRST vouched for what is still required: it stands at the same height */
        return g->states[g->objects[s->a].close].height;
    case GRAMMAR_FAIL:
    default:
        return GRAMMAR_ENDLESS;
    }
}

/* Lowers heights until nothing changes. Most states come before those that lead to them, so rounds are few. */
static enum gw_status measure(struct gmake *m)
{
    struct engine_grammar *g = m->g;
    bool changed = true;

    for (uint32_t i = 0; i < g->n_states; i++)
        g->states[i].height = GRAMMAR_ENDLESS;
    for (unsigned round = 0; changed; round++) {
        if (round == 4 * GRAMMAR_MAX_HEIGHT)
            return gw_fail(m->err, GW_ELIMIT, "the schema is too complex");
        changed = false;
        for (uint32_t i = 0; i < g->n_states; i++) {
            uint8_t h = height_of(g, &g->states[i]);

            changed |= h < g->states[i].height;
            g->states[i].height = lower(h, g->states[i].height);
        }
    }
    if (g->states[g->start].height > GRAMMAR_MAX_HEIGHT / 2)
        return gw_fail(
            m->err, GW_EINVAL,
            "no answer meets the format: what it demands is contradictory, without end, or "
            "nested too deeply");
    return GW_OK;
}

/* ---- calls ------------------------------------------------------------------------------------------- */

static struct gw_span or_object(struct gw_span schema)
{
    return schema.len == 0 ? GW_SPAN("{\"type\":\"object\"}") : schema;
}

/* The object of one call, then next. */
static uint32_t call_of(struct gmake *m, const struct engine_format *f,
                        const struct engine_format_tool *tool, uint32_t next)
{
    uint32_t arguments = gmake_schema(m, or_object(tool->schema), f);
    struct gw_buf name = {0};
    uint32_t at;

    at = gmake_gap(m, gmake_byte(m, '}', next));
    at = gmake_text(m, GW_SPAN("\"arguments\""), gmake_member(m, arguments, at));
    at = gmake_gap(m, gmake_byte(m, ',', gmake_gap(m, at)));
    grammar_write_string(&name, tool->name);
    if (!gw_buf_ok(&name))
        (void)gmake_no_memory(m);
    at = gmake_text(m, gw_buf_span(&name), at);
    gw_buf_fini(&name);
    at = gmake_gap(m, gmake_byte(m, ':', gmake_gap(m, at)));
    return gmake_byte(m, '{', gmake_gap(m, gmake_text(m, GW_SPAN("\"name\""), at)));
}

/* A call, tags included but without the first `skip` bytes, then next. */
static uint32_t calls(struct gmake *m, const struct engine_format *f, uint32_t next)
{
    uint32_t ways[MAX_TOOLS];

    next = gmake_gap(m, gmake_text(m, f->end, next));
    for (unsigned i = 0; i < f->n_tools; i++) {
        ways[i] = call_of(m, f, &f->tools[i], next);
        if (m->status != GW_OK && m->err != NULL)
            (void)gw_fail_prefix(m->err, "tool %u", i);
        if (m->status != GW_OK)
            return 0;
    }
    return gmake_gap(m, gmake_either(m, ways, f->n_tools));
}

/* How much of the tag the text ends with when `byte` comes behind `have` bytes of it. */
static size_t tag_step(struct gw_span tag, size_t have, unsigned char byte)
{
    char text[MAX_TAG_BYTES + 1];

    memcpy(text, tag.ptr, have);
    text[have] = (char)byte;
    for (size_t n = have + 1; n != 0; n--)
        if (memcmp(text + have + 1 - n, tag.ptr, n) == 0)
            return n;
    return 0;
}

struct tag_text {
    struct gw_span tag;
};

static uint64_t tag_text_step(void *ctx, uint64_t state, unsigned char byte)
{
    const struct tag_text *t = ctx;

    return state == t->tag.len ? UINT64_MAX : tag_step(t->tag, state, byte);
}

static bool tag_text_whole(void *ctx, uint64_t state)
{
    const struct tag_text *t = ctx;

    return state == t->tag.len;
}

static bool tag_text_without(void *ctx, uint64_t state)
{
    const struct tag_text *t = ctx;

    return state != t->tag.len;
}

/* Any text up to and with the tag; or (without) any text in which it does not come. */
static uint32_t text_until(struct gmake *m, struct gw_span tag, bool without)
{
    struct tag_text ctx = {tag};
    const struct dfa_source source = {&ctx, tag_text_step,
                                      without ? tag_text_without : tag_text_whole};
    struct dfa d;

    if (m->status != GW_OK ||
        gmake_fail(m, dfa_from_source(&source, 0, m->scratch, &d, m->err)) != GW_OK)
        return 0;
    return without ? gmake_last_dfa(m, &d) : gmake_dfa(m, &d);
}

static uint32_t make_tools(struct gmake *m, const struct engine_format *f)
{
    uint32_t again = gmake_state(m, GRAMMAR_FAIL, 0, 0), first, more;

    if (f->n_tools == 0 || f->n_tools > MAX_TOOLS || f->begin.len == 0 ||
        f->begin.len > MAX_TAG_BYTES || f->end.len > MAX_TAG_BYTES) {
        (void)gmake_fail(m, gw_fail(m->err, GW_EINVAL, "1 to %d tools can be demanded", MAX_TOOLS));
        return 0;
    }
    first = calls(m, f, f->single ? m->common.pop : again);
    if (f->must_call || f->text.len != 0) {
        more = gmake_gap(m, gmake_text(m, f->begin, first));
        gmake_become(m, again, gmake_state(m, GRAMMAR_SPLIT, m->common.pop, more));
        if (!f->must_call) /* the text has a format of its own */
            more = gmake_state(m, GRAMMAR_SPLIT, more, gmake_gap(m, gmake_schema(m, f->text, f)));
        return more;
    }
    /* Text without the tag to its end, or up to the tag and a call behind it. */
    more = gmake_state(m, GRAMMAR_SPLIT, text_until(m, f->begin, true),
                       gmake_state(m, GRAMMAR_CALL, text_until(m, f->begin, false), first));
    gmake_become(m, again, more);
    return more;
}

/* ---- the whole ---------------------------------------------------------------------------------------- */

static uint32_t make_regex(struct gmake *m, struct gw_span text)
{
    const struct grammar_pattern p = {.text = text};
    struct dfa d;

    if (m->status != GW_OK || gmake_fail(m, grammar_regex(&p, m->scratch, &d, m->err)) != GW_OK)
        return 0;
    return gmake_last_dfa(m, &d);
}

static enum gw_status make(struct gmake *m, const struct engine_format *f)
{
    struct engine_grammar *g = m->g;
    uint32_t rule = 0;

    gmake_common(m);
    switch (f->kind) {
    case ENGINE_FORMAT_JSON:
        rule = gmake_gap(m, m->common.object);
        break;
    case ENGINE_FORMAT_SCHEMA:
        rule = gmake_gap(m, gmake_schema(m, f->text, f));
        break;
    case ENGINE_FORMAT_TOOLS:
        rule = make_tools(m, f);
        break;
    case ENGINE_FORMAT_REGEX:
    default:
        rule = make_regex(m, f->text);
    }
    g->start = gmake_state(m, GRAMMAR_SPLIT, rule, rule);
    g->start_spaced = gmake_state(m, GRAMMAR_SPLIT, g->start, gmake_byte(m, ' ', g->start));
    if (m->status != GW_OK)
        return m->status;
    return measure(m);
}

enum gw_status engine_grammar_new(const struct engine_format *format, struct engine_grammar **out,
                                  struct gw_err *err)
{
    static atomic_ullong next_uid = 1;
    struct gw_err own = {GW_OK, ""};
    struct gmake m = {.err = err == NULL ? &own : err};
    enum gw_status st;

    m.g = calloc(1, sizeof(*m.g));
    m.arena = gw_arena_new(GRAMMAR_MAX_MEMORY);
    m.scratch = gw_arena_new(GRAMMAR_MAX_MEMORY);
    if (m.g == NULL || m.arena == NULL || m.scratch == NULL) {
        gw_arena_free(m.arena);
        st = gw_fail(err, GW_ENOMEM, "out of memory for a format");
    } else {
        m.g->arena = m.arena;
        m.g->uid = atomic_fetch_add(&next_uid, 1);
        atomic_init(&m.g->refs, 1);
        st = make(&m, format);
        if (st != GW_OK)
            gw_arena_free(m.arena);
    }
    gw_arena_free(m.scratch);
    if (st != GW_OK) {
        free(m.g);
        return st;
    }
    *out = m.g;
    return GW_OK;
}

struct engine_grammar *grammar_ref(struct engine_grammar *g)
{
    if (g != NULL)
        atomic_fetch_add(&g->refs, 1);
    return g;
}

void engine_grammar_unref(struct engine_grammar *g)
{
    if (g == NULL || atomic_fetch_sub(&g->refs, 1) != 1)
        return;
    gw_arena_free(g->arena);
    free(g);
}
