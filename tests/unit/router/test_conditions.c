/* Unit tests of router/lines.c: hours of the week across zones, lines about targets, reasons, what is on trial. */
#include <string.h>

#include "router/router.h"
#include "tests/test.h"

#define S(literal) GW_SPAN(literal)

enum { NEAR, FAR };

static struct router_policy *two_targets(void)
{
    static const struct gw_span any[] = {{"*", 1}}, to[] = {{"far", 3}, {"near", 4}};
    struct router_policy *p = router_policy_new();
    struct router_route r = {.models = any, .n_models = 1, .targets = {to}, .n_targets = {2}};
    unsigned i;

    CHECK(router_policy_add_target(p, S("near"), GW_ZONE_PRIVATE, NULL, 0, &i, NULL) == GW_OK);
    CHECK(router_policy_add_target(p, S("far"), GW_ZONE_APPROVED, NULL, 0, &i, NULL) == GW_OK);
    CHECK(router_policy_add_route(p, &r, NULL) == GW_OK);
    return p;
}

static const struct router_finding key = {
    .rule = {"aws", 3}, .class_ = GW_CLASS_SECRET, .severity = GW_SEVERITY_HIGH, .confidence = 90};

static uint8_t actions[4], always[4], would[4];

static struct router_decision ask(const struct router_policy *p, struct router_input in)
{
    struct router_decision d = {.actions = actions, .always = always, .would_actions = would};

    in.model = S("m");
    router_decide(p, &in, &d);
    return d;
}

/* ---- hours -------------------------------------------------------------------------------- */

static int64_t at(int64_t days, int64_t hour, int64_t minute)
{
    return ((days * 24 + hour) * 60 + minute) * 60000;
}

static void test_hours(void)
{
    /* 20,004 days after a Thursday: a Tuesday. */
    struct router_hours h = {.set = true, .days = 0x1F, .from = 8 * 60, .to = 18 * 60};

    CHECK(router_hours_hold(&h, at(20004, 8, 0)));
    CHECK(router_hours_hold(&h, at(20004, 17, 59)));
    CHECK(!router_hours_hold(&h, at(20004, 18, 0)));
    CHECK(!router_hours_hold(&h, at(20004, 7, 59)));
    CHECK(router_hours_hold(&h, at(20007, 9, 0)));  /* Friday */
    CHECK(!router_hours_hold(&h, at(20008, 9, 0))); /* Saturday */
    CHECK(router_hours_hold(&h, at(-2, 9, 0)));     /* Tuesday, 30 December 1969 */
    h.zone.first_s = 2 * 3600;
    CHECK(router_hours_hold(&h, at(20004, 6, 0)));
    CHECK(!router_hours_hold(&h, at(20004, 16, 0)));
    h.zone.first_s = -10 * 3600;
    CHECK(router_hours_hold(&h, at(20008, 3, 59))); /* still Friday there */
}

static void test_hours_past_midnight(void)
{
    struct router_hours h = {.set = true, .days = 1u << 4, .from = 22 * 60, .to = 6 * 60};

    CHECK(router_hours_hold(&h, at(20007, 23, 0))); /* Friday night */
    CHECK(router_hours_hold(&h, at(20008, 5, 59))); /* ... until Saturday morning */
    CHECK(!router_hours_hold(&h, at(20008, 23, 0)));
    CHECK(!router_hours_hold(&h, at(20007, 5, 0)));
    h.from = h.to = 0;
    CHECK(router_hours_hold(&h, at(20007, 12, 0)) && !router_hours_hold(&h, at(20008, 0, 0)));
}

static void test_hours_when_the_clock_changes(void)
{
    const int64_t from[] = {at(20000, 1, 0) / 1000, at(20100, 1, 0) / 1000};
    const int32_t offset[] = {7200, 3600};
    struct router_hours h = {.set = true, .from = 9 * 60, .to = 10 * 60};

    h.zone = (struct router_zone){3600, from, offset, 2};
    CHECK(router_hours_hold(&h, at(19999, 8, 30)) && !router_hours_hold(&h, at(19999, 7, 30)));
    CHECK(router_hours_hold(&h, at(20001, 7, 30)) && !router_hours_hold(&h, at(20001, 8, 30)));
    CHECK(router_hours_hold(&h, at(20101, 8, 30)));
}

/* ---- media -------------------------------------------------------------------------------- */

