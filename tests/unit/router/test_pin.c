/* Conversations that stay in some zones: what a decision says of them, and what it does for one that is pinned. */
#include <string.h>

#include "router/router.h"
#include "tests/test.h"

#define S(literal) GW_SPAN(literal)

enum { PROCESS, NEAR, FAR };

static uint8_t actions[4], always[4], would[4];
static const struct router_finding health = {
    .rule = {"icd", 3}, .class_ = GW_CLASS_PHI, .severity = GW_SEVERITY_HIGH, .confidence = 90};
static const struct router_finding key = {
    .rule = {"aws", 3}, .class_ = GW_CLASS_SECRET, .severity = GW_SEVERITY_HIGH, .confidence = 90};

static struct router_policy *three_targets(bool refuse)
{
    static const struct gw_span any[] = {{"*", 1}}, to[] = {{"far", 3}, {"near", 4}};
    struct router_policy *p = router_policy_new();
    struct router_route r = {.models = any,
                             .n_models = 1,
                             .targets = {to},
                             .n_targets = {refuse ? 1 : 2},
                             .refuse_on_conflict = refuse};
    struct router_line pinned = {.name = S("health"),
                                 .classes = 1u << GW_CLASS_PHI,
                                 .zones = GW_ZONE_PROCESS | GW_ZONE_PRIVATE,
                                 .pin = true};
    struct router_line loose = {
        .name = S("secrets"), .classes = 1u << GW_CLASS_SECRET, .zones = GW_ZONE_PRIVATE};
    unsigned i;

    CHECK(router_policy_add_target(p, S("process"), GW_ZONE_PROCESS, NULL, 0, &i, NULL) == GW_OK);
    CHECK(router_policy_add_target(p, S("near"), GW_ZONE_PRIVATE, NULL, 0, &i, NULL) == GW_OK);
    CHECK(router_policy_add_target(p, S("far"), GW_ZONE_APPROVED, NULL, 0, &i, NULL) == GW_OK);
    CHECK(router_policy_add_route(p, &r, NULL) == GW_OK);
    CHECK(router_policy_add_line(p, &pinned, NULL) == GW_OK);
    CHECK(router_policy_add_line(p, &loose, NULL) == GW_OK);
    return p;
}

static struct router_decision ask(const struct router_policy *p, struct router_input in)
{
    struct router_decision d = {.actions = actions, .always = always, .would_actions = would};

    in.model = S("m");
    router_decide(p, &in, &d);
    return d;
}

/* Lines about findings, with pin, that limit. */
static void test_what_pins(void)
{
    struct router_policy *p = three_targets(false);
    struct router_decision d = ask(p, (struct router_input){.findings = &health, .n_findings = 1});

    CHECK(d.pin == (GW_ZONE_PROCESS | GW_ZONE_PRIVATE) && !d.pinned);
    d = ask(p, (struct router_input){.findings = &key, .n_findings = 1});
    CHECK(d.zones == GW_ZONE_PRIVATE && d.pin == 0);
    d = ask(p, (struct router_input){.n_findings = 0});
    CHECK(d.pin == 0);
    router_policy_set_mode(p, ROUTER_MODE_MONITOR);
    d = ask(p, (struct router_input){.findings = &health, .n_findings = 1});
    CHECK(d.pin == 0 && d.would.differs);
    router_policy_free(p);
}

static void test_pinned(void)
{
    struct router_policy *p = three_targets(false);
    struct router_input in = {.pinned = true, .pinned_zones = GW_ZONE_PRIVATE};
    struct router_decision d = ask(p, in);

    CHECK(!d.blocked && d.pinned && d.n_choices == 1 && d.choices[0] == NEAR && d.rerouted);
    CHECK(d.reason == ROUTER_REASON_PINNED && strcmp(router_reason_name(d.reason), "pinned") == 0);
    CHECK(d.zones == GW_ZONE_PRIVATE && d.line[0] == '\0');
    CHECK(strcmp(d.reason_text,
                 "near: pinned, an earlier request keeps the conversation in private") == 0);
    /* With a line that limits further the line says why. */
    in.pinned_zones |= GW_ZONE_PROCESS;
    in.findings = &key;
    in.n_findings = 1;
    d = ask(p, in);
    CHECK(d.pinned && d.reason == ROUTER_REASON_SENSITIVE && strcmp(d.line, "secrets") == 0 &&
          d.choices[0] == NEAR);
    /* Two limits that leave nothing. */
    in.pinned_zones = GW_ZONE_PROCESS;
    d = ask(p, in);
    CHECK(d.blocked && d.reason == ROUTER_REASON_ZONE_CONFLICT && strcmp(d.line, "secrets") == 0);
    /* Pins that contradict each other. */
    d = ask(p, (struct router_input){.pinned = true});
    CHECK(d.blocked && d.pinned && d.action == GW_ACTION_BLOCK && d.finding == -1);
    /* A policy that only watches. */
    router_policy_set_mode(p, ROUTER_MODE_MONITOR);
    d = ask(p, (struct router_input){.pinned = true, .pinned_zones = GW_ZONE_PRIVATE});
    CHECK(!d.blocked && !d.pinned && d.choices[0] == FAR && d.would.differs);
    router_policy_free(p);
}

/* Where nothing in the zones may answer: refused, never sent. */
static void test_nowhere(void)
{
    struct router_policy *p = three_targets(true);
    struct router_input in = {.pinned = true, .pinned_zones = GW_ZONE_PROCESS};
    struct router_decision d = ask(p, in);

    CHECK(d.blocked && d.pinned && d.reason == ROUTER_REASON_ZONE_CONFLICT);
    CHECK(strstr(d.reason_text, "keeps the conversation in process") != NULL);
    in.fixed = true;
    in.fixed_zone = GW_ZONE_APPROVED;
    d = ask(p, in);
    CHECK(d.blocked && d.pinned);
    in.pinned_zones = GW_ZONE_APPROVED;
    d = ask(p, in);
    CHECK(!d.blocked && !d.pinned && d.reason == ROUTER_REASON_FIXED);
    router_policy_free(p);
}

int main(void)
{
    test_what_pins();
    test_pinned();
    test_nowhere();
    return test_done();
}
