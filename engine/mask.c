/* engine/mask.c - see mask.h. */
#include "engine/mask.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/trie.h"

enum {
    BUCKETS = 4096,
    SPARSE = 32, /* below 1 / SPARSE of the vocabulary a list is smaller */
    WIDE = 64,   /* nodes of a part of the tree that is walked where it is */
    MIN_LOOP = 4 /* nodes that are worth asking whether they need to be walked */
};

/* Of what is known about loops: broken characters are no loop, so their bit can tell what was looked at. */
#define LOOKED TRIE_BROKEN

/* What may come on top of one frame. */
struct local {
    uint64_t uid; /* of the grammar; 0: the common part of all */
    struct matcher_frame frame;
    uint64_t *bits; /* or: */
    int32_t *ids;
    uint32_t n_ids;
    struct trie
        behind; /* bytes of tokens behind the end of the frame's rule, of the many places with few of them */
    uint32_t *wide; /* nodes of the vocabulary's tree where the rule ends and many tokens go on */
    uint32_t n_wide;
    size_t bytes; /* of memory */
    struct local *next_bucket, *older, *newer;
};

/* A token that goes on below the frame, from byte `from` on. */
struct crossing {
    int32_t id;
    uint32_t from;
};

struct mask_cache {
    const struct tok *t;
    struct trie trie;
    size_t n_words;
    int32_t *ends; /* tokens that end an answer */
    size_t n_ends;
    uint64_t *scratch; /* a mask under construction */
    struct crossing *crossings;
    size_t n_crossings, max_crossings;
    uint32_t *wide;
    size_t n_wide, max_wide;
    bool failed; /* out of memory for crossings */
    struct local *buckets[BUCKETS], *newest, *oldest;
    size_t bytes;
    atomic_ullong n_hits, n_misses, bytes_seen; /* for mask_cache_stats */
};

static bool find_ends(struct mask_cache *c)
{
    unsigned n_vocab = tok_n_vocab(c->t);

    c->ends = calloc((size_t)n_vocab + 1, sizeof(*c->ends));
    if (c->ends == NULL)
        return false;
    for (unsigned id = 0; id < n_vocab; id++)
        if (tok_is_end(c->t, (int32_t)id))
            c->ends[c->n_ends++] = (int32_t)id;
    return true;
}

struct mask_cache *mask_cache_new(const struct tok *t)
{
    struct mask_cache *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    c->t = t;
    c->n_words = (tok_n_vocab(t) + 63u) / 64;
    c->scratch = calloc(c->n_words + 1, sizeof(*c->scratch));
    if (c->scratch == NULL || !find_ends(c) || trie_of_vocab(t, &c->trie) != GW_OK ||
        trie_measure(&c->trie) != GW_OK) {
        mask_cache_free(c);
        return NULL;
    }
    return c;
}

static void local_free(struct local *l)
{
    if (l == NULL)
        return;
    trie_fini(&l->behind);
    free(l->wide);
    free(l->bits);
    free(l->ids);
    free(l);
}

void mask_cache_free(struct mask_cache *c)
{
    if (c == NULL)
        return;
    while (c->newest != NULL) {
        struct local *l = c->newest;

        c->newest = l->older;
        local_free(l);
    }
    trie_fini(&c->trie);
    free(c->ends);
    free(c->scratch);
    free(c->crossings);
    free(c->wide);
    free(c);
}

void mask_cache_stats(const struct mask_cache *c, struct mask_stats *out)
{
    *out = (struct mask_stats){atomic_load_explicit(&c->n_hits, memory_order_relaxed),
                               atomic_load_explicit(&c->n_misses, memory_order_relaxed),
                               atomic_load_explicit(&c->bytes_seen, memory_order_relaxed)};
}

