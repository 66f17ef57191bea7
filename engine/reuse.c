/* engine/reuse.c - see reuse.h. */
#include "engine/reuse.h"

#include <stdlib.h>

enum {
    MAX_GHOSTS = 1 << 16, /* 1 MiB */
    /* Counts are halved there, so that what was long ago weighs less. */
    MAX_COUNT = 4096,
    /* A root's own counts weigh as much as all others' where they are that many. */
    WEIGHT = 32
};

struct ghost {
    uint64_t print; /* 0: none */
    struct reuse_class c;
};

struct reuse {
    struct reuse_odds odds; /* of all roots */
    struct ghost *ghosts;   /* the place of a fingerprint is its low bits: the younger one stays */
    uint64_t mask;
};

struct reuse *reuse_new(unsigned n_pages)
{
    struct reuse *u = calloc(1, sizeof(*u));
    unsigned n = 64;

    while (n < MAX_GHOSTS && n / 2 < n_pages)
        n *= 2;
    if (u != NULL)
        u->ghosts = calloc(n, sizeof(*u->ghosts));
    if (u == NULL || u->ghosts == NULL) {
        free(u);
        return NULL;
    }
    u->mask = n - 1;
    return u;
}

void reuse_free(struct reuse *u)
{
    if (u == NULL)
        return;
    free(u->ghosts);
    free(u);
}

/* ---- fingerprints --------------------------------------------------------------------------- */

/* One step of a multiply-and-shift hash: no secret, since a collision costs a wrong guess only. */
static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 29;
}

uint64_t reuse_print(uint64_t before, const int32_t *ids, unsigned n)
{
    uint64_t h = before;

    for (unsigned i = 0; i < n; i++)
        h = mix(h, (uint32_t)ids[i]);
    return h == 0 ? 1 : h;
}

uint64_t reuse_seed(const char *name, uint64_t len)
{
    uint64_t h = mix(0, len);

    for (uint64_t i = 0; i < len; i++)
        h = mix(h, (unsigned char)name[i]);
    return h;
}

/* ---- counts --------------------------------------------------------------------------------- */

static void count(struct reuse_odds *o, struct reuse_class c, bool all, bool again)
{
    uint32_t *n_all = &o->all[c.turn][c.uses], *n_again = &o->again[c.turn][c.uses];

    *n_all += all;
    *n_again += again;
    if (*n_all > MAX_COUNT || *n_again > MAX_COUNT) {
        *n_all /= 2;
        *n_again /= 2;
    }
}

static void count_both(struct reuse *u, struct reuse_odds *odds, struct reuse_class c, bool all,
                       bool again)
{
    count(&u->odds, c, all, again);
    count(odds, c, all, again);
}

static void use_once(struct reuse_class *c)
{
    if (c->uses + 1 < REUSE_USES)
        c->uses++;
}

void reuse_used(struct reuse *u, struct reuse_odds *odds, struct reuse_class *c)
{
    count_both(u, odds, *c, true, true);
    use_once(c);
}

void reuse_forgot(struct reuse *u, struct reuse_odds *odds, struct reuse_class c, uint64_t print)
{
    count_both(u, odds, c, true, false);
    u->ghosts[print & u->mask] = (struct ghost){print, c};
}

bool reuse_made(struct reuse *u, struct reuse_odds *odds, struct reuse_class *c, uint64_t print)
{
    struct ghost *g = &u->ghosts[print & u->mask];

    if (g->print != print)
        return false;
    g->print = 0;
    count_both(u, odds, g->c, false, true); /* it was counted when it was forgotten */
    *c = g->c;
    use_once(c);
    return true;
}

unsigned reuse_gain(const struct reuse *u, const struct reuse_odds *odds, struct reuse_class c)
{
    const uint64_t all = u->odds.all[c.turn][c.uses], again = u->odds.again[c.turn][c.uses];
    /* What is not known yet is as likely as not. */
    const uint64_t others = REUSE_MAX_GAIN * (again + 1) / (all + 2);
    const uint64_t gain =
        (REUSE_MAX_GAIN * (uint64_t)odds->again[c.turn][c.uses] + WEIGHT * others) /
        (odds->all[c.turn][c.uses] + WEIGHT);

    return gain < REUSE_MAX_GAIN ? (unsigned)gain : REUSE_MAX_GAIN;
}