/* A line about images is about the request as a whole, or narrows one about findings. */
static void test_media(void)
{
    struct router_policy *p = two_targets();
    struct router_line line = {.name = S("photos"),
                               .media = 1u << ROUTER_MEDIUM_IMAGE | 1u << ROUTER_MEDIUM_AUDIO,
                               .request_line = true,
                               .zones = GW_ZONE_PRIVATE};
    struct router_line keys = {.name = S("files"),
                               .classes = 1u << GW_CLASS_SECRET,
                               .media = 1u << ROUTER_MEDIUM_FILE,
                               .action = GW_ACTION_BLOCK};
    struct router_input in = {.media = 1u << ROUTER_MEDIUM_IMAGE};
    struct router_decision d;

    CHECK(router_policy_add_line(p, &line, NULL) == GW_OK);
    CHECK(router_policy_add_line(p, &keys, NULL) == GW_OK);
    d = ask(p, in);
    CHECK(d.zones == GW_ZONE_PRIVATE && d.choices[0] == NEAR && d.pin == 0);
    in.media = 1u << ROUTER_MEDIUM_FILE;
    d = ask(p, in);
    CHECK(!d.blocked && d.choices[0] == FAR);
    in.findings = &key;
    in.n_findings = 1;
    d = ask(p, in);
    CHECK(d.blocked && strcmp(d.line, "files") == 0);
    in.media = 0;
    d = ask(p, in);
    CHECK(!d.blocked && d.zones == GW_ZONES_ALL);
    router_policy_free(p);
}

/* ---- targets ------------------------------------------------------------------------------ */

static void test_targets(void)
{
    static const struct gw_span far[] = {{"far", 3}};
    struct router_policy *p = two_targets();
    struct router_line line = {.name = S("not-far"),
                               .classes = 1u << GW_CLASS_SECRET,
                               .targets = far,
                               .n_targets = 1,
                               .action = GW_ACTION_BLOCK};
    struct router_line rest = {
        .name = S("mask"), .classes = 1u << GW_CLASS_SECRET, .action = GW_ACTION_MASK};
    struct router_input in = {.findings = &key, .n_findings = 1};
    struct router_decision d;

    CHECK(router_policy_add_line(p, &line, NULL) == GW_OK);
    CHECK(router_policy_add_line(p, &rest, NULL) == GW_OK);
    CHECK(router_policy_by_target(p));
    d = ask(p, in);
    CHECK(!d.blocked && d.n_choices == 1 && d.choices[0] == NEAR && d.rerouted);
    CHECK(actions[0] == GW_ACTION_MASK && strcmp(d.line, "mask") == 0);
    in.n_findings = 0;
    d = ask(p, in);
    CHECK(d.n_choices == 2 && d.choices[0] == FAR);
    in.n_findings = 1;
    in.targets_down = 1u << NEAR;
    d = ask(p, in);
    CHECK(d.blocked && d.reason == ROUTER_REASON_UNAVAILABLE);
    in.targets_unfit = 1u << NEAR;
    d = ask(p, in);
    CHECK(d.blocked && d.reason == ROUTER_REASON_POLICY_BLOCK && strcmp(d.line, "not-far") == 0);
    in = (struct router_input){.findings = &key,
                               .n_findings = 1,
                               .fixed = true,
                               .fixed_zone = GW_ZONE_APPROVED,
                               .target = S("far")};
    CHECK(ask(p, in).blocked);
    in.target = S("other.example");
    CHECK(!ask(p, in).blocked && actions[0] == GW_ACTION_MASK);
    line.zones = GW_ZONE_PRIVATE;
    CHECK(router_policy_add_line(p, &line, NULL) == GW_EINVAL);
    router_policy_free(p);
}

/* Edits differ between the choices. */
static void test_edits_by_target(void)
{
    static const struct gw_span near[] = {{"near", 4}};
    struct router_policy *p = two_targets();
    struct router_line line = {.name = S("trusted"),
                               .classes = 1u << GW_CLASS_SECRET,
                               .targets = near,
                               .n_targets = 1,
                               .action = GW_ACTION_ALERT};
    struct router_input in = {.model = S("m"), .findings = &key, .n_findings = 1};
    struct router_decision d;

    CHECK(router_policy_add_line(p, &line, NULL) == GW_OK);
    router_policy_set_default(p, GW_ACTION_REDACT);
    d = ask(p, in);
    CHECK(d.n_choices == 2 && d.choices[0] == FAR && actions[0] == GW_ACTION_REDACT);
    router_decide_at(p, &in, d.choices[1], &d);
    CHECK(actions[0] == GW_ACTION_ALERT && d.action == GW_ACTION_ALERT);
    router_decide_at(p, &in, d.choices[0], &d);
    CHECK(actions[0] == GW_ACTION_REDACT && d.action == GW_ACTION_REDACT);
    router_policy_free(p);
}

