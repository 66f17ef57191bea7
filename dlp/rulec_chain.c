/* dlp/rulec_chain.c - cuts patterns into steps, see the header. Thread: any, one per arena. */
#include "dlp/rulec_chain.h"

#include <string.h>

enum { MAX_ITEMS = 128, MAX_BRANCHES = 64, UNROLL = 8, MAX_ALL_LENGTHS = 512 };

/* What all automata of a pattern may cost, also those that are joined and made anew: tenths of a second, and sixteen times what
 * the largest pattern of the built-in rules takes. */
enum { MAX_WORK = 64000000 };

enum item_kind { ITEM_ATOM, ITEM_RUN, ITEM_BEGIN, ITEM_END };

struct item {
    enum item_kind kind;
    const struct rx_node *node; /* ATOM, RUN */
};

/* One alternative, flat. */
struct branch {
    struct item items[MAX_ITEMS];
    unsigned n;
};

struct branches {
    struct branch *b[MAX_BRANCHES];
    unsigned n;
};

struct cutter {
    struct gw_arena *arena;
    struct gw_err *err;
    uint64_t work; /* left, see MAX_WORK */
    enum gw_status st;
};

static bool fail(struct cutter *x, enum gw_status st, const char *what)
{
    if (x->st == GW_OK)
        x->st = gw_fail(x->err, st, "pattern: %s", what);
    return false;
}

/* A repeat of one set that is cheaper as a loop. */
static bool is_run(const struct rx_node *n)
{
    return n->kind == RX_REPEAT && n->kid->kind == RX_SET && (n->min > UNROLL || n->max > UNROLL);
}

/* An unbounded repeat of one set: a loop that can remember how far it went, where it stands at the top
 * anyway; no reason to open anything. */
static bool is_loop(const struct rx_node *n)
{
    return n->kind == RX_REPEAT && n->kid->kind == RX_SET && n->max == RX_INFINITE;
}

/* True when n holds something that must stand at the top of a chain. */
static bool must_open(const struct rx_node *n)
{
    if (n->kind == RX_SECRET || is_run(n))
        return true;
    for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
        if (must_open(k))
            return true;
    return false;
}

static bool push(struct cutter *x, struct branches *all, enum item_kind kind,
                 const struct rx_node *node)
{
    for (unsigned i = 0; i < all->n; i++) {
        if (all->b[i]->n == MAX_ITEMS)
            return fail(x, GW_ELIMIT, "too many parts; split it with `patterns:`");
        all->b[i]->items[all->b[i]->n++] = (struct item){kind, node};
    }
    return true;
}

/* Adds copies of from's branches to into. */
static bool add_copies(struct cutter *x, struct branches *into, const struct branches *from)
{
    for (unsigned i = 0; i < from->n; i++) {
        struct branch *b = NULL;

        if (into->n == MAX_BRANCHES)
            return fail(
                x, GW_ELIMIT,
                "too many alternatives that hold counted repeats or (?<secret>...); split it "
                "with `patterns:`");
        b = gw_arena_alloc(x->arena, sizeof(*b));
        if (b == NULL)
            return fail(x, GW_ENOMEM, "out of memory");
        *b = *from->b[i];
        into->b[into->n++] = b;
    }
    return true;
}

static bool flatten(struct cutter *x, struct branches *all, const struct rx_node *n);

static bool flatten_alt(struct cutter *x, struct branches *all, const struct rx_node *n)
{
    struct branches out = {.n = 0};

    for (const struct rx_node *k = n->kid; k != NULL; k = k->next) {
        struct branches one = {.n = 0};

        if (!add_copies(x, &one, all) || !flatten(x, &one, k) || !add_copies(x, &out, &one))
            return false;
    }
    *all = out;
    return true;
}

/* A repeat of something that must be open: written out for each count. */
static bool flatten_repeat(struct cutter *x, struct branches *all, const struct rx_node *n)
{
    struct branches out = {.n = 0};

    if (n->max == RX_INFINITE || n->max > 4) {
        if (rx_has(n->kid, RX_SECRET))
            return fail(x, GW_EINVAL,
                        "(?<secret>...) is inside a repeat; repeat inside it instead");
        return push(x, all, ITEM_ATOM, n);
    }
    for (int count = n->min; count <= n->max; count++) {
        struct branches one = {.n = 0};

        if (!add_copies(x, &one, all))
            return false;
        for (int i = 0; i < count; i++)
            if (!flatten(x, &one, n->kid))
                return false;
        if (!add_copies(x, &out, &one))
            return false;
    }
    *all = out;
    return true;
}