static void count(atomic_ullong *n)
{
    atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

size_t mask_words(const struct mask_cache *c)
{
    return c->n_words;
}

static void set_ids(const struct trie *t, const struct trie_node *node, uint64_t *bits)
{
    for (uint32_t i = 0; i < node->n_ids; i++) {
        uint32_t id = (uint32_t)t->ids[node->first_id + i];

        bits[id / 64] |= UINT64_C(1) << id % 64;
    }
}

/* ---- one frame ---------------------------------------------------------------------------------------- */

/* Room for one more in a list; false (and failed): out of memory. */
static bool grow(struct mask_cache *c, void *list, size_t n, size_t *max, size_t size)
{
    size_t wanted = *max == 0 ? 1024 : 2 * *max;
    void *old, *more;

    if (n < *max)
        return true;
    memcpy(&old, list, sizeof(old));
    more = realloc(old, wanted * size);
    if (more == NULL) {
        c->failed = true;
        return false;
    }
    memcpy(list, &more, sizeof(more));
    *max = wanted;
    // cppcheck-suppress memleak ; the list has it now
    return true;
}

/* The rule ends at node `at`: all tokens below it go on beneath the frame. */
static void cross(struct mask_cache *c, uint32_t at)
{
    const struct trie *t = &c->trie;
    uint32_t end = t->nodes[at].end;

    if (end - at > WIDE) {
        if (grow(c, &c->wide, c->n_wide, &c->max_wide, sizeof(*c->wide)))
            c->wide[c->n_wide++] = at;
        return;
    }
    for (uint32_t i = at + 1; i < end; i++) {
        for (uint32_t k = 0; k < t->nodes[i].n_ids; k++) {
            if (!grow(c, &c->crossings, c->n_crossings, &c->max_crossings, sizeof(*c->crossings)))
                return;
            c->crossings[c->n_crossings++] =
                (struct crossing){t->ids[t->nodes[i].first_id + k], t->nodes[at].depth};
        }
    }
}

/* Where a walk is: the automaton's state and the counts behind the bytes of a depth. */
struct place {
    uint16_t state;
    uint32_t need, left;
};

/* Moves a place by a byte; false: it does not fit. */
static bool move(const struct engine_grammar *g, const struct grammar_state *base,
                 const struct dfa *d, const struct place *from, uint8_t byte, struct place *to)
{
    *to = *from;
    to->state = dfa_next(d, from->state, byte);
    if (to->state == DFA_DEAD)
        return false;
    if (!base[from->state].counted)
        return true;
    (void)g;
    if (byte == '"')
        return from->need == 0;
    if (from->left == 0)
        return false;
    to->need -= from->need != 0;
    to->left -= from->left != GRAMMAR_NO_LIMIT;
    return true;
}

/* Whether `more` bytes of a character, the first of them from lo to hi, lead from `at` to `to`, by one way. */
static bool ends_char(const struct dfa *d, unsigned at, unsigned to, unsigned more, unsigned lo,
                      unsigned hi)
{
    for (; more != 0; more--, lo = 0x80, hi = 0xBF) {
        uint16_t next = dfa_next(d, at, (unsigned char)lo);

        for (unsigned b = lo; b <= hi; b++)
            if (dfa_next(d, at, (unsigned char)b) != next)
                return false;
        if (next == DFA_DEAD)
            return false;
        at = next;
    }
    return at == to;
}

/* Whether every character outside of ASCII leads from a state to itself. */
static bool loops_chars(const struct dfa *d, unsigned state)
{
    for (unsigned b = 0xC2; b <= 0xF4; b++) {
        uint16_t next = dfa_next(d, state, (unsigned char)b);
        unsigned more = b < 0xE0 ? 1 : b < 0xF0 ? 2 : 3;
        unsigned lo = b == 0xE0 ? 0xA0 : b == 0xF0 ? 0x90 : 0x80;
        unsigned hi = b == 0xED ? 0x9F : b == 0xF4 ? 0x8F : 0xBF;

        if (next == DFA_DEAD || !ends_char(d, next, state, more, lo, hi))
            return false;
    }
    return true;
}

/* Groups of bytes that lead from a state to itself. */
static uint64_t loops_of(const struct dfa *d, unsigned state)
{
    uint64_t leaves = loops_chars(d, state) ? 0 : TRIE_CHARS;

    for (unsigned b = 0; b < 0x80; b++)
        if (dfa_next(d, state, (unsigned char)b) != state)
            leaves |= trie_group((uint8_t)b);
    return ~leaves;
}

/* Whether all that is below a node fits and leaves the automaton where it is. */
static bool loops(const struct trie *t, uint32_t at, const struct grammar_state *s, uint64_t loops,
                  const struct place *p)
{
    if ((t->below[at] & ~loops) != 0 || (s->accept && !s->last))
        return false;
    return !s->counted || p->left == GRAMMAR_NO_LIMIT || p->left >= t->height[at];
}

static void set_below(const struct trie *t, uint32_t at, uint64_t *bits)
{
    uint32_t end = t->nodes[at].end;
    uint32_t last = end < t->n_nodes ? t->nodes[end].first_id : t->n_ids;

    for (uint32_t i = t->nodes[at].first_id; i < last; i++)
        bits[(uint32_t)t->ids[i] / 64] |= UINT64_C(1) << (uint32_t)t->ids[i] % 64;
}

/* The frame is in an automaton: its table alone says what fits, as long as its rule is not left. */
static void walk_dfa(struct mask_cache *c, const struct engine_grammar *g,
                     const struct matcher_frame *f)
{
    const struct grammar_state *s = &g->states[f->state], *base = s - s->b;
    const struct dfa *d = &g->dfas[s->a];
    const struct trie *t = &c->trie;
    struct place places[TRIE_MAX_DEPTH + 1];
    uint64_t *known = calloc(d->n_states, sizeof(*known)); /* 0: not yet */

    if (known == NULL) {
        c->failed = true;
        return;
    }
    places[0] = (struct place){(uint16_t)s->b, f->need, f->left};
    for (uint32_t i = 1; i < t->n_nodes;) {
        const struct trie_node *node = &t->nodes[i];
        struct place *p = &places[node->depth];

        if (!move(g, base, d, p - 1, node->byte, p)) {
            i = node->end;
            continue;
        }
        if (node->end - i > MIN_LOOP && known[p->state] == 0)
            known[p->state] = loops_of(d, p->state) | LOOKED;
        if (node->end - i > MIN_LOOP &&
            loops(t, i, &base[p->state], known[p->state] & ~LOOKED, p)) {
            set_below(t, i, c->scratch);
            i = node->end;
            continue;
        }
        set_ids(t, node, c->scratch);
        if (base[p->state].accept && !base[p->state].last)
            cross(c, i);
        i++;
    }
    free(known);
}

static void walk_any(struct mask_cache *c, struct matcher *m, const struct matcher_frame *f)
{
    const struct trie *t = &c->trie;
    uint32_t sets[TRIE_MAX_DEPTH + 1];

    sets[0] = matcher_open(m, f);
    for (uint32_t i = 1; i < t->n_nodes && !m->failed;) {
        const struct trie_node *node = &t->nodes[i];
        uint32_t set = matcher_step(m, sets[node->depth - 1], node->byte);

        if (set == MATCHER_DEAD) {
            i = node->end;
            continue;
        }
        sets[node->depth] = set;
        set_ids(t, node, c->scratch);
        if (m->sets[set].opened)
            cross(c, i);
        i = m->sets[set].n == 0 ? node->end : i + 1;
    }
}

/* The tree of what is behind the crossings. */
static bool make_behind(struct mask_cache *c, struct local *l)
{
    struct trie_entry *entries = calloc(c->n_crossings + 1, sizeof(*entries));
    bool ok;

    if (entries == NULL)
        return false;
    for (size_t i = 0; i < c->n_crossings; i++)
        entries[i] = (struct trie_entry){
            gw_span_from(tok_piece(c->t, c->crossings[i].id), c->crossings[i].from),
            c->crossings[i].id};
    ok = trie_make(entries, c->n_crossings, &l->behind) == GW_OK;
    free(entries);
    l->wide = malloc((c->n_wide + 1) * sizeof(*l->wide));
    if (ok && l->wide != NULL && c->n_wide != 0)
        memcpy(l->wide, c->wide, c->n_wide * sizeof(*l->wide));
    l->n_wide = (uint32_t)c->n_wide;
    ok = ok && l->wide != NULL;
    l->bytes += c->n_wide * sizeof(*l->wide) + l->behind.n_nodes * sizeof(*l->behind.nodes) +
                c->n_crossings * sizeof(int32_t);
    return ok;
}

/* Keeps the mask in scratch, as bits or as a list. */
static bool keep_mask(struct mask_cache *c, struct local *l)
{
    size_t n = 0;

    for (size_t w = 0; w < c->n_words; w++)
        n += (size_t)__builtin_popcountll(c->scratch[w]);
    if (n > c->n_words * 64 / SPARSE) {
        l->bits = malloc(c->n_words * sizeof(*l->bits));
        if (l->bits != NULL)
            memcpy(l->bits, c->scratch, c->n_words * sizeof(*l->bits));
        l->bytes += c->n_words * sizeof(*l->bits);
        return l->bits != NULL;
    }
    l->ids = malloc((n + 1) * sizeof(*l->ids));
    if (l->ids == NULL)
        return false;
    for (size_t w = 0; w < c->n_words; w++)
        for (uint64_t word = c->scratch[w]; word != 0; word &= word - 1)
            l->ids[l->n_ids++] = (int32_t)(w * 64 + (size_t)__builtin_ctzll(word));
    l->bytes += n * sizeof(*l->ids);
    return true;
}

static struct local *compute(struct mask_cache *c, struct matcher *m, const struct local *key)
{
    struct local *l = calloc(1, sizeof(*l));

    if (l == NULL)
        return NULL;
    l->uid = key->uid;
    l->frame = key->frame;
    l->bytes = sizeof(*l);
    memset(c->scratch, 0, c->n_words * sizeof(*c->scratch));
    c->n_crossings = c->n_wide = 0;
    if (m->g->states[key->frame.state].op == GRAMMAR_DFA)
        walk_dfa(c, m->g, &key->frame);
    else
        walk_any(c, m, &key->frame);
    if (c->failed || m->failed || !keep_mask(c, l) || !make_behind(c, l)) {
        c->failed = false;
        local_free(l);
        return NULL;
    }
    return l;
}

/* ---- what is kept -------------------------------------------------------------------------------------- */

static struct local **bucket_of(struct mask_cache *c, const struct local *key)
{
    uint64_t h = key->uid * 0x9E3779B97F4A7C15u, word;
    const unsigned char *p = (const unsigned char *)&key->frame;

    for (size_t i = 0; i + 8 <= sizeof(key->frame); i += 8) {
        memcpy(&word, p + i, 8);
        h = (h ^ word) * 0x9E3779B97F4A7C15u;
        h ^= h >> 29;
    }
    return &c->buckets[h >> 32 & (BUCKETS - 1)];
}

static void unlink_local(struct mask_cache *c, struct local *l)
{
    if (l->newer != NULL)
        l->newer->older = l->older;
    else
        c->newest = l->older;
    if (l->older != NULL)
        l->older->newer = l->newer;
    else
        c->oldest = l->newer;
}

static void make_newest(struct mask_cache *c, struct local *l)
{
    l->newer = NULL;
    l->older = c->newest;
    if (c->newest != NULL)
        c->newest->newer = l;
    else
        c->oldest = l;
    c->newest = l;
}

static void drop_oldest(struct mask_cache *c)
{
    struct local *l = c->oldest, **at = bucket_of(c, l);

    while (*at != l)
        at = &(*at)->next_bucket;
    *at = l->next_bucket;
    unlink_local(c, l);
    c->bytes -= l->bytes;
    local_free(l);
}

/* Counts that no token can use up are as good as none: a token counts at most once a byte, an object's members more. */
static struct matcher_frame clipped(const struct mask_cache *c, const struct engine_grammar *g,
                                    const struct matcher_frame *f)
{
    struct matcher_frame out = *f;
    uint32_t enough = c->trie.max_depth + 1;

    if (g->states[f->state].op != GRAMMAR_DFA)
        enough += GRAMMAR_MAX_PROPERTIES;
    if (out.left > enough)
        out.left = GRAMMAR_NO_LIMIT;
    if (out.need > enough)
        out.need = enough;
    return out;
}

/* What may come on top of a frame; good until the next call. NULL: failed. */
static const struct local *get_local(struct mask_cache *c, struct matcher *m,
                                     const struct matcher_frame *f)
{
    struct local key = {.uid = f->state < m->g->n_common ? 0 : m->g->uid,
                        .frame = clipped(c, m->g, f)};
    struct local **bucket = bucket_of(c, &key), *l;

    for (l = *bucket; l != NULL; l = l->next_bucket)
        if (l->uid == key.uid && memcmp(&l->frame, &key.frame, sizeof(l->frame)) == 0)
            break;
    count(l != NULL ? &c->n_hits : &c->n_misses);
    if (l != NULL) {
        unlink_local(c, l);
    } else {
        l = compute(c, m, &key);
        if (l == NULL)
            return NULL;
        l->next_bucket = *bucket;
        *bucket = l;
        c->bytes += l->bytes;
    }
    make_newest(c, l);
    while (c->bytes > MASK_CACHE_BYTES && c->oldest != l)
        drop_oldest(c);
    atomic_store_explicit(&c->bytes_seen, c->bytes, memory_order_relaxed);
    return l;
}

/* ---- the whole mask ------------------------------------------------------------------------------------ */

/* What fits below node `top` of a tree, where the set `from` is. */
static void walk_set(struct matcher *m, const struct trie *t, uint32_t top, uint32_t from,
                     uint64_t *bits)
{
    uint32_t sets[TRIE_MAX_DEPTH + 1];

    sets[t->nodes[top].depth] = from;
    for (uint32_t i = top + 1; i < t->nodes[top].end && !m->failed;) {
        const struct trie_node *node = &t->nodes[i];
        uint32_t set = matcher_step(m, sets[node->depth - 1], node->byte);

        if (set == MATCHER_DEAD) {
            i = node->end;
            continue;
        }
        sets[node->depth] = set;
        set_ids(t, node, bits);
        i++;
    }
}

static void add_local(const struct mask_cache *c, const struct local *l, uint64_t *bits)
{
    for (size_t w = 0; l->bits != NULL && w < c->n_words; w++)
        bits[w] |= l->bits[w];
    for (uint32_t i = 0; i < l->n_ids; i++)
        bits[(uint32_t)l->ids[i] / 64] |= UINT64_C(1) << (uint32_t)l->ids[i] % 64;
}

/* The stacks' own tokens and those that go on below. False: failed. */
static bool add_stacks(struct mask_cache *c, struct matcher *m, uint64_t *bits)
{
    const uint32_t first = m->sets[m->at].first, n = m->sets[m->at].n;

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t at = m->stacks[first + i];
        const struct matcher_frame f = m->nodes[at].frame;
        const struct local *l = get_local(c, m, &f);

        if (l == NULL)
            return false;
        add_local(c, l, bits);
        if (l->behind.n_nodes > 1 || l->n_wide != 0) {
            uint32_t below = matcher_below(m, at);

            walk_set(m, &l->behind, 0, below, bits);
            for (uint32_t k = 0; k < l->n_wide; k++)
                walk_set(m, &c->trie, l->wide[k], below, bits);
        }
    }
    return true;
}

