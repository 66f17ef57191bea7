/* Unit tests of router/: each sentence of DESIGN 4.1 as a table, then random policies against a slow and
 * separate reference. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "router/router.h"
#include "tests/test.h"

#define S(literal) GW_SPAN(literal)

enum { LOCAL, CLUSTER, OPENAI, CLAUDE };

/* local (process), cluster (private), openai and claude (approved); `auto` by tiers, gpt-* to openai,
 * strict-* to openai without reroute, * to cluster then openai. */
static struct router_policy *base_policy(void)
{
    static const struct gw_span claude[] = {{"claude-*", 8}};
    static const struct gw_span any[] = {{"*", 1}}, auto_[] = {{"auto", 4}};
    static const struct gw_span strict[] = {{"strict-*", 8}};
    static const struct gw_span local_t[] = {{"local", 5}}, openai_t[] = {{"openai", 6}};
    static const struct gw_span moderate[] = {{"cluster", 7}, {"openai", 6}};
    static const struct gw_span complex_[] = {{"openai", 6}, {"claude", 6}};
    static const struct gw_span strict_model[] = {{"gpt-*", 5}, {"strict-*", 8}};
    struct router_policy *p = router_policy_new();
    struct router_route r = {.models = auto_, .n_models = 1, .tiered = true};
    struct gw_err err;
    unsigned i = 0;

    CHECK(router_policy_add_target(p, S("local"), GW_ZONE_PROCESS, NULL, 0, &i, &err) == GW_OK);
    CHECK(i == LOCAL);
    CHECK(router_policy_add_target(p, S("cluster"), GW_ZONE_PRIVATE, NULL, 0, &i, &err) == GW_OK);
    CHECK(router_policy_add_target(p, S("openai"), GW_ZONE_APPROVED, strict_model, 2, &i, &err) ==
          GW_OK);
    CHECK(router_policy_add_target(p, S("claude"), GW_ZONE_APPROVED, claude, 1, &i, &err) == GW_OK);
    CHECK(i == CLAUDE);
    r.targets[GW_TIER_SIMPLE] = local_t;
    r.n_targets[GW_TIER_SIMPLE] = 1;
    r.targets[GW_TIER_MODERATE] = moderate;
    r.n_targets[GW_TIER_MODERATE] = 2;
    r.targets[GW_TIER_COMPLEX] = complex_;
    r.n_targets[GW_TIER_COMPLEX] = 2;
    CHECK(router_policy_add_route(p, &r, &err) == GW_OK);
    r = (struct router_route){.models = strict, .n_models = 1, .refuse_on_conflict = true};
    r.targets[0] = openai_t;
    r.n_targets[0] = 1;
    CHECK(router_policy_add_route(p, &r, &err) == GW_OK);
    r = (struct router_route){.models = any, .n_models = 1};
    r.targets[0] = complex_;
    r.n_targets[0] = 2;
    CHECK(router_policy_add_route(p, &r, &err) == GW_OK);
    return p;
}

static void add_line(struct router_policy *p, struct router_line line)
{
    struct gw_err err = {0};

    if (!CHECK(router_policy_add_line(p, &line, &err) == GW_OK))
        fprintf(stderr, "  %s\n", err.text);
}

enum { MAX_F = 16 };
static uint8_t actions[MAX_F], always[MAX_F];
static uint16_t lines[MAX_F];

static struct router_decision decide_in(const struct router_policy *p, struct router_input in)
{
    struct router_decision d = {.actions = actions, .always = always, .lines = lines};

    router_decide(p, &in, &d);
    return d;
}

static struct router_decision decide(const struct router_policy *p, const char *model,
                                     const struct router_finding *findings, unsigned n)
{
    return decide_in(p, (struct router_input){.model = gw_span_str(model),
                                              .user = S("ann"),
                                              .findings = findings,
                                              .n_findings = n});
}

#define FINDING(id, c, s, conf)                                                                    \
    {                                                                                              \
        .rule = {(id), sizeof(id) - 1}, .class_ = GW_CLASS_##c, .severity = GW_SEVERITY_##s,       \
        .confidence = (conf)                                                                       \
    }
