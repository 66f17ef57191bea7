/* dlp/interp.c - runs a pattern's steps without a compiler, see the header. Thread: any. */
#include "dlp/interp.h"

#include "dlp/bundle_run.h"

enum { MAX_LOOPS = 2 }; /* runs of a chain that are tried in all their lengths (rulec_chain.c) */

/* The longest match of an automaton at p, or NULL. It looks at a byte only where one could lead on. */
static const unsigned char *run_dfa(const struct interp_dfa *dfa, const unsigned char *p,
                                    const unsigned char *lim, struct bundle_match *m)
{
    const unsigned char *s = p, *last = NULL;
    unsigned state = 1;

    while (state != 0) {
        unsigned char flags = dfa->flags[state];

        if ((flags & INTERP_ACCEPTS) != 0)
            last = p;
        if ((flags & INTERP_GOES_ON) == 0)
            break;
        if (p == lim) {
            m->cut = 1;
            break;
        }
        state = dfa->next[state * dfa->n_classes + dfa->class_of[*p]];
        p += state != 0;
    }
    m->work += (uint32_t)(p - s) + 1;
    return last;
}

static const unsigned char *run_step(const struct interp_step *step, const unsigned char *p,
                                     const unsigned char *lim, struct bundle_match *m)
{
    if (step->dfa != NULL)
        return run_dfa(step->dfa, p, lim, m);
    if (step->memo < 0)
        return bundle_run(p, lim, &step->set, step->min, step->max, m);
    return bundle_long_run(p, lim, &step->set, step->min, step->max, m, &m->memo[step->memo]);
}

/* A run that is being tried in all its lengths. */
struct loop {
    unsigned next; /* the step behind it */
    const unsigned char *end, *shortest;
};

static void run_chain(const struct interp_chain *c, const unsigned char *s,
                      const unsigned char *lim, struct bundle_match *m)
{
    struct loop loops[MAX_LOOPS];
    const unsigned char *p = s, *a = s, *b = s;
    unsigned i = 0, n_loops = 0;

    for (;;) {
        for (; i < c->n_steps && p != NULL; i++) {
            const struct interp_step *step = &c->steps[i];
            const unsigned char *from = p;

            if (i == c->secret_from)
                a = p;
            if (i == c->secret_to)
                b = p;
            p = run_step(step, p, lim, m);
            if (p != NULL && step->all_lengths)
                loops[n_loops++] = (struct loop){i + 1, p, from + step->min};
        }
        if (p != NULL)
            bundle_keep(m, s, a, c->secret_to == c->n_steps ? p : b, p);
        while (n_loops > 0 && loops[n_loops - 1].end == loops[n_loops - 1].shortest)
            n_loops--;
        if (n_loops == 0)
            return;
        p = --loops[n_loops - 1].end;
        i = loops[n_loops - 1].next;
    }
}

void interp_match(const struct interp_program *program, const unsigned char *s,
                  const unsigned char *lim, struct bundle_match *m)
{
    m->len = 0;
    for (unsigned i = 0; i < program->n_chains; i++)
        run_chain(&program->chains[i], s, lim, m);
}
