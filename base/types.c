/* base/types.c - names of the shared vocabulary. */
#include "base/types.h"

static const char *const class_names[GW_CLASS_COUNT] = {
    "secret", "pii", "phi", "financial", "source_code", "confidential", "injection",
};
static const char *const severity_names[GW_SEVERITY_COUNT] = {
    "info", "low", "medium", "high", "critical",
};
static const char *const action_names[GW_ACTION_COUNT] = {
    "allow", "alert", "coach", "mask", "tokenize", "redact", "block",
};
static const char *const tier_names[GW_TIER_COUNT] = {"simple", "moderate", "complex"};

static bool find_name(const char *const *names, unsigned n, struct gw_span name, unsigned *out)
{
    for (unsigned i = 0; i < n; i++) {
        if (gw_span_is(name, names[i])) {
            *out = i;
            return true;
        }
    }
    return false;
}

const char *gw_class_name(enum gw_class c)
{
    return (unsigned)c < GW_CLASS_COUNT ? class_names[c] : "unknown";
}

const char *gw_severity_name(enum gw_severity s)
{
    return (unsigned)s < GW_SEVERITY_COUNT ? severity_names[s] : "unknown";
}

const char *gw_action_name(enum gw_action a)
{
    return (unsigned)a < GW_ACTION_COUNT ? action_names[a] : "unknown";
}

const char *gw_tier_name(enum gw_tier t)
{
    return (unsigned)t < GW_TIER_COUNT ? tier_names[t] : "unknown";
}

const char *gw_zone_name(enum gw_zone z)
{
    switch (z) {
    case GW_ZONE_PROCESS:
        return "process";
    case GW_ZONE_PRIVATE:
        return "private";
    case GW_ZONE_APPROVED:
        return "approved";
    }
    return "unknown";
}

const char *gw_ingress_name(enum gw_ingress i)
{
    return i == GW_INGRESS_SDK ? "sdk" : "proxy";
}

bool gw_class_parse(struct gw_span name, enum gw_class *out)
{
    unsigned i;

    if (!find_name(class_names, GW_CLASS_COUNT, name, &i))
        return false;
    *out = (enum gw_class)i;
    return true;
}

bool gw_severity_parse(struct gw_span name, enum gw_severity *out)
{
    unsigned i;

    if (!find_name(severity_names, GW_SEVERITY_COUNT, name, &i))
        return false;
    *out = (enum gw_severity)i;
    return true;
}

bool gw_action_parse(struct gw_span name, enum gw_action *out)
{
    unsigned i;

    if (!find_name(action_names, GW_ACTION_COUNT, name, &i))
        return false;
    *out = (enum gw_action)i;
    return true;
}

bool gw_zone_parse(struct gw_span name, enum gw_zone *out)
{
    static const enum gw_zone zones[] = {GW_ZONE_PROCESS, GW_ZONE_PRIVATE, GW_ZONE_APPROVED};

    for (unsigned i = 0; i < 3; i++) {
        if (gw_span_is(name, gw_zone_name(zones[i]))) {
            *out = zones[i];
            return true;
        }
    }
    return false;
}