static const struct router_finding aws = FINDING("aws-key", SECRET, HIGH, 90);
static const struct router_finding diagnosis = FINDING("icd", PHI, MEDIUM, 70);
static const struct router_finding email = FINDING("email", PII, LOW, 80);
static const struct router_finding code = FINDING("c-source", SOURCE_CODE, LOW, 80);

static struct router_line line(const char *name, unsigned classes, enum gw_action action)
{
    return (struct router_line){.name = gw_span_str(name), .classes = classes, .action = action};
}
#define CLASS(c) (1u << GW_CLASS_##c)

/* "A prompt with an AWS key and a diagnosis is redacted and stays inside." */
static void test_results_combine(void)
{
    struct router_policy *p = base_policy();
    struct router_line health = line("health", CLASS(PHI), GW_ACTION_ALLOW);
    struct router_finding both[] = {aws, diagnosis};
    struct router_decision d;

    add_line(p, line("secrets", CLASS(SECRET), GW_ACTION_REDACT));
    health.zones = GW_ZONE_PROCESS | GW_ZONE_PRIVATE;
    add_line(p, health);
    d = decide(p, "gpt-4o", both, 2);
    CHECK(!d.blocked && d.n_choices > 0 && d.choices[0] == LOCAL && d.rerouted);
    CHECK(d.zones == (GW_ZONE_PROCESS | GW_ZONE_PRIVATE));
    CHECK(actions[0] == GW_ACTION_REDACT && actions[1] == GW_ACTION_ALLOW);
    CHECK(d.action == GW_ACTION_REDACT && d.reason == ROUTER_REASON_SENSITIVE);
    CHECK(d.sensitivity == GW_SEVERITY_HIGH);
    CHECK(strcmp(d.line, "health") == 0); /* a zone limit is stricter than redact */
    d = decide(p, "gpt-4o", both, 1);
    CHECK(!d.blocked && d.choices[0] == OPENAI && !d.rerouted && d.zones == GW_ZONES_ALL);
    CHECK(strcmp(d.line, "secrets") == 0 && d.finding == 0 && d.reason == ROUTER_REASON_ROUTE);
    d = decide(p, "gpt-4o", NULL, 0);
    CHECK(d.action == GW_ACTION_ALLOW && d.line[0] == '\0' && d.finding == -1);
    CHECK(d.sensitivity == GW_SEVERITY_INFO);
    router_policy_free(p);
}

/* "the first policy line that matches it"; "the strictest action wins"; "No line matches: default". */
static void test_first_line_per_finding(void)
{
    struct router_policy *p = base_policy();
    static const struct gw_span rules[] = {{"aws-*", 5}};
    struct router_line some = line("some", 0, GW_ACTION_ALERT);
    struct router_finding fs[] = {email, aws, code};
    struct router_decision d;

    some.rules = rules;
    some.n_rules = 1;
    add_line(p, some);
    add_line(p, line("secrets", CLASS(SECRET), GW_ACTION_BLOCK)); /* aws took the line above */
    add_line(p, line("pii", CLASS(PII) | CLASS(FINANCIAL), GW_ACTION_TOKENIZE));
    router_policy_set_default(p, GW_ACTION_COACH);
    d = decide(p, "gpt-4o", fs, 3);
    CHECK(!d.blocked && actions[0] == GW_ACTION_TOKENIZE && actions[1] == GW_ACTION_ALERT);
    CHECK(lines[0] == 2 && lines[1] == 0 && lines[2] == ROUTER_NO_LINE);
    CHECK(strcmp(router_line_name(p, 2), "pii") == 0);
    CHECK(router_line_name(p, ROUTER_NO_LINE)[0] == '\0');
    CHECK(actions[2] == GW_ACTION_COACH && d.action == GW_ACTION_TOKENIZE && d.finding == 0);
    CHECK(strcmp(d.line, "pii") == 0);
    router_policy_set_default(p, GW_ACTION_BLOCK);
    d = decide(p, "gpt-4o", fs, 3);
    CHECK(d.blocked && d.reason == ROUTER_REASON_POLICY_BLOCK && d.line[0] == '\0');
    CHECK(d.finding == 2 && d.n_choices == 0 && strstr(d.reason_text, "default") != NULL);
    router_policy_free(p);
}