static bool flatten(struct cutter *x, struct branches *all, const struct rx_node *n)
{
    if (n->kind == RX_EMPTY)
        return true;
    if (is_run(n) || is_loop(n))
        return push(x, all, ITEM_RUN, n);
    if (!must_open(n) && n->kind != RX_CAT)
        return push(x, all, ITEM_ATOM, n);
    if (n->kind == RX_ALT)
        return flatten_alt(x, all, n);
    if (n->kind == RX_REPEAT)
        return flatten_repeat(x, all, n);
    if (n->kind == RX_SECRET && !push(x, all, ITEM_BEGIN, n))
        return false;
    for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
        if (!flatten(x, all, k))
            return false;
    return n->kind != RX_SECRET || push(x, all, ITEM_END, n);
}

/* ---- steps ------------------------------------------------------------------------------ */

static void append(struct rx_node *cat, struct rx_node *n)
{
    struct rx_node **at = &cat->kid;

    while (*at != NULL)
        at = &(*at)->next;
    *at = n;
}

/* Appends node to the automaton of step s, which may be new. */
static bool add_to_dfa(struct cutter *x, struct rx_step *s, const struct rx_node *n)
{
    struct rx_node *copy = rx_copy(x->arena, n);

    if (s->dfa == NULL)
        s->dfa = rx_new(x->arena, RX_CAT);
    if (copy == NULL || s->dfa == NULL)
        return fail(x, GW_ENOMEM, "out of memory");
    append(s->dfa, copy);
    s->automaton = NULL;
    return true;
}

static bool is_boundary(const struct rx_chain *c, unsigned i)
{
    return i == c->secret_from || i == c->secret_to;
}

/* Turns run i into an automaton. */
static bool run_to_dfa(struct cutter *x, struct rx_chain *c, unsigned i)
{
    struct rx_node *rep = rx_new(x->arena, RX_REPEAT), *set = rx_new(x->arena, RX_SET);
    struct rx_step s = {.dfa = NULL};

    if (rep == NULL || set == NULL)
        return fail(x, GW_ENOMEM, "out of memory");
    set->set = c->steps[i].set;
    rep->kid = set;
    rep->min = c->steps[i].min;
    rep->max = c->steps[i].max;
    if (!add_to_dfa(x, &s, rep))
        return false;
    c->steps[i] = s;
    return true;
}

/* Joins automata that stand side by side without a border of the secret between them. */
static bool join_dfas(struct cutter *x, struct rx_chain *c)
{
    for (unsigned i = 0; i + 1 < c->n_steps;) {
        if (c->steps[i].dfa == NULL || c->steps[i + 1].dfa == NULL || is_boundary(c, i + 1)) {
            i++;
            continue;
        }
        if (!add_to_dfa(x, &c->steps[i], c->steps[i + 1].dfa))
            return false;
        memmove(&c->steps[i + 1], &c->steps[i + 2], (c->n_steps - i - 2) * sizeof(c->steps[0]));
        c->n_steps--;
        if (c->secret_from > i)
            c->secret_from--;
        if (c->secret_to > i)
            c->secret_to--;
    }
    return true;
}

static bool branch_to_chain(struct cutter *x, const struct branch *b, struct rx_chain *c)
{
    bool fresh = true, secret = false;

    c->steps = gw_arena_array(x->arena, b->n + 1, sizeof(*c->steps));
    if (c->steps == NULL)
        return fail(x, GW_ENOMEM, "out of memory");
    for (unsigned i = 0; i < b->n; i++) {
        const struct item *it = &b->items[i];

        if (it->kind == ITEM_ATOM) {
            if (fresh)
                c->n_steps++;
            fresh = false;
            if (!add_to_dfa(x, &c->steps[c->n_steps - 1], it->node))
                return false;
            continue;
        }
        fresh = true;
        if (it->kind == ITEM_RUN) {
            c->steps[c->n_steps++] = (struct rx_step){
                .set = it->node->kid->set, .min = it->node->min, .max = it->node->max};
        } else if (it->kind == ITEM_BEGIN) {
            if (secret)
                return fail(x, GW_EINVAL, "more than one (?<secret>...) in a match");
            secret = true;
            c->secret_from = c->n_steps;
        } else {
            c->secret_to = c->n_steps;
        }
    }
    if (!secret)
        c->secret_to = c->n_steps;
    else if (c->secret_from == c->secret_to)
        return fail(x, GW_EINVAL, "(?<secret>...) is empty");
    return true;
}

