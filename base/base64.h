/* base/base64.h - base64 (RFC 4648): section 4 with padding, section 5 ("url") without. Pure; any thread. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"

void gw_base64(struct gw_buf *out, struct gw_span bytes);
void gw_base64url(struct gw_buf *out, struct gw_span bytes);

/* Strict: one text for each sequence of bytes. Returns how many bytes were written to out, at most max; -1 for any other byte,
 * padding where none belongs or too little of it, bits behind the end that are not zero, or no room. */
ptrdiff_t gw_unbase64(struct gw_span text, void *out, size_t max);
ptrdiff_t gw_unbase64url(struct gw_span text, void *out, size_t max);

/* The six bits of a digit, or -1; for texts that are read in another way. */
int gw_base64_digit(char c);

/* True when all bytes are digits of section 5. */
bool gw_base64url_is(struct gw_span text);

#endif
