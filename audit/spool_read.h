/* audit/spool_read.h - reads segments, sound or damaged, finished or being written.
 *
 * Used by recovery, the Kafka sender and `sluice audit tail`; never writes. One thread a reader. */
#ifndef AUDIT_SPOOL_READ_H
#define AUDIT_SPOOL_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/spool_format.h"
#include "base/err.h"

struct spool_file {
    unsigned slot;
    uint64_t segno;
    uint64_t bytes;
};

/* Lists the segments in the directory, by slot and number. *out is malloc'ed, NULL when there are none.
 * dirfd is not used up. */
enum gw_status spool_list(int dirfd, struct spool_file **out, size_t *n, struct gw_err *err);

/* One open segment. Zeroes with fd -1 are a closed reader. */
struct spool_reader {
    int fd;
    uint64_t segno;
    uint64_t off;   /* of the next record */
    uint64_t until; /* no byte from there on is looked at; 0: all that the file has */
    struct spool_header header;
    unsigned char *buf;
    size_t cap, len; /* of buf; len bytes of the file from at on */
    uint64_t at;
};

#define SPOOL_READER_CLOSED ((struct spool_reader){.fd = -1})

/* Opens a segment and checks its header; the reader stands at the first record. Closes what was open
 * before, keeps the buffer and `until`. GW_ENOENT; GW_EUNSUPPORTED with the version in the message; GW_EIO,
 * GW_ENOMEM; GW_ECORRUPT for a damaged header: the reader stands where the first record should be, with
 * only the number in r->header. */
enum gw_status spool_reader_open(struct spool_reader *r, int dirfd, unsigned slot, uint64_t segno,
                                 struct gw_err *err);
void spool_reader_fini(struct spool_reader *r);

enum spool_read {
    SPOOL_READ_REC,  /* *rec is set (borrowed until the next call), r->off is behind it */
    SPOOL_READ_END,  /* the file ends exactly here, or only room for records follows */
    SPOOL_READ_TORN, /* the file ends inside what could be a record: damage, or being written */
    SPOOL_READ_BAD,  /* these bytes are not a record */
    SPOOL_READ_EIO,  /* the system refuses to read, or no memory */
};

enum spool_read spool_reader_next(struct spool_reader *r, struct spool_rec *rec);

/* After TORN or BAD: moves to the next sound record, or to the end of the file. Returns how many bytes
 * were skipped. */
uint64_t spool_reader_resync(struct spool_reader *r);

#endif
