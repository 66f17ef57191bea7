/* audit/topic_chain.h - one chain as it comes out of a topic: at least once, not always in order, perhaps without its beginning.
 *
 *   record --> is it the next one? --yes--> counted, added to the chain's trees, compared with the checkpoints of its size
 *                    | no
 *                    +-- not above the last: a repetition, or another record in its place
 *                    +-- above, and names one that is not there yet: waits (at most TOPIC_WAITING of them)
 *
 * Memory does not grow with the number of records. Pure; one thread. */
#ifndef AUDIT_TOPIC_CHAIN_H
#define AUDIT_TOPIC_CHAIN_H

#include "audit/merkle.h"
#include "audit/spool_format.h"
#include "audit/spool_link.h"
#include "audit/verify.h"

enum { TOPIC_RING = 4096, TOPIC_WAITING = 65536 };

/* A checkpoint, without its text. */
struct topic_note {
    char chain[SPOOL_CHAIN_BYTES];
    uint64_t first_seq; /* of its tree */
    uint64_t size, last_seq;
    struct merkle_hash root;
    int64_t time_ms;
    struct merkle *edge; /* or NULL; the note's */
    bool last_known;     /* not from the topic: kept elsewhere */
};

/* The tree that begins at a record, and its checkpoints, by size. */
struct topic_tree {
    uint64_t first_seq;
    const struct topic_note *notes; /* borrowed */
    size_t n_notes, next;
    struct merkle m;
    bool placed;  /* m is the tree up to the chain's last record */
    bool wrong;   /* a checkpoint did not fit: told once */
    bool partial; /* the beginning is not in the topic, or not as it was */
    uint64_t signed_size;
    int64_t signed_ms;
};

struct topic_wait {
    uint64_t seq;
    int64_t time_ms;
    enum spool_linked linked;
    unsigned char before[SPOOL_PRINT_BYTES];
    struct merkle_hash print;
};

/* Records that are not there. */
struct topic_hole {
    uint64_t from, to; /* sequences */
};
enum { TOPIC_HOLES = 64 };

struct topic_chain {
    char name[SPOOL_CHAIN_BYTES];
    struct verify_tally *t; /* borrowed */
    struct topic_tree *trees;
    size_t n_trees;
    uint64_t records, repeated, late; /* late: came behind younger ones */
    uint64_t first_seq, last_seq;
    struct merkle_hash last;
    bool has_last;
    struct {
        uint64_t seq;
        struct merkle_hash print;
    } * ring;                   /* the last TOPIC_RING records, by sequence */
    struct topic_wait *waiting; /* ascending */
    size_t n_waiting, cap_waiting;
    struct topic_hole holes[TOPIC_HOLES];
    size_t n_holes;
};

/* Takes the next message of the chain. GW_ENOMEM. */
enum gw_status topic_chain_take(struct topic_chain *c, const struct spool_rec *rec);

/* The end: what still waits, waits for records that are not there. */
void topic_chain_end(struct topic_chain *c);

void topic_chain_fini(struct topic_chain *c);

#endif
