/* engine/reuse.h - how likely a page of a prefix is to be used again, learned from those that were.
 *
 * A page belongs to a class: how often its conversation had come back when it was made, and how often the page was used since.
 * What is counted is how many pages of each class were used again, and how many were forgotten without; a page that was
 * forgotten and is made again was forgotten wrongly, and counts as used. Each root of the tree has counts of its own, since
 * one tenant chats and another one asks once; where it has few, those of all roots stand in. All numbers are whole, so the
 * same requests give the same choices. Thread: the scheduler's. */
#ifndef ENGINE_REUSE_H
#define ENGINE_REUSE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    REUSE_FRESH = 0,   /* no page before it was there */
    REUSE_BRANCH = 1,  /* it begins something new behind a known prefix, a system prompt say */
    REUSE_GOES_ON = 2, /* it goes on where something ended; from here on: the how manieth time */
    REUSE_TURNS = 8,   /* classes by that */
    REUSE_USES = 4,    /* and by use: 0 to 2, more */
    REUSE_MAX_GAIN = 255
};

/* A page's class. */
struct reuse_class {
    uint8_t turn; /* REUSE_... */
    uint8_t uses;
};

/* Pages of each class: all whose end or next use was seen, and of them those that were used again. */
struct reuse_odds {
    uint32_t all[REUSE_TURNS][REUSE_USES], again[REUSE_TURNS][REUSE_USES];
};

/* What is known of all roots, and fingerprints of pages that were forgotten lately. */
struct reuse;

/* For a cache of n_pages. NULL: out of memory. */
struct reuse *reuse_new(unsigned n_pages);
void reuse_free(struct reuse *u); /* u may be NULL */

/* The fingerprint of a page: of what is before it (a page's, or reuse_seed) and its n ids. */
uint64_t reuse_print(uint64_t before, const int32_t *ids, unsigned n);
/* Where a root's fingerprints begin: of its name. */
uint64_t reuse_seed(const char *name, uint64_t len);

/* A page of class *c was used again: it is of the next class. odds: of its root. */
void reuse_used(struct reuse *u, struct reuse_odds *odds, struct reuse_class *c);
/* A page of that class is forgotten. */
void reuse_forgot(struct reuse *u, struct reuse_odds *odds, struct reuse_class c, uint64_t print);
/* A page is made. When it was forgotten lately *c gets the class that it would have now. Returns whether it was. */
bool reuse_made(struct reuse *u, struct reuse_odds *odds, struct reuse_class *c, uint64_t print);

/* The chance of another use, from 0 to REUSE_MAX_GAIN. */
unsigned reuse_gain(const struct reuse *u, const struct reuse_odds *odds, struct reuse_class c);

#endif