static void test_conditions(void)
{
    static const struct gw_span core[] = {{"core", 4}}, bob[] = {{"bob*", 4}}, o1[] = {{"o1-*", 4}};
    static const struct gw_span groups[] = {{"sales", 5}, {"core", 4}};
    struct router_policy *p = base_policy();
    struct router_line l = line("conf", CLASS(PII), GW_ACTION_BLOCK);
    struct router_finding low = email, high = email;
    struct router_finding many[] = {code, code, code};
    struct router_input in = {.model = S("gpt-4o"), .findings = &code, .n_findings = 1};

    low.confidence = 59;
    high.confidence = 60;
    l.min_confidence = 60;
    add_line(p, l);
    l = line("sev", CLASS(SECRET), GW_ACTION_BLOCK);
    l.min_severity = GW_SEVERITY_HIGH;
    add_line(p, l);
    l = line("count", CLASS(SOURCE_CODE), GW_ACTION_BLOCK);
    l.min_count = 3;
    add_line(p, l);
    l = line("group", CLASS(SOURCE_CODE), GW_ACTION_BLOCK);
    l.groups = core;
    l.n_groups = 1;
    add_line(p, l);
    l = line("user", CLASS(SOURCE_CODE), GW_ACTION_BLOCK);
    l.users = bob;
    l.n_users = 1;
    add_line(p, l);
    l = line("model", CLASS(SOURCE_CODE), GW_ACTION_BLOCK);
    l.models = o1;
    l.n_models = 1;
    add_line(p, l);

    CHECK(!decide(p, "gpt-4o", &low, 1).blocked && decide(p, "gpt-4o", &high, 1).blocked);
    low = aws;
    low.severity = GW_SEVERITY_MEDIUM;
    CHECK(!decide(p, "gpt-4o", &low, 1).blocked && decide(p, "gpt-4o", &aws, 1).blocked);
    CHECK(!decide(p, "gpt-4o", many, 2).blocked);
    CHECK(strcmp(decide(p, "gpt-4o", many, 3).line, "count") == 0);
    CHECK(!decide_in(p, in).blocked);
    in.groups = groups;
    in.n_groups = 2;
    CHECK(strcmp(decide_in(p, in).line, "group") == 0);
    in.n_groups = 1;
    CHECK(!decide_in(p, in).blocked);
    in.user = S("bobby");
    CHECK(strcmp(decide_in(p, in).line, "user") == 0);
    in.user = S("ann");
    in.model = S("O1-mini"); /* letters of either case: no way around */
    CHECK(strcmp(decide_in(p, in).line, "model") == 0);
    router_policy_free(p);
}

/* "and the request as a whole": a line that says nothing of findings. */
static void test_request_lines(void)
{
    static const struct gw_span o1[] = {{"o1-*", 4}};
    struct router_policy *p = base_policy();
    struct router_line l = line("no-o1", 0, GW_ACTION_BLOCK);
    struct router_decision d;
    struct gw_err err;

    l.models = o1;
    l.n_models = 1;
    l.request_line = true;
    add_line(p, l);
    l = line("inside", 0, GW_ACTION_ALERT);
    l.request_line = true;
    l.zones = GW_ZONE_PROCESS;
    add_line(p, l);
    add_line(p, line("secrets", CLASS(SECRET), GW_ACTION_REDACT));
    CHECK(router_policy_add_alias(p, S("smart"), S("o1-pro"), &err) == GW_OK);
    CHECK(router_policy_add_alias(p, S("smart"), S("x"), &err) == GW_EEXIST);
    d = decide(p, "o1-mini", NULL, 0);
    CHECK(d.blocked && strcmp(d.line, "no-o1") == 0 && d.finding == -1);
    d = decide(p, "smart", NULL, 0); /* an alias is no way around a line */
    CHECK(d.blocked && strcmp(d.line, "no-o1") == 0 && gw_span_is(d.model, "o1-pro"));
    d = decide(p, "gpt-4o", &aws, 1); /* the finding takes its own line, not the request's */
    CHECK(!d.blocked && d.choices[0] == LOCAL && actions[0] == GW_ACTION_REDACT);
    CHECK(d.action == GW_ACTION_REDACT);
    router_policy_free(p);
}