/* ---- reasons and trials --------------------------------------------------------------------- */

static void test_reasons(void)
{
    struct router_policy *p = two_targets();
    struct router_line line = {.name = S("keys"),
                               .classes = 1u << GW_CLASS_SECRET,
                               .action = GW_ACTION_BLOCK,
                               .justify = true};
    struct router_input in = {.findings = &key, .n_findings = 1};
    struct router_decision d;

    CHECK(router_policy_add_line(p, &line, NULL) == GW_OK);
    d = ask(p, in);
    CHECK(d.blocked && d.justified == ROUTER_NO_LINE && d.line_index == 0);
    in.justified = true;
    d = ask(p, in);
    CHECK(!d.blocked && d.justified == 0 && d.action == GW_ACTION_COACH);
    line.action = GW_ACTION_REDACT;
    CHECK(router_policy_add_line(p, &line, NULL) == GW_EINVAL);
    router_policy_free(p);
}

static void test_trials(void)
{
    struct router_policy *p = two_targets();
    struct router_line line = {.name = S("new"),
                               .classes = 1u << GW_CLASS_SECRET,
                               .action = GW_ACTION_BLOCK,
                               .mode = ROUTER_MODE_MONITOR};
    struct router_line old = {
        .name = S("old"), .classes = 1u << GW_CLASS_SECRET, .action = GW_ACTION_MASK};
    struct router_finding mine = key;
    struct router_input in = {.findings = &mine, .n_findings = 1};
    struct router_decision d;

    CHECK(router_policy_add_line(p, &line, NULL) == GW_OK);
    d = ask(p, in);
    CHECK(!d.blocked && d.action == GW_ACTION_ALERT && actions[0] == GW_ACTION_ALERT);
    CHECK(d.would.differs && d.would.blocked && strcmp(d.would.line, "new") == 0);
    CHECK(would[0] == GW_ACTION_BLOCK);
    /* The line on trial does not take the finding away from the one that holds. */
    CHECK(router_policy_add_line(p, &old, NULL) == GW_OK);
    d = ask(p, in);
    CHECK(!d.blocked && actions[0] == GW_ACTION_MASK && d.would.blocked);
    mine.monitored = true;
    d = ask(p, in);
    CHECK(actions[0] == GW_ACTION_ALERT && d.would.blocked);
    mine = (struct router_finding){.rule = key.rule, .severity = key.severity, .allowed = true};
    d = ask(p, in);
    CHECK(actions[0] == GW_ACTION_ALLOW && !d.would.differs && d.sensitivity == GW_SEVERITY_INFO);
    router_policy_free(p);
}

static void test_answers(void)
{
    static const struct gw_span far[] = {{"far", 3}};
    struct router_policy *p = two_targets();
    struct router_line line = {.name = S("leaks"),
                               .classes = 1u << GW_CLASS_SECRET,
                               .targets = far,
                               .n_targets = 1,
                               .on = ROUTER_ON_RESPONSE,
                               .action = GW_ACTION_BLOCK};
    struct router_line trial = {.name = S("trial"),
                                .classes = 1u << GW_CLASS_SECRET,
                                .on = ROUTER_ON_RESPONSE,
                                .action = GW_ACTION_MASK,
                                .mode = ROUTER_MODE_MONITOR};
    struct router_input in = {.target = S("far")};
    enum gw_action then;

    CHECK(router_policy_add_line(p, &line, NULL) == GW_OK);
    CHECK(router_policy_add_line(p, &trial, NULL) == GW_OK);
    CHECK(router_decide_response(p, &in, &key, NULL, NULL) == GW_ACTION_BLOCK);
    in.target = S("near");
    CHECK(router_decide_response(p, &in, &key, NULL, &then) == GW_ACTION_ALERT);
    CHECK(then == GW_ACTION_MASK);
    router_policy_free(p);
}

int main(void)
{
    test_hours();
    test_hours_past_midnight();
    test_hours_when_the_clock_changes();
    test_media();
    test_targets();
    test_edits_by_target();
    test_reasons();
    test_trials();
    test_answers();
    CHECK(strcmp(router_field_name(ROUTER_FIELD_FILE), "file") == 0);
    CHECK(strcmp(router_field_name(ROUTER_FIELD_COUNT), "other") == 0);
    return test_done();
}