/* So deep in its stack that what the cached parts assume of the room above would be wrong. */
static bool is_deep(const struct matcher *m)
{
    const struct matcher_set *s = &m->sets[m->at];

    for (uint32_t i = 0; i < s->n; i++)
        if (m->nodes[m->stacks[s->first + i]].depth > GRAMMAR_MAX_HEIGHT / 2)
            return true;
    return false;
}

bool mask_fill(struct mask_cache *c, struct matcher *m, uint64_t *bits)
{
    matcher_tidy(m);
    memset(bits, 0, c->n_words * sizeof(*bits));
    if (m->failed)
        return false;
    if (is_deep(m))
        walk_set(m, &c->trie, 0, m->at, bits);
    else if (!add_stacks(c, m, bits))
        return false;
    if (matcher_done(m))
        for (size_t i = 0; i < c->n_ends; i++)
            bits[(uint32_t)c->ends[i] / 64] |= UINT64_C(1) << (uint32_t)c->ends[i] % 64;
    return !m->failed;
}

void mask_warm(struct mask_cache *c)
{
    static const char text[] = "{\"ab\": [\"\\u00e9\\n\u00e9\", -10.25e+3, 0, true, false, null, "
                               "{\"c\":[]}, {}], \"d\":{\"e\":1}}";
    const struct engine_format any = {.kind = ENGINE_FORMAT_JSON};
    struct engine_grammar *g = NULL;
    uint64_t *bits = calloc(c->n_words + 1, sizeof(*bits));
    struct matcher *m = NULL;

    if (bits != NULL && engine_grammar_new(&any, &g, NULL) == GW_OK)
        m = matcher_new(g, false);
    for (size_t i = 0; m != NULL && i + 1 < sizeof(text); i++)
        if (!mask_fill(c, m, bits) || !matcher_accept(m, (struct gw_span){text + i, 1}))
            break;
    matcher_free(m);
    engine_grammar_unref(g);
    free(bits);
}
