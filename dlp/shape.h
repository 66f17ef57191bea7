/* dlp/shape.h - stand-ins that look like what they stand for: an e-mail address for an e-mail address, a card number for a card
 * number. Private to dlp/.
 *
 * What is made belongs to nobody: addresses under example.invalid (RFC 2606), of the networks for documentation (RFC 5737, RFC
 * 3849, RFC 7042), telephone numbers set aside for fiction (555-01xx of the North American plan, Ofcom's for drama) or of a
 * country code that is not assigned, cards that fail Luhn's test, IBANs of a country that does not exist, identifiers that fail
 * the checksums which the value passes. Everything else keeps its length and separators, digits stay digits and letters
 * letters. A first digit is zero when the value's is, so that a number stays one. Pure; any thread. */
#ifndef DLP_SHAPE_H
#define DLP_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

enum dlp_shape {
    DLP_SHAPE_NONE,  /* the value has no shape that could be kept: words, a name, a long text */
    DLP_SHAPE_AGAIN, /* this draw will not do, another one may */
    DLP_SHAPE_MADE,
};

struct dlp_shape_draw {
    uint64_t random; /* what the stand-in is drawn from */
    unsigned
        days; /* how far dates move back: the same for all, so that the time between them stays */
    bool
        any; /* also an identifier of a system that the value is one of: some systems take every number */
};

/* Appends a stand-in of at most DLP_PLACEHOLDER_MAX bytes; the same draw gives the same one. type: as a rule names it. */
enum dlp_shape dlp_shape_make(struct gw_span value, const char *type,
                              const struct dlp_shape_draw *draw, struct gw_buf *out);

/* A date in digits moved back by so many days, written as it was. NONE: it is none; AGAIN: it looks like one and cannot be
 * kept one, as with a year of two digits. (shape_date.c) */
enum dlp_shape dlp_shape_date(struct gw_span value, const char *type, unsigned days,
                              struct gw_buf *out);

#endif
