/* A pattern and a text: the interpreter finds at every byte the longest match that the pattern's tree has there, as a walk
 * with sets of offsets says, which knows nothing of chains or automata. Input: the pattern, a newline, the text. */
#include <stdlib.h>
#include <string.h>

#include "dlp/interp.h"
#include "dlp/rulec_chain.h"

enum { MAX_PATTERN = 64, MAX_TEXT = 120, MAX_MEMOS = 64, MAX_STEPS = 200000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Offsets in the text, up to its end. */
struct offsets {
    bool at[MAX_TEXT + 1];
};

struct walk {
    const unsigned char *text;
    size_t len;
    unsigned steps;
};

static bool join(struct offsets *a, const struct offsets *b)
{
    bool grew = false;

    for (size_t i = 0; i <= MAX_TEXT; i++) {
        grew = grew || (b->at[i] && !a->at[i]);
        a->at[i] = a->at[i] || b->at[i];
    }
    return grew;
}

/* Where n can end when it begins at one of the offsets. */
static struct offsets ends(struct walk *w, const struct rx_node *n, struct offsets from);

static struct offsets ends_of_repeat(struct walk *w, const struct rx_node *n, struct offsets from)
{
    struct offsets all;

    for (int i = 0; i < n->min && w->steps < MAX_STEPS; i++)
        from = ends(w, n->kid, from);
    all = from;
    for (int i = n->min; (n->max == RX_INFINITE || i < n->max) && w->steps < MAX_STEPS; i++) {
        from = ends(w, n->kid, from);
        if (!join(&all, &from))
            break;
    }
    return all;
}

static struct offsets ends(struct walk *w, const struct rx_node *n, struct offsets from)
{
    struct offsets to = {{false}};

    if (++w->steps > MAX_STEPS)
        return to;
    switch (n->kind) {
    case RX_EMPTY:
        return from;
    case RX_SET:
        for (size_t i = 0; i < w->len; i++)
            to.at[i + 1] = from.at[i] && rx_set_has(&n->set, w->text[i]);
        return to;
    case RX_ALT:
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next) {
            struct offsets one = ends(w, k, from);

            (void)join(&to, &one);
        }
        return to;
    case RX_REPEAT:
        return ends_of_repeat(w, n, from);
    case RX_CAT:
    case RX_SECRET:
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
            from = ends(w, k, from);
        return from;
    }
    return to;
}

/* The longest match at `at`; 0: none, or an empty one. */
static size_t longest(struct walk *w, const struct rx_node *root, size_t at)
{
    struct offsets from = {{false}};
    size_t end = 0;

    from.at[at] = true;
    from = ends(w, root, from);
    for (size_t i = at; i <= w->len; i++)
        if (from.at[i])
            end = i - at;
    return end;
}

/* Gives long runs memos, as the compiler does; false: more than there is room for. */
static bool number_memos(struct rx_chain *chains, unsigned n)
{
    int memo = 0;

    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < chains[i].n_steps; k++)
            chains[i].steps[k].memo = chains[i].steps[k].dfa == NULL ? memo++ : -1;
    return memo <= MAX_MEMOS;
}

static void compare(const struct rx_pattern *p, const struct interp_program *program,
                    const unsigned char *text, size_t len)
{
    struct bundle_memo memo[MAX_MEMOS] = {{NULL, NULL, 0}};
    struct walk w = {text, len, 0};

    for (size_t at = 0; at < len; at++) {
        struct bundle_match m = {.epoch = 1, .memo = memo};
        size_t want = longest(&w, p->root, at);

        interp_match(program, text + at, text + len, &m);
        if (w.steps >= MAX_STEPS)
            return; /* not known any more */
        if (m.len != want || (m.len > 0 && (m.start > m.end || m.end > m.len)))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nl = memchr(data, '\n', size < MAX_PATTERN ? size : MAX_PATTERN);
    size_t n = nl == NULL ? 0 : (size_t)(nl - data), len = nl == NULL ? 0 : size - n - 1;
    struct gw_arena *arena = gw_arena_new((size_t)64 << 20);
    struct rx_pattern p;
    struct rx_chain *chains = NULL;
    struct interp_program program;
    unsigned n_chains = 0;
    struct gw_err err;

    if (nl == NULL || len > MAX_TEXT || arena == NULL)
        goto out;
    if (rx_parse(arena, (struct gw_span){(const char *)data, n}, false, RULEC_BOUNDARY_NONE, &p,
                 &err) == GW_OK &&
        rx_chains(arena, &p, &chains, &n_chains, &err) == GW_OK && number_memos(chains, n_chains) &&
        rx_program(arena, chains, n_chains, &program, &err) == GW_OK) {
        unsigned char *exact = malloc(len + 1); /* ends where the text ends */

        if (exact != NULL) {
            memcpy(exact + 1, nl + 1, len);
            compare(&p, &program, exact + 1, len);
        }
        free(exact);
    }
out:
    gw_arena_free(arena);
    return 0;
}
