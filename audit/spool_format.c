/* audit/spool_format.c - encoding and checking of segment bytes. Owns nothing; thread: any. */
#include "audit/spool_format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

static const unsigned char segment_magic[8] = {'S', 'L', 'U', 'I', 'C', 'E', 'S', 'P'};
static const unsigned char frame_magic[4] = {0xFF, 'S', 'R', 0x01};

static void put32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> (8 * i));
}

static void put64(unsigned char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (unsigned char)(v >> (8 * i));
}

static uint32_t get32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const unsigned char *p)
{
    return (uint64_t)get32(p) | (uint64_t)get32(p + 4) << 32;
}

static uint32_t crc_of(const unsigned char *p, size_t n)
{
    return gw_crc32c(0, (struct gw_span){(const char *)p, n});
}

void spool_header_encode(const struct spool_header *h, unsigned char out[SPOOL_HEADER_BYTES])
{
    memset(out, 0, SPOOL_HEADER_BYTES);
    memcpy(out, segment_magic, sizeof(segment_magic));
    put32(out + 8, SPOOL_VERSION);
    put32(out + 12, crc_of(out, 12));
    put64(out + 16, h->segno);
    put64(out + 24, h->first_seq);
    put64(out + 32, (uint64_t)h->created_ms);
    memcpy(out + 40, h->prev_print, SPOOL_PRINT_BYTES);
    memcpy(out + 72, h->boot, SPOOL_BOOT_BYTES);
    put32(out + 88, h->flags);
    memcpy(out + 92, h->chain, strnlen(h->chain, SPOOL_CHAIN_BYTES - 1));
    put32(out + 220, crc_of(out, 220));
}

enum gw_status spool_header_decode(const unsigned char *bytes, size_t n, struct spool_header *out,
                                   uint32_t *version)
{
    if (n < 16 || memcmp(bytes, segment_magic, sizeof(segment_magic)) != 0 ||
        get32(bytes + 12) != crc_of(bytes, 12))
        return GW_ECORRUPT;
    if (get32(bytes + 8) != SPOOL_VERSION) {
        *version = get32(bytes + 8);
        return GW_EUNSUPPORTED;
    }
    if (n < SPOOL_HEADER_BYTES || get32(bytes + 220) != crc_of(bytes, 220) || bytes[219] != 0)
        return GW_ECORRUPT;
    out->segno = get64(bytes + 16);
    out->first_seq = get64(bytes + 24);
    out->created_ms = (int64_t)get64(bytes + 32);
    memcpy(out->prev_print, bytes + 40, SPOOL_PRINT_BYTES);
    memcpy(out->boot, bytes + 72, SPOOL_BOOT_BYTES);
    out->flags = get32(bytes + 88);
    memcpy(out->chain, bytes + 92, SPOOL_CHAIN_BYTES);
    return GW_OK;
}

void spool_frame_encode(const struct spool_rec *rec, unsigned char out[SPOOL_FRAME_BYTES])
{
    uint32_t crc;

    memcpy(out, frame_magic, sizeof(frame_magic));
    put32(out + 8, (uint32_t)rec->payload.len);
    put32(out + 12, (uint32_t)rec->kind);
    put64(out + 16, rec->seq);
    put64(out + 24, (uint64_t)rec->time_ms);
    crc = gw_crc32c(crc_of(out + 8, SPOOL_FRAME_BYTES - 8), rec->payload);
    put32(out + 4, crc);
}

enum spool_frame spool_frame_decode(const unsigned char *bytes, size_t n, struct spool_rec *out,
                                    size_t *n_used, size_t *n_need)
{
    size_t len;
    uint32_t kind;

    if (memcmp(bytes, frame_magic, n < sizeof(frame_magic) ? n : sizeof(frame_magic)) != 0)
        return SPOOL_FRAME_BAD;
    if (n < SPOOL_FRAME_BYTES) {
        *n_need = SPOOL_FRAME_BYTES;
        return SPOOL_FRAME_SHORT;
    }
    len = get32(bytes + 8);
    kind = get32(bytes + 12);
    if (len > SPOOL_MAX_PAYLOAD_BYTES || kind < SPOOL_KIND_DECIDED || kind > SPOOL_KIND_LIFECYCLE)
        return SPOOL_FRAME_BAD;
    if (n < SPOOL_FRAME_BYTES + len) {
        *n_need = SPOOL_FRAME_BYTES + len;
        return SPOOL_FRAME_SHORT;
    }
    if (crc_of(bytes + 8, SPOOL_FRAME_BYTES - 8 + len) != get32(bytes + 4))
        return SPOOL_FRAME_BAD;
    out->kind = (enum spool_kind)kind;
    out->seq = get64(bytes + 16);
    out->time_ms = (int64_t)get64(bytes + 24);
    out->payload = (struct gw_span){(const char *)bytes + SPOOL_FRAME_BYTES, len};
    *n_used = SPOOL_FRAME_BYTES + len;
    return SPOOL_FRAME_OK;
}

size_t spool_frame_claims(const unsigned char head[SPOOL_FRAME_BYTES])
{
    size_t len = get32(head + 8);

    return len <= SPOOL_MAX_PAYLOAD_BYTES ? SPOOL_FRAME_BYTES + len : 0;
}

void spool_print(struct gw_span payload, unsigned char out[SPOOL_PRINT_BYTES])
{
    gw_sha256_pair((struct gw_span){"", 1}, payload, out);
}

void spool_name(char out[SPOOL_NAME_BYTES], unsigned slot, uint64_t segno)
{
    (void)snprintf(out, SPOOL_NAME_BYTES, "s%03u-%010" PRIu64 ".seg", slot, segno);
}

bool spool_name_parse(const char *name, unsigned *slot, uint64_t *segno)
{
    char again[SPOOL_NAME_BYTES];
    unsigned long s;
    unsigned long long n;
    char *end;

    if (name[0] != 's' || name[1] < '0' || name[1] > '9')
        return false;
    errno = 0;
    s = strtoul(name + 1, &end, 10);
    if (*end != '-' || end[1] < '0' || end[1] > '9' || s > 9999)
        return false;
    n = strtoull(end + 1, &end, 10);
    if (errno != 0 || n == 0)
        return false;
    /* Only the spelling that we write: "s7-1.seg" or a copy's name is somebody else's file. */
    spool_name(again, (unsigned)s, n);
    if (strcmp(again, name) != 0)
        return false;
    *slot = (unsigned)s;
    *segno = n;
    return true;
}
