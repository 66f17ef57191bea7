/* audit/spool_format.h - the bytes of a spool segment: one place that knows them.
 *
 * A segment is a header and then records, end to end. All numbers are little endian.
 *
 *   header, 224 bytes        record, 32 bytes + payload
 *     0  magic "SLUICESP"      0  magic FF 'S' 'R' 01
 *     8  u32 format version    4  u32 CRC-32C of bytes 8.. to the end of the payload
 *    12  u32 CRC-32C of 0..11  8  u32 payload length
 *    16  u64 segment number   12  u8 kind (enum spool_kind), u8 x 3 zero
 *    24  u64 first sequence   16  u64 sequence
 *    32  i64 created, ms      24  i64 time, ms
 *    40  prev fingerprint     32  payload: one JSON object, no newline
 *    72  boot id, 16 bytes
 *    88  u32 flags (1: process durability)
 *    92  chain id, NUL-padded, 128 bytes
 *   220  u32 CRC-32C of 0..219
 *
 * The version has a checksum of its own, so that a flipped bit is damage and not "a newer format". The
 * record's magic begins with FF, which no UTF-8 text holds: after damage the next record can be found
 * by looking for it. Pure functions; thread: any. */
#ifndef AUDIT_SPOOL_FORMAT_H
#define AUDIT_SPOOL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

enum {
    SPOOL_VERSION = 1,
    SPOOL_HEADER_BYTES = 224,
    SPOOL_FRAME_BYTES = 32,              /* in front of each payload */
    SPOOL_MAX_PAYLOAD_BYTES = 256 << 10, /* a record is at most this long */
    SPOOL_CHAIN_BYTES = 128,             /* chain id with its NUL */
    SPOOL_PRINT_BYTES = 32,              /* a fingerprint: SHA-256 */
    SPOOL_BOOT_BYTES = 16,
    SPOOL_FLAG_PROCESS = 1,
};

/* What a record says, beside its JSON; the numbers are part of the format. */
enum spool_kind {
    SPOOL_KIND_DECIDED = 1,
    SPOOL_KIND_COMPLETED = 2,
    SPOOL_KIND_FINDING = 3,
    SPOOL_KIND_SHADOW = 4,
    SPOOL_KIND_LIFECYCLE = 5,
};

struct spool_header {
    uint64_t segno;     /* counts up within a slot, from 1 */
    uint64_t first_seq; /* of the record behind the header */
    int64_t created_ms;
    unsigned char prev_print[SPOOL_PRINT_BYTES]; /* of the chain's last record before; zero: none */
    unsigned char boot[SPOOL_BOOT_BYTES];        /* the kernel's boot id */
    uint32_t flags;                              /* SPOOL_FLAG_ bits */
    char chain[SPOOL_CHAIN_BYTES];
};

/* A record as it stands in a segment. */
struct spool_rec {
    enum spool_kind kind;
    uint64_t seq;
    int64_t time_ms;
    struct gw_span payload; /* borrowed from the reader's buffer */
};

void spool_header_encode(const struct spool_header *h, unsigned char out[SPOOL_HEADER_BYTES]);

/* GW_OK; GW_EUNSUPPORTED: a sound header of another version, *version says which; GW_ECORRUPT. n is
 * how many bytes there are. */
enum gw_status spool_header_decode(const unsigned char *bytes, size_t n, struct spool_header *out,
                                   uint32_t *version);

/* Fills the frame in front of a payload that stands behind it. */
void spool_frame_encode(const struct spool_rec *rec, unsigned char out[SPOOL_FRAME_BYTES]);

enum spool_frame {
    SPOOL_FRAME_OK,    /* *out and *n_used are set */
    SPOOL_FRAME_SHORT, /* could become a record with more bytes; *n_need says how many it wants */
    SPOOL_FRAME_BAD,   /* can never be one */
};

/* Looks at the n bytes for a record at their start. *n_used is its length with the frame. */
enum spool_frame spool_frame_decode(const unsigned char *bytes, size_t n, struct spool_rec *out,
                                    size_t *n_used, size_t *n_need);

/* The length, frame included, that the head of a record claims; 0 when no record is so long. */
size_t spool_frame_claims(const unsigned char head[SPOOL_FRAME_BYTES]);

/* The fingerprint of a record: SHA-256(0x00 || payload), the RFC 9162 leaf hash. */
void spool_print(struct gw_span payload, unsigned char out[SPOOL_PRINT_BYTES]);

/* "s007-0000000012.seg": slot and number of a segment. */
enum { SPOOL_NAME_BYTES = 40 };
void spool_name(char out[SPOOL_NAME_BYTES], unsigned slot, uint64_t segno);
bool spool_name_parse(const char *name, unsigned *slot, uint64_t *segno);

#endif
