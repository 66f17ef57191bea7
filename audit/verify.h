/* audit/verify.h - what the two ways of verifying, a folder and topics, share: telling and concluding. One thread. */
#ifndef AUDIT_VERIFY_H
#define AUDIT_VERIFY_H

#include <stdbool.h>
#include <stdio.h>

#include "audit/audit.h"
#include "audit/note.h"

enum { VERIFY_MAX_KEYS = 64, VERIFY_MAX_LINES = 100 };

struct verify_tally {
    FILE *out;
    bool altered, truncated, gap;
    unsigned n_lines; /* problems told */
};

/* Writes a line about a problem, up to VERIFY_MAX_LINES of them. */
void verify_tell(struct verify_tally *t, const char *fmt, ...) GW_PRINTF(2, 3);

/* Says of a checkpoint kept elsewhere that what it has signed is here. */
void verify_say_known(struct verify_tally *t, struct gw_span origin, uint64_t size,
                      int64_t time_ms);

/* The last lines: what was looked at (a whole sentence) and the verdict. */
enum audit_verdict verify_conclude(struct verify_tally *t, bool any_notes, const char *looked_at);

/* Has one of the keys signed it? */
bool verify_signed(const struct note_key *keys, unsigned n, const struct note *note);

/* The same as audit_verify(), of topics. */
enum gw_status verify_topic(const struct audit_verify *what, FILE *out, enum audit_verdict *verdict,
                            struct gw_err *err);

#endif
