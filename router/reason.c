/* router/reason.c - one printable sentence for header, record and command line.
 *
 * Made of names that the configuration gave and of numbers; a client's bytes never enter it. */
#include "router/reason.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void say(char *out, size_t size, const char *fmt, ...) GW_PRINTF(3, 4);

/* Appends, cut at the size. */
static void say(char *out, size_t size, const char *fmt, ...)
{
    size_t used = strlen(out);
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(out + used, size - used, fmt, ap);
    va_end(ap);
}

static void say_zones(char *out, size_t size, unsigned zones)
{
    static const enum gw_zone all[] = {GW_ZONE_PROCESS, GW_ZONE_PRIVATE, GW_ZONE_APPROVED};
    const char *between = "";

    for (unsigned i = 0; i < 3; i++) {
        if ((zones & (unsigned)all[i]) == 0)
            continue;
        say(out, size, "%s%s", between, gw_zone_name(all[i]));
        between = " or ";
    }
}

static void say_blocked(const struct router_input *in, const struct router_decision *d, char *out,
                        size_t size)
{
    switch (d->reason) {
    case ROUTER_REASON_POLICY_BLOCK:
        if (in->n_findings > ROUTER_MAX_FINDINGS)
            say(out, size, "blocked: more than %d findings", ROUTER_MAX_FINDINGS);
        else if (d->line[0] == '\0')
            say(out, size, "blocked by the default action");
        else
            say(out, size, "blocked by policy line %s", d->line);
        break;
    case ROUTER_REASON_ZONE_CONFLICT:
        if (d->pinned && d->line[0] == '\0') {
            say(out, size, "blocked: an earlier request keeps the conversation in ");
            say_zones(out, size, in->pinned_zones);
            say(out, size, ", and nothing there may answer this one");
            break;
        }
        say(out, size, "blocked: no target in the zones that policy line %s allows", d->line);
        break;
    case ROUTER_REASON_NO_ROUTE:
        say(out, size,
            in->unrouted ? "no target takes this kind of request"
            : in->targets_unfit != 0
                ? "no route has a target for the requested model and this kind of request"
                : "no route has a target for the requested model");
        break;
    case ROUTER_REASON_UNAVAILABLE:
        say(out, size, "the targets in ");
        say_zones(out, size, d->zones);
        say(out, size, " are all unavailable");
        break;
    case ROUTER_REASON_ROUTE:
    case ROUTER_REASON_TIER:
    case ROUTER_REASON_SENSITIVE:
    case ROUTER_REASON_FIXED:
    case ROUTER_REASON_PINNED:
        say(out, size, "blocked");
        break;
    }
}

static void say_allowed(const struct router_policy *p, const struct router_decision *d, char *out,
                        size_t size)
{
    const char *target = d->n_choices > 0 ? router_target_name(p, d->choices[0]) : "";

    switch (d->reason) {
    case ROUTER_REASON_FIXED:
        say(out, size, "to the host that the client chose");
        break;
    case ROUTER_REASON_TIER:
        say(out, size, "%s: complexity %u is %s", target, d->complexity, gw_tier_name(d->tier));
        break;
    case ROUTER_REASON_SENSITIVE:
        say(out, size, "%s: policy moved it", target);
        break;
    case ROUTER_REASON_PINNED:
        say(out, size, "%s: pinned, an earlier request keeps the conversation in ", target);
        say_zones(out, size, d->zones);
        break;
    case ROUTER_REASON_ROUTE:
    case ROUTER_REASON_POLICY_BLOCK:
    case ROUTER_REASON_ZONE_CONFLICT:
    case ROUTER_REASON_NO_ROUTE:
    case ROUTER_REASON_UNAVAILABLE:
        say(out, size, "%s: first of its route", target);
        break;
    }
    if (d->zones != GW_ZONES_ALL && d->reason != ROUTER_REASON_PINNED) {
        say(out, size, "; policy line %s keeps it in ", d->line);
        say_zones(out, size, d->zones);
    }
    if (d->action > GW_ACTION_ALLOW) {
        say(out, size, "; strictest action %s", gw_action_name(d->action));
        if ((d->zones == GW_ZONES_ALL || d->reason == ROUTER_REASON_PINNED) && d->line[0] != '\0')
            say(out, size, " by policy line %s", d->line);
    }
}

void reason_write(const struct router_policy *p, const struct router_input *in,
                  struct router_decision *d)
{
    char *out = d->reason_text;
    size_t size = sizeof(d->reason_text);

    out[0] = '\0';
    if (d->blocked)
        say_blocked(in, d, out, size);
    else
        say_allowed(p, d, out, size);
    for (; *out != '\0'; out++) /* names in the configuration may be any UTF-8 */
        if (*out < 0x20 || *out > 0x7E)
            *out = '?';
}
