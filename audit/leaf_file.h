/* audit/leaf_file.h - the hashes of a segment's records, beside it: s000-0000000001.leaf.
 *
 * They say later which record is not what was written, and carry the tree over segments that retention took. Nothing in
 * the file needs to be believed: a root made of it must be the one that a checkpoint has signed.
 *
 *   header: magic "SLUICELF", u32 version, u32 hashes in the edge, u64 size of the tree in front, u64 sequence at which the
 *           tree began, u64 sequence of the last record in front, chain (128 bytes, NUL-padded), the edge, 32 bytes a hash; all numbers little endian
 *   then 32 bytes for each record of the segment that is under the tree, in order */
#ifndef AUDIT_LEAF_FILE_H
#define AUDIT_LEAF_FILE_H

#include "audit/merkle.h"
#include "audit/spool_format.h"
#include "base/err.h"

struct leaf_head {
    char chain[SPOOL_CHAIN_BYTES];
    uint64_t first_seq; /* of the first record under the tree */
    uint64_t
        before; /* sequence of the last record in front of this segment; what is not above it is a repetition */
    struct merkle base; /* the tree in front of this segment */
};

struct leaf_file {
    struct leaf_head head;
    struct merkle_hash *leaves; /* malloc'ed; NULL when n is 0 */
    size_t n;
};

void leaf_name(char out[SPOOL_NAME_BYTES], unsigned slot, uint64_t segno);

/* Creates the file anew with its header and returns its descriptor, or -1 with errno. */
int leaf_create(int dirfd, unsigned slot, uint64_t segno, const struct leaf_head *head);

/* Opens an existing one for appending behind its last whole hash; -1 with errno. */
int leaf_append_open(int dirfd, unsigned slot, uint64_t segno);

/* Appends n hashes and makes them durable. */
enum gw_status leaf_append(int fd, const struct merkle_hash *leaves, size_t n);

/* Reads the header alone. Errors as leaf_read(). */
enum gw_status leaf_read_head(int dirfd, unsigned slot, uint64_t segno, struct leaf_head *out);

/* Reads a whole file. GW_ENOENT, GW_ECORRUPT (not such a file), GW_EUNSUPPORTED, GW_EIO, GW_ENOMEM. */
enum gw_status leaf_read(int dirfd, unsigned slot, uint64_t segno, struct leaf_file *out);
void leaf_file_fini(struct leaf_file *f);

#endif