static void test_else(void)
{
    struct router_policy *p = base_policy();
    struct router_line l = line("source", CLASS(SOURCE_CODE), GW_ACTION_ALERT);
    struct router_input in = {.model = S("strict-1"), .findings = &code, .n_findings = 1};
    struct router_decision d;

    l.zones = GW_ZONE_PROCESS;
    l.has_else = true;
    l.else_action = GW_ACTION_REDACT;
    add_line(p, l);
    l = line("phi", CLASS(PHI), GW_ACTION_ALLOW);
    l.zones = GW_ZONE_PROCESS;
    l.has_else = true;
    l.else_action = GW_ACTION_BLOCK;
    add_line(p, l);
    l = line("pii", CLASS(PII), GW_ACTION_ALLOW);
    l.zones = GW_ZONE_PROCESS;
    add_line(p, l);

    d = decide(p, "gpt-4o", &code, 1); /* the limit can be kept, so `else` has no say */
    CHECK(!d.blocked && d.choices[0] == LOCAL && actions[0] == GW_ACTION_ALERT);
    d = decide_in(p, in); /* the route refuses to leave openai, so the limit leaves no target */
    CHECK(!d.blocked && d.choices[0] == OPENAI && actions[0] == GW_ACTION_REDACT);
    CHECK(d.zones == GW_ZONES_ALL && d.action == GW_ACTION_REDACT);
    in.findings = &diagnosis;
    d = decide_in(p, in);
    CHECK(d.blocked && d.reason == ROUTER_REASON_ZONE_CONFLICT && strcmp(d.line, "phi") == 0);
    in.findings = &email;
    d = decide_in(p, in); /* no else: refused */
    CHECK(d.blocked && d.reason == ROUTER_REASON_ZONE_CONFLICT && strcmp(d.line, "pii") == 0);
    CHECK(d.action == GW_ACTION_BLOCK && d.n_choices == 0);
    router_policy_free(p);
}

/* Intercepted traffic has one place to go. */
static void test_fixed(void)
{
    struct router_policy *p = base_policy();
    struct router_line l = line("phi", CLASS(PHI), GW_ACTION_ALLOW);
    struct router_input in = {
        .model = S("nothing-routes-this"), .fixed = true, .fixed_zone = GW_ZONE_APPROVED};
    struct router_decision d;

    l.zones = GW_ZONE_PROCESS | GW_ZONE_PRIVATE;
    add_line(p, l);
    add_line(p, line("secrets", CLASS(SECRET), GW_ACTION_REDACT));
    d = decide_in(p, in);
    CHECK(!d.blocked && d.reason == ROUTER_REASON_FIXED && d.n_choices == 0);
    in.findings = &aws;
    in.n_findings = 1;
    d = decide_in(p, in);
    CHECK(!d.blocked && actions[0] == GW_ACTION_REDACT);
    in.findings = &diagnosis;
    d = decide_in(p, in);
    CHECK(d.blocked && d.reason == ROUTER_REASON_ZONE_CONFLICT);
    in.fixed_zone = GW_ZONE_PRIVATE;
    CHECK(!decide_in(p, in).blocked);
    router_policy_free(p);
}

/* "Sensitive and local-only, and the engine is down: 503. Never the frontier." */
static void test_down(void)
{
    struct router_policy *p = base_policy();
    struct router_line l = line("phi", CLASS(PHI), GW_ACTION_ALLOW);
    struct router_input in = {.model = S("auto"), .findings = &diagnosis, .n_findings = 1};
    struct router_decision d;

    l.zones = GW_ZONE_PROCESS;
    l.has_else = true;
    l.else_action = GW_ACTION_ALLOW; /* an outage is not "no target": else does not open the door */
    add_line(p, l);
    CHECK(decide_in(p, in).choices[0] == LOCAL);
    in.targets_down = 1u << LOCAL;
    d = decide_in(p, in);
    CHECK(d.blocked && d.reason == ROUTER_REASON_UNAVAILABLE && d.n_choices == 0);
    in.n_findings = 0;
    d = decide_in(p, in); /* simple, local is down: the next tier */
    CHECK(!d.blocked && d.choices[0] == CLUSTER && !d.rerouted && d.reason == ROUTER_REASON_TIER);
    in.model = S("gpt-4o");
    in.targets_down = 1u << OPENAI; /* an outage does not move a named model to other targets */
    d = decide_in(p, in);
    CHECK(d.blocked && d.reason == ROUTER_REASON_UNAVAILABLE);
    in.targets_down = UINT64_MAX;
    CHECK(decide_in(p, in).reason == ROUTER_REASON_UNAVAILABLE);
    router_policy_free(p);
}

