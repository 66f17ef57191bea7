/* dlp/rulec_program.c - makes a pattern's chains a program of the interpreter. Thread: any, one per arena. */
#include <string.h>

#include "dlp/rulec_chain.h"

static void *copy(struct gw_arena *arena, const void *from, size_t bytes)
{
    void *to = gw_arena_alloc(arena, bytes);

    if (to != NULL)
        memcpy(to, from, bytes);
    return to;
}

static const struct interp_dfa *copy_dfa(struct gw_arena *arena, const struct interp_dfa *from)
{
    struct interp_dfa *dfa = copy(arena, from, sizeof(*dfa));

    if (dfa == NULL)
        return NULL;
    dfa->next = copy(arena, from->next,
                     (size_t)(from->n_states + 1) * from->n_classes * sizeof(*from->next));
    dfa->flags = copy(arena, from->flags, from->n_states + 1);
    return dfa->next != NULL && dfa->flags != NULL ? dfa : NULL;
}

static enum gw_status make_step(struct gw_arena *arena, const struct rx_step *from,
                                struct interp_step *to, struct gw_err *err)
{
    *to = (struct interp_step){.set = from->set,
                               .min = (uint32_t)from->min,
                               .max = from->max == RX_INFINITE ? UINT32_MAX : (uint32_t)from->max,
                               .memo = from->memo,
                               .all_lengths = from->all_lengths};
    if (from->dfa != NULL)
        to->dfa = copy_dfa(arena, from->automaton);
    return from->dfa == NULL || to->dfa != NULL ? GW_OK
                                                : gw_fail(err, GW_ENOMEM, "pattern: out of memory");
}

enum gw_status rx_program(struct gw_arena *arena, const struct rx_chain *chains, unsigned n,
                          struct interp_program *out, struct gw_err *err)
{
    struct interp_chain *to = gw_arena_array(arena, n, sizeof(*to));

    if (to == NULL)
        return gw_fail(err, GW_ENOMEM, "pattern: out of memory");
    for (unsigned i = 0; i < n; i++) {
        struct interp_step *steps = gw_arena_array(arena, chains[i].n_steps, sizeof(*steps));

        if (steps == NULL)
            return gw_fail(err, GW_ENOMEM, "pattern: out of memory");
        for (unsigned k = 0; k < chains[i].n_steps; k++)
            GW_TRY(make_step(arena, &chains[i].steps[k], &steps[k], err));
        to[i] = (struct interp_chain){steps, chains[i].n_steps, chains[i].secret_from,
                                      chains[i].secret_to};
    }
    *out = (struct interp_program){to, n};
    return GW_OK;
}

static bool copy_chain(struct gw_arena *arena, struct interp_chain *chain, unsigned *n_memos)
{
    struct interp_step *steps = copy(arena, chain->steps, chain->n_steps * sizeof(*steps));

    chain->steps = steps;
    for (unsigned i = 0; i < chain->n_steps && steps != NULL; i++) {
        if (steps[i].memo >= (int)*n_memos)
            *n_memos = (unsigned)steps[i].memo + 1;
        if (steps[i].dfa == NULL)
            continue;
        steps[i].dfa = copy_dfa(arena, steps[i].dfa);
        if (steps[i].dfa == NULL)
            return false;
    }
    return steps != NULL;
}

bool rx_program_copy(struct gw_arena *arena, const struct interp_program *from,
                     struct interp_program *out, unsigned *n_memos)
{
    struct interp_chain *chains = copy(arena, from->chains, from->n_chains * sizeof(*chains));
    bool ok = chains != NULL;

    *n_memos = 0;
    for (unsigned i = 0; i < from->n_chains && ok; i++)
        ok = copy_chain(arena, &chains[i], n_memos);
    *out = (struct interp_program){chains, from->n_chains};
    return ok;
}