/* The bytes that can follow step i. */
static void rest_first(const struct rx_chain *c, unsigned i, struct bundle_set *out)
{
    for (i++; i < c->n_steps; i++) {
        const struct rx_step *s = &c->steps[i];

        if (s->dfa != NULL)
            rx_first(s->dfa, out);
        else
            rx_set_join(out, &s->set);
        if (s->dfa != NULL ? !rx_nullable(s->dfa) : s->min > 0)
            return;
    }
}

/* Repairs one place where the longest match of step i may take what the rest needs. Sets *changed. */
static bool repair(struct cutter *x, struct rx_chain *c, unsigned i, bool *changed)
{
    if (c->steps[i].dfa == NULL) {
        unsigned loops = 0;

        for (unsigned k = 0; k < c->n_steps; k++)
            loops += c->steps[k].all_lengths;
        *changed = true;
        if (loops == 2 || c->steps[i].max == RX_INFINITE || c->steps[i].max > MAX_ALL_LENGTHS)
            return run_to_dfa(x, c, i);
        c->steps[i].all_lengths = true;
        return true;
    }
    if (c->steps[i + 1].dfa == NULL) {
        *changed = true;
        return run_to_dfa(x, c, i + 1);
    }
    return fail(
        x, GW_EINVAL,
        i + 1 == c->secret_from
            ? "what stands before (?<secret>...) can also match the secret's first byte; end it "
              "with a byte that the secret cannot begin with"
            : "(?<secret>...) can also match what stands behind it; leave those bytes out of "
              "its class");
}

static bool make_automaton(struct cutter *x, struct rx_step *s)
{
    struct interp_dfa *dfa = gw_arena_alloc(x->arena, sizeof(*dfa));

    if (dfa == NULL)
        return fail(x, GW_ENOMEM, "out of memory");
    x->st = rx_automaton(s->dfa, x->arena, &x->work, &s->ext, dfa, x->err);
    s->automaton = dfa;
    return x->st == GW_OK;
}

/* True in *ok when the rest can only follow the longest match of step i. */
static bool check_step(struct cutter *x, const struct rx_chain *c, unsigned i, bool *ok)
{
    struct rx_step *s = &c->steps[i];
    struct bundle_set next = {{0}};

    rest_first(c, i, &next);
    if (s->dfa == NULL) {
        *ok = s->min == s->max || s->all_lengths || !rx_set_meets(&s->set, &next);
        return true;
    }
    if (s->automaton == NULL && !make_automaton(x, s))
        return false;
    *ok = !rx_set_meets(&s->ext, &next);
    return true;
}

static bool settle(struct cutter *x, struct rx_chain *c)
{
    bool changed = true;

    while (changed) {
        changed = false;
        if (!join_dfas(x, c))
            return false;
        for (unsigned i = 0; i < c->n_steps && !changed; i++) {
            bool ok = false;

            if (!check_step(x, c, i, &ok) || (!ok && !repair(x, c, i, &changed)))
                return false;
        }
    }
    return true;
}

static bool chain_nullable(const struct rx_chain *c)
{
    for (unsigned i = 0; i < c->n_steps; i++)
        if (c->steps[i].dfa != NULL ? !rx_nullable(c->steps[i].dfa) : c->steps[i].min > 0)
            return false;
    return true;
}

enum gw_status rx_chains(struct gw_arena *arena, const struct rx_pattern *p, struct rx_chain **out,
                         unsigned *n_out, struct gw_err *err)
{
    struct cutter x = {.arena = arena, .err = err, .work = MAX_WORK};
    struct branches all = {.n = 1};
    struct rx_chain *chains = NULL;

    all.b[0] = gw_arena_alloc(arena, sizeof(*all.b[0]));
    if (all.b[0] == NULL)
        return gw_fail(err, GW_ENOMEM, "pattern: out of memory");
    if (!flatten(&x, &all, p->root))
        return x.st;
    chains = gw_arena_array(arena, all.n, sizeof(*chains));
    if (chains == NULL)
        return gw_fail(err, GW_ENOMEM, "pattern: out of memory");
    for (unsigned i = 0; i < all.n; i++) {
        if (!branch_to_chain(&x, all.b[i], &chains[i]) || !settle(&x, &chains[i]))
            return x.st;
        if (chain_nullable(&chains[i]))
            return gw_fail(err, GW_EINVAL, "pattern: it can match the empty text");
    }
    *out = chains;
    *n_out = all.n;
    return GW_OK;
}
