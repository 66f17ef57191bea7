/* proxy/fetch/zip.h - takes one member out of a ZIP archive that nobody vouched for.
 *
 * Wheels are ZIP files. The archive is bytes in memory (a mapped file); nothing in it is believed: every
 * offset is checked, sizes are limits and not hints, ambiguous archives are refused. Stored and deflated
 * members, ZIP64. Source of the format: PKWARE APPNOTE 6.3.10. Pure functions over borrowed bytes: any
 * thread. */
#ifndef PROXY_ZIP_H
#define PROXY_ZIP_H

#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct zip_member {
    struct gw_span data; /* the stored bytes, inside the archive */
    uint64_t bytes;      /* unpacked */
    uint32_t crc32;
    unsigned method; /* 0 stored, 8 deflated */
};

/* Finds the member of exactly that name. GW_ENOENT: there is none; GW_EPARSE: not a ZIP archive, or one
 * that contradicts itself or names the member twice; GW_EUNSUPPORTED: encrypted, split or compressed
 * another way. *out is unchanged on failure. */
enum gw_status zip_find(struct gw_span archive, const char *name, struct zip_member *out,
                        struct gw_err *err);

/* Gets the next unpacked bytes; another status than GW_OK ends the extraction with it. */
typedef enum gw_status zip_write_fn(void *ctx, struct gw_span bytes);

/* Unpacks m through write, in pieces. What was written is wrong unless GW_OK comes back: the length and
 * the CRC are known at the end only. GW_ECORRUPT: length, CRC or compressed data do not agree; GW_ELIMIT:
 * more than max_bytes; GW_ENOMEM; or what write returned. */
enum gw_status zip_extract(const struct zip_member *m, uint64_t max_bytes, zip_write_fn *write,
                           void *ctx, struct gw_err *err);

#endif
