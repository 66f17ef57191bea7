/* audit/outbox.h - the checkpoints that one receiver (a topic, a witness) still has to get.
 *
 * Reads the spool's file of checkpoints from where it got to, and keeps in a file of its own how far the receiver has them: a crash
 * repeats some, and loses none. Places in the file stay what they are when its beginning is taken away (audit/seal_prune.h). One
 * thread. */
#ifndef AUDIT_OUTBOX_H
#define AUDIT_OUTBOX_H

#include "audit/note.h"
#include "base/buf.h"
#include "base/err.h"

struct outbox {
    int dirfd, fd;     /* of the spool, borrowed; of the checkpoints */
    const char *state; /* name of the state file, borrowed */
    uint64_t offset;   /* of the file's first byte */
    uint64_t fresh; /* what is in front of it and behind offset was carried over from further up */
    uint64_t done, at;   /* the receiver has all up to; reading goes on at */
    struct gw_buf chunk; /* of the file, from chunk_at on */
    uint64_t chunk_at;
};

/* Stands where the receiver was when the state was last kept; without a state at the beginning, or, when newest is set, behind what
 * is there. GW_EIO. */
enum gw_status outbox_open(struct outbox *o, int dirfd, const char *state, bool newest,
                           struct gw_err *err);
void outbox_fini(struct outbox *o);

/* Where the file ends. Looks whether it is still the same one. */
uint64_t outbox_end(struct outbox *o);

/* The next whole note that ends before `until`; borrowed until the next call. False: none now. */
bool outbox_next(struct outbox *o, uint64_t until, struct note *out);

/* The receiver has everything that outbox_next() gave: keeps that. False: it could not be written, and will be given again after a
 * restart. */
bool outbox_done(struct outbox *o);

/* Gives again what is not done. */
void outbox_rewind(struct outbox *o);

#endif
