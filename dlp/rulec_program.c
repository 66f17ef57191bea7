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

static enum gw_status make_step(struct gw_arena *arena, const struct rx_step *from,
                                struct interp_step *to, struct gw_err *err)
{
    struct interp_dfa *dfa = NULL;

    *to = (struct interp_step){.set = from->set,
                               .min = (uint32_t)from->min,
                               .max = from->max == RX_INFINITE ? UINT32_MAX : (uint32_t)from->max,
                               .memo = from->memo,
                               .all_lengths = from->all_lengths};
    if (from->dfa == NULL)
        return GW_OK;
    dfa = copy(arena, from->automaton, sizeof(*dfa));
    if (dfa != NULL) {
        dfa->next = copy(arena, dfa->next,
                         (size_t)(dfa->n_states + 1) * dfa->n_classes * sizeof(*dfa->next));
        dfa->flags = copy(arena, dfa->flags, dfa->n_states + 1);
    }
    to->dfa = dfa;
    return dfa != NULL && dfa->next != NULL && dfa->flags != NULL
               ? GW_OK
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
