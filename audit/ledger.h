/* audit/ledger.h - a spool as an auditor reads it: trees of records, what was sealed of them, and what does not fit.
 *
 * Takes no lock, writes nothing, believes nothing: segments are read again, leaf files only say where a difference is.
 * One thread. */
#ifndef AUDIT_LEDGER_H
#define AUDIT_LEDGER_H

#include "audit/merkle.h"
#include "audit/note.h"
#include "audit/spool_format.h"
#include "base/buf.h"
#include "base/err.h"

/* The records of a chain that are there, from base.size on. */
struct ledger_tree {
    char chain[SPOOL_CHAIN_BYTES];
    uint64_t first_seq;
    unsigned slot;
    struct merkle base;         /* records that retention took */
    struct merkle_hash *leaves; /* as sealed where a leaf file says so, else as read */
    size_t n, cap;
    uint64_t last_seq;
    struct merkle_hash last; /* of the record with last_seq, when has_last */
    uint64_t last_segno;
    bool has_last;
    size_t n_segments;
};

enum ledger_problem_kind {
    LEDGER_RECORD_CHANGED,   /* not what was sealed at this place */
    LEDGER_RECORDS_REMOVED,  /* sealed, and not there */
    LEDGER_RECORDS_INSERTED, /* there, and not sealed, in front of sealed ones */
    LEDGER_TAIL_MISSING,     /* sealed, and cut from the end of the newest segment */
    LEDGER_RECORDS_MOVED,    /* sealed, and there in another place */
    LEDGER_SEGMENT_MISSING,  /* the tree goes on behind records that are not there */
    LEDGER_LINK_BROKEN,      /* names another record before it than the one that stands there */
    LEDGER_LINK_MISSING,     /* names a record before it that is not there */
    LEDGER_UNREADABLE,       /* the system refuses to read the segment */
};

struct ledger_problem {
    enum ledger_problem_kind kind;
    unsigned slot;
    uint64_t segno;
    uint64_t seq;     /* of the first record concerned, 0: unknown */
    uint64_t records; /* how many */
    /* Of a link: the place of the record before. */
    uint64_t before_segno, before_seq;
    char chain[SPOOL_CHAIN_BYTES];
};

/* A sluice.gap record: the gateway says itself what is missing. */
struct ledger_gap {
    char segment[SPOOL_NAME_BYTES], cause[32], chain[SPOOL_CHAIN_BYTES];
    uint64_t records;
    uint64_t from_seq, to_seq; /* that are missing; 0: not said */
};

/* What a lifecycle record says of a gap; false: it is about something else. */
bool ledger_gap_read(struct gw_span record, struct ledger_gap *out);

struct ledger {
    int dirfd;
    struct ledger_tree *trees;
    size_t n_trees;
    struct ledger_problem *problems;
    size_t n_problems;
    struct ledger_gap *gaps;
    size_t n_gaps;
    uint64_t n_records, n_segments, bad_bytes;
    int64_t oldest_ms;          /* creation of the oldest segment, 0: none */
    struct gw_buf notes_text;   /* the file of checkpoints */
    struct note *notes;         /* those that can be read, in order */
    size_t n_notes, torn_notes; /* torn: passed over */
};

/* What ledger_read() calls for each record; NULL: nobody wants them. tree: index in trees; index: of the record in its tree. */
typedef void (*ledger_record_fn)(void *ctx, size_t tree, uint64_t index,
                                 const struct spool_rec *rec);

/* Reads all of it. On failure nothing is left to free. GW_ENOENT, GW_EIO, GW_ENOMEM, GW_EUNSUPPORTED. */
enum gw_status ledger_read(const char *spool_dir, ledger_record_fn each, void *ctx,
                           struct ledger *out, struct gw_err *err);
void ledger_fini(struct ledger *l);

/* The tree of that origin, or NULL. */
const struct ledger_tree *ledger_find(const struct ledger *l, struct gw_span origin);

/* Reads notes out of a text; what is none is passed over up to the next line that could be an origin, and counted. *out is
 * malloc'ed. */
enum gw_status ledger_notes(struct gw_span text, struct note **out, size_t *n, size_t *torn);

#endif
