/* dlp/nest.h - how many JSON strings deep the end of a growing text is: 0 in prose, 1 in a string of a text that is JSON so far, 2 in
 * one of the JSON in such a string. So a value that is put back there can be escaped as it must be. Private to dlp/.
 *
 * A text is JSON when it begins with an object or array and has kept to the grammar (RFC 8259; numbers and literals are not
 * looked into); what has once broken it stays prose to its end. No allocation; one thread at a time. */
#ifndef DLP_NEST_H
#define DLP_NEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

enum { NEST_LEVELS = 4, NEST_MAX_DEPTH = 64 };

struct nest_level {
    uint8_t state;
    uint8_t depth;   /* of objects and arrays */
    bool key;        /* the string is a member's name */
    uint8_t escape;  /* hex digits of \uXXXX that are still to come, in an escape */
    uint16_t code;   /* what they say so far */
    uint64_t arrays; /* a bit for each depth: an array, not an object */
};

struct nest {
    struct nest_level levels[NEST_LEVELS];
};

void nest_start(struct nest *n);
void nest_feed(struct nest *n, struct gw_span text);
unsigned nest_depth(const struct nest *n);

#endif