static void test_tiers(void)
{
    struct router_policy *p = base_policy();
    struct router_input in = {.model = S("auto")};
    struct router_complexity c = {25, 50};
    struct router_decision d;
    struct gw_err err;

    CHECK(router_policy_set_complexity(p, &c, &err) == GW_OK);
    d = decide_in(p, in);
    CHECK(d.tier == GW_TIER_SIMPLE && d.choices[0] == LOCAL && d.reason == ROUTER_REASON_TIER);
    CHECK(d.n_choices == 4 && d.choices[1] == CLUSTER && d.choices[2] == OPENAI);
    in.features.reason_words = 3;
    d = decide_in(p, in);
    CHECK(d.complexity == 30 && d.tier == GW_TIER_MODERATE && d.choices[0] == CLUSTER);
    CHECK(d.choices[1] == OPENAI && d.choices[2] == CLAUDE && d.choices[3] == LOCAL);
    in.features.code_lines = 30;
    d = decide_in(p, in);
    CHECK(d.tier == GW_TIER_COMPLEX && d.choices[0] == OPENAI && d.choices[1] == CLAUDE);
    c.complex_from = 20;
    CHECK(router_policy_set_complexity(p, &c, &err) == GW_EINVAL);
    router_policy_free(p);
}

static void test_routes(void)
{
    struct router_policy *p = base_policy();
    struct router_decision d;
    char longest[300];

    d = decide(p, "claude-3", NULL, 0); /* openai does not take it */
    CHECK(d.choices[0] == CLAUDE && d.n_choices == 1 && d.reason == ROUTER_REASON_ROUTE);
    d = decide(p, "llama", NULL, 0);
    CHECK(d.blocked && d.reason == ROUTER_REASON_NO_ROUTE);
    d = decide(p, "", NULL, 0);
    CHECK(d.blocked && d.reason == ROUTER_REASON_NO_ROUTE);
    memset(longest, 'g', sizeof(longest));
    d = decide_in(p, (struct router_input){.model = {longest, sizeof(longest)}});
    CHECK(d.blocked && d.reason == ROUTER_REASON_NO_ROUTE);
    router_policy_free(p);
}

static void test_always(void)
{
    struct router_policy *p = base_policy();
    struct router_line l = line("pii", CLASS(PII), GW_ACTION_TOKENIZE);
    struct router_finding fs[] = {email, aws};

    l.scope_always = true;
    add_line(p, l);
    (void)decide(p, "auto", fs, 2);
    CHECK(always[0] == 1 && always[1] == 0);
    router_policy_free(p);
}

static unsigned n_reports;
static char last_report[400];
static void on_report(void *ctx, const char *message)
{
    (void)ctx;
    n_reports++;
    (void)snprintf(last_report, sizeof(last_report), "%s", message);
}

