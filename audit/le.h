/* audit/le.h - numbers in the files beside the spool: little endian, of up to 8 bytes. Pure; any thread. */
#ifndef AUDIT_LE_H
#define AUDIT_LE_H

#include <stdint.h>

#include "base/buf.h"

/* Appends the lowest bytes of v. */
static inline void le_add(struct gw_buf *b, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        gw_buf_addc(b, (char)(unsigned char)(v >> (8 * i)));
}

/* Reads that many bytes from p. */
static inline uint64_t le_get(const unsigned char *p, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

#endif
