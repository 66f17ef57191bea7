/* audit/seal_prune.h - keeps the file of checkpoints no longer than what it speaks of.
 *
 * A checkpoint is worth keeping while one of its records is in the spool: afterwards nothing can be compared with it. When the file
 * has grown, what came before the last checkpoint that is not worth it goes. The file then begins with a line
 *
 *   pruned OFFSET CARRIED          twenty and ten digits, then an empty line
 *
 * so that who has read up to some place (audit/outbox.h) finds it again: a byte of the file keeps its place, which is OFFSET plus where
 * it stands now; CARRIED bytes behind the line are checkpoints from further up that are still worth keeping. Invariants: (P1) no
 * checkpoint goes that `sluice audit verify` would compare with records or miss a chain by; (P2) the file is replaced as a whole. */
#ifndef AUDIT_SEAL_PRUNE_H
#define AUDIT_SEAL_PRUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

enum { SEAL_PRUNED_BYTES = 6 + 1 + 20 + 1 + 10 + 2 };

struct seal_pruned {
    uint64_t offset; /* of the first byte of the file */
    size_t line;     /* bytes of the line and the empty one; 0: nothing was ever pruned */
    size_t carried;  /* bytes behind it that stood further up */
};

/* What the beginning of the file says. */
void seal_pruned_read(struct gw_span text, struct seal_pruned *out);

/* Rewrites the file of checkpoints in dirfd, if there is anything to take away. True: it is another file now. Thread: the one that
 * appends to it. */
bool seal_prune(int dirfd);

#endif