static void test_check_and_digest(void)
{
    struct router_policy *p = base_policy(), *q = base_policy(), *empty = router_policy_new();
    static const struct gw_span nobody[] = {{"nobody", 6}}, any[] = {{"*", 1}};
    struct router_route r = {.models = any, .n_models = 1};
    struct gw_err err;
    unsigned i;

    CHECK(router_policy_check(p, on_report, NULL) == 0 && n_reports == 0);
    CHECK(strcmp(router_policy_digest(p), router_policy_digest(q)) == 0);
    CHECK(strlen(router_policy_digest(p)) == 64);
    router_policy_free(q);
    q = base_policy();
    r.targets[0] = nobody;
    r.n_targets[0] = 1;
    CHECK(router_policy_add_route(q, &r, &err) == GW_OK);
    CHECK(router_policy_check(q, on_report, NULL) == 1 && n_reports == 1);
    CHECK(strstr(last_report, "names a target that does not exist") != NULL);
    CHECK(strcmp(router_policy_digest(p), router_policy_digest(q)) != 0);
    CHECK(router_policy_add_target(q, S("local"), GW_ZONE_PROCESS, NULL, 0, &i, &err) == GW_EEXIST);
    CHECK(router_policy_check(empty, NULL, NULL) == 1);
    CHECK(strcmp(router_target_name(p, CLUSTER), "cluster") == 0 &&
          router_target_name(p, 9)[0] == 0);
    CHECK(router_target_takes(p, OPENAI, S("gpt-4o")) && !router_target_takes(p, OPENAI, S("x")));
    CHECK(router_target_takes(p, LOCAL, S("x")) && !router_target_takes(p, 9, S("x")));
    CHECK(!router_target_takes(p, LOCAL, S("auto"))); /* a name for tiers is nobody's model */
    CHECK(router_target_zone(p, CLUSTER) == GW_ZONE_PRIVATE && router_target_count(p) == 4);
    router_policy_free(p);
    router_policy_free(q);
    router_policy_free(empty);
    router_policy_free(NULL);
}

static void test_reason_text_is_printable(void)
{
    struct router_policy *p = base_policy();
    struct router_finding f = {.rule = S("x\n\x01"),
                               .class_ = GW_CLASS_PII,
                               .severity = GW_SEVERITY_LOW,
                               .confidence = 90};
    struct router_decision d;

    add_line(p, line("na\xC3\xAFve\n", CLASS(PII), GW_ACTION_BLOCK));
    d = decide(p, "m\r\nx-evil: 1", &f, 1);
    CHECK(d.blocked && strchr(d.reason_text, '\n') == NULL && strchr(d.reason_text, '\r') == NULL);
    CHECK(strstr(d.reason_text, "evil") == NULL && strstr(d.reason_text, "na??ve?") != NULL);
    router_policy_free(p);
}

static void test_too_many_findings(void)
{
    struct router_policy *p = base_policy();
    unsigned n = ROUTER_MAX_FINDINGS + 1;
    struct router_finding *fs = calloc(n, sizeof(*fs));
    uint8_t *a = calloc(n, 1), *w = calloc(n, 1);
    struct router_input in = {.model = S("auto"), .findings = fs, .n_findings = n};
    struct router_decision d = {.actions = a, .always = w};

    router_decide(p, &in, &d);
    CHECK(d.blocked && d.reason == ROUTER_REASON_POLICY_BLOCK && a[n - 1] == GW_ACTION_BLOCK);
    in.n_findings = ROUTER_MAX_FINDINGS;
    router_decide(p, &in, &d);
    CHECK(!d.blocked);
    free(fs);
    free(a);
    free(w);
    router_policy_free(p);
}

static void test_glob(void)
{
    static const struct {
        const char *pattern, *text;
        bool match;
    } cases[] = {
        {"", "", true},        {"", "a", false},        {"*", "", true},
        {"*", "abc", true},    {"a*c", "abbc", true},   {"a*c", "abbd", false},
        {"a?c", "abc", true},  {"a?c", "ac", false},    {"**a**", "xxaxx", true},
        {"*a*b", "aab", true}, {"*a*b", "aabc", false}, {"GPT-*", "gpt-4", true},
        {"a*", "ba", false},   {"*.x", "a.x.x", true},  {"?", "", false},
    };
    char text[5000], pattern[256];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CHECK(gw_glob(gw_span_str(cases[i].pattern), gw_span_str(cases[i].text)) == cases[i].match);
    memset(text, 'a', sizeof(text)); /* the classic that explodes naive matchers */
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = i % 2 == 0 ? 'a' : '*';
    pattern[255] = 'b';
    CHECK(!gw_glob((struct gw_span){pattern, 256}, (struct gw_span){text, sizeof(text)}));
}

