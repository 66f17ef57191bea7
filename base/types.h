/* base/types.h - the vocabulary that dlp, router, engine, audit and proxy share.
 *
 * The numbers are internal; the names are a contract (YAML, records, headers, CLI), see DESIGN 4.1.
 * Names and enums are converted here and nowhere else. */
#ifndef BASE_TYPES_H
#define BASE_TYPES_H

#include <stdbool.h>

#include "base/span.h"

/* What kind of data a rule finds. */
enum gw_class {
    GW_CLASS_SECRET,
    GW_CLASS_PII,
    GW_CLASS_PHI,
    GW_CLASS_FINANCIAL,
    GW_CLASS_SOURCE_CODE,
    GW_CLASS_CONFIDENTIAL,
    GW_CLASS_INJECTION,
    GW_CLASS_COUNT
};

enum gw_severity {
    GW_SEVERITY_INFO,
    GW_SEVERITY_LOW,
    GW_SEVERITY_MEDIUM,
    GW_SEVERITY_HIGH,
    GW_SEVERITY_CRITICAL,
    GW_SEVERITY_COUNT
};

/* What policy does with a finding or a request, ascending in strictness: combining is taking the
 * larger. A zone limit stands between redact and block and is kept beside the action. */
enum gw_action {
    GW_ACTION_ALLOW,
    GW_ACTION_ALERT,
    GW_ACTION_COACH,
    GW_ACTION_MASK,
    GW_ACTION_TOKENIZE,
    GW_ACTION_REDACT,
    GW_ACTION_BLOCK,
    GW_ACTION_COUNT
};

/* Where a target runs; a set of zones is the OR of these bits. */
enum gw_zone {
    GW_ZONE_PROCESS = 1,  /* the engine inside this process */
    GW_ZONE_PRIVATE = 2,  /* a server of the organisation */
    GW_ZONE_APPROVED = 4, /* an approved provider outside */
};
#define GW_ZONES_ALL ((unsigned)(GW_ZONE_PROCESS | GW_ZONE_PRIVATE | GW_ZONE_APPROVED))

/* Complexity tiers of a route. */
enum gw_tier { GW_TIER_SIMPLE, GW_TIER_MODERATE, GW_TIER_COMPLEX, GW_TIER_COUNT };

/* How a request got here. */
enum gw_ingress { GW_INGRESS_SDK, GW_INGRESS_PROXY };

const char *gw_class_name(enum gw_class c);
const char *gw_severity_name(enum gw_severity s);
const char *gw_action_name(enum gw_action a);
const char *gw_zone_name(enum gw_zone z);
const char *gw_tier_name(enum gw_tier t);
const char *gw_ingress_name(enum gw_ingress i);

/* Parse a name; false and *out unchanged when it is none of them. */
bool gw_class_parse(struct gw_span name, enum gw_class *out);
bool gw_severity_parse(struct gw_span name, enum gw_severity *out);
bool gw_action_parse(struct gw_span name, enum gw_action *out);
bool gw_zone_parse(struct gw_span name, enum gw_zone *out);

#endif
