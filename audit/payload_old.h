/* audit/payload_old.h - keys of subjects that have grown too old: destroyed as an erasure does it (audit/payload_erase.c), and their
 * rows free for others, so that the file stays as long as the keys that are kept. Thread: one at a time a file. */
#ifndef AUDIT_PAYLOAD_OLD_H
#define AUDIT_PAYLOAD_OLD_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Where rows stand; at is malloc'ed. */
struct payload_rows {
    off_t *at;
    size_t n, cap;
};

/* Destroys, durably, the keys that were made before that time; adds the rows that had been free before. (Those that become free now
 * are for the next time: an erasure may be about to write there.) GW_EIO, GW_ENOMEM: some are still there. */
enum gw_status payload_destroy_old(int fd, int64_t before_ms, struct payload_rows *unused,
                                   size_t *n_destroyed);

bool payload_row_is_free(int fd, off_t at);

#endif