/* Lines about answers, lines about requests, and those about both. */
static void test_responses(void)
{
    static const struct gw_span ops[] = {{"ops", 3}}, gpt[] = {{"gpt-*", 5}};
    struct router_policy *p = base_policy();
    struct router_line bad = {.name = S("bad"), .on = ROUTER_ON_RESPONSE, .request_line = true};
    const unsigned secret = 1u << GW_CLASS_SECRET, pii = 1u << GW_CLASS_PII;
    struct router_finding f = {.rule = S("aws-key"),
                               .class_ = GW_CLASS_SECRET,
                               .severity = GW_SEVERITY_HIGH,
                               .confidence = 90};
    struct router_input in = {.model = S("m"), .user = S("ann"), .findings = &f, .n_findings = 1};
    struct router_decision d;
    struct gw_err err;
    uint16_t line = 0;

    CHECK(!router_watches_responses(p, NULL));
    CHECK(router_policy_add_line(p, &bad, &err) == GW_EINVAL);
    bad = (struct router_line){
        .name = S("bad"), .on = ROUTER_ON_RESPONSE, .zones = GW_ZONE_PRIVATE, .classes = secret};
    CHECK(router_policy_add_line(p, &bad, &err) == GW_EINVAL);
    bad = (struct router_line){
        .name = S("bad"), .on = ROUTER_ON_BOTH, .min_count = 2, .classes = secret};
    CHECK(router_policy_add_line(p, &bad, &err) == GW_EINVAL);
    bad = (struct router_line){.name = S("bad"), .on = ROUTER_DIRECTION_COUNT, .classes = secret};
    CHECK(router_policy_add_line(p, &bad, &err) == GW_EINVAL);

    add_line(p,
             (struct router_line){.name = S("in"), .classes = secret, .action = GW_ACTION_BLOCK});
    add_line(p, (struct router_line){.name = S("free"),
                                     .classes = secret,
                                     .groups = ops,
                                     .n_groups = 1,
                                     .action = GW_ACTION_ALLOW,
                                     .on = ROUTER_ON_RESPONSE});
    CHECK(!router_watches_responses(p, NULL)); /* it only allows */
    add_line(p, (struct router_line){.name = S("out"),
                                     .classes = secret,
                                     .min_confidence = 50,
                                     .action = GW_ACTION_MASK,
                                     .on = ROUTER_ON_RESPONSE});
    add_line(p, (struct router_line){.name = S("both"),
                                     .classes = secret | pii,
                                     .models = gpt,
                                     .n_models = 1,
                                     .action = GW_ACTION_TOKENIZE,
                                     .on = ROUTER_ON_BOTH});
    CHECK(router_watches_responses(p, NULL) && router_watches_responses(p, &in));
    CHECK(router_decide_response(p, &in, &f, &line, NULL) == GW_ACTION_MASK && line == 2);
    d = decide_in(p, in); /* the request still meets its own line */
    CHECK(d.blocked && d.action == GW_ACTION_BLOCK);
    in.groups = ops;
    in.n_groups = 1;
    CHECK(router_decide_response(p, &in, &f, &line, NULL) == GW_ACTION_ALLOW && line == 1);
    in.n_groups = 0;
    f.confidence = 40;
    CHECK(router_decide_response(p, &in, &f, &line, NULL) == GW_ACTION_ALLOW &&
          line == ROUTER_NO_LINE);
    in.model = S("gpt-4o");
    CHECK(router_decide_response(p, &in, &f, &line, NULL) == GW_ACTION_REDACT && line == 3);
    f.class_ = GW_CLASS_PII;
    d = decide_in(p, in);
    CHECK(!d.blocked && d.action == GW_ACTION_TOKENIZE);
    f.class_ = GW_CLASS_PHI;
    router_policy_set_default(p, GW_ACTION_BLOCK); /* is about requests */
    CHECK(router_decide_response(p, &in, &f, NULL, NULL) == GW_ACTION_ALLOW);
    router_policy_free(p);
}

int main(void)
{
    test_results_combine();
    test_first_line_per_finding();
    test_conditions();
    test_request_lines();
    test_else();
    test_fixed();
    test_down();
    test_tiers();
    test_routes();
    test_always();
    test_check_and_digest();
    test_reason_text_is_printable();
    test_too_many_findings();
    test_glob();
    test_responses();
    return test_done();
}
